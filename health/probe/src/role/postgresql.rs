//! PostgreSQL: whether it recovers from another server, and whether it takes writes.

use super::other_role;
use minato_config::{Database, DatabaseRole};
use minato_health::{Failure, Layer, Outcome};
use tokio::net::TcpStream;
use tokio_postgres::{Config, Error, NoTls, SimpleQueryMessage, config::SslMode};

const QUERY: &str =
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')";

pub(super) async fn ask(
    stream: TcpStream,
    database: &Database,
    password: Option<String>,
) -> Outcome {
    let mut config = Config::new();
    config
        .user(&database.user)
        .dbname(&database.name)
        .application_name("minato check")
        .ssl_mode(SslMode::Disable);
    if let Some(password) = password {
        config.password(password);
    }
    let connected = config.connect_raw(stream, NoTls).await;
    let (client, connection) = connected.map_err(|it| failure(&it))?;
    let look = async {
        let seen = client.simple_query(QUERY).await;
        drop(client);
        seen
    };
    // The connection ends, with its farewell, once its client is gone.
    let (seen, _) = tokio::join!(look, connection);
    let seen = seen.map_err(|it| failure(&it))?;
    let row = seen.iter().find_map(|it| match it {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let columns = row.and_then(|it| it.try_get(0).ok().zip(it.try_get(1).ok()));
    match columns {
        Some((Some(recovers), Some(read_only))) => {
            judge(database.role, recovers == "t", read_only == "on")
        }
        _ => Err(Failure::new(
            Layer::NoAnswer,
            "the answer to pg_is_in_recovery() is empty",
        )),
    }
}

fn judge(wanted: DatabaseRole, recovers: bool, read_only: bool) -> Outcome {
    match (wanted, recovers) {
        (DatabaseRole::Primary, true) => other_role("a replica (pg_is_in_recovery)"),
        (DatabaseRole::Primary, false) if read_only => {
            other_role("read-only (default_transaction_read_only), and follows nobody")
        }
        (DatabaseRole::Primary, false) | (DatabaseRole::Replica, true) => Ok(()),
        (DatabaseRole::Replica, false) => other_role("a primary (pg_is_in_recovery)"),
    }
}

fn failure(error: &Error) -> Failure {
    let Some(said) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map(|it| format!(": {it}"));
        let detail = format!("{error}{}", cause.unwrap_or_default());
        return Failure::new(Layer::NoAnswer, detail);
    };
    let code = said.code().code();
    let detail = format!("{} ({code})", said.message());
    // 28: invalid authorization; 3D: no such database; 42501: a lacking right.
    let is_login = code.starts_with("28") || code.starts_with("3D") || code == "42501";
    let layer = if is_login {
        Layer::Login
    } else {
        Layer::NoAnswer
    };
    Failure::new(layer, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_told_apart() {
        for (wanted, recovers, read_only, passes) in [
            (DatabaseRole::Primary, false, false, true),
            (DatabaseRole::Primary, true, true, false),
            (DatabaseRole::Primary, false, true, false),
            (DatabaseRole::Replica, true, true, true),
            (DatabaseRole::Replica, false, false, false),
        ] {
            let outcome = judge(wanted, recovers, read_only);
            assert_eq!(outcome.is_ok(), passes, "{wanted} {recovers} {read_only}");
        }
    }
}
