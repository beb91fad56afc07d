//! A large site on a real etcd: `cargo bench --bench site -- [NODES SERVICES]`, default 200 and 5000; a quarter and a half of it run
//! before, for the law of growth.
//!
//! The leader is the real one, with default times. Agents and gateways are played (`play`): they write the documents that real ones write, as often. Printed: how long
//! until everything runs; what is written at rest; how a tenth of the nodes vanishing at once is dealt with; what one round of
//! planning costs; how much memory the world takes. One machine plays all of it, etcd included, without fsync.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the cluster is shared with the tests, which fail by a panic"
)]

#[path = "../../control/store/tests/etcd/members.rs"]
#[allow(dead_code, reason = "shared with the tests of the store")]
mod members;
mod play;

use members::Members;
use minato_config::{NodeId, SiteId, Timestamp};
use minato_control::{Losses, plan_with};
use minato_control_server::{LeadOptions, lead};
use minato_control_store::keys::Keys;
use minato_control_store::{Etcd, EtcdOptions, SharedStore, follow};
use play::{Cast, Outcome, Players};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};

/// What is written at rest is counted for this long.
const REST: Duration = Duration::from_secs(60);
/// Rounds of planning that are timed.
const ROUNDS: usize = 20;

fn main() -> Outcome {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|it| it.parse().ok())
        .collect();
    let (nodes, services) = match arguments.as_slice() {
        [nodes, services] => (*nodes, *services),
        _ => (200, 5_000),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    for share in [4, 2, 1] {
        let cast = Cast {
            nodes: nodes / share,
            services: services / share,
        };
        runtime.block_on(measure(cast))?;
    }
    Ok(())
}

async fn measure(cast: Cast) -> Outcome {
    let members = Members::start(1);
    let keys = Keys::new(&SiteId::local());
    let connect = || -> Result<SharedStore, Box<dyn std::error::Error + Send + Sync>> {
        let options = EtcdOptions::new(members.endpoints(), keys.voids());
        Ok(Arc::new(Etcd::new(options)?))
    };
    println!("{} nodes, {} services of 2:", cast.nodes, cast.services);
    let store = connect()?;
    let players = Players::enter(store.clone(), keys.clone(), cast).await?;
    let (stop, stopped) = watch::channel(false);
    let (events, mut told) = mpsc::channel(1_000);
    let hear = tokio::spawn(async move { while told.recv().await.is_some() {} });
    let node = NodeId::parse("control")?;
    let options = LeadOptions::new(keys.clone(), node);
    let began = Instant::now();
    let leader = tokio::spawn(lead(options, connect()?, events, stopped));
    let play = tokio::spawn(players.clone().play());

    players.until_settled().await?;
    println!("  all placed and up after {:.1?}", began.elapsed());

    // Whatever followed from it is over.
    players.until_stable().await?;
    println!(
        "  every first version known to be good after {:.1?}",
        began.elapsed()
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = players.revision().await?;
    tokio::time::sleep(REST).await;
    let commits = players.revision().await? - before;
    println!(
        "  at rest {:.1} commits/s",
        commits as f64 / REST.as_secs_f64()
    );

    let world = follow(store.clone(), keys.clone()).await?;
    let world = &world.observed().world;
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            let plan = plan_with(world, &Losses::default(), wall());
            assert!(plan.steps.is_empty(), "something is left to do: {plan}");
            began.elapsed()
        })
        .collect();
    rounds.sort_unstable();
    println!("  a round of planning {:.2?}", rounds[ROUNDS / 2]);
    println!(
        "  memory of leader and players {} MiB",
        resident_kib() / 1024
    );

    let (gone, before) = (cast.nodes / 10, players.revision().await?);
    let began = Instant::now();
    players.vanish(gone).await?;
    players.until_settled().await?;
    let took = began.elapsed();
    let commits = players.revision().await? - before;
    println!(
        "  {gone} nodes vanished: everything runs elsewhere after {took:.1?}, {commits} commits, {:.0}/s",
        commits as f64 / took.as_secs_f64()
    );
    stop.send_replace(true);
    leader.await?;
    play.abort();
    hear.abort();
    Ok(())
}

/// Of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let number = line.and_then(|it| it.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
