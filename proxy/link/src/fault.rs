//! Why there is no identity, or none could be made. Each text says what, where, why and what to do.

use crate::moment::Moment;
use minato_config::SiteId;
use std::path::PathBuf;

/// Why a site's certificates are not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A file could not be read.
    #[error("{file} cannot be read: {cause}; put there what `minato ca issue` made for this site")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// A file does not hold what it should.
    #[error("{file} holds no {wanted}: {cause}; write it as PEM")]
    Malformed {
        /// Which.
        file: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// The key is another certificate's.
    #[error(
        "{key} is not the private key of {certificate}; put both there as they were made together"
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The authority does not stand behind it.
    #[error(
        "{file} was not signed by {authority}; take both from one folder of `minato ca issue`, or issue again from that root"
    )]
    Unsigned {
        /// The certificate's file.
        file: PathBuf,
        /// The authority's file.
        authority: PathBuf,
    },
    /// It is another site's.
    #[error(
        "{file} cannot speak for site `{site}`: {cause}; type `minato ca issue {site}` and take that folder"
    )]
    WrongSite {
        /// The certificate's file.
        file: PathBuf,
        /// This site.
        site: SiteId,
        /// What it says.
        cause: String,
    },
    /// Its time is over.
    #[error(
        "{file} ended at {end}, and this machine's clock says {now}; type `minato ca issue` for this site again, unless the clock is wrong"
    )]
    Ended {
        /// Which.
        file: PathBuf,
        /// Its last moment.
        end: Moment,
        /// This machine's clock.
        now: Moment,
    },
    /// Its time has not begun, which mostly means that a clock is wrong.
    #[error(
        "{file} is valid from {begin} on, and this machine's clock says {now}: the clock here, or where it was made, is wrong; set it"
    )]
    Early {
        /// Which.
        file: PathBuf,
        /// Its first moment.
        begin: Moment,
        /// This machine's clock.
        now: Moment,
    },
    /// Anything else that those who check it would say.
    #[error(
        "{file} would be refused by other sites: {cause}; issue it again with `minato ca issue`"
    )]
    Refused {
        /// Which.
        file: PathBuf,
        /// What rustls says.
        cause: String,
    },
    /// This machine cannot make a key or a certificate.
    #[error("no certificate could be made from {file}: {cause}")]
    Making {
        /// The intermediate.
        file: PathBuf,
        /// Why.
        cause: String,
    },
    /// There is no time.
    #[error(
        "this machine has no clock that can be read; certificates cannot be checked without one"
    )]
    NoClock,
}

impl Fault {
    /// Whether it may be only half of a change: other files are yet to be written.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Mismatch { .. }
                | Self::Unsigned { .. }
                | Self::Unreadable { .. }
                | Self::Malformed { .. }
        )
    }
}

/// Why `minato ca` made nothing.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// There is one.
    #[error(
        "{file} is there already and is never overwritten: every site's certificates hang on it; choose another --dir for another root"
    )]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// What is there belongs to something else.
    #[error("{file} is there already and {found}; choose another --out")]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What it is.
        found: String,
    },
    /// No root where one is needed, or a bad one.
    #[error("no root to sign with: {0}")]
    Root(#[source] Fault),
    /// A file could not be written.
    #[error("{file} cannot be written: {cause}")]
    Write {
        /// Which.
        file: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The library refused.
    #[error("no certificate could be made: {0}")]
    Make(#[from] rcgen::Error),
}
