//! Waiting, and the one clock. One epoll descriptor, edge triggered. A short read or write means drained or full, as epoll(7) says of streams.

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::time::Timespec;
use std::io;
use std::time::{Duration, Instant};

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the clock is read"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Events fetched by one call.
const BATCH: usize = 256;

pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self {
            epoll,
            events: Vec::with_capacity(BATCH),
        })
    }

    /// Edges of both directions are told as `token` until the descriptor closes.
    pub(crate) fn add(&self, socket: impl AsFd, token: usize) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(
            &self.epoll,
            socket,
            EventData::new_u64(token as u64),
            flags,
        )?)
    }

    /// Waits for edges, at most `timeout`, to the nanosecond; tokens may repeat from call to call, not within one.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        tokens: &mut Vec<usize>,
    ) -> io::Result<()> {
        tokens.clear();
        self.events.clear();
        let timeout = timeout.map(|it| Timespec {
            tv_sec: i64::try_from(it.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(it.subsec_nanos()),
        });
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.events),
            timeout.as_ref(),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        tokens.extend(self.events.iter().map(|it| it.data.u64() as usize));
        Ok(())
    }
}
