//! An authority of our own, and certificates in a folder.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use std::path::{Path, PathBuf};

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key as PEM.
pub(crate) struct Pem {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// When a certificate is valid.
#[derive(Clone, Copy)]
pub(crate) enum Time {
    Now,
    Over,
    ToCome,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Names and addresses go into the subject's alternative names.
    pub(crate) fn sign(&self, names: &[&str], time: Time) -> Pem {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|it| (*it).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let (first, last) = match time {
            Time::Now => (2020, 2090),
            Time::Over => (2020, 2021),
            Time::ToCome => (2089, 2090),
        };
        params.not_before = date_time_ymd(first, 1, 1);
        params.not_after = date_time_ymd(last, 1, 1);
        self.finish(&params, &key)
    }

    /// For a client; `name` is its common name.
    pub(crate) fn sign_client(&self, name: &str) -> Pem {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.finish(&params, &key)
    }

    fn finish(&self, params: &CertificateParams, key: &KeyPair) -> Pem {
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        Pem {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// Its own certificate as a file.
    pub(crate) fn write(&self, file: &Path) -> PathBuf {
        std::fs::write(file, &self.pem).unwrap();
        file.to_owned()
    }
}

impl Pem {
    /// As NAME.crt and NAME.key.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        self.write_key(folder, name);
        self.write_certificate(folder, name);
    }

    pub(crate) fn write_certificate(&self, folder: &Path, name: &str) {
        put(&folder.join(format!("{name}.crt")), &self.certificate);
    }

    pub(crate) fn write_key(&self, folder: &Path, name: &str) {
        put(&folder.join(format!("{name}.key")), &self.key);
    }
}

/// Whole or not at all.
pub(crate) fn put(file: &Path, text: &str) {
    let next = file.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(next, file).unwrap();
}
