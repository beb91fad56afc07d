//! PostgreSQL: whether it recovers from another server, and whether it takes writes.

mod secured;

use super::other_role;
use minato_config::{Database, DatabaseRole};
use minato_health::{Failure, Layer, Outcome};
use minato_tls::ConnectError;
use secured::Secured;
use std::error::Error as _;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_postgres::tls::TlsConnect;
use tokio_postgres::{Config, Error, NoTls, SimpleQueryMessage, config::SslMode};

const QUERY: &str =
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')";

/// What the library says of a server that answers a wish for TLS with no.
const NO_TLS: &str = "server does not support TLS";

pub(super) async fn ask(
    stream: TcpStream,
    address: SocketAddr,
    database: &Database,
    password: Option<&str>,
) -> Outcome {
    let mut config = Config::new();
    config
        .user(&database.user)
        .dbname(&database.name)
        .application_name("minato check");
    if let Some(password) = password {
        config.password(password);
    }
    match &database.tls {
        None => {
            config.ssl_mode(SslMode::Disable);
            talk(&config, stream, NoTls, database.role).await
        }
        Some(tls) => {
            config.ssl_mode(SslMode::Require);
            let tls = Secured {
                tls: tls.clone(),
                address,
            };
            talk(&config, stream, tls, database.role).await
        }
    }
}

async fn talk<T: TlsConnect<TcpStream>>(
    config: &Config,
    stream: TcpStream,
    tls: T,
    wanted: DatabaseRole,
) -> Outcome {
    let connected = config.connect_raw(stream, tls).await;
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
            judge(wanted, recovers == "t", read_only == "on")
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
        let cause = error.source();
        if let Some(cause) = cause.and_then(|it| it.downcast_ref::<ConnectError>()) {
            return Failure::new(Layer::Tls, cause.to_string());
        }
        let cause = cause.map(ToString::to_string).unwrap_or_default();
        if cause == NO_TLS {
            let detail =
                "the server offers none; set `ssl = on` in its postgresql.conf, or take `tls` away";
            return Failure::new(Layer::Tls, detail);
        }
        return Failure::new(Layer::NoAnswer, format!("{error}: {cause}"));
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
