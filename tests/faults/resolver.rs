//! The way by a name: Knot has the zone, takes updates and is asked by a caching resolver, BIND, which clients ask.

use crate::kept::Kept;
use crate::network::Host;
use crate::support::clock::until;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) const ZONE: &str = "example.test";
pub(crate) const NAME: &str = "www.example.test";
/// Its claim.
pub(crate) const CLAIM: &str = "_minato.www.example.test";
/// 32 bytes.
const SECRET: &str = "bWluYXRvIHRlc3RzIHRoaXMgc2VjcmV0IG9ubHkgISE=";
/// Of one question, and how often it is asked: frames are lost.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES: usize = 5;

/// Whether both are installed; otherwise tests are skipped.
pub(crate) fn is_here() -> bool {
    let missing: Vec<&str> = ["knotd", "named"]
        .into_iter()
        .filter(|it| program(it).is_none())
        .collect();
    if !missing.is_empty() {
        minato_skip::skip(format_args!("no {missing:?}: apt-get install knot bind9"));
    }
    missing.is_empty()
}

fn program(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"];
    let mut all = folders.iter().map(|it| Path::new(it).join(name));
    all.find(|it| it.exists())
}

/// Both servers.
pub(crate) struct Names {
    /// Where the zone is.
    pub(crate) primary: SocketAddr,
    /// Where clients ask.
    pub(crate) resolver: SocketAddr,
    /// The key's secret; its name is `site`.
    pub(crate) secret: PathBuf,
    _running: [Kept; 2],
}

impl Names {
    /// The zone on `far`, the resolver on `near`.
    pub(crate) fn start(folder: &Path, far: &Host, near: &Host) -> Self {
        let primary = SocketAddr::from((far.address, 53));
        let resolver = SocketAddr::from((near.address, 53));
        let of = |name: &str| {
            let folder = folder.join(name);
            fs::create_dir_all(&folder).unwrap();
            folder
        };
        let (knot, bind) = (of("knot"), of("bind"));
        let zone = format!(
            "$TTL 60\n@ IN SOA ns.{ZONE}. admin.{ZONE}. 1 3600 600 86400 1\n@ IN NS ns.{ZONE}.\nns IN A {}\n",
            far.address
        );
        fs::write(knot.join("zone.db"), zone).unwrap();
        let at = knot.display();
        let config = format!(
            "server:\n  listen: {}@53\n  rundir: {at}\ndatabase:\n  storage: {at}\n\
             key:\n  - id: site\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
             acl:\n  - id: update\n    key: site\n    action: update\n\
             zone:\n  - domain: {ZONE}\n    storage: {at}\n    file: zone.db\n    acl: update\n",
            far.address
        );
        let knot = run(far, "knotd", &knot, &config, &["-c"]);
        let at = bind.display();
        // It knows where the zone is, as it would by delegation, asks when nothing is cached, and caches for what the answer says.
        let config = format!(
            "options {{ directory \"{at}\"; listen-on port 53 {{ {}; }}; listen-on-v6 {{ none; }}; pid-file none;\n\
             session-keyfile none; recursion yes; allow-query {{ any; }}; dnssec-validation no; empty-zones-enable no; }};\n\
             controls {{}};\nzone \"{ZONE}\" {{ type static-stub; server-addresses {{ {}; }}; }};\n",
            near.address, far.address
        );
        let bind = run(near, "named", &bind, &config, &["-g", "-c"]);
        let secret = folder.join("dns.key");
        fs::write(&secret, format!("{SECRET}\n")).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let names = Self {
            primary,
            resolver,
            secret,
            _running: [knot, bind],
        };
        near.inside(|| {
            for server in [primary, resolver] {
                until("a name server to answer", || {
                    ask(server, ZONE, RecordType::SOA).ok()
                });
            }
        });
        names
    }
}

fn run(host: &Host, name: &str, folder: &Path, config: &str, arguments: &[&str]) -> Kept {
    let file = folder.join("conf");
    fs::write(&file, config).unwrap();
    // A copy: what a distribution's AppArmor lets the program at its own path do may leave this folder out.
    let copy = folder.join(name);
    let copied = Command::new("cp")
        .arg(program(name).unwrap())
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    let log = File::create(folder.join("log")).unwrap();
    let child = host
        .command(copy.to_str().unwrap())
        .args(arguments)
        .arg(file)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn();
    Kept(child.unwrap())
}

/// An answer, and for how many seconds it may be kept.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) addresses: Vec<Ipv4Addr>,
    pub(crate) texts: Vec<String>,
    pub(crate) keep: u32,
}

/// Asks over UDP, as clients do.
pub(crate) fn ask(server: SocketAddr, name: &str, kind: RecordType) -> io::Result<Told> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut last = io::Error::other("never asked");
    for _ in 0..TRIES {
        match exchange(&socket, name, kind) {
            Ok(answer) => return Ok(answer),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(socket: &UdpSocket, name: &str, kind: RecordType) -> io::Result<Told> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    let mut query = Query::new();
    query.set_name(Name::from_ascii(format!("{name}.")).map_err(io::Error::other)?);
    query.set_query_type(kind);
    message.add_query(query);
    let bytes = message.to_vec().map_err(io::Error::other)?;
    socket.send(&bytes)?;
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer)?;
    let answer = Message::from_vec(&answer[..length]).map_err(io::Error::other)?;
    let code = answer.metadata.response_code;
    if code != ResponseCode::NoError || answer.metadata.id != message.metadata.id {
        return Err(io::Error::other(format!("{name}: {code}")));
    }
    let keep = answer.answers.iter().map(|it| it.ttl).min();
    let addresses = answer.answers.iter().filter_map(|it| match it.data {
        RData::A(it) => Some(it.0),
        _ => None,
    });
    let texts = answer.answers.iter().filter_map(|it| match &it.data {
        RData::TXT(it) => Some(it.to_string()),
        _ => None,
    });
    Ok(Told {
        addresses: addresses.collect(),
        texts: texts.collect(),
        keep: keep.unwrap_or(0),
    })
}

/// Where `name` leads by `resolver`.
pub(crate) fn resolve(resolver: SocketAddr, name: &str, port: u16) -> io::Result<SocketAddr> {
    let told = ask(resolver, name, RecordType::A)?;
    let first = told.addresses.first();
    let first = first.ok_or_else(|| io::Error::other(format!("{name} leads nowhere")))?;
    Ok((IpAddr::V4(*first), port).into())
}
