//! One client connection: wait for a request, read its head, serve it, go on or close.

use crate::answer::{self, Reason};
use crate::gateway::Gateway;
use crate::head::{HeadScan, check_request};
use crate::stream::Connection;
use crate::{clock, exchange, record};
use bytes::BytesMut;
use minato_proxy::rewrite::Framing;
use pingora_core::protocols::http::v1::server::HttpSession;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// What a lingering close discards at most.
const LINGER_BYTES: usize = 64 * 1024;

/// How an exchange leaves its connection.
#[derive(Debug)]
pub(crate) enum Next {
    /// Ready for the next request, some of which may have arrived already.
    Request(BytesMut),
    /// The answer went out with input unread: let it arrive before closing.
    Linger,
    /// The answer was whole and said that it is the last.
    End,
    /// Nothing more to say, or an answer broke off.
    Cut,
}

/// What came of waiting for a request.
enum Arrival {
    /// Its bytes, of which the first `end` are the head.
    Head {
        bytes: BytesMut,
        end: usize,
    },
    Refused(Reason),
    /// The client left, or waited too long to ask.
    Nothing,
}

/// Serves one connection to its end.
pub(crate) async fn run(
    gateway: &Gateway,
    tcp: TcpStream,
    peer: SocketAddr,
    mut stop: watch::Receiver<bool>,
) {
    let connection = Connection::new(tcp, peer);
    let mut ahead = BytesMut::new();
    loop {
        if ahead.is_empty() && !first_bytes(gateway, &connection, &mut ahead, &mut stop).await {
            return;
        }
        let began = clock::now();
        let arrival = match whole_head(gateway, &connection, ahead).await {
            Arrival::Head { bytes, end } => open(&connection, bytes, end).await,
            Arrival::Refused(reason) => Err(reason),
            Arrival::Nothing => return,
        };
        let next = match arrival {
            Ok((session, target)) => {
                exchange::run(gateway, &connection, session, &target, began, &stop).await
            }
            Err(reason) => {
                refuse(gateway, &connection, reason, began).await;
                Next::Linger
            }
        };
        match next {
            Next::Request(bytes) => ahead = bytes,
            Next::Cut => return,
            // Closing with input unread would reset the connection and destroy the answer.
            Next::End if connection.is_quiet() => return,
            Next::End | Next::Linger => {
                connection.shutdown_write();
                let _ = timeout(gateway.deadlines.linger, connection.discard(LINGER_BYTES)).await;
                return;
            }
        }
    }
}

/// Waits between requests; false when none will come.
async fn first_bytes(
    gateway: &Gateway,
    connection: &Connection,
    into: &mut BytesMut,
    stop: &mut watch::Receiver<bool>,
) -> bool {
    let at_once = tokio::select! {
        biased;
        read = connection.read_some(into) => Some(read),
        () = std::future::ready(()) => None,
    };
    let read = match at_once {
        Some(read) => read,
        None => {
            let place = gateway.idle.enter();
            tokio::select! {
                // A request that is here already is served, even at the stop.
                biased;
                read = connection.read_some(into) => read,
                _ = stop.wait_for(|it| *it) => return false,
                () = place.evicted() => return false,
                () = sleep(gateway.deadlines.keep_alive) => return false,
            }
        }
    };
    matches!(read, Ok(1..))
}

/// Reads until the head is whole.
async fn whole_head(gateway: &Gateway, connection: &Connection, mut bytes: BytesMut) -> Arrival {
    let mut scan = HeadScan::default();
    let read = async {
        loop {
            match scan.look(&bytes) {
                Ok(Some(end)) => return Ok(Some(end)),
                Ok(None) => {}
                Err(reason) => return Err(reason),
            }
            if !matches!(connection.read_some(&mut bytes).await, Ok(1..)) {
                return Ok(None);
            }
        }
    };
    match timeout(gateway.deadlines.head, read).await {
        Ok(Ok(Some(end))) => Arrival::Head { bytes, end },
        Ok(Ok(None)) => Arrival::Nothing,
        Ok(Err(reason)) => Arrival::Refused(reason),
        Err(_) => Arrival::Refused(Reason::SlowRequest),
    }
}

/// Checks the head as it came, and only then gives it to the parser, which would repair some of what is wrong with it.
async fn open(
    connection: &Connection,
    bytes: BytesMut,
    end: usize,
) -> Result<(HttpSession, String), Reason> {
    connection.check_nothing();
    let checked = check_request(&bytes[..end])?;
    let target = checked.target.to_owned();
    if checked.framing == Framing::Chunked {
        connection
            .check_chunks(&bytes[end..])
            .map_err(|_| Reason::Malformed)?;
    }
    let mut session = HttpSession::new(Box::new(connection.clone()));
    session.set_pipelining_enabled(true);
    session.set_abort_on_close(false);
    session.set_close_on_response_before_downstream_finish(false);
    // All waits are the relay's.
    session.set_read_timeout(None);
    session.set_write_timeout(None);
    session.set_pipelined_prefix(bytes);
    // The head is whole, so this reads nothing and does not wait.
    match session.read_request().await {
        Ok(Some(_)) => Ok((session, target)),
        _ => Err(Reason::Malformed),
    }
}

async fn refuse(gateway: &Gateway, connection: &Connection, reason: Reason, began: Instant) {
    record::unread(gateway, connection.peer(), reason, began);
    answer::send_raw(connection, reason, gateway.deadlines.idle).await;
}
