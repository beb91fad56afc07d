//! HTTP/2, on the `h2` crate: connections of clients, whose streams are served as HTTP/1 requests are, by the one
//! upstream half; and connections to instances that speak it.
//!
//! The crate does frames, HPACK, flow control and the states of streams. Ours are limits (`connection`), floods and what
//! the crate is lax about (`meter`), heads (`head`, deciding with `minato_http1`), streams as channels (`stream` of a
//! client, `call` to an instance), the tasks that serve them (`servers`), and the connections that calls share (`lines`).

mod call;
mod connection;
mod frames;
mod halves;
mod head;
mod lines;
mod meter;
mod servers;
mod stream;
mod wire;

pub(crate) use call::{Call, NoAnswer};
pub(crate) use connection::serve;
pub(crate) use halves::Follows;
pub(crate) use head::{
    answer as answer_head, onward as request_head, own as own_head, pairs, trailers,
};
pub(crate) use lines::{Found, Lines};
pub(crate) use servers::Servers;
pub(crate) use stream::Stream;

use minato_http1::{MOST_FIELDS, MOST_HEAD_BYTES};
use std::io;

/// What a client says first (RFC 9113 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What HTTP/2 counts for each field beside its octets (RFC 9113 6.5.2).
const OF_FIELD: usize = 32;

/// A head that HTTP/1 would take fits; pseudo fields are fields here. What is above our own limits is so refused by us,
/// and counted and logged.
fn list_size() -> u32 {
    let size = MOST_HEAD_BYTES + (MOST_FIELDS + 4) * OF_FIELD;
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn broken(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error
            .into_io()
            .unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
    }
    io::Error::new(io::ErrorKind::ConnectionReset, error.to_string())
}
