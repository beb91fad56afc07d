//! What systemd, or whatever starts minato as systemd does, hands over and wants to be told.
//!
//! Sources: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3). Without its variables nothing here does anything.

use crate::listeners::{Held, Origin, Role};
use anyhow::{Context as _, bail};
use minato_config::Settings;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

/// Listeners that systemd passes, at most.
const MOST: usize = 64;
/// A watchdog that wants to be told more often than this has no use.
const QUICKEST: Duration = Duration::from_millis(100);

/// Variables that are meant for one process. A process that takes over must not read them again.
pub(crate) const PERSONAL: [&str; 4] =
    ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// The other end of the notification socket; none where nobody listens.
#[derive(Debug)]
pub(crate) struct Supervisor {
    socket: Option<(UnixDatagram, UnixAddress)>,
    /// It wants to hear from us this often.
    watchdog: Option<Duration>,
}

impl Supervisor {
    pub(crate) fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok();
        let address = variable("NOTIFY_SOCKET").and_then(|it| address(&it));
        let for_us = variable("WATCHDOG_PID").is_none_or(|it| it == std::process::id().to_string());
        let watchdog = variable("WATCHDOG_USEC").filter(|_| for_us);
        Self {
            socket: address.and_then(|it| Some((UnixDatagram::unbound().ok()?, it))),
            watchdog: watchdog.and_then(|it| pace(&it)),
        }
    }

    /// The service is up.
    pub(crate) fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// Another process may be about to take over.
    pub(crate) fn reloading(&self) {
        self.say("RELOADING=1\nSTATUS=starting the process that takes over");
    }

    /// This process is the service from now on, and it is up.
    pub(crate) fn taken_over(&self, status: &str) {
        let pid = std::process::id();
        self.say(&format!("MAINPID={pid}\nREADY=1\nSTATUS={status}"));
    }

    pub(crate) fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=letting requests end");
    }

    /// Says that this process is well, for as long as its caller runs. Returns only where nobody asks.
    pub(crate) async fn watch(self: Arc<Self>) {
        let Some(pace) = self.watchdog else { return };
        let mut tick = tokio::time::interval(pace);
        loop {
            tick.tick().await;
            self.say("WATCHDOG=1");
        }
    }

    /// A supervisor that does not listen is its own problem: requests are served all the same.
    fn say(&self, state: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            tracing::debug!(%error, "the service manager was not told");
        }
    }
}

/// A path, or `@` and an abstract name.
fn address(text: &str) -> Option<UnixAddress> {
    match text.strip_prefix('@') {
        Some(name) => UnixAddress::from_abstract_name(name).ok(),
        None if text.starts_with('/') => UnixAddress::from_pathname(text).ok(),
        None => None,
    }
}

/// Half of what the watchdog waits for, as its manual advises.
fn pace(microseconds: &str) -> Option<Duration> {
    let limit = Duration::from_micros(microseconds.parse().ok()?);
    (limit >= QUICKEST * 2).then_some(limit / 2)
}

/// The listeners that systemd opened for this process. To be called once, before there are threads.
pub(crate) fn passed(settings: &Settings) -> anyhow::Result<Vec<Held>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut descriptors = listenfd::ListenFd::from_env();
    if descriptors.len() > MOST {
        bail!(
            "{} passed listeners are too many; at most {MOST}",
            descriptors.len()
        );
    }
    let mut names = names.split(':');
    let mut passed = Vec::new();
    for place in 0..descriptors.len() {
        let name = names.next().unwrap_or_default();
        let socket = descriptors
            .take_tcp_listener(place)
            .with_context(|| format!("the passed socket `{name}` is no TCP listener"))?
            .context("a passed socket is there twice")?;
        let address = socket.local_addr()?;
        let Some(role) = role(name, address, settings) else {
            bail!(
                "{address} is passed as `{name}`, which says nothing about what to serve there: set FileDescriptorName=http, https, admin or entrance in the socket unit, or name the address in minato.toml"
            );
        };
        passed.push(Held::new(role, address, Origin::SocketUnit, socket));
    }
    Ok(passed)
}

/// By the socket unit's `FileDescriptorName=`, else by the address.
fn role(name: &str, address: SocketAddr, settings: &Settings) -> Option<Role> {
    match name {
        "http" => Some(Role::Http),
        "https" => Some(Role::Https),
        "admin" => Some(Role::Admin),
        "entrance" => Some(Role::Entrance),
        _ if settings.gateway.http.contains(&address) => Some(Role::Http),
        _ if settings.gateway.https.iter().any(|it| it.listen == address) => Some(Role::Https),
        _ if settings.admin == address => Some(Role::Admin),
        _ if settings.entrance.listen.contains(&address) => Some(Role::Entrance),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_listener_is_known_by_its_name_or_its_address() {
        let mut settings = Settings::default();
        settings.gateway.http = vec!["0.0.0.0:80".parse().unwrap()];
        let cases = [
            ("http", "0.0.0.0:9999", Some(Role::Http)),
            ("https", "0.0.0.0:9998", Some(Role::Https)),
            ("admin", "127.0.0.1:9", Some(Role::Admin)),
            ("entrance", "[::]:7071", Some(Role::Entrance)),
            ("minato.socket", "0.0.0.0:80", Some(Role::Http)),
            ("", "127.0.0.1:7070", Some(Role::Admin)),
            ("minato.socket", "127.0.0.1:80", None),
            ("unknown", "0.0.0.0:81", None),
        ];
        for (name, address, expected) in cases {
            let found = role(name, address.parse().unwrap(), &settings);
            assert_eq!(found, expected, "{name} {address}");
        }
    }

    #[test]
    fn what_is_said_arrives_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("@minato-test-{}", std::process::id());
        for text in [path.to_str().unwrap(), &name] {
            let address = address(text).unwrap();
            let listener = UnixDatagram::bind_addr(&address).unwrap();
            let supervisor = Supervisor {
                socket: Some((UnixDatagram::unbound().unwrap(), address)),
                watchdog: None,
            };
            supervisor.ready("up");
            let mut bytes = [0; 100];
            let length = listener.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], b"READY=1\nSTATUS=up");
        }
        assert!(address("relative").is_none() && address("").is_none());
    }

    #[test]
    fn the_watchdog_is_told_twice_as_often_as_it_asks() {
        let cases = [
            ("30000000", Some(Duration::from_secs(15))),
            ("1000", None),
            ("", None),
            ("-1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(pace(text), expected, "{text}");
        }
    }
}
