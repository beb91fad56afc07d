//! Services of another site: one folder of files, two real processes, certificates made by `minato ca`.

use crate::support::clock::{now, until, within};
use crate::support::http::get;
use crate::support::processes::is_alive;
use crate::support::site::{Site, python_service, text};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A cold site has to notice, start and check: a busy machine gets time for it.
const START: Duration = Duration::from_secs(60);

/// Tokyo, which has the only service file, and osaka, which has none.
struct Clouds {
    tokyo: Site,
    osaka: Site,
}

impl Clouds {
    /// Both run, with a service `app` of tokyo that osaka stands by for.
    fn start(more: &str) -> Self {
        Self::start_with("2", more)
    }

    /// The same with so many instances, as `replicas` says it.
    fn start_with(replicas: &str, more: &str) -> Self {
        let (mut tokyo, mut osaka) = (Site::new(), Site::new());
        tokyo.type_in(&["ca", "init", "--dir", "root"]);
        let root = tokyo.path("root").display().to_string();
        for (site, name, other) in [(&tokyo, "tokyo", &osaka), (&osaka, "osaka", &tokyo)] {
            let folder = site.path("identity").display().to_string();
            site.type_in(&["ca", "issue", name, "--dir", &root, "--out", &folder]);
            let peer = if name == "tokyo" { "osaka" } else { "tokyo" };
            let settings = fs::read_to_string(site.settings()).unwrap();
            let settings = format!(
                "site = \"{name}\"\n{settings}[sites.{peer}]\ngateways = [\"{}\"]\n[link]\nlisten = [\"{}\"]\nidentity = \"identity\"\n",
                other.ports.own(3),
                site.ports.own(3),
            );
            fs::write(site.settings(), settings).unwrap();
        }
        let clouds = {
            tokyo.start();
            osaka.start();
            Self { tokyo, osaka }
        };
        clouds.share_with(replicas, &format!("sites = [\"tokyo\", \"osaka\"]\n{more}"));
        clouds
    }

    fn share(&self, more: &str) {
        self.share_with("2", more);
    }

    fn share_with(&self, replicas: &str, more: &str) {
        let health = "health = { path = \"/healthz\", interval = \"1s\", fast = \"200ms\", timeout = \"900ms\" }\n";
        // Osaka runs the same command: nothing in it is of tokyo's folder.
        let file = python_service(Path::new("/dev/null"), 2, &format!("{health}{more}"));
        let file = file.replacen("replicas = 2\n", &format!("replicas = {replicas}\n"), 1);
        self.tokyo.write("app", &file);
    }

    /// Where osaka says that it has the service from, and how many instances it wants.
    fn at_osaka(&self) -> Option<(String, u64)> {
        let answer = self.osaka.api("/v1/services/app");
        let status: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        Some((
            status["source"].as_str()?.to_owned(),
            status["wanted"].as_u64()?,
        ))
    }

    #[track_caller]
    fn until_at_osaka(&self, source: &str, wanted: u64) {
        let mut last = None;
        until(
            &format!("{source} with {wanted} instances wanted at osaka"),
            || {
                last = self.at_osaka();
                (last == Some((source.to_owned(), wanted))).then_some(())
            },
        );
    }

    /// The process that answers at osaka's entrance.
    fn served_at_osaka(&self) -> Option<u32> {
        let answer = get(self.osaka.gateway(), "e2e.test", "/").ok()?;
        (answer.status == 200)
            .then(|| answer.text().trim().parse().ok())
            .flatten()
    }
}

#[test]
fn a_warm_site_runs_what_another_owns_and_serves_it_when_that_is_gone() {
    let mut clouds = Clouds::start("standby = \"warm\"\n[at.osaka]\nreplicas = 1\n");
    clouds.tokyo.wait_ok("app", 2);
    clouds.until_at_osaka("site tokyo (warm)", 1);
    clouds.osaka.wait_ok("app", 1);
    // Visitors of osaka are served by tokyo.
    let at_home = clouds.tokyo.pids("app");
    until("osaka's entrance to lead to tokyo", || {
        clouds.served_at_osaka().filter(|it| at_home.contains(it))
    });
    // Commands are for its home.
    for command in [
        &["scale", "app", "3"][..],
        &["restart", "app"],
        &["drain", "app"],
    ] {
        let refused = clouds.osaka.cli(command);
        assert_eq!(refused.status.code(), Some(3), "{command:?}");
        let said = text(&refused.stderr);
        assert!(
            said.contains("app is a service of site tokyo")
                && said.contains("type the command at tokyo"),
            "{said}"
        );
    }

    clouds.tokyo.crash();
    let here = clouds.osaka.pids("app");
    assert_eq!(here.len(), 1);
    within(START, "osaka to serve by itself", || {
        clouds.served_at_osaka().filter(|it| here.contains(it))
    });
    assert_eq!(
        clouds.at_osaka().unwrap().0,
        "site tokyo (warm)",
        "nothing ended"
    );
    // Its home comes back and finds its instances.
    clouds.tokyo.start();
    clouds.tokyo.wait_ok("app", 2);
}

/// Tokyo serves with three and osaka has one: what osaka lacks gets the sorry page for as long as it takes to start two more. No load asks
/// for them: what is turned away is measured nowhere.
#[test]
fn what_the_backup_cannot_carry_brings_it_instances_until_nobody_is_turned_away() {
    let mut clouds = Clouds::start_with("{ min = 1, max = 4, in_flight = 1000 }", "");
    clouds.tokyo.wait_ok("app", 1);
    clouds.tokyo.type_in(&["scale", "app", "3"]);
    clouds.tokyo.wait_ok("app", 3);
    clouds.until_at_osaka("site tokyo (warm)", 1);
    clouds.osaka.wait_ok("app", 1);
    until("osaka to have heard how many tokyo has", || {
        clouds.served_at_osaka()
    });

    clouds.tokyo.crash();
    let cut = now();
    let shares = |clouds: &Clouds| -> Option<f64> {
        let status = clouds.osaka.json("/v1/status");
        let all = status["shares"].as_array()?.clone();
        let of_app = all.iter().find(|it| it["service"] == "app");
        of_app.map_or(Some(0.0), |it| it["excess"].as_f64())
    };
    let excess = within(START, "visitors to be turned away at osaka", || {
        shares(&clouds).filter(|it| *it > 0.0)
    });
    assert!(excess > 50.0, "one of three carries 46.6 %, so {excess}");
    clouds.until_at_osaka("site tokyo (warm)", 3);
    within(START, "nobody to be turned away any more", || {
        (shares(&clouds) == Some(0.0)).then_some(())
    });
    eprintln!("nobody is turned away {:?} after the cut", cut.elapsed());
    let events = clouds.osaka.events().into_iter();
    let mut told = events.map(|it| it.message);
    let why = "app: 3 instances in place of 1: 3 for visitors whom other sites do not serve";
    assert!(told.any(|it| it == why), "{:?}", clouds.osaka.events());
    let answers: Vec<bool> = (0..60)
        .map(|_| clouds.served_at_osaka().is_some())
        .collect();
    assert!(answers.iter().all(|it| *it), "{answers:?}");
    // Its home comes back and finds its instances.
    clouds.tokyo.start();
    clouds.tokyo.wait_ok("app", 3);
}

#[test]
fn a_cold_site_starts_what_another_owns_once_that_is_gone() {
    let mut clouds = Clouds::start("standby = \"cold\"\n");
    clouds.tokyo.wait_ok("app", 2);
    clouds.until_at_osaka("site tokyo (cold)", 0);
    until("osaka's entrance to lead to tokyo", || {
        clouds.served_at_osaka()
    });
    assert_eq!(clouds.osaka.pids("app"), [0; 0]);

    clouds.tokyo.crash();
    let cut = now();
    let by = within(START, "osaka to start and to serve", || {
        let here = clouds.osaka.pids("app");
        clouds.served_at_osaka().filter(|it| here.contains(it))
    });
    eprintln!(
        "cold site: first answer {:?} after the cut, by process {by}",
        cut.elapsed()
    );
    clouds.until_at_osaka("site tokyo (started)", 2);
    // Its home comes back and finds its instances; what was started here does not end at once.
    clouds.tokyo.start();
    clouds.tokyo.wait_ok("app", 2);
    assert_eq!(clouds.at_osaka().unwrap().0, "site tokyo (started)");
}

#[test]
fn what_is_no_longer_shared_ends_there() {
    let clouds = Clouds::start("");
    clouds.until_at_osaka("site tokyo (warm)", 2);
    clouds.osaka.wait_ok("app", 2);
    clouds.share("sites = [\"tokyo\"]\n");
    until("osaka to let go", || {
        (clouds.osaka.api("/v1/services/app").status == 404).then_some(())
    });
    clouds.tokyo.wait_ok("app", 2);
}

/// The switch for a peer: what ran of it ends, and requests go over the link as before.
#[test]
fn of_a_site_with_mirror_false_nothing_runs_and_requests_go_there_all_the_same() {
    let mut clouds = Clouds::start("");
    clouds.until_at_osaka("site tokyo (warm)", 2);
    clouds.osaka.wait_ok("app", 2);
    let here = clouds.osaka.pids("app");
    let settings = fs::read_to_string(clouds.osaka.settings()).unwrap();
    let switched = settings.replace("[sites.tokyo]\n", "[sites.tokyo]\nmirror = false\n");
    assert_ne!(switched, settings);
    fs::write(clouds.osaka.settings(), switched).unwrap();
    clouds.osaka.upgrade();
    until("osaka to let go", || {
        (clouds.osaka.api("/v1/services/app").status == 404).then_some(())
    });
    assert!(here.iter().all(|it| !is_alive(*it)), "it runs on");
    let events = clouds.osaka.events().into_iter();
    let mut told = events.map(|it| it.message);
    let why = "app of tokyo ends here: [sites.tokyo] says mirror = false";
    assert!(told.any(|it| it.contains(why)));
    clouds.tokyo.wait_ok("app", 2);

    // Osaka's own service, which tokyo stands by for: visitors of tokyo's entrance are served by osaka.
    let health = "health = { path = \"/healthz\", interval = \"1s\", fast = \"200ms\", timeout = \"900ms\" }\n";
    let more = format!("{health}routes = [\"own.test\"]\nsites = [\"osaka\", \"tokyo\"]\n");
    let file = python_service(Path::new("/dev/null"), 1, &more);
    clouds.osaka.write("own", &file);
    clouds.osaka.wait_ok("own", 1);
    clouds.tokyo.wait_ok("own", 1);
    let at_osaka = clouds.osaka.pids("own");
    until("tokyo's entrance to lead to osaka", || {
        let answer = get(clouds.tokyo.gateway(), "own.test", "/").ok()?;
        let by: u32 = answer.text().trim().parse().ok()?;
        (answer.status == 200 && at_osaka.contains(&by)).then_some(())
    });
    assert_eq!(clouds.osaka.api("/v1/services/app").status, 404);
}

#[test]
fn of_two_that_own_a_name_the_own_one_wins_and_it_is_named() {
    let clouds = Clouds::start("");
    clouds.until_at_osaka("site tokyo (warm)", 2);
    clouds.osaka.write("app", &clouds.osaka.python(1, ""));
    let file = clouds.osaka.service_file("app");
    until("the own file to win", || {
        let (source, wanted) = clouds.at_osaka()?;
        (source.ends_with("app.toml") && wanted == 1).then_some(())
    });
    until("the alarm", || {
        let events = clouds.osaka.events().into_iter();
        let mut texts = events.map(|it| it.message);
        texts.find(|it| it.contains("is a service of this site") && it.contains("and of tokyo"))
    });
    assert!(file.exists());
}

#[test]
fn ca_makes_shows_and_never_overwrites() {
    let site = Site::new();
    let printed = site.type_in(&["ca", "init"]);
    assert!(
        printed.contains("minato-ca/authority.key") && printed.contains("minato ca issue SITE"),
        "{printed}"
    );
    let again = site.cli(&["ca", "init"]);
    assert_eq!(again.status.code(), Some(3));
    assert!(
        text(&again.stderr).contains("is never overwritten"),
        "{}",
        text(&again.stderr)
    );
    let missing = site.cli(&["ca", "issue", "tokyo", "--dir", "nowhere", "--out", "t"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        text(&missing.stderr).contains("minato ca init"),
        "{}",
        text(&missing.stderr)
    );
    let printed = site.type_in(&["ca", "issue", "tokyo", "--out", "t"]);
    assert!(
        printed.contains("t/site.key") && printed.contains("[link]"),
        "{printed}"
    );
    let shown = site.type_in(&["ca", "show", "t", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown[1]["names"][0], "tokyo.minato.internal");
    assert_eq!(shown[1]["verifies"], true);
    fs::write(site.path("t/site.key"), "no key").unwrap();
    let shown = site.cli(&["ca", "show", "t"]);
    assert_eq!(shown.status.code(), Some(3));
    let other = site.cli(&["ca", "issue", "osaka", "--out", "t"]);
    assert_eq!(other.status.code(), Some(3));
    assert!(
        text(&other.stderr).contains("is of another site"),
        "{}",
        text(&other.stderr)
    );
    assert_eq!(
        site.cli(&["ca", "issue", "To.kyo", "--out", "x"])
            .status
            .code(),
        Some(2)
    );
}
