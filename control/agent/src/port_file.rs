//! The table of ports on disk, and the machine's word on whether a port is free.

use crate::AgentError;
use crate::ports::{NoPort, Picked, Ports};
use crate::runtime::{Durable, write_whole};
use minato_config::{PortRange, Timestamp};
use minato_control::PlaceKey;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use tokio::task::spawn_blocking;

/// `ports.json`, kept as it changes.
#[derive(Debug)]
pub(crate) struct PortFile {
    path: PathBuf,
    range: PortRange,
    ports: Ports,
}

impl PortFile {
    /// A file that cannot be read is begun anew: slots keep the ports of the instances that are found running.
    pub(crate) fn open(data: &Path, range: PortRange) -> Result<Self, AgentError> {
        let path = data.join("ports.json");
        let ports = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "the table of ports cannot be read and is begun anew");
                Ports::default()
            }),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ports::default(),
            Err(cause) => return Err(AgentError::Data { path, cause }),
        };
        Ok(Self { path, range, ports })
    }

    pub(crate) async fn pick(
        &mut self,
        place: &PlaceKey,
        fixed: Option<u16>,
        now: Timestamp,
    ) -> Result<Picked, NoPort> {
        let range = self.range;
        self.change(|ports| ports.pick(place, fixed, range, now, is_taken))
            .await
    }

    pub(crate) async fn hold(&mut self, (service, slot): &PlaceKey, port: u16, now: Timestamp) {
        self.change(|ports| ports.hold(service, *slot, port, now))
            .await;
    }

    pub(crate) async fn release(&mut self, place: &PlaceKey, now: Timestamp) {
        self.change(|ports| ports.release(place, now)).await;
    }

    /// Answers once the change is on disk, which is waited for on a thread that may block.
    async fn change<T>(&mut self, change: impl FnOnce(&mut Ports) -> T) -> T {
        let before = self.ports.clone();
        let answer = change(&mut self.ports);
        if self.ports != before {
            let text = serde_json::to_vec(&self.ports).unwrap_or_default();
            let path = self.path.clone();
            let write = move || write_whole(&path, &text, Durable::Always);
            let written = spawn_blocking(write)
                .await
                .unwrap_or_else(|it| Err(it.into()));
            if let Err(error) = written {
                tracing::warn!(path = %self.path.display(), %error, "the table of ports could not be written");
            }
        }
        answer
    }
}

/// Whether anything listens there, on any address. Nothing is listened on to find out, so no client can be misled.
pub(crate) fn is_taken(port: u16) -> bool {
    let free = || -> rustix::io::Result<()> {
        let probe = socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        // Connections of the past in TIME_WAIT are no obstacle, as they are none to most programs.
        sockopt::set_socket_reuseaddr(&probe, true)?;
        bind(&probe, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))
    };
    free().is_err_and(|it| it == rustix::io::Errno::ADDRINUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_is_taken_while_something_listens() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                assert!(address.starts_with('['), "{address}");
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            assert!(is_taken(port), "{address}");
            drop(listener);
            assert!(!is_taken(port), "{address}");
        }
    }
}
