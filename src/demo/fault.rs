//! Hurts one instance and measures what becomes of it.

use crate::demo::admin::{Victim, service, whole};
use crate::demo::outcome::{Excuse, Service};
use crate::demo::process::{is_alive, pid_of};
use crate::demo::report::StepReport;
use crate::demo::stage::{LIMIT, SERVICES, Stage};
use crate::demo::step::{Act, Fault};
use crate::demo::tape::count;
use crate::demo::timeline::{Mark, Timeline};
use crate::demo::wire;
use anyhow::Context;
use http::Method;
use rustix::process::{Pid, Signal, getpgid, getpgrp, kill_process, kill_process_group};
use std::time::Duration;

/// The promise: interval + 2 x fast + timeout, at the defaults.
const EJECTED_WITHIN: Duration = Duration::from_secs(4);
/// The interval of the checks, at the defaults.
const CHECKS: Duration = Duration::from_secs(2);
/// The promise: whole again this long after, and the instance's own start time.
const WHOLE_WITHIN: Duration = Duration::from_secs(5);

/// Hurts an instance of `of`.
pub(crate) async fn strike(
    stage: &mut Stage<'_>,
    turn: u32,
    fault: Fault,
    of: Service,
) -> anyhow::Result<StepReport> {
    let act = Act::Fault(fault, of);
    let victim = fresh(stage, of).await?;
    stage.calm().await;
    tokio::time::sleep(phase(turn)).await;
    let at = stage.clock.now();
    inflict(fault, &victim).await?;
    let mut died = None;
    if fault == Fault::Kill {
        died = Some(death(stage, victim.pid).await?);
    }
    let (clock, mut answered) = (stage.clock, None);
    let mut seen = Timeline::default();
    let events = stage.events;
    let done = stage
        .until(LIMIT, |status| {
            seen = Timeline::of(&victim, at, &events.since(at));
            let new = service(status, &victim.service).and_then(|it| {
                let new = |it: &&_| is_successor(it, &victim);
                it.instances.iter().find(new)
            });
            if let Some(new) = new.filter(|it| it.requests > 0) {
                answered.get_or_insert((clock.now(), new.pid));
            }
            seen.is_repaired()?;
            answered.ok_or_else(|| format!("{}: no request to the new run yet", victim.service))?;
            whole(status, &SERVICES)
        })
        .await;
    stage.calm().await;
    seen.answered = first_answer(stage, of, answered, at);
    let excuse = excuse(of, at, died, &seen);
    let counts = count(&stage.cut().await?, excuse);
    let mut report = StepReport::new(act, turn, at, counts);
    report.excused = of == Service::Orders;
    report.victim = Some(victim.clone());
    report.suspect = seen.suspect.as_ref().map(|it| it.after);
    report.eject = seen.ejected.as_ref().map(|it| it.after);
    report.restarted = seen.restarted.as_ref().map(|it| it.after);
    report.whole = seen.routed.as_ref().map(|it| it.after);
    report.marks = vec![Mark::new(Duration::ZERO, "fault", did(fault, &victim))];
    report.marks.extend(seen.marks());
    report.trouble = done.err().map(|it| format!("{it:#}"));
    remark(&mut report, &victim);
    Ok(report)
}

/// A wait below the interval of the checks, another for each repetition: otherwise every fault would come at the same
/// moment between two checks. Steps of the golden section fill the interval evenly.
fn phase(turn: u32) -> Duration {
    CHECKS.mul_f64((f64::from(turn) * 0.618_034).fract())
}

/// An instance whose slot was not restarted lately, so that the restart comes at once: each further one within ten
/// minutes waits longer. Where there is none, all are replaced first, which gives new generations.
async fn fresh(stage: &mut Stage<'_>, of: Service) -> anyhow::Result<Victim> {
    let victim = stage.victim(of).await?;
    if victim.restarts == 0 {
        return Ok(victim);
    }
    stage.screen.progress(&format!(
        "replacing the instances of {of} (their restarts would be delayed by those before)"
    ));
    replace_all(stage, of).await?;
    stage.victim(of).await
}

/// Asks for the replacement of every instance, one at a time, and waits until it is true.
pub(crate) async fn replace_all(stage: &mut Stage<'_>, of: Service) -> anyhow::Result<()> {
    let name = of.to_string();
    let generations = |status: &minato_control_server::api::Status| -> Vec<String> {
        let found = service(status, &name).map(|it| it.instances.iter());
        let found = found.into_iter().flatten();
        found
            .map(|it| format!("{}/{}", it.slot, it.generation))
            .collect()
    };
    let before = generations(&stage.whole().await?);
    stage.admin.restart(&name).await?;
    stage
        .until(LIMIT, |status| {
            let now = generations(status);
            if now.iter().any(|it| before.contains(it)) {
                return Err(format!("{name}: not every instance is replaced yet"));
            }
            whole(status, &SERVICES)
        })
        .await?;
    let admin = stage.admin;
    let settled = admin.settled(&name).await?;
    anyhow::ensure!(settled.done, "{name}: {}", settled.detail);
    Ok(())
}

async fn inflict(fault: Fault, victim: &Victim) -> anyhow::Result<()> {
    let pid = pid_of(victim.pid).context("no such process id")?;
    match fault {
        Fault::Kill => kill_process(pid, Signal::KILL).context("kill -9")?,
        Fault::Freeze => kill_process_group(group(pid)?, Signal::STOP).context("kill -STOP")?,
        Fault::Hang => tell(victim, "/hang").await?,
        Fault::Sick => tell(victim, "/sick").await?,
    }
    Ok(())
}

/// Killed: what was out between the kill and the death. Else: what was sent before it was suspect and was out when it was
/// ejected. Event times are cut to milliseconds.
fn excuse(
    service: Service,
    fault: Duration,
    died: Option<Duration>,
    seen: &Timeline,
) -> Option<Excuse> {
    let (sent_by, ended_from) = match died {
        Some(died) => (died, fault),
        None => {
            let (suspect, ejected) = (seen.suspect.as_ref()?, seen.ejected.as_ref()?);
            let cut = Duration::from_millis(1);
            (fault + suspect.after + cut, fault + ejected.after)
        }
    };
    Some(Excuse {
        service,
        sent_by,
        ended_from,
    })
}

fn did(fault: Fault, victim: &Victim) -> String {
    let deed = match fault {
        Fault::Kill => "SIGKILL to",
        Fault::Freeze => "SIGSTOP to the process group of",
        Fault::Hang => "no more answers from",
        Fault::Sick => "500 on the health path of",
    };
    let Victim {
        service, slot, pid, ..
    } = victim;
    format!("{deed} {service}/{slot} (process {pid})")
}

/// The process group of an instance, which must not be that of this program.
pub(crate) fn group(pid: Pid) -> anyhow::Result<Pid> {
    let group = getpgid(Some(pid)).context("its process group")?;
    anyhow::ensure!(
        group != getpgrp(),
        "the instance is in this program's own process group"
    );
    Ok(group)
}

async fn tell(victim: &Victim, path: &str) -> anyhow::Result<()> {
    let timeout = Duration::from_secs(2);
    let answer = wire::once(&Method::POST, victim.address, path, "please", timeout).await?;
    anyhow::ensure!(answer.status == 200, "{path}: {}", answer.status);
    Ok(())
}

/// When the process was seen dead, its sockets closed.
async fn death(stage: &Stage<'_>, pid: u32) -> anyhow::Result<Duration> {
    let begin = stage.clock.now();
    while is_alive(pid) {
        let waited = stage.clock.now().saturating_sub(begin);
        anyhow::ensure!(waited < LIMIT, "process {pid} does not die of SIGKILL");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(stage.clock.now())
}

fn is_successor(it: &minato_control_server::api::InstanceStatus, victim: &Victim) -> bool {
    it.slot == victim.slot && (it.run != victim.run || it.generation != victim.generation)
}

/// `orders` names its process in each answer; of `pages` only the count in the status is known.
fn first_answer(
    stage: &Stage<'_>,
    of: Service,
    seen: Option<(Duration, Option<u32>)>,
    fault: Duration,
) -> Option<Mark> {
    let (counted, pid) = seen?;
    let (at, note) = match of {
        Service::Orders => (
            stage.tape.first_answer(pid?)?,
            format!("process {} answered the load", pid?),
        ),
        Service::Pages => (
            counted,
            "counted by the gateway (looked at each 25 ms)".to_owned(),
        ),
    };
    Some(Mark::new(at.saturating_sub(fault), "first success", note))
}

fn remark(report: &mut StepReport, victim: &Victim) {
    if victim.restarts > 0 {
        report.remarks.push(format!(
            "the slot had been restarted {} times within ten minutes, so this restart was delayed",
            victim.restarts
        ));
    }
    if report.eject.is_some_and(|it| it > EJECTED_WITHIN) {
        report
            .remarks
            .push(format!("ejected later than promised ({EJECTED_WITHIN:?})"));
    }
    if let (Some(eject), Some(whole)) = (report.eject, report.whole)
        && whole > eject + WHOLE_WITHIN
    {
        report.remarks.push(format!(
            "whole later than promised ({WHOLE_WITHIN:?} after ejection, and the start time of the service)"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_repetitions_strike_all_over_the_interval() {
        let mut phases: Vec<Duration> = (1..=10).map(phase).collect();
        phases.sort();
        assert!(
            phases[0] < CHECKS / 5 && phases[9] > CHECKS * 4 / 5,
            "{phases:?}"
        );
        for pair in phases.windows(2) {
            assert!(pair[1] - pair[0] < CHECKS / 5, "{phases:?}");
        }
    }
}
