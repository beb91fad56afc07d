//! The root of all links, and the intermediates that it signs for sites.
//!
//! Pure but for the randomness of keys: `now` is an argument, and nothing is read or written here (`files`).

use crate::fault::{Fault, MakeError};
use crate::files;
use crate::issued::Issued;
use crate::moment::Moment;
use crate::name::site_name;
use minato_config::SiteId;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A root is made once; replacing it means new files at every site.
const ROOT_LIFE: Duration = DAY.saturating_mul(3_653);
/// A year, for whoever issues on one day of each year, and a month to notice.
const SITE_LIFE: Duration = DAY.saturating_mul(400);
/// Everything is valid from this long before it was made: clocks of machines differ.
pub(crate) const EARLIER: Duration = Duration::from_secs(60 * 60);

/// A certificate and its key, as PEM.
#[derive(Debug)]
pub struct Made {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: Zeroizing<String>,
    /// Its last moment.
    pub until: Moment,
}

/// A root with its key: it can sign for sites.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    until: Moment,
}

impl Authority {
    /// A new root of ten years.
    pub fn create(now: Moment) -> Result<Made, MakeError> {
        let until = now.after(ROOT_LIFE);
        let mut params = constrained(
            now,
            until,
            &format!("minato root {}", now.date().date().year()),
            1,
        );
        params.name_constraints = None;
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Made {
            certificate: certificate.pem(),
            key: Zeroizing::new(key.serialize_pem()),
            until,
        })
    }

    /// The root whose files are `authority.crt` and `authority.key` in `folder`.
    pub fn read(folder: &Path, now: Moment) -> Result<Self, Fault> {
        let (file, key) = (folder.join(files::ROOT), folder.join(files::ROOT_KEY));
        let issued = Issued::read(&file)?;
        issued.check_time(now)?;
        let issuer = issued.issuer(&key)?;
        Ok(Self {
            issuer,
            certificate: issued.pem()?,
            until: issued.end(),
        })
    }

    /// The root's certificate as PEM: what every site checks its peers with.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// An intermediate for `site`: it can sign gateways of that site, and nothing else.
    pub fn issue(&self, site: &SiteId, now: Moment) -> Result<Made, MakeError> {
        let until = now.after(SITE_LIFE).min(self.until);
        let mut params = constrained(now, until, &format!("minato site {site}"), 0);
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(site_name(site))],
            // Names of other kinds than those named are not held by a constraint, so addresses are excluded by name.
            excluded_subtrees: vec![
                GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
                GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
            ],
        });
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Made {
            certificate: certificate.pem(),
            key: Zeroizing::new(key.serialize_pem()),
            until,
        })
    }
}

/// An authority below which stand at most `below` others.
fn constrained(now: Moment, until: Moment, name: &str, below: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = now.before(EARLIER).date();
    params.not_after = until.date();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "minato");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
