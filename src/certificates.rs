//! When the certificates of this process end, for checks before a service is moved here.

use minato_config::Timestamp;
use minato_control_server::Certificates;
use minato_link::Identity;
use std::sync::Arc;

/// Those of listeners, and those of links.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) listeners: Option<Arc<minato_tls::Certificates>>,
    pub(crate) identity: Option<Arc<Identity>>,
}

impl Certificates for Ends {
    fn ends(&self) -> Vec<(String, Timestamp)> {
        let listeners = self.listeners.iter().flat_map(|it| it.expiries());
        let links: Vec<_> = (self.identity.iter())
            .flat_map(|it| it.standing().ends())
            .collect();
        // A gateway with its site's intermediate renews its own certificate by itself.
        let renews = links.iter().any(|it| it.0 == "link/site");
        let links = links.into_iter().filter(|it| !renews || it.0 != "link");
        let links = links.map(|(name, end)| (name.to_owned(), end.0));
        let milliseconds = |it: i64| u64::try_from(it).unwrap_or(0).saturating_mul(1_000);
        (listeners.chain(links))
            .map(|(name, end)| (name, Timestamp(milliseconds(end))))
            .collect()
    }
}
