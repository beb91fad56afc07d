//! `minato status`: what is, what should be, and why they differ.

use super::node::flow;
use super::terminal::{Tone, paint, print, safe, table};
use crate::cli::Global;
use crate::client::{Client, encode};
use minato_control_server::api::{InstanceStatus, ServiceState, ServiceStatus, Status};
use minato_health::Flow;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit: 0 all is well, 1 something is degraded, down, drained or refused.")]
pub(crate) struct StatusArgs {
    /// Only this service, with its instances.
    service: Option<String>,
}

/// Exit 0 where every service shown is ok or settling, and store and files are well; 1 otherwise.
pub(crate) async fn run(
    args: &StatusArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let fine = match &args.service {
        Some(name) => {
            let service: ServiceStatus = client
                .get(&format!("/v1/services/{}", encode(name)))
                .await?;
            if global.json {
                print(&format!("{}\n", serde_json::to_string_pretty(&service)?))?;
            } else {
                let status: Status = client.get("/v1/status").await?;
                print(&one(&service, status.now_ms))?;
            }
            is_fine(&service)
        }
        None => {
            let status: Status = client.get("/v1/status").await?;
            if global.json {
                print(&format!("{}\n", serde_json::to_string_pretty(&status)?))?;
            } else {
                print(&all(&status, client))?;
            }
            status.services.iter().all(is_fine)
                && status.store.healthy
                && status.config.problems.is_empty()
                && status
                    .entrance
                    .as_ref()
                    .is_none_or(|it| it.standing == "alive")
        }
    };
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn is_fine(service: &ServiceStatus) -> bool {
    matches!(service.state, ServiceState::Ok | ServiceState::Settling)
}

fn all(status: &Status, client: &Client) -> String {
    let mut out = format!(
        "site {}  node {}  minato {}  up {}  {}\n",
        status.site,
        status.node,
        status.version,
        duration(status.now_ms.saturating_sub(status.since_ms)),
        if status.leading {
            "leads".to_owned()
        } else {
            format!("leader {}", status.leader.as_deref().unwrap_or("none"))
        },
    );
    let listeners: Vec<String> = status
        .listeners
        .iter()
        .map(|it| format!("http://{it}"))
        .collect();
    out.push_str(&format!(
        "serves {}  page http://{}/  files {}\n",
        listeners.join(", "),
        client.address(),
        safe(&status.config.folder)
    ));
    if !status.draining.is_empty() {
        let pids: Vec<String> = status.draining.iter().map(ToString::to_string).collect();
        out.push_str(&format!(
            "process {} still serves connections of before the upgrade\n",
            pids.join(", ")
        ));
    }
    if let Some(entrance) = &status.entrance {
        out.push_str(&super::entrance::text(entrance));
    }
    if !status.store.healthy {
        out.push_str(&format!(
            "{} {}\n",
            paint("store:", Tone::Bad),
            safe(&status.store.detail)
        ));
    }
    out.push('\n');
    let mut rows = vec![plain(&[
        "SERVICE",
        "STATE",
        "UP",
        "IN FLIGHT",
        "REQUESTS",
        "ERRORS",
        "P50",
        "P99",
        "DETAIL",
    ])];
    for it in &status.services {
        rows.push(vec![
            (it.name.clone(), Tone::Plain),
            (it.state.to_string(), tone(it.state)),
            (format!("{}/{}", it.up, it.wanted), Tone::Plain),
            (in_flight(it), Tone::Plain),
            (it.requests.to_string(), Tone::Plain),
            (
                it.gateway_errors.to_string(),
                if it.gateway_errors > 0 {
                    Tone::Doubtful
                } else {
                    Tone::Plain
                },
            ),
            (milliseconds(it.p50_ms), Tone::Plain),
            (milliseconds(it.p99_ms), Tone::Plain),
            (safe(&detail(it)), Tone::Plain),
        ]);
    }
    out.push_str(&table(&rows));
    if status.services.is_empty() {
        out.push_str(&format!(
            "no service yet: put a file into {}\n",
            status.config.folder
        ));
    }
    out.push_str(&links(status));
    for it in &status.operations {
        out.push_str(&format!(
            "operation {} ({}) is {}: {}{}\n",
            it.id,
            safe(&it.title),
            it.state,
            it.progress,
            if it.schedule.is_empty() {
                String::new()
            } else {
                format!(", {}", it.schedule)
            }
        ));
    }
    for problem in &status.config.problems {
        out.push_str(&format!(
            "{} {}\n",
            paint("config:", Tone::Bad),
            safe(problem)
        ));
    }
    for alarm in &status.alarms {
        out.push_str(&format!("{} {}\n", paint("alarm:", Tone::Bad), safe(alarm)));
    }
    out
}

/// Other sites, and services that they serve for this one.
fn links(status: &Status) -> String {
    if status.links.is_empty() {
        return String::new();
    }
    let heads = [
        "SITE", "GATEWAY", "LINK", "SINCE", "DELAY", "LOSS", "DETAIL",
    ];
    let mut rows = vec![plain(&heads)];
    for it in &status.links {
        let tone = match it.state.as_str() {
            "up" => Tone::Good,
            "down" => Tone::Bad,
            _ => Tone::Doubtful,
        };
        let since = match it.since_ms {
            0 => "-".to_owned(),
            at => duration(status.now_ms.saturating_sub(at)),
        };
        let detail = if it.reason.is_empty() {
            format!("{} runs {}", it.node, it.version)
        } else {
            it.reason.clone()
        };
        rows.push(vec![
            (it.site.clone(), Tone::Plain),
            (it.address.clone(), Tone::Plain),
            (it.state.clone(), tone),
            (since, Tone::Plain),
            (milliseconds(it.delay_ms), Tone::Plain),
            (format!("{:.0} %", it.loss * 100.0), Tone::Plain),
            (safe(&detail), Tone::Plain),
        ]);
    }
    let mut out = format!("\n{}", table(&rows));
    for it in &status.shares {
        let sites = it.sites.iter();
        let mut parts: Vec<String> = sites
            .map(|(site, part)| format!("{site} {part} %"))
            .collect();
        if it.excess > 0.0 {
            parts.push(format!("sorry page {} %", it.excess));
        }
        out.push_str(&format!(
            "visitors of {}: {}\n",
            it.service,
            parts.join(", ")
        ));
    }
    out
}

fn one(service: &ServiceStatus, now_ms: u64) -> String {
    let mut out = format!(
        "{}  {}  {}\n",
        service.name,
        paint(service.state.as_str(), tone(service.state)),
        safe(&detail(service))
    );
    out.push_str(&format!("from {}\n", safe(&service.source)));
    if let Some(raised) = &service.raised {
        out.push_str(&format!("each instance is given {raised}\n"));
    }
    for route in &service.routes {
        out.push_str(&format!("route {route}\n"));
    }
    out.push_str(&format!(
        "requests {}  gateway errors {}  in flight {}  p50 {}  p95 {}  p99 {}\n\n",
        service.requests,
        service.gateway_errors,
        in_flight(service),
        milliseconds(service.p50_ms),
        milliseconds(service.p95_ms),
        milliseconds(service.p99_ms),
    ));
    let mut rows = vec![plain(&[
        "SLOT",
        "RUN",
        "ADDRESS",
        "PID",
        "PHASE",
        "VERDICT",
        "STANDING",
        "SINCE",
        "CPU",
        "MEMORY",
        "DISK R/W",
        "NET IN/OUT",
        "IN FLIGHT",
        "REQUESTS",
        "FAILURES",
        "RESTARTS",
        "REASON",
    ])];
    rows.extend(service.instances.iter().map(|it| instance(it, now_ms)));
    out.push_str(&table(&rows));
    out
}

fn instance(it: &InstanceStatus, now_ms: u64) -> Vec<(String, Tone)> {
    let tone = match it.verdict.as_str() {
        "up" => Tone::Good,
        "suspect" => Tone::Doubtful,
        _ => Tone::Bad,
    };
    let retry = it.retry_at_ms.map_or_else(String::new, |at| {
        format!(" (starts again in {})", duration(at.saturating_sub(now_ms)))
    });
    vec![
        (it.slot.to_string(), Tone::Plain),
        (format!("{}-{}", it.generation, it.run), Tone::Plain),
        (it.address.clone(), Tone::Plain),
        (
            it.pid.map_or_else(|| "-".to_owned(), |it| it.to_string()),
            Tone::Plain,
        ),
        (it.phase.clone(), Tone::Plain),
        (it.verdict.clone(), tone),
        (it.standing.clone(), Tone::Plain),
        (since(it.since_ms, now_ms), Tone::Plain),
        (it.cpu_milli.map_or_else(none, processors), Tone::Plain),
        (it.memory_bytes.map_or_else(none, mebibytes), Tone::Plain),
        (flow_of(it.disk), Tone::Plain),
        (flow_of(it.network), Tone::Plain),
        (it.in_flight.to_string(), Tone::Plain),
        (it.requests.to_string(), Tone::Plain),
        (it.failures.to_string(), Tone::Plain),
        (it.restarts.to_string(), Tone::Plain),
        (format!("{}{retry}", safe(&it.reason)), Tone::Plain),
    ]
}

fn detail(service: &ServiceStatus) -> String {
    let more = service.number().into_iter().chain(service.version());
    let all: Vec<String> = std::iter::once(service.detail.clone())
        .chain(more)
        .collect();
    all.join("; ")
}

fn in_flight(service: &ServiceStatus) -> String {
    if service.queued > 0 {
        format!("{} +{} queued", service.in_flight, service.queued)
    } else {
        service.in_flight.to_string()
    }
}

fn plain(cells: &[&str]) -> Vec<(String, Tone)> {
    cells
        .iter()
        .map(|it| ((*it).to_owned(), Tone::Plain))
        .collect()
}

fn tone(state: ServiceState) -> Tone {
    match state {
        ServiceState::Ok => Tone::Good,
        ServiceState::Settling | ServiceState::Draining | ServiceState::Degraded => Tone::Doubtful,
        ServiceState::Down => Tone::Bad,
    }
}

/// Bytes in a second; `-` where its runtime cannot tell.
fn flow_of(it: Option<Flow>) -> String {
    it.map_or_else(none, |it| flow(it.inward, it.outward))
}

fn none() -> String {
    "-".to_owned()
}

/// `0.75`: so many processors.
fn processors(milli: u32) -> String {
    format!("{:.2}", f64::from(milli) / 1_000.0)
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn milliseconds(it: Option<f64>) -> String {
    it.map_or_else(|| "-".to_owned(), |it| format!("{it:.1}ms"))
}

/// How long ago; nothing where it has not begun.
fn since(since_ms: u64, now_ms: u64) -> String {
    match since_ms {
        0 => "-".to_owned(),
        _ => duration(now_ms.saturating_sub(since_ms)),
    }
}

/// `3s`, `4m12s`, `2h03m`, `5d04h`.
pub(super) fn duration(ms: u64) -> String {
    let seconds = Duration::from_millis(ms).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, mebibytes, processors, since};

    #[test]
    fn what_has_not_begun_has_no_age() {
        assert_eq!(since(0, 5_000), "-");
        assert_eq!(since(2_000, 5_000), "3s");
    }

    #[test]
    fn figures_have_their_units() {
        assert_eq!(processors(1_254), "1.25");
        assert_eq!(mebibytes(300 << 20), "300 MiB");
    }

    #[test]
    fn durations_read_at_a_glance() {
        let texts: Vec<String> = [3_000, 252_000, 7_380_000, 446_400_000]
            .into_iter()
            .map(duration)
            .collect();
        assert_eq!(texts, ["3s", "4m12s", "2h03m", "5d04h"]);
    }
}
