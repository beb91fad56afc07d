//! Moves one request and its answer between client and instance, with deadlines; nothing is kept for a retry.
//!
//! First the request goes up while its answer is waited for (`waiting`), then the answer goes down (`answering`). Not here:
//! bytes of one direction (`flow`), what is made of an end (`attempt`, `retry`).

mod answering;
mod waiting;

pub(crate) use answering::answer;
pub(crate) use waiting::until_answer;

use crate::answer::Reason;
use minato_http1::{Kind, RequestHead};
use minato_proxy::AttemptEnd;
use std::future::poll_fn;
use std::task::Poll;

/// Why bytes stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The instance is at fault, and how.
    Instance(AttemptEnd, String),
    /// The client went away or stalls.
    Client,
    /// The request must be refused.
    Request(Reason),
}

fn instance(end: AttemptEnd, detail: &str) -> Stop {
    Stop::Instance(end, detail.to_owned())
}

/// Lets whatever else of this core is ready go first, once.
///
/// Reads of many connections so come together, and then their writes: whoever they go to is woken once for all of them, where
/// each write alone would find it asleep. Costs one more poll of the task.
async fn turn() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Whether messages go both ways, each when there is one.
fn is_grpc(request: &RequestHead) -> bool {
    const KIND: &[u8] = b"application/grpc";
    let kind = request.field(Kind::ContentType).unwrap_or_default();
    let kind = kind.get(..KIND.len());
    kind.is_some_and(|it| it.eq_ignore_ascii_case(KIND))
}
