//! All TLS: certificates that listeners serve, handshakes with clients and with instances, and the connections that come of them.
//!
//! Over rustls. A connection holds no buffer while it is idle, and tells a truncated stream from an ended one.
//! Not here: listening, deadlines, HTTP (`proxy/server`), what an operator writes (`config`).

mod acceptor;
mod authorities;
mod certificates;
mod clock;
mod connector;
mod provider;
mod stream;
mod tickets;

pub use acceptor::{Accepted, Acceptor, AcceptorError, ClientCertificate};
pub use authorities::AuthoritiesError;
pub use certificates::{Certificates, Fault, Following, Unserved};
pub use connector::{ConnectError, Connector, shake_hands};
pub use stream::{ClientStream, ServerStream, Side, TlsStream};
pub use tickets::{TicketKeys, TicketKeysError};

/// What is spoken over a connection, as ALPN says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1, also where the peer says nothing.
    Http1,
    /// HTTP/2.
    Http2,
}

impl From<minato_config::UpstreamProtocol> for Protocol {
    fn from(protocol: minato_config::UpstreamProtocol) -> Self {
        match protocol {
            minato_config::UpstreamProtocol::Http1 => Self::Http1,
            minato_config::UpstreamProtocol::Http2 => Self::Http2,
        }
    }
}

/// The names of ALPN (RFC 7301).
struct Alpn;

impl Alpn {
    const HTTP1: &[u8] = b"http/1.1";
    const HTTP2: &[u8] = b"h2";
    /// Best first.
    const BOTH: [&[u8]; 2] = [Self::HTTP2, Self::HTTP1];
}
