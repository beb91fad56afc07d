//! The store that the settings name, opened: a file of this machine, or an etcd cluster.
//!
//! Not here: copying one to another (`copying`).

use anyhow::bail;
use minato_config::{EtcdSettings, Settings};
use minato_control_store::keys::Keys;
use minato_control_store::{
    Embedded, Etcd, EtcdIdentity, EtcdOptions, EtcdTls, EtcdUser, Options, SharedStore, StoreError,
};
use std::path::Path;
use std::sync::Arc;

/// An open store.
#[derive(Debug)]
pub(crate) enum SiteStore {
    Embedded(Arc<Embedded>),
    Etcd(Arc<Etcd>),
}

impl SiteStore {
    /// The embedded one is held from here on: only one process can have it open. Of etcd nothing is asked yet.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        match &settings.etcd {
            Some(it) => Ok(Self::Etcd(Arc::new(Etcd::new(options(it, settings))?))),
            None => embedded(&settings.data),
        }
    }

    pub(crate) fn shared(&self) -> SharedStore {
        match self {
            Self::Embedded(it) => it.clone(),
            Self::Etcd(it) => it.clone(),
        }
    }

    /// Lets it go, while others may still hold it: their calls fail from now on.
    pub(crate) async fn close(&self) {
        match self {
            Self::Embedded(it) => it.close().await,
            Self::Etcd(it) => it.close(),
        }
    }
}

/// Where the settings' store is, as an operator knows it.
pub(crate) fn name(settings: &Settings) -> String {
    match &settings.etcd {
        Some(it) => format!("etcd {}", it.endpoints.join(", ")),
        None => settings.data.display().to_string(),
    }
}

pub(crate) fn options(it: &EtcdSettings, settings: &Settings) -> EtcdOptions {
    EtcdOptions {
        tls: EtcdTls {
            ca: it.ca.clone(),
            identity: it
                .identity
                .clone()
                .map(|(certificate, key)| EtcdIdentity { certificate, key }),
        },
        user: it.user.clone().map(|(name, password_file)| EtcdUser {
            name,
            password_file,
        }),
        ..EtcdOptions::new(it.endpoints.clone(), Keys::new(&settings.site).voids())
    }
}

fn embedded(data: &Path) -> anyhow::Result<SiteStore> {
    match Embedded::open(data, Options::default()) {
        Err(StoreError::Disk { cause, .. })
            if cause.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            bail!(
                "no permission to use the data folder {}: run as root, or name another with [store] path in minato.toml",
                data.display()
            )
        }
        other => Ok(SiteStore::Embedded(Arc::new(other?))),
    }
}
