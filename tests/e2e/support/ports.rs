//! Ports of one test: below those that the system gives to outgoing connections, and apart from other tests' ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 10_000;
const LAST: u16 = 19_000;
/// Of one test.
const BLOCK: u16 = 40;
/// Those before it are for listeners of the test's own.
const RANGE: u16 = 10;

/// One test's ports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    base: u16,
}

impl Ports {
    pub(crate) fn take() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Runs at the same time begin at different places, most likely.
        let shift = u16::try_from(std::process::id() % 200).unwrap_or_default();
        let blocks = (LAST - FIRST) / BLOCK;
        for _ in 0..blocks {
            let n = NEXT.fetch_add(1, Ordering::SeqCst);
            let base = FIRST + (shift + n) % blocks * BLOCK;
            let free =
                (base..base + BLOCK).all(|it| TcpListener::bind((Ipv4Addr::LOCALHOST, it)).is_ok());
            if free {
                return Self { base };
            }
        }
        panic!("no {BLOCK} free ports in a row between {FIRST} and {LAST}");
    }

    pub(crate) fn gateway(self) -> SocketAddr {
        self.own(0)
    }

    pub(crate) fn admin(self) -> SocketAddr {
        self.own(1)
    }

    /// 0 to 9; the first two are the gateway's and the API's.
    pub(crate) fn own(self, n: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.base + n).into()
    }

    /// As `[agent] ports` wants it.
    pub(crate) fn range(self) -> String {
        format!("{}-{}", self.base + RANGE, self.base + BLOCK - 1)
    }
}
