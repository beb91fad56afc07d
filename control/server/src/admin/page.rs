//! The status page: one document, no script, nothing from outside. Pure.
//!
//! For someone woken at three: first whether anything is wrong and what, then each service and why, then what
//! happened. A state is a word first and a colour second.

mod html;
mod service;
mod words;

use crate::api::{EventLine, ServiceState, Status};
use html::Html;
use minato_control::Level;
use std::sync::Arc;
use words::{moment, span};

const STYLE: &str = include_str!("page/style.css");

/// Problems and alarms that the page lists; the rest is a number.
const SHOWN: usize = 30;

/// Whether the page loads itself again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    /// So that it is always true.
    Every2s,
    /// To read or copy in peace.
    Off,
}

/// The page. `nonce` names the style element to the content security policy.
pub(super) fn render(
    status: &Status,
    events: &[Arc<EventLine>],
    refresh: Refresh,
    nonce: &str,
) -> String {
    let mut out = Html::new();
    out.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    out.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    if refresh == Refresh::Every2s {
        out.raw("<meta http-equiv=\"refresh\" content=\"2\">\n");
    }
    out.raw("<title>").text(verdict(status).1.as_str());
    out.raw(" - minato ")
        .text(&status.site)
        .raw("</title>\n<style nonce=\"");
    out.text(nonce)
        .raw("\">")
        .raw(STYLE)
        .raw("</style></head>\n<body>\n");
    head(&mut out, status, refresh);
    needs(&mut out, status);
    operations(&mut out, status);
    sites(&mut out, status);
    service::list(&mut out, status);
    history(&mut out, events);
    foot(&mut out, status);
    out.raw("</body></html>\n");
    out.into_string()
}

/// The whole site in one state and one sentence.
fn verdict(status: &Status) -> (ServiceState, String) {
    let count = |state| {
        status
            .services
            .iter()
            .filter(|it| it.state == state)
            .count()
    };
    let all = status.services.len();
    let (down, degraded) = (count(ServiceState::Down), count(ServiceState::Degraded));
    let mut words = Vec::new();
    for (count, word) in [
        (down, "down"),
        (degraded, "degraded"),
        (count(ServiceState::Settling), "settling"),
        (count(ServiceState::Draining), "draining"),
        (count(ServiceState::Ok), "ok"),
    ] {
        if count > 0 {
            words.push(format!("{count} {word}"));
        }
    }
    let well = count(ServiceState::Ok) == all;
    let sentence = match (well, all) {
        (true, 0) => "no services yet".to_owned(),
        (true, 1) => "the service is ok".to_owned(),
        (true, _) => format!("all {all} services are ok"),
        (false, 1) => format!(
            "the service is {}",
            words.join(", ").trim_start_matches("1 ")
        ),
        (false, _) => format!("{all} services: {}", words.join(", ")),
    };
    let state = match () {
        () if down > 0 || !status.store.healthy => ServiceState::Down,
        () if degraded > 0 || !status.config.problems.is_empty() || !status.alarms.is_empty() => {
            ServiceState::Degraded
        }
        () if well => ServiceState::Ok,
        () => ServiceState::Settling,
    };
    (state, sentence)
}

fn head(out: &mut Html, status: &Status, refresh: Refresh) {
    let (state, sentence) = verdict(status);
    out.raw("<header class=\"")
        .raw(state.as_str())
        .raw("\"><h1>");
    out.text(&sentence)
        .raw("</h1>\n<p>site <b>")
        .text(&status.site);
    out.raw("</b>, node <b>")
        .text(&status.node)
        .raw("</b>, at ");
    out.text(&moment(status.now_ms)).raw(" UTC");
    match refresh {
        Refresh::Every2s => {
            out.raw(", new every 2 s (<a href=\"/?refresh=off\">hold still</a>)");
        }
        Refresh::Off => {
            out.raw(", held still (<a href=\"/\">go on</a>)");
        }
    }
    out.raw("</p></header>\n");
}

/// What needs a person: the store, the files, the alarms.
fn needs(out: &mut Html, status: &Status) {
    let store = &status.store;
    if !store.healthy {
        out.raw("<section class=\"need\"><h2>The store has trouble</h2><ul><li>");
        out.text(&store.detail).raw("</li></ul></section>\n");
    }
    list(out, "Needs a person", &status.alarms);
    list(
        out,
        "Files with problems; the last good state serves on",
        &status.config.problems,
    );
}

fn list(out: &mut Html, title: &'static str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    out.raw("<section class=\"need\"><h2>")
        .raw(title)
        .raw("</h2><ul>");
    for it in items.iter().take(SHOWN) {
        out.raw("<li>").text(it).raw("</li>\n");
    }
    if items.len() > SHOWN {
        let more = format!("and {} more", items.len() - SHOWN);
        out.raw("<li>").text(&more).raw("</li>");
    }
    out.raw("</ul></section>\n");
}

/// What people started and has not ended.
fn operations(out: &mut Html, status: &Status) {
    if status.operations.is_empty() {
        return;
    }
    out.raw("<section><h2>Operations</h2><div class=\"wide\"><table><tbody>\n");
    for it in status.operations.iter().take(SHOWN) {
        out.raw("<tr><td class=\"n\">").text(&it.id.to_string());
        out.raw("</td><td>").text(&it.title);
        out.raw("</td><td>").text(&it.state);
        out.raw("</td><td>").text(&it.progress);
        out.raw("</td><td class=\"why\">").text(&it.reason);
        out.raw(" <small>by ")
            .text(&it.who)
            .raw("</small></td></tr>\n");
    }
    out.raw("</tbody></table></div></section>\n");
}

/// Other sites as each gateway of this one sees them, and visitors that do not all go to the first.
fn sites(out: &mut Html, status: &Status) {
    if status.observers.is_empty() && status.shares.is_empty() {
        return;
    }
    out.raw("<section><h2>Other sites</h2><div class=\"wide\"><table><thead><tr><th>site</th><th>seen by</th>");
    out.raw(
        "<th>link</th><th>for</th><th>delay</th><th>loss</th><th>why</th></tr></thead><tbody>\n",
    );
    for it in status.observers.iter().take(SHOWN) {
        let state = if it.up { "up" } else { "down" };
        let delay = it.delay_us.map_or_else(
            || "-".to_owned(),
            |it| format!("{}.{} ms", it / 1_000, it % 1_000 / 100),
        );
        let loss = format!("{:.1} %", f64::from(it.loss_permille) / 10.0);
        out.raw("<tr><td>").text(&it.site);
        out.raw("</td><td>").text(&it.gateway);
        out.raw("</td><td>").raw(state);
        out.raw("</td><td class=\"n\">")
            .text(&span(status.now_ms.saturating_sub(it.since_ms)));
        out.raw("</td><td class=\"n\">").text(&delay);
        out.raw("</td><td class=\"n\">").text(&loss);
        out.raw("</td><td class=\"why\">")
            .text(&it.reason)
            .raw("</td></tr>\n");
    }
    out.raw("</tbody></table></div>\n");
    for it in status.shares.iter().take(SHOWN) {
        let parts: Vec<String> = it
            .sites
            .iter()
            .map(|(site, part)| format!("{site} {part} %"))
            .collect();
        out.raw("<p>visitors of ").text(&it.service).raw(": ");
        out.text(&parts.join(", "));
        if it.excess > 0.0 {
            out.text(&format!(", sorry page {} %", it.excess));
        }
        out.raw("</p>\n");
    }
    out.raw("</section>\n");
}

fn history(out: &mut Html, events: &[Arc<EventLine>]) {
    out.raw("<section><h2>Last events</h2><div class=\"wide\"><table class=\"events\"><tbody>\n");
    for line in events.iter().rev() {
        let event = &line.event;
        let level = match event.level {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        out.raw("<tr class=\"")
            .raw(level)
            .raw("\"><td class=\"n\">");
        out.text(&moment(event.at.0))
            .raw("</td><td class=\"level\">")
            .raw(level);
        out.raw("</td><td>");
        match (&event.service, &event.instance) {
            (Some(service), Some(it)) => out.text(&format!("{service}/{}", it.slot)),
            (Some(service), None) => out.text(service.as_str()),
            (None, _) => out.raw(""),
        };
        out.raw("</td><td class=\"why\">").text(&event.message);
        if let Some(hint) = &event.hint {
            out.raw(" <small>").text(hint).raw("</small>");
        }
        out.raw("</td></tr>\n");
    }
    if events.is_empty() {
        out.raw("<tr><td>Nothing has happened yet.</td></tr>");
    }
    out.raw("</tbody></table></div></section>\n");
}

fn foot(out: &mut Html, status: &Status) {
    let leader = match &status.leader {
        _ if status.leading => "this process leads".to_owned(),
        Some(node) => format!("{node} leads"),
        None => "nobody leads".to_owned(),
    };
    let store = format!(
        "{} at revision {}",
        status.store.path, status.store.revision
    );
    let config = format!(
        "{} ({} files, {} services, read {})",
        status.config.folder,
        status.config.files,
        status.config.services,
        moment(status.config.loaded_at_ms)
    );
    let process = format!(
        "{} pid {}, up for {}",
        status.version,
        status.pid,
        span(status.now_ms.saturating_sub(status.since_ms))
    );
    let entrance = status.entrance.as_ref().map(|it| {
        let words = [&it.standing, &it.reason, &it.undo];
        let words: Vec<&str> = words.iter().map(|it| it.as_str()).collect();
        let said: Vec<&str> = words.into_iter().filter(|it| !it.is_empty()).collect();
        said.join(": ")
    });
    out.raw("<footer><dl>");
    for (name, text) in entrance.map(|it| ("entrance", it)).into_iter().chain([
        ("minato", process),
        ("control", leader),
        ("gateway", status.listeners.join(" ")),
        ("admin", status.admin.clone()),
        ("store", store),
        ("services", config),
    ]) {
        out.raw("<dt>")
            .raw(name)
            .raw("</dt><dd>")
            .text(&text)
            .raw("</dd>\n");
    }
    out.raw("</dl></footer>\n");
}

#[cfg(test)]
mod tests;
