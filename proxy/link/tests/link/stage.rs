//! A root, sites with gateways, a clock that the test turns, and handshakes between them in memory.

use minato_config::{NodeId, SiteId};
use minato_link::{Identity, LinkProtocol, Moment, Source, write_authority, write_site};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConnection, ServerConnection};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// When every test begins: 2026-06-01.
pub(crate) const START: Moment = Moment(1_780_272_000);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug)]
pub(crate) struct Clock(AtomicI64);

impl Clock {
    pub(crate) fn at(now: Moment) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.0)))
    }

    pub(crate) fn set(&self, now: Moment) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let now = u64::try_from(self.0.load(Ordering::SeqCst)).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(now)))
    }
}

/// One root in a folder of its own.
pub(crate) struct Root {
    pub(crate) folder: TempDir,
}

impl Root {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        write_authority(&folder.path().join("root"), START).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The folder of a site's identity, issued at `now`.
    pub(crate) fn issue_at(&self, name: &str, now: Moment) -> PathBuf {
        let folder = self.folder.path().join(name);
        write_site(&self.path(), &site(name), &folder, now).unwrap();
        folder
    }

    pub(crate) fn issue(&self, name: &str) -> PathBuf {
        self.issue_at(name, START)
    }
}

pub(crate) fn site(name: &str) -> SiteId {
    SiteId::parse(name).unwrap()
}

/// A gateway of `name` with the identity in `folder`.
pub(crate) fn gateway(name: &str, folder: PathBuf, clock: &Arc<Clock>) -> Arc<Identity> {
    open(name, Source::Folder(folder), clock)
}

pub(crate) fn open(name: &str, source: Source, clock: &Arc<Clock>) -> Arc<Identity> {
    let clock: Arc<dyn TimeProvider> = Arc::clone(clock) as _;
    Identity::open(source, NodeId::parse("gw1").unwrap(), site(name), clock)
}

/// Both ends of a link after the handshake, or what each end said of it.
pub(crate) type Link = Result<(ClientConnection, ServerConnection), Box<Refusals>>;

/// What the client and the server found wrong.
#[derive(Debug)]
pub(crate) struct Refusals(Option<rustls::Error>, Option<rustls::Error>);

/// `from` calls `to` as `expected`.
pub(crate) fn connect(from: &Identity, to: &Identity, expected: &str) -> Link {
    let call = from
        .call(&site(expected), &[LinkProtocol::Control])
        .unwrap();
    let client = ClientConnection::new(call.config, call.name).unwrap();
    shake(client, ServerConnection::new(to.server().unwrap()).unwrap())
}

/// Carries both sides' bytes until nothing is left to say.
pub(crate) fn shake(mut client: ClientConnection, mut server: ServerConnection) -> Link {
    let (mut at_client, mut at_server) = (None, None);
    for _ in 0..20 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut bytes.as_slice()).unwrap();
        at_server = at_server.or(server.process_new_packets().err());
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut bytes.as_slice()).unwrap();
        at_client = at_client.or(client.process_new_packets().err());
    }
    if at_client.is_none()
        && at_server.is_none()
        && !client.is_handshaking()
        && !server.is_handshaking()
    {
        Ok((client, server))
    } else {
        Err(Box::new(Refusals(at_client, at_server)))
    }
}

/// What the two ends would tell their operators.
pub(crate) fn explained(link: Link) -> (String, String) {
    let Err(refusals) = link else {
        panic!("the link was made");
    };
    let Refusals(client, server) = *refusals;
    let text =
        |it: Option<rustls::Error>| it.map_or_else(String::new, |it| minato_link::explain(&it));
    (text(client), text(server))
}

/// Whether `openssl` is there; a test that needs it skips without, which fails where everything should be there.
pub(crate) fn has_openssl() -> bool {
    let found = std::process::Command::new("openssl")
        .arg("version")
        .output()
        .is_ok();
    if !found {
        minato_skip::skip("no openssl: apt-get install openssl");
    }
    found
}
