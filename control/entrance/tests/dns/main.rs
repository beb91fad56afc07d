//! Names at real name servers: BIND, and Knot for what another implementation might see otherwise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what stands around the tests fails as they do, by a panic"
)]

mod server;

use minato_config::{
    Consent, DnsKey, DnsSettings, EntranceName, EntranceSettings, Follow, KeyAlgorithm, NodeId,
    SiteId, Timestamp,
};
use minato_control::entrance::{ByHand, Heard, Led, Sight, Wish};
use minato_control::{Event, Level};
use minato_control_entrance::{Gate, NameState, NameView, Names, Published};
use rustix::process::{Pid, Signal, kill_process};
use server::{Clock, Kind, NAME, OTHER, SECRET, Server, ZONE, until};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

const TOKYO: &str = "192.0.2.1 2001:db8::1";
/// No address.
const NOWHERE: [IpAddr; 0] = [];
const OSAKA: &str = "198.51.100.1";

/// One writer: a site's gateway.
struct Writer {
    names: Arc<Names>,
    gate: Arc<Gate>,
    events: std::sync::Mutex<mpsc::Receiver<Event>>,
    _stop: watch::Sender<bool>,
    _runtime: tokio::runtime::Runtime,
    _data: tempfile::TempDir,
}

#[derive(Clone)]
struct Of {
    site: &'static str,
    addresses: &'static str,
    key: &'static str,
    secret: &'static str,
    follow: Follow,
}

const IN_TOKYO: Of = Of {
    site: "tokyo",
    addresses: TOKYO,
    key: "tokyo",
    secret: SECRET,
    follow: Follow::Nobody,
};
const IN_OSAKA: Of = Of {
    site: "osaka",
    addresses: OSAKA,
    ..IN_TOKYO
};

fn list(text: &str) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = text.split(' ').filter_map(|it| it.parse().ok()).collect();
    all.sort();
    all
}

fn writer(servers: &[&Server], of: &Of) -> Writer {
    let addresses = servers.iter().map(|it| it.address).collect();
    writer_at(addresses, servers[0], of)
}

/// `first`: the server in whose folder its secret is.
fn writer_at(servers: Vec<SocketAddr>, first: &Server, of: &Of) -> Writer {
    let name = EntranceName::parse("web").unwrap();
    let settings = DnsSettings {
        servers,
        zone: ZONE.to_owned(),
        name: NAME.to_owned(),
        ttl: Duration::from_secs(5),
        key: DnsKey {
            name: of.key.to_owned(),
            algorithm: KeyAlgorithm::HmacSha256,
            secret_file: first.secret(&format!("secret-{}", of.site), of.secret),
        },
        addresses: list(of.addresses).into_iter().collect(),
        follow: of.follow,
    };
    let settings = EntranceSettings {
        dns: [(name, settings)].into(),
        ..EntranceSettings::default()
    };
    let data = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let gate = Arc::new(Gate::open(data.path()));
    let (site, node) = (
        SiteId::parse(of.site).unwrap(),
        NodeId::parse("gw").unwrap(),
    );
    let names = Arc::new(Names::new(&settings, &site, &node, Arc::clone(&gate)));
    let (events, heard) = mpsc::channel(256);
    let (stop, stopped) = watch::channel(false);
    runtime.spawn(Arc::clone(&names).run(events, stopped));
    Writer {
        names,
        gate,
        events: std::sync::Mutex::new(heard),
        _stop: stop,
        _runtime: runtime,
        _data: data,
    }
}

impl Writer {
    fn want(&self, wish: Wish) -> u64 {
        let word = Published {
            name: EntranceName::parse("web").unwrap(),
            wish,
            who: "alice".to_owned(),
        };
        self.names.want(&word).unwrap()
    }

    fn view(&self) -> NameView {
        self.names.view().remove(0)
    }

    /// Says it and waits until it is settled: how, and why.
    #[track_caller]
    fn settle(&self, wish: Wish) -> (NameState, String) {
        let number = self.want(wish);
        until("it to be settled", || {
            let view = self.view();
            assert_eq!(view.number, number);
            (view.state != NameState::Trying).then_some((view.state, view.detail))
        })
    }

    /// Waits until it tries in vain for such a reason.
    #[track_caller]
    fn in_trouble(&self, part: &str) -> String {
        until(&format!("trouble: {part}"), || {
            let view = self.view();
            assert_ne!(view.state, NameState::Done, "expected trouble: {part}");
            view.detail.contains(part).then_some(view.detail)
        })
    }

    fn told(&self) -> Vec<Event> {
        let mut events = self.events.lock().unwrap();
        std::iter::from_fn(|| events.try_recv().ok()).collect()
    }
}

fn take(epoch: u64) -> Wish {
    Wish::Take { epoch: Some(epoch) }
}

fn leave(epoch: u64) -> Wish {
    Wish::Leave { epoch: Some(epoch) }
}

const DONE: (NameState, String) = (NameState::Done, String::new());

/// Published, withdrawn, taken over by a newer epoch; the older one is refused and changes nothing.
fn two_writers(kind: Kind) {
    if !kind.is_here() {
        return;
    }
    let server = Server::start(kind, Clock::Right);
    let (tokyo, osaka) = (writer(&[&server], &IN_TOKYO), writer(&[&server], &IN_OSAKA));
    assert_eq!(tokyo.settle(take(3)), DONE, "{}", server.log());
    assert_eq!(server.addresses(), list(TOKYO));
    assert_eq!(server.claim(), "minato v=1 epoch=3 site=tokyo");
    // Again changes nothing, and says so.
    assert_eq!(tokyo.settle(take(3)), DONE);

    for (writer, epoch, why) in [(&osaka, 2, "older than 3"), (&osaka, 3, "tokyo was first")] {
        let (state, detail) = writer.settle(take(epoch));
        assert!(
            state == NameState::Refused && detail.contains(why),
            "{detail}"
        );
        assert_eq!(
            server.addresses(),
            list(TOKYO),
            "refused, and changed all the same"
        );
    }
    assert_eq!(osaka.settle(take(4)), DONE);
    assert_eq!(server.addresses(), list(OSAKA));
    assert_eq!(server.claim(), "minato v=1 epoch=4 site=osaka");
    let (state, detail) = tokyo.settle(take(3));
    assert!(
        state == NameState::Refused && detail.contains("older than 4"),
        "{detail}"
    );
    // What withdraws late takes nothing from the one that came after.
    assert_eq!(tokyo.settle(leave(3)), DONE);
    assert_eq!(server.addresses(), list(OSAKA));

    assert_eq!(osaka.settle(leave(5)), DONE);
    assert_eq!(server.addresses(), NOWHERE);
    assert_eq!(server.claim(), "minato v=1 epoch=5 site=osaka");
    let (state, _) = tokyo.settle(take(4));
    assert_eq!(
        state,
        NameState::Refused,
        "an old word after the withdrawal"
    );
    assert_eq!(tokyo.settle(Wish::Take { epoch: None }), DONE);
    assert_eq!(server.claim(), "minato v=1 epoch=6 site=tokyo");

    let told: Vec<String> = osaka.told().iter().map(ToString::to_string).collect();
    let told = told.join("\n");
    for part in [
        "is refused: epoch 2 is older than 3",
        "leads to this site from now on",
        "by alice",
        "leads to this site no longer",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains(SECRET), "{told}");
}

#[test]
fn of_two_writers_at_bind_the_newer_wins() {
    two_writers(Kind::Bind);
}

#[test]
fn of_two_writers_at_knot_the_newer_wins() {
    two_writers(Kind::Knot);
}

/// Many rounds in which both sites mean the same epoch at the same time: exactly one has it, and the name is its alone.
#[test]
fn of_two_at_the_same_moment_one_wins_and_the_other_is_told_who() {
    if !Kind::Bind.is_here() {
        return;
    }
    let server = Server::start(Kind::Bind, Clock::Right);
    let (tokyo, osaka) = (writer(&[&server], &IN_TOKYO), writer(&[&server], &IN_OSAKA));
    let mut wins = [0, 0];
    for epoch in 1..=20 {
        let both: Vec<(NameState, String)> = std::thread::scope(|scope| {
            let all = [&tokyo, &osaka].map(|it| scope.spawn(move || it.settle(take(epoch))));
            all.map(|it| it.join().unwrap()).into()
        });
        let (winner, other, own) = match (both[0].0, both[1].0) {
            (NameState::Done, NameState::Refused) => (0, &both[1].1, TOKYO),
            (NameState::Refused, NameState::Done) => (1, &both[0].1, OSAKA),
            _ => panic!("{both:?}"),
        };
        wins[winner] += 1;
        let site = ["tokyo", "osaka"][winner];
        assert!(other.contains(&format!("{site} was first")), "{other}");
        assert_eq!(server.addresses(), list(own));
        assert_eq!(
            server.claim(),
            format!("minato v=1 epoch={epoch} site={site}")
        );
    }
    println!("of 20: {wins:?}");
}

#[test]
fn a_key_that_is_wrong_or_may_not_is_named_with_what_to_do() {
    if !Kind::Bind.is_here() {
        return;
    }
    let server = Server::start(Kind::Bind, Clock::Right);
    let wrong = Of {
        secret: OTHER,
        ..IN_TOKYO
    };
    let unknown = Of {
        key: "nobody",
        ..IN_TOKYO
    };
    let reader = Of {
        key: "reader",
        ..IN_TOKYO
    };
    let short = Of {
        secret: "c2hvcnQ=",
        ..IN_TOKYO
    };
    for (of, part) in [
        (&wrong, "BADSIG"),
        (&unknown, "BADKEY"),
        (&reader, "REFUSED"),
        (&short, "tsig-keygen"),
    ] {
        let writer = writer(&[&server], of);
        writer.want(take(1));
        let detail = writer.in_trouble(part);
        for secret in [SECRET, OTHER, "c2hvcnQ="] {
            assert!(!detail.contains(secret), "{detail}");
        }
        let told = until("it to be told", || writer.told().into_iter().next());
        assert_eq!(told.level, Level::Warn);
        assert!(told.message.contains(part), "{told}");
    }
    assert_eq!(server.addresses(), NOWHERE);
}

#[test]
fn a_secret_that_others_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    if !Kind::Bind.is_here() {
        return;
    }
    let server = Server::start(Kind::Bind, Clock::Right);
    let writer = writer(&[&server], &IN_TOKYO);
    let file: PathBuf = server.secret("secret-tokyo", SECRET);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    writer.want(take(1));
    writer.in_trouble("chmod 600");
    // Mended, it goes on by itself.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    until("it to be done", || {
        (writer.view().state == NameState::Done).then_some(())
    });
    assert_eq!(server.addresses(), list(TOKYO));
}

/// Knot, since the allocator of BIND and faketime do not get along.
#[test]
fn a_wrong_clock_is_named_with_how_far_it_is_off() {
    if !Kind::Knot.is_here() {
        return;
    }
    let server = Server::start(Kind::Knot, Clock::AnHourBehind);
    let writer = writer(&[&server], &IN_TOKYO);
    writer.want(take(1));
    let detail = writer.in_trouble("BADTIME");
    let seconds = detail
        .split("its clock is ")
        .nth(1)
        .and_then(|it| it.split(' ').next())
        .and_then(|it| it.parse::<u64>().ok());
    let near = seconds.is_some_and(|it| (3_500..3_700).contains(&it));
    assert!(
        near && detail.contains("s behind this machine's"),
        "{detail}"
    );
    assert_eq!(server.addresses(), NOWHERE);
}

#[test]
fn a_server_that_is_down_or_frozen_is_tried_until_it_is_back() {
    if !Kind::Bind.is_here() {
        return;
    }
    let mut server = Server::start(Kind::Bind, Clock::Right);
    let writer = writer(&[&server], &IN_TOKYO);
    assert_eq!(writer.settle(take(1)), DONE);
    server.kill();
    writer.want(leave(2));
    writer.in_trouble("cannot be reached");
    server.run(Clock::Right);
    assert_eq!(server.addresses(), list(TOKYO), "what was written is kept");
    until("the withdrawal", || {
        (writer.view().state == NameState::Done).then_some(())
    });
    assert_eq!(server.addresses(), NOWHERE);

    let pid = i32::try_from(server.pid())
        .ok()
        .and_then(Pid::from_raw)
        .unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    server.stands_still();
    writer.want(take(3));
    writer.in_trouble("did not answer within 5s");
    kill_process(pid, Signal::CONT).unwrap();
    until("it to be published", || {
        (writer.view().state == NameState::Done).then_some(())
    });
    assert_eq!(server.addresses(), list(TOKYO));
}

#[test]
fn another_server_is_asked_where_the_first_is_away() {
    if !Kind::Bind.is_here() {
        return;
    }
    let server = Server::start(Kind::Bind, Clock::Right);
    let mut away = Server::start(Kind::Bind, Clock::Right);
    away.kill();
    let writer = writer(&[&away, &server], &IN_TOKYO);
    assert_eq!(writer.settle(take(1)), DONE);
    assert_eq!(server.addresses(), list(TOKYO));
}

/// The first server takes the update, and its answer is lost; the second is the same one, by another way.
#[test]
fn an_update_whose_answer_was_lost_is_told_all_the_same() {
    if !Kind::Bind.is_here() {
        return;
    }
    let server = Server::start(Kind::Bind, Clock::Right);
    let of = Of {
        follow: Follow::Site,
        ..IN_TOKYO
    };
    let tokyo = writer_at(vec![server.without_answers(), server.address], &server, &of);
    sees(&tokyo, "osaka", Heard::Since(at()));
    is(&tokyo, NameState::Done, "");
    assert_eq!(server.claim(), "minato v=1 epoch=1 site=tokyo");
    assert_eq!(server.addresses(), list(TOKYO));
    let told = until("it to be told", || tokyo.told().into_iter().next());
    let text = told.to_string();
    assert!(text.contains("leads to this site from now on"), "{text}");
}

/// Two gateways of one site share a name, each with its own address; one of another site stays out.
#[test]
fn gateways_join_and_part_with_what_they_say_of_themselves() {
    if !Kind::Bind.is_here() {
        return;
    }
    let server = Server::start(Kind::Bind, Clock::Right);
    let of = |site, addresses| Of {
        site,
        addresses,
        follow: Follow::Gateway,
        ..IN_TOKYO
    };
    let one = writer(&[&server], &of("tokyo", "192.0.2.1"));
    until("the first", || {
        (server.addresses() == list("192.0.2.1")).then_some(())
    });
    let other = writer(&[&server], &of("tokyo", "192.0.2.2"));
    let both = list("192.0.2.1 192.0.2.2");
    until("both", || (server.addresses() == both).then_some(()));
    let foreign = writer(&[&server], &of("osaka", OSAKA));
    until("the other site to be refused", || {
        (foreign.view().state == NameState::Refused).then_some(())
    });
    let word = ByHand {
        who: "alice".to_owned(),
        since: Timestamp(5),
    };
    one.gate.by_hand(Some(word)).unwrap();
    until("the drained one to go", || {
        (server.addresses() == list("192.0.2.2")).then_some(())
    });
    one.gate.by_hand(None).unwrap();
    until("it to be back", || {
        (server.addresses() == both).then_some(())
    });
    other.gate.stop(Duration::from_secs(10));
    until("the one that stops to go", || {
        (server.addresses() == list("192.0.2.1")).then_some(())
    });
    assert_eq!(server.claim(), "minato v=1 epoch=1 site=tokyo");
    // By hand it would come back at once.
    let word = Published {
        name: EntranceName::parse("web").unwrap(),
        wish: Wish::Leave { epoch: None },
        who: "alice".to_owned(),
    };
    let error = one.names.want(&word).unwrap_err();
    assert!(error.contains("minato entrance drain"), "{error}");
}

/// What `writer` sees of the only other site, where tokyo comes first.
fn sees(writer: &Writer, other: &str, heard: Heard) {
    let site = |name: &str| SiteId::parse(name).unwrap();
    let web = EntranceName::parse("web").unwrap();
    let services = vec![Led {
        order: vec![site("tokyo"), site("osaka")],
        failover: Consent::Auto,
        failback: Consent::Auto,
        is_well: true,
    }];
    let heard = [(site(other), heard)].into();
    writer.names.see(&web, Sight { services, heard });
}

/// Waits until `writer` shows it.
#[track_caller]
fn is(writer: &Writer, state: NameState, why: &str) {
    until(&format!("{state:?}: {why}"), || {
        let view = writer.view();
        (view.state == state && view.detail.contains(why)).then_some(())
    });
}

fn at() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// What is seen is another thing then, so that it is looked at now.
const SHORT: Duration = Duration::from_millis(1);

/// The first takes it, the other when the first is silent, which leaves it there; two gateways of one site that name other addresses do
/// not write in turn.
fn sites_that_lead(kind: Kind) {
    if !kind.is_here() {
        return;
    }
    let server = Server::start(kind, Clock::Right);
    let of = |site, addresses| Of {
        site,
        addresses,
        follow: Follow::Site,
        ..IN_TOKYO
    };
    // Before tokyo has read anything, so that whichever of the two is the faster later, it knows that osaka wrote in the silence.
    let begin = at();
    let tokyo = writer(&[&server], &of("tokyo", TOKYO));
    is(&tokyo, NameState::Elsewhere, "no service");
    sees(&tokyo, "osaka", Heard::Since(at()));
    is(&tokyo, NameState::Done, "");
    let osaka = writer(&[&server], &of("osaka", OSAKA));
    sees(&osaka, "tokyo", Heard::Since(at()));
    is(&osaka, NameState::Elsewhere, "tokyo comes first");
    assert_eq!(server.addresses(), list(TOKYO));
    assert_eq!(server.claim(), "minato v=1 epoch=1 site=tokyo");
    // By word it would be there again at once.
    let word = Published {
        name: EntranceName::parse("web").unwrap(),
        wish: Wish::Leave { epoch: None },
        who: "alice".to_owned(),
    };
    let error = tokyo.names.want(&word).unwrap_err();
    assert!(error.contains("minato switch"), "{error}");

    // Silent for less time than the name server takes to answer.
    let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Signal::STOP).unwrap();
    server.stands_still();
    sees(&osaka, "tokyo", Heard::SilentSince(at()));
    // So that it has asked; where it has not, nothing is shown by this.
    std::thread::park_timeout(Duration::from_millis(300));
    sees(&osaka, "tokyo", Heard::ByOthers);
    kill_process(pid.unwrap(), Signal::CONT).unwrap();
    is(&osaka, NameState::Elsewhere, "which others hear");
    assert_eq!(server.claim(), "minato v=1 epoch=1 site=tokyo");

    // The line between them breaks.
    let broken = at();
    sees(&tokyo, "osaka", Heard::SilentSince(begin));
    sees(&osaka, "tokyo", Heard::SilentSince(broken));
    is(&osaka, NameState::Done, "");
    assert_eq!(server.addresses(), list(OSAKA));
    assert_eq!(server.claim(), "minato v=1 epoch=2 site=osaka");
    // An old word is refused, and seen to be.
    let (state, why) = tokyo.settle(take(1));
    assert!(
        state == NameState::Refused && why.contains("older than 2"),
        "{state:?} {why}"
    );
    sees(&tokyo, "osaka", Heard::SilentSince(begin + SHORT));
    is(&tokyo, NameState::Asks, "so it lives");
    assert_eq!(server.claim(), "minato v=1 epoch=2 site=osaka");

    // Another gateway of osaka has another list.
    let other = writer(&[&server], &of("osaka", "198.51.100.2"));
    is(&other, NameState::Done, "");
    sees(&osaka, "tokyo", Heard::SilentSince(broken + SHORT));
    is(&osaka, NameState::Refused, "the same `addresses`");
    assert_eq!(server.addresses(), list("198.51.100.2"));
}

/// The second site loses its own line: the name server is there again before the first site is heard, and the claim is the same as before.
#[test]
fn a_site_that_was_cut_off_itself_takes_no_name() {
    if !Kind::Bind.is_here() {
        return;
    }
    let mut server = Server::start(Kind::Bind, Clock::Right);
    let tokyo = writer(&[&server], &IN_TOKYO);
    assert_eq!(tokyo.settle(take(1)), DONE);
    let of = Of {
        follow: Follow::Site,
        ..IN_OSAKA
    };
    let osaka = writer(&[&server], &of);
    sees(&osaka, "tokyo", Heard::Since(at()));
    is(&osaka, NameState::Elsewhere, "tokyo comes first");

    // Within one try, of which a step takes long.
    let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw);
    kill_process(pid.unwrap(), Signal::STOP).unwrap();
    server.stands_still();
    sees(&osaka, "tokyo", Heard::SilentSince(at()));
    std::thread::park_timeout(Duration::from_secs(2));
    kill_process(pid.unwrap(), Signal::CONT).unwrap();
    is(&osaka, NameState::Elsewhere, "was cut off itself");
    sees(&osaka, "tokyo", Heard::Since(at()));
    is(&osaka, NameState::Elsewhere, "tokyo comes first");

    // For some tries.
    server.kill();
    sees(&osaka, "tokyo", Heard::SilentSince(at()));
    osaka.in_trouble("cannot be reached");
    server.run(Clock::Right);
    is(&osaka, NameState::Elsewhere, "was cut off itself");
    assert_eq!(server.claim(), "minato v=1 epoch=1 site=tokyo");
    assert_eq!(server.addresses(), list(TOKYO));

    // It could read all the time: the first site is gone.
    sees(&osaka, "tokyo", Heard::SilentSince(at()));
    is(&osaka, NameState::Done, "");
    assert_eq!(server.claim(), "minato v=1 epoch=2 site=osaka");
}

#[test]
fn a_name_of_sites_moves_once_at_bind() {
    sites_that_lead(Kind::Bind);
}

#[test]
fn a_name_of_sites_moves_once_at_knot() {
    sites_that_lead(Kind::Knot);
}
