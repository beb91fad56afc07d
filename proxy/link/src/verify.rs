//! TLS settings of links: mutual, TLS 1.3 only, and a peer that is exactly one site.

use crate::moment::Moment;
use crate::peer::{NoSite, site_in};
use crate::protocol::LinkProtocol;
use minato_config::SiteId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    RootCertStore, ServerConfig, SignatureScheme,
};
use std::sync::{Arc, LazyLock};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// The cryptography of links.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}

/// For accepting links. Sessions are not resumed: every connection is checked against the certificates of its moment, and links
/// live long.
pub(crate) fn server(
    roots: &Arc<RootCertStore>,
    own: &Arc<CertifiedKey>,
    clock: &Arc<dyn TimeProvider>,
) -> Result<ServerConfig, Error> {
    let verifier = Arc::new(PeerIsSite::new(roots, None)?);
    let mut config = ServerConfig::builder_with_details(provider(), Arc::clone(clock))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(own))));
    config.alpn_protocols = LinkProtocol::ALL.map(|it| it.alpn().to_vec()).into();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// For calling `peer`.
pub(crate) fn client(
    roots: &Arc<RootCertStore>,
    own: &Arc<CertifiedKey>,
    clock: &Arc<dyn TimeProvider>,
    peer: &SiteId,
    protocols: &[LinkProtocol],
) -> Result<ClientConfig, Error> {
    let verifier = Arc::new(PeerIsSite::new(roots, Some(peer))?);
    let mut config = ClientConfig::builder_with_details(provider(), Arc::clone(clock))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(own))));
    config.alpn_protocols = protocols.iter().map(|it| it.alpn().to_vec()).collect();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Whether peers with these roots would take `chain`, its own certificate first, for `site` at `now`.
pub(crate) fn check(
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'_>],
    site: &SiteId,
    now: Moment,
) -> Result<(), Error> {
    let (own, others) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
    let verifier = PeerIsSite::new(roots, Some(site))?;
    verifier.verify_as_server(own, others, now.unix())?;
    // The usages of a client are others.
    verifier
        .verify_client_cert(own, others, now.unix())
        .map(|_| ())
}

/// Takes a peer whose chain ends at our roots and whose certificate is for one site.
///
/// No DNS name is compared: addresses of gateways are not what they are known by.
#[derive(Debug)]
struct PeerIsSite {
    clients: Arc<dyn ClientCertVerifier>,
    roots: Arc<RootCertStore>,
    /// The one that was called.
    expected: Option<SiteId>,
}

impl PeerIsSite {
    fn new(roots: &Arc<RootCertStore>, expected: Option<&SiteId>) -> Result<Self, Error> {
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider())
            .build()
            .map_err(|it| Error::General(it.to_string()))?;
        Ok(Self {
            clients,
            roots: Arc::clone(roots),
            expected: expected.cloned(),
        })
    }

    fn verify_as_server(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(own)?;
        let algorithms = provider().signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, others, now, algorithms)?;
        self.check_site(own)
    }

    /// Only after the chain has been verified.
    fn check_site(&self, own: &CertificateDer<'_>) -> Result<(), Error> {
        let refuse = |it: NoSite| {
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(it))))
        };
        let found = site_in(own).map_err(refuse)?;
        match &self.expected {
            Some(expected) if *expected != found => Err(refuse(NoSite::Another {
                expected: expected.clone(),
                found,
            })),
            _ => Ok(()),
        }
    }
}

impl ServerCertVerifier for PeerIsSite {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify_as_server(own, others, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients.verify_tls12_signature(message, own, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients.verify_tls13_signature(message, own, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients.supported_verify_schemes()
    }
}

impl ClientCertVerifier for PeerIsSite {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.clients.verify_client_cert(own, others, now)?;
        self.check_site(own)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients.verify_tls12_signature(message, own, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients.verify_tls13_signature(message, own, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients.supported_verify_schemes()
    }
}
