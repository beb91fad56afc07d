//! One client connection: wait for a request, serve it, go on or close.

use crate::answer::{self, Reason};
use crate::gateway::Gateway;
use crate::stream::Connection;
use crate::{access_log, clock, exchange, head};
use bytes::BytesMut;
use pingora_core::ErrorType;
use pingora_core::protocols::http::v1::server::HttpSession;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

/// Between requests.
const IDLE: Duration = Duration::from_secs(75);
/// A whole head, from its first byte.
const HEAD: Duration = Duration::from_secs(10);
/// What a lingering close discards, and for how long.
const LINGER_BYTES: usize = 64 * 1024;
const LINGER: Duration = Duration::from_secs(2);

/// How an exchange leaves its connection.
#[derive(Debug)]
pub(crate) enum Next {
    /// Ready for the next request, some of which may have arrived already.
    Request(Option<BytesMut>),
    /// The answer went out with input unread: let it arrive before closing.
    Linger,
    /// Nothing more to say, or an answer broke off.
    Close,
}

/// Serves one connection to its end.
pub(crate) async fn run(gateway: &Gateway, tcp: TcpStream, peer: SocketAddr, mut stop: watch::Receiver<bool>) {
    let connection = Connection::new(tcp, peer);
    let mut ahead: Option<BytesMut> = None;
    loop {
        if ahead.is_none() {
            tokio::select! {
                _ = stop.wait_for(|it| *it) => return,
                readable = timeout(IDLE, connection.readable()) => match readable {
                    Ok(Ok(())) => {}
                    _ => return,
                },
            }
        }
        let began = clock::now();
        let mut session = HttpSession::new(Box::new(connection.clone()));
        session.set_pipelining_enabled(true);
        session.set_abort_on_close(false);
        session.set_read_timeout(Some(HEAD));
        if let Some(bytes) = ahead.take() {
            session.set_pipelined_prefix(bytes);
        }
        let refusal = match timeout(HEAD, session.read_request()).await {
            Ok(Ok(Some(_))) => match head::check(&session) {
                Ok(()) => None,
                Err(reason) => Some(reason),
            },
            Ok(Ok(None)) => return,
            Ok(Err(error)) => Some(reason_of(&error)),
            Err(_) => Some(Reason::SlowRequest),
        };
        if let Some(reason) = refusal {
            gateway.metrics.refused.with_label_values(&["", reason.label()]).inc();
            access_log::refused(gateway, peer, reason, began);
            answer::send_raw(&connection, reason).await;
            linger(&connection).await;
            return;
        }
        match exchange::run(gateway, &connection, session, began, &stop).await {
            Next::Request(bytes) => ahead = bytes,
            Next::Linger => {
                linger(&connection).await;
                return;
            }
            Next::Close => return,
        }
    }
}

async fn linger(connection: &Connection) {
    connection.shutdown_write().await;
    let _ = timeout(LINGER, connection.discard(LINGER_BYTES)).await;
}

fn reason_of(error: &pingora_core::Error) -> Reason {
    let text = error.to_string();
    // The request's own bytes stand in the text too, before the parser's words.
    let words = text.rsplit(" cause: ").next().unwrap_or_default();
    match error.etype() {
        ErrorType::ReadTimedout => Reason::SlowRequest,
        ErrorType::InvalidHTTPHeader if words == "too many headers" || words.contains("context: Request header larger than") => {
            Reason::HeadTooLarge
        }
        ErrorType::InvalidHTTPHeader if words == "invalid HTTP version" => Reason::Version,
        _ => Reason::Malformed,
    }
}
