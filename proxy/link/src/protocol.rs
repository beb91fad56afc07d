//! What is spoken over one connection of a link, as ALPN says.

/// One protocol. Which one is agreed on at the handshake; a connection without one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkProtocol {
    /// `http/1.1`: requests of visitors that are handed on.
    Http1,
    /// `h2`: the same.
    Http2,
    /// `minato-link/1`: what sites tell each other, HTTP/1.1 inside.
    Control,
    /// `minato-stream/1`: one named TCP stream.
    Stream,
}

impl LinkProtocol {
    /// All of them, in the order in which a listener prefers them.
    pub const ALL: [Self; 4] = [Self::Control, Self::Stream, Self::Http2, Self::Http1];

    /// As ALPN (RFC 7301) has it.
    pub const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
            Self::Control => b"minato-link/1",
            Self::Stream => b"minato-stream/1",
        }
    }

    /// What the handshake agreed on; `None` where nothing, or nothing that is known.
    pub fn agreed(alpn: Option<&[u8]>) -> Option<Self> {
        Self::ALL.into_iter().find(|it| Some(it.alpn()) == alpn)
    }
}
