//! What stands on the disk for a site's identity, read and checked as its peers would check it.

use crate::fault::Fault;
use crate::files;
use crate::issued::{Issued, private_key};
use crate::moment::Moment;
use crate::own::Own;
use crate::verify::{self, provider};
use minato_config::{NodeId, SiteId};
use rcgen::{Issuer, KeyPair};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, RootCertStore};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::prelude::{GeneralName, X509Certificate};

/// Where a site's identity stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder that `minato ca issue` made: `authority.crt`, `site.crt`, `site.key`.
    Folder(PathBuf),
    /// Certificates that somebody else made and renews, as PEM files.
    Given {
        /// The authorities that peers' certificates end at.
        authority: PathBuf,
        /// The gateway's own, and what stands between it and the authority.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// Device, inode, length, and when it changed, to the nanosecond.
pub(crate) type Stamp = (u64, u64, u64, i64, i64);

impl Source {
    /// Authority, certificate, key.
    pub(crate) fn files(&self) -> [PathBuf; 3] {
        match self {
            Self::Folder(folder) => {
                [files::ROOT, files::SITE, files::SITE_KEY].map(|it| folder.join(it))
            }
            Self::Given {
                authority,
                certificate,
                key,
            } => [authority.clone(), certificate.clone(), key.clone()],
        }
    }

    /// What tells a changed file from an unchanged one.
    pub(crate) fn stamps(&self) -> [Option<Stamp>; 3] {
        self.files().map(|it| {
            let it = std::fs::metadata(it).ok()?;
            Some((it.dev(), it.ino(), it.len(), it.ctime(), it.ctime_nsec()))
        })
    }
}

/// Files that go together and that a peer would believe.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) roots_end: Moment,
    maker: Maker,
}

#[derive(Debug)]
enum Maker {
    Intermediate {
        issued: Box<Issued>,
        issuer: Box<Issuer<'static, KeyPair>>,
    },
    Given {
        issued: Box<Issued>,
        key: Arc<CertifiedKey>,
    },
}

impl Material {
    /// Reads the files, makes what peers will be shown, and checks it as they do.
    pub(crate) fn read(
        source: &Source,
        node: &NodeId,
        site: &SiteId,
        now: Moment,
    ) -> Result<(Self, Own), Fault> {
        let [authority, certificate, key] = source.files();
        let (roots, roots_end) = read_roots(&authority, now)?;
        let issued = Box::new(Issued::read(&certificate)?);
        issued.check_time(now)?;
        let maker = match source {
            Source::Folder(_) => Maker::Intermediate {
                issuer: Box::new(issued.issuer(&key)?),
                issued,
            },
            Source::Given { .. } => Maker::Given {
                key: given(&issued, &key)?,
                issued,
            },
        };
        let this = Self {
            roots,
            roots_end,
            maker,
        };
        let own = this.own(node, site, now)?;
        verify::check(&this.roots, &own.key.cert, site, now)
            .map_err(|it| refusal(&it, &certificate, &authority, site))?;
        Ok((this, own))
    }

    /// What peers are shown from `now` on: made anew, or as it was given.
    pub(crate) fn own(&self, node: &NodeId, site: &SiteId, now: Moment) -> Result<Own, Fault> {
        match &self.maker {
            Maker::Intermediate { issued, issuer } => Own::make(issued, issuer, node, site, now),
            Maker::Given { issued, key } => Ok(Own {
                key: Arc::clone(key),
                made: issued.begin(),
                until: issued.end(),
            }),
        }
    }

    /// The last moment of the intermediate, where there is one.
    pub(crate) fn site_end(&self) -> Option<Moment> {
        match &self.maker {
            Maker::Intermediate { issued, .. } => Some(issued.end()),
            Maker::Given { .. } => None,
        }
    }

    /// Whether what was read is valid at `now`.
    pub(crate) fn check_time(&self, now: Moment) -> Result<(), Fault> {
        match &self.maker {
            Maker::Intermediate { issued, .. } | Maker::Given { issued, .. } => {
                issued.check_time(now)
            }
        }
    }
}

/// Those of the authorities in `file` that are valid now, and when the last of them ends. Several stand there while one root
/// follows another.
pub(crate) fn read_roots(file: &Path, now: Moment) -> Result<(Arc<RootCertStore>, Moment), Fault> {
    let issued = Issued::read(file)?;
    let mut roots = RootCertStore::empty();
    let (mut end, mut first) = (Moment(i64::MIN), None);
    for one in issued.each() {
        if let Err(fault) = one.check_time(now) {
            first.get_or_insert(fault);
            continue;
        }
        for der in one.chain() {
            roots.add(der.clone()).map_err(|it| Fault::Malformed {
                file: file.to_owned(),
                wanted: "authority",
                cause: it.to_string(),
            })?;
        }
        end = end.max(one.end());
    }
    match first {
        Some(fault) if roots.is_empty() => Err(fault),
        _ => Ok((Arc::new(roots), end)),
    }
}

/// A certificate of a machine with its key, as rustls takes it.
fn given(issued: &Issued, key: &Path) -> Result<Arc<CertifiedKey>, Fault> {
    let signer = provider()
        .key_provider
        .load_private_key(private_key(key)?)
        .map_err(|it| Fault::Malformed {
            file: key.to_owned(),
            wanted: "private key of a kind that is known",
            cause: it.to_string(),
        })?;
    let certified = CertifiedKey::new(issued.chain().to_vec(), signer);
    certified.keys_match().map_err(|_| Fault::Mismatch {
        certificate: issued.file().to_owned(),
        key: key.to_owned(),
    })?;
    Ok(Arc::new(certified))
}

/// What a peer would say, as a word to this site's operator.
fn refusal(error: &Error, certificate: &Path, authority: &Path, site: &SiteId) -> Fault {
    let file = certificate.to_owned();
    match error {
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => Fault::Unsigned {
            file,
            authority: authority.to_owned(),
        },
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            let text = other.0.to_string();
            let cause = if text.contains("NameConstraintViolation") {
                "it was issued for another site".to_owned()
            } else {
                text
            };
            Fault::WrongSite {
                file,
                site: site.clone(),
                cause,
            }
        }
        other => Fault::Refused {
            file,
            cause: other.to_string(),
        },
    }
}

/// The DNS names below which an authority may make names; empty where it may make any.
pub(crate) fn permitted(facts: &X509Certificate<'_>) -> Vec<String> {
    let constraints = facts.name_constraints().ok().flatten();
    let permitted = constraints.and_then(|it| it.value.permitted_subtrees.as_ref());
    let names = permitted
        .into_iter()
        .flatten()
        .filter_map(|it| match &it.base {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
    names.collect()
}
