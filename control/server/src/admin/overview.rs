//! `GET /v1/status`: all of the site at one glance, and what of it needs a person.
//!
//! Not here: one service (`status`), the page (`page`).

use super::state::Shared;
use super::status::Sources;
use super::{dependencies, nodes, operations, rebalance, recovery, sites};
use crate::LeaderRecord;
use crate::api::{
    ConfigStatus, ObserverStatus, OperationStatus, ServiceStatus, Status, StoreStatus,
};
use crate::claim::Gone;
use crate::clock;
use axum::Json;
use axum::extract::State;
use minato_config::Timestamp;
use minato_config_files::Folder;
use minato_control_store::Observed;
use std::sync::Arc;

pub(super) async fn status(State(shared): State<Shared>) -> Json<Status> {
    Json(overview(&shared).await)
}

/// What the store says of the site; nothing but the trouble where it was never read.
#[derive(Default)]
struct Site {
    services: Vec<ServiceStatus>,
    alarms: Vec<String>,
    operations: Vec<OperationStatus>,
    observers: Vec<ObserverStatus>,
    revision: u64,
    trouble: Option<String>,
}

pub(super) async fn overview(shared: &Shared) -> Status {
    let (admin, now) = (&shared.admin, clock::wall());
    let about = &admin.about;
    let leader = shared.leader().await;
    let folder = Arc::clone(&admin.folder.borrow());
    let (traffic, endpoints) = (admin.view.traffic(), admin.view.endpoints());
    let mut site = match shared.look().await {
        Ok(seen) => {
            let sources = Sources::new(&seen.observed.world, &traffic, &endpoints, now);
            Site {
                services: sources.services(),
                alarms: alarms(&seen.observed, &folder, leader.as_ref(), now),
                operations: operations::open(&seen.observed.world),
                observers: sites::observers(&seen.observed.world),
                revision: seen.observed.revision.0,
                trouble: seen.stale,
            }
        }
        Err(why) => Site {
            trouble: Some(why),
            ..Site::default()
        },
    };
    let alarms = &mut site.alarms;
    alarms.extend(operations::alarms(&site.operations));
    alarms.extend(dependencies::alarms(&admin.view.dependencies()));
    alarms.extend(admin.view.identity_trouble());
    let trouble = (site.trouble)
        .or_else(|| admin.store.trouble())
        .or_else(|| admin.journal.store_trouble());
    Status {
        site: about.site.to_string(),
        node: about.node.to_string(),
        version: about.version.clone(),
        pid: about.pid,
        since_ms: about.since.0,
        now_ms: now.0,
        leading: leader.as_ref().is_some_and(|it| shared.is_own(it)),
        leader: leader.map(|it| it.node.to_string()),
        listeners: about.listeners.iter().map(ToString::to_string).collect(),
        admin: about.admin.to_string(),
        config: ConfigStatus {
            folder: about.folder.display().to_string(),
            files: folder.files,
            services: folder.services.len(),
            problems: folder.problems.iter().map(ToString::to_string).collect(),
            loaded_at_ms: folder.loaded_at.0,
        },
        store: StoreStatus {
            path: about.store.clone(),
            revision: site.revision,
            healthy: trouble.is_none(),
            detail: trouble.unwrap_or_default(),
        },
        services: site.services,
        alarms: site.alarms,
        operations: site.operations,
        draining: admin.view.upgrade().draining,
        entrance: Some(admin.view.entrance())
            .filter(|it| !(it.asked_at.is_empty() && it.reason.is_empty() && it.names.is_empty())),
        links: admin.view.links(),
        observers: site.observers,
        shares: admin.view.shares(),
    }
}

/// What of the site's documents needs a person.
fn alarms(
    observed: &Observed,
    folder: &Folder,
    leader: Option<&LeaderRecord>,
    now: Timestamp,
) -> Vec<String> {
    let world = &observed.world;
    let losses = nodes::losses(world);
    let plan = minato_control::plan_with(world, &losses, now);
    let nobody = "nobody leads: slots are neither assigned nor replaced until someone does";
    let nobody = leader.is_none().then(|| nobody.to_owned());
    nobody
        .into_iter()
        .chain(Gone::of(folder, &world.services).alarms())
        .chain(losses.alarm)
        .chain(nodes::absence_alarms(world))
        .chain(rebalance::notice(world, plan.balancing.as_ref()))
        .chain(plan.notes.into_iter().map(|(_, text)| text))
        .chain(observed.oddities())
        .chain(minato_control::mirror::conflicts(world))
        .chain(sites::disputes(world))
        .chain(recovery::alarms(world, now))
        .collect()
}
