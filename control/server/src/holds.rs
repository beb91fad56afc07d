//! Holding the requests of a service that moves: a switch's word carried out at one site's store, and at all sites together.
//!
//! Who asks is known by his certificate, and asks only for services whose `sites` name both sites. Nothing here serves or stops a
//! request: the gateways follow the document and answer with documents of their own.
//! Not here: what a hold is and when it is whole (`control::hold`), the way over the link (the root package), when a switch holds
//! (`control::operation::switch`).

use crate::clock;
use minato_config::{GatewayId, ServiceName, ServiceRecord, SiteId};
use minato_control::OperationId;
use minato_control::hold::{
    HeldReport, HoldOrder, HoldRecord, HoldSeen, Holder, Part, Standing, hold, release, seen,
};
use minato_control::operation::switch::Held;
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, Compare, Revision, SharedStore, StoreError};
use minato_health::GatewayAlive;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Tries of one write while others write the same document.
const TRIES: usize = 20;
/// How often it is looked whether all gateways hold, while somebody waits for that.
const LOOK: Duration = Duration::from_millis(20);
/// Nobody waits for longer in one call.
const MOST_WAIT: Duration = Duration::from_secs(1);

/// What a switch asks of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldAsk {
    /// Whose requests.
    pub service: ServiceName,
    /// The switch, by its number at the site that asks.
    pub operation: OperationId,
    /// What is to be done.
    pub word: HoldWord,
    /// How long the answer may wait for gateways to have done it; at most a second.
    #[serde(default)]
    pub wait_ms: u64,
}

/// What is to be done with a service's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldWord {
    /// New ones wait.
    Hold {
        /// Which try.
        #[serde(rename = "try")]
        run: u32,
        /// At most so long.
        limit_ms: u64,
    },
    /// They go on.
    Release,
    /// As it is.
    Look,
}

/// A word that was not carried out.
#[derive(Debug)]
pub enum HoldFailure {
    /// This site does not do that for who asks, and why. Asking again changes nothing.
    Refused(String),
    /// The store of this site did not take it. Ask again.
    Store(SiteId, StoreError),
}

impl fmt::Display for HoldFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Store(site, cause) => write!(f, "the store of {site} does not take it: {cause}"),
        }
    }
}

/// Carries out what `asker` asks of this site, `own`; how it stands then.
pub async fn carry_out_hold(
    store: &SharedStore,
    keys: &Keys,
    own: &SiteId,
    asker: &SiteId,
    ask: &HoldAsk,
) -> Result<HoldSeen, HoldFailure> {
    let failed = |cause| HoldFailure::Store(own.clone(), cause);
    let site = Site { store, keys };
    site.check(own, asker, &ask.service)
        .await
        .map_err(failed)??;
    let by = Holder {
        site: asker.clone(),
        operation: ask.operation,
    };
    site.write(&by, ask).await.map_err(failed)??;
    // The switch lives where the service is to be served.
    let part = if asker == own {
        Part::Takes
    } else {
        Part::Serves
    };
    let until = Instant::now() + Duration::from_millis(ask.wait_ms).min(MOST_WAIT);
    loop {
        let standing = site.standing(&ask.service).await.map_err(failed)?;
        let seen = seen(&standing, &by, part, clock::wall());
        let may_change = matches!(seen.held, Held::Partly(_) | Held::For(_)) && !seen.is_empty();
        if !may_change || ask.word == HoldWord::Release || Instant::now() >= until {
            return Ok(seen);
        }
        sleep(LOOK).await;
    }
}

struct Site<'a> {
    store: &'a SharedStore,
    keys: &'a Keys,
}

type Read<T> = Result<Option<(T, Revision)>, StoreError>;

impl Site<'_> {
    async fn read<T: DeserializeOwned>(&self, key: &str) -> Read<T> {
        let Some(entry) = self.store.get(key).await? else {
            return Ok(None);
        };
        let value = serde_json::from_slice(&entry.value).map_err(|cause| StoreError::Invalid {
            detail: format!("{key} is not understood: {cause}; upgrade this minato"),
        })?;
        Ok(Some((value, entry.modified)))
    }

    /// By gateway, of keys below `prefix` that `of` names one of. What does not decode says nothing.
    async fn by_gateway<T: DeserializeOwned>(
        &self,
        prefix: &str,
        of: impl Fn(Key) -> Option<GatewayId>,
    ) -> Result<BTreeMap<GatewayId, T>, StoreError> {
        let listing = self
            .store
            .list(&format!("{}{prefix}/", self.keys.root()))
            .await?;
        let found = listing.entries.iter().filter_map(|entry| {
            let gateway = of(self.keys.parse(&entry.key)?)?;
            Some((gateway, serde_json::from_slice(&entry.value).ok()?))
        });
        Ok(found.collect())
    }

    /// The inner error is that the two sites do not share it.
    async fn check(
        &self,
        own: &SiteId,
        asker: &SiteId,
        service: &ServiceName,
    ) -> Result<Result<(), HoldFailure>, StoreError> {
        let key = self.keys.text(&Key::Service(service.clone()));
        let record: Option<(ServiceRecord, _)> = self.read(&key).await?;
        let sites = record.and_then(|(it, _)| it.service.sites);
        let lists = |site| sites.as_ref().is_some_and(|it| it.place(site).is_some());
        Ok(if lists(own) && lists(asker) {
            Ok(())
        } else {
            Err(HoldFailure::Refused(format!(
                "{own} has no service {service} whose `sites` name {own} and {asker}"
            )))
        })
    }

    /// The inner error is that it is refused.
    async fn write(
        &self,
        by: &Holder,
        ask: &HoldAsk,
    ) -> Result<Result<(), HoldFailure>, StoreError> {
        let key = self.keys.text(&Key::Hold(ask.service.clone()));
        for _ in 0..TRIES {
            let current: Option<(HoldRecord, Revision)> = self.read(&key).await?;
            let (record, revision) = current.unzip();
            let next = match ask.word {
                HoldWord::Look => return Ok(Ok(())),
                HoldWord::Release => release(record.as_ref(), by, clock::wall()),
                HoldWord::Hold { run, limit_ms } => {
                    let order = HoldOrder {
                        by: by.clone(),
                        run,
                        limit_ms,
                    };
                    hold(record.as_ref(), &order, clock::wall())
                }
            };
            let next = match next {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(Ok(())),
                // How that stands is told, and the switch knows what it means.
                Err(minato_control::hold::HoldRefusal::Over(_)) => return Ok(Ok(())),
                Err(refusal) => {
                    let text = format!("{} is not held for {by}: {refusal}", ask.service);
                    return Ok(Err(HoldFailure::Refused(text)));
                }
            };
            let compare = match revision {
                Some(revision) => Compare::Modified {
                    key: key.clone(),
                    revision,
                },
                None => Compare::Absent { key: key.clone() },
            };
            let commit = Commit::default().when(compare);
            let commit = commit.and_put(key.clone(), crate::document(&next)?, None);
            match self.store.commit(commit).await {
                Ok(_) => return Ok(Ok(())),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let text = format!(
            "others write how {} is held at the same moment",
            ask.service
        );
        Ok(Err(HoldFailure::Refused(text)))
    }

    async fn standing(&self, service: &ServiceName) -> Result<Standing, StoreError> {
        let key = self.keys.text(&Key::Hold(service.clone()));
        // Reports before who lives: one that ends in between counts as living without a report.
        let reports: BTreeMap<GatewayId, HeldReport> = self
            .by_gateway("held", |key| match key {
                Key::Held(gateway, name) if name == *service => Some(gateway),
                _ => None,
            })
            .await?;
        let gateways: BTreeMap<GatewayId, GatewayAlive> = self
            .by_gateway("gateways", |key| match key {
                Key::GatewayAlive(gateway) => Some(gateway),
                _ => None,
            })
            .await?;
        // Last: what is over when it is read was whole, or not, while it lasted.
        let hold = self.read(&key).await?.map(|it: (HoldRecord, _)| it.0);
        Ok(Standing {
            hold,
            gateways,
            reports,
        })
    }
}

/// An answer of another site, or in words why there is none.
pub type HoldAnswer<'a> = Pin<Box<dyn Future<Output = Result<HoldSeen, String>> + Send + 'a>>;

/// The way to other sites. It bounds the time, with that of [`HoldAsk::wait_ms`] on top.
pub trait PeerHolds: Send + Sync {
    /// Asks `site`.
    fn ask<'a>(&'a self, site: &'a SiteId, ask: &'a HoldAsk) -> HoldAnswer<'a>;
}

/// The requests of one service at all its sites, for a switch of this one.
///
/// Visitors enter everywhere. So first the sites that only lead on let theirs wait, until nothing that they sent is under way, and
/// only then the old site does: nobody is left waiting at its end of a link, where he could not be led back from.
pub struct Everywhere<'a> {
    /// This site's store.
    pub store: &'a SharedStore,
    /// Its keys.
    pub keys: &'a Keys,
    /// This site, which shall serve.
    pub own: &'a SiteId,
    /// The old site.
    pub from: &'a SiteId,
    /// All sites of the service.
    pub sites: &'a [SiteId],
    /// The way to the others.
    pub way: &'a dyn PeerHolds,
    /// Whose requests.
    pub service: &'a ServiceName,
    /// The switch.
    pub operation: OperationId,
}

impl Everywhere<'_> {
    /// Lets requests wait for this try; how they do. To be asked again until [`HoldSeen::is_empty`].
    pub async fn hold(&self, run: u32, limit: Duration) -> Result<HoldSeen, String> {
        let word = HoldWord::Hold {
            run,
            limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        };
        let mut all = self.each(self.entrances(), word).await?;
        if !all.is_empty() {
            // The old site serves on; to a switch nothing is whole yet.
            all.held = match all.held {
                Held::For(run) => Held::Partly(run),
                held => held,
            };
            return Ok(all);
        }
        all = all.and(self.one(self.from, word).await?);
        Ok(all)
    }

    /// Lets them go on: first where they are led from, so that they find the new site as soon as can be.
    pub async fn release(&self) -> Result<HoldSeen, String> {
        let mut first_error = None;
        let mut all = None;
        for site in self.entrances().chain([self.from]) {
            match self.one(site, HoldWord::Release).await {
                Ok(seen) => all = Some(all.map_or(seen, |it: HoldSeen| it.and(seen))),
                Err(why) => drop(first_error.get_or_insert(why)),
            }
        }
        match (first_error, all) {
            (None, Some(all)) => Ok(all),
            (why, _) => Err(why.unwrap_or_default()),
        }
    }

    /// As it is.
    pub async fn look(&self) -> Result<HoldSeen, String> {
        let all = self.each(self.entrances(), HoldWord::Look).await?;
        Ok(all.and(self.one(self.from, HoldWord::Look).await?))
    }

    /// All but the old site, this one first: it costs nothing to ask.
    fn entrances(&self) -> impl Iterator<Item = &SiteId> {
        let others = self.sites.iter();
        let others = others.filter(|it| *it != self.own && *it != self.from);
        [self.own].into_iter().chain(others)
    }

    async fn each<'b>(
        &self,
        sites: impl Iterator<Item = &'b SiteId>,
        word: HoldWord,
    ) -> Result<HoldSeen, String> {
        let mut all: Option<HoldSeen> = None;
        for site in sites {
            let seen = self.one(site, word).await?;
            all = Some(all.map_or(seen, |it| it.and(seen)));
        }
        Ok(all.unwrap_or(HoldSeen::NO))
    }

    async fn one(&self, site: &SiteId, word: HoldWord) -> Result<HoldSeen, String> {
        let ask = HoldAsk {
            service: self.service.clone(),
            operation: self.operation,
            word,
            wait_ms: match word {
                HoldWord::Hold { .. } => u64::try_from(MOST_WAIT.as_millis()).unwrap_or(0),
                HoldWord::Release | HoldWord::Look => 0,
            },
        };
        if site == self.own {
            let carried = carry_out_hold(self.store, self.keys, self.own, self.own, &ask).await;
            return carried.map_err(|it| it.to_string());
        }
        let answer = self.way.ask(site, &ask).await;
        answer.map_err(|why| format!("{site}: {why}"))
    }
}
