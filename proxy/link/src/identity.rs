//! This gateway's side of every link: what it shows to peers and what it takes from them, now.

use crate::fault::Fault;
pub use crate::material::Source;
use crate::material::{Material, Stamp};
use crate::moment::Moment;
use crate::own::Own;
use crate::protocol::LinkProtocol;
use crate::{files, name, verify};
use arc_swap::ArcSwap;
use minato_config::{NodeId, SiteId};
use rustls::pki_types::ServerName;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// From this long before its end a site's intermediate, or a given certificate, is warned of.
const ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// The same for the root: all sites have to change.
const ROOT_ENDS_SOON: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How long half of a change may wait for the other half before it is called a fault.
const PATIENCE: Duration = Duration::from_secs(5);

/// One identity, shared by everything that accepts or calls. Every connection asks it anew, so what is renewed or replaced holds
/// for the next one, and those that are open stay.
pub struct Identity {
    source: Source,
    node: NodeId,
    site: SiteId,
    clock: Arc<dyn TimeProvider>,
    now: ArcSwap<State>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct State {
    good: Option<Good>,
    fault: Option<Fault>,
}

#[derive(Clone)]
struct Good {
    server: Arc<ServerConfig>,
    material: Arc<Material>,
    own: Own,
}

/// What the last look found.
#[derive(Default)]
struct Progress {
    stamps: [Option<Stamp>; 3],
    /// Since when the fault has been there, and whether it was told.
    trouble: Option<(Moment, bool)>,
    exposed: Option<u32>,
}

/// What a look found that was not so before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The files are in use from now on.
    Loaded {
        /// The end of this gateway's own certificate.
        until: Moment,
    },
    /// A new certificate was made from the same intermediate.
    Renewed {
        /// Its end.
        until: Moment,
    },
    /// The files are not used.
    Broken {
        /// Why.
        fault: Fault,
        /// Whether older ones go on.
        keeps_old: bool,
    },
    /// The key's file can be read by others: who could.
    Exposed {
        /// Which.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// How an identity stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Why what stands on the disk is not used.
    pub fault: Option<Fault>,
    /// The end of what this gateway shows; `None` where there is nothing to show, and so no link.
    pub own: Option<Moment>,
    /// The end of the site's intermediate; `None` with given certificates.
    pub site: Option<Moment>,
    /// The end of the authorities.
    pub authority: Option<Moment>,
}

impl Standing {
    /// What there is, by name: `link` (what this gateway shows), `link/site`, `link/authority`.
    pub fn ends(&self) -> impl Iterator<Item = (&'static str, Moment)> + use<> {
        let ends = [
            ("link", self.own),
            ("link/site", self.site),
            ("link/authority", self.authority),
        ];
        ends.into_iter()
            .filter_map(|(name, end)| Some((name, end?)))
    }

    /// What an operator should know at `now`, with what to do; `None` where all is well.
    pub fn trouble(&self, now: Moment) -> Option<String> {
        if let Some(fault) = &self.fault {
            return Some(match self.own {
                Some(until) => format!("{fault} (the certificates of before go on until {until})"),
                None => format!("no links: {fault}"),
            });
        }
        let soon = |end: Option<Moment>, by: Duration| end.filter(|end| *end <= now.after(by));
        let days = |end: Moment| end.since(now).as_secs() / (24 * 60 * 60);
        if let Some(end) = soon(self.site, ENDS_SOON) {
            return Some(format!(
                "the site's certificate for links ends at {end}, in {} days, and links with it; type `minato ca issue` where the root is, and put the folder here",
                days(end)
            ));
        }
        if let Some(end) = soon(self.own, ENDS_SOON).filter(|_| self.site.is_none()) {
            return Some(format!(
                "the certificate for links ends at {end}, in {} days, and links with it; replace it",
                days(end)
            ));
        }
        soon(self.authority, ROOT_ENDS_SOON).map(|end| {
            format!(
                "the authority of all links ends at {end}, in {} days; make a new root, and put both into authority.crt of every site before that",
                days(end)
            )
        })
    }
}

/// How to call a peer.
#[derive(Clone)]
pub struct Call {
    /// Takes only that peer.
    pub config: Arc<ClientConfig>,
    /// What to ask for by SNI; it is not compared with anything.
    pub name: ServerName<'static>,
}

impl Identity {
    /// Reads the files. What is wrong is told by [`Identity::standing`] and may be mended while the files are followed: a gateway
    /// without links still serves its own site.
    pub fn open(
        source: Source,
        node: NodeId,
        site: SiteId,
        clock: Arc<dyn TimeProvider>,
    ) -> Arc<Self> {
        let this = Arc::new(Self {
            source,
            node,
            site,
            clock,
            now: ArcSwap::default(),
            progress: Mutex::default(),
        });
        for it in this.look_with(Duration::ZERO) {
            tell(&it);
        }
        this
    }

    /// What of `source` would not be used; uses nothing.
    pub fn inspect(
        source: &Source,
        node: &NodeId,
        site: &SiteId,
        now: Moment,
    ) -> Result<(), Fault> {
        Material::read(source, node, site, now).map(|_| ())
    }

    /// This site.
    pub fn site(&self) -> &SiteId {
        &self.site
    }

    /// For the next connection that is accepted. `None`: there is nothing to show, [`Identity::standing`] tells why.
    pub fn server(&self) -> Option<Arc<ServerConfig>> {
        self.now
            .load()
            .good
            .as_ref()
            .map(|it| Arc::clone(&it.server))
    }

    /// For the next call of `peer`, offering `protocols` best first. `None`: there is nothing to show.
    pub fn call(&self, peer: &SiteId, protocols: &[LinkProtocol]) -> Option<Call> {
        let now = self.now.load();
        let good = now.good.as_ref()?;
        let config = verify::client(
            &good.material.roots,
            &good.own.key,
            &self.clock,
            peer,
            protocols,
        );
        let config = Arc::new(config.ok()?);
        let name = ServerName::try_from(name::site_name(peer)).ok()?;
        Some(Call { config, name })
    }

    /// What an operator should know now, by the clock of this identity.
    pub fn trouble(&self) -> Option<String> {
        match Moment::now(&*self.clock) {
            Some(now) => self.standing().trouble(now),
            None => Some(Fault::NoClock.to_string()),
        }
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        let now = self.now.load();
        let good = now.good.as_ref();
        Standing {
            fault: now.fault.clone(),
            own: good.map(|it| it.own.until),
            site: good.and_then(|it| it.material.site_end()),
            authority: good.map(|it| it.material.roots_end),
        }
    }

    /// Takes in what changed on the disk, and renews what is due, by the clock of this identity. Called every few seconds.
    pub fn look(&self) -> Vec<News> {
        self.look_with(PATIENCE)
    }

    fn look_with(&self, patience: Duration) -> Vec<News> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = Vec::new();
        let old = self.now.load_full();
        let stamps = self.source.stamps();
        let is_changed = stamps != progress.stamps || old.fault.is_some() || old.good.is_none();
        progress.stamps = stamps;
        let made = match Moment::now(&*self.clock) {
            None => Err((Fault::NoClock, Moment(0))),
            Some(now) if is_changed => self.load(now, &mut news).map_err(|it| (it, now)),
            Some(now) => self
                .renew(old.good.as_ref(), now, &mut news)
                .map_err(|it| (it, now)),
        };
        self.look_at_mode(&mut progress, &mut news);
        match made {
            Ok(None) => {}
            Ok(Some(good)) => {
                progress.trouble = None;
                self.now.store(Arc::new(State {
                    good: Some(good),
                    fault: None,
                }));
            }
            Err((fault, now)) => {
                let since = match (&old.fault, progress.trouble) {
                    (_, Some((since, _))) => since,
                    _ => now,
                };
                let before = old.fault.as_ref().filter(|it| same(it, &fault));
                let is_same = before.is_some();
                // With the moment at which it was found: else it would be news at every look.
                let fault = before.cloned().unwrap_or(fault);
                let was_told = progress.trouble.is_some_and(|it| it.1) && is_same;
                let waits = fault.may_pass() && now.since(since) < patience;
                if !was_told && !waits {
                    let keeps_old = old.good.is_some();
                    let fault = fault.clone();
                    news.push(News::Broken { fault, keeps_old });
                }
                progress.trouble = Some((since, was_told || !waits));
                self.now.store(Arc::new(State {
                    good: old.good.clone(),
                    fault: Some(fault),
                }));
            }
        }
        news
    }

    /// Everything anew from the files.
    fn load(&self, now: Moment, news: &mut Vec<News>) -> Result<Option<Good>, Fault> {
        let (material, own) = Material::read(&self.source, &self.node, &self.site, now)?;
        let good = self.good(Arc::new(material), own)?;
        news.push(News::Loaded {
            until: good.own.until,
        });
        Ok(Some(good))
    }

    /// The next own certificate, where it is due.
    fn renew(
        &self,
        good: Option<&Good>,
        now: Moment,
        news: &mut Vec<News>,
    ) -> Result<Option<Good>, Fault> {
        let Some(good) = good else { return Ok(None) };
        good.material.check_time(now)?;
        let Some(end) = good.material.site_end() else {
            return Ok(None);
        };
        if !good.own.is_due(now, end) {
            return Ok(None);
        }
        let own = good.material.own(&self.node, &self.site, now)?;
        let good = self.good(Arc::clone(&good.material), own)?;
        news.push(News::Renewed {
            until: good.own.until,
        });
        Ok(Some(good))
    }

    fn good(&self, material: Arc<Material>, own: Own) -> Result<Good, Fault> {
        let [_, file, _] = self.source.files();
        let server = verify::server(&material.roots, &own.key, &self.clock).map_err(|it| {
            Fault::Refused {
                file,
                cause: it.to_string(),
            }
        })?;
        Ok(Good {
            server: Arc::new(server),
            material,
            own,
        })
    }

    fn look_at_mode(&self, progress: &mut Progress, news: &mut Vec<News>) {
        let [_, _, file] = self.source.files();
        let mode = files::exposed(&file);
        if let Some(mode) = mode.filter(|_| mode != progress.exposed) {
            news.push(News::Exposed { file, mode });
        }
        progress.exposed = mode;
    }
}

/// Whether it is the same fault, the moment at which it was found apart.
fn same(one: &Fault, other: &Fault) -> bool {
    let still = |it: &Fault| {
        let mut it = it.clone();
        if let Fault::Ended { now, .. } | Fault::Early { now, .. } = &mut it {
            *now = Moment(0);
        }
        it
    };
    still(one) == still(other)
}

/// Writes to the log what a look found.
pub(crate) fn tell(news: &News) {
    match news {
        News::Loaded { until } => {
            tracing::info!(%until, "certificates of links loaded");
        }
        News::Renewed { until } => {
            tracing::info!(%until, "this gateway's certificate for links renewed");
        }
        News::Broken {
            fault,
            keeps_old: true,
        } => {
            tracing::warn!("certificates of links not replaced, the old ones go on: {fault}");
        }
        News::Broken { fault, .. } => tracing::error!("no links to other sites: {fault}"),
        News::Exposed { file, mode } => {
            let file = file.display();
            tracing::warn!(%file, mode = format!("{mode:o}"), "every user of this machine can read the key of links; type chmod o= on it");
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("source", &self.source)
            .field("node", &self.node)
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
