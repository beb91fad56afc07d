//! What every runtime must do, as one suite that each runtime's tests call. Speaks only through the trait.

use super::{Exit, FoundState, RunName, RunOrder, Runtime, Signal};
use minato_config::{Generation, Run, ServiceName, SlotIndex};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long any single step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Programs that a runtime under test must be able to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Lives until a signal ends it.
    Sleeps,
    /// Prints `ready`, then ignores SIGTERM.
    Stubborn,
    /// Prints `farewell` and exits with status 3.
    Fails,
    /// Cannot be executed: there is no such thing.
    Missing,
}

/// A runtime to be tested.
pub struct Subject<'a> {
    /// The runtime as a new process would open it, on the same data each time.
    pub open: &'a dyn Fn() -> Arc<dyn Runtime>,
    /// An order for that program under that name.
    pub order: &'a dyn Fn(Program, RunName) -> RunOrder,
    /// The output captured so far for that slot.
    pub output: &'a dyn Fn(&RunName) -> String,
}

/// Runs every case, each with a slot of its own; the error names the case and what was wrong.
pub async fn check(subject: &Subject<'_>) -> Result<(), String> {
    let case = |name: &'static str| move |error: String| format!("{name}: {error}");
    starts_and_terminates(subject, 0)
        .await
        .map_err(case("starts and terminates"))?;
    kills_the_stubborn(subject, 1)
        .await
        .map_err(case("kills the stubborn"))?;
    tells_how_it_ended(subject, 2)
        .await
        .map_err(case("tells how it ended"))?;
    leaves_nothing_of_a_failed_start(subject, 3)
        .await
        .map_err(case("leaves nothing of a failed start"))?;
    adopts(subject, 4).await.map_err(case("adopts"))?;
    remembers_until_removed(subject, 5)
        .await
        .map_err(case("remembers until removed"))?;
    takes_calls_for_unknown_runs(subject, 6)
        .await
        .map_err(case("takes calls for unknown runs"))?;
    measures_what_lives(subject, 7)
        .await
        .map_err(case("measures what lives"))?;
    leaves_known_runs_alone(subject, 8)
        .await
        .map_err(case("leaves known runs alone"))
}

async fn starts_and_terminates(subject: &Subject<'_>, slot: u16) -> Result<(), String> {
    let (runtime, name) = ((subject.open)(), name(slot, 1)?);
    let started = said(
        runtime
            .start(&(subject.order)(Program::Sleeps, name.clone()))
            .await,
    )?;
    ensure(started.pid > 1, || format!("pid {}", started.pid))?;
    let early = timeout(Duration::from_millis(50), runtime.ended(&name)).await;
    ensure(early.is_err(), || format!("ended at once: {early:?}"))?;
    said(runtime.signal(&name, Signal::Terminate).await)?;
    let ended = in_time(runtime.ended(&name)).await?;
    ensure(ended.exit == Exit::Signal(15), || format!("{ended:?}"))?;
    let again = in_time(runtime.ended(&name)).await?;
    ensure(again == ended, || {
        format!("first {ended:?}, then {again:?}")
    })
}

async fn kills_the_stubborn(subject: &Subject<'_>, slot: u16) -> Result<(), String> {
    let (runtime, name) = ((subject.open)(), name(slot, 1)?);
    said(
        runtime
            .start(&(subject.order)(Program::Stubborn, name.clone()))
            .await,
    )?;
    let ready = async {
        while !(subject.output)(&name).contains("ready") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    in_time(ready).await?;
    said(runtime.signal(&name, Signal::Terminate).await)?;
    let early = timeout(Duration::from_millis(200), runtime.ended(&name)).await;
    ensure(early.is_err(), || format!("SIGTERM was enough: {early:?}"))?;
    said(runtime.signal(&name, Signal::Kill).await)?;
    let ended = in_time(runtime.ended(&name)).await?;
    ensure(ended.exit == Exit::Signal(9), || format!("{ended:?}"))
}

async fn tells_how_it_ended(subject: &Subject<'_>, slot: u16) -> Result<(), String> {
    let (runtime, name) = ((subject.open)(), name(slot, 1)?);
    said(
        runtime
            .start(&(subject.order)(Program::Fails, name.clone()))
            .await,
    )?;
    let ended = in_time(runtime.ended(&name)).await?;
    ensure(ended.exit == Exit::Status(3), || format!("{ended:?}"))?;
    ensure(ended.last_output == "farewell", || format!("{ended:?}"))?;
    let output = (subject.output)(&name);
    ensure(output.ends_with("farewell\n"), || {
        format!("output: {output:?}")
    })
}

async fn leaves_nothing_of_a_failed_start(subject: &Subject<'_>, slot: u16) -> Result<(), String> {
    let (runtime, name) = ((subject.open)(), name(slot, 1)?);
    let result = runtime
        .start(&(subject.order)(Program::Missing, name.clone()))
        .await;
    ensure(result.is_err(), || format!("{result:?}"))?;
    ensure(!is_running(&*(subject.open)(), &name).await?, || {
        "it is listed as running".to_owned()
    })
}

async fn adopts(subject: &Subject<'_>, slot: u16) -> Result<(), String> {
    let name = name(slot, 7)?;
    let order = (subject.order)(Program::Sleeps, name.clone());
    let first = (subject.open)();
    let started = said(first.start(&order).await)?;
    drop(first);
    let second = (subject.open)();
    let inventory = said(second.list().await)?;
    let found = inventory.found.iter().find(|it| it.order.name == name);
    let found = found.ok_or_else(|| format!("not listed: {inventory:?}"))?;
    ensure(found.order == order, || {
        format!("{:?} is not {order:?}", found.order)
    })?;
    let same = matches!(found.state, FoundState::Running { pid, .. } if pid == started.pid);
    ensure(same, || {
        format!("{:?}, not pid {}", found.state, started.pid)
    })?;
    said(second.signal(&name, Signal::Kill).await)?;
    let ended = in_time(second.ended(&name)).await?;
    ensure(ended.exit == Exit::Signal(9), || format!("{ended:?}"))
}

async fn remembers_until_removed(subject: &Subject<'_>, slot: u16) -> Result<(), String> {
    let (runtime, name) = ((subject.open)(), name(slot, 1)?);
    said(
        runtime
            .start(&(subject.order)(Program::Fails, name.clone()))
            .await,
    )?;
    let ended = in_time(runtime.ended(&name)).await?;
    let state = |inventory: super::Inventory| {
        let found = inventory.found.into_iter().find(|it| it.order.name == name);
        found.map(|it| it.state)
    };
    let found = state(said((subject.open)().list().await)?);
    ensure(found == Some(FoundState::Ended(ended)), || {
        format!("{found:?}")
    })?;
    said(runtime.settle(&name).await)?;
    let found = state(said((subject.open)().list().await)?);
    let stopped = matches!(&found, Some(FoundState::Ended(it)) if it.exit == Exit::Stopped);
    ensure(stopped, || format!("after settle: {found:?}"))?;
    said(runtime.remove(&name).await)?;
    let found = state(said((subject.open)().list().await)?);
    ensure(found.is_none(), || format!("after remove: {found:?}"))
}

async fn takes_calls_for_unknown_runs(subject: &Subject<'_>, slot: u16) -> Result<(), String> {
    let (runtime, name) = ((subject.open)(), name(slot, 1)?);
    said(runtime.signal(&name, Signal::Terminate).await)?;
    said(runtime.settle(&name).await)?;
    said(runtime.remove(&name).await)?;
    let ended = in_time(runtime.ended(&name)).await?;
    ensure(matches!(ended.exit, Exit::Unseen(_)), || {
        format!("{ended:?}")
    })
}

async fn measures_what_lives(subject: &Subject<'_>, slot: u16) -> Result<(), String> {
    let (runtime, name) = ((subject.open)(), name(slot, 1)?);
    let order = (subject.order)(Program::Sleeps, name.clone());
    said(runtime.prepare(&order).await)?;
    said(runtime.start(&order).await)?;
    let used = said(runtime.usage(&name).await)?;
    ensure(used.memory_bytes > 0, || format!("{used:?}"))?;
    let later = said(runtime.usage(&name).await)?;
    ensure(later.cpu >= used.cpu, || {
        format!("{used:?}, then {later:?}")
    })?;
    let other = RunName {
        run: minato_config::Run(99),
        ..name.clone()
    };
    let both = runtime.usages(&[name.clone(), other]).await;
    ensure(
        both.len() == 1 && both.get(&name).is_some_and(|it| it.cpu >= later.cpu),
        || format!("{both:?} of one that lives and one that does not"),
    )?;
    said(runtime.signal(&name, Signal::Kill).await)?;
    in_time(runtime.ended(&name)).await?;
    let after = runtime.usage(&name).await;
    ensure(after.is_err(), || format!("after its end: {after:?}"))
}

async fn leaves_known_runs_alone(subject: &Subject<'_>, slot: u16) -> Result<(), String> {
    let (runtime, name) = ((subject.open)(), name(slot, 1)?);
    said(
        runtime
            .start(&(subject.order)(Program::Sleeps, name.clone()))
            .await,
    )?;
    runtime.tidy().await;
    let known = BTreeSet::from([name.clone()]);
    let strays = runtime.strays(&known).await;
    ensure(strays.iter().all(|it| it.run != name), || {
        format!("{strays:?}")
    })?;
    ensure(is_running(&*(subject.open)(), &name).await?, || {
        "it is gone".to_owned()
    })?;
    said(runtime.signal(&name, Signal::Kill).await)?;
    in_time(runtime.ended(&name)).await?;
    Ok(())
}

async fn is_running(runtime: &dyn Runtime, name: &RunName) -> Result<bool, String> {
    let inventory = said(runtime.list().await)?;
    Ok(inventory
        .found
        .iter()
        .any(|it| it.order.name == *name && matches!(it.state, FoundState::Running { .. })))
}

fn name(slot: u16, run: u64) -> Result<RunName, String> {
    Ok(RunName {
        service: said(ServiceName::parse("contract"))?,
        slot: SlotIndex(slot),
        generation: Generation { era: 0, counter: 1 },
        run: Run(run),
    })
}

fn said<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

async fn in_time<T>(step: impl Future<Output = T>) -> Result<T, String> {
    timeout(PATIENCE, step)
        .await
        .map_err(|_| format!("nothing after {PATIENCE:?}"))
}
