//! The key that proves updates and answers.

use super::trouble::Trouble;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, TSigner};
use minato_config::{DnsKey, KeyAlgorithm};
use std::os::unix::fs::PermissionsExt as _;
use tokio::io::AsyncReadExt as _;

/// A longer file holds no secret.
const LARGEST: u64 = 4_096;
/// Bytes of a secret that is worth the name.
const SHORTEST: usize = 16;
/// How far the two clocks may be apart, in seconds, as RFC 8945 advises.
const FUDGE: u16 = 300;

/// Reads the secret anew, so that a changed one takes effect; refused where others than its owner may read it.
pub(super) async fn signer(key: &DnsKey) -> Result<TSigner, Trouble> {
    let wrong = |why: &dyn std::fmt::Display| Trouble::Secret {
        path: key.secret_file.clone(),
        why: why.to_string(),
    };
    let file = tokio::fs::File::open(&key.secret_file).await;
    let file = file.map_err(|it| wrong(&it))?;
    let about = file.metadata().await.map_err(|it| wrong(&it))?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(wrong(&"others may read it: chmod 600"));
    }
    let mut text = String::new();
    let read = file.take(LARGEST).read_to_string(&mut text).await;
    read.map_err(|it| wrong(&it))?;
    let line = text.lines().map(str::trim).find(|it| !it.is_empty());
    let line = line.ok_or_else(|| wrong(&"it is empty"))?;
    // What does not decode is not shown.
    let secret = STANDARD.decode(line).map_err(|_| {
        wrong(&"its first line must be the secret alone, in base64, as stands between the quotes of what tsig-keygen prints")
    })?;
    if secret.len() < SHORTEST {
        return Err(wrong(
            &"it is shorter than 16 bytes: make one with tsig-keygen",
        ));
    }
    let algorithm = match key.algorithm {
        KeyAlgorithm::HmacSha256 => TsigAlgorithm::HmacSha256,
        KeyAlgorithm::HmacSha384 => TsigAlgorithm::HmacSha384,
        KeyAlgorithm::HmacSha512 => TsigAlgorithm::HmacSha512,
    };
    let name = Name::from_ascii(&key.name).map_err(|it| wrong(&it))?;
    TSigner::new(secret, algorithm, name, FUDGE).map_err(|it| wrong(&it))
}
