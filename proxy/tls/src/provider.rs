//! The cryptography that every connection uses: aws-lc-rs, the faster of the two that rustls offers (see ARCHITECTURE.md).

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::sync::{Arc, LazyLock};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// TLS 1.3 and, in 1.2, only suites with forward secrecy and authenticated encryption.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::clone(&PROVIDER)
}
