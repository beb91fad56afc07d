//! Which user is at the other end of a connection over loopback. Pure but for reading the kernel's tables.
//!
//! The API answers every local user, but a change of the program that runs as root is root's to make. The kernel knows
//! the owner of each socket of this machine, the client's end of the connection among them.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::{fs, io};

/// Both ends of the connection that a request came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
}

/// An established connection in the kernel's tables. A socket that its owner has closed belongs to nobody, which the
/// tables write as root.
const ESTABLISHED: &str = "01";

/// The user whose socket is at the client's end; `None` where no open one is.
///
/// Blocks while it reads: some milliseconds for ten thousand connections.
pub(super) fn user(ends: Ends) -> io::Result<Option<u32>> {
    let table = match ends.client {
        SocketAddr::V4(_) => "/proc/net/tcp",
        SocketAddr::V6(_) => "/proc/net/tcp6",
    };
    Ok(owner(&fs::read_to_string(table)?, ends))
}

/// The owner in `table`, whose rows are `sl local remote state queues timer retransmits uid timeout inode ...`.
fn owner(table: &str, ends: Ends) -> Option<u32> {
    let (local, remote) = (written(ends.client), written(ends.server));
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let is_it = words.next()? == local && words.next()? == remote;
        let is_open = words.next()? == ESTABLISHED;
        let uid = words.nth(3)?.parse().ok()?;
        let inode: u64 = words.nth(1)?.parse().ok()?;
        (is_it && is_open && inode != 0).then_some(uid)
    })
}

/// As the kernel writes an address: words of 32 bits in the machine's own order, then the port.
fn written(address: SocketAddr) -> String {
    let mut text = String::new();
    let mut word = |bytes: [u8; 4]| {
        let _ = write!(text, "{:08X}", u32::from_ne_bytes(bytes));
    };
    match address.ip() {
        IpAddr::V4(ip) => word(ip.octets()),
        IpAddr::V6(ip) => {
            for four in ip.octets().as_chunks::<4>().0 {
                word(*four);
            }
        }
    }
    let _ = write!(text, ":{:04X}", address.port());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[track_caller]
    fn check(row: &str, expected: Option<u32>) {
        let ends = Ends {
            client: "127.0.0.1:50000".parse().unwrap(),
            server: "127.0.0.1:7070".parse().unwrap(),
        };
        assert_eq!(owner(&format!("{HEAD}{row}"), ends), expected, "{row}");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn only_an_open_socket_of_exactly_this_connection_names_its_owner() {
        let row = |local: &str, remote: &str, state: &str, uid: u32, inode: u64| {
            format!(
                "   3: {local} {remote} {state} 00000000:00000000 00:00000000 00000000  {uid}        0 {inode} 1 x\n"
            )
        };
        let (client, server) = ("0100007F:C350", "0100007F:1B9E");
        check(&row(client, server, "01", 1000, 77), Some(1000));
        check(&row(client, server, "01", 0, 77), Some(0));
        check(&row(server, client, "01", 0, 77), None);
        check(&row("0100007F:C351", server, "01", 0, 77), None);
        // Closed by its owner: the kernel says root, and that is nobody.
        check(&row(client, server, "06", 0, 0), None);
        check(&row(client, server, "05", 0, 0), None);
        check(&row(client, server, "01", 0, 0), None);
        check("   3: torn", None);
        check("", None);
    }

    #[test]
    fn a_real_connection_is_found_until_it_is_closed() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine without IPv6 has nothing to find there.
            let Ok(listener) = TcpListener::bind(address) else {
                continue;
            };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let ends = Ends {
                client: client.local_addr().unwrap(),
                server: client.peer_addr().unwrap(),
            };
            let own = rustix::process::getuid().as_raw();
            assert_eq!(user(ends).unwrap(), Some(own));
            drop(client);
            assert_eq!(user(ends).unwrap(), None);
        }
    }
}
