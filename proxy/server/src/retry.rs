//! The attempts of one request: pick, try, judge, and perhaps again elsewhere.

use crate::answer::Reason;
use crate::attempt::{self, Blame, Ended, Failed, Job, Pooled};
use crate::exchange::{Exchange, Outlook};
use crate::note::Note;
use crate::peer::Origin;
use crate::record::judge;
use minato_http1::RequestHead;
use minato_proxy::{
    AttemptEnd, Endpoint, RetryDecision, RetryGuard, Scope, Sent, ServiceEntry, Situation,
    Standing, decide_retry, pick,
};
use std::sync::Arc;

/// Whether a request goes on after a failed attempt.
enum Again {
    No,
    /// Elsewhere, if there is an elsewhere. Holds the place in the budget where one was needed.
    Retry(Option<RetryGuard>),
    /// An idle connection was closed already: that is no one's failure and costs no retry.
    Anew,
}

/// Makes them.
pub(crate) async fn attempts(
    exchange: &mut Exchange<'_>,
    mut entry: Arc<ServiceEntry>,
    path: &str,
) -> Outlook {
    let core = exchange.core;
    let scope = match exchange.peer.origin {
        Origin::Visitor => Scope::Everywhere,
        Origin::Site(_) => Scope::Here,
    };
    let mut avoid: Option<Arc<Endpoint>> = None;
    let mut pooled = Pooled::Allowed;
    let mut reason = Reason::NoInstance;
    let mut _budget = None;
    loop {
        let picked = pick(&entry, scope, avoid.as_ref(), core.now(), &mut |n| {
            fastrand::usize(..n)
        });
        let Some(endpoint) = picked else {
            return exchange.refuse(reason, None).await;
        };
        exchange.record.instance = Some(endpoint.id().slot.0);
        let in_flight = endpoint.begin();
        let job = Job {
            service: &entry.service,
            endpoint: &endpoint,
            path,
            pooled,
        };
        let ended = attempt::run(exchange, &job).await;
        drop(in_flight);
        let failed = match ended {
            Ended::Answered(outlook) => {
                let end = AttemptEnd::Answered(exchange.record.status);
                judge(core, &entry, &endpoint, end, None);
                return outlook;
            }
            Ended::BrokeOff(end) => {
                exchange.record.note = Note::BrokeOff;
                judge(core, &entry, &endpoint, end, None);
                return Outlook::Cut;
            }
            Ended::ClientGone => {
                exchange.record.note = Note::ClientGone;
                judge(core, &entry, &endpoint, AttemptEnd::Abandoned, None);
                return Outlook::Cut;
            }
            Ended::Refused(reason) => {
                judge(core, &entry, &endpoint, AttemptEnd::Abandoned, None);
                return match exchange.refuse(reason, None).await {
                    Outlook::Cut => Outlook::Cut,
                    _ => Outlook::Unread,
                };
            }
            Ended::Failed(failed) => failed,
        };
        if failed.blame == Blame::Instance {
            judge(
                core,
                &entry,
                &endpoint,
                failed.end,
                Some(failed.failure.clone()),
            );
        }
        reason = match failed.end {
            AttemptEnd::ConnectFailed => Reason::NoInstance,
            AttemptEnd::TimedOut => Reason::Timeout,
            _ => Reason::BadAnswer,
        };
        pooled = Pooled::Avoided;
        let made = exchange.record.retries;
        match again(&entry, exchange.request, &endpoint, &failed, made) {
            Again::No => return exchange.refuse(reason, None).await,
            Again::Anew => {}
            Again::Retry(guard) => {
                exchange.record.retries += 1;
                _budget = guard;
                avoid = Some(endpoint);
            }
        }
        core.counts
            .with_service(Some(&entry), |counts| counts.retries.add(1));
        // The world may have moved meanwhile: another run may be up by now.
        entry = core.gateway.current(&entry);
    }
}

fn again(
    entry: &ServiceEntry,
    request: &RequestHead,
    endpoint: &Endpoint,
    failed: &Failed,
    made: u8,
) -> Again {
    let idempotent = request.method().is_idempotent();
    // Only one attempt of a request uses an idle connection, so this happens once.
    let may_repeat = idempotent || failed.sent == Sent::Nothing;
    if failed.blame == Blame::Stale && failed.intact && may_repeat {
        return Again::Anew;
    }
    let situation = Situation {
        idempotent,
        body_intact: failed.intact,
        sent: failed.sent,
        made,
        allowed: entry.service.retries,
        leaves_bad_instance: endpoint.standing() != Standing::Up,
    };
    match decide_retry(&situation) {
        RetryDecision::Free => Again::Retry(None),
        RetryDecision::Budgeted => match entry.shared.budget.take(entry.shared.queue.in_flight()) {
            Some(guard) => Again::Retry(Some(guard)),
            None => Again::No,
        },
        RetryDecision::No => Again::No,
    }
}
