//! The line to the engine: made when it is needed, made anew when it broke, each request with a limit of time.
//!
//! Not here: what is asked (`mod`, `images`), what an answer means for a run (`state`, `refusals`).

use bollard::Docker;
use bollard::errors::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// The newest version of the API that this client speaks; older engines are met at theirs.
const API: &bollard::ClientVersion = bollard::API_DEFAULT_VERSION;
/// Seconds until the head of an answer must be there, where nothing shorter is asked for.
const HEAD: u64 = 120;
/// How long the first exchange with an engine may take.
const GREETING: Duration = Duration::from_secs(5);

/// An engine of this machine, by its socket.
#[derive(Debug)]
pub(super) struct Engine {
    socket: PathBuf,
    client: Mutex<Option<Docker>>,
    away: AtomicBool,
}

/// What became of a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// No answer: nothing is known of whether it was done.
    #[error("{0}")]
    Away(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// It stands against the state of the thing.
    #[error("{0}")]
    Conflict(String),
    /// Everything else that the engine says no with.
    #[error("{0}")]
    Refused(String),
}

impl Engine {
    pub(super) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            client: Mutex::new(None),
            away: AtomicBool::new(false),
        }
    }

    /// Whether it did not answer when it was last looked at.
    pub(super) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Asks with a limit of time.
    pub(super) async fn ask<T>(
        &self,
        limit: Duration,
        request: impl AsyncFnOnce(&Docker) -> Result<T, Error>,
    ) -> Result<T, EngineError> {
        let client = self.client().await?;
        let result = timeout(limit, request(&client))
            .await
            .unwrap_or(Err(Error::RequestTimeoutError));
        match result {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let error = self.sort(error);
                if matches!(error, EngineError::Away(_)) {
                    self.hang_up().await;
                }
                Err(error)
            }
        }
    }

    /// Whether it answers now, on a line of its own.
    pub(super) async fn greet(&self) -> Result<(), EngineError> {
        self.ask(GREETING, async |it| it.ping().await)
            .await
            .map(|_| ())
    }

    /// For streams, whose errors go through [`Engine::sort`].
    pub(super) async fn client(&self) -> Result<Docker, EngineError> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let socket = self.socket.to_string_lossy();
        let greeting = async {
            Docker::connect_with_unix(&socket, HEAD, API)?
                .negotiate_version()
                .await
        };
        let made = timeout(GREETING, greeting)
            .await
            .unwrap_or(Err(Error::RequestTimeoutError))
            .map_err(|it| self.sort(it))?;
        *client = Some(made.clone());
        Ok(made)
    }

    /// The next request begins with a greeting: the engine may have been replaced by another version.
    pub(super) async fn hang_up(&self) {
        *self.client.lock().await = None;
    }

    pub(super) fn sort(&self, error: Error) -> EngineError {
        let socket = self.socket.display();
        match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => match status_code {
                404 => EngineError::Missing(message),
                409 => EngineError::Conflict(message),
                _ => EngineError::Refused(message),
            },
            Error::DockerStreamError { error } => EngineError::Refused(error),
            Error::RequestTimeoutError => EngineError::Away(format!(
                "the container engine at {socket} does not answer in time; look at it with `systemctl status docker`"
            )),
            Error::SocketNotFoundError(_) => EngineError::Away(format!(
                "no container engine: there is no {socket}; start it (`systemctl start docker`), or name its socket in [agent.docker]"
            )),
            Error::JsonDataError { message, .. } => EngineError::Refused(format!(
                "the container engine at {socket} answers what is not understood: {message}"
            )),
            other => match denied(&other) {
                true => EngineError::Away(format!(
                    "no permission to use {socket}: run minato as root, or as a user of the group that owns the socket"
                )),
                false => EngineError::Away(format!(
                    "the container engine at {socket} does not answer: {}; start it with `systemctl start docker`",
                    innermost(&other)
                )),
            },
        }
    }
}

fn chain(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |it| {
        it.source()
    })
}

fn denied(error: &Error) -> bool {
    chain(error).any(|it| {
        it.downcast_ref::<io::Error>()
            .is_some_and(|it| it.kind() == io::ErrorKind::PermissionDenied)
    })
}

fn innermost(error: &Error) -> String {
    chain(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
