//! Measures what each instance of this node uses: exact figures for this process, a document of the node for the site.
//!
//! One document for all instances of a node, told on change and else once a minute: at rest the store is written as
//! rarely as for the node's own load, however many instances there are. Not here: how a run is measured (the runtimes),
//! what follows from it (`control::scale`).

use crate::clock::now;
use crate::figures::Figures;
use crate::runtime::{Runtime, Usage};
use minato_config::NodeId;
use minato_control::RunName;
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, SharedStore, StoreError};
use minato_health::{Flow, InstanceUsage, NodeUsage};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;

/// From look to look; no document is written more often.
const EACH: Duration = Duration::from_secs(5);
/// What has not changed is told again after this long: control takes what is much older for a gap.
const AT_LEAST: Duration = Duration::from_secs(60);
/// Less than this is noise, thousandths of a processor.
const NOISE_CPU: u64 = 20;
/// The same of memory, bytes.
const NOISE_MEMORY: u64 = 8 << 20;
/// Instances of one document; a commit takes 1.25 MiB, and each needs less than 400 bytes.
const MOST: usize = 2_500;

/// Runs until dropped, or until the store is closed. `runs`: what lives on this node.
pub(crate) async fn tell_usage(
    store: SharedStore,
    (keys, node): (Keys, NodeId),
    runtime: Arc<dyn Runtime>,
    runs: watch::Receiver<Vec<RunName>>,
    figures: Figures,
) {
    let key = keys.text(&Key::NodeUsage(node));
    let mut before = Looked::default();
    let mut told: Option<(NodeUsage, Instant)> = None;
    loop {
        sleep(EACH).await;
        let living = runs.borrow().clone();
        let looked = Looked {
            at: Some(now().instant),
            usages: runtime.usages(&living).await,
        };
        figures.show(looked.usages.clone());
        let fresh = document(&before, &looked);
        let at = now().instant;
        before = looked;
        if !is_due(told.as_ref(), &fresh, at) {
            continue;
        }
        match write(&store, &key, &fresh).await {
            Ok(()) => told = Some((fresh, at)),
            Err(StoreError::Closed) => return,
            // Whoever needs the store says so; this is tried again with the next look.
            Err(error) => {
                tracing::debug!(%error, "what instances of this node use could not be stored");
            }
        }
    }
}

/// One look at all runs.
#[derive(Debug, Default)]
struct Looked {
    at: Option<Instant>,
    usages: BTreeMap<RunName, Usage>,
}

async fn write(store: &SharedStore, key: &str, usage: &NodeUsage) -> Result<(), StoreError> {
    let value = serde_json::to_vec(usage).map_err(|error| StoreError::Invalid {
        detail: format!("what instances of this node use cannot be written as JSON: {error}"),
    })?;
    store.commit(Commit::put(key, value)).await.map(drop)
}

/// What was used between two looks, of the runs that both saw: a run is told once it has been seen twice.
fn document(before: &Looked, after: &Looked) -> NodeUsage {
    let span = match (before.at, after.at) {
        (Some(before), Some(after)) => after.saturating_duration_since(before),
        _ => Duration::ZERO,
    };
    let each = after.usages.iter().filter_map(|(run, now)| {
        let last = before.usages.get(run)?;
        Some(InstanceUsage {
            service: run.service.clone(),
            slot: run.slot,
            generation: run.generation,
            run: run.run,
            cpu_milli: cpu_milli(now.cpu.saturating_sub(last.cpu), span),
            memory_bytes: now.memory_bytes,
            disk: rate(last.disk, now.disk, span),
            network: rate(last.network, now.network, span),
        })
    });
    NodeUsage {
        v: 1,
        instances: each.take(MOST).collect(),
    }
}

fn cpu_milli(used: Duration, span: Duration) -> u32 {
    let milli = used.as_micros() * 1_000 / span.as_micros().max(1);
    u32::try_from(milli).unwrap_or(u32::MAX)
}

fn rate(before: Option<Flow>, after: Option<Flow>, span: Duration) -> Option<Flow> {
    let (before, after) = before.zip(after)?;
    let each_second = |before: u64, after: u64| {
        let rate = u128::from(after.saturating_sub(before)) * 1_000 / span.as_millis().max(1);
        u64::try_from(rate).unwrap_or(u64::MAX)
    };
    Some(Flow {
        inward: each_second(before.inward, after.inward),
        outward: each_second(before.outward, after.outward),
    })
}

fn is_due(told: Option<&(NodeUsage, Instant)>, fresh: &NodeUsage, now: Instant) -> bool {
    told.is_none_or(|(last, at)| {
        now.saturating_duration_since(*at) >= AT_LEAST || differs(last, fresh)
    })
}

/// By other runs, or by more than a twentieth and more than noise: half of what control tolerates. Disks and networks,
/// from which nothing follows, are told along.
fn differs(told: &NodeUsage, fresh: &NodeUsage) -> bool {
    let far = |a: u64, b: u64, noise: u64| {
        let moved = a.abs_diff(b);
        moved > noise && moved.saturating_mul(20) > a.max(b)
    };
    let name = |it: &InstanceUsage| (it.service.clone(), it.slot, it.generation, it.run);
    told.instances.len() != fresh.instances.len()
        || told.instances.iter().zip(&fresh.instances).any(|(a, b)| {
            name(a) != name(b)
                || far(a.cpu_milli.into(), b.cpu_milli.into(), NOISE_CPU)
                || far(a.memory_bytes, b.memory_bytes, NOISE_MEMORY)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(at: Instant, usages: &[(&str, u64, u64)]) -> Looked {
        let usage = |cpu_ms: u64, memory_bytes: u64| Usage {
            cpu: Duration::from_millis(cpu_ms),
            memory_bytes,
            disk: Some(Flow {
                inward: cpu_ms,
                outward: 0,
            }),
            network: None,
        };
        let each = usages
            .iter()
            .map(|(name, cpu, memory)| (RunName::parse(name).unwrap(), usage(*cpu, *memory)));
        Looked {
            at: Some(at),
            usages: each.collect(),
        }
    }

    #[test]
    fn what_was_used_between_two_looks() {
        let first = now().instant;
        let before = looked(first, &[("a.0.1.1.1", 1_000, 5), ("a.1.1.2.1", 0, 5)]);
        let after = looked(
            first + Duration::from_secs(10),
            &[
                ("a.0.1.1.1", 8_500, 6),
                ("a.1.1.2.2", 9_000, 7),
                ("b.0.1.3.1", 1, 1),
            ],
        );
        let document = document(&before, &after);
        // The others are new runs, of which one look says nothing.
        let [one] = document.instances.as_slice() else {
            panic!("{document:?}");
        };
        assert_eq!((one.cpu_milli, one.memory_bytes), (750, 6));
        assert_eq!(
            (one.disk, one.network),
            (
                Some(Flow {
                    inward: 750,
                    outward: 0
                }),
                None
            )
        );
    }

    #[test]
    fn a_counter_that_fell_counts_as_nothing() {
        let first = now().instant;
        let before = looked(first, &[("a.0.1.1.1", 1_000, 5)]);
        let after = looked(first + EACH, &[("a.0.1.1.1", 900, 5)]);
        assert_eq!(document(&before, &after).instances[0].cpu_milli, 0);
        // And no span at all divides by nothing.
        assert_eq!(
            document(&Looked::default(), &after).instances,
            Vec::<InstanceUsage>::new()
        );
    }

    #[test]
    fn at_rest_the_store_is_written_once_a_minute_however_often_it_is_looked() {
        let first = now().instant;
        let (mut told, mut writes) = (None, 0);
        for look in 0..120_u32 {
            let at = first + EACH * look;
            let jitter = u64::from(look % 3);
            let zero = looked(first, &[("a.0.1.1.1", 0, 0)]);
            let names = [("a.0.1.1.1", jitter, (100 << 20) + (jitter << 20))];
            let fresh = document(&zero, &looked(first + EACH, &names));
            if is_due(told.as_ref(), &fresh, at) {
                (told, writes) = (Some((fresh, at)), writes + 1);
            }
        }
        assert_eq!(writes, 10, "in ten minutes");
    }

    #[test]
    fn only_what_control_could_act_on_is_told_early() {
        let first = now().instant;
        let at = |cpu: u64, memory: u64| {
            let zero = looked(first, &[("a.0.1.1.1", 0, 0)]);
            let after = looked(
                first + Duration::from_secs(10),
                &[("a.0.1.1.1", cpu * 10, memory << 20)],
            );
            document(&zero, &after)
        };
        for (name, a, b, expected) in [
            ("nothing", at(500, 100), at(500, 100), false),
            ("a twentieth", at(500, 100), at(525, 105), false),
            ("more of a processor", at(500, 100), at(530, 100), true),
            ("noise at rest", at(1, 100), at(19, 100), false),
            ("more memory", at(500, 400), at(500, 430), true),
            ("a little memory", at(500, 10), at(500, 17), false),
            ("another run", at(500, 100), NodeUsage::default(), true),
        ] {
            assert_eq!(differs(&a, &b), expected, "{name}");
            assert_eq!(differs(&b, &a), expected, "{name}");
        }
    }
}
