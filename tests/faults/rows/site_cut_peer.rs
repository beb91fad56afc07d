//! Beside row 11: what HAProxy and Envoy do on the same cut, with a server at each site, the near one for when the other is gone.
//!
//! Same network, same services, same client, same times where both have them. HAProxy: checks each second, 0.2 s apart once one failed,
//! three failures; one retry at another server; sessions end with their server. Envoy: priorities, checks each 0.5 s, which is how often
//! minato asks a gateway of another site, three failures (it has no shorter time for when one failed); outlier detection of what fails to
//! connect; one retry, at the other priority; connections end with their host. Once more with a time for each try, which saves what
//! waits and ends every answer that takes longer. What this prints stands beside the row's in docs/faults.md; nothing is asserted of it
//! but that visitors are served again.

use crate::figures::{Figure, Figures, measure, measure_in_turn};
use crate::kept::Kept;
use crate::network::{Cut, Host, Network};
use crate::support::clock::{now, until};
use crate::support::http::get;
use crate::support::load::{Ask, Load};
use crate::support::processes::{beside, python};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// One way, as in the row.
const DELAY: Duration = Duration::from_millis(15);
const LOSS: f64 = 0.01;
const PORT: u16 = 9000;
const DOOR: u16 = 8080;

fn instance(host: &Host, folder: &Path) -> Kept {
    let ledger = folder.join(format!("ledger-{}", host.name));
    let mut command = host.command(python());
    command
        .arg(beside("service.py"))
        .arg(PORT.to_string())
        .arg(ledger);
    let child = command.env("BIND", "0.0.0.0").stdout(Stdio::null()).spawn();
    Kept(child.unwrap())
}

fn haproxy(host: &Host, folder: &Path, first: &Host) -> Kept {
    let text = format!(
        "global\n  maxconn 2000\ndefaults\n  mode http\n  retries 1\n  option redispatch 1\n  retry-on conn-failure empty-response response-timeout\n\
         \x20 timeout connect 3s\n  timeout client 60s\n  timeout server 60s\n  timeout check 800ms\n\
         frontend door\n  bind {}:{DOOR}\n  default_backend sites\n\
         backend sites\n  option httpchk GET /healthz\n  default-server check inter 1s fastinter 200ms fall 3 rise 2 on-marked-down shutdown-sessions\n\
         \x20 server tokyo {}:{PORT}\n  server osaka {}:{PORT} backup\n",
        host.address, first.address, host.address
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, text).unwrap();
    let mut command = host.command("haproxy");
    command.arg("-db").arg("-f").arg(file).stdout(Stdio::null());
    Kept(command.stderr(Stdio::null()).spawn().unwrap())
}

/// The program, as `benches/peers/install.sh` leaves it, or the one of the path.
fn envoy_program() -> Option<PathBuf> {
    let found = std::env::var_os("ENVOY").map(PathBuf::from);
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/venv/lib");
    let of_python = fs::read_dir(lib).into_iter().flatten().flatten();
    let mut installed = of_python.map(|it| it.path().join("site-packages/envoy/_bin/envoy"));
    let found = found.or_else(|| installed.find(|it| it.exists()));
    found.or_else(|| runs("envoy", "--version").then(|| PathBuf::from("envoy")))
}

/// How long Envoy lets one try take.
#[derive(Debug, Clone, Copy)]
enum Tries {
    /// As long as the request.
    Whole,
    Second,
}

fn envoy(tries: Tries) -> impl Fn(&Host, &Path, &Host) -> Kept {
    move |host, folder, first| {
        let endpoint = |priority: u8, of: &Host| {
            format!(
                "{{ priority: {priority}, lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {PORT} }} }} }} }}] }}",
                of.address
            )
        };
        let per_try = match tries {
            Tries::Whole => "",
            Tries::Second => "per_try_timeout: 1s, ",
        };
        let text = format!(
            "static_resources:\n  listeners:\n    - address: {{ socket_address: {{ address: {own}, port_value: {DOOR} }} }}\n      filter_chains: [{{ filters: [{{ name: http, typed_config: {{\n\
             \x20       \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: door,\n\
             \x20       route_config: {{ virtual_hosts: [{{ name: all, domains: [\"*\"], routes: [{{ match: {{ prefix: \"/\" }}, route: {{ cluster: sites, timeout: 60s,\n\
             \x20         retry_policy: {{ retry_on: \"5xx,reset,connect-failure,refused-stream\", num_retries: 1, {per_try}\n\
             \x20           retry_priority: {{ name: envoy.retry_priorities.previous_priorities, typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig, update_frequency: 1 }} }} }} }} }}] }}] }},\n\
             \x20       http_filters: [{{ name: envoy.filters.http.router, typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }} }}] }} }}] }}]\n\
             \x20 clusters:\n    - name: sites\n      type: STATIC\n      connect_timeout: 3s\n      close_connections_on_host_health_failure: true\n\
             \x20     common_lb_config: {{ healthy_panic_threshold: {{ value: 0 }} }}\n\
             \x20     health_checks: [{{ timeout: 0.8s, interval: 0.5s, no_traffic_interval: 0.5s, unhealthy_interval: 1s, unhealthy_threshold: 3, healthy_threshold: 2, http_health_check: {{ path: /healthz }} }}]\n\
             \x20     outlier_detection: {{ split_external_local_origin_errors: true, consecutive_local_origin_failure: 3, consecutive_gateway_failure: 3, interval: 0.5s, base_ejection_time: 10s, max_ejection_percent: 100 }}\n\
             \x20     load_assignment: {{ cluster_name: sites, endpoints: [{}, {}] }}\n",
            endpoint(0, first),
            endpoint(1, host),
            own = host.address
        );
        let file = folder.join("envoy.yaml");
        fs::write(&file, text).unwrap();
        let program = envoy_program().unwrap();
        let mut command = host.command(program.to_str().unwrap());
        command
            .args([
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "-l",
                "error",
                "-c",
            ])
            .arg(file);
        Kept(command.stdout(Stdio::null()).spawn().unwrap())
    }
}

fn runs(program: &str, version: &str) -> bool {
    let mut command = Command::new(program);
    let found = command.arg(version).stdout(Stdio::null()).status();
    found.is_ok_and(|it| it.success())
}

fn is_here() -> bool {
    let here = runs("haproxy", "-v");
    if !here {
        minato_skip::skip("no HAProxy: apt-get install haproxy");
    }
    here
}

/// One run with this proxy at osaka.
fn cut(proxy: impl Fn(&Host, &Path, &Host) -> Kept) -> Figures {
    let mut network = Network::new();
    let mut named = tempfile::Builder::new();
    let folder = named.prefix("minato-faults-").tempdir().unwrap();
    let tokyo = network.far_host("tokyo");
    let osaka = network.far_host("osaka");
    let client = network.far_host("client");
    network.join(DELAY, LOSS);
    let _instances = [
        instance(&tokyo, folder.path()),
        instance(&osaka, folder.path()),
    ];
    let _proxy = proxy(&osaka, folder.path(), &tokyo);
    let door = (osaka.address, DOOR).into();
    let served_by = |host: &Host| {
        let own: std::net::SocketAddr = (host.address, PORT).into();
        let pid = get(own, "faults.test", "/").ok()?.text();
        let answer = get(door, "faults.test", "/").ok()?;
        (answer.status == 200 && answer.text() == pid).then_some(())
    };
    client.inside(|| until("tokyo to serve", || served_by(&tokyo)));
    let ask = Ask::Get {
        path: "/page".to_owned(),
        body: "the page".to_owned(),
    };
    let load = client.inside(|| Load::start(door, "faults.test", &ask));
    load.wait_for(100);
    let began = now();
    tokyo.cut_from(&osaka, Cut::Drop);
    client.inside(|| until("osaka to serve", || served_by(&osaka)));
    let first = began.elapsed();
    load.wait_for(200);
    let report = load.stop();
    vec![
        ("first success at the other site", Figure::Time(first)),
        ("slowest request", Figure::Time(report.slowest)),
        ("failed", Figure::Count(report.failed)),
        ("requests", Figure::Count(report.sent)),
    ]
}

#[test]
fn a_peer_with_backup_servers_on_the_same_cut() {
    if is_here() {
        let row = "row 11, the same cut, HAProxy with a backup server";
        measure(row, |_| cut(haproxy));
    }
}

#[test]
#[ignore = "a comparison that wants Envoy: make peers-faults"]
fn minato_and_its_peers_in_turn_on_the_same_cut() {
    assert!(is_here(), "haproxy is not installed");
    assert!(
        envoy_program().is_some(),
        "no Envoy: benches/peers/install.sh installs it, or ENVOY names it"
    );
    measure_in_turn(&[
        ("beside each other: minato", &|_| super::site_cut::cut()),
        ("beside each other: HAProxy", &|_| cut(haproxy)),
        ("beside each other: Envoy", &|_| cut(envoy(Tries::Whole))),
        ("beside each other: Envoy, 1 s a try", &|_| {
            cut(envoy(Tries::Second))
        }),
    ]);
}
