use super::*;
use crate::{ClientAuth, EtcdSettings, Role};
use std::num::NonZeroUsize;
use std::path::PathBuf;

#[track_caller]
fn wrong(text: &str, expected: &[&str]) {
    let problems = minato(text).expect_err(text);
    let at = |it: &&str| format!("minato.toml{it}");
    assert_eq!(
        told(&problems),
        expected.iter().map(at).collect::<Vec<_>>(),
        "{text}"
    );
}

#[test]
fn nothing_said_means_the_defaults() {
    assert_eq!(minato("").unwrap(), Settings::default());
    assert_eq!(Settings::default().services, PathBuf::from("services/"));
}

#[test]
fn everything_said() {
    let text = "\
site = \"tokyo\"
node = \"n1\"
roles = [\"gateway\", \"agent\"]
services = \"apps\"
[store]
path = \"data\"
[gateway]
http = [\"0.0.0.0:80\", \"[::]:80\", \"127.0.0.1:0\", \"127.0.0.1:0\"]
https = [\"[::]:443\", { listen = \"[::]:8443\", client_ca = \"clients.pem\" }, { listen = \"127.0.0.1:0\", client_ca = \"/ca.pem\", client_auth = \"request\" }, { listen = \"127.0.0.1:0\" }]
certificates = \"tls/\"
redirect = false
workers = 3
trusted_proxies = [\"10.0.0.0/8\", \"fd00::/8\", \"192.0.2.1\"]
sorry_page = \"sorry.html\"
access_log = true
[agent]
runtime = \"process\"
ports = \"30000-30100\"
log_size = \"1MiB\"
[admin]
listen = \"[::1]:7071\"
";
    let it = parse_settings(Path::new("/etc/minato/minato.toml"), text).unwrap();
    assert_eq!(
        (it.site.as_str(), it.node.as_ref().map(|it| it.as_str())),
        ("tokyo", Some("n1"))
    );
    assert_eq!(it.roles, [Role::Gateway, Role::Agent].into());
    assert_eq!(it.services, PathBuf::from("/etc/minato/apps"));
    assert_eq!(it.data, PathBuf::from("/etc/minato/data"));
    assert_eq!(it.gateway.http.len(), 4);
    let https: Vec<_> = it.gateway.https.iter().map(|it| &it.client_auth).collect();
    let ca = |path: &str| PathBuf::from(path);
    assert_eq!(
        https,
        [
            &ClientAuth::None,
            &ClientAuth::Require {
                ca: ca("/etc/minato/clients.pem")
            },
            &ClientAuth::Request { ca: ca("/ca.pem") },
            &ClientAuth::None,
        ]
    );
    assert_eq!(it.gateway.listeners().count(), 8);
    assert_eq!(it.gateway.certificates, Some(ca("/etc/minato/tls/")));
    assert_eq!(
        (it.gateway.redirect, it.gateway.workers),
        (false, NonZeroUsize::new(3))
    );
    assert_eq!(
        it.gateway.trusted_proxies[1],
        ("fd00::".parse().unwrap(), 8)
    );
    assert_eq!(
        it.gateway.trusted_proxies[2],
        ("192.0.2.1".parse().unwrap(), 32)
    );
    assert_eq!(
        it.gateway.sorry_page,
        Some(PathBuf::from("/etc/minato/sorry.html"))
    );
    assert!(it.gateway.access_log);
    assert_eq!(
        (
            it.agent.ports.first,
            it.agent.ports.last,
            it.agent.log_bytes
        ),
        (30_000, 30_100, 1 << 20)
    );
    assert_eq!(it.admin.to_string(), "[::1]:7071");
}

#[test]
fn keys() {
    wrong(
        "servces = \"x\"",
        &[":1: servces: unknown key; did you mean `services`?"],
    );
    wrong(
        "http = []",
        &[":1: http: unknown key; did you mean `gateway.http`?"],
    );
    wrong(
        "[gateway]\nhtp = []",
        &[":2: gateway.htp: unknown key; did you mean `http`?"],
    );
    wrong(
        "[gatway]",
        &[":1: gatway: unknown key; did you mean `gateway`?"],
    );
    wrong(
        "gateway = 1",
        &[":1: gateway: must be a table, written [gateway], got the number 1"],
    );
    wrong(
        "[sites.osaka]\ngateways = []",
        &[
            ":2: sites.osaka.gateways: must be a list of 1 to 16 HOST:PORT, like [\"gw.osaka.example:8443\", \"192.0.2.7:8443\"], got an empty list",
        ],
    );
    wrong(
        "[agent]\nruntime = \"dcker\"",
        &[":2: agent.runtime: must be \"process\" or \"docker\", got \"dcker\""],
    );
    wrong(
        "[agent.docker]\nlogins = \"a\"",
        &[":1: agent.docker: says nothing without runtime = \"docker\" in [agent]"],
    );
    wrong(
        "[agent]\nruntime = \"docker\"\n[agent.docker]\nsocket = \"tcp://10.0.0.1\"\nvolumes = { a = \"b\", c = \"/\", d = \"/a/../b\" }\nnetworks = []\nfree_space = \"1\"\nreap = true\nlogin = \"x\"",
        &[
            ":4: agent.docker.socket: must be the absolute path of the engine's socket, like \"/var/run/docker.sock\", got \"tcp://10.0.0.1\"",
            ":5: agent.docker.volumes.a: must be an absolute path of this machine, like \"/srv/library\", got \"b\"",
            ":5: agent.docker.volumes.c: would give containers the whole machine; name a folder below /",
            ":5: agent.docker.volumes.d: must be an absolute path of this machine, like \"/srv/library\", got \"/a/../b\"",
            ":6: agent.docker.networks: must be a list of the engine's networks, like [\"bridge\"], got an empty list",
            ":8: agent.docker.reap: must be \"on\" or \"report\", got true",
            ":9: agent.docker.login: unknown key; did you mean `logins`?",
        ],
    );
}

#[test]
fn values() {
    wrong(
        "site = \"Tokyo\"",
        &[
            ":1: site: `Tokyo` is not a name: 1 to 63 of a-z, 0-9 and `-`, starting and ending with a letter or digit",
        ],
    );
    wrong(
        "roles = [\"gatway\", \"agent\", \"agent\"]",
        &[
            ":1: roles[0]: must be \"gateway\", \"control\" or \"agent\" (did you mean \"gateway\"?), got \"gatway\"",
        ],
    );
    wrong(
        "roles = [\"agent\", \"agent\"]",
        &[":1: roles[1]: stands here already; leave one of them out"],
    );
    wrong(
        "roles = []",
        &[":1: roles: must be a list of \"gateway\", \"control\" and \"agent\", got an empty list"],
    );
    wrong(
        "services = \"\"",
        &[":1: services: must be a path, got \"\""],
    );
    wrong(
        "[gateway]\naccess_log = \"yes\"",
        &[":2: gateway.access_log: must be true or false, got \"yes\""],
    );
    wrong(
        "[agent]\nports = \"80-90\"",
        &[
            ":2: agent.ports: must be a range of ports from 1024 to 65535, like \"20000-29999\", got \"80-90\"",
        ],
    );
    wrong(
        "[agent]\nports = \"30000-20000\"",
        &[":2: agent.ports: must rise, got \"30000-20000\"; did you mean \"20000-30000\"?"],
    );
    wrong(
        "[agent]\nlog_size = \"1kB\"",
        &[":2: agent.log_size: must be from 64KiB to 1TiB, got 1kB"],
    );
}

#[test]
fn addresses() {
    let form = "must be an address to listen on, like \"127.0.0.1:8080\" or \"[::]:80\", got";
    for (address, rest) in [
        (":8080", "; for every address write \"[::]:8080\""),
        ("localhost:80", "; write \"127.0.0.1:80\""),
        ("127.0.0.1", "; the port is missing"),
        ("example.org:80", ""),
        ("0.0.0.0:99999", "; ports end at 65535"),
        (":99999", "; ports end at 65535"),
        ("[::]:65536", "; ports end at 65535"),
    ] {
        let text = format!("[gateway]\nhttp = [\"{address}\"]");
        wrong(
            &text,
            &[&format!(":2: gateway.http[0]: {form} \"{address}\"{rest}")],
        );
    }
    wrong(
        "[gateway]\nhttp = [\"0.0.0.0:80\", \"127.0.0.1:80\"]",
        &[
            ":2: gateway.http[1]: 127.0.0.1:80 is taken by 0.0.0.0:80 already; leave one of them out",
        ],
    );
    wrong(
        "[admin]\nlisten = \"0.0.0.0:7070\"",
        &[
            ":2: admin.listen: must be on loopback, since this version asks for no password, got \"0.0.0.0:7070\"; write \"127.0.0.1:7070\", and reach it from elsewhere through ssh -L",
        ],
    );
    wrong(
        "[admin]\nlisten = \"127.0.0.1:8080\"",
        &[
            ":2: admin.listen: 127.0.0.1:8080 is both the admin's and a listener of the gateway (127.0.0.1:8080); change one of them",
        ],
    );
    wrong(
        "[gateway]\nhttp = [\"0.0.0.0:7070\"]",
        &[
            ":2: gateway.http: 127.0.0.1:7070 is both the admin's and a listener of the gateway (0.0.0.0:7070); change one of them",
        ],
    );
    wrong(
        "[agent]\nports = \"7000-9000\"\n",
        &[
            ":2: agent.ports: 127.0.0.1:8080 lies in [agent] ports (7000-9000), from which instances get theirs; change one of them",
            ":2: agent.ports: 127.0.0.1:7070 lies in [agent] ports (7000-9000), from which instances get theirs; change one of them",
        ],
    );
}

#[test]
fn trusted_proxies() {
    for (block, expected) in [
        (
            "10.0.0.1/8",
            "has bits past its length; did you mean \"10.0.0.0/8\"? Got \"10.0.0.1/8\"",
        ),
        (
            "0.0.0.0/0",
            "would believe every client's forwarding fields; name the proxies, got \"0.0.0.0/0\"",
        ),
        (
            "10.0.0.0/33",
            "must be a block of at most 32 bits, got \"10.0.0.0/33\"",
        ),
        (
            "fd00::/x",
            "must be a block of at most 128 bits, got \"fd00::/x\"",
        ),
        (
            "proxy",
            "must be an address or a block, like \"10.0.0.1\" or \"10.0.0.0/8\", got \"proxy\"",
        ),
    ] {
        wrong(
            &format!("[gateway]\ntrusted_proxies = [\"{block}\"]"),
            &[&format!(":2: gateway.trusted_proxies[0]: {expected}")],
        );
    }
}

#[test]
fn tls() {
    let needs = ":2: gateway.https: needs `certificates`, the folder of NAME.crt and NAME.key, like certificates = \"/etc/minato/tls/\"";
    wrong("[gateway]\nhttps = [\"[::]:443\"]", &[needs]);
    for (listener, expected) in [
        (
            "\":443\"",
            "https[0]: must be an address to listen on, like \"127.0.0.1:8080\" or \"[::]:80\", got \":443\"; for every address write \"[::]:443\"",
        ),
        (
            "\"127.0.0.1:8080\"",
            "https[0]: 127.0.0.1:8080 is taken by 127.0.0.1:8080 already; leave one of them out",
        ),
        (
            "\"[::]:443\", { listen = \"[::1]:443\" }",
            "https[1]: [::1]:443 is taken by [::]:443 already; leave one of them out",
        ),
        (
            "{ client_ca = \"ca.pem\" }",
            "https[0]: needs `listen`, like listen = \"[::]:443\"",
        ),
        (
            "{ listen = \"[::]:443\", client_auth = \"require\" }",
            "https[0].client_auth: needs `client_ca`, the PEM file of the authorities that sign clients' certificates",
        ),
        (
            "{ listen = \"[::]:443\", client_ca = \"ca.pem\", client_auth = \"requird\" }",
            "https[0].client_auth: must be \"require\" or \"request\" (did you mean \"require\"?), got \"requird\"",
        ),
        (
            "{ listen = \"[::]:443\", ca = \"ca.pem\" }",
            "https[0].ca: unknown key; known here: listen, client_ca, client_auth",
        ),
        (
            "\"127.0.0.1:7070\"",
            "https: 127.0.0.1:7070 is both the admin's and a listener of the gateway (127.0.0.1:7070); change one of them",
        ),
        (
            "\"127.0.0.1:20443\"",
            "https: 127.0.0.1:20443 lies in [agent] ports (20000-29999), from which instances get theirs; change one of them",
        ),
    ] {
        wrong(
            &format!("[gateway]\nhttps = [{listener}]\ncertificates = \"tls\""),
            &[&format!(":2: gateway.{expected}")],
        );
    }
    wrong(
        "[gateway]\ncertificates = \"tls\"",
        &[":2: gateway.certificates: does nothing without `https`, like https = [\"[::]:443\"]"],
    );
    wrong(
        "[gateway]\nhttps = []",
        &[":2: gateway.https: must be a list of addresses, like [\"[::]:443\"], got an empty list"],
    );
    wrong(
        "[gateway]\nclient_ca = \"ca.pem\"",
        &[":2: gateway.client_ca: unknown key; did you mean `https.client_ca`?"],
    );
}

#[test]
fn only_tls_is_enough() {
    let text = "[gateway]\nhttp = []\nhttps = [\"[::]:443\"]\ncertificates = \"tls\"";
    assert_eq!(minato(text).unwrap().gateway.listeners().count(), 1);
    wrong(
        "[gateway]\nhttp = []",
        &[
            ":2: gateway.http: is empty, and so is `https`: a gateway listens somewhere; without one leave \"gateway\" out of `roles`",
        ],
    );
}

#[test]
fn workers() {
    assert_eq!(minato("").unwrap().gateway.workers, None);
    wrong(
        "[gateway]\nworkers = 0",
        &[":2: gateway.workers: must be a whole number from 1 to 256, got the number 0"],
    );
}

#[test]
fn a_store_in_etcd() {
    let text = "[store]\netcd = [\"https://10.0.0.2:2379\", \"https://[fd00::2]:2379\", \"https://etcd-3.example:2379\"]\nca = \"ca.pem\"\ncertificate = \"/c.pem\"\nkey = \"c.key\"\nuser = \"minato\"\npassword_file = \"password\"";
    let it = parse_settings(Path::new("/etc/minato/minato.toml"), text).unwrap();
    let path = |it: &str| PathBuf::from(it);
    let expected = EtcdSettings {
        endpoints: vec![
            "https://10.0.0.2:2379".to_owned(),
            "https://[fd00::2]:2379".to_owned(),
            "https://etcd-3.example:2379".to_owned(),
        ],
        ca: Some(path("/etc/minato/ca.pem")),
        identity: Some((path("/c.pem"), path("/etc/minato/c.key"))),
        user: Some(("minato".to_owned(), path("/etc/minato/password"))),
    };
    assert_eq!(it.etcd, Some(expected));
    assert_eq!(minato("[store]\npath = \"data\"").unwrap().etcd, None);
    assert_eq!(it.data, Settings::default().data);
}

#[test]
fn a_store_in_etcd_that_is_wrong() {
    for (etcd, said) in [
        (
            "[]",
            ": must be a list of 1 to 16 endpoints, like [\"https://10.0.0.2:2379\"], got an empty list",
        ),
        (
            "\"https://10.0.0.2:2379\"",
            ": must be a list of 1 to 16 endpoints, like [\"https://10.0.0.2:2379\"], got \"https://10.0.0.2:2379\"",
        ),
        (
            "[7]",
            "[0]: must be an endpoint, like \"https://10.0.0.2:2379\", got the number 7",
        ),
        (
            "[\"10.0.0.2:2379\"]",
            "[0]: must be an endpoint, like \"https://10.0.0.2:2379\", got \"10.0.0.2:2379\"",
        ),
        (
            "[\"https://10.0.0.2\"]",
            "[0]: must be an endpoint, like \"https://10.0.0.2:2379\", got \"https://10.0.0.2\"",
        ),
        (
            "[\"https://10.0.0.2:0\"]",
            "[0]: must be an endpoint, like \"https://10.0.0.2:2379\", got \"https://10.0.0.2:0\"",
        ),
        (
            "[\"https://u:p@a:1\"]",
            "[0]: must be an endpoint, like \"https://10.0.0.2:2379\"; a user goes into `user`, its password into the file that `password_file` names",
        ),
        (
            "[\"https://a:1/\"]",
            "[0]: must be an endpoint, like \"https://10.0.0.2:2379\", got \"https://a:1/\"",
        ),
        (
            "[\"https://[::1:1\"]",
            "[0]: must be an endpoint, like \"https://10.0.0.2:2379\", got \"https://[::1:1\"",
        ),
        (
            "[\"http://a:1\", \"http://a:1\"]",
            "[1]: stands here already; leave one of them out",
        ),
        (
            "[\"http://a:1\", \"https://b:1\"]",
            "[1]: is https and etcd[0] is not; use https for all",
        ),
    ] {
        wrong(
            &format!("[store]\netcd = {etcd}"),
            &[&format!(":2: store.etcd{said}")],
        );
    }
    let with = |more: &str| format!("[store]\netcd = [\"https://a:1\"]\n{more}");
    let plain = |more: &str| format!("[store]\netcd = [\"http://a:1\"]\n{more}");
    wrong(
        &with("key = \"k\""),
        &[":3: store.key: needs `certificate`, the client certificate that it belongs to"],
    );
    wrong(
        &with("certificate = \"c\""),
        &[":3: store.certificate: needs `key`, its private key"],
    );
    wrong(
        &with("user = \"u\""),
        &[
            ":3: store.user: needs `password_file`, a file that holds the password and that only minato's user may read",
        ],
    );
    wrong(
        &with("password_file = \"p\""),
        &[":3: store.password_file: needs `user`, whose password it is"],
    );
    wrong(
        &with("user = \"\"\npassword_file = \"p\""),
        &[":3: store.user: must be a name of 1 to 256 bytes, got \"\""],
    );
    wrong(
        &plain("ca = \"c\""),
        &[":3: store.ca: does nothing for http endpoints; write https in `etcd`"],
    );
    wrong(
        "[store]\nuser = \"u\"",
        &[":2: store.user: does nothing without `etcd`, like etcd = [\"https://10.0.0.2:2379\"]"],
    );
}
