//! HTTP/2: connections of clients on our own codec (`minato_http2`), whose streams are served as HTTP/1 requests are, by the one
//! upstream half; and connections to instances that speak it, on the `h2` crate.
//!
//! Clients: who reads and writes (`connection`), what its streams share with it (`link`, `queue`), streams as channels
//! (`stream`), the tasks that serve them (`servers`). Instances: the connections that calls share (`lines`), and calls as
//! channels (`call`, `halves`). Both: heads (`head`, deciding with `minato_http1`).

mod call;
mod connection;
mod halves;
mod head;
mod lines;
mod link;
mod queue;
mod servers;
mod stream;

pub(crate) use call::{Call, NoAnswer};
pub(crate) use connection::serve;
pub(crate) use halves::Follows;
pub(crate) use head::{onward as request_head, pairs, trailers};
pub(crate) use lines::{Found, Lines};
pub(crate) use minato_http2::PREFACE;
pub(crate) use servers::Servers;
pub(crate) use stream::Stream;

use minato_http1::{MOST_FIELDS, MOST_HEAD_BYTES};
use std::io;

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
