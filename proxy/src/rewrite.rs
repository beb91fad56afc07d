//! What a head means and how it changes between one hop and the next: framing, fields that stay behind, forwarding fields.
//!
//! Pure rules over names and values, bound to no header map. Not here: reading heads from bytes, which sees faults that
//! parsed fields no longer show (bare CR or LF, obs-fold, space before the colon), and answering (`proxy/server`).

mod fields;
mod forwarding;
mod framing;

pub use fields::{connection_names, is_dropped, is_forwarding, is_hop_by_hop};
pub use forwarding::{
    Trust, client_address, forwarded_for, forwarded_host, forwarded_proto, trusted,
};
pub use framing::{Ambiguous, Framing, request_framing, response_framing};
