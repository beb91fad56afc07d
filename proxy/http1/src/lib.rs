//! HTTP/1 as bytes: strict heads, framing, chunked bodies, trailers, and what becomes of a head between one hop and the next.
//!
//! Pure: no I/O, no async runtime, no clock, no log. Works on any split of its input, and allocates nothing once warm. A head
//! is the same here whether HTTP/1 brought it ([`RequestHead::read`]) or HTTP/2 ([`RequestHead::assemble`]).
//! Not here: reading and writing sockets, deadlines, answering (`proxy/server`).
//!
//! Sources: RFC 9110 (fields, trailers, Via), RFC 9112 (HTTP/1), RFC 9113 8.2 and 8.3 (HTTP/2 to HTTP/1).

mod body;
mod fields;
mod forwarding;
mod framing;
mod method;
mod octets;
mod reason;
mod refusal;
mod request;
mod response;
mod scan;
mod scratch;
mod target;

pub use body::{
    BadBody, BodyReader, CHUNK_END, LAST_CHUNK, Piece, passes_as_trailer, write_chunk_line,
    write_last_chunk,
};
pub use fields::{Field, Kind};
pub use forwarding::{
    Trust, client_address, forwarded_for, forwarded_host, forwarded_proto, trusted,
};
pub use framing::Framing;
pub use method::{Method, Version};
pub use reason::reason;
pub use refusal::{BadResponse, Refusal};
pub use request::{RequestHead, RequestOnward, check_trailer};
pub use response::{Persistence, ResponseHead, ResponseOnward};
pub use scan::HeadScan;
pub use target::{InvalidTarget, normalize_host, normalize_path};

/// Fields of a head at most, and of trailers.
pub const MOST_FIELDS: usize = 100;
/// Octets of a head at most, its blank line included, and of trailers.
pub const MOST_HEAD_BYTES: usize = 32 * 1024;
