//! Connections: how many, how long a head may take, and how they end.

use super::caller::Ends;
use super::{Admin, routes, state::Shared};
use crate::stop::stopped;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections at once, followers of events among them; one more is answered 503 and closed.
const CONNECTIONS: usize = 64;
/// From the first byte of a request, or since the last answer, to the end of the head.
const HEAD: Duration = Duration::from_secs(10);
/// Bytes of a head.
const HEAD_BYTES: usize = 32 << 10;
/// How long answers on their way may take once `stop` is true.
const GOODBYE: Duration = Duration::from_secs(1);
/// After a failed accept (out of descriptors, say).
const PAUSE: Duration = Duration::from_millis(100);

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n\
    Content-Length: 94\r\n\r\n\
    {\"error\":\"64 callers are connected already\",\"hint\":\"end one of them: `minato events -f`, say\"}";

/// Serves the API on `listener`, a loopback address, until `stop` is true; then answers on their way get a second.
///
/// # Errors
/// The listener has no address any more.
pub async fn serve(
    listener: TcpListener,
    admin: Arc<Admin>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let server = listener.local_addr()?;
    let port = server.port();
    let app = routes::router(Shared::new(admin, port, stop.clone()));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) if connections.len() < CONNECTIONS => {
                    let app = app.clone().layer(Extension(Ends { client, server }));
                    connections.spawn(connection(stream, app, stop.clone()));
                }
                Ok((stream, _)) => {
                    // Small enough for the socket's buffer; who does not read it loses it.
                    let _ = stream.try_write(FULL);
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin API could not accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GOODBYE, ended).await;
    connections.shutdown().await;
    Ok(())
}

async fn connection(stream: TcpStream, app: Router, mut stop: watch::Receiver<bool>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(64);
    let service = TowerToHyperService::new(app);
    let mut serving = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stopped(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the admin API broke");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_answer_to_one_too_many_says_its_length_truly() {
        let text = String::from_utf8(super::FULL.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{}",
            body.len()
        );
        serde_json::from_str::<crate::api::ApiError>(body).unwrap();
    }
}
