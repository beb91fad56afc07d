//! Who asks, and how it reached us.

use minato_http1::{Trust, trusted};
use std::net::{IpAddr, SocketAddr};

/// A client's end of its connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) scheme: Scheme,
    pub(crate) origin: Origin,
}

/// Whose requests come over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// One visitor's, or those of a proxy in front of us.
    Visitor,
    /// Those that a gateway of another site sends on: its place among the sites of the link.
    Site(u8),
}

impl Peer {
    /// Whether it is believed about earlier hops. A gateway of another site has proved who it is.
    pub(crate) fn trust(&self, proxies: &[(IpAddr, u8)]) -> Trust {
        match self.origin {
            Origin::Visitor => trusted(proxies, self.address.ip()),
            Origin::Site(_) => Trust::Trusted,
        }
    }
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// As a URL begins.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
