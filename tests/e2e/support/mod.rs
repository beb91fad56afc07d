//! What the tests stand on: a site with the real binary, a client, a load, servers.

pub(crate) mod clock;
pub(crate) mod figures;
pub(crate) mod gate;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod orders;
pub(crate) mod origin;
pub(crate) mod ports;
pub(crate) mod processes;
pub(crate) mod site;
pub(crate) mod tls;
pub(crate) mod view;
