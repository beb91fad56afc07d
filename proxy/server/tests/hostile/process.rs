//! A gateway as a process, and what it takes.

use crate::setup::Setup;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

const ORIGIN: &str = "MINATO_TEST_HOSTILE_ORIGIN";
const PATIENCE: Duration = Duration::from_secs(20);

/// Not a test: the gateway, where a test starts it. Serves until its standard input ends.
#[test]
fn gateway_for_the_others() {
    let Ok(origin) = std::env::var(ORIGIN) else {
        return;
    };
    all_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut setup = Setup::new();
        setup.connections = 15_000;
        let running = setup.start(&[origin.parse().unwrap()]).await;
        println!("\nlistening {}", running.address);
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        ended.await.unwrap().unwrap();
    });
}

/// Raises the limit of this process as far as it may.
pub(crate) fn all_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Stops with the test, however that ends.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Gateway {
    pub(crate) fn start(origin: SocketAddr) -> Self {
        all_descriptors();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::gateway_for_the_others", "--nocapture"])
            .env(ORIGIN, origin.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut gateway = Self {
            child: child.unwrap(),
            address: unspecified,
        };
        let mut lines = BufReader::new(gateway.child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let address = lines.find_map(|it| it.strip_prefix("listening ")?.parse().ok());
        gateway.address = address.unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        gateway
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// Memory in use, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        let all = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        all.unwrap().count()
    }

    /// Processor time so far.
    pub(crate) fn busy(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let rest = stat.rsplit_once(") ").unwrap().1;
        let ticks = rest.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.map(|it| it.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Processor time in one second in which nobody asks for anything.
    pub(crate) fn busy_at_rest(&self) -> Duration {
        let (before, began) = (self.busy(), Instant::now());
        while began.elapsed() < Duration::from_secs(1) {
            std::thread::park_timeout(Duration::from_millis(50));
        }
        self.busy() - before
    }

    /// Waits until it holds.
    pub(crate) fn settles(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < PATIENCE, "{what} does not happen");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
