//! What is tested: a gateway in process with one instance behind it. With `MINATO_HTTP2_AT` (its address) and
//! `MINATO_HTTP2_ORIGIN` (where its instance is to listen) set, any other server instead, to compare; then run the
//! tests one by one.

use crate::origin::{Captured, Origin};
use crate::setup::{Running, Setup};
use std::net::SocketAddr;

pub(crate) struct Subject {
    pub(crate) address: SocketAddr,
    pub(crate) running: Option<Running>,
    origin: Origin,
}

impl Subject {
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::new()).await
    }

    pub(crate) async fn start_with(setup: Setup) -> Self {
        let given = |name| {
            let text = std::env::var(name).ok()?;
            Some(text.parse::<SocketAddr>().expect("an address"))
        };
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let origin = Origin::start(given("MINATO_HTTP2_ORIGIN").unwrap_or(here)).await;
        match given("MINATO_HTTP2_AT") {
            Some(address) => Self {
                address,
                running: None,
                origin,
            },
            None => {
                let running = setup.start(&[origin.address]).await;
                Self {
                    address: running.address,
                    running: Some(running),
                    origin,
                }
            }
        }
    }

    /// All requests that reached the instance, in order.
    pub(crate) fn captured(&self) -> Vec<Captured> {
        self.origin.captured()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        let captured = self.captured();
        captured.iter().map(|it| it.path().to_owned()).collect()
    }

    pub(crate) fn forget(&self) {
        self.origin.forget();
    }
}
