//! `[dependencies.NAME]` and `depends_on`.

use super::*;
use crate::{
    Balance, DatabaseEngine, DatabaseRole, DependencyCheck, DependencyName, MemberProbe,
    UpstreamTls, Verify,
};
use std::path::PathBuf;
use std::time::Duration;

#[test]
fn dependencies_in_every_form() {
    let settings = minato(
        "\
[dependencies.library-db]
kind = \"mysql\"
members = [\"10.0.0.8:3306\", \"10.0.0.9:3306\"]
user = \"minato\"
password_file = \"db.password\"
listen = [\"127.0.0.1:3306\", \"172.17.0.1:3306\"]
drain = \"1s\"
connections = 20
interval = \"1s\"
[dependencies.reads]
kind = \"postgresql\"
role = \"replica\"
members = [\"10.0.0.8:5432\"]
user = \"minato\"
database = \"library\"
[dependencies.files]
kind = \"mount\"
path = \"/srv/library\"
[dependencies.search]
kind = \"http\"
members = [\"10.0.0.5:9200\"]
path = \"/_cluster/health\"
[dependencies.cache]
kind = \"tcp\"
members = [\"10.0.0.5:6379\"]
listen = \"127.0.0.1:6379\"
",
    )
    .unwrap();
    let of = |name: &str| &settings.dependencies[&DependencyName::parse(name).unwrap()];
    let DependencyCheck::Members {
        members,
        probe: MemberProbe::Database(database),
    } = &of("library-db").check
    else {
        panic!("{:?}", of("library-db"));
    };
    assert_eq!(members.len(), 2);
    assert_eq!(
        (database.engine, database.role),
        (DatabaseEngine::Mysql, DatabaseRole::Primary)
    );
    assert_eq!(database.password, Some(PathBuf::from("db.password")));
    assert_eq!(of("library-db").timing.interval, Duration::from_secs(1));
    let relay = of("library-db").relay.as_ref().unwrap();
    assert_eq!((relay.listen.len(), relay.connections), (2, 20));
    assert_eq!(
        (relay.drain, relay.wait),
        (Duration::from_secs(1), Duration::from_secs(10))
    );
    let DependencyCheck::Members {
        probe: MemberProbe::Database(database),
        ..
    } = &of("reads").check
    else {
        panic!("{:?}", of("reads"));
    };
    assert_eq!(
        (database.role, database.name.as_str()),
        (DatabaseRole::Replica, "library")
    );
    assert_eq!(of("reads").relay, None);
    assert_eq!(
        of("files").check,
        DependencyCheck::Mount("/srv/library".into())
    );
    assert_eq!(of("cache").relay.as_ref().unwrap().listen.len(), 1);
    assert_eq!(
        [of("files"), of("search"), of("reads")].map(|it| it.check.noun()),
        ["mount", "server", "database"]
    );
}

/// One dependency called `db`, of these lines.
fn db(lines: &str) -> Result<crate::Dependency, Vec<String>> {
    let text = format!("[dependencies.db]\nmembers = [\"10.0.0.8:3306\"]\n{lines}");
    let settings = minato(&text).map_err(|it| told(&it))?;
    Ok(settings.dependencies[&DependencyName::parse("db").unwrap()].clone())
}

#[test]
fn a_check_of_a_database_may_speak_tls() {
    const OF: &str = "kind = \"mysql\"\nuser = \"minato\"\n";
    let tls = |lines: &str| match db(&format!("{OF}{lines}")).unwrap().check {
        DependencyCheck::Members {
            probe: MemberProbe::Database(it),
            ..
        } => it.tls,
        other => panic!("{other:?}"),
    };
    assert_eq!(tls(""), None);
    assert_eq!(tls("tls = false"), None);
    let all = UpstreamTls {
        ca: Some("/etc/minato/db-ca.pem".into()),
        sni: Some("db.example.org".to_owned()),
        verify: Verify::On,
    };
    let table = "tls = { ca = \"/etc/minato/db-ca.pem\", sni = \"db.example.org\" }";
    assert_eq!(tls(table), Some(all));
    assert_eq!(
        db("kind = \"tcp\"\ntls = true").unwrap_err(),
        [
            "minato.toml:4: dependencies.db.tls: belongs to kind = \"mariadb\", \"mysql\" or \"postgresql\""
        ]
    );
    let wrong = db(&format!("{OF}tls = {{ ca = \"ca.pem\" }}")).unwrap_err();
    assert!(wrong[0].contains("dependencies.db.tls.ca"), "{wrong:?}");
}

#[test]
fn relays_of_replicas_share_connections_out_and_those_of_primaries_never() {
    let of = |lines: &str| {
        let dependency = db(&format!("{lines}\nlisten = \"127.0.0.1:9000\""));
        dependency.map(|it| it.relay.unwrap().balance)
    };
    let database = |role: &str| format!("kind = \"mysql\"\nuser = \"m\"\nrole = \"{role}\"");
    assert_eq!(of(&database("primary")), Ok(Balance::First));
    assert_eq!(of(&database("replica")), Ok(Balance::Least));
    assert_eq!(of("kind = \"tcp\""), Ok(Balance::First));
    assert_eq!(
        of("kind = \"tcp\"\nbalance = \"least\""),
        Ok(Balance::Least)
    );
    let first = format!("{}\nbalance = \"first\"", database("replica"));
    assert_eq!(of(&first), Ok(Balance::First));
    let two = of(&format!("{}\nbalance = \"least\"", database("primary"))).unwrap_err();
    assert!(two[0].contains("of primaries there is one"), "{two:?}");
    let odd = of("kind = \"tcp\"\nbalance = \"random\"").unwrap_err();
    assert!(odd[0].contains("must be \"first\" or \"least\""), "{odd:?}");
}

#[test]
fn dependencies_that_are_wrong() {
    let problems = minato(
        "\
[dependencies.a]
kind = \"mariabd\"
[dependencies.b]
kind = \"mariadb\"
members = [\"10.0.0.8:3306\", \"10.0.0.8:3306\", \"db:3306\"]
[dependencies.c]
members = [\"10.0.0.8:80\"]
[dependencies.d]
kind = \"tcp\"
role = \"primary\"
drain = \"1s\"
[dependencies.e]
kind = \"mount\"
path = \"srv\"
listen = \"127.0.0.1:1\"
[dependencies.F]
kind = \"mount\"
path = \"/srv\"
[dependencies.g]
kind = \"tcp\"
members = [\"127.0.0.1:7070\", \"127.0.0.1:9000\"]
listen = [\"127.0.0.1:9000\", \"127.0.0.1:7070\", \"127.0.0.1:20001\"]
[dependencies.h]
kind = \"tcp\"
members = [\"10.0.0.1:1\"]
listen = \"127.0.0.1:9000\"
",
    )
    .expect_err("wrong");
    let expected = [
        ":2: dependencies.a.kind: must be \"mariadb\", \"mysql\", \"postgresql\", \"tcp\", \"http\" or \"mount\" (did you mean \"mariadb\"?), got \"mariabd\"",
        ":3: dependencies.b: needs `user`, who may log in and look at the role; its password goes into the file that `password_file` names",
        ":5: dependencies.b.members[1]: stands here already; leave one of them out",
        ":5: dependencies.b.members[2]: must be IP:port, like \"10.0.0.7:8080\" or \"[fd00::7]:8080\", got \"db:3306\"; this version does not look up host names",
        ":6: dependencies.c: needs `kind`: \"mariadb\", \"mysql\", \"postgresql\", \"tcp\", \"http\" or \"mount\"",
        ":8: dependencies.d: needs `members`, a list of 1 to 16 addresses, like [\"10.0.0.8:3306\", \"10.0.0.9:3306\"]",
        ":10: dependencies.d.role: belongs to kind = \"mariadb\", \"mysql\" or \"postgresql\"",
        ":11: dependencies.d.drain: says nothing without `listen`, like listen = \"127.0.0.1:3306\"",
        ":14: dependencies.e.path: must be the absolute path of a mount point, like \"/srv/library\", got \"srv\"",
        ":15: dependencies.e.listen: says nothing of a mount; leave it out",
        ":16: dependencies.F: `F` is not a name: 1 to 63 of a-z, 0-9 and `-`, starting and ending with a letter or digit",
        ":22: dependencies.g.listen: 127.0.0.1:9000 is one of its members as well: connections would go in a circle",
        ":22: dependencies.g.listen: 127.0.0.1:7070 is the admin's already (127.0.0.1:7070); change one of them",
        ":22: dependencies.g.listen: 127.0.0.1:7070 is one of its members as well: connections would go in a circle",
        ":22: dependencies.g.listen: 127.0.0.1:20001 lies in [agent] ports (20000-29999), from which instances get theirs; change one of them",
        ":26: dependencies.h.listen: 127.0.0.1:9000 is the relay g's already (127.0.0.1:9000); change one of them",
    ];
    let at = |it: &&str| format!("minato.toml{it}");
    assert_eq!(told(&problems), expected.iter().map(at).collect::<Vec<_>>());
}

#[test]
fn a_service_names_what_it_depends_on() {
    let service = library("command = [\"a\"]\ndepends_on = [\"library-db\", \"files\"]").unwrap();
    let names: Vec<&str> = service.depends_on.iter().map(|it| it.as_str()).collect();
    assert_eq!(names, ["files", "library-db"]);
    for text in [
        "depends_on = \"library-db\"",
        "depends_on = [\"Library\"]",
        "depends_on = [\"a\", \"a\"]",
    ] {
        assert!(
            library(&format!("command = [\"a\"]\n{text}")).is_err(),
            "{text}"
        );
    }
}
