//! What two processes of minato say to each other when one takes over from the other. Pure.
//!
//! One message is one JSON object in one datagram. The old process speaks first; descriptors go with the offer alone,
//! in the order of [`Offer::descriptors`]. A newer process reads what an older one says: fields may be added, and what
//! must change gets a new version.

use crate::listeners::{Origin, Role};
use anyhow::bail;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Of these messages.
pub(super) const VERSION: u32 = 1;
/// Bytes of one message.
pub(super) const LARGEST: usize = 64 << 10;
/// Descriptors that the kernel lets through at once.
pub(super) const DESCRIPTORS: usize = 253;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum Message {
    /// Launcher: the new process was started; its descriptor comes along.
    Started { pid: u32 },
    /// Old: this is what you begin with.
    Offer(Offer),
    /// New: settings, table and listeners are good; hand over.
    Ready { pid: u32, version: String },
    /// Old: store, admin API, agent and control are yours.
    Released,
    /// New: requests are served from the store's table.
    Running,
    /// New, or launcher: it cannot be done, and why.
    Failed { why: String },
}

/// What the new process begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offer {
    /// [`VERSION`] of the old process.
    pub(super) v: u32,
    /// The old process.
    pub(super) pid: u32,
    /// Each with a descriptor.
    pub(super) listeners: Vec<Listening>,
    /// The pipe whose end means that the parent process ended has a descriptor.
    pub(super) parent: bool,
    /// Processes that still drain from upgrades of before, each with a descriptor.
    pub(super) draining: Vec<u32>,
    /// Keys of session tickets, so that clients resume with the new process; opaque here, empty without TLS.
    #[serde(default)]
    pub(super) tickets: Secret,
}

/// Bytes that are not for any log.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(pub(super) Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secret bytes", self.0.len())
    }
}

/// One inherited listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listening {
    pub(super) role: Role,
    /// As the settings have it; its port may be 0.
    pub(super) asked: SocketAddr,
    pub(super) origin: Origin,
}

impl Offer {
    /// Standard error first, then listeners, the parent's pipe, and the draining processes.
    pub(super) fn descriptors(&self) -> usize {
        1 + self.listeners.len() + usize::from(self.parent) + self.draining.len()
    }
}

/// A message as it goes over the wire.
pub(super) fn encode(message: &Message) -> anyhow::Result<Vec<u8>> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > LARGEST {
        bail!("a message of {} bytes cannot be sent", bytes.len());
    }
    Ok(bytes)
}

/// A message as it came. An offer of another version is refused by name: the rest of it may mean anything.
pub(super) fn decode(bytes: &[u8]) -> anyhow::Result<Message> {
    #[derive(Deserialize)]
    struct Versioned {
        v: Option<u32>,
    }
    if let Ok(Versioned { v: Some(v) }) = serde_json::from_slice(bytes)
        && v != VERSION
    {
        bail!("the other process speaks version {v} of the handover, this one {VERSION}");
    }
    Ok(serde_json::from_slice(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        Offer {
            v: VERSION,
            pid: 7,
            listeners: vec![Listening {
                role: Role::Http,
                asked: "127.0.0.1:0".parse().unwrap(),
                origin: Origin::Settings,
            }],
            parent: true,
            draining: vec![3, 5],
            tickets: Secret(vec![1, 2]),
        }
    }

    #[test]
    fn every_message_survives_the_wire() {
        let why = "no".to_owned();
        let version = "0.1.0".to_owned();
        for message in [
            Message::Started { pid: 9 },
            Message::Offer(offer()),
            Message::Ready { pid: 9, version },
            Message::Released,
            Message::Running,
            Message::Failed { why },
        ] {
            let bytes = encode(&message).unwrap();
            assert_eq!(decode(&bytes).unwrap(), message);
        }
    }

    #[test]
    fn an_offer_of_today_is_understood_tomorrow() {
        let golden = r#"{"say":"offer","v":1,"pid":7,"listeners":[{"role":"http","asked":"127.0.0.1:0","origin":"settings"}],"parent":true,"draining":[3,5],"tickets":[1,2],"later":true}"#;
        assert_eq!(decode(golden.as_bytes()).unwrap(), Message::Offer(offer()));
        let unknown = golden.replace("\"http\"", "\"quic\"");
        let Message::Offer(it) = decode(unknown.as_bytes()).unwrap() else {
            panic!("not an offer");
        };
        assert_eq!(it.listeners[0].role, Role::Unknown);
    }

    #[test]
    fn another_version_is_named_whatever_else_it_says() {
        let error = decode(br#"{"say":"offer","v":2,"listeners":"elsewhere"}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the other process speaks version 2 of the handover, this one 1"
        );
    }

    #[test]
    fn what_is_no_message_is_an_error_and_nothing_more() {
        for bytes in [&b""[..], b"{", b"null", b"{\"say\":\"what\"}", &[0xff; 40]] {
            decode(bytes).unwrap_err();
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", offer());
        assert!(shown.contains("tickets: 2 secret bytes"), "{shown}");
    }

    #[test]
    fn descriptors_are_counted() {
        assert_eq!(offer().descriptors(), 1 + 1 + 1 + 2);
    }
}
