//! Asks every gateway of one other site how it is.

use super::bandwidth::Bandwidth;
use super::call::Call;
use super::known::{GatewayKey, Heard, LinkNews, Sight};
use crate::clock;
use minato_config::{GatewayAddress, SiteId};
use minato_health::LinkState;
use minato_link::Identity;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::lookup_host;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// From one question to the next.
const EVERY: Duration = Duration::from_millis(500);
/// An answer on an open connection; and with the making of one, which takes three ways there and back.
const ANSWER: Duration = Duration::from_secs(1);
const FIRST_ANSWER: Duration = Duration::from_secs(2);
/// Without an answer for so long a gateway is down.
const SILENCE: Duration = Duration::from_secs(3);
/// How often names are looked up, and how long that may take.
const LOOK_UP: Duration = Duration::from_secs(30);
const LOOK_UP_TIME: Duration = Duration::from_secs(5);
/// Addresses of one site, over all its names.
const MOST: usize = 32;
/// Questions that delay and loss are taken of: the last minute.
const REMEMBERED: usize = 120;

/// Addresses, each with the task that asks it.
type Asking = BTreeMap<SocketAddr, JoinSet<()>>;

/// All gateways of one site.
pub(super) struct Caller {
    pub(super) identity: Arc<Identity>,
    pub(super) site: SiteId,
    pub(super) gateways: Vec<GatewayAddress>,
    pub(super) news: mpsc::Sender<LinkNews>,
}

impl Caller {
    /// Looks names up again and again, and asks each address. Ends when nobody listens.
    pub(super) async fn run(self) {
        // What is asked ends with this.
        let mut asking: Asking = BTreeMap::new();
        let mut every = interval(LOOK_UP);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known: BTreeMap<GatewayAddress, Vec<SocketAddr>> = BTreeMap::new();
        loop {
            every.tick().await;
            // All at once: a name that is not answered must not keep the others waiting.
            let mut looking = JoinSet::new();
            for gateway in self.gateways.clone() {
                looking.spawn(async move { (look_up(&gateway).await, gateway) });
            }
            while let Some(looked) = looking.join_next().await {
                match looked {
                    Ok((Ok(found), gateway)) => {
                        known.insert(gateway, found);
                        self.follow(&known, &mut asking).await;
                    }
                    // What was found before stays: a name server that is away takes no site away.
                    Ok((Err(why), gateway)) => {
                        tracing::warn!(site = %self.site, %gateway, why, "a gateway's name is not found");
                    }
                    Err(error) => tracing::error!(%error, "looking up a name ended early"),
                }
            }
            if self.news.is_closed() {
                return;
            }
        }
    }

    /// Asks those addresses that names lead to, and no others.
    async fn follow(&self, known: &BTreeMap<GatewayAddress, Vec<SocketAddr>>, asking: &mut Asking) {
        let mut wanted: Vec<SocketAddr> = known.values().flatten().copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.truncate(MOST);
        let gone: Vec<SocketAddr> = asking
            .keys()
            .filter(|it| !wanted.contains(it))
            .copied()
            .collect();
        for address in gone {
            if let Some(mut task) = asking.remove(&address) {
                // To its end, before it is told of: a last word after that would bring the gateway back, up for ever.
                task.shutdown().await;
            }
            let _ = self.news.send(LinkNews::Gone(self.key(address))).await;
        }
        for address in wanted {
            asking.entry(address).or_insert_with(|| {
                let mut task = JoinSet::new();
                task.spawn(One::new(self.key(address), &self.identity, &self.news).run());
                task
            });
        }
    }

    fn key(&self, address: SocketAddr) -> GatewayKey {
        GatewayKey {
            site: self.site.clone(),
            address,
        }
    }
}

async fn look_up(gateway: &GatewayAddress) -> Result<Vec<SocketAddr>, String> {
    let found = timeout(
        LOOK_UP_TIME,
        lookup_host((gateway.host.as_str(), gateway.port)),
    )
    .await;
    match found {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer in {LOOK_UP_TIME:?}")),
    }
}

/// One gateway.
struct One {
    key: GatewayKey,
    identity: Arc<Identity>,
    news: mpsc::Sender<LinkNews>,
    call: Option<Call>,
    /// The last answer, or the begin of asking.
    heard: Instant,
    state: Option<Arc<LinkState>>,
    /// How long answers took; `None`: none came in time.
    past: VecDeque<Option<Duration>>,
    clock_off_ms: i64,
    bandwidth: Bandwidth,
}

impl One {
    fn new(key: GatewayKey, identity: &Arc<Identity>, news: &mpsc::Sender<LinkNews>) -> Self {
        Self {
            key,
            identity: Arc::clone(identity),
            news: news.clone(),
            call: None,
            heard: clock::now(),
            state: None,
            past: VecDeque::new(),
            clock_off_ms: 0,
            bandwidth: Bandwidth::new(),
        }
    }

    async fn run(mut self) {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let asked = self.ask().await;
            let heard = self.judge(asked);
            let is_first = self.past.len() == 1;
            let Some(heard) = heard else {
                if is_first {
                    let _ = self.news.send(LinkNews::Tried(self.key.clone())).await;
                }
                continue;
            };
            if matches!(heard, Heard::Up(_)) {
                self.bandwidth.measure(&self.identity, &self.key);
            }
            let sight = Sight {
                heard,
                delay: self.delay(),
                loss: self.loss(),
                bandwidth: self.bandwidth.figure(),
                clock_off_ms: self.clock_off_ms,
            };
            let news = LinkNews::Sight(self.key.clone(), sight);
            if self.news.send(news).await.is_err() {
                return;
            }
            if is_first {
                let _ = self.news.send(LinkNews::Tried(self.key.clone())).await;
            }
        }
    }

    /// What is to be told; `None` while it is silent and not for long enough.
    fn judge(&mut self, asked: Result<LinkState, String>) -> Option<Heard> {
        match asked {
            Ok(state) => {
                self.heard = clock::now();
                let is_same = |it: &Arc<LinkState>| {
                    let known = (&it.services, &it.sees, &it.node, &it.version);
                    known == (&state.services, &state.sees, &state.node, &state.version)
                };
                let same = self.state.as_ref().is_some_and(is_same);
                if !same {
                    self.state = Some(Arc::new(state));
                }
                self.state.clone().map(Heard::Up)
            }
            Err(why) => {
                self.call = None;
                let was_heard = self.state.is_some();
                is_down(was_heard, self.silent(), &self.past).then(|| {
                    self.state = None;
                    Heard::Down(why)
                })
            }
        }
    }

    async fn ask(&mut self) -> Result<LinkState, String> {
        let most = if self.call.is_some() {
            ANSWER
        } else {
            FIRST_ANSWER
        };
        // So that silence is found at its end, not an answer's time later.
        let left = SILENCE.saturating_sub(self.silent());
        let limit = if left.is_zero() { most } else { most.min(left) };
        let asked = timeout(limit, self.ask_once()).await;
        let asked = asked.unwrap_or_else(|_| Err(format!("no answer in {limit:?}")));
        let (answer, took) = match asked {
            Ok((state, took)) => (Ok(state), Some(took)),
            Err(why) => (Err(why), None),
        };
        if self.past.len() >= REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(took);
        answer
    }

    async fn ask_once(&mut self) -> Result<(LinkState, Duration), String> {
        let call = match &mut self.call {
            Some(call) => call,
            None => {
                let made = Call::open(&self.identity, &self.key.site, self.key.address).await?;
                self.call.insert(made)
            }
        };
        let began = clock::now();
        let state = call.state().await?;
        let took = clock::now().saturating_duration_since(began);
        if state.site != self.key.site {
            return Err(format!("it says that it is of site {}", state.site));
        }
        let half = i64::try_from(took.as_millis() / 2).unwrap_or(0);
        let signed = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
        let theirs = signed(state.now.0).saturating_add(half);
        self.clock_off_ms = theirs.saturating_sub(signed(clock::wall().0));
        Ok((state, took))
    }

    fn silent(&self) -> Duration {
        clock::now().saturating_duration_since(self.heard)
    }

    fn delay(&self) -> Option<Duration> {
        let mut took: Vec<Duration> = self.past.iter().flatten().copied().collect();
        took.sort_unstable();
        took.get(took.len() / 2).copied()
    }

    fn loss(&self) -> f64 {
        let lost = self.past.iter().filter(|it| it.is_none()).count();
        let all = self.past.len().max(1);
        #[expect(clippy::cast_precision_loss, reason = "both are at most 120")]
        let part = lost as f64 / all as f64;
        part
    }
}

/// Whether a gateway counts as down that has been silent for so long. Who was heard is asked twice: after this machine has stood still
/// for a while the first question goes into a connection that the other side has given up, and says nothing.
fn is_down(was_heard: bool, silent: Duration, past: &VecDeque<Option<Duration>>) -> bool {
    let failed = past.iter().rev().take_while(|it| it.is_none()).count();
    silent >= SILENCE && (failed >= 2 || !was_heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_stood_still_asks_again_before_it_calls_others_down() {
        let (answered, failed) = (Some(Duration::from_millis(30)), None);
        let check = |was_heard, silent, past: &[Option<Duration>]| {
            let past = past.iter().copied().collect();
            is_down(was_heard, Duration::from_secs(silent), &past)
        };
        assert!(!check(true, 2, &[answered, failed, failed]));
        assert!(check(true, 3, &[answered, failed, failed]));
        assert!(!check(true, 60, &[answered, failed]));
        assert!(!check(true, 60, &[failed, failed, answered, failed]));
        assert!(check(false, 3, &[failed]));
    }
}
