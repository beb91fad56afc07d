//! What goes wrong between this gateway and a name server, each with what to do. No secret is ever part of it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a name could not be read or changed at one server.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The secret cannot be used.
    Secret { path: PathBuf, why: String },
    /// No connection.
    Unreachable(io::Error),
    /// It did not answer in time; whether an update took effect is not known.
    Silent(Duration),
    /// What came is no answer to what was asked.
    Nonsense(String),
    /// It says that it has no such key.
    UnknownKey,
    /// It says that the signature is wrong.
    WrongSecret,
    /// One of the two clocks is wrong, by so many seconds: positive where the server's is ahead.
    Clock(i64),
    /// The answer is not signed with the key, or wrongly.
    Unproven(String),
    /// The server is not the zone's, or the key may not.
    NotAuthorized,
    /// It refuses.
    Refused,
    /// It failed inside.
    Failed,
    /// The name is not in the zone.
    NotZone,
    /// It is no authority for the zone.
    NotAuthority,
    /// The name has a CNAME, beside which there are no addresses.
    Alias,
    /// Another answer of failure, by its name.
    Code(String),
    /// The claim is not what was read: somebody wrote in between.
    Raced,
}

impl Trouble {
    /// Another server may do better.
    pub(crate) fn is_of_the_server(&self) -> bool {
        !matches!(self, Self::Secret { .. } | Self::Raced)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { path, why } => write!(
                f,
                "the secret in {} cannot be used: {why}",
                path.display()
            ),
            Self::Unreachable(error) => write!(
                f,
                "it cannot be reached over TCP ({error}); look whether it runs and lets this machine in"
            ),
            Self::Silent(limit) => write!(
                f,
                "it did not answer within {limit:?}; look whether it is overloaded or frozen"
            ),
            Self::Nonsense(what) => write!(
                f,
                "what it answered is not understood ({what}); look whether it is a name server"
            ),
            Self::UnknownKey => f.write_str(
                "it does not know the key (BADKEY); the key's name and algorithm must be the same there and in `key`",
            ),
            Self::WrongSecret => f.write_str(
                "it says that the signature is wrong (BADSIG); the secret there and in `secret_file` differ",
            ),
            Self::Clock(seconds) => {
                let way = if *seconds >= 0 { "ahead of" } else { "behind" };
                write!(
                    f,
                    "its clock is {} s {way} this machine's (BADTIME), and 300 s are the most: set the wrong one right (chronyc tracking)",
                    seconds.unsigned_abs()
                )
            }
            Self::Unproven(what) => write!(
                f,
                "its answer is not proven by the key ({what}) and counts for nothing; look who answers at that address"
            ),
            Self::NotAuthorized => f.write_str(
                "it does not let the key do that, or is not the zone's primary (NOTAUTH); look at `zone` and at its update-policy",
            ),
            Self::Refused => f.write_str(
                "it refuses (REFUSED); let the key update the name and its claim there (update-policy or ACL), and read them",
            ),
            Self::Failed => f.write_str(
                "it failed inside (SERVFAIL); its log tells why: a journal that cannot be written, most often",
            ),
            Self::NotZone => f.write_str("the name is not in the zone (NOTZONE); look at `zone`"),
            Self::NotAuthority => f.write_str(
                "it is no authority for the zone; name the zone's primary in `server`",
            ),
            Self::Alias => f.write_str(
                "the name is an alias (CNAME) there, and a server drops the addresses of an alias without a word; delete the CNAME, or set `name` to what it leads to",
            ),
            Self::Code(code) => write!(f, "it answers {code}; its log tells why"),
            Self::Raced => f.write_str("somebody else changed the name at the same time"),
        }
    }
}
