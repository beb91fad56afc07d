//! The control run: the same kill and freeze with checks and retries off. It must show failures, so that the zero of
//! the other steps means something.

use crate::demo::admin::whole;
use crate::demo::fault::group;
use crate::demo::outcome::{PATIENCE, Service};
use crate::demo::process::pid_of;
use crate::demo::site::{Care, Site};
use crate::demo::stage::{CALM, LIMIT, SERVICES, Stage};
use crate::demo::tape::{Counts, count};
use anyhow::Context;
use minato_control::EventKind;
use rustix::process::{Signal, kill_process, kill_process_group};

/// One fault without care.
#[derive(Debug)]
pub(crate) struct Contrast {
    pub(crate) name: &'static str,
    pub(crate) counts: Counts,
}

/// Rewrites the service files, hurts, counts, and writes the good files back.
pub(crate) async fn run(stage: &mut Stage<'_>, site: &Site) -> anyhow::Result<Vec<Contrast>> {
    rewrite(stage, site, Care::None).await?;
    stage.calm().await;
    stage.cut().await?;
    let mut all = Vec::new();
    for (name, of) in [
        ("kill pages", Service::Pages),
        ("kill orders", Service::Orders),
    ] {
        let victim = stage.victim(of).await?;
        let pid = pid_of(victim.pid).context("no such process id")?;
        kill_process(pid, Signal::KILL).context("kill -9")?;
        stage.calm().await;
        stage.whole().await?;
        stage.calm().await;
        let counts = count(&stage.cut().await?, None);
        all.push(Contrast { name, counts });
    }
    let victim = stage.victim(Service::Orders).await?;
    let group = group(pid_of(victim.pid).context("no such process id")?)?;
    kill_process_group(group, Signal::STOP).context("kill -STOP")?;
    // Long enough for requests to run into the client's limit; nobody but us ends a frozen instance here.
    tokio::time::sleep(PATIENCE + CALM).await;
    let counts = count(&stage.cut().await?, None);
    all.push(Contrast {
        name: "freeze orders",
        counts,
    });
    kill_process_group(group, Signal::KILL).context("kill -9")?;
    rewrite(stage, site, Care::Full).await?;
    stage.cut().await?;
    Ok(all)
}

/// Writes the files and waits until both are applied and everything is up.
async fn rewrite(stage: &mut Stage<'_>, site: &Site, care: Care) -> anyhow::Result<()> {
    let at = stage.clock.now();
    site.write(care)?;
    let events = stage.events;
    stage
        .until(LIMIT, |status| {
            let seen = events.since(at);
            let applied = |name: &str| {
                seen.iter().any(|it| {
                    let service = it.event.service.as_ref().map(|it| it.as_str());
                    it.event.kind == EventKind::ConfigApplied && service == Some(name)
                })
            };
            match SERVICES.iter().find(|it| !applied(it)) {
                Some(name) => Err(format!("{name}: its new file is not applied yet")),
                None => whole(status, &SERVICES),
            }
        })
        .await
}
