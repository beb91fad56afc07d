//! The demo's view of a running minato: its admin API, the same that the command line uses.

use crate::demo::clock::Clock;
use crate::demo::wire;
use anyhow::Context;
use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use minato_control::Event;
use minato_control_server::api::{
    ApiError, ChangeAnswer, EventLine, InstanceStatus, RestartRequest, ScaleRequest, ServiceState,
    ServiceStatus, Settled, Status,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// One call.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Events kept; older ones are forgotten.
const EVENTS: usize = 100_000;
/// Bytes of one event's line.
const LINE_BYTES: usize = 256 * 1024;

/// Who the intents that the demo writes are from.
const WHO: &str = "demo";

/// Calls the admin API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admin {
    pub(crate) address: SocketAddr,
}

impl Admin {
    /// Everything.
    pub(crate) async fn status(&self) -> anyhow::Result<Status> {
        self.call(&Method::GET, "/v1/status", Bytes::new()).await
    }

    /// `None`: what the file says again.
    pub(crate) async fn scale(
        &self,
        service: &str,
        replicas: Option<u16>,
    ) -> anyhow::Result<ChangeAnswer> {
        let who = WHO.to_owned();
        self.change(service, "scale", &ScaleRequest { replicas, who })
            .await
    }

    /// Every instance, one at a time.
    pub(crate) async fn restart(&self, service: &str) -> anyhow::Result<ChangeAnswer> {
        let who = WHO.to_owned();
        self.change(service, "restart", &RestartRequest { who })
            .await
    }

    /// Whether what is, is what should be.
    pub(crate) async fn settled(&self, service: &str) -> anyhow::Result<Settled> {
        let path = format!("/v1/services/{service}/settled");
        self.call(&Method::GET, &path, Bytes::new()).await
    }

    async fn change<B: Serialize>(
        &self,
        service: &str,
        verb: &str,
        body: &B,
    ) -> anyhow::Result<ChangeAnswer> {
        let path = format!("/v1/services/{service}/{verb}");
        let body = serde_json::to_vec(body)?;
        self.call(&Method::POST, &path, body.into()).await
    }

    async fn call<A: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<A> {
        let answer = wire::once(method, self.address, path, body, TIMEOUT).await?;
        if !answer.status.is_success() {
            let refusal: ApiError = serde_json::from_slice(&answer.body).unwrap_or_default();
            anyhow::bail!(
                "{path}: {}: {} {}",
                answer.status,
                refusal.error,
                refusal.hint
            );
        }
        serde_json::from_slice(&answer.body).with_context(|| format!("{path}: not as expected"))
    }
}

/// The service of that name in `status`.
pub(crate) fn service<'a>(status: &'a Status, name: &str) -> Option<&'a ServiceStatus> {
    status.services.iter().find(|it| it.name == name)
}

/// `Err` says what is missing until every named service has what it wants, up, and nothing more.
pub(crate) fn whole(status: &Status, names: &[&str]) -> Result<(), String> {
    for name in names {
        let Some(service) = service(status, name) else {
            return Err(format!("{name}: not known yet"));
        };
        let more = service.instances.len() != usize::from(service.wanted);
        if service.state != ServiceState::Ok || service.up != service.wanted || more {
            return Err(format!("{name}: {} ({})", service.detail, service.state));
        }
    }
    Ok(())
}

/// The run of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Victim {
    pub(crate) service: String,
    pub(crate) slot: u16,
    pub(crate) generation: String,
    pub(crate) run: u64,
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
    /// Restarts that the slot had within the last ten minutes; each but the first delays the next.
    pub(crate) restarts: u32,
}

/// Every running instance, the least restarted first.
pub(crate) fn running(service: &ServiceStatus) -> Vec<Victim> {
    let victim = |it: &InstanceStatus| {
        Some(Victim {
            service: service.name.clone(),
            slot: it.slot,
            generation: it.generation.clone(),
            run: it.run,
            pid: it.pid?,
            address: it.address.parse().ok()?,
            restarts: it.restarts,
        })
    };
    let mut all: Vec<Victim> = service.instances.iter().filter_map(victim).collect();
    all.sort_by_key(|it| (it.restarts, it.slot));
    all
}

/// An event and when it happened, since the start of the demo.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) at: Duration,
    pub(crate) event: Event,
}

/// Follows the events of a running minato.
#[derive(Debug)]
pub(crate) struct Follower {
    seen: Arc<Mutex<VecDeque<Seen>>>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Starts now; goes on after a broken connection where it was.
    pub(crate) fn start(clock: Clock, address: SocketAddr) -> Self {
        let seen = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut after = 0;
            loop {
                // What went wrong shows as a step without its events.
                let _ = follow(address, &mut after, |line| {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.len() == EVENTS {
                        kept.pop_front();
                    }
                    kept.push_back(Seen {
                        at: clock.of(line.event.at),
                        event: line.event,
                    });
                })
                .await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { seen, task }
    }

    /// Events at or after `from`; their times are cut to milliseconds, so the one of `from` counts.
    pub(crate) fn since(&self, from: Duration) -> Vec<Seen> {
        let from = from.saturating_sub(Duration::from_millis(1));
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|it| it.at >= from).cloned().collect()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    address: SocketAddr,
    after: &mut u64,
    mut each: impl FnMut(EventLine),
) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?;
    let path = format!("/v1/events?follow=true&after={after}");
    let request = wire::request(&Method::GET, address, &path, Bytes::new())?;
    let read = async {
        let mut body = sender.send_request(request).await?.into_body();
        let mut rest = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            rest.extend_from_slice(&data);
            while let Some(end) = rest.iter().position(|it| *it == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                // Blank lines keep the connection alive; a kind of event that is not known here is none of ours.
                if let Ok(line) = serde_json::from_slice::<EventLine>(&line) {
                    *after = line.seq.max(*after);
                    each(line);
                }
            }
            anyhow::ensure!(rest.len() < LINE_BYTES, "an event's line has no end");
        }
        Ok(())
    };
    tokio::select! {
        done = read => done,
        broken = connection => Ok(broken?),
    }
}
