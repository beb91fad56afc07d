//! A gateway and an agent that say what a test wants.

use minato_config::{ServiceName, SiteId, SlotIndex, Timestamp};
use minato_control_server::api::{
    ChangeAnswer, DependencyStatus, DrainRequest, EntranceStatus, PublishRequest, RouteCandidate,
    RouteTest, UpgradeRequest, UpgradeState, UpgradeStatus,
};
use minato_control_server::{EndpointView, ServiceTraffic, View};
use std::sync::Mutex;

#[derive(Default)]
pub struct FakeView {
    pub traffic: Mutex<Vec<ServiceTraffic>>,
    pub endpoints: Mutex<Vec<EndpointView>>,
    pub dependencies: Mutex<Vec<DependencyStatus>>,
    /// Every upgrade that was asked for.
    pub upgrades: Mutex<Vec<UpgradeRequest>>,
}

impl View for FakeView {
    fn traffic(&self) -> Vec<ServiceTraffic> {
        self.traffic.lock().unwrap().clone()
    }

    fn endpoints(&self) -> Vec<EndpointView> {
        self.endpoints.lock().unwrap().clone()
    }

    fn route_test(&self, url: &str) -> Result<RouteTest, String> {
        if !url.starts_with("http://") {
            return Err(format!("`{url}` is not a URL"));
        }
        Ok(RouteTest {
            url: url.to_owned(),
            service: Some("library".to_owned()),
            pattern: Some("example.org/library".to_owned()),
            action: "forward".to_owned(),
            candidates: vec![RouteCandidate {
                slot: 0,
                address: "127.0.0.1:20000".to_owned(),
                standing: "serving".to_owned(),
                in_flight: 0,
            }],
            chosen: Some(0),
            why: vec!["host example.org is exact".to_owned()],
        })
    }

    fn logs(
        &self,
        service: &ServiceName,
        slot: SlotIndex,
        lines: usize,
    ) -> Result<Vec<String>, String> {
        if service.as_str() != "library" || slot.0 > 1 {
            return Err(format!("{service}/{slot} has written nothing here"));
        }
        Ok((0..lines.min(3)).map(|n| format!("line {n}")).collect())
    }

    fn metrics(&self) -> String {
        // Without the last newline, as a careless exposition might be.
        "# HELP minato_requests_total Requests.\n# TYPE minato_requests_total counter\n\
         minato_requests_total{service=\"library\"} 7"
            .to_owned()
    }

    fn access_log(
        &self,
        service: &ServiceName,
        site: Option<&SiteId>,
        lines: usize,
    ) -> Result<Vec<String>, String> {
        Ok(vec![format!("{service} {site:?} {lines}")])
    }

    fn dependencies(&self) -> Vec<DependencyStatus> {
        self.dependencies.lock().unwrap().clone()
    }

    fn entrance(&self) -> EntranceStatus {
        EntranceStatus {
            standing: "alive".to_owned(),
            ..EntranceStatus::default()
        }
    }

    fn drain_entrance(&self, asked: DrainRequest, _: Timestamp) -> Result<ChangeAnswer, String> {
        if asked.who.is_empty() {
            return Err("nobody asks".to_owned());
        }
        let undo = asked.drain.then(|| "minato entrance undrain".to_owned());
        Ok(ChangeAnswer {
            message: format!("out of traffic, by {}", asked.who),
            undo,
            number: None,
        })
    }

    fn publish(&self, name: &str, asked: PublishRequest) -> Result<ChangeAnswer, String> {
        if name != "web" {
            return Err(format!("there is no {name}"));
        }
        Ok(ChangeAnswer {
            message: format!("{:?} of {name}", asked.action),
            undo: None,
            number: Some(7),
        })
    }

    fn upgrade(&self) -> UpgradeStatus {
        UpgradeStatus {
            pid: 7,
            draining: vec![5],
            ..UpgradeStatus::default()
        }
    }

    fn begin_upgrade(&self, asked: UpgradeRequest) -> Result<UpgradeStatus, String> {
        let mut upgrades = self.upgrades.lock().unwrap();
        if !upgrades.is_empty() {
            return Err("one is under way".to_owned());
        }
        upgrades.push(asked);
        Ok(UpgradeStatus {
            state: UpgradeState::UnderWay,
            ..self.upgrade()
        })
    }
}

pub fn traffic(service: &str, draining: bool, in_flight: u64) -> ServiceTraffic {
    ServiceTraffic {
        service: ServiceName::parse(service).unwrap(),
        draining,
        in_flight,
        queued: 0,
        requests: 7,
        gateway_errors: 0,
        p50_ms: Some(1.0),
        p95_ms: None,
        p99_ms: None,
    }
}
