//! One certificate with its key: two files read, parsed and found to belong together.

use crate::provider::provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_cert::Certificate;
use x509_cert::der::{Decode, SliceReader};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use zeroize::Zeroizing;

/// Bytes of a file.
pub(crate) const MOST_BYTES: u64 = 1 << 20;
/// Certificates of one chain.
const MOST_CHAIN: usize = 16;

/// A certificate that can be served.
#[derive(Debug)]
pub(crate) struct Pair {
    /// The files' name without its ending.
    pub(crate) name: String,
    /// What rustls serves.
    pub(crate) key: Arc<CertifiedKey>,
    /// DNS names, in lower case; a wildcard as `*.example.org`.
    pub(crate) hosts: Vec<String>,
    /// IP addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// Unix seconds of its last moment.
    pub(crate) not_after: i64,
}

/// Why a pair is not served. `Display` says what, where, why and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Only one of the two files is there.
    #[error("{missing} is missing; put the other half there")]
    Half {
        /// The one that is not.
        missing: PathBuf,
    },
    /// A file could not be read.
    #[error("{file} cannot be read: {cause}")]
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
    #[error("{key} is not the private key of {certificate}; replace the one that is old")]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

impl Fault {
    /// Whether it may be only half of a change: the second file is yet to be written.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Half { .. } | Self::Mismatch { .. })
    }
}

/// Reads NAME.crt and NAME.key.
pub(crate) fn read(name: &str, certificate: &Path, key: &Path) -> Result<Pair, Fault> {
    let malformed = |file: &Path, wanted, cause: &dyn ToString| Fault::Malformed {
        file: file.to_owned(),
        wanted,
        cause: cause.to_string(),
    };
    let text = bytes(certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text)
        .take(MOST_CHAIN)
        .collect();
    let chain = chain.map_err(|it| malformed(certificate, "certificate", &it))?;
    let Some(first) = chain.first() else {
        return Err(malformed(certificate, "certificate", &"no such block"));
    };
    let facts = Facts::of(first).map_err(|it| malformed(certificate, "X.509 certificate", &it))?;
    let text = bytes(key)?;
    let private = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|it| malformed(key, "private key without a password", &it))?;
    let signer = provider()
        .key_provider
        .load_private_key(private)
        .map_err(|it| malformed(key, "private key of a kind that is known", &it))?;
    let certified = CertifiedKey::new(chain, signer);
    certified.keys_match().map_err(|_| Fault::Mismatch {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    })?;
    Ok(Pair {
        name: name.to_owned(),
        key: Arc::new(certified),
        hosts: facts.hosts,
        addresses: facts.addresses,
        not_after: facts.not_after,
    })
}

fn bytes(file: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let read = || {
        let length = std::fs::metadata(file)?.len();
        if length > MOST_BYTES {
            return Err(std::io::Error::other("it is longer than 1 MiB"));
        }
        std::fs::read(file)
    };
    match read() {
        Ok(bytes) => Ok(Zeroizing::new(bytes)),
        Err(error) => Err(Fault::Unreadable {
            file: file.to_owned(),
            cause: error.to_string(),
        }),
    }
}

/// What a certificate says of itself.
struct Facts {
    hosts: Vec<String>,
    addresses: Vec<IpAddr>,
    not_after: i64,
}

impl Facts {
    fn of(der: &[u8]) -> Result<Self, x509_cert::der::Error> {
        let certificate = Certificate::decode(&mut SliceReader::new(der)?)?;
        let certificate = certificate.tbs_certificate;
        let mut facts = Self {
            hosts: Vec::new(),
            addresses: Vec::new(),
            not_after: i64::try_from(certificate.validity.not_after.to_unix_duration().as_secs())
                .unwrap_or(i64::MAX),
        };
        let names = certificate.get::<SubjectAltName>()?;
        for name in names.into_iter().flat_map(|(_, it)| it.0) {
            match name {
                GeneralName::DnsName(it) => facts.hosts.push(it.as_str().to_ascii_lowercase()),
                GeneralName::IpAddress(it) => facts.addresses.extend(address(it.as_bytes())),
                _ => {}
            }
        }
        Ok(facts)
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// The subject of a certificate as RFC 4514 writes it, such as `CN=alice,O=Example`.
pub(crate) fn subject(der: &[u8]) -> Option<String> {
    let certificate = Certificate::decode(&mut SliceReader::new(der).ok()?).ok()?;
    Some(certificate.tbs_certificate.subject.to_string())
}
