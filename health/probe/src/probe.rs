//! One probe: TCP connect, or an HTTP GET on a connection of its own; whole within a timeout.

use crate::exchange::exchange;
use minato_config::{HealthProbe, UpstreamTls};
use minato_health::{Failure, Layer, Outcome};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout_at;

/// Whom to probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// Host field where the probe names none, as `name` or `name:port`; `None`: the address.
    pub host: Option<String>,
    /// Over TLS, so.
    pub tls: Option<UpstreamTls>,
}

impl Target {
    /// A target that is asked by its address.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            host: None,
            tls: None,
        }
    }
}

/// This process could not probe, for want of descriptors, memory or local ports. Says nothing about the target.
#[derive(Debug)]
pub struct Blind {
    /// What the kernel said.
    pub cause: io::Error,
}

impl std::fmt::Display for Blind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cannot open a connection for a probe")
    }
}

impl std::error::Error for Blind {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Sends one probe; `timeout` covers all of it. Dropping the future ends it.
///
/// A probe that could not be sent at all fails as `ConnectFailed`; use [`try_probe`] to tell that apart.
pub async fn probe(target: &Target, probe: &HealthProbe, timeout: Duration) -> Outcome {
    try_probe(target, probe, timeout)
        .await
        .unwrap_or_else(|blind| {
            let detail = format!("{blind}: {}", blind.cause);
            Err(Failure::new(Layer::ConnectFailed, detail))
        })
}

/// As [`probe`], but a shortage of this process's own is no outcome.
pub async fn try_probe(
    target: &Target,
    probe: &HealthProbe,
    timeout: Duration,
) -> Result<Outcome, Blind> {
    let deadline = tokio::time::Instant::from_std(crate::clock()) + timeout;
    let stream = match connect(target.address, deadline, timeout).await? {
        Ok(stream) => stream,
        Err(failure) => return Ok(Err(failure)),
    };
    Ok(match probe {
        HealthProbe::Tcp => {
            // A reset leaves nothing in TIME_WAIT; nothing was sent that it could destroy.
            let _ = stream.set_zero_linger();
            Ok(())
        }
        HealthProbe::Http(http) => exchange(stream, target, http, deadline, timeout).await,
    })
}

/// A connection until `deadline`; `timeout` is for the words of a failure.
pub(crate) async fn connect(
    address: SocketAddr,
    deadline: tokio::time::Instant,
    timeout: Duration,
) -> Result<Result<TcpStream, Failure>, Blind> {
    match timeout_at(deadline, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(Ok(stream)),
        Ok(Err(cause)) if is_own(&cause) => Err(Blind { cause }),
        Ok(Err(error)) => Ok(Err(refusal(&error))),
        Err(_) => {
            let detail = format!("no connection in {timeout:?}");
            Ok(Err(Failure::new(Layer::ConnectTimeout, detail)))
        }
    }
}

pub(crate) fn refusal(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::new(Layer::ConnectRefused, "connection refused"),
        ErrorKind::TimedOut => Failure::new(Layer::ConnectTimeout, "no connection: timed out"),
        _ => Failure::new(Layer::ConnectFailed, error.to_string()),
    }
}

pub(crate) fn is_own(error: &io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    matches!(
        error.kind(),
        ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse | ErrorKind::OutOfMemory
    ) || matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS))
}
