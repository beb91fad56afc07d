//! What every handler shares, and how it looks at the store.

use super::Admin;
use super::answer::Refusal;
use crate::LeaderRecord;
use crate::clock;
use http::StatusCode;
use minato_config::{ServiceName, Timestamp};
use minato_control::Meta;
use minato_control_store::keys::Key;
use minato_control_store::{Listing, Observed};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long a reading of the store may take before the last one is shown instead.
const READING: Duration = Duration::from_secs(2);

/// Cloned into every request.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) admin: Arc<Admin>,
    pub(super) port: u16,
    pub(super) stop: watch::Receiver<bool>,
    last: Arc<Mutex<Option<Last>>>,
    /// While the store is in trouble somebody looks whether it still is.
    looking: Arc<AtomicBool>,
}

/// The site as it was seen last.
struct Last {
    observed: Arc<Observed>,
    at: Timestamp,
}

/// The site, and whether that is how it is now.
pub(super) struct Seen {
    pub(super) observed: Arc<Observed>,
    /// Why it is not fresh.
    pub(super) stale: Option<String>,
}

impl Shared {
    pub(super) fn new(admin: Arc<Admin>, port: u16, stop: watch::Receiver<bool>) -> Self {
        Self {
            admin,
            port,
            stop,
            last: Arc::default(),
            looking: Arc::default(),
        }
    }

    /// The site now, or as it was last seen: at once where the store is known to be in trouble, which is looked at again behind
    /// the caller's back; `Err` where it was never seen.
    pub(super) async fn look(&self) -> Result<Seen, String> {
        if let Some(why) = self.admin.store.trouble()
            && let Some(seen) = self.as_of_before(&why)
        {
            self.look_behind();
            return Ok(seen);
        }
        self.ask().await
    }

    /// One look at a time.
    fn look_behind(&self) {
        if !self.looking.swap(true, Ordering::Relaxed) {
            let shared = self.clone();
            tokio::spawn(async move {
                let _ = shared.ask().await;
                shared.looking.store(false, Ordering::Relaxed);
            });
        }
    }

    fn as_of_before(&self, why: &str) -> Option<Seen> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref()?;
        let age = clock::wall().since(last.at).as_secs();
        Some(Seen {
            observed: Arc::clone(&last.observed),
            stale: Some(format!("{why}; what is shown is {age} s old")),
        })
    }

    async fn ask(&self) -> Result<Seen, String> {
        let listing = self.admin.store.list(self.admin.keys.root());
        let stale = match tokio::time::timeout(READING, listing).await {
            Ok(Ok(listing)) => {
                return Ok(Seen {
                    observed: self.take(&listing),
                    stale: None,
                });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the store does not answer within {READING:?}"),
        };
        self.as_of_before(&stale).ok_or(stale)
    }

    /// Takes a list in on top of what was seen before, so that what vanished since is known to have vanished.
    fn take(&self, listing: &Listing) -> Arc<Observed> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two lists under way at once the older may come last.
        if let Some(newer) = last
            .as_ref()
            .filter(|it| self.is_newer(&it.observed, listing))
        {
            return Arc::clone(&newer.observed);
        }
        let mut observed = match last.take().map(|it| Arc::try_unwrap(it.observed)) {
            Some(Ok(only)) => only,
            Some(Err(shared)) => shared.as_ref().clone(),
            None => Observed::new(self.admin.keys.clone()),
        };
        observed.relist(listing);
        let observed = Arc::new(observed);
        *last = Some(Last {
            observed: Arc::clone(&observed),
            at: clock::wall(),
        });
        observed
    }

    /// Whether what is known is newer than a list. Of a later era everything is newer, whatever its revision.
    fn is_newer(&self, known: &Observed, listing: &Listing) -> bool {
        let key = self.admin.keys.text(&Key::Meta);
        let meta = listing.entries.iter().find(|it| it.key == key);
        let meta = meta.and_then(|it| serde_json::from_slice::<Meta>(&it.value).ok());
        let era = meta.map_or(0, |it| it.era);
        let known_era = known.world.meta.as_ref().map_or(0, |it| it.value.era);
        era <= known_era && known.revision > listing.revision
    }

    /// The site as this process saw it last.
    pub(super) fn before(&self) -> Option<Arc<Observed>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|it| Arc::clone(&it.observed))
    }

    /// The site now, or a refusal: for answers that may not be old.
    pub(super) async fn look_now(&self) -> Result<Arc<Observed>, Refusal> {
        let unavailable = |why| Refusal::unavailable(format!("the store cannot be read: {why}"));
        match self.ask().await {
            Ok(Seen {
                observed,
                stale: None,
            }) => Ok(observed),
            Ok(Seen {
                stale: Some(why), ..
            })
            | Err(why) => Err(unavailable(why)),
        }
    }

    /// Who leads; `None` while nobody does, or the store does not answer.
    pub(super) async fn leader(&self) -> Option<LeaderRecord> {
        // Who leads through a store in trouble nobody knows, and asking would only take time.
        if self.admin.store.trouble().is_some() {
            return None;
        }
        let key = self.admin.keys.text(&Key::Leader);
        let reading = self.admin.store.get(&key);
        let entry = tokio::time::timeout(Duration::from_secs(1), reading).await;
        serde_json::from_slice(&entry.ok()?.ok()??.value).ok()
    }

    /// Whether this process is the leader.
    pub(super) fn is_own(&self, leader: &LeaderRecord) -> bool {
        leader.node == self.admin.about.node && leader.pid == self.admin.about.pid
    }
}

/// The name of a service that exists, or has slots left.
pub(super) fn known(observed: &Observed, name: &str) -> Result<ServiceName, Refusal> {
    let world = &observed.world;
    let found = ServiceName::parse(name).ok().filter(|it| {
        world.services.contains_key(it) || world.slots.keys().any(|(service, _)| service == it)
    });
    found.ok_or_else(|| {
        let names: Vec<&str> = world.services.keys().map(ServiceName::as_str).collect();
        let shown = names.len().min(20);
        let hint = match names.len() {
            0 => "there are no services yet: put a file into the folder of services".to_owned(),
            all if all > shown => format!("there are {all}: {}, ...", names[..shown].join(", ")),
            _ => format!("there are: {}", names.join(", ")),
        };
        let clipped: String = name.chars().take(80).collect();
        Refusal::new(
            StatusCode::NOT_FOUND,
            format!("there is no service `{clipped}`"),
        )
        .hint(hint)
    })
}
