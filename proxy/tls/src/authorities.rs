//! Authorities that are believed: from a PEM file, or the system's.

use crate::certificates::MOST_BYTES;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// No authority can be believed, so nobody can be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthoritiesError {
    /// The file cannot be used.
    #[error("{file}: {cause}")]
    File {
        /// Which.
        file: PathBuf,
        /// Why, and what to do.
        cause: String,
    },
    /// The system has none.
    #[error(
        "this system has no authorities ({cause}); install ca-certificates, or name a PEM file with `ca`"
    )]
    System {
        /// What was tried.
        cause: String,
    },
}

/// Every certificate of a PEM file, and the file's bytes.
pub(crate) fn read(file: &Path) -> Result<(RootCertStore, Vec<u8>), AuthoritiesError> {
    let wrong = |cause: String| AuthoritiesError::File {
        file: file.to_owned(),
        cause,
    };
    let length = std::fs::metadata(file).map_err(|it| wrong(it.to_string()))?;
    if length.len() > MOST_BYTES {
        return Err(wrong("it is longer than 1 MiB".to_owned()));
    }
    let bytes = std::fs::read(file).map_err(|it| wrong(it.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let added = certificate.map(|it| roots.add(it));
        match added {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                return Err(wrong(format!(
                    "a certificate in it cannot be read: {error}"
                )));
            }
            Err(error) => return Err(wrong(format!("it is not PEM: {error}"))),
        }
    }
    if roots.is_empty() {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    Ok((roots, bytes))
}

/// The system's, read once for each process.
pub(crate) fn system() -> Result<Arc<RootCertStore>, AuthoritiesError> {
    static SYSTEM: OnceLock<Result<Arc<RootCertStore>, AuthoritiesError>> = OnceLock::new();
    SYSTEM.get_or_init(load).clone()
}

fn load() -> Result<Arc<RootCertStore>, AuthoritiesError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One odd certificate among a hundred good ones is none of ours.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors = found.errors.iter().map(ToString::to_string);
        let cause = errors.take(3).collect::<Vec<_>>().join("; ");
        return Err(AuthoritiesError::System { cause });
    }
    Ok(Arc::new(roots))
}
