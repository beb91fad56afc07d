//! `minato store copy` from a file to etcd: killed at each of its steps, and with thousands of keys while everything runs.

use crate::etcd::members::{Members, is_here};
use crate::support::clock::{now, until, within};
use crate::support::gate::{Gate, Lost};
use crate::support::processes::{self, is_alive};
use crate::support::site::{Site, text};
use minato_config::SiteId;
use minato_control::{Meta, StoreState};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, Embedded, Etcd, EtcdOptions, Options, Store, make_fit};
use rustix::process::Signal;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Of a copy that is killed: several commits.
const SOME: usize = 250;
const MANY: usize = 5_000;
/// Of one commit.
const AT_ONCE: usize = 100;
/// Every so many requests the running minato is killed; `MINATO_COPY_KILLS=all`: at each.
const STRIDE: u64 = 5;
/// More requests than any copy here makes.
const MOST: u64 = 100;

fn keys() -> Keys {
    Keys::new(&SiteId::local())
}

fn ask<T>(asked: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(asked)
}

/// A document that a site may hold and that nothing follows from: another node's word on an image.
fn document(n: usize) -> (String, Vec<u8>) {
    let state = format!("{{\"here\":{{\"digest\":null,\"id\":\"{n:0200}\"}}}}");
    let value = format!("{{\"v\":1,\"fetch\":1,\"state\":{state}}}");
    (
        format!("{}images/elsewhere/s{n}", keys().root()),
        value.into(),
    )
}

async fn fill(store: &dyn Store, count: usize) {
    make_fit(store, &keys()).await.unwrap();
    for first in (0..count).step_by(AT_ONCE) {
        let documents = (first..count.min(first + AT_ONCE)).map(document);
        let commit = documents.fold(Commit::default(), |it, (key, value)| {
            it.and_put(key, value, None)
        });
        store.commit(commit).await.unwrap();
    }
}

/// What a store says of itself, and what it holds that lasts.
type Contents = (Option<Meta>, Vec<(String, Vec<u8>)>);

async fn contents(store: &dyn Store) -> Contents {
    let listing = store.list(keys().root()).await.unwrap();
    let (own, voids) = (keys().text(&Key::Meta), keys().voids());
    let meta = listing.entries.iter().find(|it| it.key == own);
    let meta = meta.map(|it| serde_json::from_slice(&it.value).unwrap());
    let lasts = listing
        .entries
        .into_iter()
        .filter(|it| it.lease.is_none() && it.key != own && !it.key.starts_with(&voids));
    (meta, lasts.map(|it| (it.key, it.value)).collect())
}

/// With the file of a site that does not run.
fn with_file<T>(site: &Site, act: impl AsyncFnOnce(&Embedded) -> T) -> T {
    ask(async {
        let file = Embedded::open(&site.path("data"), Options::default()).unwrap();
        let done = act(&file).await;
        file.close().await;
        done
    })
}

fn of_etcd(members: &Members) -> Contents {
    let options = EtcdOptions::new(members.endpoints(), keys().voids());
    ask(async { contents(&Etcd::new(options).unwrap()).await })
}

fn state(of: &Contents) -> Option<&StoreState> {
    of.0.as_ref().map(|it| &it.state)
}

/// Settings of the file and of etcd behind the gate; the second is what minato is started with.
fn site_before(gate: &Gate) -> Site {
    let site = Site::new();
    site.write_settings_of("before.toml", "", "");
    let etcd = format!("etcd = [\"{}\"]\n", gate.endpoint());
    site.write_settings_of("after.toml", &etcd, "");
    site
}

/// Types the command, and does not wait.
fn copy(site: &Site) -> Child {
    Command::new(env!("CARGO_BIN_EXE_minato"))
        .args(["--admin", &site.admin().to_string()])
        .args(["store", "copy", "--from", "before.toml", "--config"])
        .arg(site.settings())
        .current_dir(site.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Until a request is held, and by which process; `None` where the command ended first.
#[track_caller]
fn held(gate: &Gate, copying: &mut Child) -> Option<u32> {
    until("a request to be held, or the end", || match gate.held() {
        Some(pid) => Some(Some(pid)),
        None => copying.try_wait().unwrap().map(|_| None),
    })
}

/// One of the two is in use, or the one that is left names the one that is being filled: the same command goes on.
#[track_caller]
fn one_truth(old: &Contents, new: &Contents, when: &str) {
    let id = |of: &Contents| of.0.as_ref().map(|it| it.store_id.clone());
    match (state(old), state(new)) {
        (Some(StoreState::Serving), None | Some(StoreState::Filling { .. })) => {}
        (Some(StoreState::Left { to, .. }), Some(StoreState::Filling { from })) => {
            assert_eq!((id(old).as_ref(), id(new).as_ref()), (Some(from), Some(to)));
        }
        (Some(StoreState::Left { to, .. }), Some(StoreState::Serving)) => {
            assert_eq!(id(new).as_ref(), Some(to), "{when}");
            assert_eq!(old.1, new.1, "{when}");
        }
        other => panic!("{when}: {other:?}"),
    }
}

#[test]
fn a_copy_that_is_killed_at_any_step_leaves_one_truth_and_the_same_command_ends_it() {
    if !is_here() {
        return;
    }
    let members = Members::start(1);
    let gate = Gate::before(&members.endpoints()[0]);
    for lost in [Lost::Request, Lost::Answer] {
        let (mut kills, mut refusals) = (0, 0);
        let mut counts = 0..MOST;
        let mut next = counts.next();
        while let Some(count) = next {
            members.etcdctl(&["del", "", "--from-key"]);
            let site = site_before(&gate);
            std::fs::copy(site.path("after.toml"), site.settings()).unwrap();
            with_file(&site, async |it| fill(it, SOME).await);
            gate.hold_after(count, lost);
            let mut copying = copy(&site);
            let is_held = held(&gate, &mut copying).is_some();
            copying.kill().unwrap();
            let told = copying.wait_with_output().unwrap();
            gate.release();
            let when = format!("{lost:?} {count}");
            let old = with_file(&site, async |it| contents(it).await);
            let new = of_etcd(&members);
            one_truth(&old, &new, &when);
            // On a machine that stands still etcd may be away for longer than the command waits: it says so, and is typed again.
            let said = String::from_utf8_lossy(&told.stderr);
            if !is_held && !told.status.success() && said.contains("etcd") && refusals < 3 {
                println!("{when}: {said}");
                refusals += 1;
                continue;
            }
            next = counts.next();
            if !is_held {
                assert_eq!(state(&new), Some(&StoreState::Serving), "{when}: {told:?}");
                break;
            }
            kills += 1;
            // Where the old one is in use it goes on being used.
            let changed = with_file(&site, async |it| {
                if state(&old) == Some(&StoreState::Serving) {
                    let (key, value) = document(SOME);
                    let change = Commit::put(key, value).and_delete(document(7).0);
                    it.commit(change).await.unwrap();
                }
                contents(it).await
            });
            let output = copy(&site).wait_with_output().unwrap();
            assert!(output.status.success(), "{when}: {output:?}");
            let (old, new) = (
                with_file(&site, async |it| contents(it).await),
                of_etcd(&members),
            );
            one_truth(&old, &new, &when);
            assert_eq!(state(&new), Some(&StoreState::Serving), "{when}");
            assert_eq!(new.1, changed.1, "{when}");
        }
        println!("killed at {kills} steps, {lost:?} lost");
        assert!(kills > 8, "only {kills} steps");
    }
}

/// Changes the site all the time; what was acknowledged last.
struct Changes {
    stop: Arc<AtomicBool>,
    writing: std::thread::JoinHandle<u64>,
}

impl Changes {
    fn start(site: &Site) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, admin) = (Arc::clone(&stop), site.admin().to_string());
        let writing = std::thread::spawn(move || {
            let mut last = 0;
            while !ended.load(Ordering::SeqCst) {
                let replicas = if last == 3 { 2 } else { 3 };
                let done = Command::new(env!("CARGO_BIN_EXE_minato"))
                    .args(["--admin", &admin, "scale", "app"])
                    .args([&replicas.to_string(), "--no-wait"])
                    .output();
                if done.unwrap().status.success() {
                    last = replicas;
                }
            }
            last
        });
        Self { stop, writing }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.writing.join().unwrap()
    }
}

#[test]
fn thousands_of_keys_are_copied_while_everything_runs_and_a_short_pause_is_left() {
    if !is_here() {
        return;
    }
    let members = Members::start(3);
    let mut site = Site::new();
    with_file(&site, async |it| fill(it, MANY).await);
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    site.write_settings_of("before.toml", "", "");
    let all: Vec<String> = members
        .endpoints()
        .iter()
        .map(|it| format!("\"{it}\""))
        .collect();
    site.write_settings_of("minato.toml", &format!("etcd = [{}]\n", all.join(", ")), "");
    let load = site.load();
    load.wait_for(50);
    let changes = Changes::start(&site);
    let output = copy(&site).wait_with_output().unwrap();
    let printed = text(&output.stdout);
    println!("{printed}");
    assert!(output.status.success(), "{output:?}");
    site.follow_upgrade();
    load.wait_for(50);
    let last = changes.stop();
    assert_eq!(
        site.service("app")["wanted"],
        last,
        "an acknowledged change is lost"
    );
    site.wait_ok("app", last);
    load.stop().nothing_failed();
    let copied = &site.json("/v1/upgrade")["copied"];
    let number = |name: &str| copied[name].as_u64().unwrap();
    assert!(number("ahead") >= MANY as u64, "{copied}");
    assert!(number("changes") < 200, "{copied}");
    assert!(number("paused_ms") < 30_000, "{copied}");
    assert!(printed.contains("in a pause of"), "{printed}");
    let new = of_etcd(&members);
    let documents = new
        .1
        .iter()
        .filter(|it| it.0.contains("/images/elsewhere/"));
    assert_eq!(documents.count(), MANY);
    site.stop_successor(Signal::TERM);
}

/// The process that copies, the old one or the new one, is killed while a site runs.
fn killed_while_it_runs(members: &Members, gate: &Gate, count: u64, lost: Lost) -> bool {
    let when = format!("{lost:?} {count}");
    members.etcdctl(&["del", "", "--from-key"]);
    let mut site = site_before(gate);
    with_file(&site, async |it| fill(it, SOME).await);
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    let old = site.pid();
    site.type_in(&["scale", "app", "3"]);
    site.wait_ok("app", 3);
    let pids = site.pids("app");
    std::fs::copy(site.path("after.toml"), site.settings()).unwrap();
    let load = site.load();
    load.wait_for(50);
    gate.hold_after(count, lost);
    let mut copying = copy(&site);
    let took_over = || site.log_text().contains("took over from process");
    // Whoever has taken over does not copy any more.
    let killed = held(gate, &mut copying).filter(|_| !took_over());
    if let Some(killed) = killed {
        processes::signal(killed, Signal::KILL);
        until("the process to end", || (!is_alive(killed)).then_some(()));
    }
    gate.release();
    if killed == Some(old) {
        // The only process: whoever looks after it starts it again, with the settings that are there.
        copying.kill().unwrap();
        copying.wait().unwrap();
        drop(load);
        site.crash();
        site.start();
        eprintln!("{when}: the old process was killed");
    } else {
        // Whichever store it goes on with, requests are served.
        let ended = within(Duration::from_secs(150), "the command to end", || {
            copying.try_wait().unwrap()
        });
        load.wait_for(50);
        load.stop().nothing_failed();
        eprintln!("{when}: {killed:?} was killed, {ended}");
    }
    let store = || site.json("/v1/status")["store"]["path"].clone();
    site.wait_ok("app", 3);
    assert_eq!(site.pids("app"), pids, "{when}: an instance was restarted");
    if !store().as_str().unwrap().starts_with("etcd") {
        let output = copy(&site).wait_with_output().unwrap();
        assert!(output.status.success(), "{when}: {output:?}");
    }
    assert!(store().as_str().unwrap().starts_with("etcd"), "{when}");
    until("the store to be well", || {
        (site.json("/v1/status")["store"]["healthy"] == true).then_some(())
    });
    // Somebody leads there.
    site.type_in(&["scale", "app", "2"]);
    site.wait_ok("app", 2);
    let new = of_etcd(members);
    assert_eq!(state(&new), Some(&StoreState::Serving), "{when}");
    let documents = new
        .1
        .iter()
        .filter(|it| it.0.contains("/images/elsewhere/"));
    assert_eq!(documents.count(), SOME, "{when}");
    let pid = site.json("/v1/status")["pid"].as_u64().unwrap();
    if pid == u64::from(site.pid()) {
        site.stop(Signal::TERM);
    } else {
        site.follow_upgrade();
        site.stop_successor(Signal::TERM);
    }
    let old = with_file(&site, async |it| contents(it).await);
    let left = matches!(state(&old), Some(StoreState::Left { .. }));
    assert!(left, "{when}: {:?}", state(&old));
    killed.is_some()
}

#[test]
fn whoever_copies_is_killed_while_the_site_runs_and_nothing_is_lost() {
    if !is_here() {
        return;
    }
    let members = Members::start(1);
    let gate = Gate::before(&members.endpoints()[0]);
    let all = std::env::var("MINATO_COPY_KILLS").is_ok_and(|it| it == "all");
    let stride = if all { 1 } else { STRIDE };
    let began = now();
    for (first, lost) in [(1, Lost::Request), (3, Lost::Answer)] {
        let mut count = first;
        while count < MOST && killed_while_it_runs(&members, &gate, count, lost) {
            count += stride;
        }
        println!(
            "{lost:?}: killed up to request {count}, after {:.0?}",
            began.elapsed()
        );
    }
}
