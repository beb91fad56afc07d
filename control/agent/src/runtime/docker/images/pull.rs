//! One fetch from a registry: room, login, the stream of the engine, what is told meanwhile.

use super::progress::Progress;
use super::{Images, logins};
use crate::clock::now;
use crate::runtime::RuntimeError;
use crate::runtime::docker::refusals::{Login, not_fetched};
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use minato_config::{ImageReference, ServiceName};
use minato_control::{Event, EventKind};
use std::time::Duration;
use tokio::time::timeout;

/// A fetch from which nothing is heard for this long is given up.
const SILENCE: Duration = Duration::from_secs(120);
/// A whole fetch.
const LONGEST_FETCH: Duration = Duration::from_secs(3_600);
/// Between two events about one fetch.
const TELL: Duration = Duration::from_secs(10);

impl Images {
    pub(super) async fn pull(
        &self,
        service: &ServiceName,
        reference: &ImageReference,
    ) -> Result<(), RuntimeError> {
        let field = |why| RuntimeError::Field {
            field: "image",
            why,
        };
        let _permit = self.permits.acquire().await;
        self.make_room(reference).await?;
        let login = match &self.logins {
            Some(file) => logins::login(file, reference.registry()).map_err(field)?,
            None => None,
        };
        let sent = if login.is_some() {
            Login::Sent
        } else {
            Login::None
        };
        let before = self.ids().await?;
        let began = now();
        self.tell(
            Event::info(
                began.wall,
                EventKind::Image,
                format!("{reference} is being fetched"),
            )
            .of(service),
        );
        let refused = |it| not_fetched(reference, sent, it);
        let client = self.engine.client().await.map_err(refused)?;
        let tag = reference.digest().or(reference.tag()).unwrap_or("latest");
        let options = CreateImageOptionsBuilder::new()
            .from_image(reference.name())
            .tag(tag)
            .build();
        let mut stream = std::pin::pin!(client.create_image(Some(options), None, login));
        let mut progress = Progress::default();
        let mut told = began.instant;
        loop {
            let heard = timeout(SILENCE, stream.next()).await.map_err(|_| {
                field(format!(
                    "{reference} could not be fetched: nothing was heard of it for {} s; is {} reachable from this node?",
                    SILENCE.as_secs(),
                    reference.registry()
                ))
            })?;
            let Some(heard) = heard else { break };
            progress.add(heard.map_err(|it| refused(self.engine.sort(it)))?);
            let at = now();
            if at.instant.saturating_duration_since(began.instant) > LONGEST_FETCH {
                return Err(field(format!(
                    "{reference} could not be fetched within {} minutes",
                    LONGEST_FETCH.as_secs() / 60
                )));
            }
            if at.instant.saturating_duration_since(told) >= TELL {
                told = at.instant;
                let sentence = format!("{reference} is being fetched: {progress}");
                self.tell(Event::info(at.wall, EventKind::Image, sentence).of(service));
            }
        }
        let resolved = self
            .resolve(&reference.to_string(), reference.name())
            .await?;
        let Some(resolved) = resolved else {
            return Err(field(format!(
                "{reference} was fetched, and then the engine does not have it; was it removed meanwhile?"
            )));
        };
        if !before.contains(&resolved.id) {
            self.remember(reference, &resolved);
        }
        let took = now().instant.saturating_duration_since(began.instant);
        let sentence = format!(
            "{reference} is {}, fetched in {:.1}s ({} MiB)",
            resolved.digest,
            took.as_secs_f64(),
            resolved.size >> 20
        );
        self.tell(Event::info(now().wall, EventKind::Image, sentence).of(service));
        Ok(())
    }
}
