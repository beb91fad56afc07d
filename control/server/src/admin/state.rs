//! What every handler shares, and how it looks at the store.

use super::Admin;
use super::answer::Refusal;
use http::StatusCode;
use minato_config::ServiceName;
use minato_control_store::{Listing, Observed};
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
    last: Arc<Mutex<Option<Arc<Observed>>>>,
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
        }
    }

    /// The site now; where the store does not answer, as it was last seen; `None` where it never was.
    pub(super) async fn look(&self) -> Result<Seen, String> {
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
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match last.as_ref() {
            Some(observed) => Ok(Seen {
                observed: Arc::clone(observed),
                stale: Some(stale),
            }),
            None => Err(stale),
        }
    }

    /// Takes a list in on top of what was seen before, so that what vanished since is known to have vanished.
    fn take(&self, listing: &Listing) -> Arc<Observed> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two lists under way at once the older may come last.
        if let Some(newer) = last.as_ref().filter(|it| it.revision > listing.revision) {
            return Arc::clone(newer);
        }
        let mut observed = match last.take().map(Arc::try_unwrap) {
            Some(Ok(only)) => only,
            Some(Err(shared)) => shared.as_ref().clone(),
            None => Observed::new(self.admin.keys.clone()),
        };
        observed.relist(listing);
        let observed = Arc::new(observed);
        *last = Some(Arc::clone(&observed));
        observed
    }

    /// The site now, or a refusal: for answers that may not be old.
    pub(super) async fn look_now(&self) -> Result<Arc<Observed>, Refusal> {
        let unavailable = |why| Refusal::unavailable(format!("the store cannot be read: {why}"));
        match self.look().await {
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
