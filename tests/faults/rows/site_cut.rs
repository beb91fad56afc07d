//! Row 11, for services without state: a whole site is cut off, and its visitors are served by the other.
//!
//! The two sites and the client are 30 ms apart, there and back, and 1 % of the frames are lost.

use crate::figures::{Figure, Figures, measure};
use crate::machine::Machine;
use crate::network::{Cut, Network};
use crate::support::clock::{now, until, wall_ms};
use crate::support::http::get;
use crate::support::load::{Ask, Load};
use crate::support::site::python_service;
use crate::support::tls::{Authority, Time};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// One way.
const DELAY: Duration = Duration::from_millis(15);
const LOSS: f64 = 0.01;
const DOOR: u16 = 8443;
const HOST: &str = "faults.test";

/// Everything of a site on one machine, with a link to `other`.
fn site(folder: &Path, name: &str, network: &mut Network, authority: &Authority) -> Machine {
    site_with(folder, name, network, authority, "")
}

/// The same with more settings, whole tables.
pub(super) fn site_with(
    folder: &Path,
    name: &str,
    network: &mut Network,
    authority: &Authority,
    more: &str,
) -> Machine {
    let host = network.far_host(name);
    let roles = ["gateway", "control", "agent"];
    let machine = Machine::new(folder, host, &roles, "", more);
    let own = folder.join(name);
    authority.write(&own.join("authority.crt"));
    let certified = format!("{name}.{name}.minato.internal");
    authority.sign(&[&certified], Time::Now).write(&own, "link");
    machine
}

/// Tells a site who it is and who its peer is.
pub(super) fn introduce(folder: &Path, own: &Machine, peer: &Machine) {
    let (name, address) = (&own.host.name, own.host.address);
    let (other, of_other) = (&peer.host.name, peer.host.address);
    let file = folder.join(name).join("minato.toml");
    let text = fs::read_to_string(&file).unwrap();
    let links = format!(
        "[sites.{other}]\ngateways = [\"{of_other}:{DOOR}\"]\n[link]\nlisten = [\"{address}:{DOOR}\"]\n\
         authority = \"authority.crt\"\ncertificate = \"link.crt\"\nkey = \"link.key\"\n"
    );
    fs::write(file, format!("site = \"{name}\"\n{text}{links}")).unwrap();
}

#[test]
fn a_site_that_is_cut_off_is_left_and_its_visitors_are_served_by_the_other() {
    measure("row 11, a site cut off, 30 ms and 1 % loss", |_| cut());
}

/// One run.
pub(super) fn cut() -> Figures {
    let mut network = Network::new();
    let mut named = tempfile::Builder::new();
    let folder = named.prefix("minato-faults-").tempdir().unwrap();
    let authority = Authority::new("sites");
    let mut tokyo = site(folder.path(), "tokyo", &mut network, &authority);
    let mut osaka = site(folder.path(), "osaka", &mut network, &authority);
    let client = network.far_host("client");
    network.join(DELAY, LOSS);
    introduce(folder.path(), &tokyo, &osaka);
    introduce(folder.path(), &osaka, &tokyo);
    for machine in [&tokyo, &osaka] {
        let ledger = folder.path().join(format!("ledger-{}", machine.host.name));
        let more = "env = { BIND = \"0.0.0.0\" }\nsites = [\"tokyo\", \"osaka\"]\n\
                    health = { path = \"/healthz\", interval = \"1s\", fast = \"200ms\", timeout = \"800ms\" }\n";
        machine.write("app", &python_service(&ledger, 2, more));
    }
    tokyo.start();
    osaka.start();
    for machine in [&tokyo, &osaka] {
        machine.wait();
        machine.wait_ok("app", 2);
    }
    let pids = |of: &Machine| -> Vec<u64> {
        let all = of.instances("app");
        all.iter().filter_map(|it| it["pid"].as_u64()).collect()
    };
    let served_by = |pids: &[u64]| {
        let answer = get(osaka.gateway(), HOST, "/").ok()?;
        let pid = answer.text().parse().ok()?;
        (answer.status == 200 && pids.contains(&pid)).then_some(())
    };
    let (of_tokyo, of_osaka) = (pids(&tokyo), pids(&osaka));
    client.inside(|| until("tokyo to serve", || served_by(&of_tokyo)));
    let ask = Ask::Get {
        path: "/page".to_owned(),
        body: "the page".to_owned(),
    };
    let load = client.inside(|| Load::start(osaka.gateway(), HOST, &ask));
    load.wait_for(100);

    let (began, at) = (now(), wall_ms());
    tokyo.host.cut_from(&osaka.host, Cut::Drop);
    client.inside(|| until("osaka to serve", || served_by(&of_osaka)));
    let first = began.elapsed();
    let down = osaka.wait_event("the link to be down", |it| {
        it.at_ms >= at && it.message.contains("link to tokyo is down")
    });
    let left = osaka.wait_event("visitors to leave", |it| {
        it.at_ms >= at && it.message.contains("visitors leave tokyo")
    });
    load.wait_for(200);
    let report = load.stop();
    let since = |event_ms: u64| Duration::from_millis(event_ms.saturating_sub(at));
    // Requests that could be saved: each was tried at the other site within its five seconds.
    assert!(report.failed * 50 <= report.sent, "{report:?}");
    vec![
        ("link found down", Figure::Time(since(down.at_ms))),
        ("visitors leave", Figure::Time(since(left.at_ms))),
        ("first success at the other site", Figure::Time(first)),
        ("slowest request", Figure::Time(report.slowest)),
        ("failed", Figure::Count(report.failed)),
        ("requests", Figure::Count(report.sent)),
    ]
}
