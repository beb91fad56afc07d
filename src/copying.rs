//! Copying the site from one store to another, when the process that uses it changes.
//!
//! Both stores have no other writer than this machine's minato while one is copied. A running one is upgraded for it: the
//! old process lets its store go, and the new one, before it takes up anything, copies. Requests are served all the
//! while. What is to be copied stands in a file of the data folder, so that it is done after a crash, too: whichever
//! process opens the new store next does it. The steps in the stores are those of [`Copying`].

use crate::site_store::{self, SiteStore};
use anyhow::{Context as _, bail};
use minato_config::{NodeId, Settings};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Copied, CopyError, Copying, StoreError};
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

/// What is to be copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    v: u32,
    /// Settings file that names the store of before, absolute.
    from: PathBuf,
    /// Name of the store that it goes to.
    to: String,
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
        }
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
    ) -> anyhow::Result<Option<Copied>> {
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
        Ok(Some(copied))
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
    minato_config_files::read(path).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", all.join("\n"))
    })
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
