//! The certificates that listeners serve: read from a folder, picked by the name that a client asks for, followed while they
//! change.
//!
//! What is broken is named in the log and changes nothing. Private keys are never logged.

mod folder;
mod follow;
mod index;
mod pair;

pub use follow::Following;
pub use pair::Fault;
pub(crate) use pair::{MOST_BYTES, subject};

use crate::clock;
use arc_swap::ArcSwap;
use folder::{Folder, News};
use index::Index;
use pair::Pair;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::cell::RefCell;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Days before its end from which on a certificate is warned of.
const DAYS_LEFT: i64 = 14;
const DAY: i64 = 24 * 60 * 60;

/// All certificates of one folder. Shared by every listener and core.
#[derive(Debug)]
pub struct Certificates {
    index: ArcSwap<Index>,
    folder: Mutex<Folder>,
}

/// Something of a folder that is not served as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unserved {
    /// NAME of NAME.crt; empty where the folder itself is meant.
    pub name: String,
    /// What, where, why, and what to do.
    pub message: String,
}

impl Certificates {
    /// Reads the folder at `path`. What is wrong is logged, and may be mended while it is followed: a gateway without a
    /// certificate still serves plain HTTP.
    pub fn open(path: &Path) -> Arc<Self> {
        let this = Arc::new(Self {
            index: ArcSwap::default(),
            folder: Mutex::new(Folder::new(path)),
        });
        this.look();
        this.warn_of_ends();
        this
    }

    /// What stands in the folder at `path` and would not be served; serves nothing.
    pub fn inspect(path: &Path) -> Vec<Unserved> {
        let news = Folder::new(path).look(clock::now());
        let unserved = |it| match it {
            News::Broken { name, fault, .. } => Some(Unserved {
                name,
                message: fault.to_string(),
            }),
            News::Unreadable(message) => Some(Unserved {
                name: String::new(),
                message,
            }),
            News::Loaded(_) | News::Gone(_) | News::Exposed(..) => None,
        };
        news.into_iter().filter_map(unserved).collect()
    }

    /// Whether a client that asks for `host` gets a certificate that holds it. `host` is a name or an IP address (IPv6 with
    /// or without brackets), without port.
    pub fn covers(&self, host: &str) -> bool {
        let index = self.index.load();
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        match bare.unwrap_or(host).parse::<IpAddr>() {
            Ok(address) => index.covers_address(address),
            Err(_) => find(&index, host).is_some(),
        }
    }

    /// Name and last moment (Unix seconds) of every certificate, sorted by name.
    pub fn expiries(&self) -> Vec<(String, i64)> {
        let index = self.index.load();
        let pairs = index.pairs().iter();
        pairs.map(|it| (it.name.clone(), it.not_after)).collect()
    }

    /// Looks at the folder and takes in what changed; whether anything did.
    fn look(&self) -> bool {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let news = folder.look(clock::now());
        let is_changed = news
            .iter()
            .any(|it| matches!(it, News::Loaded(_) | News::Gone(_)));
        if is_changed {
            self.index.store(Arc::new(Index::of(&folder.pairs())));
        }
        let at = folder.path().display();
        for it in &news {
            tell(it, &at);
        }
        is_changed
    }

    /// Names every certificate that has ended or soon will.
    fn warn_of_ends(&self) {
        let now = clock::unix_now();
        for pair in self.index.load().pairs() {
            let left = pair.not_after - now;
            let (name, days) = (&pair.name, left / DAY);
            if left < 0 {
                tracing::error!(%name, "the certificate has ended: clients refuse it; replace it");
            } else if left < DAYS_LEFT * DAY {
                tracing::warn!(%name, days, "the certificate ends soon; replace it");
            }
        }
    }
}

fn tell(news: &News, folder: &dyn std::fmt::Display) {
    match news {
        News::Loaded(pair) if pair.hosts.is_empty() => {
            let name = &pair.name;
            tracing::warn!(%name, "the certificate holds no DNS name; it is served only where no other is");
        }
        News::Loaded(pair) => {
            let hosts = pair.hosts.iter().take(10).map(String::as_str);
            let hosts = hosts.collect::<Vec<_>>().join(" ");
            tracing::info!(name = %pair.name, %hosts, "certificate loaded");
        }
        News::Broken {
            name,
            fault,
            keeps_old: true,
        } => tracing::warn!(%name, "certificate not replaced, the old one goes on: {fault}"),
        News::Broken { name, fault, .. } => {
            tracing::error!(%name, "certificate not served: {fault}");
        }
        News::Gone(name) => tracing::info!(%name, "certificate gone with its files"),
        News::Exposed(file, mode) => {
            let file = file.display();
            tracing::warn!(%file, mode = format!("{mode:o}"), "every user of this machine can read the private key; type chmod o= on it");
        }
        News::Unreadable(cause) => {
            tracing::error!(%folder, "the folder of certificates cannot be used: {cause}");
        }
    }
}

fn find(index: &Index, host: &str) -> Option<Arc<Pair>> {
    if host.bytes().any(|it| it.is_ascii_uppercase()) {
        index.find(&host.to_ascii_lowercase()).cloned()
    } else {
        index.find(host).cloned()
    }
}

thread_local! {
    /// The name that the hello asked for which this thread looked at last.
    static ASKED: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// The name that a client asked for, if the last turn of its session on this thread saw the hello.
///
/// The unbuffered session does not tell it; certificates are picked within the session's turn, on the same thread.
pub(crate) fn take_asked() -> Option<Box<str>> {
    ASKED.with(|it| it.borrow_mut().take())
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let index = self.index.load();
        let asked = hello.server_name();
        ASKED.with(|it| *it.borrow_mut() = asked.map(Box::from));
        let found = asked.and_then(|it| find(&index, it));
        let pair = found.or_else(|| index.fallback().cloned())?;
        Some(Arc::clone(&pair.key))
    }
}

#[cfg(test)]
mod tests;
