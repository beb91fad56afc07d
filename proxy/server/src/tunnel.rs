//! After a matching 101: bytes both ways, at once, until both sides have ended.

use crate::attempt::{Ended, Job};
use crate::buffer::Buffer;
use crate::exchange::{Exchange, Outlook};
use crate::flow::{Coding, Fault, Flow};
use crate::pool::Upstream;
use minato_http1::Framing;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long one side may be silent once the other has ended.
const AFTER_END: Duration = Duration::from_secs(10);

/// A tunnel at work.
struct Tunnel<'a, 'b> {
    exchange: &'a mut Exchange<'b>,
    upstream: Upstream,
    up: Flow,
    down: Flow,
    up_ended: bool,
    down_ended: bool,
    idle: Duration,
    steps: u32,
}

/// Passes the 101 on, whose bytes are `head`, then everything that either side has sent or will send.
pub(crate) async fn run(
    exchange: &mut Exchange<'_>,
    job: &Job<'_>,
    upstream: Upstream,
    answer: Buffer,
    head: Vec<u8>,
) -> Ended {
    let input = std::mem::take(&mut exchange.upload.input);
    let up = Flow::new(Framing::UntilClose, input);
    let mut down = Flow::new(Framing::UntilClose, answer);
    down.begin(head, Coding::Plain);
    let idle = job.service.timeouts.tunnel;
    exchange.timer.set(idle);
    let mut tunnel = Tunnel {
        exchange,
        upstream,
        up,
        down,
        up_ended: false,
        down_ended: false,
        idle,
        steps: 0,
    };
    poll_fn(|context| tunnel.poll(context)).await;
    let Tunnel {
        exchange,
        mut up,
        mut down,
        ..
    } = tunnel;
    exchange.timer.clear();
    exchange.record.bytes = down.body_bytes();
    exchange.core.means.buffers.discard(&mut up.input);
    exchange.core.means.buffers.discard(&mut down.input);
    Ended::Answered(Outlook::Unread)
}

impl Tunnel<'_, '_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let means = &self.exchange.core.means;
        let (client, instance) = (&mut *self.exchange.channel, &mut self.upstream.channel);
        if !self.up_ended {
            match self.up.poll(context, client, instance, means) {
                Poll::Ready(Ok(())) => {
                    self.up_ended = true;
                    instance.shutdown_write();
                }
                Poll::Ready(Err(Fault::Read(_) | Fault::Write)) => {
                    self.up_ended = true;
                    instance.break_off();
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        if !self.down_ended {
            match self.down.poll(context, instance, client, means) {
                Poll::Ready(Ok(())) => {
                    self.down_ended = true;
                    client.shutdown_write();
                }
                Poll::Ready(Err(Fault::Read(_) | Fault::Write)) => {
                    self.down_ended = true;
                    client.break_off();
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        if self.up_ended && self.down_ended {
            return Poll::Ready(());
        }
        let ends = u32::from(self.up_ended || self.down_ended);
        let steps = self
            .up
            .steps()
            .wrapping_add(self.down.steps())
            .wrapping_add(ends);
        if steps != self.steps {
            self.steps = steps;
            let patience = if ends > 0 {
                AFTER_END.min(self.idle)
            } else {
                self.idle
            };
            self.exchange.timer.set(patience);
        }
        if self.exchange.timer.is_due(context) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
