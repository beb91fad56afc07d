//! A site of one node for tests: a store, an agent, and what one says to them. Leaves no process behind.

use minato_config::{
    Backend, Command, GatewayId, Generation, Health, HealthProbe, HealthTiming, NodeId, PortRange,
    Run, Service, ServiceName, ServiceRecord, SiteId, Slot, SlotIndex, Source, StopPolicy,
    Timestamp,
};
use minato_control::{Event, EventKind, RunName};
use minato_control_agent::{AgentError, AgentOptions, Stop, run};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, Embedded, Options, SharedStore};
use minato_health::{GatewayAlive, Instance, Verdict, VerdictReport};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Conditions are waited for this long; a busy machine is slow, not wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn child() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_minato-agent-child"))
}

pub(crate) fn shim() -> Vec<OsString> {
    vec![child().into_os_string(), OsString::from("shim")]
}

/// A folder whose processes die with it.
pub(crate) struct Folder(pub(crate) TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    /// Living processes, keepers included, whose environment names this folder.
    pub(crate) fn processes(&self) -> Vec<u32> {
        marked(&self.path())
    }

    /// Those of them that are no keepers.
    pub(crate) fn instances(&self) -> Vec<u32> {
        let keeper = child();
        let mut found = self.processes();
        found.retain(|pid| {
            std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|it| it != keeper)
        });
        found
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Keepers first would orphan instances out of sight; all at once, until none is left.
        for _ in 0..100 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            left.into_iter().for_each(|pid| signal(pid, Signal::KILL));
            pause();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a destructor cannot await")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal);
}

pub(crate) fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|it| it != 'Z' && it != 'X')
}

pub(crate) fn state(pid: u32) -> Option<char> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.chars().next()
}

pub(crate) fn parent(pid: u32) -> u32 {
    stat_parent(pid).unwrap()
}

pub(crate) fn stat_parent(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn marked(folder: &Path) -> Vec<u32> {
    let wanted = folder.display().to_string();
    let mark = |pid: &u32| {
        let text = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&text)
            .split('\0')
            .any(|it| it.starts_with("MINATO_INSTANCE=") && it.contains(&wanted))
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|it| it.unwrap().file_name().to_str()?.parse().ok())
        .filter(|pid| is_alive(*pid) && mark(pid))
        .collect()
}

/// Waits for `look` to give something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> impl Future<Output = T> {
    let what = what.to_owned();
    async move {
        let began = tokio::time::Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn service_name() -> ServiceName {
    ServiceName::parse("library").unwrap()
}

pub(crate) fn generation(counter: u64) -> Generation {
    Generation { era: 0, counter }
}

pub(crate) fn run_name(slot: u16, counter: u64, run: u64) -> RunName {
    RunName {
        service: service_name(),
        slot: SlotIndex(slot),
        generation: generation(counter),
        run: Run(run),
    }
}

/// `sh -c TEXT`, with short times.
pub(crate) fn sh(text: &str) -> Command {
    Command {
        argv: vec!["sh".into(), "-c".into(), text.into()],
        env: Default::default(),
        directory: None,
        port: None,
        stop: StopPolicy {
            drain: Duration::from_secs(10),
            grace: Duration::from_secs(5),
        },
        image: None,
    }
}

pub(crate) fn service(command: Command, health: Health) -> Service {
    Service {
        name: service_name(),
        backend: Backend::Command(command),
        replicas: 1,
        scale: None,
        routes: Vec::new(),
        health,
        upstream: Default::default(),
        limits: Default::default(),
        timeouts: Default::default(),
        retries: 1,
        nodes: Default::default(),
        update: Default::default(),
        depends_on: Default::default(),
        sites: None,
    }
}

pub(crate) fn record(service: Service) -> ServiceRecord {
    ServiceRecord {
        v: 1,
        source: Source::File {
            path: "services/library.toml".into(),
        },
        service,
        removed: false,
    }
}

pub(crate) fn slot(counter: u64, command: &Command) -> Slot {
    Slot {
        v: 1,
        node: NodeId::parse("here").unwrap(),
        generation: generation(counter),
        digest: command.digest(),
        restart: None,
        removed: false,
    }
}

/// Probed fast by TCP.
pub(crate) fn probed() -> Health {
    Health::On {
        probe: HealthProbe::Tcp,
        timing: HealthTiming {
            interval: Duration::from_millis(100),
            fast: Duration::from_millis(50),
            timeout: Duration::from_millis(90),
            fall: 2,
            rise: 1,
        },
    }
}

/// Of each site its own: two agents that look for a free port at the same moment find the same one.
fn ports() -> PortRange {
    static SITES: AtomicU16 = AtomicU16::new(0);
    let first = 22_000 + SITES.fetch_add(1, Ordering::Relaxed) % 50 * 20;
    PortRange {
        first,
        last: first + 19,
    }
}

/// A store, and an agent on it.
pub(crate) struct Site {
    pub(crate) store: SharedStore,
    pub(crate) keys: Keys,
    pub(crate) options: AgentOptions,
    pub(crate) stop: watch::Sender<Stop>,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) agent: JoinHandle<Result<(), AgentError>>,
    /// Last: its processes end after the agent is gone.
    pub(crate) folder: Folder,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.agent.abort();
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut AgentOptions)) -> Self {
        let folder = Folder::new();
        let store: SharedStore =
            Arc::new(Embedded::open(&folder.path().join("store"), Options::default()).unwrap());
        let keys = Keys::new(&SiteId::parse("local").unwrap());
        let mut options = AgentOptions {
            site: SiteId::parse("local").unwrap(),
            node: NodeId::parse("here").unwrap(),
            runtime: minato_config::RuntimeSettings::Process,
            keys: keys.clone(),
            data: folder.path(),
            ports: ports(),
            log_bytes: 1 << 20,
            shim: shim(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            labels: Default::default(),
            overcommit: Default::default(),
            lease: Duration::from_secs(20),
            figures: minato_control_agent::Figures::default(),
            dependencies: None,
        };
        change(&mut options);
        let (stop, stopped) = watch::channel(Stop::Run);
        let (sender, events) = mpsc::channel(4096);
        let agent = tokio::spawn(run(options.clone(), store.clone(), sender, stopped));
        Self {
            store,
            keys,
            options,
            stop,
            events,
            agent,
            folder,
        }
    }

    /// Ends this agent as asked and begins another on the same store and folder.
    pub(crate) async fn again(&mut self, how: Stop) {
        self.end(how).await;
        self.begin();
    }

    pub(crate) fn begin(&mut self) {
        let (stop, stopped) = watch::channel(Stop::Run);
        let (sender, events) = mpsc::channel(4096);
        (self.stop, self.events) = (stop, events);
        self.agent = tokio::spawn(run(
            self.options.clone(),
            self.store.clone(),
            sender,
            stopped,
        ));
    }

    pub(crate) async fn end(&mut self, how: Stop) {
        self.stop.send_replace(how);
        let ended = tokio::time::timeout(PATIENCE, &mut self.agent).await;
        ended.expect("the agent does not end").unwrap().unwrap();
    }

    async fn put(&self, key: &Key, value: &impl serde::Serialize) {
        let value = serde_json::to_vec(value).unwrap();
        self.store
            .commit(Commit::put(self.keys.text(key), value))
            .await
            .unwrap();
    }

    pub(crate) async fn delete(&self, key: &Key) {
        self.store
            .commit(Commit::delete(self.keys.text(key)))
            .await
            .unwrap();
    }

    pub(crate) async fn serve(&self, command: &Command, health: Health) {
        self.put(
            &Key::Service(service_name()),
            &record(service(command.clone(), health)),
        )
        .await;
    }

    pub(crate) async fn assign(&self, n: u16, counter: u64, command: &Command) {
        self.put(
            &Key::Slot(service_name(), SlotIndex(n)),
            &slot(counter, command),
        )
        .await;
    }

    pub(crate) async fn unassign(&self, n: u16, counter: u64, command: &Command) {
        let slot = Slot {
            removed: true,
            ..slot(counter, command)
        };
        self.put(&Key::Slot(service_name(), SlotIndex(n)), &slot)
            .await;
    }

    pub(crate) async fn gateway(&self, gateway: &str) {
        let gateway = GatewayId::parse(gateway).unwrap();
        self.put(
            &Key::GatewayAlive(gateway),
            &GatewayAlive {
                v: 1,
                since: Timestamp(1),
            },
        )
        .await;
    }

    pub(crate) async fn verdict(
        &self,
        gateway: &str,
        run: &RunName,
        verdict: Verdict,
        drained: bool,
    ) {
        let key = Key::Verdict(
            GatewayId::parse(gateway).unwrap(),
            run.service.clone(),
            run.slot,
        );
        let report = VerdictReport {
            v: 1,
            generation: run.generation,
            run: run.run,
            verdict,
            reason: if verdict == Verdict::Down {
                "no answer in 1s".into()
            } else {
                String::new()
            },
            since: Timestamp(1),
            drained,
        };
        self.put(&key, &report).await;
    }

    pub(crate) async fn instance(&self, n: u16, counter: u64) -> Option<Instance> {
        let key = Key::Instance(
            self.options.node.clone(),
            service_name(),
            SlotIndex(n),
            generation(counter),
        );
        let entry = self.store.get(&self.keys.text(&key)).await.unwrap()?;
        Some(serde_json::from_slice(&entry.value).unwrap())
    }

    /// Waits until the document is as wanted.
    #[track_caller]
    pub(crate) fn instance_until(
        &self,
        n: u16,
        counter: u64,
        what: &str,
        is: impl Fn(&Instance) -> bool,
    ) -> impl Future<Output = Instance> {
        let what = what.to_owned();
        async move {
            let began = tokio::time::Instant::now();
            loop {
                let found = self.instance(n, counter).await;
                if let Some(found) = found.clone().filter(|it| is(it)) {
                    return found;
                }
                assert!(
                    began.elapsed() < PATIENCE,
                    "waited in vain: {what}: {found:?}"
                );
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    pub(crate) async fn no_instance(&self, n: u16, counter: u64) {
        let began = tokio::time::Instant::now();
        while let Some(found) = self.instance(n, counter).await {
            assert!(
                began.elapsed() < PATIENCE,
                "the document does not go: {found:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The next event of this kind; others are passed over.
    pub(crate) async fn event(&mut self, kind: EventKind) -> Event {
        self.event_where(|it| it.kind == kind).await
    }

    /// The next such event; others are passed over.
    pub(crate) async fn event_where(&mut self, is: impl Fn(&Event) -> bool) -> Event {
        self.event_within(PATIENCE, is).await
    }

    /// The same, of what takes its time.
    pub(crate) async fn event_within(
        &mut self,
        patience: Duration,
        is: impl Fn(&Event) -> bool,
    ) -> Event {
        let mut seen = Vec::new();
        let next = async {
            loop {
                let event = self.events.recv().await.expect("the agent is gone");
                if is(&event) {
                    return event;
                }
                seen.push(event);
            }
        };
        match tokio::time::timeout(patience, next).await {
            Ok(event) => event,
            Err(_) => panic!("not that event, but {seen:#?}"),
        }
    }
}
