//! Hears from the engine what happens to our containers, at once, and notices when the engine goes and comes back.

use super::engine::{Engine, EngineError};
use super::labels::Owner;
use crate::clock::now;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;
use minato_control::{Event, EventKind, RunName};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{sleep, timeout};

/// Between attempts to reach an engine that is away.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// An engine from which nothing is heard is asked whether it is there this often.
const QUIET: Duration = Duration::from_secs(5);
/// News that wait for a slow listener; one that missed some looks for itself.
const NEWS: usize = 256;

/// Something that a waiting task should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// This run's container ended or was removed.
    Run(RunName),
    /// Anything may have happened.
    All,
}

/// Hears as long as it is held.
#[derive(Debug)]
pub(super) struct Watch {
    news: broadcast::Sender<News>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    pub(super) fn begin(engine: Arc<Engine>, owner: Owner, events: mpsc::Sender<Event>) -> Self {
        let (news, _) = broadcast::channel(NEWS);
        let task = tokio::spawn(follow(engine, owner, events, news.clone()));
        Self { news, task }
    }

    /// To be called before looking: what happens after the look is then heard.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }
}

async fn follow(
    engine: Arc<Engine>,
    owner: Owner,
    events: mpsc::Sender<Event>,
    news: broadcast::Sender<News>,
) {
    let tell = |event: Event| {
        let _ = events.try_send(event);
    };
    let mut pause = FIRST_PAUSE;
    let mut away = false;
    loop {
        let why = match engine.greet().await {
            Ok(()) => {
                engine.set_away(false);
                if std::mem::take(&mut away) {
                    let sentence = "the container engine answers again";
                    tell(Event::info(now().wall, EventKind::Engine, sentence));
                }
                let began = now().instant;
                let why = listen(&engine, &owner, &tell, &news).await;
                if now().instant.saturating_duration_since(began) > LONGEST_PAUSE {
                    pause = FIRST_PAUSE;
                }
                // It may only have been restarted: one more look before it counts as away.
                if engine.greet().await.is_ok() {
                    let _ = news.send(News::All);
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                why
            }
            Err(error) => error,
        };
        engine.hang_up().await;
        engine.set_away(true);
        if !std::mem::replace(&mut away, true) {
            let _ = news.send(News::All);
            let sentence = format!("{why}; containers go on, none is started or stopped meanwhile");
            tell(
                Event::error(now().wall, EventKind::Engine, sentence)
                    .hint("systemctl status docker"),
            );
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Until the line breaks; answers why.
async fn listen(
    engine: &Engine,
    owner: &Owner,
    tell: &impl Fn(Event),
    news: &broadcast::Sender<News>,
) -> EngineError {
    let client = match engine.client().await {
        Ok(client) => client,
        Err(error) => return error,
    };
    let wanted = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let filters: HashMap<String, Vec<String>> = [
        ("type".to_owned(), wanted(&["container"])),
        ("event".to_owned(), wanted(&["die", "oom", "destroy"])),
        ("label".to_owned(), owner.filter()),
    ]
    .into();
    // What happened just now is told again, so that nothing is lost before the line stands.
    let since = now().wall.0 / 1_000;
    let options = EventsOptionsBuilder::new()
        .since(&since.saturating_sub(2).to_string())
        .filters(&filters)
        .build();
    let mut stream = std::pin::pin!(client.events(Some(options)));
    let _ = news.send(News::All);
    loop {
        match timeout(QUIET, stream.next()).await {
            Ok(Some(Ok(event))) => hear(&event, tell, news),
            Ok(Some(Err(error))) => return engine.sort(error),
            Ok(None) => {
                return EngineError::Away("the container engine ended the line".to_owned());
            }
            Err(_) => {
                if let Err(error) = engine.greet().await {
                    return error;
                }
            }
        }
    }
}

fn hear(event: &EventMessage, tell: &impl Fn(Event), news: &broadcast::Sender<News>) {
    let attributes = event.actor.as_ref().and_then(|it| it.attributes.as_ref());
    let name = attributes.and_then(|it| RunName::parse(it.get("minato.name")?));
    let Some(name) = name else { return };
    if event.action.as_deref() == Some("oom") {
        let sentence = format!(
            "{}/{} reached its limit of memory, and the kernel killed a process of it",
            name.service, name.slot
        );
        tell(
            Event::warn(now().wall, EventKind::Engine, sentence)
                .of(&name.service)
                .instance(name.slot, name.generation, name.run)
                .hint(format!("raise `resources.memory` of {}", name.service)),
        );
        return;
    }
    let _ = news.send(News::Run(name));
}
