//! `minato node list|drain|undrain` and `minato explain`: machines, and why instances are where they are.

use super::change::{Told, WaitArgs, make, who};
use super::terminal::{Tone, paint, print};
use crate::cli::Global;
use crate::client::{Client, encode};
use minato_control_server::api::{DrainRequest, Explained, NodeStatus, Nodes};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum NodeCommand {
    /// Show every machine of the site.
    List,
    /// Empty a machine: instances go once others serve in their place, and nothing new comes.
    Drain(DrainNodeArgs),
    /// Let a machine take instances again.
    Undrain(DrainNodeArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DrainNodeArgs {
    /// The machine.
    node: String,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The service.
    service: String,
}

pub(crate) async fn run(
    command: &NodeCommand,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    match command {
        NodeCommand::List => list(client, global).await,
        NodeCommand::Drain(args) => drain(args, true, client, global).await,
        NodeCommand::Undrain(args) => drain(args, false, client, global).await,
    }
}

async fn drain(
    args: &DrainNodeArgs,
    wish: bool,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let of = format!("/v1/nodes/{}", encode(&args.node));
    let told = Told {
        change: format!("{of}/drain"),
        settled: format!("{of}/settled"),
        more: "minato node list".to_owned(),
    };
    let request = DrainRequest {
        drain: wish,
        who: who(),
    };
    make(client, global, &told, &request, &args.wait).await
}

async fn list(client: &Client, global: &Global) -> anyhow::Result<ExitCode> {
    let nodes: Nodes = client.get("/v1/nodes").await?;
    if global.json {
        print(&format!("{}\n", serde_json::to_string(&nodes)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = nodes
        .nodes
        .iter()
        .map(|it| it.name.len())
        .max()
        .unwrap_or(0)
        .max(4);
    print(&format!(
        "{:width$}  {:8} {:>5} {:>7} {:>5} {:>13} {:>10} {:>14}  {}\n",
        "NODE",
        "STATE",
        "SLOTS",
        "RUNNING",
        "CPU",
        "MEMORY FREE",
        "DISK FREE",
        "NET IN/OUT",
        "LABELS"
    ))?;
    for it in &nodes.nodes {
        print(&line(it, width))?;
        if !it.absence.is_empty() {
            print(&format!("{:width$}  {}\n", "", it.absence))?;
            print(&format!("{:width$}  -> {}\n", "", it.hint))?;
        }
    }
    if !nodes.alarm.is_empty() {
        print(&format!("{} {}\n", paint("alarm:", Tone::Bad), nodes.alarm))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(it: &NodeStatus, width: usize) -> String {
    let (state, tone) = match (it.state.as_str(), it.drained) {
        ("alive", false) => ("alive", Tone::Good),
        ("alive", true) => ("drained", Tone::Doubtful),
        (_, true) => ("drained*", Tone::Doubtful),
        (_, false) => ("gone", Tone::Bad),
    };
    let unknown = || "-".to_owned();
    let cpu = it
        .cpu_percent
        .map_or_else(unknown, |it| format!("{it:.0}%"));
    let memory = match (it.memory_free_bytes, it.memory_bytes) {
        (Some(free), Some(all)) => format!("{} of {}", gibibytes(free), gibibytes(all)),
        _ => unknown(),
    };
    let disk = it.disk_free_bytes.map_or_else(unknown, gibibytes);
    let network = match (it.received_per_s, it.sent_per_s) {
        (Some(inward), Some(outward)) => flow(inward, outward),
        _ => unknown(),
    };
    let labels: Vec<String> = it
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut line = format!(
        "{:width$}  {} {:>5} {:>7} {cpu:>5} {memory:>13} {disk:>10} {network:>14}  {}",
        it.name,
        paint(&format!("{state:8}"), tone),
        it.slots,
        it.running,
        labels.join(" ")
    );
    if it.drained {
        line = format!("{}  drained by {}", line.trim_end(), it.drained_by);
    }
    format!("{}\n", line.trim_end())
}

/// `1.2M/800K`: bytes in a second to and fro.
pub(super) fn flow(inward: u64, outward: u64) -> String {
    format!("{}/{}", rate(inward), rate(outward))
}

/// `512`, `1.2K`, `30M`
fn rate(bytes: u64) -> String {
    let units = [("G", 30), ("M", 20), ("K", 10)];
    let Some((unit, shift)) = units.into_iter().find(|it| bytes >> it.1 > 0) else {
        return bytes.to_string();
    };
    let tenths = (u128::from(bytes) * 10) >> shift;
    match tenths {
        0..100 => format!("{}.{}{unit}", tenths / 10, tenths % 10),
        _ => format!("{}{unit}", tenths / 10),
    }
}

/// `3.5G`
fn gibibytes(bytes: u64) -> String {
    let tenths = u128::from(bytes) * 10 / (1 << 30);
    format!("{}.{}G", tenths / 10, tenths % 10)
}

pub(crate) async fn explain(
    args: &ExplainArgs,
    client: &Client,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let path = format!("/v1/services/{}/explain", encode(&args.service));
    let found: Explained = client.get(&path).await?;
    if global.json {
        print(&format!("{}\n", serde_json::to_string(&found)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!(
        "{}: {} wanted, {} assigned\n",
        found.service,
        found.wanted,
        found.slots.len()
    ))?;
    for it in &found.slots {
        let tone = if it.condition == "ready" {
            Tone::Good
        } else {
            Tone::Doubtful
        };
        let condition = paint(&it.condition, tone);
        let name = format!("{}/{}", found.service, it.slot);
        print(&format!(
            "{name} on {} ({condition}): {}\n",
            it.node, it.why
        ))?;
        if !it.otherwise.is_empty() {
            print(&format!("  {}\n", it.otherwise))?;
        }
    }
    if !found.nodes.is_empty() {
        print("for one more:\n")?;
    }
    for it in &found.nodes {
        let (word, tone) = if it.fits {
            ("fits", Tone::Good)
        } else {
            ("no", Tone::Bad)
        };
        let word = paint(&format!("{word:4}"), tone);
        print(&format!(
            "  {word} {}: {}; {} slots in all\n",
            it.name, it.why, it.slots
        ))?;
    }
    for (title, lines, tone) in [
        ("next", &found.next, Tone::Plain),
        ("missing", &found.missing, Tone::Bad),
    ] {
        for it in lines {
            print(&format!("{}: {it}\n", paint(title, tone)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_one_line() {
        let node = NodeStatus {
            name: "kobe".to_owned(),
            state: "alive".to_owned(),
            slots: 3,
            running: 2,
            cpu_percent: Some(12.5),
            memory_bytes: Some(8 << 30),
            memory_free_bytes: Some(3 << 29),
            disk_free_bytes: Some(10 << 30),
            received_per_s: Some(3 << 19),
            sent_per_s: Some(900),
            labels: [("zone".to_owned(), "a".to_owned())].into(),
            ..NodeStatus::default()
        };
        let text = line(&node, 4);
        for part in [
            "kobe",
            "alive",
            "12%",
            "1.5G of 8.0G",
            "10.0G",
            " 1.5M/900 ",
            "zone=a",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let gone = NodeStatus {
            state: "gone".to_owned(),
            ..node
        };
        assert!(line(&gone, 4).contains("gone"));
    }

    #[test]
    fn rates_are_short() {
        let rates = [0, 1_023, 1_024, 10_240, 1_048_575, 1 << 20, 3 << 30].map(rate);
        assert_eq!(rates, ["0", "1023", "1.0K", "10K", "1023K", "1.0M", "3.0G"]);
    }
}
