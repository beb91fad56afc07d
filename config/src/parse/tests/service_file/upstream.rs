//! What serves: fixed addresses, commands, and how instances are spoken to.

use super::*;

#[test]
fn backends() {
    let needs = ": service.library: needs `command`, like command = [\"./server\", \"--port\", \"{port}\"], `image`, like image = \"registry.example/library:3.2\", or `endpoints`, like endpoints = [\"10.0.0.7:8080\"]";
    wrong_file("", &[needs]);
    wrong_file(
        "endpoints = []",
        &[
            ":1: service.library.endpoints: must be a list of addresses, like [\"10.0.0.7:8080\", \"10.0.0.8:8080\"], got an empty list",
        ],
    );
    wrong(
        "endpoints = [\"10.0.0.1:1\"]",
        "endpoints: stands beside `command`; a service has one of the two",
    );
    for (endpoint, hint) in [
        (
            "db.example:80",
            "must be IP:port, like \"10.0.0.7:8080\" or \"[fd00::7]:8080\", got \"db.example:80\"; this version does not look up host names",
        ),
        (
            "http://10.0.0.1:80",
            "must be IP:port, like \"10.0.0.7:8080\" or \"[fd00::7]:8080\", got \"http://10.0.0.1:80\"; leave the scheme and the path out",
        ),
        (
            "10.0.0.1",
            "must be IP:port, like \"10.0.0.7:8080\" or \"[fd00::7]:8080\", got \"10.0.0.1\"; the port is missing",
        ),
        (
            "10.0.0.1:65536",
            "must be IP:port, like \"10.0.0.7:8080\" or \"[fd00::7]:8080\", got \"10.0.0.1:65536\"; ports end at 65535",
        ),
        (
            "[fd00::1]:99999",
            "must be IP:port, like \"10.0.0.7:8080\" or \"[fd00::7]:8080\", got \"[fd00::1]:99999\"; ports end at 65535",
        ),
        (
            "10.0.0.1:0",
            "must name a port from 1 to 65535, got \"10.0.0.1:0\"",
        ),
        (
            "0.0.0.0:80",
            "must be an address that can be connected to, got \"0.0.0.0:80\"; on this machine that is \"127.0.0.1\" or \"[::1]\"",
        ),
        (
            "224.0.0.1:80",
            "must be the address of one machine, got \"224.0.0.1:80\", which is multicast",
        ),
    ] {
        wrong_file(
            &format!("endpoints = [\"{endpoint}\"]"),
            &[&format!(":1: service.library.endpoints[0]: {hint}")],
        );
    }
    wrong_file(
        "endpoints = [\n  \"10.0.0.1:80\",\n  \"[::ffff:10.0.0.1]:80\",\n]\nreplicas = 2",
        &[
            ":3: service.library.endpoints[1]: 10.0.0.1:80 is `service.library.endpoints[0]` already; leave one of them out",
            ":5: service.library.replicas: belongs to a `command`; endpoints are started, stopped and counted by someone else",
        ],
    );
    let two = library("endpoints = [\"10.0.0.1:80\", \"[fd00::1]:80\"]").unwrap();
    assert_eq!(two.replicas, 2);
    assert!(matches!(two.backend, Backend::Endpoints(it) if it.len() == 2));
}

#[test]
fn commands() {
    wrong_file(
        "command = \"python3 -m http.server\"",
        &[
            ":1: service.library.command: must be a list of program and arguments, got \"python3 -m http.server\"; no shell reads it: write [\"python3\", \"-m\", \"http.server\"]",
        ],
    );
    wrong_file(
        "command = []",
        &[
            ":1: service.library.command: must be a list of program and arguments, got an empty list",
        ],
    );
    wrong_file(
        "command = [\"\"]",
        &[":1: service.library.command[0]: the program is empty; write its name or path"],
    );
    wrong_file(
        "command = [\"a\",\n 1]",
        &[":2: service.library.command[1]: must be a string, got the number 1"],
    );
    wrong_file(
        "command = [\"a\\u0000\"]",
        &[":1: service.library.command[0]: holds a zero byte, which no argument can"],
    );
    wrong(
        "port = 0",
        "port: must be a whole number from 1 to 65535, got the number 0",
    );
    wrong(
        "port = \"80\"",
        "port: must be a whole number from 1 to 65535, got \"80\"",
    );
    wrong(
        "replicas = 1001",
        "replicas: must be a whole number from 1 to 1000, got the number 1001",
    );
    wrong(
        "env = { PORT = \"1\" }",
        "env.PORT: is set by minato for each instance; for one fixed port write `port` outside of env",
    );
    wrong(
        "env = { A = 1 }",
        "env.A: must be a string, like \"1\", got the number 1",
    );
    wrong(
        "env = { \"A=B\" = \"1\" }",
        "env.A=B: a variable's name is letters, digits and `_`, not beginning with a digit",
    );
    wrong(
        "env = { MINATO_X = \"1\" }",
        "env.MINATO_X: names that begin with MINATO_ are minato's own; choose another",
    );
    wrong(
        "directory = \"srv\"",
        "directory: must be an absolute path, like \"/srv/library\", got \"srv\"",
    );
    wrong(
        "stop = { grace = \"2h\" }",
        "stop.grace: must be from 0s to 1h, got 2h",
    );
    wrong(
        "stop = \"10s\"",
        "stop: must be a table, like { drain = \"30s\", grace = \"10s\" }, got \"10s\"",
    );
    wrong_file(
        "command = [\"a\"]\nreplicas = 2\nport = 80",
        &[
            ":3: service.library.port: one port cannot serve 2 replicas; leave `port` out, and each gets its own as PORT and {port}",
        ],
    );
    let long = format!("command = [\"a\", \"{}\"]", "x".repeat(97 * 1024));
    wrong_file(
        &long,
        &[
            ":1: service.library.command: arguments and `env` may have 96 KiB together, got 99331 bytes; put the rest into a file",
        ],
    );
}

#[test]
fn placeholders() {
    for (argument, word) in [
        ("{prt}", Some("prt")),
        ("--listen=127.0.0.1:{Port}", Some("Port")),
        ("{PORT}", Some("PORT")),
        ("{port}:{prot}", Some("prot")),
        ("{ports}", Some("ports")),
        ("{port_}", Some("port_")),
        ("{a{prt}", Some("prt")),
        ("{port}", None),
        ("--{port}--{port}", None),
        ("{}", None),
        ("{print}", None),
        ("{name}", None),
        ("{prt", None),
        ("{prt é}", None),
        ("{é", None),
        ("${PORT}", None),
        ("%{prt}", None),
        ("{{prt}}", None),
        ("{{port}}", None),
        ("{post,part}", None),
        ("{ sort; }", None),
        ("{'port': 1, 'a': {'prt': 2}}", None),
    ] {
        let read = library(&format!("command = [\"a\",\n \"{argument}\"]"));
        let told = read.map_or_else(|problems| told(&problems), |_| Vec::new());
        let expected = word.map(|it| format!("services/library.toml:2: service.library.command[1]: `{{{it}}}` stands for nothing; did you mean `{{port}}`?"));
        assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "{argument}");
    }
}

#[test]
fn towards_instances() {
    let upstream = |line: &str| library(&format!("{COMMAND}{line}\n")).unwrap().upstream;
    assert_eq!(upstream(""), Upstream::default());
    assert_eq!(upstream("tls = false"), Upstream::default());
    assert_eq!(
        upstream("protocol = \"h2\"\ntls = { ca = \"/ca.pem\", sni = \"db.example.org\" }"),
        Upstream {
            protocol: UpstreamProtocol::Http2,
            tls: Some(UpstreamTls {
                ca: Some("/ca.pem".into()),
                sni: Some("db.example.org".to_owned()),
                verify: Verify::On,
            }),
        }
    );
    let tls = |line: &str| upstream(line).tls.unwrap();
    assert_eq!(tls("tls = true"), tls("tls = {}"));
    assert_eq!(tls("tls = { verify = false }").verify, Verify::Off);
    for (line, expected) in [
        (
            "protocol = \"h2c\"",
            "protocol: must be \"http1\" or \"h2\" (\"h2\" without `tls` is h2c), got \"h2c\"",
        ),
        (
            "protocol = \"grpc\"",
            "protocol: must be \"http1\" or \"h2\" (did you mean \"h2\"?), got \"grpc\"",
        ),
        (
            "tls = \"yes\"",
            "tls: must be true, false or a table, like { ca = \"/etc/minato/ca.pem\", sni = \"db.example.org\" }, got \"yes\"",
        ),
        (
            "tls = { ca = \"ca.pem\" }",
            "tls.ca: must be an absolute path of a PEM file, like \"/etc/minato/ca.pem\", got \"ca.pem\"",
        ),
        (
            "tls = { sni = \"10.0.0.1\" }",
            "tls.sni: must be the DNS name in the instance's certificate, like \"db.example.org\", got \"10.0.0.1\": an address is no name; leave `sni` out, and the certificate must hold the address",
        ),
        (
            "tls = { sni = \"Example.org\" }",
            "tls.sni: must be the DNS name in the instance's certificate, like \"db.example.org\", got \"Example.org\": hosts are matched in lower case",
        ),
        (
            "tls = { ca = \"/ca.pem\", verify = false }",
            "tls.ca: does nothing beside verify = false, which believes everyone; leave one of the two out",
        ),
        (
            "tls = { name = \"a\" }",
            "tls.name: unknown key; known here: ca, sni, verify",
        ),
        (
            "limits = { idle = -1 }",
            "limits.idle: must be a whole number from 0 to 100000, got the number -1",
        ),
    ] {
        wrong(line, expected);
    }
}
