//! What the admin API asks of this process: the gateway's view and the agent's files together.

use crate::gateway::GatewayView;
use crate::upgrade::Progress;
use minato_config::{ServiceName, SlotIndex};
use minato_control_agent::Figures;
use minato_control_server::api::{RouteTest, UpgradeRequest, UpgradeStatus};
use minato_control_server::{EndpointView, ServiceTraffic, View};
use std::path::PathBuf;
use std::sync::Arc;

/// This process, as the admin API sees it.
#[derive(Debug)]
pub(crate) struct ProcessView {
    pub(crate) gateway: GatewayView,
    /// Data folder; the agent's logs are in it.
    pub(crate) data: PathBuf,
    pub(crate) upgrade: Arc<Progress>,
    pub(crate) figures: Figures,
}

impl View for ProcessView {
    fn traffic(&self) -> Vec<ServiceTraffic> {
        self.gateway.traffic()
    }

    fn endpoints(&self) -> Vec<EndpointView> {
        self.gateway.endpoints()
    }

    fn route_test(&self, url: &str) -> Result<RouteTest, String> {
        self.gateway.route_test(url)
    }

    fn logs(
        &self,
        service: &ServiceName,
        slot: SlotIndex,
        lines: usize,
    ) -> Result<Vec<String>, String> {
        minato_control_agent::logs(&self.data, service, slot, lines).map_err(|error| {
            match error.kind() {
                std::io::ErrorKind::NotFound => {
                    format!("{service}/{slot} has not written anything on this node")
                }
                _ => format!("the output of {service}/{slot} cannot be read: {error}"),
            }
        })
    }

    fn metrics(&self) -> String {
        let mut text = self.gateway.metrics_text();
        text.push_str(&self.figures.metrics());
        text
    }

    fn upgrade(&self) -> UpgradeStatus {
        self.upgrade.status()
    }

    fn begin_upgrade(&self, asked: UpgradeRequest) -> Result<UpgradeStatus, String> {
        self.upgrade.begin(asked)
    }
}
