//! Carries bytes between two sockets until both directions have ended, or nothing has moved for too long.

use crate::clock::now;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::sleep;

/// Of each direction of a connection.
const BUFFER: usize = 16 * 1024;

/// Carries both directions. An end on one side is passed on to the other, whose own direction goes on.
pub(super) async fn carry(
    client: &mut TcpStream,
    member: &mut TcpStream,
    bytes: (&AtomicU64, &AtomicU64),
    idle: Duration,
) -> io::Result<()> {
    let (began, last) = (now().instant, AtomicU64::new(0));
    let clock = Clock { began, last: &last };
    let (client_read, client_write) = client.split();
    let (member_read, member_write) = member.split();
    let there = direction(client_read, member_write, bytes.0, clock);
    let back = direction(member_read, client_write, bytes.1, clock);
    let both = async { tokio::try_join!(there, back).map(drop) };
    tokio::select! {
        ended = both => ended,
        () = clock.still_for(idle) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "nothing has moved for too long",
        )),
    }
}

async fn direction(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    bytes: &AtomicU64,
    clock: Clock<'_>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        clock.moved();
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..length).unwrap_or_default())
            .await?;
        clock.moved();
        bytes.fetch_add(u64::try_from(length).unwrap_or(0), Ordering::Relaxed);
    }
}

/// When something last moved, in milliseconds from the beginning.
#[derive(Clone, Copy)]
struct Clock<'a> {
    began: Instant,
    last: &'a AtomicU64,
}

impl Clock<'_> {
    fn elapsed(self) -> u64 {
        let elapsed = now().instant.saturating_duration_since(self.began);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    fn moved(self) {
        self.last.store(self.elapsed(), Ordering::Relaxed);
    }

    async fn still_for(self, limit: Duration) {
        loop {
            let still = self
                .elapsed()
                .saturating_sub(self.last.load(Ordering::Relaxed));
            let left = limit.saturating_sub(Duration::from_millis(still));
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }
}
