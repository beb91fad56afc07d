//! Where gateways of this machine reach a container.

use super::{DockerRuntime, state};
use crate::runtime::RunOrder;
use bollard::models::ContainerInspectResponse;
use std::net::{IpAddr, SocketAddr};

impl DockerRuntime {
    /// Where gateways reach it, where that is not its port at the node's address.
    ///
    /// A port published on loopback goes through a process of the engine's, and is gone while the engine is; the container's
    /// own address on the engine's bridge is reached from this machine alone as well, and stays.
    pub(super) fn direct(
        &self,
        order: &RunOrder,
        container: &ContainerInspectResponse,
    ) -> Option<SocketAddr> {
        let image = order.command.image.as_ref()?;
        if !self.options.address.is_loopback() {
            return None;
        }
        let address = state::direct(container, &image.network, image.port?)?;
        // An engine without privileges keeps its bridge to itself.
        reachable(address.ip()).then_some(address)
    }
}

/// Whether this machine has a way to that address over an interface of its own.
fn reachable(address: IpAddr) -> bool {
    let any: SocketAddr = match address {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    // Connecting a datagram socket sends nothing: the kernel picks the way, and the address that it would speak from lies
    // in the same network only where the bridge is here.
    let way = std::net::UdpSocket::bind(any).and_then(|it| {
        it.connect((address, 9))?;
        it.local_addr()
    });
    match (way.map(|it| it.ip()), address) {
        (Ok(IpAddr::V4(own)), IpAddr::V4(address)) => own.octets()[..2] == address.octets()[..2],
        (Ok(IpAddr::V6(own)), IpAddr::V6(address)) => {
            own.segments()[..4] == address.segments()[..4]
        }
        _ => false,
    }
}
