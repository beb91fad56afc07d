//! Versions by hand: another image in place of the file's, and the way back.

use super::answer::Refusal;
use super::change::{Answer, Before, Body, Change, change, command, read};
use super::state::Shared;
use crate::api::{ChangeAnswer, RollbackRequest, UpdateRequest};
use crate::clock;
use axum::extract::{Path, State};
use minato_config::{Backend, Command, ImageReference, Intent, Pull, Release, Released, Timestamp};
use minato_control::{RolloutRecord, Version, next_release, release};

pub(super) async fn update(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    let asked: UpdateRequest = read(body)?;
    let image = match &asked.image {
        None => None,
        Some(text) => Some(ImageReference::parse(text).map_err(|error| {
            Refusal::refused(format!(
                "`{}` {error}",
                text.chars().take(100).collect::<String>()
            ))
        })?),
    };
    let now = clock::wall();
    change(&shared, &name, &asked.who, |before| {
        let file = command_of(before, "update")?;
        let Some(says) = file.image.as_ref().map(|it| &it.reference) else {
            return Err(Refusal::refused(format!(
                "{name} runs a command, not an image: there is none to replace"
            ))
            .hint("change its file: the same rollout follows"));
        };
        let old = release(before.world, &before.record.service.name);
        let in_force = old.and_then(|it| it.what.image()).unwrap_or(says);
        let wanted = match (&image, asked.pull) {
            (None, false) => None,
            (None, true) => Some(newest(&name, in_force, file)?),
            (Some(image), true) => Some(newest(&name, image, file)?),
            // A name that has not changed may mean another image by now; it would be of no use to ask for what is known to run.
            (Some(image), false) if runs(before) == Some(image) && may_move(image, file) => {
                Some(Released::Newest(image.clone()))
            }
            (Some(image), false) => Some(Released::Image(image.clone())),
        };
        match wanted {
            None => Ok(reset(&name, before, old, &says.to_string())),
            Some(what) => {
                let image = what.image().unwrap_or(in_force).clone();
                let anew = match &what {
                    Released::Newest(_) => ", as its registry has it now",
                    Released::Image(_) | Released::Version(_) => "",
                };
                let release = next(before, old, what, file, &asked.who, now);
                let number = Some(release.number);
                let message = match old.and_then(|it| it.what.image()) {
                    Some(it) if *it != image => {
                        format!(
                            "{name}: image {image} by hand{anew}, in place of {it}; its file says {says}"
                        )
                    }
                    _ => format!("{name}: image {image} by hand{anew}, its file says {says}"),
                };
                Ok(Change {
                    intent: Intent {
                        release: Some(release),
                        ..before.intent.cloned().unwrap_or_default()
                    },
                    answer: ChangeAnswer {
                        message,
                        undo: Some(format!("minato rollback {name}")),
                        number,
                    },
                })
            }
        }
    })
    .await
}

/// The image as it was asked for that runs whole now.
fn runs<'a>(before: &Before<'a>) -> Option<&'a ImageReference> {
    let record = before.world.rollouts.get(&before.record.service.name)?;
    record.value.stable.as_ref()?.image.as_ref()
}

/// Whether asking a registry again may answer with something else.
fn may_move(image: &ImageReference, file: &Command) -> bool {
    let never = file.image.as_ref().is_some_and(|it| it.pull == Pull::Never);
    image.digest().is_none() && !never
}

fn newest(name: &str, image: &ImageReference, file: &Command) -> Result<Released, Refusal> {
    if may_move(image, file) {
        return Ok(Released::Newest(image.clone()));
    }
    Err(match image.digest() {
        Some(_) => Refusal::refused(format!(
            "{image} is named by its digest: no registry can have a newer one"
        ))
        .hint(format!("name another: minato update {name} --image REF")),
        None => Refusal::refused(format!(
            "the file of {name} says pull = \"never\": no registry is asked for its image"
        ))
        .hint("take `pull` out of the file, or put the image on its machines under another tag"),
    })
}

fn reset(name: &str, before: &Before<'_>, old: Option<&Release>, says: &str) -> Change {
    let (message, undo) = match old.map(|it| &it.what) {
        None => (
            format!("{name} runs what its file says already: {says}"),
            None,
        ),
        Some(Released::Image(image) | Released::Newest(image)) => (
            format!("{name} runs what its file says again: {says}, in place of {image}"),
            Some(format!("minato update {name} --image {image}")),
        ),
        Some(Released::Version(_)) => (
            format!("{name} runs what its file says again: {says}"),
            Some(format!("minato rollback {name}")),
        ),
    };
    Change {
        intent: Intent {
            release: None,
            ..before.intent.cloned().unwrap_or_default()
        },
        answer: ChangeAnswer {
            message,
            undo,
            number: None,
        },
    }
}

pub(super) async fn rollback(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    let asked: RollbackRequest = read(body)?;
    let now = clock::wall();
    change(&shared, &name, &asked.who, |before| {
        let file = command_of(before, "roll back")?;
        let service = &before.record.service.name;
        if asked.reset {
            let image = file.image.as_ref().map(|it| it.reference.to_string());
            let says = image.unwrap_or_else(|| file.argv.join(" "));
            return Ok(reset(&name, before, release(before.world, service), &says));
        }
        let record = before.world.rollouts.get(service).map(|it| &it.value);
        let (to, from) = back(&name, record)?;
        let old = release(before.world, service);
        let release = next(
            before,
            old,
            Released::Version(to.digest.clone()),
            file,
            &asked.who,
            now,
        );
        let number = Some(release.number);
        let (to, since) = (to.name(), minato_control::clock_text(to.since));
        Ok(Change {
            intent: Intent {
                release: Some(release),
                ..before.intent.cloned().unwrap_or_default()
            },
            answer: ChangeAnswer {
                message: format!("{name}: back to {to}, begun {since}, in place of {from}"),
                undo: Some(format!(
                    "minato rollback {name}, or --reset for what its file says"
                )),
                number,
            },
        })
    })
    .await
}

/// Where back is, and from what.
fn back<'a>(
    name: &str,
    record: Option<&'a RolloutRecord>,
) -> Result<(&'a Version, String), Refusal> {
    let stable = record.and_then(|it| it.stable.as_ref());
    let going = record.and_then(|it| it.going.as_ref());
    let found = match (stable, going) {
        // What is under way is given up.
        (Some(stable), Some(going)) => Some((stable, going.to.name())),
        (Some(stable), None) => {
            let before = record.and_then(|it| it.before.as_ref());
            before.map(|it| (it, stable.name()))
        }
        (None, _) => None,
    };
    found.ok_or_else(|| {
        Refusal::refused(format!(
            "there is no way back for {name}: no other version of it ran whole before the one that runs"
        ))
        .hint(format!("minato explain {name}"))
    })
}

fn command_of<'a>(before: &Before<'a>, verb: &str) -> Result<&'a Command, Refusal> {
    command(before, verb)?;
    match &before.record.service.backend {
        Backend::Command(command) => Ok(command),
        Backend::Endpoints(_) => Err(Refusal::refused("its endpoints are fixed")),
    }
}

fn next(
    before: &Before<'_>,
    old: Option<&Release>,
    what: Released,
    file: &Command,
    who: &str,
    now: Timestamp,
) -> Release {
    let who = super::change::caller(who);
    next_release(before.intent, old, what, file, &who, now)
}
