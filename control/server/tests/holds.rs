//! Holding the requests of a service that moves, over the stores of two sites, with gateways that follow as real ones do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod site;

use minato_config::{Consent, GatewayId, ServiceName, SiteId, Sites, Standby, Timestamp};
use minato_control::OperationId;
use minato_control::hold::{Following, HeldReport, HoldRecord, HoldSeen};
use minato_control::operation::switch::Held;
use minato_control_server::{
    Everywhere, HoldAnswer, HoldAsk, HoldFailure, HoldWord, PeerHolds, carry_out_hold,
};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, SharedStore};
use minato_health::GatewayAlive;
use serde::Serialize;
use site::{PATIENCE, Site, command, name};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

fn id(text: &str) -> SiteId {
    SiteId::parse(text).unwrap()
}

/// A site's store, with `library` of tokyo and osaka in it.
struct Place {
    site: Site,
    id: SiteId,
    keys: Keys,
}

impl Place {
    async fn new(text: &str) -> Self {
        let place = Self {
            site: Site::new(),
            id: id(text),
            keys: Keys::new(&id(text)),
        };
        let mut service = command("library", 1);
        service.sites = Some(Box::new(Sites {
            order: vec![id("tokyo"), id("osaka")],
            standby: Standby::Warm,
            failover: Consent::Ask,
            failback: Consent::Ask,
            sync: None,
            at: BTreeMap::new(),
            targets: minato_config::Targets::default(),
            base: None,
        }));
        let record = minato_config::ServiceRecord {
            v: 1,
            source: minato_config::Source::File {
                path: "services/library.toml".to_owned(),
            },
            service,
            removed: false,
        };
        place.put(&Key::Service(name("library")), &record).await;
        place.alive("one", Timestamp(1)).await;
        place
    }

    fn store(&self) -> &SharedStore {
        &self.site.store
    }

    async fn put<T: Serialize>(&self, key: &Key, document: &T) {
        let value = serde_json::to_vec(document).unwrap();
        let commit = Commit::put(self.keys.text(key), value);
        self.store().commit(commit).await.unwrap();
    }

    async fn alive(&self, gateway: &str, since: Timestamp) {
        let key = Key::GatewayAlive(GatewayId::parse(gateway).unwrap());
        self.put(&key, &GatewayAlive { v: 1, since }).await;
    }

    async fn record(&self) -> Option<HoldRecord> {
        let key = self.keys.text(&Key::Hold(name("library")));
        let entry = self.store().get(&key).await.unwrap();
        entry.map(|it| serde_json::from_slice(&it.value).unwrap())
    }

    /// Says that `gateway` follows the hold that stands there, with so many requests left.
    async fn follow(&self, gateway: &str, in_flight: u32) {
        let record = self.record().await.unwrap();
        let report = HeldReport {
            v: 1,
            held: Following {
                by: record.by,
                run: record.run,
            },
            in_flight,
        };
        let gateway = GatewayId::parse(gateway).unwrap();
        self.put(&Key::Held(gateway, name("library")), &report)
            .await;
    }

    async fn asked(&self, asker: &str, ask: &HoldAsk) -> Result<HoldSeen, HoldFailure> {
        carry_out_hold(self.store(), &self.keys, &self.id, &id(asker), ask).await
    }
}

fn ask(operation: u64, word: HoldWord) -> HoldAsk {
    HoldAsk {
        service: name("library"),
        operation: OperationId(operation),
        word,
        wait_ms: 0,
    }
}

fn hold(run: u32) -> HoldWord {
    HoldWord::Hold {
        run,
        limit_ms: 60_000,
    }
}

#[tokio::test]
async fn it_is_held_once_every_gateway_says_so() {
    let tokyo = Place::new("tokyo").await;
    tokyo.alive("two", Timestamp(1)).await;
    let begun = tokyo.asked("osaka", &ask(7, hold(1))).await.unwrap();
    assert_eq!(begun.held, Held::Partly(1));
    tokyo.follow("one", 2).await;
    let part = tokyo.asked("osaka", &ask(7, HoldWord::Look)).await.unwrap();
    assert_eq!(part.held, Held::Partly(1));
    tokyo.follow("two", 1).await;
    let whole = tokyo.asked("osaka", &ask(7, hold(1))).await.unwrap();
    assert_eq!((whole.held, whole.in_flight), (Held::For(1), 3));
    // Who waits for it hears of it as it comes.
    let waiting = HoldAsk {
        wait_ms: 60_000,
        ..ask(7, hold(1))
    };
    let ends = async {
        tokyo.follow("one", 0).await;
        tokyo.follow("two", 0).await;
    };
    let (empty, ()) = tokio::join!(tokyo.asked("osaka", &waiting), ends);
    assert!(empty.unwrap().is_empty());
    let released = tokyo
        .asked("osaka", &ask(7, HoldWord::Release))
        .await
        .unwrap();
    assert_eq!(released.held, Held::No);
    let again = tokyo.asked("osaka", &ask(7, hold(1))).await.unwrap();
    assert_eq!(
        again.held,
        Held::No,
        "a try that is over is never held again"
    );
    assert!(tokyo.record().await.unwrap().released);
}

#[tokio::test]
async fn who_shares_nothing_holds_nothing_and_one_switch_is_told_of_the_other() {
    let tokyo = Place::new("tokyo").await;
    let refused = |answer: Result<HoldSeen, HoldFailure>| match answer {
        Err(HoldFailure::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    let why = refused(tokyo.asked("kyoto", &ask(1, hold(1))).await);
    assert!(why.contains("tokyo and kyoto"), "{why}");
    let unknown = HoldAsk {
        service: name("archive"),
        ..ask(1, hold(1))
    };
    let why = refused(tokyo.asked("osaka", &unknown).await);
    assert!(why.contains("archive"), "{why}");
    assert_eq!(tokyo.record().await, None);
    tokyo.asked("osaka", &ask(1, hold(1))).await.unwrap();
    for word in [hold(1), HoldWord::Release] {
        let why = refused(tokyo.asked("tokyo", &ask(9, word)).await);
        assert!(why.contains("operation 1 of osaka"), "{why}");
    }
    assert!(!tokyo.record().await.unwrap().released);
}

#[tokio::test]
async fn of_many_at_once_one_holds() {
    let tokyo = Place::new("tokyo").await;
    let asks: Vec<HoldAsk> = (1..=12).map(|it| ask(it, hold(1))).collect();
    let all = futures_util::future::join_all(asks.iter().map(|it| tokyo.asked("osaka", it))).await;
    let held = all
        .iter()
        .filter(|it| matches!(it, Ok(seen) if seen.held == Held::Partly(1)));
    assert_eq!(held.count(), 1, "{all:?}");
}

/// The way to tokyo, with a gateway there that follows at once; it notes what it was asked, and what osaka's visitors had in flight.
struct Link<'a> {
    tokyo: &'a Place,
    asked: Mutex<Vec<HoldWord>>,
}

impl PeerHolds for Link<'_> {
    fn ask<'a>(&'a self, site: &'a SiteId, ask: &'a HoldAsk) -> HoldAnswer<'a> {
        Box::pin(async move {
            assert_eq!(*site, self.tokyo.id);
            self.asked.lock().unwrap().push(ask.word);
            let ask = HoldAsk {
                wait_ms: 0,
                ..ask.clone()
            };
            let seen = self
                .tokyo
                .asked("osaka", &ask)
                .await
                .map_err(|it| it.to_string())?;
            if matches!(ask.word, HoldWord::Hold { .. }) {
                self.tokyo.follow("one", 0).await;
            }
            Ok(seen)
        })
    }
}

async fn until(
    mut look: impl AsyncFnMut() -> HoldSeen,
    wanted: impl Fn(&HoldSeen) -> bool,
) -> HoldSeen {
    tokio::time::timeout(PATIENCE, async {
        loop {
            let seen = look().await;
            if wanted(&seen) {
                return seen;
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn visitors_wait_where_they_come_in_before_the_old_site_is_held() {
    let (osaka, tokyo) = (Place::new("osaka").await, Place::new("tokyo").await);
    let link = Link {
        tokyo: &tokyo,
        asked: Mutex::default(),
    };
    let (sites, service): (_, ServiceName) = ([id("tokyo"), id("osaka")], name("library"));
    let everywhere = Everywhere {
        store: osaka.store(),
        keys: &osaka.keys,
        own: &osaka.id,
        from: &tokyo.id,
        sites: &sites,
        way: &link,
        service: &service,
        operation: OperationId(3),
    };
    let limit = Duration::from_secs(10);
    // A request that osaka led to tokyo is under way still: tokyo serves.
    let begin = async {
        while osaka.record().await.is_none() {
            tokio::task::yield_now().await;
        }
        osaka.follow("one", 1).await;
    };
    let (first, ()) = tokio::join!(everywhere.hold(1, limit), begin);
    assert_eq!(first.unwrap().held, Held::Partly(1));
    assert_eq!(tokyo.record().await, None);
    assert!(link.asked.lock().unwrap().is_empty());
    // It ended: now tokyo holds, too.
    osaka.follow("one", 0).await;
    let whole = until(
        async || everywhere.hold(1, limit).await.unwrap(),
        HoldSeen::is_empty,
    )
    .await;
    assert_eq!(whole.held, Held::For(1));
    assert_eq!(everywhere.look().await.unwrap().held, Held::For(1));
    everywhere.release().await.unwrap();
    assert_eq!(everywhere.look().await.unwrap().held, Held::No);
    let released = async |it: &Place| it.record().await.unwrap().released;
    assert!(released(&osaka).await && released(&tokyo).await);
}
