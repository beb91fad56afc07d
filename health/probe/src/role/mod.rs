//! Whether a database server has the wanted role: one login and one or two queries, on a connection of its own.
//!
//! Not here: what follows when it has not (`control`).

mod mysql;
mod postgresql;

use crate::probe::{Blind, connect};
use minato_config::{Database, DatabaseEngine};
use minato_health::{Failure, Layer, Outcome};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, timeout_at};

/// A longer file holds no password.
const PASSWORD_BYTES: u64 = 4 * 1024;

/// Asks the server at `address`; `timeout` covers all of it.
pub(crate) async fn ask(
    address: SocketAddr,
    database: &Database,
    timeout: Duration,
) -> Result<Outcome, Blind> {
    let deadline = Instant::from_std(crate::clock()) + timeout;
    let late = || {
        let detail = format!("no login and answer in {timeout:?}");
        Ok(Err(Failure::new(Layer::NoAnswer, detail)))
    };
    let password = match &database.password {
        None => None,
        Some(path) => match timeout_at(deadline, password(path)).await {
            Ok(Ok(text)) => Some(text),
            Ok(Err(failure)) => return Ok(Err(failure)),
            Err(_) => return late(),
        },
    };
    let stream = match connect(address, deadline, timeout).await? {
        Ok(stream) => stream,
        Err(failure) => return Ok(Err(failure)),
    };
    let password = password.as_deref();
    let asked = async {
        match database.engine {
            DatabaseEngine::Mysql => mysql::ask(stream, address, database, password).await,
            DatabaseEngine::Postgresql => {
                postgresql::ask(stream, address, database, password).await
            }
        }
    };
    timeout_at(deadline, asked)
        .await
        .map_or_else(|_| late(), Ok)
}

/// The file's first line; refused where others than its owner may read it. Read each time, so that a changed password takes effect.
async fn password(path: &Path) -> Result<String, Failure> {
    let read = async {
        let file = tokio::fs::File::open(path).await?;
        if file.metadata().await?.permissions().mode() & 0o077 != 0 {
            return Err(std::io::Error::other("others may read it; chmod 600"));
        }
        let mut text = String::new();
        file.take(PASSWORD_BYTES).read_to_string(&mut text).await?;
        Ok::<_, std::io::Error>(text)
    };
    match read.await {
        Ok(text) => Ok(text.lines().next().unwrap_or_default().to_owned()),
        Err(error) => {
            let detail = format!("password_file {} is not used: {error}", path.display());
            Err(Failure::new(Layer::Login, detail))
        }
    }
}

fn other_role(detail: impl Into<String>) -> Outcome {
    Err(Failure::new(Layer::Role, detail))
}
