//! HTTP/2 as bytes, the server's side of a connection: frames, HPACK, states of streams, flow control, and floods.
//!
//! Pure: no I/O, no async runtime, no clock, no log; `now` is an argument. [`Connection::receive`] takes what has come, on any
//! split of it, and says what it means; what is to be sent gathers in [`Connection::output`]. Everything is bounded: streams,
//! blocks of fields, tables, windows, and work that a client can make without asking for anything.
//! Not here: what a request means (`minato_http1`), bodies that wait for somebody, reading and writing sockets, deadlines
//! (`proxy/server`), and the client's side, which the frames and HPACK would serve as well.
//!
//! Sources: RFC 9113 (HTTP/2), RFC 7541 (HPACK).

mod budget;
mod code;
mod connection;
mod frame;
mod head;
mod hpack;
mod recent;
mod settings;
mod streams;

pub use code::Code;
pub use connection::{Block, Connection, Event, Then};
pub use head::Head;
pub use hpack::{Decoder, Encoder};
pub use streams::Key;

/// What a client says first (RFC 9113 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Octets of any frame's payload that we take: what must be taken (RFC 9113 4.2).
pub const MOST_PAYLOAD: usize = 16_384;
/// Octets of a frame before its payload.
pub const FRAME_HEAD: usize = 9;
/// Octets of a frame of DATA that we send: with its head as long as one record of TLS.
pub const MOST_DATA: usize = MOST_PAYLOAD - FRAME_HEAD;

/// Streams of a connection at once.
pub const MOST_STREAMS: usize = 128;
/// Octets of a body that may come before any was taken; of all bodies of a connection together.
pub const STREAM_WINDOW: u32 = 256 * 1024;
/// See [`STREAM_WINDOW`].
pub const WINDOW: u32 = 1024 * 1024;
/// Octets of a list of fields, each counted with 32 more (RFC 9113 6.5.2). What is longer is told as such, and not kept.
pub const MOST_LIST: usize = 32 * 1024 + 104 * 32;
/// Octets of a block of fields as it is encoded; one that is longer ends its connection.
pub const MOST_BLOCK: usize = 2 * MOST_LIST;
