//! HTTP/2, on the `h2` crate: connections of clients, whose streams are served as HTTP/1 requests are, by the one
//! upstream half; and connections to instances that speak it.
//!
//! The crate does frames, HPACK, flow control and the states of streams. Ours are limits (`connection`), floods and what
//! the crate is lax about (`meter`), heads (`head`, deciding with `minato_http1`), and the stream as a channel (`stream`).

mod connection;
mod frames;
mod head;
mod meter;
mod stream;
mod wire;

pub(crate) use connection::serve;
pub(crate) use head::{answer as answer_head, own as own_head, pairs, trailers};
pub(crate) use stream::{Follows, Stream};

/// What a client says first (RFC 9113 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
