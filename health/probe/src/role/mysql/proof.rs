//! How a client shows a MySQL server that it knows a password. Pure.
//!
//! Sources: the protocol's documentation, "Authentication Methods"; MariaDB's "Authentication Plugin - ed25519", which is RFC 8032 with
//! the password in place of the 32 octets of a key.

use aws_lc_rs::digest::{Algorithm, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};

/// Methods that are spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// What MySQL 8 and later have.
    CachingSha2,
    /// What was before, and MariaDB's usual one.
    Native,
    /// MariaDB's.
    Ed25519,
}

impl Method {
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"caching_sha2_password" => Some(Self::CachingSha2),
            b"mysql_native_password" => Some(Self::Native),
            b"client_ed25519" => Some(Self::Ed25519),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CachingSha2 => "caching_sha2_password",
            Self::Native => "mysql_native_password",
            Self::Ed25519 => "client_ed25519",
        }
    }

    /// Octets that a server asks with.
    pub(super) fn nonce(self) -> usize {
        match self {
            Self::CachingSha2 | Self::Native => 20,
            Self::Ed25519 => 32,
        }
    }

    /// What shows that we know the password, without the password; nothing where there is none.
    pub(super) fn proof(self, password: &str, nonce: &[u8]) -> Vec<u8> {
        let password = password.as_bytes();
        if password.is_empty() {
            return Vec::new();
        }
        match self {
            Self::Native => {
                let of = &SHA1_FOR_LEGACY_USE_ONLY;
                let once = digest(of, &[password]);
                let twice = digest(of, &[&once]);
                masked(once, &digest(of, &[nonce, &twice]))
            }
            Self::CachingSha2 => {
                let once = digest(&SHA256, &[password]);
                let twice = digest(&SHA256, &[&once]);
                masked(once, &digest(&SHA256, &[&twice, nonce]))
            }
            Self::Ed25519 => signed(password, nonce),
        }
    }
}

fn digest(of: &'static Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(of);
    parts.iter().for_each(|it| context.update(it));
    context.finish().as_ref().to_vec()
}

fn masked(mut octets: Vec<u8>, mask: &[u8]) -> Vec<u8> {
    for (octet, mask) in octets.iter_mut().zip(mask) {
        *octet ^= mask;
    }
    octets
}

/// RFC 8032, 5.1.6, from its second step on.
fn signed(password: &[u8], message: &[u8]) -> Vec<u8> {
    let wide = |parts: &[&[u8]]| {
        let mut octets = [0; 64];
        octets.copy_from_slice(&digest(&SHA512, parts));
        octets
    };
    let secret = wide(&[password]);
    let (mut key, mut prefix) = ([0; 32], [0; 32]);
    key.copy_from_slice(&secret[..32]);
    prefix.copy_from_slice(&secret[32..]);
    let key = Scalar::from_bytes_mod_order(clamp_integer(key));
    let public = EdwardsPoint::mul_base(&key).compress();
    let once = Scalar::from_bytes_mod_order_wide(&wide(&[&prefix, message]));
    let point = EdwardsPoint::mul_base(&once).compress();
    let bound = wide(&[point.as_bytes(), public.as_bytes(), message]);
    let answer = once + Scalar::from_bytes_mod_order_wide(&bound) * key;
    [point.to_bytes(), answer.to_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    const NONCE: [u8; 20] = *b"dvH@I-CJ*4d|cZwk4^]:";

    /// As a server checks it: it keeps the password's second digest, and must find the first one behind the mask.
    #[test]
    fn a_server_that_keeps_the_second_digest_finds_the_first() {
        let native = Method::Native.proof("secret", &NONCE);
        let of = &SHA1_FOR_LEGACY_USE_ONLY;
        let kept = digest(of, &[&digest(of, &[b"secret"])]);
        let first = masked(native, &digest(of, &[&NONCE, &kept]));
        assert_eq!(digest(of, &[&first]), kept);
        let sha2 = Method::CachingSha2.proof("secret", &NONCE);
        let kept = digest(&SHA256, &[&digest(&SHA256, &[b"secret"])]);
        let first = masked(sha2, &digest(&SHA256, &[&kept, &NONCE]));
        assert_eq!(digest(&SHA256, &[&first]), kept);
    }

    #[test]
    fn without_a_password_nothing_is_shown() {
        for method in [Method::CachingSha2, Method::Native, Method::Ed25519] {
            assert!(method.proof("", &NONCE).is_empty());
            assert_eq!(Method::named(method.name().as_bytes()), Some(method));
        }
    }

    #[test]
    fn a_signature_is_one_by_the_key_of_the_password() {
        let signature = Method::Ed25519.proof("secret", &[7; 32]);
        let mut key = [0; 32];
        key.copy_from_slice(&digest(&SHA512, &[b"secret"])[..32]);
        let public = EdwardsPoint::mul_base_clamped(key).compress();
        let public = UnparsedPublicKey::new(&ED25519, public.to_bytes());
        assert!(public.verify(&[7; 32], &signature).is_ok());
        assert!(public.verify(&[8; 32], &signature).is_err());
    }
}
