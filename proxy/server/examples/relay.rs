//! A gateway before one address, and nothing else: for measuring what a request costs in here.
//!
//!     cargo run --release -p minato-proxy-server --example relay -- 127.0.0.1:3000 127.0.0.1:8080

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for developers"
)]

use arc_swap::ArcSwap;
use minato_config::{
    Backend, Generation, Health, HostPattern, Limits, PathPrefix, Route, RouteAction, RoutePattern,
    Run, Service, ServiceName, SlotIndex, Timeouts,
};
use minato_health::Verdict;
use minato_proxy::{Endpoint, EndpointId, Intake, ServiceEntry, Shared, Table};
use minato_proxy_server::{AccessLog, Gateway, GatewayOptions, Metrics, SorryPage};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

#[tokio::main]
async fn main() {
    let mut addresses = std::env::args().skip(1).map(|it| it.parse().unwrap());
    let (Some(to), Some(listen)) = (addresses.next(), addresses.next()) else {
        println!("relay TO LISTEN, both as ADDRESS:PORT");
        return;
    };
    let listener = TcpListener::bind::<SocketAddr>(listen).await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    gateway(to)
        .serve(vec![listener], stopped, Duration::ZERO)
        .await;
}

fn gateway(to: SocketAddr) -> Arc<Gateway> {
    let name = ServiceName::parse("relay").unwrap();
    let pattern = RoutePattern {
        host: HostPattern::Any,
        path: PathPrefix("/".to_owned()),
    };
    let service = Service {
        name: name.clone(),
        backend: Backend::Endpoints(vec![to]),
        replicas: 1,
        routes: vec![Route {
            pattern,
            action: RouteAction::Forward { strip: false },
        }],
        health: Health::Off,
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        retries: 1,
    };
    let id = EndpointId {
        service: name,
        slot: SlotIndex(0),
        generation: Generation::default(),
        run: Run(1),
    };
    let endpoint = Endpoint::new(id, to, 0, Verdict::Up);
    let shared = Shared::new(&service);
    let entry = ServiceEntry::new(Arc::new(service), shared, vec![endpoint], Intake::Open);
    Gateway::new(GatewayOptions {
        table: Arc::new(ArcSwap::from_pointee(Table::default().with(entry))),
        evidence: mpsc::channel(1).0,
        metrics: Metrics::new().unwrap(),
        trusted_proxies: Vec::new(),
        sorry: SorryPage::default(),
        access_log: AccessLog::Off,
        connections: 10_000,
    })
}
