//! A file of certificates, read: the first one's facts, and the chain that follows it.

use crate::fault::Fault;
use crate::moment::Moment;
use rcgen::{Issuer, KeyPair, PublicKeyData};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::Read;
use std::path::{Path, PathBuf};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

/// Bytes of a file.
const MOST_BYTES: u64 = 1 << 20;
/// Certificates of one file.
const MOST_CHAIN: usize = 16;

/// What stands in one file.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    file: PathBuf,
    /// Never empty.
    chain: Vec<CertificateDer<'static>>,
    /// First and last moment of each.
    times: Vec<(Moment, Moment)>,
    /// The narrowest time in which all of the chain is valid.
    begin: Moment,
    end: Moment,
}

impl Issued {
    /// Reads a PEM file of 1 to 16 certificates.
    pub(crate) fn read(file: &Path) -> Result<Self, Fault> {
        let malformed = |cause: String| Fault::Malformed {
            file: file.to_owned(),
            wanted: "certificate",
            cause,
        };
        let text = bytes(file)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text)
            .take(MOST_CHAIN)
            .collect();
        let chain = chain.map_err(|it| malformed(it.to_string()))?;
        let mut times = Vec::with_capacity(chain.len());
        for der in &chain {
            let facts = parse(der).map_err(malformed)?;
            let validity = facts.validity();
            times.push((
                Moment(validity.not_before.timestamp()),
                Moment(validity.not_after.timestamp()),
            ));
        }
        let begin = times.iter().map(|it| it.0).max();
        let end = times.iter().map(|it| it.1).min();
        let (Some(begin), Some(end)) = (begin, end) else {
            return Err(malformed("no such block".to_owned()));
        };
        Ok(Self {
            file: file.to_owned(),
            chain,
            times,
            begin,
            end,
        })
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Each certificate for itself.
    pub(crate) fn each(&self) -> impl Iterator<Item = Self> {
        let times = self.times.iter();
        self.chain
            .iter()
            .zip(times)
            .map(|(der, (begin, end))| Self {
                file: self.file.clone(),
                chain: vec![der.clone()],
                times: vec![(*begin, *end)],
                begin: *begin,
                end: *end,
            })
    }

    pub(crate) fn begin(&self) -> Moment {
        self.begin
    }

    pub(crate) fn end(&self) -> Moment {
        self.end
    }

    /// Whether it is valid at `now`.
    pub(crate) fn check_time(&self, now: Moment) -> Result<(), Fault> {
        let file = self.file.clone();
        if now < self.begin {
            let begin = self.begin;
            return Err(Fault::Early { file, begin, now });
        }
        if now > self.end {
            let end = self.end;
            return Err(Fault::Ended { file, end, now });
        }
        Ok(())
    }

    /// The file as it is.
    pub(crate) fn pem(&self) -> Result<String, Fault> {
        let text = bytes(&self.file)?;
        String::from_utf8(text.to_vec()).map_err(|it| Fault::Malformed {
            file: self.file.clone(),
            wanted: "certificate",
            cause: it.to_string(),
        })
    }

    /// An authority that can sign with the key in the file `key`.
    pub(crate) fn issuer(&self, key: &Path) -> Result<Issuer<'static, KeyPair>, Fault> {
        let malformed = |file: &Path, wanted, cause: String| Fault::Malformed {
            file: file.to_owned(),
            wanted,
            cause,
        };
        let private = private_key(key)?;
        let pair = KeyPair::try_from(&private)
            .map_err(|it| malformed(key, "private key of a kind that is known", it.to_string()))?;
        let Some(first) = self.chain.first() else {
            return Err(malformed(
                &self.file,
                "certificate",
                "no such block".to_owned(),
            ));
        };
        let facts = parse(first).map_err(|it| malformed(&self.file, "certificate", it))?;
        if facts.public_key().raw != pair.subject_public_key_info() {
            return Err(Fault::Mismatch {
                certificate: self.file.clone(),
                key: key.to_owned(),
            });
        }
        if !facts.is_ca() {
            let cause = "it is the certificate of a machine, not of an authority".to_owned();
            return Err(malformed(&self.file, "authority", cause));
        }
        Issuer::from_ca_cert_der(first, pair)
            .map_err(|it| malformed(&self.file, "authority that can sign", it.to_string()))
    }
}

/// Reads a private key without a password.
pub(crate) fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let text = bytes(file)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|it| Fault::Malformed {
        file: file.to_owned(),
        wanted: "private key without a password",
        cause: it.to_string(),
    })
}

/// A certificate's facts, or why it is none.
pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], facts)) => Ok(facts),
        Ok(_) => Err("something follows the certificate".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The DNS names of a certificate.
pub(crate) fn dns_names<'a>(facts: &'a X509Certificate<'_>) -> Result<Vec<&'a str>, String> {
    let names = facts
        .subject_alternative_name()
        .map_err(|it| it.to_string())?;
    let names = names.into_iter().flat_map(|it| &it.value.general_names);
    Ok(names
        .filter_map(|it| match it {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        })
        .collect())
}

fn bytes(file: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let read = || {
        let mut text = Zeroizing::new(Vec::new());
        let opened = std::fs::File::open(file)?;
        opened.take(MOST_BYTES + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MOST_BYTES {
            return Err(std::io::Error::other("it is longer than 1 MiB"));
        }
        Ok(text)
    };
    read().map_err(|error| Fault::Unreadable {
        file: file.to_owned(),
        cause: error.to_string(),
    })
}
