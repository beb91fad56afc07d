//! Where what the control of another site asks reaches this one's: the process that has the duties, while it has them.

use arc_swap::ArcSwapOption;
use http::StatusCode;
use minato_config::SiteId;
use minato_control_server::{Admin, PeerAnswer, PeerCall, answer_peer};
use std::sync::Arc;

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<ArcSwapOption<Admin>>);

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    /// From now on this answers.
    pub(crate) fn attach(&self, admin: Arc<Admin>) {
        self.0.store(Some(admin));
    }

    /// From now on another process does.
    pub(crate) fn detach(&self) {
        self.0.store(None);
    }

    pub(super) async fn answer(&self, site: &SiteId, call: &PeerCall) -> PeerAnswer {
        match self.0.load_full() {
            Some(admin) => answer_peer(&admin, site, call).await,
            None => PeerAnswer::refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "another process of this gateway has the store; ask again",
            ),
        }
    }
}
