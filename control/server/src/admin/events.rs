//! `GET /v1/events`: NDJSON, of the past and, where asked, of what comes.

use super::answer::Refusal;
use super::state::Shared;
use crate::api::EventLine;
use crate::clock;
use crate::journal::Journal;
use crate::stop::stopped;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use minato_config::ServiceName;
use minato_control::{Event, EventKind};
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Lines without `last` and `after`.
const LINES: usize = 50;
/// Lines taken from the journal at once.
const BATCH: usize = 256;
/// A blank line says that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// `?after=SEQ&last=N&service=S&follow=true`
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    after: Option<u64>,
    last: Option<usize>,
    service: Option<String>,
    #[serde(default)]
    follow: bool,
}

/// Lines after `after`, the last `last` of them (50 if neither is given), of `service` alone where it is given; then,
/// with `follow`, each new one as it happens.
pub(super) async fn list(
    State(shared): State<Shared>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(asked) = asked.map_err(|it| {
        Refusal::bad(it.body_text())
            .hint("?after=NUMBER, ?last=NUMBER, ?service=NAME, ?follow=true or false")
    })?;
    let service = asked.service.as_deref().map(ServiceName::parse);
    let service = service
        .transpose()
        .map_err(|it| Refusal::bad(it.to_string()))?;
    let journal = &shared.admin.journal;
    let mut follower = Follower {
        journal: Arc::clone(journal),
        latest: journal.latest(),
        stop: shared.stop.clone(),
        service,
        position: 0,
    };
    let past = follower.past(&asked);
    let kind = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    if !asked.follow {
        return Ok((kind, past).into_response());
    }
    let first = Some(past);
    let lines = stream::unfold((first, follower), |(first, mut follower)| async move {
        let chunk = match first {
            Some(past) => past,
            None => follower.next().await?,
        };
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), (None, follower)))
    });
    Ok((kind, Body::from_stream(lines)).into_response())
}

/// Reads the journal at its own pace: a slow reader costs no memory.
struct Follower {
    journal: Arc<Journal>,
    latest: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
    service: Option<ServiceName>,
    /// The last number looked at.
    position: u64,
}

impl Follower {
    fn past(&mut self, asked: &Asked) -> Vec<u8> {
        // A number from before the journal was lost would hide everything.
        let newest = *self.latest.borrow();
        self.position = asked.after.unwrap_or(0).min(newest);
        let lines = self.journal.after(self.position, usize::MAX);
        let gap = asked.after.and_then(|_| self.gap(&lines));
        let wanted: Vec<&Arc<EventLine>> = lines.iter().filter(|it| self.wants(it)).collect();
        let last = match (asked.last, asked.after) {
            (Some(last), _) => last,
            (None, Some(_)) => usize::MAX,
            (None, None) => LINES,
        };
        let from = wanted.len().saturating_sub(last);
        let mut out = Vec::new();
        gap.iter().for_each(|it| push(&mut out, it));
        wanted[from..].iter().for_each(|it| push(&mut out, it));
        if let Some(line) = lines.last() {
            self.position = line.seq;
        }
        out
    }

    /// The next lines, or a heartbeat; `None` when this process stops.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            self.latest.mark_unchanged();
            let lines = self.journal.after(self.position, BATCH);
            if !lines.is_empty() {
                let mut out = Vec::new();
                self.gap(&lines).iter().for_each(|it| push(&mut out, it));
                let wanted = lines.iter().filter(|it| self.wants(it));
                wanted.for_each(|it| push(&mut out, it));
                self.position = lines.last().map_or(self.position, |it| it.seq);
                if !out.is_empty() {
                    return Some(out);
                }
                continue;
            }
            tokio::select! {
                () = stopped(&mut self.stop) => return None,
                changed = self.latest.changed() => changed.ok()?,
                () = tokio::time::sleep(HEARTBEAT) => return Some(b"\n".to_vec()),
            }
        }
    }

    fn wants(&self, line: &EventLine) -> bool {
        self.service.is_none() || self.service == line.event.service
    }

    /// A note in place of lines that are no longer kept in memory.
    fn gap(&self, lines: &[Arc<EventLine>]) -> Option<EventLine> {
        let first = lines.first()?.seq;
        let missing = first.checked_sub(self.position + 1).filter(|it| *it > 0)?;
        let text = format!("{missing} events are no longer kept in memory");
        let event = Event::warn(clock::wall(), EventKind::Process, text)
            .hint("they stand in events.jsonl in the data folder");
        Some(EventLine { seq: 0, event })
    }
}

fn push(out: &mut Vec<u8>, line: &EventLine) {
    if serde_json::to_writer(&mut *out, line).is_ok() {
        out.push(b'\n');
    }
}
