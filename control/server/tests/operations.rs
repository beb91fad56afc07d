//! Operations: refused or begun by the API, carried on by leaders that change all the time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod site;

use minato_config::{NodeId, ServiceName, UpdatePolicy};
use minato_control::OperationId;
use minato_control::operation::{OperationState, StepState};
use minato_control_server::api::{
    OperationAnswer, OperationStatus, Operations, Status, WaveRequest,
};
use minato_control_server::{LeadOptions, lead};
use minato_control_store::keys::Key;
use minato_control_store::{Commit, Observed, StoreError, follow};
use minato_health::Verdict;
use site::api::{Api, refused};
use site::{PATIENCE, Site, command, name, node};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

fn wave(services: &[&str], who: &str) -> WaveRequest {
    WaveRequest {
        services: services.iter().map(|it| (*it).to_owned()).collect(),
        change: "restart".to_owned(),
        who: who.to_owned(),
        ..WaveRequest::default()
    }
}

async fn post(api: &Api, request: &WaveRequest) -> site::client::Answer {
    let body = serde_json::to_string(request).unwrap();
    api.post("/v1/operations", &body).await
}

#[tokio::test]
async fn of_two_operators_at_once_one_is_told_about_the_other() {
    let api = Api::start().await;
    let (alice, bob) = (wave(&["library"], "alice"), wave(&["lib*"], "bob"));
    let (one, two) = tokio::join!(post(&api, &alice), post(&api, &bob));
    let (first, second) = if one.status == 200 {
        (one, two)
    } else {
        (two, one)
    };
    let begun: OperationAnswer = first.json();
    assert_eq!(begun.operation.id, 1);
    assert_eq!(begun.undo.as_deref(), Some("minato operation abort 1"));
    refused(&second, 409, "operation 1");
    refused(&second, 409, &begun.operation.who);
    let all: Operations = api.get("/v1/operations").await.json();
    assert_eq!(all.operations.len(), 1);

    // It ends by a word, once, and then the services are free.
    let aborted: OperationAnswer = api
        .post("/v1/operations/1/abort", r#"{"who":"carol"}"#)
        .await
        .json();
    assert_eq!(aborted.operation.state, "aborted");
    refused(
        &api.post("/v1/operations/1/abort", "{}").await,
        409,
        "carol",
    );
    refused(
        &api.post("/v1/operations/1/resume", "{}").await,
        409,
        "aborted",
    );
    refused(
        &api.post("/v1/operations/7/abort", "{}").await,
        404,
        "no operation",
    );
    refused(&api.get("/v1/operations/one").await, 404, "no operation");
    let begun: OperationAnswer = post(&api, &bob).await.json();
    assert_eq!(begun.operation.id, 2);
    let status: Status = api.get("/v1/status").await.json();
    assert_eq!(status.operations.len(), 1);
    let page = api.get("/").await.body;
    assert!(
        page.contains("Operations") && page.contains("restart of 1 service"),
        "{page}"
    );
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_is_stored() {
    let api = Api::start().await;
    let plain = || wave(&["library"], "alice");
    for (request, status, words) in [
        (wave(&["nothing-*"], "a"), 409, "nothing-*"),
        (wave(&["fixed"], "a"), 409, "fixed endpoints"),
        (wave(&[], "a"), 400, "names"),
        (
            WaveRequest {
                change: "explode".to_owned(),
                ..plain()
            },
            400,
            "`change`",
        ),
        (
            WaveRequest {
                change: "image".to_owned(),
                ..plain()
            },
            400,
            "`change`",
        ),
        (
            WaveRequest {
                change: "image".to_owned(),
                image: Some("registry.example/library:2".to_owned()),
                ..plain()
            },
            409,
            "not an image",
        ),
        (
            WaveRequest {
                change: "rollback".to_owned(),
                ..plain()
            },
            409,
            "no other version",
        ),
        (
            WaveRequest {
                size: Some(0),
                ..plain()
            },
            409,
            "1 to 50",
        ),
        (
            WaveRequest {
                size: Some(51),
                ..plain()
            },
            409,
            "1 to 50",
        ),
        (
            WaveRequest {
                stop_after: Some(0),
                ..plain()
            },
            409,
            "1 failure",
        ),
        (
            WaveRequest {
                at: Some("2026-12-20 08:00".to_owned()),
                ..plain()
            },
            409,
            "no time zone",
        ),
        (
            WaveRequest {
                at: Some("2020-12-20 08:00 UTC".to_owned()),
                ..plain()
            },
            409,
            "in the past",
        ),
        (
            WaveRequest {
                daily: true,
                ..plain()
            },
            409,
            "needs both",
        ),
    ] {
        refused(&post(&api, &request).await, status, words);
    }
    // One that is looked at only is not there afterwards, and names what stays out.
    let answer = post(
        &api,
        &WaveRequest {
            dry_run: true,
            ..wave(&["*"], "a")
        },
    )
    .await;
    let answer: OperationAnswer = answer.json();
    assert_eq!((answer.operation.id, answer.operation.steps.len()), (0, 1));
    assert_eq!(answer.left_out.len(), 1, "{answer:?}");
    assert_eq!(answer.left_out[0].service, "fixed");
    let all: Operations = api.get("/v1/operations").await.json();
    assert_eq!(all.operations, Vec::<OperationStatus>::new());
}

/// An agent and a gateway for whom every instance is up at once and ends at once.
fn agent(site: &Arc<Site>) -> JoinHandle<()> {
    let site = Arc::clone(site);
    tokio::spawn(async move {
        let mut follower = follow(site.store.clone(), site.keys.clone()).await.unwrap();
        loop {
            serve(&site, follower.observed()).await;
            if follower.next().await.is_err() {
                return;
            }
        }
    })
}

async fn serve(site: &Site, observed: &Observed) {
    let world = &observed.world;
    for ((service, n), slot) in &world.slots {
        let slot = &slot.value;
        let of_slot = world
            .instances
            .keys()
            .filter(|it| it.service == *service && it.slot == *n);
        let mut is_there = false;
        for key in of_slot {
            if key.generation == slot.generation && !slot.removed {
                is_there = true;
                continue;
            }
            let key = Key::Instance(node(), service.clone(), *n, key.generation);
            let gone: Result<_, StoreError> =
                site.store.commit(Commit::delete(site.key(&key))).await;
            gone.unwrap();
        }
        if !is_there && !slot.removed {
            site.put_instance(service, n.0, slot.generation, Verdict::Up, "")
                .await;
        }
    }
}

/// Leaders change some hundred times: each order is written once, each step ends, nothing is left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wave_is_carried_on_by_whoever_leads_and_orders_nothing_twice() {
    const ALL: usize = 7;
    let site = Arc::new(Site::new());
    site.put_node().await;
    let names: Vec<ServiceName> = (1..=ALL).map(|n| name(&format!("repo-{n}"))).collect();
    for it in &names {
        let service = minato_config::Service {
            update: UpdatePolicy {
                healthy: Duration::from_millis(1),
                ..UpdatePolicy::default()
            },
            ..command(it.as_str(), 1)
        };
        site.put_service(&service).await;
    }
    let serving = agent(&site);
    for it in ["one", "two"] {
        let options = LeadOptions {
            tick: Duration::from_millis(10),
            keep_alive: Duration::from_millis(20),
            settle: Duration::ZERO,
            ..LeadOptions::new(site.keys.clone(), NodeId::parse(it).unwrap())
        };
        let (store, events) = (site.store.clone(), site.events.clone());
        tokio::spawn(lead(options, store, events, site.stop.subscribe()));
    }
    let stable = |it: &Observed| {
        let mut rollouts = it.world.rollouts.values();
        rollouts.len() == ALL && rollouts.all(|it| it.value.stable.is_some())
    };
    site.until("every service to be whole", stable).await;

    let made = {
        let world = site.world().await.world;
        let asked = minato_control::operation::Asked {
            services: vec!["repo-*".to_owned()],
            change: minato_control::operation::WaveChange::Restart,
            size: 3,
            stop_after: 1,
            schedule: Default::default(),
            who: "alice".to_owned(),
            why: String::new(),
        };
        // Asked for just now, whatever the clock says.
        let now = minato_config::Timestamp(u64::MAX / 2);
        minato_control::operation::begin(&world, &asked, now).unwrap()
    };
    assert_eq!(made.id, OperationId(1));
    site.put(&Key::Operation(made.id), &made.operation).await;

    // Each moment another leads.
    let deposing = {
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let mut terms: u64 = 0;
            let mut last = None;
            loop {
                let leader = site.store.get(&site.key(&Key::Leader)).await.unwrap();
                if let Some(entry) = leader.filter(|it| Some(it.created) != last) {
                    last = Some(entry.created);
                    terms += 1;
                    // Some terms end before they have begun, some after a few turns.
                    tokio::time::sleep(Duration::from_millis(terms * 7 % 60)).await;
                    let _ = site.store.revoke(entry.lease.unwrap()).await;
                }
                let world = site.world().await.world;
                if !world.operations[&OperationId(1)].value.state.is_open() {
                    return terms;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let patience = PATIENCE * 6;
    let terms = match tokio::time::timeout(patience, deposing).await {
        Ok(terms) => terms.unwrap(),
        Err(_) => panic!("{:#?}", site.world().await.world.operations),
    };
    println!("{terms} leaders");
    assert!(terms >= 3, "{terms} leaders");
    let world = site.world().await.world;
    let operation = &world.operations[&OperationId(1)].value;
    assert_eq!(operation.state, OperationState::Done, "{operation:#?}");
    assert_eq!(operation.count(StepState::Done), ALL, "{operation:#?}");
    for (step, service) in operation.steps.iter().zip(&names) {
        let key = site.key(&Key::Intent(service.clone()));
        let entry = site.store.get(&key).await.unwrap().unwrap();
        assert_eq!(entry.created, entry.modified, "{service} was ordered twice");
        let restart = world.intents[service].value.restart.map(|it| it.0);
        assert_eq!((&step.service, step.number), (service, restart));
        let stable = world.rollouts[service].value.stable.as_ref().unwrap();
        assert_eq!(stable.restart.map(|it| it.0), restart, "{service}");
    }
    site.stop.send_replace(true);
    serving.abort();
}
