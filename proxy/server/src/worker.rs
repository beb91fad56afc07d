//! One thread for each core: a runtime, the accept loops whose sockets it was given, and their connections.

use crate::accept::{self, Deal};
use crate::core::Core;
use crate::gateway::{Gateway, Phase};
use crate::listener::{Dealt, Listener};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Connections that wait for a worker to take them over.
const DEALT: usize = 256;

/// What one worker is started with.
struct Start {
    number: usize,
    gateway: Arc<Gateway>,
    listeners: Vec<(Listener, Deal)>,
    dealt: mpsc::Receiver<Dealt>,
    told: watch::Receiver<Phase>,
    drain: Duration,
}

/// Starts all workers and waits for their end.
pub(crate) async fn run_all(
    gateway: &Arc<Gateway>,
    listeners: Vec<Listener>,
    told: &watch::Receiver<Phase>,
    drain: Duration,
) {
    let (hands, dealt): (Vec<_>, Vec<_>) =
        (0..gateway.workers()).map(|_| mpsc::channel(DEALT)).unzip();
    let mut shares: Vec<Vec<(Listener, Deal)>> = hands.iter().map(|_| Vec::new()).collect();
    for group in by_address(listeners) {
        let is_for_all = group.len() >= hands.len();
        for (index, listener) in group.into_iter().enumerate() {
            let deal = if is_for_all {
                Deal::Keep
            } else {
                Deal::Around(hands.clone())
            };
            let worker = index % hands.len();
            shares[worker].push((listener, deal));
        }
    }
    drop(hands);
    let mut ends = Vec::new();
    for (number, (listeners, dealt)) in shares.into_iter().zip(dealt).enumerate() {
        let start = Start {
            number,
            gateway: Arc::clone(gateway),
            listeners,
            dealt,
            told: told.clone(),
            drain,
        };
        let (ended, end) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(format!("gateway-{number}"));
        let spawned = thread.spawn(move || {
            run(start);
            drop(ended);
        });
        match spawned {
            Ok(_) => ends.push(end),
            Err(error) => tracing::error!(%error, "a worker cannot start; others serve"),
        }
    }
    for end in ends {
        // Never sent to: it ends with its thread, however that ends.
        let _ = end.await;
    }
}

/// Sockets of one address together.
fn by_address(listeners: Vec<Listener>) -> Vec<Vec<Listener>> {
    let mut groups: BTreeMap<_, Vec<Listener>> = BTreeMap::new();
    for listener in listeners {
        groups.entry(listener.address()).or_default().push(listener);
    }
    groups.into_values().collect()
}

fn run(start: Start) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    match runtime {
        Ok(runtime) => runtime.block_on(work(start)),
        Err(error) => tracing::error!(%error, "no runtime for a worker; others serve"),
    }
}

async fn work(start: Start) {
    let core = Core::new(start.gateway);
    let mut told = start.told;
    let timekeeper = tokio::task::spawn_local({
        let core = Rc::clone(&core);
        async move { core.keep_time(start.number).await }
    });
    let mut loops = JoinSet::new();
    for (listener, deal) in start.listeners {
        match listener.register() {
            Ok((socket, door)) => {
                let mut told = told.clone();
                let stop = async move { drop(told.wait_for(|it| *it != Phase::Serve).await) };
                loops.spawn_local(accept::run(Rc::clone(&core), socket, door, deal, stop));
            }
            Err(error) => tracing::error!(%error, "a listener cannot be used"),
        }
    }
    let taking_over = tokio::task::spawn_local(accept::take_over(Rc::clone(&core), start.dealt));
    core.follow(&mut told).await;
    // The listeners close now: new connections are refused, or another process's, while those that are open end.
    let all_ended = async {
        while loops.join_next().await.is_some() {}
        // What another worker has accepted is served all the same.
        let _ = taking_over.await;
        while core.open() > 0 {
            core.one_ends().await;
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(start.drain, all_ended) => {}
        () = core.follow_to_stop(&mut told) => {}
    }
    timekeeper.abort();
    core.log.flush();
}
