//! A gateway of the other site that answers, and has nobody to take the request.
//!
//! Without health checks it goes on saying that its instance is up, so that each request goes there first.

use super::{Cloud, Pair};
use crate::support::clock::until;
use crate::support::http::{get, post};
use crate::support::origin::{Origin, body, ok};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Requests that instances have had.
type Had = Arc<AtomicU32>;

fn of(had: &Had) -> u32 {
    had.load(Ordering::SeqCst)
}

/// Counts whole requests; those of which it is `polite` are answered by `name`, of the others it hangs up.
fn instance(name: &'static str, polite: bool) -> (Origin, Had) {
    let had = Had::default();
    let counts = Arc::clone(&had);
    let origin = Origin::start(move |head, wire| {
        body(head, wire)?;
        counts.fetch_add(1, Ordering::SeqCst);
        if polite {
            ok(wire, name.as_bytes())
        } else {
            Ok(false)
        }
    });
    (origin, had)
}

/// Tokyo comes first with an instance at `first`, which nobody checks; osaka has `next`.
fn start(first: SocketAddr, next: &Origin) -> Pair {
    let mut pair = Pair::stopped("");
    let file = |address: SocketAddr| {
        format!(
            "endpoints = [\"{address}\"]\nroutes = [\"*\"]\nhealth = \"off\"\nsites = [\"tokyo\", \"osaka\"]\n"
        )
    };
    pair.tokyo.site.write("shared", &file(first));
    pair.osaka.site.write("shared", &file(next.address));
    pair.tokyo.site.start();
    pair.osaka.site.start();
    pair.osaka.until_told(&["link to tokyo is up"]);
    pair
}

/// Answers of tokyo's gateway at osaka, in which it says that nobody could take the request.
fn refused_there(osaka: &Cloud) -> u64 {
    let text = osaka.site.api("/metrics").text();
    let name = "minato_peer_failures_total{service=\"shared\",site=\"tokyo\"} ";
    let line = text.lines().find_map(|it| it.strip_prefix(name));
    line.and_then(|it| it.parse().ok()).unwrap_or(0)
}

#[test]
fn what_no_instance_there_has_had_goes_to_the_next_site_at_once() {
    // Nobody listens there any more.
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let (next, had) = instance("osaka", true);
    let pair = start(address, &next);
    let gateway = pair.osaka.site.gateway();
    until("requests to go to tokyo first", || {
        let _ = get(gateway, "e2e.test", "/");
        (refused_there(&pair.osaka) > 0).then_some(())
    });
    let (had_before, refused_before) = (of(&had), refused_there(&pair.osaka));
    for _ in 0..20 {
        let answer = get(gateway, "e2e.test", "/").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "osaka"));
        // Nothing of it was anywhere, so that its method is no matter.
        let answer = post(gateway, "e2e.test", "/", "").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "osaka"));
    }
    assert_eq!(of(&had), had_before + 40);
    // Each of them had been at tokyo's gateway before.
    until("what tokyo's gateway refused to be counted", || {
        (refused_there(&pair.osaka) >= refused_before + 40).then_some(())
    });
    // At tokyo's own entrance it is osaka's, too.
    // Once it has heard that osaka has an instance, which its first answer may be too early for.
    pair.tokyo.until_served_by("osaka");
}

#[test]
fn what_an_instance_there_has_had_is_not_sent_to_another_site() {
    let (rude, had) = instance("tokyo", false);
    let (next, next_had) = instance("osaka", true);
    let pair = start(rude.address, &next);
    let gateway = pair.osaka.site.gateway();
    until("requests to go to tokyo first", || {
        let _ = get(gateway, "e2e.test", "/");
        (of(&had) > 0).then_some(())
    });
    let next_before = of(&next_had);
    for body in ["", "once"] {
        for _ in 0..10 {
            let before = of(&had);
            let answer = post(gateway, "e2e.test", "/", body).unwrap();
            assert_eq!(answer.status, 502, "{}", answer.text());
            assert_eq!(of(&had), before + 1, "not exactly once");
        }
    }
    assert_eq!(of(&next_had), next_before, "osaka had some of them as well");
}
