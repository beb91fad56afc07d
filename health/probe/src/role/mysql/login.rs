//! The beginning of a connection: the server's greeting, TLS where it is asked for, and the login.
//!
//! Three ways to prove a password: `caching_sha2_password` (MySQL 8 and later), `mysql_native_password`, and MariaDB's `ed25519`.
//! Without TLS the first may send the password encrypted with a key that the server names: nobody who listens can read it, but
//! whoever stands in between can. Source: the protocol's documentation, "Connection Phase" and "Authentication Methods".

use super::answer::refusal;
use super::proof::Method;
use super::wire::{Cursor, Wire, strange};
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use minato_config::Database;
use minato_health::{Failure, Layer};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncRead, AsyncWrite};

const LONG_PASSWORD: u32 = 1;
const PROTOCOL_41: u32 = 1 << 9;
const SSL: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;

/// What is written of us: long packets and UTF-8 (`utf8mb4_general_ci`).
const MOST_PACKET: u32 = 1 << 20;
const UTF8MB4: u8 = 45;

/// Packets of one login; a change of the method and a key are three more than the least.
const MOST_TURNS: usize = 8;

const OK: u8 = 0x00;
const MORE: u8 = 0x01;
const CHANGE: u8 = 0xfe;
const REFUSED: u8 = 0xff;
/// Of `caching_sha2_password`: the server knows the password; it has to see it; its key is asked for.
const KNOWN: u8 = 3;
const SHOW: u8 = 4;
const ASK_KEY: u8 = 2;

/// Who can read what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privacy {
    /// Everybody on the way.
    None,
    /// Nobody.
    Tls,
}

/// What a server says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Greeting {
    capabilities: u32,
    nonce: Vec<u8>,
    method: Vec<u8>,
}

impl Greeting {
    /// Of a packet. A server that wants nobody says so in place of it.
    pub(super) fn read(packet: &[u8]) -> Result<Self, Failure> {
        match packet.first() {
            Some(&REFUSED) => return Err(refusal(packet)),
            Some(10) => {}
            Some(other) => {
                let what =
                    format!("protocol {other} in place of MySQL's 10; is that a MySQL server?");
                return Err(strange(&what));
            }
            None => {}
        }
        Self::parse(packet).ok_or_else(|| strange("a greeting that is cut short"))
    }

    fn parse(packet: &[u8]) -> Option<Self> {
        let mut rest = Cursor(packet);
        let _protocol = rest.u8()?;
        let _version = rest.until_zero()?;
        let _connection = rest.take(4)?;
        let mut nonce = rest.take(8)?.to_vec();
        rest.take(1)?;
        let low = rest.u16()?;
        let _character_set = rest.u8()?;
        let _status = rest.u16()?;
        let high = rest.u16()?;
        let capabilities = u32::from(high) << 16 | u32::from(low);
        let length = usize::from(rest.u8()?);
        rest.take(10)?;
        // At least 13, of which the last is a zero.
        nonce.extend(rest.take(length.saturating_sub(8).max(13))?);
        nonce.truncate(Method::Native.nonce());
        let method = match capabilities & PLUGIN_AUTH {
            0 => Vec::new(),
            // Some servers leave the zero out.
            _ => rest.until_zero().unwrap_or(rest.0).to_vec(),
        };
        Some(Self {
            capabilities,
            nonce,
            method,
        })
    }

    pub(super) fn speaks_tls(&self) -> bool {
        self.capabilities & SSL != 0
    }

    /// What follows the greeting: whole as a login's head, alone as the wish for TLS.
    pub(super) fn head(&self, privacy: Privacy) -> Vec<u8> {
        let wanted = LONG_PASSWORD | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH;
        let tls = match privacy {
            Privacy::None => 0,
            Privacy::Tls => SSL,
        };
        let mut head = ((wanted | tls) & self.capabilities).to_le_bytes().to_vec();
        head.extend(MOST_PACKET.to_le_bytes());
        head.push(UTF8MB4);
        head.extend([0; 23]);
        head
    }
}

/// Logs in, behind a greeting and behind TLS where that is spoken.
pub(super) async fn login<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    greeting: &Greeting,
    database: &Database,
    password: Option<&str>,
    privacy: Privacy,
) -> Result<(), Failure> {
    if greeting.capabilities & (PROTOCOL_41 | SECURE_CONNECTION)
        != (PROTOCOL_41 | SECURE_CONNECTION)
    {
        return Err(strange("a greeting of a server from before 4.1"));
    }
    // An unknown method is the server's usual one; this user may have another, which it says then.
    let usual = Method::named(&greeting.method).filter(|it| it.nonce() <= greeting.nonce.len());
    let mut method = usual.unwrap_or(Method::Native);
    let mut nonce = greeting.nonce.clone();
    let password = password.unwrap_or_default();
    let proof = method.proof(password, &nonce);
    let mut packet = greeting.head(privacy);
    packet.extend(database.user.as_bytes());
    packet.push(0);
    packet.push(u8::try_from(proof.len()).unwrap_or(0));
    packet.extend(proof);
    if greeting.capabilities & PLUGIN_AUTH != 0 {
        packet.extend(method.name().as_bytes());
        packet.push(0);
    }
    wire.write(&packet).await?;
    for _ in 0..MOST_TURNS {
        let packet = wire.read().await?;
        let mut rest = Cursor(&packet);
        match rest.u8() {
            Some(OK) => return Ok(()),
            Some(REFUSED) => return Err(refusal(&packet)),
            Some(CHANGE) => {
                // Without a name: of before 4.1.
                let name = rest.until_zero().unwrap_or_default();
                method = Method::named(name).ok_or_else(|| unknown(name))?;
                // A zero may follow.
                nonce = rest.take(method.nonce()).unwrap_or(rest.0).to_vec();
                wire.write(&method.proof(password, &nonce)).await?;
            }
            Some(MORE) if method == Method::CachingSha2 => match rest.u8() {
                Some(KNOWN) => {}
                Some(SHOW) => show(wire, password, &nonce, privacy).await?,
                _ => return Err(strange("a step of caching_sha2_password that is unknown")),
            },
            _ => return Err(strange("something else than an answer to a login")),
        }
    }
    Err(strange(
        "one question after the other in place of an answer to a login",
    ))
}

fn unknown(name: &[u8]) -> Failure {
    let name = match name {
        b"" => "that of before 4.1".into(),
        name => String::from_utf8_lossy(name),
    };
    let detail = format!(
        "the user logs in by {name}, which minato does not speak; let it be caching_sha2_password, mysql_native_password or ed25519"
    );
    Failure::new(Layer::Login, detail)
}

/// The password itself, to a server that has not seen it since it started.
async fn show<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    password: &str,
    nonce: &[u8],
    privacy: Privacy,
) -> Result<(), Failure> {
    let mut secret = password.as_bytes().to_vec();
    secret.push(0);
    if privacy == Privacy::Tls {
        return wire.write(&secret).await;
    }
    wire.write(&[ASK_KEY]).await?;
    let packet = wire.read().await?;
    let key = match packet.split_first() {
        Some((&MORE, key)) => key,
        Some((&REFUSED, _)) => return Err(refusal(&packet)),
        _ => return Err(strange("something else than the key that was asked for")),
    };
    for (octet, mask) in secret.iter_mut().zip(nonce.iter().cycle()) {
        *octet ^= mask;
    }
    let encrypted = encrypted(key, &secret)
        .ok_or_else(|| strange("a key that is none, or too short for the password"))?;
    wire.write(&encrypted).await
}

fn encrypted(key: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    let key = SubjectPublicKeyInfoDer::from_pem_slice(key).ok()?;
    let key = PublicEncryptingKey::from_der(key.as_ref()).ok()?;
    let key = OaepPublicEncryptingKey::new(key).ok()?;
    let mut room = vec![0; key.ciphertext_size()];
    let encrypted = key.encrypt(&OAEP_SHA1_MGF1SHA1, secret, &mut room, None);
    Some(encrypted.ok()?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the protocol's documentation: servers 5.5.2-m2 and 5.6.4-m7, without their heads.
    const OLD: &[u8] = b"\x0a5.5.2-m2\0\x0b\0\0\0dvH@I-CJ\0\xff\xf7\x08\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0*4d|cZwk4^]:\0";
    const NEW: &[u8] = b"\x0a5.6.4-m7-log\0\x56\x0a\0\0RB3vz&Gr\0\xff\xff\x08\x02\0\x0f\xc0\x15\0\0\0\0\0\0\0\0\0\0+yD&/ZZ305ZG\0mysql_native_password\0";

    #[test]
    fn greetings_of_the_documentation() {
        let old = Greeting::read(OLD).unwrap();
        assert_eq!(old.nonce, b"dvH@I-CJ*4d|cZwk4^]:");
        assert_eq!((old.capabilities, old.method), (0xf7ff, Vec::new()));
        let new = Greeting::read(NEW).unwrap();
        assert_eq!(new.nonce, b"RB3vz&Gr+yD&/ZZ305ZG");
        assert_eq!(new.capabilities, 0xc00f_ffff);
        assert_eq!(new.method, b"mysql_native_password");
        assert!(new.speaks_tls());
    }

    #[test]
    fn greetings_that_are_none() {
        // Everything up to the end of the nonce is needed.
        for end in 1..NEW.len() - "mysql_native_password\0".len() {
            let failure = Greeting::read(&NEW[..end]).unwrap_err();
            assert_eq!(
                failure.detail,
                "the server sent a greeting that is cut short"
            );
        }
        let refused = b"\xff\x10\x04Too many connections";
        let failure = Greeting::read(refused).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "no answer: Too many connections (1040)"
        );
        let failure = Greeting::read(b"\x09old").unwrap_err();
        assert!(failure.detail.contains("protocol 9"), "{failure}");
    }

    #[test]
    fn a_key_that_is_none_encrypts_nothing() {
        for key in [
            &b""[..],
            b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            b"-----BEGIN PUBLIC KEY-----\n\xff\n",
        ] {
            assert_eq!(encrypted(key, b"secret"), None);
        }
    }
}
