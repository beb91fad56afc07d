//! MariaDB and MySQL: `read_only` and what the server follows.

use super::{Blind, is_own, other_role, refusal};
use minato_config::{Database, DatabaseRole};
use minato_health::{Failure, Layer, Outcome};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, IoError, OptsBuilder, Row, Value};
use std::net::SocketAddr;

/// A statement that this server does not know.
const UNKNOWN_STATEMENT: u16 = 1064;
/// No user by that name, a wrong password, a host that may not come, a lacking right.
const REFUSALS: [u16; 9] = [1044, 1045, 1130, 1142, 1227, 1251, 1524, 1698, 3118];

/// All connections that a server follows others by, as MariaDB, MySQL since 8.0.22, and older ones say it.
const FOLLOWED: [&str; 3] = [
    "SHOW ALL SLAVES STATUS",
    "SHOW REPLICA STATUS",
    "SHOW SLAVE STATUS",
];

pub(super) async fn ask(
    address: SocketAddr,
    database: &Database,
    password: Option<String>,
) -> Result<Outcome, Blind> {
    let options = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some(database.user.clone()))
        .pass(password)
        // Asked for with further statements where it is not known, or left for a local socket.
        .max_allowed_packet(Some(1 << 20))
        .wait_timeout(Some(60))
        .prefer_socket(false)
        .stmt_cache_size(0);
    let mut server = match Conn::new(options).await {
        Ok(server) => server,
        Err(Error::Io(IoError::Io(cause))) if is_own(&cause) => return Err(Blind { cause }),
        Err(error) => return Ok(Err(failure(&error))),
    };
    let seen = look(&mut server).await;
    // Said in order, so that the server counts no aborted connection; what became of it changes nothing.
    let _ = server.disconnect().await;
    Ok(match seen {
        Ok(seen) => seen.judge(database.role),
        Err(error) => Err(failure(&error)),
    })
}

async fn look(server: &mut Conn) -> Result<Seen, Error> {
    let read_only: Option<Row> = server.query_first("SELECT @@global.read_only").await?;
    let read_only = read_only.and_then(|it| it.get::<Value, _>(0));
    let mut unknown = None;
    for statement in FOLLOWED {
        match server.query::<Row, _>(statement).await {
            Ok(rows) => {
                return Ok(Seen {
                    read_only: read_only.as_ref().is_none_or(is_on),
                    followed: rows.iter().map(Followed::of).collect(),
                });
            }
            Err(Error::Server(error)) if error.code == UNKNOWN_STATEMENT => {
                unknown = Some(Error::Server(error));
            }
            Err(error) => return Err(error),
        }
    }
    Err(unknown.unwrap_or(Error::Driver(mysql_async::DriverError::ConnectionClosed)))
}

/// `0`, `1`, `ON`, and what later servers may say; what is not clearly off is on.
fn is_on(value: &Value) -> bool {
    match value {
        Value::Int(it) => *it != 0,
        Value::UInt(it) => *it != 0,
        Value::Bytes(it) => !matches!(it.as_slice(), b"0" | b"OFF" | b"off"),
        _ => true,
    }
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    read_only: bool,
    followed: Vec<Followed>,
}

/// One server that it follows, or followed until it was stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Followed {
    host: String,
    /// It fetches, or tries to.
    fetches: bool,
    applies: bool,
    trouble: String,
}

impl Followed {
    fn of(row: &Row) -> Self {
        let text = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| row.get::<Value, _>(*name));
            match found {
                Some(Value::Bytes(it)) => String::from_utf8_lossy(&it).into_owned(),
                _ => String::new(),
            }
        };
        let trouble = [
            text(["Last_SQL_Error", "Last_SQL_Error"]),
            text(["Last_IO_Error", "Last_IO_Error"]),
        ];
        Self {
            host: text(["Source_Host", "Master_Host"]),
            fetches: !matches!(
                text(["Replica_IO_Running", "Slave_IO_Running"]).as_str(),
                "No" | ""
            ),
            applies: text(["Replica_SQL_Running", "Slave_SQL_Running"]) == "Yes",
            trouble: trouble
                .into_iter()
                .find(|it| !it.is_empty())
                .unwrap_or_default(),
        }
    }
}

impl Seen {
    fn judge(&self, wanted: DatabaseRole) -> Outcome {
        let following = self.followed.iter().find(|it| it.fetches || it.applies);
        match (wanted, following) {
            (DatabaseRole::Primary, _) if self.read_only => match following {
                Some(it) => other_role(format!("a replica of {}, read-only", it.host)),
                None => other_role("read-only, and follows nobody"),
            },
            (DatabaseRole::Primary, Some(it)) => other_role(format!(
                "a replica of {}, although it takes writes",
                it.host
            )),
            (DatabaseRole::Primary, None) => Ok(()),
            (DatabaseRole::Replica, _) if self.followed.is_empty() => other_role("follows nobody"),
            (DatabaseRole::Replica, _) => {
                let broken = self.followed.iter().find(|it| !it.fetches || !it.applies);
                broken.map_or(Ok(()), |it| {
                    other_role(format!(
                        "a replica of {} whose replication has stopped: {}",
                        it.host,
                        if it.trouble.is_empty() {
                            "no error is told"
                        } else {
                            &it.trouble
                        }
                    ))
                })
            }
        }
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Io(IoError::Io(cause)) => match cause.kind() {
            // Of an open connection.
            std::io::ErrorKind::UnexpectedEof
            | std::io::ErrorKind::ConnectionReset
            | std::io::ErrorKind::BrokenPipe => {
                Failure::new(Layer::NoAnswer, format!("connection lost: {cause}"))
            }
            _ => refusal(cause),
        },
        Error::Server(said) if REFUSALS.contains(&said.code) => {
            Failure::new(Layer::Login, format!("{} ({})", said.message, said.code))
        }
        Error::Server(said) => {
            Failure::new(Layer::NoAnswer, format!("{} ({})", said.message, said.code))
        }
        other => Failure::new(Layer::NoAnswer, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of `followed`: fetches, applies.
    #[track_caller]
    fn check(wanted: DatabaseRole, read_only: bool, followed: &[(bool, bool)], expected: &str) {
        let followed = followed.iter().map(|(fetches, applies)| Followed {
            host: "a".to_owned(),
            fetches: *fetches,
            applies: *applies,
            trouble: String::new(),
        });
        let seen = Seen {
            read_only,
            followed: followed.collect(),
        };
        let said = match seen.judge(wanted) {
            Ok(()) => "passes".to_owned(),
            Err(failure) => failure.to_string(),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn a_primary_takes_writes_and_follows_nobody() {
        let role = DatabaseRole::Primary;
        check(role, false, &[], "passes");
        check(role, true, &[], "role: read-only, and follows nobody");
        check(
            role,
            true,
            &[(true, true)],
            "role: a replica of a, read-only",
        );
        check(
            role,
            false,
            &[(true, true)],
            "role: a replica of a, although it takes writes",
        );
        // Stopped and not forgotten, as a promotion may leave it.
        check(role, false, &[(false, false)], "passes");
        check(
            role,
            false,
            &[(false, false), (true, true)],
            "role: a replica of a, although it takes writes",
        );
    }

    #[test]
    fn a_replica_follows_and_applies() {
        let role = DatabaseRole::Replica;
        check(role, true, &[(true, true)], "passes");
        check(role, false, &[], "role: follows nobody");
        for broken in [(true, false), (false, true)] {
            check(
                role,
                true,
                &[broken],
                "role: a replica of a whose replication has stopped: no error is told",
            );
        }
    }

    #[test]
    fn what_is_not_clearly_off_is_on() {
        for (value, expected) in [
            (Value::Int(0), false),
            (Value::Int(1), true),
            (Value::Bytes(b"0".to_vec()), false),
            (Value::Bytes(b"OFF".to_vec()), false),
            (Value::Bytes(b"ON".to_vec()), true),
            (Value::Bytes(b"NO_LOCK_NO_ADMIN".to_vec()), true),
            (Value::NULL, true),
        ] {
            assert_eq!(is_on(&value), expected, "{value:?}");
        }
    }
}
