//! One request: route, admit, attempt, record. Decisions are `minato_proxy`'s.

use crate::answer::{self, Reason};
use crate::connection::Next;
use crate::gateway::Gateway;
use crate::head::{self, Request};
use crate::record::{self, Record};
use crate::retry;
use crate::stream::Connection;
use minato_config::RouteAction;
use minato_proxy::{Admission, Permit, ServiceEntry, TableRoute};
use pingora_core::protocols::http::v1::server::HttpSession;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;

/// How often a queued request looks whether its client is still there.
const LOOK: Duration = Duration::from_millis(100);

/// How the client's connection stands after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// The session decides: keep alive or close.
    Ordinary,
    /// Unread input: linger.
    Unread,
    /// The answer broke off, or the client is gone.
    Cut,
}

/// What all steps of one request share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) client: &'a Connection,
    pub(crate) stop: &'a watch::Receiver<bool>,
}

/// Serves one request whose head has been read and checked.
pub(crate) async fn run(
    gateway: &Gateway,
    client: &Connection,
    mut session: HttpSession,
    target: &str,
    began: Instant,
    stop: &watch::Receiver<bool>,
) -> Next {
    let context = Context {
        gateway,
        client,
        stop,
    };
    let mut record = Record::default();
    let (outlook, request) = match head::read(session.req_header(), target) {
        Ok(request) => {
            if request.closes {
                session.set_server_keepalive(None);
            }
            (
                serve(context, &mut session, &request, &mut record).await,
                Some(request),
            )
        }
        Err(reason) => {
            // Whoever sent this may have put another request behind it that was not meant as one.
            session.set_server_keepalive(None);
            match refuse(context, &mut session, reason, None, &mut record).await {
                Outlook::Cut => (Outlook::Cut, None),
                _ => (Outlook::Unread, None),
            }
        }
    };
    record.finish(
        gateway,
        client.peer(),
        session.body_bytes_sent() as u64,
        request.as_ref(),
        began,
    );
    if outlook == Outlook::Cut {
        return Next::Cut;
    }
    if outlook == Outlook::Unread || !session.is_body_done() {
        return Next::Linger;
    }
    match session.reuse().await {
        Ok(Some(stream)) => Next::Request(stream.into_parts().1.unwrap_or_default()),
        Ok(None) | Err(_) => Next::End,
    }
}

async fn serve(
    context: Context<'_>,
    session: &mut HttpSession,
    request: &Request,
    record: &mut Record,
) -> Outlook {
    // `OPTIONS *` asks about the whole host.
    let path = if request.path == "*" {
        "/"
    } else {
        request.path.as_str()
    };
    let found = context.gateway.table.load().find(&request.host, path);
    let Some(found) = found else {
        return refuse(context, session, Reason::NoRoute, None, record).await;
    };
    let route = found.route;
    let entry = Arc::clone(&route.service);
    record.service = Some(Arc::clone(&entry));
    let path = match forward_path(&route, request) {
        Forward::Path(path) => path,
        Forward::Location(location) => {
            return refuse(context, session, Reason::Redirect, Some(&location), record).await;
        }
    };
    if entry.draining {
        return refuse(context, session, Reason::Draining, None, record).await;
    }
    let limit = entry.service.limits.body_bytes;
    if limit > 0 && request.content_length.is_some_and(|it| it > limit) {
        return refuse(context, session, Reason::BodyTooLarge, None, record).await;
    }
    let (_permit, entry) = match admit(&entry, context.client).await {
        Admitted::AtOnce(permit) => (permit, entry),
        // Who waited is served by what is up now.
        Admitted::Later(permit) => (permit, context.gateway.current(&entry)),
        Admitted::Refused => return refuse(context, session, Reason::Full, None, record).await,
        Admitted::ClientGone => {
            record.note = record::CLIENT_GONE;
            return Outlook::Cut;
        }
    };
    retry::attempts(context, session, request, entry, &path, record).await
}

enum Forward {
    Path(String),
    Location(String),
}

fn forward_path(route: &TableRoute, request: &Request) -> Forward {
    let prefix = route.pattern.path.0.as_str();
    let rest = match prefix {
        "/" => request.path.as_str(),
        _ => request.path.strip_prefix(prefix).unwrap_or(&request.path),
    };
    match &route.action {
        RouteAction::Forward { strip: false } => Forward::Path(request.path.clone()),
        RouteAction::Forward { strip: true } if rest.starts_with('/') || rest == "*" => {
            Forward::Path(rest.to_owned())
        }
        RouteAction::Forward { strip: true } => Forward::Path(format!("/{rest}")),
        RouteAction::Redirect { to } => Forward::Location(format!("{to}{rest}{}", request.query)),
    }
}

enum Admitted {
    AtOnce(Permit),
    /// After a wait in the queue.
    Later(Permit),
    Refused,
    ClientGone,
}

async fn admit(entry: &ServiceEntry, client: &Connection) -> Admitted {
    let ticket = match entry.shared.queue.admit() {
        Admission::Permit(permit) => return Admitted::AtOnce(permit),
        Admission::Shed => return Admitted::Refused,
        Admission::Ticket(ticket) => ticket,
    };
    // A client that hangs up while it waits leaves the queue.
    let hung_up = async {
        while !client.is_hung_up() {
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        biased;
        permit = ticket => Admitted::Later(permit),
        () = hung_up => Admitted::ClientGone,
        () = sleep(entry.service.limits.queue_timeout) => Admitted::Refused,
    }
}

/// Answers in the instance's place.
pub(crate) async fn refuse(
    context: Context<'_>,
    session: &mut HttpSession,
    reason: Reason,
    location: Option<&str>,
    record: &mut Record,
) -> Outlook {
    record.status = reason.status();
    record.note = reason.label();
    let unread = !session.is_body_done();
    if unread || *context.stop.borrow() {
        session.set_server_keepalive(None);
    }
    let sent = match answer::send(session, reason, location, &context.gateway.sorry).await {
        Ok(()) => context
            .client
            .flush(context.gateway.deadlines.idle)
            .await
            .is_ok(),
        Err(_) => false,
    };
    match (sent, unread) {
        (true, false) => Outlook::Ordinary,
        (true, true) => Outlook::Unread,
        (false, _) => Outlook::Cut,
    }
}
