//! One GET over a fresh connection, and what its answer says.

use crate::Target;
use crate::excerpt::excerpt;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use minato_config::HttpProbe;
use minato_health::{Failure, Layer, Outcome};
use std::future::poll_fn;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Most that is read of a body, and of a head.
const READ_BYTES: usize = 64 * 1024;
/// Of a wrong body, what the failure shows.
const SHOWN_BYTES: usize = 200;
/// Of a wanted text or header value, what the failure shows.
const WANTED_BYTES: usize = 40;
/// How long a judged answer is read on, so that the server may finish writing and close first.
const COURTESY: Duration = Duration::from_millis(50);

type Connection = http1::Connection<TokioIo<TcpStream>, Empty<Bytes>>;

/// Asks, judges the answer, closes. Ends at `deadline`; `timeout` is for the words of a failure.
pub(crate) async fn exchange(
    stream: TcpStream,
    target: &Target,
    probe: &HttpProbe,
    deadline: Instant,
    timeout: Duration,
) -> Outcome {
    let request = request(target, probe)?;
    let silent = |what: &str| Failure::new(Layer::NoAnswer, format!("{what} in {timeout:?}"));
    let (mut sender, mut connection) = http1::Builder::new()
        .max_buf_size(READ_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let asked = timeout_at(
        deadline,
        drive(&mut connection, sender.send_request(request)),
    )
    .await;
    let (outcome, body) = match asked {
        Err(_) => (Err(silent("no answer")), None),
        Ok(Err(error)) => (Err(broken(&error)), None),
        Ok(Ok(answer)) => {
            let (head, mut body) = answer.into_parts();
            let outcome = match judge_head(probe, head.status, &head.headers) {
                Ok(()) => match &probe.body {
                    Some(wanted) => {
                        let found = drive(&mut connection, find(&mut body, wanted));
                        timeout_at(deadline, found)
                            .await
                            .unwrap_or_else(|_| Err(silent("no whole body")))
                    }
                    None => Ok(()),
                },
                failed => failed,
            };
            (outcome, Some(body))
        }
    };
    let courtesy = deadline.min(Instant::from_std(crate::clock()) + COURTESY);
    let heard_out = match body {
        Some(body) => timeout_at(courtesy, hear_out(&mut connection, body))
            .await
            .unwrap_or(false),
        None => false,
    };
    close(connection, heard_out, courtesy).await;
    outcome
}

fn request(target: &Target, probe: &HttpProbe) -> Result<Request<Empty<Bytes>>, Failure> {
    let address = target.address.to_string();
    let host = probe.host.as_ref().or(target.host.as_ref());
    Request::get(probe.path.as_str())
        .header(header::HOST, host.unwrap_or(&address))
        .header(
            header::USER_AGENT,
            concat!("minato/", env!("CARGO_PKG_VERSION"), " health"),
        )
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| {
            let detail = format!("not asked: health path or host is not valid: {error}");
            Failure::new(Layer::NoAnswer, detail)
        })
}

/// Runs the connection until `wanted` is there.
async fn drive<T>(connection: &mut Connection, wanted: impl Future<Output = T>) -> T {
    tokio::pin!(wanted);
    let mut running = true;
    poll_fn(|cx| {
        // The connection first, as it brings the answer; its own end or error reaches `wanted` too.
        if running && connection.poll_without_shutdown(cx).is_ready() {
            running = false;
        }
        wanted.as_mut().poll(cx)
    })
    .await
}

fn judge_head(probe: &HttpProbe, status: StatusCode, headers: &HeaderMap) -> Outcome {
    let code = status.as_u16();
    let passes = |it: &minato_config::StatusRange| (it.first..=it.last).contains(&code);
    if !probe.status.iter().any(passes) {
        return Err(Failure::new(Layer::Status, code.to_string()));
    }
    for (name, wanted) in &probe.headers {
        let mut values = headers.get_all(name.as_str()).iter().peekable();
        let Some(first) = values.peek().map(|it| it.as_bytes()) else {
            let detail = format!("{code}, but header `{name}` is missing");
            return Err(Failure::new(Layer::Status, detail));
        };
        if !wanted.is_empty() && !values.any(|it| it.as_bytes() == wanted.as_bytes()) {
            let (is, wanted) = (
                excerpt(first, WANTED_BYTES),
                excerpt(wanted.as_bytes(), WANTED_BYTES),
            );
            let detail = format!("{code}, but header `{name}` is `{is}`, wanted `{wanted}`");
            return Err(Failure::new(Layer::Status, detail));
        }
    }
    Ok(())
}

/// Reads until the wanted text stands in the first 64 KiB.
async fn find(body: &mut Incoming, wanted: &str) -> Outcome {
    let wanted = wanted.as_bytes();
    let mut seen: Vec<u8> = Vec::new();
    while seen.len() < READ_BYTES {
        let data = match body.frame().await {
            None => break,
            Some(Err(error)) => return Err(broken(&error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(_trailers) => continue,
            },
        };
        let from = seen.len().saturating_sub(wanted.len());
        let room = READ_BYTES - seen.len();
        seen.extend_from_slice(data.get(..room).unwrap_or(&data));
        if holds(seen.get(from..).unwrap_or_default(), wanted) {
            return Ok(());
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let (wanted, shown) = (excerpt(wanted, WANTED_BYTES), excerpt(&seen, SHOWN_BYTES));
    Err(Failure::new(
        Layer::Body,
        format!("body lacks `{wanted}`: {shown}"),
    ))
}

fn holds(text: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|it| it == wanted)
}

/// Reads a judged answer to its end, within 64 KiB; whether the end came.
async fn hear_out(connection: &mut Connection, mut body: Incoming) -> bool {
    drive(connection, async {
        let mut left = READ_BYTES;
        loop {
            match body.frame().await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => {
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    let Some(less) = left.checked_sub(length) else {
                        return false;
                    };
                    left = less;
                }
            }
        }
    })
    .await
}

/// The server closes first where it does as asked, and keeps the TIME_WAIT; else the connection is reset, so that neither
/// probes of ended answers nor of frozen servers pile up.
async fn close(connection: Connection, heard_out: bool, courtesy: Instant) {
    let mut stream = connection.into_parts().io.into_inner();
    let closed = heard_out && {
        let mut byte = [0];
        matches!(
            timeout_at(courtesy, stream.read(&mut byte)).await,
            Ok(Ok(0))
        )
    };
    if !closed {
        let _ = stream.set_zero_linger();
    }
}

/// The connection ended, or what came is not HTTP.
fn broken(error: &hyper::Error) -> Failure {
    let detail = if error.is_parse() {
        format!("not an HTTP answer within 64 KiB and 100 fields: {error}")
    } else if error.is_incomplete_message() {
        "connection closed before a whole answer".to_owned()
    } else {
        match std::error::Error::source(error) {
            Some(cause) => format!("connection broke: {cause}"),
            None => format!("connection broke: {error}"),
        }
    };
    Failure::new(Layer::NoAnswer, detail)
}
