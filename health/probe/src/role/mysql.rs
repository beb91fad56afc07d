//! MariaDB and MySQL: `read_only` and what the server follows, on a login of our own.
//!
//! The protocol's few packets that this takes are read here (`wire`, `login`, `proof`, `answer`), not by a client library: those take
//! a server's word for more than a check may (a key that is none ends their task), and bring their own TLS and its authorities.

mod answer;
mod login;
mod proof;
mod wire;

use super::other_role;
use answer::{Refusal, Row, query, quit};
use login::{Greeting, Privacy, login};
use minato_config::{Database, DatabaseRole};
use minato_health::{Failure, Layer, Outcome};
use minato_tls::Connector;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use wire::Wire;

/// A statement that this server does not know.
const UNKNOWN_STATEMENT: u16 = 1064;
/// All connections that a server follows others by, as MariaDB, MySQL since 8.0.22, and older ones say it.
const FOLLOWED: [&str; 3] = [
    "SHOW ALL SLAVES STATUS",
    "SHOW REPLICA STATUS",
    "SHOW SLAVE STATUS",
];

pub(super) async fn ask(
    stream: TcpStream,
    address: SocketAddr,
    database: &Database,
    password: Option<&str>,
) -> Outcome {
    let mut wire = Wire::new(stream);
    let greeting = Greeting::read(&wire.read().await?)?;
    let Some(tls) = &database.tls else {
        return talk(wire, &greeting, database, password, Privacy::None).await;
    };
    if !greeting.speaks_tls() {
        let detail = "the server offers none; give it a certificate and a key (`ssl_cert`, `ssl_key`), or take `tls` away";
        return Err(Failure::new(Layer::Tls, detail));
    }
    wire.write(&greeting.head(Privacy::Tls)).await?;
    let secured = async |stream| Connector::shared().secure(stream, tls, address).await;
    let wire = wire.over(secured).await;
    let wire = wire.map_err(|it| Failure::new(Layer::Tls, it.to_string()))?;
    talk(wire, &greeting, database, password, Privacy::Tls).await
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut wire: Wire<S>,
    greeting: &Greeting,
    database: &Database,
    password: Option<&str>,
    privacy: Privacy,
) -> Outcome {
    login(&mut wire, greeting, database, password, privacy).await?;
    let seen = look(&mut wire).await;
    quit(&mut wire).await;
    seen?.judge(database.role)
}

async fn look<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) -> Result<Seen, Refusal> {
    let read_only = query(wire, "SELECT @@global.read_only").await?;
    let read_only = is_on(read_only.iter().next().and_then(|it| it.first()));
    let mut unknown = Refusal::Broken(Failure::new(Layer::NoAnswer, "no statement was asked"));
    for statement in FOLLOWED {
        match query(wire, statement).await {
            Ok(rows) => {
                return Ok(Seen {
                    read_only,
                    followed: rows.iter().map(|it| Followed::of(&it)).collect(),
                });
            }
            Err(refusal @ Refusal::Said(UNKNOWN_STATEMENT, _)) => unknown = refusal,
            Err(refusal) => return Err(refusal),
        }
    }
    Err(unknown)
}

/// `0`, `1`, `OFF`, `ON`, and what later servers may say; what is not clearly off is on.
fn is_on(value: Option<&str>) -> bool {
    !matches!(value, Some("0" | "OFF" | "off"))
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
    fn of(row: &Row<'_>) -> Self {
        let text = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| row.field(name));
            found.unwrap_or_default().to_owned()
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
            (Some("0"), false),
            (Some("OFF"), false),
            (Some("1"), true),
            (Some("ON"), true),
            (Some("NO_LOCK_NO_ADMIN"), true),
            (None, true),
        ] {
            assert_eq!(is_on(value), expected, "{value:?}");
        }
    }
}
