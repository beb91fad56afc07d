//! One GET over a fresh connection, and what its answer says.

use crate::Target;
use crate::answer::{Answer, broken};
use crate::connection::Connection;
use crate::excerpt::excerpt;
use minato_config::HttpProbe;
use minato_health::{Failure, Layer, Outcome};
use minato_http1::{Field, ResponseHead};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Most that is read of a body.
const READ_BYTES: usize = 64 * 1024;
/// Of a wrong body, what the failure shows.
const SHOWN_BYTES: usize = 200;
/// Of a wanted text or header value, what the failure shows.
const WANTED_BYTES: usize = 40;
/// How long a judged answer is read on, so that the server may finish writing and close first.
const COURTESY: Duration = Duration::from_millis(50);

/// Asks, judges the answer, closes. Ends at `deadline`; `timeout` is for the words of a failure.
pub(crate) async fn exchange(
    stream: TcpStream,
    target: &Target,
    probe: &HttpProbe,
    deadline: Instant,
    timeout: Duration,
) -> Outcome {
    let request = request(target, probe)?;
    let connection = Connection::open(stream, target, deadline, timeout).await?;
    let mut answer = Answer::new(connection);
    let asked = timeout_at(deadline, ask(&mut answer, &request)).await;
    let silent = |what: &str| Failure::new(Layer::NoAnswer, format!("{what} in {timeout:?}"));
    let head = asked.unwrap_or_else(|_| Err(silent("no answer")));
    let outcome = match &head {
        Err(failure) => Err(failure.clone()),
        Ok(head) => match (judge_head(probe, head), &probe.body) {
            (Ok(()), Some(wanted)) => timeout_at(deadline, find(&mut answer, wanted))
                .await
                .unwrap_or_else(|_| Err(silent("no whole body"))),
            (judged, _) => judged,
        },
    };
    let courtesy = deadline.min(Instant::from_std(crate::clock()) + COURTESY);
    let heard_out = head.is_ok()
        && timeout_at(courtesy, hear_out(&mut answer))
            .await
            .unwrap_or(false);
    close(answer, heard_out, courtesy).await;
    outcome
}

/// As octets. What would not stay one line each is not sent.
fn request(target: &Target, probe: &HttpProbe) -> Result<String, Failure> {
    let address = target.address.to_string();
    let host = probe.host.as_ref().or(target.host.as_ref());
    let host = host.unwrap_or(&address);
    let is_one_word = |text: &str| !text.bytes().any(|it| it <= b' ' || it == 0x7f);
    if !probe.path.starts_with('/') || !is_one_word(&probe.path) || !is_one_word(host) {
        let detail = "not asked: health path or host is not valid";
        return Err(Failure::new(Layer::NoAnswer, detail));
    }
    Ok(format!(
        "GET {} HTTP/1.1\r\nhost: {host}\r\nuser-agent: minato/{} health\r\naccept: */*\r\nconnection: close\r\n\r\n",
        probe.path,
        env!("CARGO_PKG_VERSION"),
    ))
}

async fn ask(answer: &mut Answer, request: &str) -> Result<ResponseHead, Failure> {
    let sent = answer.connection().write(request.as_bytes()).await;
    sent.map_err(|error| broken(&error))?;
    answer.head().await
}

fn judge_head(probe: &HttpProbe, head: &ResponseHead) -> Outcome {
    let code = head.status();
    let passes = |it: &minato_config::StatusRange| (it.first..=it.last).contains(&code);
    if !probe.status.iter().any(passes) {
        return Err(Failure::new(Layer::Status, code.to_string()));
    }
    for (name, wanted) in &probe.headers {
        let named = |it: &Field<'_>| it.name.eq_ignore_ascii_case(name.as_bytes());
        let mut values = head.fields().filter(named).map(|it| it.value).peekable();
        let Some(first) = values.peek().copied() else {
            let detail = format!("{code}, but header `{name}` is missing");
            return Err(Failure::new(Layer::Status, detail));
        };
        if !wanted.is_empty() && !values.any(|it| it == wanted.as_bytes()) {
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
async fn find(answer: &mut Answer, wanted: &str) -> Outcome {
    let wanted = wanted.as_bytes();
    let mut seen: Vec<u8> = Vec::new();
    while seen.len() < READ_BYTES
        && let Some(data) = answer.data().await?
    {
        let from = seen.len().saturating_sub(wanted.len());
        let room = READ_BYTES - seen.len();
        seen.extend_from_slice(data.get(..room).unwrap_or(data));
        let length = data.len();
        answer.consume(length);
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
async fn hear_out(answer: &mut Answer) -> bool {
    let mut left = READ_BYTES;
    loop {
        let length = match answer.data().await {
            Ok(None) => return true,
            Err(_) => return false,
            Ok(Some(data)) => data.len(),
        };
        answer.consume(length);
        let Some(less) = left.checked_sub(length) else {
            return false;
        };
        left = less;
    }
}

/// The server closes first where it does as asked, and keeps the TIME_WAIT; else the connection is reset, so that neither
/// probes of ended answers nor of frozen servers pile up.
async fn close(mut answer: Answer, heard_out: bool, courtesy: Instant) {
    let closed = heard_out
        && timeout_at(courtesy, answer.is_over())
            .await
            .unwrap_or(false);
    if !closed {
        answer.connection().reset();
    }
}
