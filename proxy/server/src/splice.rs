//! Moves a long body from socket to socket inside the kernel: through a pipe that holds references to what came, so
//! that the bytes are never copied to us and back.
//!
//! Not here: when that pays (`flow`).

use crate::channel::Channel;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes that a pipe is asked to hold; the system may grant less.
const PIPE_BYTES: usize = 256 * 1024;
/// Spare pipes of a core; two descriptors each.
const SPARE: usize = 16;
/// Pipes of a core at most, in use and spare: what is slow must not take the descriptors of others.
const MOST: usize = 128;

/// What holds the bytes on their way.
#[derive(Debug)]
pub(crate) struct Splice {
    reader: OwnedFd,
    writer: OwnedFd,
    /// Bytes in the pipe.
    held: usize,
    /// Pipes of this core.
    all: Rc<Cell<usize>>,
}

/// The pipes of one core.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    /// Empty and not in use.
    spare: RefCell<Vec<Splice>>,
    all: Rc<Cell<usize>>,
}

impl Pipes {
    /// An empty one; `None` where there are too many, or the system has none to give.
    pub(crate) fn take(&self) -> Option<Splice> {
        if let Some(pipe) = self.spare.borrow_mut().pop() {
            return Some(pipe);
        }
        if self.all.get() >= MOST {
            return None;
        }
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // Refused past a limit of the user's: then it holds less.
        let _ = fcntl_setpipe_size(&writer, PIPE_BYTES);
        Some(Splice {
            reader,
            writer,
            held: 0,
            all: {
                self.all.set(self.all.get() + 1);
                Rc::clone(&self.all)
            },
        })
    }

    /// Gives one back; one that still holds bytes is closed.
    pub(crate) fn give(&self, pipe: Splice) {
        let mut spare = self.spare.borrow_mut();
        if pipe.held == 0 && spare.len() < SPARE {
            spare.push(pipe);
        }
    }

    /// Closes the spare ones.
    pub(crate) fn clear(&self) {
        drop(self.spare.take());
    }
}

impl Splice {
    /// Whether bytes wait to be sent.
    pub(crate) fn is_holding(&self) -> bool {
        self.held > 0
    }

    /// Takes in at most `most` bytes; 0 at the sender's end.
    pub(crate) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        from: &TcpStream,
        most: u64,
    ) -> Poll<io::Result<usize>> {
        let most = usize::try_from(most).unwrap_or(PIPE_BYTES).min(PIPE_BYTES);
        loop {
            ready!(from.poll_read_ready(context))?;
            let moved = from.try_io(Interest::READABLE, || {
                Ok(splice(from, None, &self.writer, None, most, flags())?)
            });
            match moved {
                Ok(count) => {
                    self.held += count;
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Sends some of what it holds.
    pub(crate) fn poll_drain(
        &mut self,
        context: &mut Context<'_>,
        to: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(to.poll_write_ready(context))?;
            let moved = to.try_io(Interest::WRITABLE, || {
                Ok(splice(&self.reader, None, to, None, self.held, flags())?)
            });
            match moved {
                Ok(count) => {
                    self.held = self.held.saturating_sub(count);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Drop for Splice {
    fn drop(&mut self) {
        self.all.set(self.all.get().saturating_sub(1));
    }
}

/// Both ends as sockets that can be spliced.
pub(crate) fn sockets<'a>(
    from: &'a Channel,
    to: &'a Channel,
) -> Option<(&'a TcpStream, &'a TcpStream)> {
    match (from, to) {
        (Channel::Tcp(from), Channel::Tcp(to)) => Some((from, to)),
        _ => None,
    }
}

/// Whether the kernel does not splice these: then they are read and written.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    let unsupported = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP];
    error
        .raw_os_error()
        .is_some_and(|it| unsupported.iter().any(|one| one.raw_os_error() == it))
}

fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}
