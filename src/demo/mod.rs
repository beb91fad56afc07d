//! `minato demo`: a real minato on this machine, two real services under load, and one fault after the other.
//!
//! Owns the two services, the load, the faults and what is measured of them. It drives minato only from outside: its
//! command, its files, its admin API. Not here: anything that minato itself does.

mod admin;
mod change;
mod clock;
mod contrast;
mod fault;
mod figure;
mod ledger;
mod load;
mod outcome;
mod process;
mod report;
mod screen;
mod service;
mod site;
mod stage;
mod step;
mod summary;
mod tape;
mod timeline;
mod wire;

pub(crate) use service::{ServiceArgs, service_main};

use admin::{Admin, Follower, whole};
use clock::Clock;
use load::{Aim, Load};
use outcome::PATIENCE;
use process::Process;
use screen::{Screen, Tone};
use site::Site;
use stage::{LOOK, SERVICES, Stage};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use step::{Act, Step};
use summary::Summary;
use tape::{Tape, count};
use tokio::signal::unix::{SignalKind, signal};

/// Everything must be up this long after the start.
const START: Duration = Duration::from_secs(60);

/// Why a demo that was stopped by a signal has no result.
const INTERRUPTED: &str = "interrupted before the steps were done";

/// `minato demo`
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// End after the steps, with exit status 0 or 1, instead of waiting for Ctrl-C
    #[arg(long)]
    once: bool,
    /// Requests each second, over 64 connections
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(10..=5000))]
    rate: u32,
    /// Where the demo's gateway listens
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// These steps only
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Step>,
    /// Do the steps this often; the control run comes once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// Write everything that was measured to this file, as JSON
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
}

/// Runs the steps, then serves until Ctrl-C; leaves no process behind. Exit 0 when everything held, else 1.
///
/// `admin`: where the demo's minato listens for commands and shows its status page.
pub(crate) async fn run(args: DemoArgs, admin: SocketAddr) -> anyhow::Result<ExitCode> {
    let mut screen = Screen::new();
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let clock = Clock::start();
    let site = Site::create(args.listen, admin)?;
    screen.leave_out(site.folder());
    introduce(&mut screen, &args, &site);
    let mut process = Process::start(&site)?;
    let end = tokio::select! {
        summary = work(&args, admin, clock, &site, &mut screen) => summary,
        status = process.ended() => Err(ended(&status)),
        _ = interrupted.recv() => Err(anyhow::anyhow!(INTERRUPTED)),
        _ = terminated.recv() => Err(anyhow::anyhow!(INTERRUPTED)),
    };
    let mut problems = match &end {
        Ok(summary) => summary.problems(),
        Err(error) => vec![format!("{error:#}")],
    };
    if let Ok(summary) = &end {
        conclude(&mut screen, summary);
        if let Some(file) = &args.figures {
            let text = serde_json::to_vec_pretty(&summary.json())?;
            if let Err(error) = std::fs::write(file, text) {
                problems.push(format!("cannot write {}: {error}", file.display()));
            }
        }
        if !args.once {
            invite(&mut screen, &args, admin, &site);
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
                status = process.ended() => problems.push(ended(&status).to_string()),
            }
        }
    }
    screen.progress("stopping everything");
    match process.stop().await {
        Ok(()) => screen.line(Tone::Plain, "no process left"),
        Err(error) => problems.push(format!("{error:#}")),
    }
    if problems.is_empty() {
        let line = end.map(|it| it.last_line()).unwrap_or_default();
        screen.line(Tone::Good, line);
        return Ok(ExitCode::SUCCESS);
    }
    if problems != [INTERRUPTED] {
        let words = site.last_words();
        screen.line(Tone::Faint, format!("minato's last words:\n{words}"));
        let kept = site.keep();
        screen.line(
            Tone::Plain,
            format!("its files are kept in {}", kept.display()),
        );
    }
    screen.line(Tone::Bad, format!("demo: FAILED: {}", problems.join("; ")));
    Ok(ExitCode::FAILURE)
}

fn ended(status: &std::io::Result<std::process::ExitStatus>) -> anyhow::Error {
    match status {
        Ok(status) => anyhow::anyhow!("minato ended by itself ({status})"),
        Err(error) => anyhow::anyhow!("minato cannot be waited for: {error}"),
    }
}

fn introduce(screen: &mut Screen, args: &DemoArgs, site: &Site) {
    let folder = site.folder().display();
    screen.line(Tone::Title, "minato demo");
    for text in [
        format!("   folder    {folder} (its minato.toml, services/, data, log)"),
        "   pages     Python's own web server, two instances".to_owned(),
        "   orders    takes numbered POSTs and writes them to a ledger, two instances".to_owned(),
        format!("   gateway   http://{}", args.listen),
        format!(
            "   load      {} requests/s over 64 connections, half of them kept; 80 % GET, 20 % POST; no retries",
            args.rate
        ),
    ] {
        screen.line(Tone::Plain, text);
    }
}

/// Everything between the start of minato and its stop.
async fn work(
    args: &DemoArgs,
    admin: SocketAddr,
    clock: Clock,
    site: &Site,
    screen: &mut Screen,
) -> anyhow::Result<Summary> {
    let events = Follower::start(clock, admin);
    let tape = Arc::new(Tape::default());
    let mut stage = Stage {
        clock,
        admin: Admin { address: admin },
        gateway: args.listen,
        events: &events,
        tape: &tape,
        screen,
    };
    stage.screen.progress("starting minato and both services");
    stage
        .until(START, |status| whole(status, &SERVICES))
        .await?;
    let up = format!("   all up after {:.1} s", clock.now().as_secs_f64());
    stage.screen.line(Tone::Good, up);
    let aim = Aim {
        gateway: args.listen,
        pages: site.pages(),
        rate: args.rate,
    };
    let load = Load::start(clock, aim, Arc::clone(&tape));
    let mut summary = Summary::new(args.rate);
    if let Err(error) = steps(args, &mut stage, site, &mut summary).await {
        summary.trouble = Some(format!("{error:#}"));
    }
    load.stop().await;
    let stopped = clock.now();
    while tape.outstanding() > 0 && clock.now() < stopped + PATIENCE * 2 {
        tokio::time::sleep(LOOK).await;
    }
    let rest = tape.cut_off(Duration::MAX).unwrap_or_default();
    if summary.contrast.is_none() {
        summary.between.add(&count(&rest, None));
    }
    let text = std::fs::read_to_string(site.ledger())?;
    summary.ledger = ledger::check(&text, &tape.acknowledged());
    summary.lateness = tape.lateness();
    summary.dropped = tape.totals().1;
    Ok(summary)
}

async fn steps(
    args: &DemoArgs,
    stage: &mut Stage<'_>,
    site: &Site,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let (acts, control) = step::plan(&args.only, args.repeat);
    for (number, (turn, act)) in (1..).zip(&acts) {
        let title = format!("{number}/{} {}", acts.len(), act.title());
        stage.screen.line(Tone::Title, format!("\n{title}"));
        let done = match *act {
            Act::Fault(fault, of) => fault::strike(stage, *turn, fault, of).await,
            act => change::make(stage, site, *turn, act).await,
        };
        let done = done.map_err(|it| it.context(format!("step {title}")))?;
        stage.screen.step(&done);
        summary.steps.push(done);
    }
    if control.is_some() {
        let title = "control run: the same faults with health = \"off\" and retries = 0";
        stage.screen.line(Tone::Title, format!("\n{title}"));
        summary.between.add(&count(&stage.cut().await?, None));
        let all = contrast::run(stage, site).await?;
        for it in &all {
            let line = format!(
                "   {}: {} of {} requests failed",
                it.name, it.counts.failed, it.counts.requests
            );
            stage.screen.line(Tone::Plain, line);
            for (reason, times) in &it.counts.reasons {
                stage
                    .screen
                    .line(Tone::Faint, format!("      {times} x {reason}"));
            }
        }
        summary.contrast = Some(all);
    }
    Ok(())
}

fn conclude(screen: &mut Screen, summary: &Summary) {
    screen.line(Tone::Title, "\nsummary (seconds)");
    for line in summary.table() {
        screen.line(Tone::Plain, format!("   {line}"));
    }
    let ledger = &summary.ledger;
    let tone = if ledger.is_good() {
        Tone::Good
    } else {
        Tone::Bad
    };
    screen.line(
        tone,
        format!(
            "   ledger: {} orders executed, {} twice, {} acknowledged and lost; {} executed whose answer was cut",
            ledger.executed,
            ledger.twice.len(),
            ledger.lost.len(),
            ledger.unanswered,
        ),
    );
    let late = &summary.lateness;
    let tone = if late.is_valid() {
        Tone::Plain
    } else {
        Tone::Bad
    };
    screen.line(
        tone,
        format!(
            "   the load itself was late by less than {} ms for 99 % of the requests, {} ms at worst (the former is valid up to {} ms)",
            late.percentile(99).as_millis(),
            late.worst().as_millis(),
            figure::Lateness::LIMIT.as_millis(),
        ),
    );
}

fn invite(screen: &mut Screen, args: &DemoArgs, admin: SocketAddr, site: &Site) {
    let (listen, orders) = (args.listen, site.service_file("orders"));
    let program = site.program().display();
    screen.line(Tone::Title, "\nstill running; Ctrl-C stops everything");
    for text in [
        format!("   status page   http://{admin}/"),
        format!("   a page        curl http://{listen}/pages/page-0.txt"),
        format!("   an order      curl -i http://{listen}/orders/5"),
        format!("   status        {program} --admin {admin} status"),
        format!("   events        {program} --admin {admin} events -f"),
        format!("   scale         {program} --admin {admin} scale orders 4"),
        "   hurt it       kill -9 or kill -STOP a process of the status".to_owned(),
        format!("   edit          {}", orders.display()),
        format!("   log           {}", site.log().display()),
    ] {
        screen.line(Tone::Plain, text);
    }
}
