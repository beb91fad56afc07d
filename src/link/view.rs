//! How the links of this gateway stand: for people, and what they should hear when it changes.

use super::known::{GatewayKey, Heard, Sight};
use minato_config::{PeerSettings, SiteId, Timestamp};
use minato_control::{Event, EventKind};
use minato_control_server::api::LinkStatus;
use minato_health::LinkReport;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A wall clock that is this far off makes certificates and schedules go wrong.
const CLOCK_OFF_MS: i64 = 5_000;

/// One thing about one gateway is told of once in this time, whatever it says in between.
const QUIET_MS: u64 = 600_000;

/// Shared by the health loop and the admin API.
#[derive(Debug, Clone)]
pub(crate) struct LinkView {
    lines: Arc<Mutex<Lines>>,
    /// By site: how many gateways the settings name, and how many have been asked.
    asked: Arc<watch::Sender<BTreeMap<SiteId, (usize, usize)>>>,
}

type Lines = BTreeMap<SiteId, BTreeMap<GatewayKey, Line>>;

/// One gateway.
#[derive(Debug, Clone)]
struct Line {
    sight: Sight,
    /// Since when it is up, or down.
    since: Timestamp,
    /// Its version.
    version: String,
    is_clock_off: bool,
    /// When its version and its clock were last told of.
    version_told: Option<Timestamp>,
    clock_told: Option<Timestamp>,
}

impl LinkView {
    /// With every peer, so that one of which nothing was heard is shown too.
    pub(crate) fn new(peers: &BTreeMap<SiteId, PeerSettings>) -> Self {
        let sites = peers.keys().map(|it| (it.clone(), BTreeMap::new()));
        let asked = peers
            .iter()
            .map(|(site, it)| (site.clone(), (it.gateways.len(), 0)));
        Self {
            lines: Arc::new(Mutex::new(sites.collect())),
            asked: Arc::new(watch::Sender::new(asked.collect())),
        }
    }

    /// A gateway has been asked for the first time.
    pub(crate) fn tried(&self, key: &GatewayKey) {
        let answers = (self.all().get(&key.site))
            .and_then(|it| it.get(key))
            .is_some_and(|it| is_up(&it.sight));
        self.asked.send_modify(|all| {
            if let Some((named, asked)) = all.get_mut(&key.site) {
                // One that answers speaks for its site.
                *asked = if answers { *named } else { *asked + 1 };
            }
        });
    }

    /// Until every other site has answered, or all of its gateways have been asked in vain.
    pub(crate) async fn all_tried(&self) {
        let mut asked = self.asked.subscribe();
        let is_over = |all: &BTreeMap<SiteId, (usize, usize)>| all.values().all(|it| it.1 >= it.0);
        let _ = asked.wait_for(is_over).await;
    }

    /// Takes in the latest; returns what people should hear.
    pub(crate) fn take(&self, key: &GatewayKey, sight: &Sight, at: Timestamp) -> Vec<Event> {
        let mut all = self.all();
        let site = all.entry(key.site.clone()).or_default();
        let before = site.get(key).cloned();
        let mut events = Vec::new();
        let was_up = before.as_ref().map(|it| is_up(&it.sight));
        let turned = was_up != Some(is_up(sight));
        if turned {
            events.push(turned_event(key, sight, at));
        }
        let mut line = Line {
            sight: sight.clone(),
            since: before
                .as_ref()
                .filter(|_| !turned)
                .map_or(at, |it| it.since),
            version: before
                .as_ref()
                .map_or_else(String::new, |it| it.version.clone()),
            is_clock_off: before.as_ref().is_some_and(|it| it.is_clock_off),
            version_told: before.as_ref().and_then(|it| it.version_told),
            clock_told: before.and_then(|it| it.clock_told),
        };
        if let Heard::Up(state) = &sight.heard {
            let own = env!("CARGO_PKG_VERSION");
            let is_other = state.version != line.version && state.version != own;
            if is_other && is_due(line.version_told, at) {
                line.version_told = Some(at);
                let message = format!(
                    "{} at {} runs minato {}, this gateway {own}: bring both to the same version",
                    key.site, key.address, state.version
                );
                events.push(Event::warn(at, EventKind::Link, message).hint("minato upgrade"));
            }
            line.version.clone_from(&state.version);
            let is_off = sight.clock_off_ms.abs() > CLOCK_OFF_MS;
            if is_off && !line.is_clock_off && is_due(line.clock_told, at) {
                line.clock_told = Some(at);
                let seconds = sight.clock_off_ms / 1_000;
                let message = format!(
                    "the clock of {} at {} is {seconds} s off this machine's: one of the two is wrong",
                    key.site, key.address
                );
                events.push(Event::warn(at, EventKind::Link, message).hint("timedatectl status"));
            }
            line.is_clock_off = is_off;
        }
        site.insert(key.clone(), line);
        events
    }

    /// Sorted by site and address; a site without a known address is there too.
    pub(crate) fn status(&self) -> Vec<LinkStatus> {
        let mut status = Vec::new();
        for (site, gateways) in &*self.all() {
            if gateways.is_empty() {
                status.push(unknown(site));
            }
            status.extend(gateways.iter().map(|(key, line)| shown(key, line)));
        }
        status
    }

    /// How each site of which something was heard is seen, over all its gateways: the best of them counts.
    pub(crate) fn reports(&self) -> Vec<(SiteId, LinkReport)> {
        let all = self.all();
        let heard = all.iter().filter(|(_, gateways)| !gateways.is_empty());
        heard
            .map(|(site, gateways)| (site.clone(), report(gateways.values())))
            .collect()
    }

    /// Whether each site of which something was heard answers.
    pub(crate) fn sees(&self) -> BTreeMap<SiteId, bool> {
        let all = self.all();
        let heard = all.iter().filter(|(_, gateways)| !gateways.is_empty());
        heard
            .map(|(site, gateways)| {
                let answers = gateways.values().any(|it| is_up(&it.sight));
                (site.clone(), answers)
            })
            .collect()
    }

    /// Prometheus text of all links.
    pub(crate) fn metrics(&self) -> String {
        const GAUGES: [(&str, &str); 4] = [
            ("up", "1 while the gateway of the other site answers."),
            (
                "delay_seconds",
                "From question to answer, the median of the last minute.",
            ),
            (
                "loss_ratio",
                "Questions of the last minute without an answer in time.",
            ),
            (
                "bandwidth_bytes_per_second",
                "As measured last, by one short burst.",
            ),
        ];
        let status = self.status();
        let mut text = String::new();
        for (name, help) in GAUGES {
            let value = |it: &LinkStatus| match name {
                "up" => Some(f64::from(u8::from(it.state == "up"))),
                "delay_seconds" => it.delay_ms.map(|it| it / 1_000.0),
                "bandwidth_bytes_per_second" => it.bandwidth.map(per_second),
                _ => Some(it.loss),
            };
            let lines: Vec<String> = status
                .iter()
                .filter_map(|it| {
                    let (site, address) = (&it.site, &it.address);
                    let value = value(it)?;
                    Some(format!(
                        "minato_link_{name}{{site=\"{site}\",gateway=\"{address}\"}} {value}\n"
                    ))
                })
                .collect();
            if !lines.is_empty() {
                text.push_str(&format!(
                    "# HELP minato_link_{name} {help}\n# TYPE minato_link_{name} gauge\n"
                ));
                text.push_str(&lines.concat());
            }
        }
        text
    }

    /// A gateway that is called no more.
    pub(crate) fn forget(&self, key: &GatewayKey) {
        if let Some(site) = self.all().get_mut(&key.site) {
            site.remove(key);
        }
    }

    fn all(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_due(told: Option<Timestamp>, now: Timestamp) -> bool {
    told.is_none_or(|at| now.0.abs_diff(at.0) >= QUIET_MS)
}

/// At least one line.
fn report<'a>(lines: impl Iterator<Item = &'a Line>) -> LinkReport {
    let lines: Vec<&Line> = lines.collect();
    let of_state = |up: bool| {
        lines
            .iter()
            .filter(move |it| is_up(&it.sight) == up)
            .copied()
    };
    let up = of_state(true).next().is_some();
    let counted: Vec<&Line> = of_state(up).collect();
    let micros = |it: std::time::Duration| u64::try_from(it.as_micros()).unwrap_or(u64::MAX);
    let best = counted
        .iter()
        .min_by_key(|it| it.sight.delay.map_or(u64::MAX, micros));
    let loss = counted.iter().map(|it| it.sight.loss).fold(1.0, f64::min);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of 1"
    )]
    let loss_permille = (loss.clamp(0.0, 1.0) * 1_000.0).round() as u16;
    // Up since the first of those that are came up, down since the last went.
    let since = counted.iter().map(|it| it.since);
    let since = if up { since.min() } else { since.max() };
    LinkReport {
        v: 1,
        up,
        since: since.unwrap_or_default(),
        reason: match counted.first().map(|it| &it.sight.heard) {
            Some(Heard::Down(why)) => why.clone(),
            _ => String::new(),
        },
        delay_us: best.and_then(|it| it.sight.delay).map(micros),
        loss_permille,
        bandwidth: counted.iter().filter_map(|it| it.sight.bandwidth).max(),
        version: best.map_or_else(String::new, |it| it.version.clone()),
        clock_off_ms: best.map_or(0, |it| it.sight.clock_off_ms),
    }
}

fn is_up(sight: &Sight) -> bool {
    matches!(sight.heard, Heard::Up(_))
}

fn turned_event(key: &GatewayKey, sight: &Sight, at: Timestamp) -> Event {
    let GatewayKey { site, address } = key;
    match &sight.heard {
        Heard::Up(state) => {
            let message = format!("link to {site} is up: {} at {address} answers", state.node);
            Event::info(at, EventKind::Link, message)
        }
        Heard::Down(why) => {
            let message = format!("link to {site} is down: {address} does not answer: {why}");
            Event::warn(at, EventKind::Link, message).hint("minato status")
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a figure of bytes in a second, exact up to 2^53"
)]
fn per_second(bytes: u64) -> f64 {
    bytes as f64
}

fn unknown(site: &SiteId) -> LinkStatus {
    LinkStatus {
        site: site.to_string(),
        address: String::new(),
        node: String::new(),
        state: "unknown".to_owned(),
        reason: "nothing was heard of it yet".to_owned(),
        since_ms: 0,
        delay_ms: None,
        loss: 0.0,
        bandwidth: None,
        version: String::new(),
        clock_off_ms: 0,
    }
}

fn shown(key: &GatewayKey, line: &Line) -> LinkStatus {
    let sight = &line.sight;
    let (state, node, reason) = match &sight.heard {
        Heard::Up(state) => ("up", state.node.to_string(), String::new()),
        Heard::Down(why) => ("down", String::new(), why.clone()),
    };
    LinkStatus {
        site: key.site.to_string(),
        address: key.address.to_string(),
        node,
        state: state.to_owned(),
        reason,
        since_ms: line.since.0,
        delay_ms: sight.delay.map(|it| it.as_secs_f64() * 1_000.0),
        loss: sight.loss,
        bandwidth: sight.bandwidth,
        version: line.version.clone(),
        clock_off_ms: sight.clock_off_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::NodeId;
    use minato_health::LinkState;
    use std::net::SocketAddr;

    #[test]
    fn a_peer_that_says_something_else_each_time_is_told_of_once() {
        let view = LinkView::new(&BTreeMap::new());
        let site = SiteId::parse("osaka").expect("a site");
        let key = GatewayKey {
            site: site.clone(),
            address: SocketAddr::from(([192, 0, 2, 7], 8443)),
        };
        let mut told = Vec::new();
        for round in 0..100_u32 {
            let state = LinkState {
                v: 1,
                site: site.clone(),
                node: NodeId::parse("gw1").expect("a node"),
                version: format!("9.0.{round}"),
                now: Timestamp(0),
                services: BTreeMap::new(),
                sees: BTreeMap::new(),
                follows_orders: true,
            };
            let sight = Sight {
                heard: Heard::Up(Arc::new(state)),
                delay: None,
                loss: 0.0,
                bandwidth: None,
                clock_off_ms: i64::from(round % 2) * 10_000,
            };
            let at = Timestamp(u64::from(round) * 500);
            told.extend(view.take(&key, &sight, at));
        }
        let texts: Vec<String> = told.iter().map(|it| it.message.clone()).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts[0].contains("is up"), "{texts:?}");
        assert!(texts[1].contains("runs minato 9.0.0"), "{texts:?}");
        assert!(texts[2].contains("10 s off"), "{texts:?}");
    }

    use std::time::Duration;

    fn line(up: bool, delay_ms: u64, loss: f64, since: u64) -> Line {
        let heard = if up {
            Heard::Up(Arc::new(LinkState {
                v: 1,
                site: SiteId::parse("osaka").expect("a site"),
                node: NodeId::parse("n").expect("a node"),
                version: "1".to_owned(),
                now: Timestamp(0),
                services: BTreeMap::new(),
                sees: BTreeMap::new(),
                follows_orders: true,
            }))
        } else {
            Heard::Down(format!("cut at {since}"))
        };
        Line {
            sight: Sight {
                heard,
                delay: Some(Duration::from_millis(delay_ms)),
                loss,
                bandwidth: Some(delay_ms),
                clock_off_ms: 0,
            },
            since: Timestamp(since),
            version: "1".to_owned(),
            is_clock_off: false,
            version_told: None,
            clock_told: None,
        }
    }

    #[test]
    fn a_site_is_as_its_best_gateway() {
        let found = |lines: &[Line]| {
            let it = report(lines.iter());
            (it.up, it.since.0, it.delay_us, it.loss_permille, it.reason)
        };
        let none = String::new;
        let (slow, fast) = (line(true, 30, 0.0, 7), line(true, 5, 0.5, 9));
        let gone = line(false, 1, 1.0, 8);
        let other = line(false, 2, 0.9, 6);
        assert_eq!(
            found(&[slow.clone(), gone.clone(), fast]),
            (true, 7, Some(5_000), 0, none())
        );
        assert_eq!(
            found(&[gone.clone(), slow]),
            (true, 7, Some(30_000), 0, none())
        );
        assert_eq!(
            found(&[gone, other]),
            (false, 8, Some(1_000), 900, "cut at 8".to_owned())
        );
    }
}
