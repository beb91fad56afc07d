//! What the h2 crate reads and writes: a channel behind a meter, and behind what was read of it before.
//!
//! Nothing more is read once the meter has had enough. Closing lingers, since a reset would destroy the GOAWAY.

use super::meter::Meter;
use crate::connection::Client;
use h2::Reason;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a lingering close discards at most.
const LINGER_BYTES: usize = 64 * 1024;
/// Bytes of one read that are discarded.
const DISCARD: usize = 4 * 1024;

/// What the driver of a connection shares with its wire.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) meter: Meter,
    /// Why the connection ends, where the meter has had enough.
    pub(crate) verdict: Option<Reason>,
}

/// One connection's bytes.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Its input was read before it was known that HTTP/2 is spoken.
    client: Client,
    watch: Rc<RefCell<Watch>>,
    /// Bytes that may still be discarded, once it closes.
    closing: Option<usize>,
}

impl Wire {
    pub(crate) fn new(client: Client, watch: &Rc<RefCell<Watch>>) -> Self {
        Self {
            client,
            watch: Rc::clone(watch),
            closing: None,
        }
    }

    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Client {
            channel,
            input,
            core,
            ..
        } = &mut self.client;
        if input.is_empty() {
            return channel.poll_read_into(context, into);
        }
        let data = input.data();
        let count = data.len().min(into.remaining());
        into.put_slice(data.get(..count).unwrap_or_default());
        input.consume(count);
        core.means.buffers.reclaim(input);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.watch.borrow().verdict.is_some() {
            // The driver looks at it as soon as this returns.
            return Poll::Pending;
        }
        let before = into.filled().len();
        ready!(this.poll_fill(context, into))?;
        let read = into.filled().get(before..).unwrap_or_default();
        let watch = &mut *this.watch.borrow_mut();
        if let Err(reason) = watch.meter.receive(read, this.client.core.now()) {
            watch.verdict = Some(reason);
            into.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let count = ready!(this.client.channel.poll_write(context, slices))?;
        let mut left = count;
        let watch = &mut *this.watch.borrow_mut();
        for slice in slices {
            let written = slice.get(..left.min(slice.len())).unwrap_or_default();
            left -= written.len();
            if let Err(reason) = watch.meter.send(written, this.client.core.now()) {
                watch.verdict.get_or_insert(reason);
                // The driver has to look again.
                context.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.client.channel.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Client {
            channel,
            timer,
            core,
            ..
        } = &mut this.client;
        let left = this.closing.get_or_insert_with(|| {
            channel.shutdown_write();
            timer.set(core.gateway.deadlines.linger);
            LINGER_BYTES
        });
        let mut bytes = [0; DISCARD];
        while *left > 0 && !timer.is_due(context) {
            let mut room = ReadBuf::new(&mut bytes);
            let read = ready!(channel.poll_read_into(context, &mut room));
            if read.is_err() || room.filled().is_empty() {
                break;
            }
            *left = left.saturating_sub(room.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}
