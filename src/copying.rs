//! Copying the site from one store to another, when the process that uses it changes.
//!
//! Both stores have no other writer than this machine's minato while one is copied. A running one is upgraded for it: the
//! old process copies most of it while everything runs, and lets its store go; the new one, before it takes up anything,
//! copies what changed since. Requests are served all the while. What is to be copied stands in a file of the data folder,
//! so that it is done after a crash, too: whichever process opens the new store next does it. The steps in the stores are
//! those of [`Copying`].

use crate::clock;
use crate::site_store::{self, SiteStore};
use anyhow::{Context as _, bail};
use minato_config::{NodeId, Settings, Timestamp};
use minato_control_server::api::CopiedStatus;
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{CopyError, Copying, InUse, SharedStore, StoreError};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILE: &str = "copy.json";
/// Bytes of the file.
const MOST: u64 = 64 << 10;
/// Between tries while one of the stores is away.
const RETRY: Duration = Duration::from_secs(1);
/// What copying ahead may take; nothing waits for it but who asked.
const AHEAD: Duration = Duration::from_secs(60);
/// How long nobody has any store while it is looked which of two is in use.
const SETTLE: Duration = Duration::from_secs(30);

/// What is to be copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    v: u32,
    /// Settings file that names the store of before, absolute.
    from: PathBuf,
    /// Name of the store that it goes to.
    to: String,
    /// Writes that were copied while the old store was in use.
    #[serde(default)]
    ahead: usize,
    /// Since when the old store is not in use any more.
    #[serde(default)]
    paused: Option<Timestamp>,
}

/// How long a store may be away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Another process waits, and goes on where this one gives up.
    Short,
    /// Nobody else can go on.
    Endless,
}

impl Order {
    pub(crate) fn new(from: PathBuf, new: &Settings) -> Self {
        Self {
            v: 1,
            from,
            to: site_store::name(new),
            ahead: 0,
            paused: None,
        }
    }

    /// Copies what there is while `source`, which `old` names, is in use. `None` where this order is about others. The error leaves
    /// all as it was.
    pub(crate) async fn ahead(
        mut self,
        (old, source): (&Settings, &SharedStore),
        new: &Settings,
    ) -> anyhow::Result<Option<Self>> {
        let (from, to) = (read(&self.from)?, site_store::name(new));
        let is_ours = site_store::name(&from) == site_store::name(old);
        if self.to != to || !is_ours || to == site_store::name(old) {
            return Ok(None);
        }
        check(old, new)?;
        let target = SiteStore::open(new)?;
        let (shared, keys) = (target.shared(), Keys::new(&new.site));
        let copying = Copying {
            source: &**source,
            target: &*shared,
            keys: &keys,
            target_name: &to,
        };
        let copied = tokio::time::timeout(AHEAD, copying.ahead()).await;
        target.close().await;
        let copied = copied
            .with_context(|| format!("no end within {AHEAD:?}"))
            .and_then(|it| Ok(it?));
        let copied = copied.with_context(|| {
            format!(
                "copying the store from {} to {to} while it is in use",
                site_store::name(old)
            )
        })?;
        self.ahead = copied.changes;
        Ok(Some(self))
    }

    /// The old store is let go from now on.
    pub(crate) fn pause(mut self, data: &Path) -> anyhow::Result<()> {
        self.paused = Some(clock::wall());
        self.write(data)
    }

    pub(crate) fn write(&self, data: &Path) -> anyhow::Result<()> {
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(data)?;
            serde_json::to_writer(&mut file, self)?;
            file.as_file().sync_all()?;
            file.persist(data.join(FILE))?;
            Ok::<(), std::io::Error>(())
        };
        write().with_context(|| format!("{} cannot be written", data.join(FILE).display()))
    }

    /// `None` where nothing is to be copied.
    pub(crate) fn read(data: &Path) -> anyhow::Result<Option<Self>> {
        let path = data.join(FILE);
        let read = || match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
            Ok(it) if it.len() > MOST => bail!("it is too long"),
            Ok(_) => Ok(Some(serde_json::from_slice(&fs::read(&path)?)?)),
        };
        read().with_context(|| {
            format!(
                "{}, which says what is to be copied, cannot be read; remove it to go on without copying",
                path.display()
            )
        })
    }

    pub(crate) fn remove(data: &Path) {
        if let Err(error) = fs::remove_file(data.join(FILE))
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %data.join(FILE).display(), "What was copied would be copied again: remove this file");
        }
    }

    /// Copies into `target`, which `new` names. `None` where the order is about another store.
    pub(crate) async fn carry_out(
        &self,
        new: &Settings,
        node: &NodeId,
        target: &SiteStore,
        patience: Patience,
    ) -> anyhow::Result<Option<Copy>> {
        let target_name = site_store::name(new);
        if self.to != target_name {
            tracing::warn!(to = self.to, store = target_name, file = %new.data.join(FILE).display(), "A copy to another store was begun and has not ended; end it with minato store copy, or remove the file");
            return Ok(None);
        }
        let old = read(&self.from)?;
        check(&old, new)?;
        let (source, keys) = (SiteStore::open(&old)?, Keys::new(&new.site));
        let (from, to) = (source.shared(), target.shared());
        let copying = Copying {
            source: &*from,
            target: &*to,
            keys: &keys,
            target_name: &target_name,
        };
        let copied = loop {
            let tried = match others(&source, &keys, node).await {
                Ok(()) => copying.run().await,
                Err(error) => Err(error),
            };
            match tried {
                Err(CopyError::Source(error) | CopyError::Target(error))
                    if patience == Patience::Endless && is_away(&error) =>
                {
                    tracing::warn!(%error, "The store cannot be copied yet; requests are served meanwhile");
                    tokio::time::sleep(RETRY).await;
                }
                other => break other,
            }
        };
        source.close().await;
        let copied = copied.with_context(|| {
            format!(
                "copying the store from {} to {target_name}",
                site_store::name(&old)
            )
        })?;
        Self::remove(&new.data);
        Ok(Some(Copy {
            status: CopiedStatus {
                keys: copied.keys,
                ahead: self.ahead,
                changes: copied.changes,
                paused_ms: None,
                era: copied.era,
            },
            paused: self.paused,
        }))
    }
}

/// The store to go on with, after the process that was to copy from the one of `old` to the one of `new` has failed; and which it is. Where
/// the other does not answer for [`SETTLE`] it is the old one: should the copy have ended all the same, the other's era is
/// below what is remembered here, so that nobody goes on with it unasked.
pub(crate) async fn settle(old: &Settings, new: &Settings) -> anyhow::Result<(SiteStore, InUse)> {
    let (source, target) = (SiteStore::open(old)?, SiteStore::open(new)?);
    let (from, to, keys) = (source.shared(), target.shared(), Keys::new(&new.site));
    let copying = Copying {
        source: &*from,
        target: &*to,
        keys: &keys,
        target_name: &site_store::name(new),
    };
    let began = clock::now();
    loop {
        match copying.settle().await {
            Ok(InUse::Source) => {
                target.close().await;
                return Ok((source, InUse::Source));
            }
            Ok(InUse::Target) => {
                source.close().await;
                return Ok((target, InUse::Target));
            }
            Err(error) if began.elapsed() < SETTLE => {
                tracing::warn!(%error, "Which store is in use cannot be told yet; requests are served meanwhile");
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => {
                tracing::warn!(%error, "Which store is in use cannot be told; going on with the old one");
                if let Err(error) = minato_control_store::reclaim(&*from, &keys).await {
                    tracing::warn!(%error, "The old store could not be taken back into use; copy again when it answers");
                }
                target.close().await;
                return Ok((source, InUse::Source));
            }
        }
    }
}

/// A copy that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy {
    status: CopiedStatus,
    paused: Option<Timestamp>,
}

impl Copy {
    /// The new store is in use from now on.
    pub(crate) fn in_use(self) -> CopiedStatus {
        let paused = self.paused.map(|it| clock::wall().0.saturating_sub(it.0));
        CopiedStatus {
            paused_ms: paused,
            ..self.status
        }
    }
}

fn is_away(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unreachable { .. } | StoreError::Refused { .. }
    )
}

/// The settings in `path`, as one error.
pub(crate) fn read(path: &Path) -> anyhow::Result<Settings> {
    minato_config_files::read(path).map_err(|problems| as_one(&problems))
}

/// The settings that a process which takes over will read, where this one was started with `path`.
pub(crate) fn read_for(path: Option<&Path>) -> anyhow::Result<Settings> {
    minato_config_files::read_or_default(path).map_err(|problems| as_one(&problems))
}

fn as_one<T: ToString>(problems: &[T]) -> anyhow::Error {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("{}", all.join("\n"))
}

/// Whether one can take the place of the other.
pub(crate) fn check(old: &Settings, new: &Settings) -> anyhow::Result<()> {
    if site_store::name(old) == site_store::name(new) {
        bail!(
            "both settings name the same store, {}",
            site_store::name(new)
        );
    }
    if old.etcd.is_some() && new.etcd.is_some() {
        bail!(
            "from etcd to etcd nothing is copied by minato: add members of the new cluster to the old one, or restore a snapshot (docs/etcd.md)"
        );
    }
    if old.site != new.site {
        bail!(
            "the settings are of two sites, {} and {}",
            old.site,
            new.site
        );
    }
    if old.data != new.data {
        bail!(
            "the data folder must stay the same, since it holds what belongs to running instances: [store] path is {} and {}",
            old.data.display(),
            new.data.display()
        );
    }
    Ok(())
}

/// Nobody but `node` may use a store that is left.
pub(crate) async fn others(
    source: &SiteStore,
    keys: &Keys,
    node: &NodeId,
) -> Result<(), CopyError> {
    let listing = source.shared().list(keys.root()).await;
    let listing = listing.map_err(CopyError::Source)?;
    let other = listing
        .entries
        .iter()
        .find_map(|it| match keys.parse(&it.key)? {
            Key::NodeAlive(other) if other != *node => Some(other.to_string()),
            Key::GatewayAlive(other) if other.as_str() != node.as_str() => Some(other.to_string()),
            _ => None,
        });
    match other {
        None => Ok(()),
        Some(other) => Err(CopyError::Refused(format!(
            "{other} uses the store to copy from, too: stop minato there first (its word lasts 20 s), since what it writes after the copy would be lost"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_written_and_can_be_absent_or_broken() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        assert_eq!(Order::read(data).expect("read"), None);
        let order = Order::new(PathBuf::from("/etc/old.toml"), &Settings::default());
        order.write(data).expect("written");
        assert_eq!(Order::read(data).expect("read"), Some(order));
        fs::write(data.join(FILE), "{").expect("written");
        let error = format!("{:#}", Order::read(data).expect_err("broken"));
        assert!(
            error.contains(FILE) && error.contains("remove it"),
            "{error}"
        );
        Order::remove(data);
        assert_eq!(Order::read(data).expect("read"), None);
    }
}
