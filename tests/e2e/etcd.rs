//! A site whose store is a real etcd cluster: it fails, is copied to, refuses, and holds what does not belong there.

#[path = "../../control/store/tests/etcd/members.rs"]
pub(crate) mod members;

use crate::support::clock::{now, until};
use crate::support::http::get;
use crate::support::processes::{self, is_alive, signal};
use crate::support::site::{AtStop, Site, text};
use members::{Members, is_here};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// `etcd = [..]`
fn endpoints(members: &Members) -> String {
    let all: Vec<String> = members
        .endpoints()
        .iter()
        .map(|it| format!("\"{it}\""))
        .collect();
    format!("etcd = [{}]\n", all.join(", "))
}

fn site_on(members: &Members) -> Site {
    let site = Site::new();
    site.write_settings_of("minato.toml", &endpoints(members), "");
    site.write("app", &site.python(2, ""));
    site
}

fn is_healthy(site: &Site) -> bool {
    site.json("/v1/status")["store"]["healthy"] == true
}

/// On a busy machine the first look after a member froze takes longer than the API waits for it, so the order is given again until it is
/// taken.
#[track_caller]
fn scales(site: &Site, replicas: u64) {
    let order = ["scale", "app", &replicas.to_string(), "--no-wait"];
    until("the order to be taken", || {
        site.cli(&order).status.success().then_some(())
    });
    site.wait_ok("app", replicas);
}

#[test]
fn members_freeze_and_die_and_all_of_them_and_no_request_fails() {
    if !is_here() {
        return;
    }
    let mut members = Members::start(3);
    let mut site = site_on(&members);
    site.at_stop = AtStop::LeaveInstances;
    site.start();
    site.wait_ok("app", 2);
    let load = site.load();

    for (index, replicas) in [(members.leader(), 3), (0, 2), (1, 3), (2, 2)] {
        members.freeze(index);
        let began = now();
        scales(&site, replicas);
        println!(
            "member {index} frozen: scaled to {replicas} in {:.1?}",
            began.elapsed()
        );
        members.thaw(index);
        members.wait();
    }
    members.kill(0);
    scales(&site, 3);
    members.revive(0);
    members.wait();
    scales(&site, 2);

    // All of them, while an instance dies.
    let (before, died) = (site.latest_event(), site.pids("app")[0]);
    (0..3).for_each(|it| members.freeze(it));
    let began = now();
    signal(died, Signal::KILL);
    until("the store's trouble to show", || {
        (!is_healthy(&site)).then_some(())
    });
    println!("all frozen: shown after {:.1?}", began.elapsed());
    let told = site.wait_event("the store's trouble", |it| {
        it.seq > before && it.kind == "store" && it.message.contains("gave no answer")
    });
    assert!(told.message.contains("etcd http://127.0.0.1:"), "{told:?}");
    let refused = site.cli(&["scale", "app", "5", "--no-wait"]);
    assert!(!refused.status.success(), "{refused:?}");
    load.wait_for(100);
    load.stop().nothing_failed();

    // minato itself starts anew without a store.
    site.crash();
    site.start();
    let answer = get(site.gateway(), "e2e.test", "/page").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "the page"));
    let load = site.load();
    load.wait_for(200);
    assert!(!is_healthy(&site));

    let began = now();
    (0..3).for_each(|it| members.thaw(it));
    members.wait();
    until("the store to be well", || is_healthy(&site).then_some(()));
    site.wait_ok("app", 2);
    println!("all thawed: well after {:.1?}", began.elapsed());
    // The store says what was until the agent has told.
    until("the new run to be told", || {
        (!site.pids("app").contains(&died)).then_some(())
    });
    scales(&site, 3);

    // Two of them die, which leaves no majority, then the third; they come back with what they had on disk.
    let pids = site.pids("app");
    for index in [1, 2, 0] {
        members.kill(index);
        load.wait_for(50);
    }
    until("the store's trouble to show", || {
        (!is_healthy(&site)).then_some(())
    });
    load.wait_for(100);
    (0..3).for_each(|it| members.revive(it));
    members.wait();
    let began = now();
    until("the store to be well", || is_healthy(&site).then_some(()));
    println!("all killed and revived: well after {:.1?}", began.elapsed());
    scales(&site, 4);
    let after = site.pids("app");
    assert!(
        pids.iter().all(|it| after.contains(it)),
        "{pids:?} {after:?}"
    );

    site.type_in(&["scale", "app", "--reset"]);
    site.wait_ok("app", 2);
    load.wait_for(50);
    load.stop().nothing_failed();
    site.crash();
    site.at_stop = AtStop::StopInstances;
    site.start();
    site.wait_ok("app", 2);
}

#[test]
fn a_site_moves_to_etcd_and_back_under_load() {
    if !is_here() {
        return;
    }
    let members = Members::start(3);
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    site.type_in(&["scale", "app", "3"]);
    site.wait_ok("app", 3);
    let pids = site.pids("app");
    let load = site.load();
    let (old, new) = (site.path("before.toml"), site.settings());
    let copy = [
        "store",
        "copy",
        "--from",
        old.to_str().unwrap(),
        "--config",
        new.to_str().unwrap(),
    ];
    let etcd = endpoints(&members);

    // A cluster that does not answer: nothing changes.
    site.write_settings_of("before.toml", "", "");
    site.write_settings_of("minato.toml", &etcd, "");
    (0..3).for_each(|it| members.freeze(it));
    let output = site.cli(&copy);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(
        text(&output.stderr).contains("nothing was changed"),
        "{output:?}"
    );
    (0..3).for_each(|it| members.thaw(it));

    // A cluster that holds something else.
    let key = "/minato/v1/local/services/other";
    members.etcdctl(&["put", key, "{\"v\":1}"]);
    let output = site.cli(&copy);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    assert!(
        said.contains(key) && said.contains("still the store in use"),
        "{said}"
    );
    scales(&site, 2);
    scales(&site, 3);
    assert!(is_healthy(&site));
    let pids_before = site.pids("app");
    members.etcdctl(&["del", "--prefix", "/"]);

    let began = now();
    let printed = site.type_in(&copy);
    println!("to etcd in {:.1?}:\n{printed}", began.elapsed());
    site.follow_upgrade();
    assert!(printed.contains("is the store in use"), "{printed}");
    site.wait_ok("app", 3);
    assert_eq!(site.pids("app"), pids_before);
    assert!(
        site.json("/v1/status")["store"]["path"]
            .as_str()
            .unwrap()
            .starts_with("etcd http")
    );
    site.wait_event("the copy", |it| {
        it.message.contains("was copied") && it.message.contains("era 1")
    });
    let checked = site.type_in(&["store", "check", "--config", new.to_str().unwrap()]);
    assert!(
        checked.contains("in use") && checked.contains("era       1"),
        "{checked}"
    );
    assert_eq!(checked.matches(" answers in ").count(), 3, "{checked}");
    // The intent came along.
    assert!(site.type_in(&["status"]).contains("by hand"));
    scales(&site, 4);
    let kept: Vec<u32> = pids.iter().copied().filter(|it| is_alive(*it)).collect();
    println!("{} of the first instances live still", kept.len());

    // Back to the file.
    site.write_settings_of("before.toml", &etcd, "");
    site.write_settings("");
    let pids = site.pids("app");
    let began = now();
    let printed = site.type_in(&copy);
    println!("to the file in {:.1?}:\n{printed}", began.elapsed());
    site.follow_upgrade();
    site.wait_ok("app", 4);
    assert_eq!(site.pids("app"), pids);
    site.type_in(&["scale", "app", "--reset"]);
    site.wait_ok("app", 2);
    load.wait_for(100);
    load.stop().nothing_failed();
    // The settings of before name a store that was left.
    let checked = site.cli(&["store", "check", "--config", old.to_str().unwrap()]);
    let said = text(&checked.stdout);
    assert!(
        checked.status.code() == Some(1) && said.contains("was left for"),
        "{said}"
    );
    site.stop_successor(Signal::TERM);
}

/// A running site, whose store is restored under it into a cluster made with `token`; nobody upgrades or restarts anything.
fn a_restored_store(token: &str, words: &str) {
    if !is_here() {
        return;
    }
    let mut members = Members::start(1);
    let mut site = site_on(&members);
    site.start();
    let minato = site.pid();
    site.wait_ok("app", 2);
    members.snapshot();
    scales(&site, 4);
    let pids = site.pids("app");
    let load = site.load();
    load.wait_for(50);
    members.restore(0, token);
    until("the doubt to show", || {
        let status = site.json("/v1/status");
        let detail = status["store"]["detail"].as_str()?;
        let said = detail.contains(words) && detail.contains("minato store confirm");
        said.then_some(())
    });
    let shown = site.type_in(&["store", "confirm", "--dry-run"]);
    assert!(
        shown.contains("app/2 has no place") && shown.contains("app/3 has no place"),
        "{shown}"
    );
    let checked = site.cli(&[
        "store",
        "check",
        "--config",
        site.settings().to_str().unwrap(),
    ]);
    let said = text(&checked.stdout);
    assert!(
        checked.status.code() == Some(1) && said.contains("this store was restored"),
        "{said}"
    );
    let refused = site.cli(&["scale", "app", "1", "--no-wait"]);
    assert!(!refused.status.success(), "{refused:?}");
    load.wait_for(200);
    assert!(pids.iter().all(|it| is_alive(*it)), "something was stopped");
    // What dies meanwhile is started again, as while any store is away.
    signal(pids[3], Signal::KILL);
    let living = || {
        let all = processes::of(&site.path(""));
        let is_instance = |line: &str| line.contains("service.py") && !line.contains(" shim");
        let instances = all.into_iter().filter(|it| is_instance(&it.1));
        instances.map(|it| it.0).collect::<Vec<u32>>()
    };
    until("a new run of what died", || {
        let now = living();
        (now.len() == 4 && !now.contains(&pids[3])).then_some(())
    });
    load.wait_for(50);

    let confirmed = site.type_in(&["store", "confirm"]);
    assert!(confirmed.contains("in era 1"), "{confirmed}");
    let began = now();
    // The snapshot knows of two.
    site.wait_ok("app", 2);
    until("the others to end", || (living().len() == 2).then_some(()));
    until("the store to be well", || is_healthy(&site).then_some(()));
    eprintln!(
        "as the snapshot has it {:.1?} after the word",
        began.elapsed()
    );
    assert!(pids[..2].iter().all(|it| is_alive(*it)), "restarted");
    scales(&site, 3);
    load.wait_for(50);
    load.stop().nothing_failed();
    assert_eq!(site.json("/v1/status")["pid"], minato, "another process");
    site.wait_event("that it began anew", |it| {
        it.kind == "store" && it.message.contains("begins anew with it")
    });
}

#[test]
fn a_store_restored_in_another_cluster_waits_for_a_person_and_all_goes_on_by_itself() {
    a_restored_store("another", "it is etcd cluster ");
}

#[test]
fn a_store_restored_in_the_same_cluster_waits_for_a_person_and_all_goes_on_by_itself() {
    a_restored_store("etcd-cluster", "it is at revision ");
}

#[test]
fn what_is_wrong_with_the_store_is_named_and_all_else_goes_on() {
    if !is_here() {
        return;
    }
    let members = Members::start(1);
    let mut site = Site::new();
    let password = site.path("password");
    let write = |text: &str| {
        fs::write(&password, text).unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("wrong-one");
    members.etcdctl(&["user", "add", "root:right-one"]);
    members.etcdctl(&["user", "grant-role", "root", "root"]);
    members.etcdctl(&["auth", "enable"]);
    let store = format!(
        "{}user = \"root\"\npassword_file = \"password\"\n",
        endpoints(&members)
    );
    site.write_settings_of("minato.toml", &store, "");
    site.write("app", &site.python(2, ""));
    site.start();
    let told = site.wait_event("the refusal", |it| {
        it.kind == "store" && it.message.contains("invalid user ID or password")
    });
    assert!(told.message.contains("password_file"), "{told:?}");
    write("right-one");
    site.wait_ok("app", 2);
    let secrets = ["wrong-one", "right-one"];
    let log = site.log_text();
    assert!(secrets.iter().all(|it| !log.contains(it)), "{log}");
    let load = site.load();

    let root = |rest: &str| format!("/minato/v1/local/{rest}");
    let put = |rest: &str, value: &str| {
        members.etcdctl(&["--user=root:right-one", "put", &root(rest), value]);
    };
    let value = |rest: &str| {
        let arguments = ["--user=root:right-one", "get", "--print-value-only"];
        let [a, b, c] = arguments;
        members.etcdctl(&[a, b, c, &root(rest)]).trim().to_owned()
    };
    put("somebody/else", "what");
    put("intents/app", "{\"v\":2,\"replicas\":\"many\"}");
    for (key, said) in [
        ("somebody/else", "delete it if nobody needs it"),
        ("intents/app", "a newer minato wrote it"),
    ] {
        let told = site.wait_event(key, |it| {
            it.kind == "alarm" && it.message.contains(&root(key))
        });
        assert!(told.message.contains(said), "{told:?}");
    }
    // A format to come: nobody leads, everything runs.
    let meta = value("meta");
    put("meta", &meta.replace("\"format\":1", "\"format\":2"));
    let told = site.wait_event("that nobody leads", |it| {
        it.kind == "leader" && it.message.contains("no longer leads")
    });
    assert!(
        told.message.contains(&root("meta")) && told.message.contains("upgrade this one"),
        "{told:?}"
    );
    load.wait_for(50);
    let pids = site.pids("app");
    signal(pids[0], Signal::KILL);
    until("a restart by the agent alone", || {
        let service = site.service("app");
        let instances = service["instances"].as_array()?.iter();
        let now: Option<Vec<u64>> = instances.map(|it| it["pid"].as_u64()).collect();
        let now = now?;
        (now.len() == 2 && now[0] != u64::from(pids[0])).then_some(())
    });
    put("meta", &meta);
    site.wait_event("that one leads again", |it| {
        it.seq > told.seq && it.kind == "leader" && it.message.ends_with("leads")
    });
    let arguments = ["--user=root:right-one", "del"];
    let [a, b] = arguments;
    members.etcdctl(&[a, b, &root("intents/app")]);
    site.wait_ok("app", 2);
    load.stop().nothing_failed();
}
