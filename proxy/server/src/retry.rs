//! Attempts of one request, until one of them is the answer. When it may go on is `minato_proxy::decide_retry`'s.

use crate::answer::Reason;
use crate::attempt::{self, Attempt, Blame, Ended, Failed};
use crate::clock;
use crate::exchange::{Context, Outlook, refuse};
use crate::head::Request;
use crate::record::{self, Record, judge};
use minato_proxy::{
    AttemptEnd, Endpoint, RetryDecision, RetryGuard, ServiceEntry, Situation, Standing,
    decide_retry, pick,
};
use pingora_core::protocols::http::v1::server::HttpSession;
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
    context: Context<'_>,
    session: &mut HttpSession,
    request: &Request,
    mut entry: Arc<ServiceEntry>,
    path: &str,
    record: &mut Record,
) -> Outlook {
    let gateway = context.gateway;
    let mut avoid: Option<Arc<Endpoint>> = None;
    let mut pooled = attempt::Pooled::Allowed;
    let mut reason = Reason::NoInstance;
    let mut _budget = None;
    loop {
        let Some(endpoint) = pick(&entry, avoid.as_ref(), clock::now(), &mut |n| {
            fastrand::usize(..n)
        }) else {
            return refuse(context, session, reason, None, record).await;
        };
        record.instance = Some(endpoint.id().slot.0);
        let in_flight = endpoint.begin();
        let attempt = Attempt {
            context,
            request,
            service: &entry.service,
            endpoint: &endpoint,
            path,
            pooled,
        };
        let ended = attempt::run(&attempt, session).await;
        drop(in_flight);
        let failed = match ended {
            Ended::Answered { status, unread } => {
                record.status = status;
                judge(
                    gateway,
                    &entry,
                    &endpoint,
                    AttemptEnd::Answered(status),
                    None,
                );
                return if unread {
                    Outlook::Unread
                } else {
                    Outlook::Ordinary
                };
            }
            Ended::BrokeOff { status, end } => {
                record.status = status;
                record.note = record::BROKE_OFF;
                judge(gateway, &entry, &endpoint, end, None);
                return Outlook::Cut;
            }
            Ended::ClientGone => {
                record.note = record::CLIENT_GONE;
                judge(gateway, &entry, &endpoint, AttemptEnd::Abandoned, None);
                return Outlook::Cut;
            }
            Ended::Refused(reason) => {
                judge(gateway, &entry, &endpoint, AttemptEnd::Abandoned, None);
                session.set_server_keepalive(None);
                return match refuse(context, session, reason, None, record).await {
                    Outlook::Cut => Outlook::Cut,
                    _ => Outlook::Unread,
                };
            }
            Ended::Failed(failed) => failed,
        };
        if failed.blame == Blame::Instance {
            judge(
                gateway,
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
        pooled = attempt::Pooled::Avoided;
        match again(&entry, request, &endpoint, &failed, record.retries) {
            Again::No => return refuse(context, session, reason, None, record).await,
            Again::Anew => {}
            Again::Retry(guard) => {
                record.retries += 1;
                _budget = guard;
                avoid = Some(endpoint);
            }
        }
        gateway
            .metrics
            .retries
            .with_label_values(&[entry.service.name.as_str()])
            .inc();
        // The world may have moved meanwhile: another run may be up by now.
        entry = gateway.current(&entry);
    }
}

fn again(
    entry: &ServiceEntry,
    request: &Request,
    endpoint: &Endpoint,
    failed: &Failed,
    made: u8,
) -> Again {
    // Only one attempt of a request uses an idle connection, so this happens once.
    if failed.blame == Blame::Stale && failed.intact && request.idempotent {
        return Again::Anew;
    }
    let situation = Situation {
        idempotent: request.idempotent,
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
