//! Changes what should be, as an operator would, and measures how soon it is true.

use crate::demo::admin::{service, whole};
use crate::demo::fault::replace_all;
use crate::demo::outcome::Service;
use crate::demo::report::StepReport;
use crate::demo::service::order_page;
use crate::demo::site::{Care, Shop, Site};
use crate::demo::stage::{LIMIT, SERVICES, Stage};
use crate::demo::step::Act;
use crate::demo::tape::count;
use crate::demo::timeline::{Mark, marks};
use crate::demo::wire::{self, Connection};
use bytes::Bytes;
use http::{Method, StatusCode};
use minato_control::EventKind;
use minato_control_server::api::Status;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Marks of a change kept for its timeline.
const MARKS: usize = 12;

/// What a change did by itself; the counts are added for all of them alike.
struct Done {
    at: Duration,
    marks: Vec<Mark>,
    whole: Option<Duration>,
    trouble: Option<String>,
    figures: Vec<(&'static str, Duration)>,
}

/// Makes the change `act` and takes it back.
pub(crate) async fn make(
    stage: &mut Stage<'_>,
    site: &Site,
    turn: u32,
    act: Act,
) -> anyhow::Result<StepReport> {
    stage.whole().await?;
    stage.calm().await;
    let mut done = match act {
        Act::Route => route(stage, site).await?,
        Act::Scale => scale(stage).await?,
        Act::Broken => broken(stage, site).await?,
        Act::Upgrade => upgrade(stage, site).await?,
        _ => restart(stage).await?,
    };
    stage.calm().await;
    let counts = count(&stage.cut().await?, None);
    let mut report = StepReport::new(act, turn, done.at, counts);
    done.marks.sort_by_key(|it| it.after);
    done.marks.truncate(MARKS);
    report.marks = done.marks;
    report.whole = done.whole;
    report.trouble = done.trouble;
    report.figures = done.figures;
    Ok(report)
}

/// Adds a route to the file, and takes it away.
async fn route(stage: &mut Stage<'_>, site: &Site) -> anyhow::Result<Done> {
    let at = stage.clock.now();
    site.replace("orders", &site.orders(Care::Full, Shop::Open))?;
    let opened = poll(stage, StatusCode::OK).await?;
    let removed = stage.clock.now();
    site.replace("orders", &site.orders(Care::Full, Shop::Closed))?;
    let closed = poll(stage, StatusCode::NOT_FOUND).await?;
    let kinds = [EventKind::ConfigApplied, EventKind::Routed];
    let mut marks = marks("orders", &kinds, at, &stage.events.since(at));
    let opened = opened.saturating_sub(at);
    let mark = |after, what: &str, note| Mark::new(after, what, note);
    marks.push(mark(
        Duration::ZERO,
        "file renamed",
        "services/orders.toml: a route more, */shop",
    ));
    marks.push(mark(
        opened,
        "first success",
        "/shop/orders/5 was answered 200",
    ));
    let after = removed.saturating_sub(at);
    marks.push(mark(
        after,
        "file renamed",
        "services/orders.toml: without the route",
    ));
    let after = closed.saturating_sub(at);
    marks.push(mark(after, "first 404", "/shop/orders/5 has no route"));
    let figures = vec![
        ("added_route_ms", opened),
        ("removed_route_ms", closed.saturating_sub(removed)),
    ];
    Ok(Done {
        at,
        marks,
        whole: Some(opened),
        trouble: None,
        figures,
    })
}

/// Asks for `/shop/orders/5` without a pause until it is answered with `wanted`; when that answer arrived.
async fn poll(stage: &Stage<'_>, wanted: StatusCode) -> anyhow::Result<Duration> {
    let begin = stage.clock.now();
    let page = order_page(5);
    let mut connection = None;
    loop {
        let mut open = match connection.take() {
            Some(open) => open,
            None => Connection::open(stage.gateway)
                .await
                .map_err(|_| anyhow::anyhow!("the gateway refuses a connection"))?,
        };
        let request = wire::request(&Method::GET, stage.gateway, "/shop/orders/5", Bytes::new())?;
        if let Ok(answer) = open.exchange(request).await {
            let right = wanted != StatusCode::OK || answer.body == page.as_bytes();
            if answer.status == wanted && right {
                return Ok(stage.clock.now());
            }
            connection = Some(open);
        }
        let waited = stage.clock.now().saturating_sub(begin);
        anyhow::ensure!(
            waited < LIMIT,
            "the edit has no effect after {} s",
            LIMIT.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// To 4 by hand, then back to what the file says.
async fn scale(stage: &mut Stage<'_>) -> anyhow::Result<Done> {
    let kinds = [EventKind::Intent, EventKind::Started, EventKind::Up];
    let at = stage.clock.now();
    stage.admin.scale("orders", Some(4)).await?;
    let answering = stage
        .until(LIMIT, |status| {
            whole(status, &SERVICES)?;
            let orders = service(status, "orders").ok_or("orders: gone")?;
            let all = orders.instances.iter().filter(|it| it.requests > 0).count();
            match (orders.wanted, all) {
                (4, 4) => Ok(orders
                    .instances
                    .iter()
                    .filter_map(|it| it.pid)
                    .collect::<Vec<_>>()),
                (4, all) => Err(format!("orders: {all} of 4 have had a request")),
                (wanted, _) => Err(format!("orders: wants {wanted}")),
            }
        })
        .await?;
    let mut marks_up = marks("orders", &kinds, at, &stage.events.since(at));
    let first = answering
        .iter()
        .filter_map(|it| stage.tape.first_answer(*it));
    if let Some(last) = first.max() {
        let last = last.saturating_sub(at);
        marks_up.push(Mark::new(
            last,
            "first success",
            "the last of the four has answered",
        ));
    }
    let grown = marks_up.iter().map(|it| it.after).max().unwrap_or_default();
    stage.calm().await;
    let back = stage.clock.now();
    stage.admin.scale("orders", None).await?;
    stage
        .until(LIMIT, |status| {
            let wanted = service(status, "orders").map(|it| it.wanted);
            match wanted {
                Some(2) => whole(status, &SERVICES),
                other => Err(format!("orders: wants {other:?}")),
            }
        })
        .await?;
    let shrunk = stage.clock.now().saturating_sub(back);
    let kinds = [EventKind::Intent, EventKind::Stopping, EventKind::Stopped];
    let down = marks("orders", &kinds, at, &stage.events.since(back));
    marks_up.extend(down);
    Ok(Done {
        at,
        marks: marks_up,
        whole: Some(grown),
        trouble: None,
        figures: vec![("up_to_4_ms", grown), ("back_to_2_ms", shrunk)],
    })
}

/// A file that says nonsense: refused with every problem, and the state of before serves on.
async fn broken(stage: &mut Stage<'_>, site: &Site) -> anyhow::Result<Done> {
    let good = site.orders(Care::Full, Shop::Closed);
    let bad = good
        .replace("replicas = 2", "replicas = \"two\"")
        .replace("routes =", "rutes =");
    let at = stage.clock.now();
    site.replace("orders", &bad)?;
    let problems = stage
        .until(LIMIT, |status| match status.config.problems.len() {
            0 => Err("the broken file has not been noticed yet".to_owned()),
            _ => Ok(status.config.problems.clone()),
        })
        .await?;
    let noticed = stage.clock.now().saturating_sub(at);
    stage.calm().await;
    let still = stage
        .admin
        .status()
        .await
        .map_err(|it| it.to_string())
        .and_then(|it| whole(&it, &SERVICES));
    site.replace("orders", &good)?;
    stage
        .until(LIMIT, |status| match status.config.problems.first() {
            Some(problem) => Err(problem.clone()),
            None => Ok(()),
        })
        .await?;
    let mut marks: Vec<Mark> = problems
        .iter()
        .take(6)
        .map(|it| Mark::new(noticed, "in status", it.clone()))
        .collect();
    let kinds = [EventKind::ConfigRejected];
    let first = stage.events.since(at);
    let rejected = crate::demo::timeline::marks("orders", &kinds, at, &first);
    marks.extend(rejected.into_iter().take(1));
    marks.push(Mark::new(
        Duration::ZERO,
        "file renamed",
        "services/orders.toml: rutes, replicas = \"two\"",
    ));
    let fixed = stage.clock.now().saturating_sub(at);
    marks.push(Mark::new(
        fixed,
        "fixed",
        "the good file is back, no problem in status",
    ));
    Ok(Done {
        at,
        marks,
        whole: None,
        trouble: still.err(),
        figures: vec![("noticed_ms", noticed)],
    })
}

/// The same program takes over from itself, by the command that an operator types.
async fn upgrade(stage: &mut Stage<'_>, site: &Site) -> anyhow::Result<Done> {
    let before = stage.whole().await?;
    let instances = pids(&before);
    let at = stage.clock.now();
    let typed = Command::new(site.program())
        .args(["--admin", &stage.admin.address.to_string(), "upgrade"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let took = stage.clock.now().saturating_sub(at);
    let said = String::from_utf8_lossy(&typed.stderr);
    anyhow::ensure!(typed.status.success(), "minato upgrade: {}", said.trim());
    let after = stage
        .until(LIMIT, |status| {
            whole(status, &SERVICES)?;
            match status.draining.first() {
                Some(pid) => Err(format!("process {pid} still serves what was open")),
                None => Ok(status.clone()),
            }
        })
        .await?;
    let ended = stage.clock.now().saturating_sub(at);
    let kinds = [EventKind::Process, EventKind::Adopted];
    let mut marks = marks("orders", &kinds, at, &stage.events.since(at));
    marks.push(Mark::new(
        took,
        "command done",
        format!("process {}", after.pid),
    ));
    let trouble = match () {
        () if after.pid == before.pid => Some("the same process still serves".to_owned()),
        () if pids(&after) != instances => Some("instances were started anew".to_owned()),
        () => None,
    };
    Ok(Done {
        at,
        marks,
        whole: Some(took),
        trouble,
        figures: vec![("command_ms", took), ("old_ended_ms", ended)],
    })
}

/// All instances' processes.
fn pids(status: &Status) -> Vec<Option<u32>> {
    let instances = status.services.iter().flat_map(|it| &it.instances);
    instances.map(|it| it.pid).collect()
}

/// Every instance of `orders` is replaced, one at a time.
async fn restart(stage: &mut Stage<'_>) -> anyhow::Result<Done> {
    let at = stage.clock.now();
    replace_all(stage, Service::Orders).await?;
    let all = stage.clock.now().saturating_sub(at);
    let kinds = [
        EventKind::Intent,
        EventKind::Stopping,
        EventKind::Stopped,
        EventKind::Started,
        EventKind::Up,
    ];
    Ok(Done {
        at,
        marks: marks("orders", &kinds, at, &stage.events.since(at)),
        whole: Some(all),
        trouble: None,
        figures: vec![("replaced_ms", all)],
    })
}
