//! The services that sites share, as they tell each other: read from this site's store for peers, asked of peers for the mirror.
//!
//! Not here: what an answer means (`control::mirror`), when a peer is asked (`control/server`).

use crate::clock;
use arc_swap::ArcSwapOption;
use minato_config::{OrderRecord, ServiceName, ServiceRecord, SiteId, Source, check_service};
use minato_control::mirror::SharedServices;
use minato_control_server::Pulled;
use minato_control_store::SharedStore;
use minato_control_store::keys::{Key, Keys};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The version of an answer.
pub(super) const VERSION: u32 = 1;
/// Bytes of a peer's revision.
const LONGEST_REVISION: usize = 64;
/// Characters of why a record is not understood.
const LONGEST_WHY: usize = 200;
/// Bytes of one record: as much as may stand in a service file, and its punctuation.
const LONGEST_RECORD: usize = 1 << 20;
/// How old what is read from the store may be: one reading serves all who ask at the time.
const FRESH: Duration = Duration::from_millis(500);
/// How long the store may take: less than who asks waits, so that a store that hangs is told of and not taken for a site that is gone.
const READING: Duration = Duration::from_millis(1_000);

/// The answer to `GET /v1/services?known=REVISION` over a link; 304 where nothing changed since.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ServicesAnswer {
    pub(super) v: u32,
    /// To name in the next question; means nothing else.
    revision: String,
    /// The records whose order names the asker, as the store has them. Each is taken apart by itself: what a peer nests in one of them
    /// takes no more memory than its text.
    services: BTreeMap<String, Box<RawValue>>,
    /// Services of this site that the asker named as missing, and that are not shared with it.
    #[serde(default)]
    elsewhere: BTreeSet<String>,
    /// Which sites come first, where this site knows of a decision; of services that name the asker.
    #[serde(default)]
    orders: BTreeMap<String, Box<RawValue>>,
}

/// What a record is of.
#[derive(Debug, Deserialize)]
struct Versioned {
    v: Option<u64>,
}

/// Where a running process has its site's store, for as long as it has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelf(Arc<ArcSwapOption<Open>>);

struct Open {
    store: SharedStore,
    keys: Keys,
    /// What was read last; who comes while another reads waits for it.
    last: tokio::sync::Mutex<Option<(Instant, Arc<Vec<Shelved>>)>>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}

/// One service of this site.
#[derive(Debug)]
struct Shelved {
    name: String,
    modified: u64,
    document: Box<RawValue>,
    /// Empty where it does not decode: then nobody is told of it.
    order: Option<Vec<SiteId>>,
    /// It is for its home to tell of all but who comes first.
    is_mirrored: bool,
    decided: Option<(u64, Box<RawValue>)>,
}

impl Shelf {
    /// From now on peers are answered from this store.
    pub(crate) fn attach(&self, store: SharedStore, keys: Keys) {
        self.0.store(Some(Arc::new(Open {
            store,
            keys,
            last: tokio::sync::Mutex::default(),
        })));
    }

    /// From now on another process has it.
    pub(crate) fn detach(&self) {
        self.0.store(None);
    }

    /// What `asker` is told; `None` where it knows that already. `missing`: services that it had of this site, which alone it is told of
    /// where they are not shared with it. The error is for the asker's operator.
    pub(super) async fn answer(
        &self,
        asker: &SiteId,
        known: Option<&str>,
        missing: &BTreeSet<&str>,
    ) -> Result<Option<ServicesAnswer>, String> {
        let open = self
            .0
            .load_full()
            .ok_or("another process of this gateway has the store; ask again")?;
        let answer = told(&open.read().await?, asker, missing);
        Ok((known != Some(answer.revision.as_str())).then_some(answer))
    }
}

/// The answer to `asker`, with a revision that changes with all that it is told and with nothing else.
fn told(all: &[Shelved], asker: &SiteId, missing: &BTreeSet<&str>) -> ServicesAnswer {
    let mut answer = ServicesAnswer {
        v: VERSION,
        revision: String::new(),
        services: BTreeMap::new(),
        elsewhere: BTreeSet::new(),
        orders: BTreeMap::new(),
    };
    let mut hash = DefaultHasher::new();
    for it in all {
        let Some(order) = &it.order else { continue };
        let is_shared = order.contains(asker);
        if !is_shared {
            if !it.is_mirrored && missing.contains(it.name.as_str()) {
                it.name.hash(&mut hash);
                answer.elsewhere.insert(it.name.clone());
            }
            continue;
        }
        (&it.name, it.modified).hash(&mut hash);
        if let Some((commit, decided)) = &it.decided {
            commit.hash(&mut hash);
            answer.orders.insert(it.name.clone(), decided.clone());
        }
        if !it.is_mirrored {
            answer.services.insert(it.name.clone(), it.document.clone());
        }
    }
    answer.revision = format!("{:016x}", hash.finish());
    answer
}

impl Open {
    async fn read(&self) -> Result<Arc<Vec<Shelved>>, String> {
        let mut last = self.last.lock().await;
        let now = clock::now();
        if let Some((at, all)) = &*last
            && now.saturating_duration_since(*at) < FRESH
        {
            return Ok(Arc::clone(all));
        }
        let prefix = format!("{}services/", self.keys.root());
        let listing = timeout(READING, self.store.list(&prefix)).await;
        let listing = listing.map_err(|_| format!("the store does not answer in {READING:?}"))?;
        let listing = listing.map_err(|it| it.to_string())?;
        let mut decided = self.orders().await?;
        let shelved = listing.entries.iter().filter_map(|entry| {
            let Some(Key::Service(name)) = self.keys.parse(&entry.key) else {
                return None;
            };
            let document: Box<RawValue> = serde_json::from_slice(&entry.value).ok()?;
            let record: Option<ServiceRecord> = serde_json::from_str(document.get()).ok();
            let is_mirrored =
                matches!(&record, Some(it) if !matches!(it.source, Source::File { .. }));
            let order = record.map(|it| it.service.sites.map(|it| it.order).unwrap_or_default());
            Some(Shelved {
                decided: decided.remove(&name),
                name: name.to_string(),
                modified: entry.modified.0,
                document,
                order,
                is_mirrored,
            })
        });
        let all = Arc::new(shelved.collect());
        *last = Some((now, Arc::clone(&all)));
        Ok(all)
    }

    /// Which sites come first, with the commits that said so.
    async fn orders(&self) -> Result<BTreeMap<ServiceName, (u64, Box<RawValue>)>, String> {
        let prefix = format!("{}orders/", self.keys.root());
        let listing = timeout(READING, self.store.list(&prefix)).await;
        let listing = listing.map_err(|_| format!("the store does not answer in {READING:?}"))?;
        let listing = listing.map_err(|it| it.to_string())?;
        let orders = listing.entries.iter().filter_map(|entry| {
            let Some(Key::Order(name)) = self.keys.parse(&entry.key) else {
                return None;
            };
            let document = serde_json::from_slice(&entry.value).ok()?;
            Some((name, (entry.modified.0, document)))
        });
        Ok(orders.collect())
    }
}

impl ServicesAnswer {
    /// One service that does not decode, or that no file could describe, hides no other.
    pub(super) fn decode(self) -> Result<Pulled, String> {
        let revision = &self.revision;
        if revision.is_empty()
            || revision.len() > LONGEST_REVISION
            || !revision.bytes().all(|it| it.is_ascii_alphanumeric())
        {
            // It is asked with, as a part of a URL.
            return Err(format!(
                "it names a revision of {} bytes that is none; look what answers there",
                revision.len()
            ));
        }
        let mut shared = SharedServices::default();
        for (name, document) in self.services {
            let Ok(name) = ServiceName::parse(&name) else {
                continue;
            };
            let document = document.get();
            if document.len() > LONGEST_RECORD {
                let why = format!(
                    "its record has {} KiB, and {} KiB is the most",
                    document.len() >> 10,
                    LONGEST_RECORD >> 10
                );
                shared.refused.insert(name, why);
                continue;
            }
            let versioned: Option<Versioned> = serde_json::from_str(document).ok();
            let version = versioned.and_then(|it| it.v);
            if version != Some(1) {
                let why = format!("version {version:?} of its record, and this minato reads 1");
                shared.undecodable.insert(name, why);
                continue;
            }
            match serde_json::from_str::<ServiceRecord>(document) {
                Ok(record) => match check_service(&record.service) {
                    Ok(()) => drop(shared.services.insert(name, record)),
                    Err(why) => drop(shared.refused.insert(name, brief(&why))),
                },
                Err(why) => drop(shared.undecodable.insert(name, brief(&why.to_string()))),
            }
        }
        let elsewhere = self.elsewhere.iter();
        shared.elsewhere = elsewhere
            .filter_map(|it| ServiceName::parse(it).ok())
            .collect();
        // One that does not decode is a newer version's; gateways of it are told of by an event.
        let orders = self.orders.into_iter().filter_map(|(name, document)| {
            let order: OrderRecord = serde_json::from_str(document.get()).ok()?;
            Some((ServiceName::parse(&name).ok()?, order)).filter(|it| it.1.v == 1)
        });
        shared.orders = orders.collect();
        Ok(Pulled::New {
            revision: self.revision,
            services: shared,
        })
    }
}

/// What a peer wrote stands in it, and people read it.
fn brief(why: &str) -> String {
    let plain = |it: char| if it.is_control() { ' ' } else { it };
    why.chars().take(LONGEST_WHY).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(revision: &str, services: &[(&str, serde_json::Value)]) -> ServicesAnswer {
        ServicesAnswer {
            v: VERSION,
            revision: revision.to_owned(),
            services: services
                .iter()
                .map(|(name, document)| {
                    let text = serde_json::value::to_raw_value(document).expect("it is JSON");
                    ((*name).to_owned(), text)
                })
                .collect(),
            elsewhere: BTreeSet::new(),
            orders: BTreeMap::new(),
        }
    }

    #[test]
    fn a_revision_that_cannot_be_asked_with_is_no_answer() {
        let long = "a".repeat(65);
        for revision in ["", "a b", "a&known=", "a\r\n", long.as_str()] {
            assert!(answer(revision, &[]).decode().is_err(), "{revision:?}");
        }
        assert!(answer("00ff", &[]).decode().is_ok());
    }

    fn decoded(document: &serde_json::Value) -> SharedServices {
        let decoded = answer("1", &[("library", document.clone())]).decode();
        let Ok(Pulled::New { services, .. }) = decoded else {
            panic!("{decoded:?}");
        };
        services
    }

    /// A record of tokyo's that osaka stands by for, as it goes over the wire.
    fn record(more: &str) -> serde_json::Value {
        let name = ServiceName::parse("library").expect("a name");
        let text = format!("command = [\"a\"]\nsites = [\"tokyo\", \"osaka\"]\n{more}");
        let service = minato_config::parse_service("".as_ref(), &name, &text);
        let record = ServiceRecord {
            v: 1,
            source: Source::File {
                path: String::new(),
            },
            service: service.expect("a service"),
            removed: false,
        };
        serde_json::to_value(record).expect("it is JSON")
    }

    #[test]
    fn a_record_that_no_file_could_describe_is_refused_with_the_reason() {
        let good = record("replicas = 1000\n");
        assert_eq!(decoded(&good).services.len(), 1);
        let mut many = good.clone();
        many["service"]["replicas"] = 65_535.into();
        let mut long = good;
        long["service"]["backend"]["command"]["argv"] = vec!["x".repeat(2 << 20)].into();
        for (document, words) in [
            (
                &many,
                "must be a whole number from 1 to 1000, got the number 65535",
            ),
            (&long, "1024 KiB is the most"),
        ] {
            let services = decoded(document);
            assert!(services.services.is_empty() && services.undecodable.is_empty());
            let why: Vec<&String> = services.refused.values().collect();
            assert!(why.len() == 1 && why[0].contains(words), "{why:?}");
        }
    }

    fn shelved(name: &str, order: &[&str]) -> Shelved {
        let site = |it: &&str| SiteId::parse(it).expect("a site");
        Shelved {
            name: name.to_owned(),
            modified: 1,
            document: RawValue::NULL.to_owned(),
            order: Some(order.iter().map(site).collect()),
            is_mirrored: false,
            decided: None,
        }
    }

    #[test]
    fn a_peer_hears_of_no_service_that_does_not_list_it_but_of_those_that_it_names() {
        let (osaka, kyoto) = (SiteId::parse("osaka"), SiteId::parse("kyoto"));
        let (osaka, kyoto) = (osaka.expect("a site"), kyoto.expect("a site"));
        let mut all = vec![
            shelved("payroll", &["tokyo", "kyoto"]),
            shelved("shared", &["tokyo", "osaka"]),
            shelved("was-shared", &["tokyo"]),
        ];
        let ask = |all: &[Shelved], site: &SiteId, missing: &[&str]| {
            let missing = missing.iter().copied().collect();
            let answer = told(all, site, &missing);
            let text = serde_json::to_string(&answer).expect("it is JSON");
            (answer.revision, text)
        };
        let (revision, text) = ask(&all, &osaka, &[]);
        assert!(text.contains("\"shared\""), "{text}");
        assert!(
            !text.contains("payroll") && !text.contains("was-shared"),
            "{text}"
        );
        // That something of others changed is nothing to it either.
        all[0].modified = 2;
        assert_eq!(ask(&all, &osaka, &[]).0, revision);
        assert_ne!(ask(&all, &kyoto, &[]).0, revision);
        all[1].modified = 2;
        assert_ne!(ask(&all, &osaka, &[]).0, revision);
        let (_, text) = ask(&all, &osaka, &["was-shared", "never-was"]);
        assert!(
            text.contains("was-shared") && !text.contains("never-was"),
            "{text}"
        );
    }

    #[test]
    fn why_a_record_is_not_understood_is_short() {
        let source = format!("\u{1b}[2J{}", "x".repeat(100_000));
        let document = serde_json::json!({"v": 1, "source": source});
        let services = decoded(&document);
        let why: Vec<&String> = services.undecodable.values().collect();
        assert_eq!(why.len(), 1);
        assert!(
            why[0].chars().count() <= LONGEST_WHY && !why[0].contains('\u{1b}'),
            "{why:?}"
        );
    }
}
