//! What the admin API asks of this process: the gateway's view and the agent's files together.

use crate::compose::access_log_folder;
use crate::entrance::Entrance;
use crate::gateway::GatewayView;
use crate::upgrade::Progress;
use minato_config::{ServiceName, SiteId, SlotIndex, Timestamp};
use minato_control::Usable;
use minato_control_agent::Figures;
use minato_control_agent::dependency::{self, DependencyView, Views};
use minato_control_server::api::{
    ChangeAnswer, DependencyMember, DependencyStatus, DrainRequest, EntranceStatus, LinkStatus,
    PublishRequest, RelayStatus, RouteTest, ShareStatus, UpgradeRequest, UpgradeStatus,
};
use minato_control_server::{EndpointView, ServiceTraffic, View};
use minato_health::Verdict;
use minato_proxy_server::Archive;
use std::path::PathBuf;
use std::sync::Arc;

/// This process, as the admin API sees it.
#[derive(Debug)]
pub(crate) struct ProcessView {
    pub(crate) gateway: GatewayView,
    /// Data folder; the agent's logs are in it.
    pub(crate) data: PathBuf,
    pub(crate) keeps_access_log: bool,
    pub(crate) upgrade: Arc<Progress>,
    pub(crate) figures: Figures,
    pub(crate) dependencies: Views,
    pub(crate) entrance: Arc<Entrance>,
    /// Who this machine is to other sites.
    pub(crate) identity: Option<Arc<minato_link::Identity>>,
}

impl View for ProcessView {
    fn traffic(&self) -> Vec<ServiceTraffic> {
        self.gateway.traffic()
    }

    fn endpoints(&self) -> Vec<EndpointView> {
        self.gateway.endpoints()
    }

    fn identity_trouble(&self) -> Option<String> {
        self.identity.as_ref()?.trouble()
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

    fn access_log(
        &self,
        service: &ServiceName,
        site: Option<&SiteId>,
        lines: usize,
    ) -> Result<Vec<String>, String> {
        let folder = access_log_folder(&self.data);
        if !self.keeps_access_log && site.is_none() {
            return Err("this gateway keeps no access logs: give [gateway] access_log_size a size, like \"1GiB\", and restart minato".to_owned());
        }
        let lines = Archive::new(folder).last(service, site, lines);
        lines.map_err(|error| format!("the access log of {service} cannot be read: {error}"))
    }

    fn metrics(&self) -> String {
        let mut text = self.gateway.metrics_text();
        text.push_str(&self.figures.metrics());
        text.push_str(&self.gateway.links.metrics());
        text.push_str(&dependency::metrics(&self.dependencies.now()));
        text
    }

    fn dependencies(&self) -> Vec<DependencyStatus> {
        self.dependencies.now().iter().map(status).collect()
    }

    fn entrance(&self) -> EntranceStatus {
        self.entrance.status()
    }

    fn drain_entrance(&self, asked: DrainRequest, now: Timestamp) -> Result<ChangeAnswer, String> {
        self.entrance.drain(asked, now)
    }

    fn publish(&self, name: &str, asked: PublishRequest) -> Result<ChangeAnswer, String> {
        self.entrance.publish(name, asked)
    }

    fn links(&self) -> Vec<LinkStatus> {
        self.gateway.links.status()
    }

    fn shares(&self) -> Vec<ShareStatus> {
        self.gateway.shares()
    }

    fn upgrade(&self) -> UpgradeStatus {
        self.upgrade.status()
    }

    fn begin_upgrade(&self, asked: UpgradeRequest) -> Result<UpgradeStatus, String> {
        self.upgrade.begin(asked)
    }
}

fn status(it: &DependencyView) -> DependencyStatus {
    let (state, reason) = match &it.state {
        Usable::Yes => ("up", ""),
        Usable::Unknown => ("unknown", ""),
        Usable::No(why) => ("down", why.as_str()),
    };
    let members = it.members.iter().map(|member| DependencyMember {
        name: member.name.clone(),
        verdict: match member.verdict {
            Verdict::Up => "up",
            Verdict::Suspect => "suspect",
            Verdict::Down => "down",
        }
        .to_owned(),
        reason: member.reason.clone(),
        in_use: member.in_use,
        connections: member.connections,
    });
    DependencyStatus {
        name: it.name.to_string(),
        noun: it.noun.to_owned(),
        wants: it.wants.to_owned(),
        state: state.to_owned(),
        reason: reason.to_owned(),
        since_ms: it.since.0,
        alarm: it.alarm.clone(),
        members: members.collect(),
        relay: it.relay.as_ref().map(|it| RelayStatus {
            listen: it.listen.iter().map(ToString::to_string).collect(),
            current: it.current.map(|it| it.to_string()),
            switches: it.switches,
            open: it.open,
            most: it.most,
            connections: it.connections,
            refused: it.refused,
            cut: it.cut,
            bytes_in: it.bytes_in,
            bytes_out: it.bytes_out,
        }),
    }
}
