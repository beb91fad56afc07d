//! The cryptography that every connection uses: aws-lc-rs, the faster of the two that rustls offers (see ARCHITECTURE.md).

use rustls::CipherSuite;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::sync::{Arc, LazyLock};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = aws_lc_rs::default_provider();
    // Processors have instructions for SHA-256 and not for SHA-384, which would be a fifth of a handshake.
    provider
        .cipher_suites
        .sort_by_key(|it| preference(it.suite()));
    Arc::new(provider)
});

/// Lower is better; within one number the library's order stays, which has ECDSA before RSA.
fn preference(suite: CipherSuite) -> u8 {
    use CipherSuite as Suite;
    match suite {
        Suite::TLS13_AES_128_GCM_SHA256 => 0,
        Suite::TLS13_AES_256_GCM_SHA384 | Suite::TLS13_CHACHA20_POLY1305_SHA256 => 1,
        Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 2,
        _ => 3,
    }
}

/// TLS 1.3 and, in 1.2, only suites with forward secrecy and authenticated encryption. Best first.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}
