//! A thousand tables, one after the other, and what is open meanwhile (fault row 17).

use super::http2::Streams;
use super::open::{Chat, Download, Gate, HOST, Kept, Upload, file, origin};
use crate::support::http::{get, until_status};
use crate::support::load::{Ask, Load};
use crate::support::origin::Origin;
use crate::support::site::Site;

const FILES: usize = 20;
const BATCHES: usize = 50;

/// Gives each of the other services a route that it did not have.
fn edit(site: &Site, origin: &Origin, batch: usize) {
    for number in 0..FILES {
        let route = route(number, batch);
        site.write(
            &format!("other-{number}"),
            &file(origin).replace(HOST, &route),
        );
    }
}

fn route(number: usize, batch: usize) -> String {
    format!("other-{number}-{batch}.test")
}

#[test]
fn a_thousand_tables_fail_nothing_and_what_is_open_stays_so() {
    let gate = Gate::default();
    let origin = origin(&gate);
    let mut site = Site::new();
    site.write("app", &site.python(2, "routes = [\"e2e.test\"]\n"));
    site.write("open", &file(&origin));
    edit(&site, &origin, 0);
    site.start();
    site.wait_ok("app", 2);
    let gateway = site.gateway();
    for host in [HOST, &route(FILES - 1, 0)] {
        until_status(gateway, host, "/", 200);
    }
    let (before, instances) = (site.latest_event(), site.pids("app"));
    let pages = site.load();
    let orders = Load::start(gateway, "e2e.test", &Ask::Orders);
    let mut chat = Chat::open(gateway);
    let (download, upload) = (Download::begin(gateway), Upload::begin(gateway));
    let mut kept = Kept::open(gateway);
    let mut streams = Streams::open(gateway);
    streams.get(1, "/download");
    let half = streams.body(1, 200_000);
    pages.wait_for(50);

    for batch in 1..=BATCHES {
        edit(&site, &origin, batch);
        for number in 0..FILES {
            until_status(gateway, &route(number, batch), "/", 200);
        }
        let gone = get(gateway, &route(0, batch - 1), "/").unwrap().status;
        assert_eq!(gone, 404, "the table of before");
        chat.says("and again");
    }
    let told = site.api(&format!("/v1/events?after={before}&last=10000"));
    let told = told.text();
    let is_swap = |it: &&str| {
        let event: serde_json::Value = serde_json::from_str(it).unwrap();
        event["event"]["kind"] == "routed"
    };
    let swaps = told.lines().filter(is_swap).count();
    assert_eq!(swaps, FILES * BATCHES);

    assert_eq!(kept.ask().header("connection"), None, "kept on");
    gate.open();
    download.end();
    assert_eq!(upload.end().header("connection"), None);
    assert_eq!(half + streams.body(1, usize::MAX), 600_000);
    assert!(streams.farewells.is_empty());
    streams.get(3, "/");
    assert_eq!(streams.body(3, usize::MAX), "plain".len());
    chat.says("after");
    let (pages, orders) = (pages.stop(), orders.stop());
    pages.nothing_failed();
    orders.nothing_failed();
    println!(
        "{swaps} tables: {} requests, 0 failed, slowest {:?}",
        pages.sent + orders.sent,
        pages.slowest.max(orders.slowest)
    );
    assert_eq!(site.pids("app"), instances, "the same processes");
}
