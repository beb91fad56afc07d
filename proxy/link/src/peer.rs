//! Who a peer is, and in words why it was refused.

use crate::issued::{dns_names, parse};
use crate::moment::Moment;
use crate::name::site_of;
use minato_config::SiteId;
use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, CertificateError, Error};

/// Why a verified certificate does not say which site its holder is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSite {
    /// None was shown.
    #[error("the peer shows no certificate; give it a [link] identity")]
    NoCertificate,
    /// It cannot be read.
    #[error(
        "the peer's certificate cannot be read: {cause}; issue it again with `minato ca issue`"
    )]
    Malformed {
        /// Why.
        cause: String,
    },
    /// It has no name of a gateway.
    #[error(
        "the peer's certificate has no name like <node>.<site>.minato.internal; let `minato ca issue` make what its gateways are known by"
    )]
    Nameless,
    /// A name of ours that no gateway has.
    #[error("the peer's certificate is for `{}`, which is no <node>.<site>.minato.internal; issue it again", name.escape_debug())]
    NoGateway {
        /// The name.
        name: String,
    },
    /// It would be several at once.
    #[error(
        "the peer's certificate is for sites `{first}` and `{second}` at once; a certificate is for one site: issue one for each"
    )]
    Several {
        /// One of them.
        first: SiteId,
        /// Another.
        second: SiteId,
    },
    /// It is not the one that was called.
    #[error(
        "who answers is site `{found}`, not `{expected}`; correct the gateways under [sites.{expected}], or what leads there"
    )]
    Another {
        /// Who was called.
        expected: SiteId,
        /// Who answered.
        found: SiteId,
    },
}

/// The one site of a peer, from the certificates that it showed, its own first. They must have been verified: a session that is
/// through its handshake has done so.
pub fn peer_site(certificates: Option<&[CertificateDer<'_>]>) -> Result<SiteId, NoSite> {
    let Some(own) = certificates.and_then(<[_]>::first) else {
        return Err(NoSite::NoCertificate);
    };
    site_in(own)
}

/// The one site whose name stands in a certificate. The subject is no name: constraints do not hold it.
pub(crate) fn site_in(der: &[u8]) -> Result<SiteId, NoSite> {
    let facts = parse(der).map_err(|cause| NoSite::Malformed { cause })?;
    let names = dns_names(&facts).map_err(|cause| NoSite::Malformed { cause })?;
    let mut site: Option<SiteId> = None;
    for found in names.into_iter().filter_map(site_of) {
        let found = found.map_err(|name| NoSite::NoGateway { name })?;
        match &site {
            Some(first) if *first != found => {
                return Err(NoSite::Several {
                    first: first.clone(),
                    second: found,
                });
            }
            _ => site = Some(found),
        }
    }
    site.ok_or(NoSite::Nameless)
}

/// Why a handshake of a link failed: what, whose fault it is, and what to do.
pub fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(it) => explain_certificate(it),
        Error::NoCertificatesPresented => NoSite::NoCertificate.to_string(),
        Error::AlertReceived(it) => explain_alert(*it),
        Error::NoApplicationProtocol => {
            "the peer speaks no protocol of this version; bring both sites to the same version of minato".to_owned()
        }
        Error::InvalidMessage(_) => "who answers does not speak TLS; correct the address under [sites]".to_owned(),
        other => format!("the handshake failed: {other}"),
    }
}

fn explain_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the peer's certificate is valid from {} on, and this machine's clock says {}: one of the two clocks is wrong; set it",
            Moment::from(*not_before),
            Moment::from(*time)
        ),
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the peer's certificate ended at {}, and this machine's clock says {}; if this clock is right, look at the peer: its gateways renew theirs until its site's own ends, then type `minato ca issue`",
            Moment::from(*not_after),
            Moment::from(*time)
        ),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the peer's certificate was not signed by the authority of this site; both need folders that one root issued"
                .to_owned()
        }
        CertificateError::Other(other) => {
            let text = other.0.to_string();
            if text.contains("NameConstraintViolation") {
                "the peer's certificate is for another site than the one it was issued for: its authority may not make that name; find out who made it"
                    .to_owned()
            } else {
                text
            }
        }
        other => format!("the peer's certificate is refused: {other}; issue it again with `minato ca issue`"),
    }
}

fn explain_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateExpired => {
            "the peer holds this site's certificate for ended, or for not valid yet: compare the clocks of both, then look at `minato ca show`"
                .to_owned()
        }
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "the peer does not believe this site's authority; both need folders that one root issued".to_owned()
        }
        AlertDescription::CertificateRequired => {
            "the peer asks for a certificate and got none; give this site a [link] identity".to_owned()
        }
        AlertDescription::NoApplicationProtocol => {
            "the peer speaks no protocol of this version; bring both sites to the same version of minato".to_owned()
        }
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown | AlertDescription::AccessDenied => {
            "the peer refuses this site's certificate; its log tells why".to_owned()
        }
        other => format!("the peer ended the handshake: {other:?}"),
    }
}
