//! Real name servers on a loopback port, with a zone of their own. They end with their test.

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// 32 bytes.
pub(crate) const SECRET: &str = "bWluYXRvIHRlc3RzIHRoaXMgc2VjcmV0IG9ubHkgISE=";
pub(crate) const OTHER: &str = "YW5vdGhlciBzZWNyZXQgdGhhdCBub2JvZHkga25vd3M=";
pub(crate) const ZONE: &str = "example.test";
pub(crate) const NAME: &str = "www.example.test";
const CLAIM: &str = "_minato.www.example.test";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bind,
    Knot,
}

/// What the server's clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    Right,
    AnHourBehind,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Bind => "named",
            Self::Knot => "knotd",
        }
    }

    /// Whether it is installed; where it is not, a word says so, and under `CI=true` that fails.
    pub(crate) fn is_here(self) -> bool {
        let program = self.program();
        let found = path_of(program).is_some();
        if !found {
            minato_skip::skip(format_args!(
                "no {program}: scripts/install-needed.sh --tests installs it"
            ));
        }
        found
    }
}

fn path_of(program: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    folders
        .iter()
        .map(|it| Path::new(it).join(program))
        .find(|it| it.exists())
}

pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn start(kind: Kind, clock: Clock) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("minato-dns-")
            .tempdir()
            .unwrap();
        let mut server = Self {
            kind,
            address: free(),
            folder,
            child: None,
        };
        let zone = format!(
            "$TTL 60\n@ IN SOA ns.{ZONE}. admin.{ZONE}. 1 3600 600 86400 60\n@ IN NS ns.{ZONE}.\nns IN A 127.0.0.1\n"
        );
        server.write("zone.db", &zone);
        server.write("empty", "");
        let (folder, port) = (server.folder.path().display(), server.address.port());
        let text = match kind {
            Kind::Bind => format!(
                "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
                 pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no; empty-zones-enable no; }};\n\
                 controls {{}};\n\
                 key \"tokyo\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
                 key \"reader\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
                 zone \"{ZONE}\" {{ type primary; file \"zone.db\";\n\
                 update-policy {{ grant tokyo name {NAME} A AAAA; grant tokyo name {CLAIM} TXT; }}; }};\n"
            ),
            Kind::Knot => format!(
                "server:\n  listen: 127.0.0.1@{port}\n  rundir: {folder}\n\
                 database:\n  storage: {folder}\n\
                 key:\n  - id: tokyo\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
                 acl:\n  - id: update\n    key: tokyo\n    action: update\n\
                 zone:\n  - domain: {ZONE}\n    storage: {folder}\n    file: zone.db\n    acl: update\n"
            ),
        };
        server.write("conf", &text);
        server.run(clock);
        server
    }

    /// Starts it again, with what it had written.
    pub(crate) fn run(&mut self, clock: Clock) {
        let path = |name: &str| self.folder.path().join(name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(path("log"))
            .unwrap();
        // A copy: what a distribution's AppArmor lets the program at its own path do may leave the test's folder out.
        let program = path("program");
        if !program.exists() {
            // By another process: a descriptor of this one's that another thread's child inherits keeps the copy from being run.
            let copied = Command::new("cp")
                .arg(path_of(self.kind.program()).unwrap())
                .arg(&program)
                .status();
            assert!(copied.unwrap().success());
        }
        let mut command = match clock {
            Clock::Right => Command::new(&program),
            Clock::AnHourBehind => {
                let mut command = Command::new("faketime");
                command.args(["-f", "-3600s"]).arg(&program);
                command
            }
        };
        match self.kind {
            Kind::Bind => command.args(["-g", "-n", "1", "-X", "none", "-c"]),
            Kind::Knot => command.arg("-c"),
        };
        let child = command
            .arg(path("conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        self.child = Some(child);
        until("the server to answer", || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", self.log());
            self.ask(ZONE, RecordType::SOA).map(drop)
        });
    }

    /// A way to it that passes everything on but the answers to updates: there the connection ends. It stays until the process ends.
    pub(crate) fn without_answers(&self) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, server) = (listener.local_addr().unwrap(), self.address);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // Whoever closes first ends it.
                let _ = pass_on(stream.unwrap(), server);
            }
        });
        address
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // With what faketime started, which would outlive it.
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            kill_process_group(group.unwrap(), Signal::KILL).unwrap();
            child.wait().unwrap();
        }
    }

    /// Of the server, where its clock is right.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Waits until each of its threads has stopped: a signal takes a moment to reach them all.
    pub(crate) fn stands_still(&self) {
        until("every thread to stop", || {
            let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
            let stopped = |it: fs::DirEntry| {
                let stat = fs::read_to_string(it.path().join("stat")).unwrap_or_default();
                let (_, rest) = stat.rsplit_once(") ").unwrap_or_default();
                rest.starts_with('T')
            };
            threads.flatten().all(stopped).then_some(())
        });
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// A file with a secret that only its owner may read.
    pub(crate) fn secret(&self, name: &str, secret: &str) -> PathBuf {
        self.write(name, &format!("{secret}\n"));
        let path = self.folder.path().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// What anybody is told, unsigned: another way than the one that is tested.
    fn ask(&self, name: &str, kind: RecordType) -> Option<Message> {
        let mut message = Message::query();
        let mut query = Query::new();
        query.set_name(Name::from_ascii(format!("{name}.")).unwrap());
        query.set_query_type(kind);
        message.add_query(query);
        let bytes = message.to_vec().unwrap();
        let limit = Duration::from_secs(5);
        let mut stream = TcpStream::connect_timeout(&self.address, limit).ok()?;
        stream.set_read_timeout(Some(limit)).unwrap();
        let length = u16::try_from(bytes.len()).unwrap();
        stream.write_all(&length.to_be_bytes()).ok()?;
        stream.write_all(&bytes).ok()?;
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).ok()?;
        let answer = Message::from_vec(&answer).ok()?;
        let code = answer.metadata.response_code;
        let is_answer = matches!(code, ResponseCode::NoError | ResponseCode::NXDomain);
        is_answer.then_some(answer)
    }

    /// Where the name leads, in order.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = [RecordType::A, RecordType::AAAA]
            .iter()
            .flat_map(|kind| self.ask(NAME, *kind).unwrap().answers)
            .filter_map(|it| match it.data {
                RData::A(it) => Some(IpAddr::V4(it.0)),
                RData::AAAA(it) => Some(IpAddr::V6(it.0)),
                _ => None,
            })
            .collect();
        all.sort();
        all
    }

    pub(crate) fn claim(&self) -> String {
        let answer = self.ask(CLAIM, RecordType::TXT).unwrap();
        let texts = answer.answers.iter().map(|it| it.data.to_string());
        texts.collect::<Vec<_>>().join("; ")
    }
}

fn pass_on(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    loop {
        let question = framed(&mut client)?;
        server.write_all(&question)?;
        let answer = framed(&mut server)?;
        // After the length and the id: the four bits after the first say what kind it is (RFC 1035, 4.1.1). 5: an update (RFC 2136, 1.3).
        if question[4] >> 3 & 0xF == 5 {
            return Ok(());
        }
        client.write_all(&answer)?;
    }
}

/// A message with its length before it.
fn framed(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut all = length.to_vec();
    all.resize(2 + usize::from(u16::from_be_bytes(length)), 0);
    stream.read_exact(&mut all[2..])?;
    Ok(all)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Free for both protocols.
fn free() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

#[track_caller]
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = tokio::time::Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(60), "in vain: {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
