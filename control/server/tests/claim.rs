//! The folder as a source of services, against the embedded store.

mod site;

use minato_config::Backend;
use minato_config_files::Folder;
use minato_control::EventKind;
use minato_control_server::{ClaimOptions, claim_folder};
use minato_control_store::Commit;
use minato_control_store::keys::Key;
use site::{PATIENCE, Site, command, folder, name};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

fn start(
    site: &Site,
    gone: Duration,
    first: Arc<Folder>,
) -> (watch::Sender<Arc<Folder>>, JoinHandle<()>) {
    let (change, folder) = watch::channel(first);
    let options = ClaimOptions {
        gone,
        ..ClaimOptions::new(site.keys.clone())
    };
    let (store, events) = (site.store.clone(), site.events.clone());
    let task = tokio::spawn(claim_folder(
        options,
        store,
        folder,
        events,
        site.stop.subscribe(),
    ));
    (change, task)
}

#[tokio::test]
async fn files_become_records_and_edits_follow() {
    let site = Site::new();
    let both = folder(&[command("library", 2), command("shop", 1)]);
    let (change, task) = start(&site, PATIENCE, both);
    site.until("both", |it| it.world.services.len() == 2).await;
    site.told("services/library.toml: library is new").await;
    change.send_replace(folder(&[command("library", 3), command("shop", 1)]));
    site.until("three", |it| {
        it.world.services[&name("library")].value.service.replicas == 3
    })
    .await;
    let event = site.told("services/library.toml: replicas 2 -> 3").await;
    assert_eq!(event.kind, EventKind::ConfigApplied);
    site.stop.send_replace(true);
    tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_restart_with_the_same_files_writes_nothing() {
    let site = Site::new();
    let files = folder(&[command("library", 2)]);
    let (_change, task) = start(&site, PATIENCE, files.clone());
    let before = site.until("it", |it| it.world.services.len() == 1).await;
    site.stop.send_replace(true);
    task.await.unwrap();
    site.stop.send_replace(false);
    // A second file shows that the second process has decided.
    let (change, _task) = start(&site, PATIENCE, files);
    change.send_replace(folder(&[command("library", 2), command("shop", 1)]));
    let after = site.until("shop", |it| it.world.services.len() == 2).await;
    assert_eq!(
        before.world.services[&name("library")],
        after.world.services[&name("library")]
    );
}

#[tokio::test]
async fn a_deleted_file_ends_its_service_after_the_grace_and_brings_it_back() {
    let site = Site::new();
    let both = folder(&[command("library", 2), command("shop", 1)]);
    let (change, _task) = start(&site, Duration::from_millis(100), both.clone());
    site.until("both", |it| it.world.services.len() == 2).await;
    change.send_replace(folder(&[command("library", 2)]));
    site.told("services/shop.toml is gone: shop ends in 100ms")
        .await;
    site.until("shop ends", |it| {
        it.world.services[&name("shop")].value.removed
    })
    .await;
    change.send_replace(both);
    site.until("shop is back", |it| {
        !it.world.services[&name("shop")].value.removed
    })
    .await;
    site.told("services/shop.toml is back").await;
}

#[tokio::test]
async fn all_files_gone_at_once_is_an_alarm_and_ends_nothing() {
    let site = Site::new();
    let (change, _task) = start(
        &site,
        Duration::ZERO,
        folder(&[command("a", 1), command("b", 1), command("c", 1)]),
    );
    site.until("all", |it| it.world.services.len() == 3).await;
    change.send_replace(folder(&[]));
    let event = site
        .told("the files of 3 of 3 services are gone at once")
        .await;
    assert_eq!(event.kind, EventKind::Alarm);
    assert!(event.hint.unwrap().contains("put the files back"));
    // A new file comes; still nothing has ended, although there is no grace.
    change.send_replace(folder(&[command("a", 1), command("d", 1)]));
    let seen = site.until("d", |it| it.world.services.len() == 4).await;
    let living = seen.world.services.values().filter(|it| !it.value.removed);
    assert_eq!(living.count(), 4);
}

#[tokio::test]
async fn a_record_changed_behind_its_back_is_set_right() {
    let site = Site::new();
    let (_change, _task) = start(&site, PATIENCE, folder(&[command("library", 2)]));
    site.until("it", |it| it.world.services.len() == 1).await;
    let key = site.key(&Key::Service(name("library")));
    site.store.commit(Commit::delete(&key)).await.unwrap();
    site.until("it is back", |it| it.world.services.len() == 1)
        .await;
    site.put_service(&command("library", 9)).await;
    site.until("two again", |it| {
        it.world.services[&name("library")].value.service.replicas == 2
    })
    .await;
}

#[tokio::test]
async fn a_folder_of_many_takes_few_transactions() {
    let site = Site::new();
    let many: Vec<_> = (0..500).map(|n| command(&format!("s{n}"), 1)).collect();
    let (_change, _task) = start(&site, PATIENCE, folder(&many));
    let seen = site.until("all", |it| it.world.services.len() == 500).await;
    assert!(seen.revision.0 <= 10, "{:?}", seen.revision);
}

#[tokio::test]
async fn records_that_are_too_long_together_come_one_by_one() {
    let site = Site::new();
    let long = (0..20).map(|n| {
        let mut it = command(&format!("s{n}"), 1);
        let Backend::Command(command) = &mut it.backend else {
            panic!("{it:?}");
        };
        command.argv.push("x".repeat(100 << 10));
        it
    });
    let (_change, _task) = start(&site, PATIENCE, folder(&long.collect::<Vec<_>>()));
    site.until("all", |it| it.world.services.len() == 20).await;
}
