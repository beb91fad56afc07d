//! Changes by hand: compare-and-set on the intent, tried again while others write.
//!
//! Two operators at once: both are stored one after the other, the last one holds, and each answer names the word that
//! it replaced.

use super::answer::Refusal;
use super::state::{Shared, known};
use crate::api::{ChangeAnswer, DrainRequest, RestartRequest, ScaleRequest};
use crate::clock;
use crate::journal::emit;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use minato_config::{
    Backend, Command, Intent, Restart, Service, ServiceName, ServiceRecord, Source, Timestamp,
    UpdateOrder,
};
use minato_control::{Event, EventKind, Object, World, clock_text};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, Compare, Revision, StoreError};
use serde::de::DeserializeOwned;

/// Tries of one change while others write the same intent.
const TRIES: usize = 20;
/// Instances of one service.
const MOST: u16 = 1000;

pub(super) type Body = Result<Bytes, BytesRejection>;
pub(super) type Answer = Result<Json<ChangeAnswer>, Refusal>;

pub(super) async fn scale(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    let asked: ScaleRequest = read(body)?;
    match asked.replicas {
        Some(0) => {
            return Err(Refusal::refused(format!(
                "{name} cannot be scaled to 0: nothing would answer its requests"
            ))
            .hint(format!(
                "`minato drain {name}` answers them with the sorry page; deleting its file ends it"
            )));
        }
        Some(n) if n > MOST => {
            return Err(Refusal::refused(format!(
                "{n} replicas are too many: a service has at most {MOST}"
            )));
        }
        _ => {}
    }
    change(&shared, &name, &asked.who, |before| {
        command(before, "scale")?;
        before.check_port(asked.replicas)?;
        let Service {
            replicas, scale, ..
        } = &before.record.service;
        let file = match scale {
            Some(scale) => scale.text(*replicas),
            None => replicas.to_string(),
        };
        let old = before.intent.and_then(|it| it.replicas);
        let replaced = old.map(|n| format!(", in place of {n} by {}", before.since()));
        let replaced = replaced.unwrap_or_default();
        let message = match (asked.replicas, old) {
            (None, None) => format!("{name} has what its file says already: {file}"),
            (None, Some(_)) => format!("{name} has what its file says again: {file}{replaced}"),
            (Some(n), _) if n.to_string() == file => {
                format!("{name}: {n} by hand, as its file says{replaced}")
            }
            (Some(n), _) => format!("{name}: {n} by hand, its file says {file}{replaced}"),
        };
        Ok(Change {
            intent: Intent {
                replicas: asked.replicas,
                ..before.intent.cloned().unwrap_or_default()
            },
            answer: ChangeAnswer {
                message,
                undo: match old {
                    _ if old == asked.replicas => None,
                    Some(n) => Some(format!("minato scale {name} {n}")),
                    None => Some(format!("minato scale {name} --reset")),
                },
                number: None,
            },
        })
    })
    .await
}

pub(super) async fn restart(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    let asked: RestartRequest = read(body)?;
    let now = clock::wall();
    change(&shared, &name, &asked.who, |before| {
        command(before, "restart")?;
        let old = before.intent.and_then(|it| it.restart);
        // Higher than any before, also after an intent was lost.
        let number = old.map_or(0, |it| it.0 + 1).max(now.0);
        Ok(Change {
            intent: Intent {
                restart: Some(Restart(number)),
                ..before.intent.cloned().unwrap_or_default()
            },
            answer: ChangeAnswer {
                message: restarting(before),
                undo: None,
                number: None,
            },
        })
    })
    .await
}

pub(super) async fn drain(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    let asked: DrainRequest = read(body)?;
    change(&shared, &name, &asked.who, |before| {
        let was = before.intent.is_some_and(|it| it.drain);
        let replaced = format!("; changed by hand before that by {}", before.since());
        let message = match (asked.drain, was) {
            (true, false) => format!("{name} takes no new requests: they get the sorry page"),
            (false, true) => format!("{name} takes requests again{replaced}"),
            (true, true) => format!("{name} is drained already, by {}", before.since()),
            (false, false) => format!("{name} takes requests already"),
        };
        let undo = if asked.drain {
            format!("minato drain {name} --reset")
        } else {
            format!("minato drain {name}")
        };
        Ok(Change {
            intent: Intent {
                drain: asked.drain,
                ..before.intent.cloned().unwrap_or_default()
            },
            answer: ChangeAnswer {
                message,
                undo: (asked.drain != was).then_some(undo),
                number: None,
            },
        })
    })
    .await
}

/// What a change starts from.
pub(super) struct Before<'a> {
    pub(super) record: &'a ServiceRecord,
    pub(super) intent: Option<&'a Intent>,
    pub(super) world: &'a World,
}

impl Before<'_> {
    /// `alice since 2026-11-22T03:10:00.000Z`
    fn since(&self) -> String {
        match self.intent {
            Some(it) => format!("{} since {}", it.who, clock_text(it.since)),
            None => "nobody".to_owned(),
        }
    }

    fn check_port(&self, replicas: Option<u16>) -> Result<(), Refusal> {
        match (&self.record.service.backend, replicas) {
            (
                Backend::Command(Command {
                    port: Some(port), ..
                }),
                Some(2..),
            ) => Err(Refusal::refused(format!(
                "{} has the fixed port {port}, which only one instance can have",
                self.record.service.name
            ))
            .hint("take `port` out of its file and let the command use {port} or $PORT")),
            _ => Ok(()),
        }
    }
}

/// How a restart goes, and what visitors see of it.
fn restarting(before: &Before<'_>) -> String {
    let service = &before.record.service;
    let name = &service.name;
    let by_hand = before.intent.and_then(|it| it.replicas);
    let only = by_hand.unwrap_or(service.replicas) == 1;
    let in_place = match &service.backend {
        Backend::Command(Command {
            port: Some(port), ..
        }) => Some(format!("its port {port} is fixed")),
        _ if service.update.order == UpdateOrder::StopFirst => {
            Some("its file says stop-first".to_owned())
        }
        _ => None,
    };
    match (in_place, only) {
        (None, _) => format!(
            "{name}: every instance is restarted, one at a time, a new one before an old one ends"
        ),
        (Some(why), false) => {
            format!("{name}: every instance is restarted in its place, one at a time, since {why}")
        }
        (Some(why), true) => format!(
            "{name}: its one instance is restarted in its place, since {why}; requests get the sorry page meanwhile"
        ),
    }
}

pub(super) struct Change {
    pub(super) intent: Intent,
    pub(super) answer: ChangeAnswer,
}

pub(super) fn command(before: &Before<'_>, verb: &str) -> Result<(), Refusal> {
    let name = &before.record.service.name;
    match before.record.service.backend {
        Backend::Command(_) => Ok(()),
        Backend::Endpoints(_) => Err(Refusal::refused(format!(
            "minato cannot {verb} {name}: its endpoints are fixed, someone else keeps them alive"
        ))
        .hint("change `endpoints` in its file")),
    }
}

pub(super) fn read<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    let body = body.map_err(|it| Refusal::new(it.status(), it.body_text()))?;
    serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad(format!("the body is not what this route takes: {error}")))
}

/// Reads, edits, writes if nothing moved meanwhile; else again.
pub(super) async fn change(
    shared: &Shared,
    name: &str,
    who: &str,
    edit: impl Fn(&Before<'_>) -> Result<Change, Refusal>,
) -> Answer {
    let who = caller(who);
    for _ in 0..TRIES {
        let observed = shared.look_now().await?;
        let service = known(&observed, name)?;
        let Some(record) = observed.world.services.get(&service) else {
            return Err(Refusal::refused(format!(
                "the record of {service} vanished; its instances run on"
            ))
            .hint("write its file again, then change it"));
        };
        if record.value.removed {
            return Err(
                Refusal::refused(format!("{service} is ending: its file is gone"))
                    .hint("put its file back first"),
            );
        }
        if let Source::Mirror { home, .. } = &record.value.source {
            return Err(Refusal::refused(format!(
                "{service} is a service of site {home}; this site only mirrors it"
            ))
            .hint(format!("type the command at {home}; what differs here stands under [at.{site}] in its file there", site = shared.admin.about.site)));
        }
        let stored = observed.world.intents.get(&service);
        let vanished = observed
            .world
            .vanished
            .contains(&Object::Intent(service.clone()));
        let before = Before {
            record: &record.value,
            intent: stored.map(|it| &it.value),
            world: &observed.world,
        };
        let Change { intent, answer } = edit(&before)?;
        if intent == before.intent.cloned().unwrap_or_default() && !vanished {
            return Ok(Json(answer));
        }
        let now = clock::wall();
        let intent = Intent {
            v: 1,
            who: who.clone(),
            since: now,
            ..intent
        };
        let commit = commit(
            shared,
            &service,
            record.modified,
            stored.filter(|_| !vanished).map(|it| it.modified),
            &intent,
        )?;
        match shared.admin.store.commit(commit).await {
            Ok(_) => {
                tell(shared, &service, &who, now, &answer);
                return Ok(Json(answer));
            }
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refusal::new(
        StatusCode::CONFLICT,
        format!("others change {name} at the same moment; nothing was changed by this call"),
    )
    .hint("look at `minato status`, then try again"))
}

fn commit(
    shared: &Shared,
    service: &ServiceName,
    record: u64,
    intent_seen: Option<u64>,
    intent: &Intent,
) -> Result<Commit, Refusal> {
    let keys = &shared.admin.keys;
    let key = keys.text(&Key::Intent(service.clone()));
    let modified = |key, revision| Compare::Modified {
        key,
        revision: Revision(revision),
    };
    let same_intent = match intent_seen {
        Some(revision) => modified(key.clone(), revision),
        None => Compare::Absent { key: key.clone() },
    };
    Ok(Commit::default()
        .when(modified(keys.text(&Key::Service(service.clone())), record))
        .when(same_intent)
        .and_put(key, crate::document(intent)?, None))
}

fn tell(shared: &Shared, service: &ServiceName, who: &str, now: Timestamp, answer: &ChangeAnswer) {
    let text = format!("{} (by {who})", answer.message);
    let event = Event::info(now, EventKind::Intent, text).of(service);
    let event = match &answer.undo {
        Some(undo) => event.hint(format!("undo: {undo}")),
        None => event,
    };
    emit(&shared.admin.events, event);
}

/// The caller's name as it may be stored: at most 64 letters without control characters; `api` where there is none.
pub(super) fn caller(who: &str) -> String {
    let who: String = who.chars().filter(|it| !it.is_control()).take(64).collect();
    match who.trim() {
        "" => "api".to_owned(),
        who => who.to_owned(),
    }
}
