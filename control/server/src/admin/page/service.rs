//! The services on the page: trouble first, each with its instances and why they are as they are.

use super::html::Html;
use super::words::{moment, span};
use crate::api::{InstanceStatus, ServiceState, ServiceStatus, Status};

/// All of them.
pub(super) fn list(out: &mut Html, status: &Status) {
    out.raw("<section><h2>Services</h2>\n");
    if status.services.is_empty() {
        out.raw("<p>None. Put a file into <code>")
            .text(&status.config.folder);
        out.raw("</code>: its name is the service's.</p></section>\n");
        return;
    }
    // Trouble first, else by name.
    let mut sorted: Vec<&ServiceStatus> = status.services.iter().collect();
    sorted.sort_by_key(|it| std::cmp::Reverse(urgency(it.state)));
    sorted.iter().for_each(|it| service(out, it, status.now_ms));
    out.raw("</section>\n");
}

fn urgency(state: ServiceState) -> u8 {
    match state {
        ServiceState::Down => 3,
        ServiceState::Degraded => 2,
        ServiceState::Settling => 1,
        ServiceState::Ok | ServiceState::Draining => 0,
    }
}

fn service(out: &mut Html, it: &ServiceStatus, now_ms: u64) {
    out.raw("<article class=\"")
        .raw(it.state.as_str())
        .raw("\"><h3><span class=\"state\">");
    out.raw(it.state.as_str())
        .raw("</span> ")
        .text(&it.name)
        .raw("</h3>\n<p class=\"detail\">");
    out.text(&it.detail).raw("</p>\n");
    for number in it.number().into_iter().chain(it.version()) {
        let hand = it.by_hand.as_ref().map(|it| it.since_ms);
        let since = hand.or(it.scaled.as_ref().map(|it| it.since_ms));
        let text = match since.unwrap_or(0) {
            0 => number,
            since => format!("{number}; since {}", moment(since)),
        };
        out.raw("<p class=\"hand\">").text(&text).raw("</p>\n");
    }
    out.raw("<p class=\"facts\">")
        .text(&facts(it))
        .raw("</p>\n");
    if !it.instances.is_empty() {
        out.raw("<div class=\"wide\"><table><thead><tr><th>instance</th><th>verdict</th>");
        out.raw("<th>process</th><th>for</th><th>address</th><th>in flight</th><th>requests</th>");
        out.raw("<th>failures</th><th>restarts</th><th>why</th></tr></thead><tbody>\n");
        it.instances
            .iter()
            .for_each(|row| instance(out, &it.name, row, now_ms));
        out.raw("</tbody></table></div>\n");
    }
    out.raw("</article>\n");
}

fn facts(it: &ServiceStatus) -> String {
    let mut facts = vec![format!("{} in flight", it.in_flight)];
    if it.queued > 0 {
        facts.push(format!("{} queued", it.queued));
    }
    facts.push(format!("{} requests", it.requests));
    if it.gateway_errors > 0 {
        facts.push(format!("{} gateway errors", it.gateway_errors));
    }
    for (name, value) in [("p50", it.p50_ms), ("p95", it.p95_ms), ("p99", it.p99_ms)] {
        facts.extend(value.map(|ms| format!("{name} {ms:.1} ms")));
    }
    if it.routes.is_empty() {
        facts.push("no routes".to_owned());
    } else {
        facts.push(it.routes.join(" "));
    }
    facts.push(format!("from {}", it.source));
    facts.join(" \u{b7} ")
}

fn instance(out: &mut Html, service: &str, it: &InstanceStatus, now_ms: u64) {
    out.raw("<tr class=\"")
        .raw(word(&it.verdict))
        .raw("\"><td>");
    out.text(&format!("{service}/{}", it.slot));
    if it.run > 0 {
        out.raw(" <small>")
            .text(&format!("{} run {}", it.generation, it.run))
            .raw("</small>");
    }
    out.raw("</td><td class=\"verdict\">").text(&it.verdict);
    if !it.standing.is_empty() && it.standing != it.verdict {
        out.raw(" <small>").text(&it.standing).raw("</small>");
    }
    out.raw("</td><td>").text(&it.phase);
    if it.removed {
        out.raw(" <small>to end</small>");
    }
    if let Some(pid) = it.pid {
        out.raw(" <small>")
            .text(&format!("pid {pid}"))
            .raw("</small>");
    }
    let age = if it.since_ms == 0 {
        String::new()
    } else {
        span(now_ms.saturating_sub(it.since_ms))
    };
    for (class, text) in [
        ("n", age),
        ("", it.address.clone()),
        ("n", it.in_flight.to_string()),
        ("n", it.requests.to_string()),
        ("n", it.failures.to_string()),
        ("n", it.restarts.to_string()),
        ("why", why(it, now_ms)),
    ] {
        out.raw("</td><td class=\"")
            .raw(class)
            .raw("\">")
            .text(&text);
    }
    out.raw("</td></tr>\n");
}

fn why(it: &InstanceStatus, now_ms: u64) -> String {
    match it.retry_at_ms {
        Some(at) if at > now_ms => {
            let wait = span(at - now_ms);
            format!("{}; starts again in {wait}", it.reason)
        }
        _ => it.reason.clone(),
    }
}

/// The verdict as a class: only words that we know.
fn word(verdict: &str) -> &'static str {
    match verdict {
        "up" => "up",
        "suspect" => "suspect",
        "down" => "down",
        _ => "unknown",
    }
}
