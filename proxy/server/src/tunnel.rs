//! After a matching 101: bytes both ways, at once, until both sides have ended.

use crate::attempt::{Attempt, Ended};
use crate::stream::Connection;
use bytes::BytesMut;
use minato_proxy::AttemptEnd;
use pingora_core::protocols::http::v1::client::HttpSession as Upstream;
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_http::ResponseHeader;
use std::future::ready;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant as Deadline, sleep_until};

/// Bytes of one read.
const PIECE: usize = 16 * 1024;
/// How long one side may be silent once the other has ended.
const AFTER_END: Duration = Duration::from_secs(10);
/// How often the tunnel's idle time is looked at, as a share of it.
const LOOKS: u32 = 8;

/// Passes the 101 on, then everything that either side has sent or will send.
pub(crate) async fn run(
    attempt: &Attempt<'_>,
    session: &mut HttpSession,
    upstream: &mut Upstream,
    connection: &Connection,
    head: ResponseHeader,
) -> Ended {
    let client = attempt.context.client;
    if session.write_response_header(Box::new(head)).await.is_err() {
        return Ended::BrokeOff {
            status: 101,
            end: AttemptEnd::Invalid,
        };
    }
    // What the sessions have read beyond the heads goes first; from here on they are not asked again.
    tokio::select! {
        biased;
        early = upstream.read_body_ref() => if let Ok(Some(bytes)) = early { client.push(bytes) },
        () = ready(()) => {}
    }
    tokio::select! {
        biased;
        early = session.read_body_bytes() => if let Ok(Some(bytes)) = early { connection.push(&bytes) },
        () = ready(()) => {}
    }
    both_ways(client, connection, attempt.service.timeouts.tunnel).await;
    Ended::Answered {
        status: 101,
        unread: true,
    }
}

async fn both_ways(client: &Connection, instance: &Connection, idle: Duration) {
    let up = one_way(client, instance);
    let down = one_way(instance, client);
    tokio::pin!(up, down);
    let (mut up_ended, mut down_ended) = (false, false);
    let moved = || client.written() + instance.written();
    let (mut seen, mut since) = (moved(), Deadline::now());
    while !(up_ended && down_ended) {
        let patience = if up_ended || down_ended {
            AFTER_END.min(idle)
        } else {
            idle
        };
        tokio::select! {
            () = &mut up, if !up_ended => up_ended = true,
            () = &mut down, if !down_ended => down_ended = true,
            () = sleep_until(Deadline::now() + patience / LOOKS) => {
                if moved() > seen {
                    (seen, since) = (moved(), Deadline::now());
                } else if since.elapsed() >= patience {
                    return;
                }
            }
        }
    }
}

/// Ends at the sender's end, which it passes on, or when either breaks.
async fn one_way(from: &Connection, to: &Connection) {
    let mut reader = from.clone();
    let mut piece = BytesMut::new();
    loop {
        // First what was gathered before the tunnel began.
        if to.flushed().await.is_err() {
            return;
        }
        piece.clear();
        piece.reserve(PIECE);
        match (&mut reader).take(PIECE as u64).read_buf(&mut piece).await {
            Ok(1..) => to.push(&piece),
            _ => break,
        }
    }
    to.shutdown_write();
}
