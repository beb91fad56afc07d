//! TLS, passwords, and roles that give each key one writer.

use crate::members::{Members, Tls, is_here};
use crate::options;
use minato_config::{GatewayId, Generation, NodeId, ServiceName, SiteId, SlotIndex};
use minato_control::OperationId;
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{
    Commit, Etcd, EtcdIdentity, EtcdOptions, EtcdTls, EtcdUser, Revision, Store, StoreError,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An authority, and one certificate that serves members and clients alike.
fn certificates(folder: &Path, name: &str) -> Tls {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut own = CertificateParams::new(Vec::new()).unwrap();
    own.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    let key = KeyPair::generate().unwrap();
    let certificate = own.signed_by(&key, &authority).unwrap();
    let put = |what: &str, text: String| {
        let path = folder.join(format!("{name}.{what}"));
        fs::write(&path, text).unwrap();
        path
    };
    Tls {
        ca: put("ca", authority.pem()),
        certificate: put("crt", certificate.pem()),
        key: put("key", key.serialize_pem()),
    }
}

fn identity(tls: &Tls) -> Option<EtcdIdentity> {
    Some(EtcdIdentity {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
    })
}

fn quick(members: &Members, tls: EtcdTls) -> Etcd {
    Etcd::new(EtcdOptions {
        tls,
        patience: Duration::from_secs(1),
        ..options(members)
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_an_authority_of_ones_own_and_a_client_certificate() {
    if !is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (
        certificates(folder.path(), "own"),
        certificates(folder.path(), "other"),
    );
    let members = Members::start_with(1, Some(&own));
    let ca = |tls: &Tls| Some(tls.ca.clone());
    let store = quick(
        &members,
        EtcdTls {
            ca: ca(&own),
            identity: identity(&own),
        },
    );
    let revision = store.commit(Commit::put("/k", b"1".into())).await.unwrap();
    let mut watch = store.watch("/", revision).await.unwrap();
    assert_eq!(watch.next().await.unwrap()[0].key(), "/k");

    for (what, tls) in [
        (
            "an authority that signed nothing here",
            EtcdTls {
                ca: ca(&other),
                identity: identity(&own),
            },
        ),
        (
            "the system's authorities",
            EtcdTls {
                ca: None,
                identity: identity(&own),
            },
        ),
        (
            "no client certificate",
            EtcdTls {
                ca: ca(&own),
                identity: None,
            },
        ),
        (
            "a client certificate of another authority",
            EtcdTls {
                ca: ca(&own),
                identity: identity(&other),
            },
        ),
        (
            "a file that is not there",
            EtcdTls {
                ca: Some(folder.path().join("none.pem")),
                identity: None,
            },
        ),
    ] {
        let error = quick(&members, tls)
            .get("/k")
            .await
            .unwrap_err()
            .to_string();
        println!("{what}: {error}");
        let names_it =
            error.contains("127.0.0.1") && (error.contains("`ca`") || error.contains("none.pem"));
        assert!(names_it, "{what}: {error}");
    }
}

/// A cluster that asks for users: `node1` and `node2` as docs/etcd.md has it, the password files, and root's arguments.
struct Guarded {
    members: Members,
    folder: tempfile::TempDir,
}

const SECRET: &str = "correct horse battery";

impl Guarded {
    fn start() -> Self {
        let members = Members::start(1);
        // The commands of the manual, for two machines; the second may not lead.
        let text = include_str!("../../../../docs/etcd.md");
        let block = text
            .split("```sh\n")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        for node in ["node1", "node2"] {
            for line in block.lines().filter(|it| it.starts_with("etcdctl ")) {
                let line = line.replace("node1", node);
                let is_common = !line.contains(node);
                let to_control = line.ends_with("tokyo-control") && line.contains("grant-role");
                if node == "node2" && (is_common || to_control) {
                    continue;
                }
                let arguments: Vec<String> = line
                    .split_whitespace()
                    .skip(1)
                    .map(|it| it.replace("PASSWORD", SECRET))
                    .collect();
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                members.etcdctl(&arguments);
            }
        }
        members.etcdctl(&["user", "add", "root:root"]);
        members.etcdctl(&["user", "grant-role", "root", "root"]);
        members.etcdctl(&["auth", "enable"]);
        Self {
            members,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn password(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("password");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn store(&self, user: Option<EtcdUser>) -> Etcd {
        Etcd::new(EtcdOptions {
            user,
            voids: "/minato/v1/tokyo/voids/".to_owned(),
            // Checking a password keeps a member busy, the more on a busy machine.
            attempt: Duration::from_secs(5),
            patience: Duration::from_secs(30),
            ..options(&self.members)
        })
        .unwrap()
    }

    fn user(&self, name: &str) -> Option<EtcdUser> {
        Some(EtcdUser {
            name: name.to_owned(),
            password_file: self.password(SECRET),
        })
    }
}

fn key(rest: &str) -> String {
    format!("/minato/v1/tokyo/{rest}")
}

async fn put(store: &Etcd, rest: &str) -> Result<Revision, StoreError> {
    store
        .commit(Commit::put(key(rest), b"{\"v\":1}".into()))
        .await
}

/// Who writes a key.
enum Writer {
    /// The machine that it names.
    Machine,
    /// Whoever may lead.
    Control,
    /// Whoever was first wins, by the revision that each compares.
    Anybody,
}

/// A kind of key that is missing here does not compile; one that docs/etcd.md does not give to its writer fails the test.
fn writer(key: &Key) -> Writer {
    match key {
        Key::NodeAlive(_)
        | Key::NodeInfo(_)
        | Key::NodeLoad(_)
        | Key::NodeUsage(_)
        | Key::NodeReach(_)
        | Key::Instance(..)
        | Key::GatewayAlive(_)
        | Key::Verdict(..)
        | Key::Load(..)
        | Key::Link(..)
        | Key::Recovery(..)
        | Key::Image(..)
        | Key::Held(..) => Writer::Machine,
        Key::Meta
        | Key::Service(_)
        | Key::Intent(_)
        | Key::Slot(..)
        | Key::Drain(_)
        | Key::Release(..)
        | Key::Scale(_)
        | Key::Rollout(_)
        | Key::Order(_)
        | Key::Sync(_)
        | Key::Mirror(..)
        | Key::Operation(_)
        | Key::Rebalance
        | Key::Absences
        | Key::Leader => Writer::Control,
        Key::Hold(_) => Writer::Anybody,
    }
}

/// One key of each kind, as that machine, or of that machine, would write it.
fn of_machine(machine: &str) -> Vec<Key> {
    let node = NodeId::parse(machine).unwrap();
    let gateway = GatewayId::parse(machine).unwrap();
    let library = || ServiceName::parse("library").unwrap();
    let osaka = || SiteId::parse("osaka").unwrap();
    let keys = vec![
        Key::Meta,
        Key::Service(library()),
        Key::Intent(library()),
        Key::Slot(library(), SlotIndex(0)),
        Key::NodeAlive(node.clone()),
        Key::NodeInfo(node.clone()),
        Key::NodeLoad(node.clone()),
        Key::NodeUsage(node.clone()),
        Key::NodeReach(node.clone()),
        Key::Drain(node.clone()),
        Key::Instance(node.clone(), library(), SlotIndex(0), Generation::default()),
        Key::GatewayAlive(gateway.clone()),
        Key::Verdict(gateway.clone(), library(), SlotIndex(0)),
        Key::Load(gateway.clone(), library()),
        Key::Link(gateway.clone(), osaka()),
        Key::Recovery(gateway.clone(), library()),
        Key::Release(osaka(), library()),
        Key::Scale(library()),
        Key::Rollout(library()),
        Key::Image(node, library()),
        Key::Order(library()),
        Key::Hold(library()),
        Key::Sync(library()),
        Key::Held(gateway, library()),
        Key::Mirror(osaka(), library()),
        Key::Operation(OperationId(1)),
        Key::Rebalance,
        Key::Absences,
        Key::Leader,
    ];
    // None is forgotten: the kinds are counted where they are declared.
    let source = include_str!("../../src/keys.rs");
    let kinds = source.split("pub enum Key {").nth(1).unwrap();
    let kinds = kinds.split("\n}").next().unwrap().lines();
    let kinds: BTreeSet<String> = kinds
        .map(str::trim)
        .filter(|it| it.starts_with(char::is_uppercase))
        .map(|it| it.split(['(', ',']).next().unwrap().to_owned())
        .collect();
    let name = |it: &Key| format!("{it:?}").split('(').next().unwrap().to_owned();
    let shown: BTreeSet<String> = keys.iter().map(name).collect();
    assert_eq!(shown, kinds);
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_give_each_key_one_writer() {
    if !is_here() {
        return;
    }
    let site = Guarded::start();
    let (one, two) = (
        site.store(site.user("node1")),
        site.store(site.user("node2")),
    );
    let keys = Keys::new(&SiteId::parse("tokyo").unwrap());
    let mut table: Vec<(String, bool, bool)> = Vec::new();
    for machine in ["node1", "node2"] {
        for key in of_machine(machine) {
            let (first, second) = match writer(&key) {
                Writer::Machine => (machine == "node1", machine == "node2"),
                Writer::Control => (true, false),
                Writer::Anybody => (true, true),
            };
            let text = keys.text(&key);
            let rest = text.strip_prefix(keys.root()).unwrap();
            table.push((rest.to_owned(), first, second));
        }
    }
    table.push(("voids/1".to_owned(), true, true));
    table.push(("else".to_owned(), false, false));
    for (rest, first, second) in table {
        for (who, store, may) in [("node1", &one, first), ("node2", &two, second)] {
            match put(store, &rest).await {
                Ok(_) => assert!(may, "{who} wrote {rest}"),
                Err(error) => {
                    assert!(!may, "{who} may not write {rest}: {error}");
                    let text = error.to_string();
                    let names = text.contains("permission denied") && text.contains("grant");
                    assert!(
                        names && matches!(error, StoreError::Refused { .. }),
                        "{text}"
                    );
                }
            }
            assert!(store.get(&key(&rest)).await.is_ok(), "{who} reads {rest}");
        }
    }
    // Everything that processes do beside commits: lists, watches, leases.
    let listing = two.list("/minato/v1/tokyo/").await.unwrap();
    let from = Revision(listing.revision.0 + 1);
    let mut watch = two.watch("/minato/v1/tokyo/", from).await.unwrap();
    let lease = two.grant(Duration::from_secs(60)).await.unwrap();
    let alive = Commit::default().and_put(key("gateways/node2/alive"), vec![], Some(lease));
    two.commit(alive).await.unwrap();
    two.keep_alive(lease).await.unwrap();
    assert_eq!(
        watch.next().await.unwrap()[0].key(),
        key("gateways/node2/alive")
    );
    let other = one.revoke(lease).await.unwrap_err();
    assert!(other.to_string().contains("permission denied"), "{other}");
    two.revoke(lease).await.unwrap();
    // Outside the site nothing can be read.
    let error = two.list("/other/").await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    let mut watch = two.watch("/other/", Revision(1)).await.unwrap();
    let error = watch.next().await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_without_it_and_a_right_one_needs_no_restart() {
    if !is_here() {
        return;
    }
    let mut site = Guarded::start();
    let nobody = site.store(None);
    let error = nobody.get(&key("meta")).await.unwrap_err().to_string();
    assert!(
        error.contains("`user`") && error.contains("password_file"),
        "{error}"
    );

    let store = site.store(site.user("node1"));
    site.password("hunter2");
    let error = store.get(&key("meta")).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    let text = format!("{error} {error:?} {store:?}");
    assert!(
        !text.contains("hunter2") && !text.contains(SECRET),
        "{text}"
    );
    assert!(
        text.contains("password_file") && text.contains("etcd http://"),
        "{text}"
    );
    assert!(store.trouble().is_some());
    let from = Revision(1);
    let mut watch = store.watch("/minato/v1/tokyo/", from).await.unwrap();
    assert!(watch.next().await.is_err());

    site.password(SECRET);
    put(&store, "meta").await.unwrap();
    assert_eq!(store.trouble(), None);

    // Tokens live in the members' memory: a member that starts anew knows none of them.
    let mut watch = store.watch("/minato/v1/tokyo/", from).await.unwrap();
    assert_eq!(watch.next().await.unwrap()[0].key(), key("meta"));
    site.members.kill(0);
    site.members.revive(0);
    site.members.wait();
    put(&store, "slots/library/0").await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
    assert_eq!(
        next.expect("it goes on").unwrap()[0].key(),
        key("slots/library/0")
    );

    // A permission that is given while a process runs.
    let error = put(&store, "more").await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    site.members.etcdctl(&[
        "--user=root:root",
        "role",
        "grant-permission",
        "tokyo-control",
        "readwrite",
        &key("more"),
    ]);
    put(&store, "more").await.unwrap();
}
