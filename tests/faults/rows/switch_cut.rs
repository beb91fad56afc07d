//! Row 12, for services whose data a command copies: the sites are cut from each other while requests wait for the copy.
//!
//! Nobody may end up with two owners, and no order that was acknowledged may be lost: the old site gives its requests back by its own
//! clock, the new one gives the switch up.

use super::site_cut::{introduce, site_with};
use crate::figures::{Figure, measure};
use crate::machine::Machine;
use crate::network::{Cut, Network};
use crate::support::clock::{now, until, wall_ms, within};
use crate::support::load::{Ask, Load};
use crate::support::site::python_service;
use crate::support::tls::Authority;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const DELAY: Duration = Duration::from_millis(15);
const HOST: &str = "faults.test";

fn ledger(folder: &Path, site: &str) -> PathBuf {
    folder.join(site).join("data/instances/app.0/ledger")
}

/// The copy takes three seconds, so that there is time to cut.
fn script(folder: &Path) -> PathBuf {
    let file = folder.join("copy");
    let (tokyo, osaka) = (ledger(folder, "tokyo"), ledger(folder, "osaka"));
    let text = format!(
        "#!/bin/sh\nset -e\nsleep 3\ncase $MINATO_FROM in tokyo) cat {0} > {1};; osaka) cat {1} > {0};; esac\n",
        tokyo.display(),
        osaka.display()
    );
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
    file
}

fn orders(file: &Path) -> Vec<u64> {
    let text = fs::read_to_string(file).unwrap();
    let number = |line: &str| line.split(' ').next().unwrap().parse().unwrap();
    text.lines().map(number).collect()
}

#[test]
fn sites_that_are_cut_from_each_other_while_data_is_copied_have_one_owner() {
    measure(
        "row 12, sites cut from each other in a switch with data",
        |_| {
            let mut network = Network::new();
            let mut named = tempfile::Builder::new();
            let folder = named.prefix("minato-faults-").tempdir().unwrap();
            let folder = folder.path();
            let authority = Authority::new("sites");
            let hook = format!(
                "[hooks.run.orders]\ncommand = [\"{}\"]\ntimeout = \"8s\"\n",
                script(folder).display()
            );
            let mut tokyo = site_with(folder, "tokyo", &mut network, &authority, &hook);
            let mut osaka = site_with(folder, "osaka", &mut network, &authority, &hook);
            let client = network.far_host("client");
            network.join(DELAY, 0.0);
            introduce(folder, &tokyo, &osaka);
            introduce(folder, &osaka, &tokyo);
            let more = "env = { BIND = \"0.0.0.0\" }\nsites = [\"tokyo\", \"osaka\"]\n\
                    health = { path = \"/healthz\", interval = \"1s\", fast = \"200ms\", timeout = \"800ms\" }\n\
                    [switch]\nsync = \"orders\"\n";
            tokyo.write("app", &python_service(Path::new("ledger"), 1, more));
            tokyo.start();
            osaka.start();
            for machine in [&tokyo, &osaka] {
                machine.wait();
                machine.wait_ok("app", 1);
            }
            let load = client.inside(|| Load::start(tokyo.gateway(), HOST, &Ask::Orders));
            load.wait_for(100);
            let switch = |to: &str, on: &Machine| {
                on.type_in(&["switch", "--to", to, "app", "--quiet", "1s", "--no-wait"]);
            };
            switch("osaka", &osaka);
            let at = wall_ms();
            let held = tokyo.wait_event("requests to wait", |it| {
                it.message.contains("new requests wait")
            });
            until("the copy to run", || {
                let operation = osaka.json("/v1/operations/1");
                let detail = operation["steps"][0]["detail"].as_str()?.to_owned();
                detail.starts_with("sync").then_some(())
            });
            let cut = now();
            tokyo.host.cut_from(&osaka.host, Cut::Drop);
            let again = tokyo.wait_event("requests to go on", |it| {
                it.at_ms >= held.at_ms && it.message.contains("requests go on that waited")
            });
            let ended = within(Duration::from_secs(60), "the switch to be given up", || {
                let operation = osaka.json("/v1/operations/1");
                (operation["ended"] == true).then_some(operation)
            });
            assert_eq!(ended["succeeded"], false, "{ended}");
            let given_up = cut.elapsed();
            // Osaka is no owner: it turns its visitors away, and tokyo serves its own.
            load.wait_for(100);
            tokyo.host.heal();
            until("the link to be up", || {
                let events = osaka.events();
                let last = events
                    .iter()
                    .rev()
                    .find(|it| it.message.contains("link to tokyo is"))?;
                last.message.contains("is up").then_some(())
            });
            load.wait_for(50);
            // And it can be done again.
            until("the next try to begin", || {
                let words = [
                    "switch",
                    "--to",
                    "osaka",
                    "app",
                    "--quiet",
                    "1s",
                    "--no-wait",
                ];
                osaka.cli(&words).status.success().then_some(())
            });
            within(Duration::from_secs(60), "the next try to move", || {
                let operation = osaka.json("/v1/operations/2");
                let detail = operation["steps"][0]["detail"].as_str()?.to_owned();
                (detail.starts_with("quiet") || operation["ended"] == true).then_some(())
            });
            load.wait_for(50);
            let report = load.stop();
            let all = orders(&ledger(folder, "osaka"));
            let distinct: BTreeSet<u64> = all.iter().copied().collect();
            assert_eq!(distinct.len(), all.len(), "an order is there twice");
            let lost: Vec<&u64> = report
                .taken
                .iter()
                .filter(|it| !distinct.contains(it))
                .collect();
            assert!(lost.is_empty(), "lost: {lost:?}");
            vec![
                (
                    "requests wait after the command",
                    Figure::Time(Duration::from_millis(held.at_ms.saturating_sub(at))),
                ),
                (
                    "they waited",
                    Figure::Time(Duration::from_millis(
                        again.at_ms.saturating_sub(held.at_ms),
                    )),
                ),
                ("given up after the cut", Figure::Time(given_up)),
                (
                    "orders acknowledged",
                    Figure::Count(report.taken.len() as u64),
                ),
                ("lost or doubled", Figure::Count(0)),
                ("failed", Figure::Count(report.failed)),
            ]
        },
    );
}
