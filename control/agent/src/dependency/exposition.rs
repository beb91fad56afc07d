//! Metrics of dependencies and relays, Prometheus text format 0.0.4. Pure.

use super::view::{DependencyView, RelayView};
use minato_control::Usable;
use minato_health::Verdict;
use std::fmt::Write as _;

type Number = fn(&RelayView) -> u64;

const OF_RELAYS: [(&str, &str, &str, Number); 7] = [
    (
        "minato_relay_connections",
        "gauge",
        "Connections through the relay now, those that wait included.",
        |it| it.open,
    ),
    (
        "minato_relay_connections_total",
        "counter",
        "Connections that the relay accepted.",
        |it| it.connections,
    ),
    (
        "minato_relay_refused_total",
        "counter",
        "Of these refused: too many, or no member in time.",
        |it| it.refused,
    ),
    (
        "minato_relay_cut_total",
        "counter",
        "Of these cut because their member was left.",
        |it| it.cut,
    ),
    (
        "minato_relay_received_bytes_total",
        "counter",
        "Bytes from clients.",
        |it| it.bytes_in,
    ),
    (
        "minato_relay_sent_bytes_total",
        "counter",
        "Bytes to clients.",
        |it| it.bytes_out,
    ),
    (
        "minato_relay_switches_total",
        "counter",
        "Changes from one member to another.",
        |it| it.switches,
    ),
];

/// The text, each line ended; empty where there are no dependencies.
pub fn metrics(views: &[DependencyView]) -> String {
    let mut out = String::new();
    if views.is_empty() {
        return out;
    }
    head(
        &mut out,
        "minato_dependency_up",
        "gauge",
        "1 if what services depend on can be used.",
    );
    for it in views {
        let up = u8::from(it.state == Usable::Yes);
        let _ = writeln!(
            out,
            "minato_dependency_up{{dependency=\"{}\"}} {up}",
            it.name
        );
    }
    head(
        &mut out,
        "minato_dependency_member_up",
        "gauge",
        "1 if this member passes its check.",
    );
    for it in views {
        for member in &it.members {
            let up = u8::from(member.verdict != Verdict::Down);
            let (name, member) = (&it.name, escape(&member.name));
            let _ = writeln!(
                out,
                "minato_dependency_member_up{{dependency=\"{name}\",member=\"{member}\"}} {up}"
            );
        }
    }
    let relays: Vec<_> = views
        .iter()
        .filter_map(|it| Some((&it.name, it.relay.as_ref()?)))
        .collect();
    if relays.is_empty() {
        return out;
    }
    for (name, kind, help, number) in OF_RELAYS {
        head(&mut out, name, kind, help);
        for (relay, it) in &relays {
            let _ = writeln!(out, "{name}{{relay=\"{relay}\"}} {}", number(it));
        }
    }
    head(
        &mut out,
        "minato_relay_current",
        "gauge",
        "1 for each member that new connections go to.",
    );
    let of_relays = || views.iter().filter(|it| it.relay.is_some());
    for it in of_relays() {
        for member in it.members.iter().filter(|it| it.in_use) {
            let (relay, member) = (&it.name, escape(&member.name));
            let _ = writeln!(
                out,
                "minato_relay_current{{relay=\"{relay}\",member=\"{member}\"}} 1"
            );
        }
    }
    head(
        &mut out,
        "minato_relay_member_connections",
        "gauge",
        "Connections through the relay to this member now.",
    );
    for it in of_relays() {
        for member in &it.members {
            let (relay, open) = (&it.name, member.connections);
            let member = escape(&member.name);
            let _ = writeln!(
                out,
                "minato_relay_member_connections{{relay=\"{relay}\",member=\"{member}\"}} {open}"
            );
        }
    }
    out
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A label's value.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
