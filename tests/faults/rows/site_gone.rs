//! Row 11 at the client: a whole site is cut off, and visitors come by a route that moves (anycast), or by a name that moves.
//!
//! Two times are told apart. The gateway's: when the first was served of those who ask a gateway of the living site. The client's: when
//! the first was served of those who go by the route, or by the name as a caching resolver has it. Requests to an address behind which
//! nobody is any more fail, whoever moves what: those are the client's.

use crate::bird::{self, Bird, SERVICE};
use crate::figures::{Figure, Figures, measure};
use crate::machine::{HTTP, Machine};
use crate::pair::{Ground, Pair};
use crate::resolver::{self, CLAIM, NAME, Names, ZONE, ask, resolve};
use crate::support::clock::{now, until, wall_ms, within};
use crate::support::http::TOO_LONG;
use crate::visitors::{Visit, Visitors, failed};
use hickory_proto::rr::RecordType;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Visitors of both kinds while tokyo is cut off.
struct Cut {
    at: Instant,
    at_ms: u64,
    direct: Visitors,
    client: Visitors,
}

impl Cut {
    /// Lets them come, waits until all is served, and cuts.
    fn make(pair: &Pair, client: Visitors, host: &'static str) -> Self {
        let gateway = pair.osaka.machines[0].gateway();
        let direct = Visitors::come(&pair.client, host, move || Ok(gateway));
        direct.wait_for(20);
        client.wait_for(20);
        let (at, at_ms) = (now(), wall_ms());
        pair.tokyo.cut_off();
        Self {
            at,
            at_ms,
            direct,
            client,
        }
    }

    /// When `machine` said so, counted from the cut.
    #[track_caller]
    fn told(&self, machine: &Machine, words: &str) -> Duration {
        let event = machine.wait_event(words, |it| {
            it.at_ms >= self.at_ms && it.message.contains(words)
        });
        Duration::from_millis(event.at_ms.saturating_sub(self.at_ms))
    }

    /// The same of every gateway of osaka: the last of them.
    #[track_caller]
    fn all_told(&self, pair: &Pair, words: &str) -> Duration {
        let all = pair.osaka.machines.iter();
        all.map(|it| self.told(it, words)).max().unwrap()
    }

    /// Waits until both kinds are served again, each of them in time; then nobody comes any more.
    fn figures(self, pair: &Pair) -> Figures {
        let gateway = self.direct.first_served(self.at);
        let client = self.client.first_served(self.at);
        let down = self.all_told(pair, "link to tokyo is down");
        let left = self.all_told(pair, "visitors leave tokyo");
        self.direct.wait_for_calm(self.at);
        self.client.wait_for_calm(self.at);
        let (direct, by_way) = (self.direct.end(), self.client.end());
        let of_direct = failed(&direct);
        // Each of those was kept until there was somebody to serve it. Who came while the site was not yet found gone may come too late on a
        // busy machine, and counts as failed in the figures; how long that goes on is what `wait_for_calm` holds.
        let refused = |it: &&Visit| it.failure.is_some() && it.ended - it.began < TOO_LONG;
        let refused: Vec<&Visit> = direct.iter().filter(refused).collect();
        assert!(refused.len() * 50 <= direct.len(), "{refused:#?}");
        vec![
            ("link found down, by the later gateway", Figure::Time(down)),
            ("visitors leave, at the later gateway", Figure::Time(left)),
            ("gateway: first success", Figure::Time(gateway)),
            ("gateway: failed", Figure::Count(of_direct)),
            ("gateway: requests", Figure::Count(direct.len() as u64)),
            ("client: first success", Figure::Time(client)),
            ("client: failed", Figure::Count(failed(&by_way))),
            ("client: requests", Figure::Count(by_way.len() as u64)),
        ]
    }
}

#[test]
fn a_site_is_gone_and_the_route_of_its_visitors_moves() {
    if !bird::is_here() {
        return;
    }
    measure("row 11 at the client, by anycast", |_| {
        let ground = Ground::new();
        let entrance = |_: &str| "[entrance]\nlisten = [\"127.0.0.1:7071\"]\n".to_owned();
        let pair = ground.open("any.test", Some(&format!("0.0.0.0:{HTTP}")), entrance);
        let folder = pair.folder();
        let mut sessions = String::new();
        let mut announced = Vec::new();
        for (machine, preference) in pair.machines().zip([200, 100, 100]) {
            bird::has_address(&machine.host);
            let bird = Bird::of_gateway(&machine.host, folder, &pair.client);
            let watcher = bird.announce(folder);
            announced.push((watcher, bird));
            let (name, there) = (machine.host.name.replace('-', "_"), machine.host.address);
            sessions.push_str(&format!(
                "protocol bgp {name} {{ local {} as 65000; neighbor {there} as 65001; bfd on; connect delay time 1; connect retry time 1;\n\
                 ipv4 {{ import filter {{ bgp_local_pref = {preference}; accept; }}; export none; }}; }}\n",
                pair.client.address
            ));
        }
        let router = format!(
            "router id {};\nprotocol device {{}}\nprotocol bfd {{ interface \"*\" {{ interval 200 ms; multiplier 3; }}; }}\n\
             protocol kernel {{ ipv4 {{ export all; }}; }}\n{sessions}",
            pair.client.address
        );
        let router = Bird::start(&pair.client, folder, &router);
        let leads_to = |machine: &Machine| {
            let mut command = pair.client.command("ip");
            let output = command.args(["route", "get", SERVICE]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.contains(&format!("via {} ", machine.host.address))
        };
        within(Duration::from_secs(60), "every route to be known", || {
            let known = router.asked(&format!("show route for {SERVICE} all"));
            let all = known.matches("BGP.next_hop").count() == 3;
            (all && leads_to(&pair.tokyo.machines[0])).then_some(())
        });
        let service = SocketAddr::from((SERVICE.parse::<Ipv4Addr>().unwrap(), HTTP));
        let client = Visitors::come(&pair.client, "any.test", move || Ok(service));
        let cut = Cut::make(&pair, client, "any.test");
        until("the route to move", || {
            let moved = pair.osaka.machines.iter().any(leads_to);
            moved.then_some(())
        });
        let moved = cut.at.elapsed();
        let mut figures = cut.figures(&pair);
        figures.push(("route moved", Figure::Time(moved)));
        figures
    });
}

#[test]
#[ignore = "20 s: make test-faults"]
fn a_site_is_gone_and_the_name_of_its_visitors_moves() {
    if !resolver::is_here() {
        return;
    }
    measure("row 11 at the client, by a name of TTL 5 s", |_| {
        let ground = Ground::new();
        let names = Names::start(ground.folder(), &ground.witness, &ground.client);
        let addresses = |name: &str| -> Vec<Ipv4Addr> {
            let hosts = match name {
                "tokyo" => &ground.tokyo,
                _ => &ground.osaka,
            };
            hosts.iter().map(|it| it.address).collect()
        };
        let (of_tokyo, of_osaka) = (addresses("tokyo"), addresses("osaka"));
        let entrance = |name: &str| {
            let own = if name == "tokyo" {
                &of_tokyo
            } else {
                &of_osaka
            };
            let own: Vec<String> = own.iter().map(|it| format!("\"{it}\"")).collect();
            format!(
                "[entrance.dns.web]\nserver = \"{}\"\nzone = \"{ZONE}\"\nname = \"{NAME}\"\nttl = \"5s\"\nfollow = \"site\"\n\
                 addresses = [{}]\nkey = {{ name = \"site\", secret_file = {:?} }}\n",
                names.primary,
                own.join(", "),
                names.secret
            )
        };
        let pair = ground.open(NAME, None, entrance);
        let (resolver, primary) = (names.resolver, names.primary);
        let claim = || {
            let told = pair.client.inside(|| ask(primary, CLAIM, RecordType::TXT));
            told.ok().and_then(|it| it.texts.first().cloned())
        };
        // Tokyo comes first, and nobody had to say so.
        let of = |epoch: u64, site: &str| format!("minato v=1 epoch={epoch} site={site}");
        until("tokyo to take the name", || {
            (claim() == Some(of(1, "tokyo"))).then_some(())
        });
        // Answers come from a cache: their time runs down.
        let cached = || ask(resolver, NAME, RecordType::A).ok();
        until("an answer from the cache", || {
            let told = pair.client.inside(cached)?;
            (told.addresses == of_tokyo && (1..5).contains(&told.keep)).then_some(())
        });
        let by_name = move || resolve(resolver, NAME, HTTP);
        let client = Visitors::come(&pair.client, NAME, by_name);
        let cut = Cut::make(&pair, client, NAME);
        let taken = pair.osaka.machines.iter().map(|it| {
            within(Duration::from_secs(60), "the name to lead here", || {
                let status = it.json("/v1/entrance");
                (status["names"][0]["state"] == "done").then_some(())
            });
        });
        taken.for_each(drop);
        let moved = cut.at.elapsed();
        let at_ms = cut.at_ms;
        let mut figures = cut.figures(&pair);
        figures.push(("name moved, as both gateways say", Figure::Time(moved)));
        // One of osaka's gateways wrote it, once.
        assert_eq!(claim(), Some(of(2, "osaka")));
        let told = pair.client.inside(|| ask(primary, NAME, RecordType::A));
        let mut leads_to = told.unwrap().addresses;
        leads_to.sort();
        assert_eq!(leads_to, of_osaka);
        let writers = pair.osaka.machines.iter().filter(|it| {
            let events = it.events();
            let mut of_then = events.iter().filter(|it| it.at_ms >= at_ms);
            of_then.any(|it| it.message.contains("leads to this site from now on"))
        });
        assert_eq!(writers.count(), 1);

        // Tokyo is back: it was alive all the time, and leaves the name where it is.
        pair.tokyo.heal();
        within(Duration::from_secs(60), "tokyo to see whose it is", || {
            let status = pair.tokyo.machines[0].json("/v1/entrance");
            let name = &status["names"][0];
            let why = name["detail"].as_str()?;
            (name["state"] == "elsewhere" && why.contains("takes it back")).then_some(())
        });
        assert_eq!(claim(), Some(of(2, "osaka")));
        figures
    });
}
