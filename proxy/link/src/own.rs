//! A gateway's own certificate, made from its site's intermediate, and when the next one is due.

use crate::authority::EARLIER;
use crate::fault::Fault;
use crate::issued::Issued;
use crate::moment::Moment;
use crate::name::gateway_name;
use crate::verify::provider;
use minato_config::{NodeId, SiteId};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::Duration;

/// How long a gateway's certificate lives, unless the intermediate ends before.
const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A renewal that would gain less is none: else the last days of an intermediate would be one renewal after another.
const LEAST_GAIN: Duration = Duration::from_secs(60 * 60);

/// What a gateway shows to peers.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    /// With the key, as rustls takes it.
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) made: Moment,
    pub(crate) until: Moment,
}

impl Own {
    /// Makes one that is valid from now on.
    pub(crate) fn make(
        intermediate: &Issued,
        issuer: &Issuer<'static, KeyPair>,
        node: &NodeId,
        site: &SiteId,
        now: Moment,
    ) -> Result<Self, Fault> {
        let failed = |cause: String| Fault::Making {
            file: intermediate.file().to_owned(),
            cause,
        };
        let until = end(now, intermediate.end());
        let mut params = CertificateParams::new([gateway_name(node, site)])
            .map_err(|it| failed(it.to_string()))?;
        params.not_before = now.before(EARLIER).date();
        params.not_after = until.date();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "minato");
        params
            .distinguished_name
            .push(DnType::OrganizationalUnitName, site.as_str());
        // Not the whole name: a common name ends at 64 octets.
        params
            .distinguished_name
            .push(DnType::CommonName, node.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let pair = KeyPair::generate().map_err(|it| failed(it.to_string()))?;
        let certificate = params
            .signed_by(&pair, issuer)
            .map_err(|it| failed(it.to_string()))?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let signer = provider()
            .key_provider
            .load_private_key(private)
            .map_err(|it| failed(it.to_string()))?;
        let mut chain = vec![certificate.der().clone()];
        chain.extend_from_slice(intermediate.chain());
        Ok(Self {
            key: Arc::new(CertifiedKey::new(chain, signer)),
            made: now,
            until,
        })
    }

    /// Whether the next one is due at `now`: at two thirds of this one's life, if the next would live longer; and where the clock
    /// was set back so far that this one is about to be valid in the future only (a machine that starts with a wrong clock).
    pub(crate) fn is_due(&self, now: Moment, intermediate_end: Moment) -> bool {
        if now.after(EARLIER / 2) < self.made {
            return true;
        }
        let life = self.until.since(self.made);
        let two_thirds = self.made.after(life * 2 / 3);
        now >= two_thirds && end(now, intermediate_end) >= self.until.after(LEAST_GAIN)
    }
}

fn end(now: Moment, intermediate_end: Moment) -> Moment {
    now.after(LIFE).min(intermediate_end)
}
