//! Who sites are to each other: certificates of sites and their gateways, and TLS settings for the links between them.
//!
//! A root, kept off the machines, signs one intermediate for each site, which can only make names of that site. From it each
//! gateway makes its own certificate and renews it. A peer is who its verified certificate says: exactly one site.
//! Not here: sockets, what is said over a link (the root package), which sites are peers (`config`).

mod authority;
mod description;
mod fault;
mod files;
mod follow;
mod identity;
mod issued;
mod material;
mod moment;
mod name;
mod own;
mod peer;
mod protocol;
mod verify;

pub use authority::{Authority, Made};
pub use description::{Described, describe};
pub use fault::{Fault, MakeError};
pub use files::{Written, write_authority, write_site};
pub use follow::Following;
pub use identity::{Call, Identity, News, Source, Standing};
pub use moment::{Moment, system_clock};
pub use name::{DOMAIN, gateway_name, site_name};
pub use peer::{NoSite, explain, peer_site};
pub use protocol::LinkProtocol;
