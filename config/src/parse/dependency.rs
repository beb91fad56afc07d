//! `[dependencies.NAME]` of `minato.toml`, and `depends_on` of a service file.

use super::document::Report;
use super::field::{Field, Given, Section};
use super::health;
use super::key::{Keys, nearest};
use super::settings::path;
use super::{address, relay, upstream};
use crate::{
    Database, DatabaseEngine, DatabaseRole, Dependency, DependencyCheck, DependencyName,
    MemberProbe, Relay,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Of one dependency.
pub(super) const KEYS: Keys = Keys::known(&[
    "kind",
    "members",
    "role",
    "user",
    "password_file",
    "database",
    "tls",
    "path",
    "host",
    "status",
    "headers",
    "body",
    "listen",
    "drain",
    "wait",
    "idle",
    "connections",
    "balance",
    "interval",
    "fast",
    "timeout",
    "fall",
    "rise",
]);

const OF_MEMBERS: [&str; 1] = ["members"];
const OF_DATABASE: [&str; 5] = ["role", "user", "password_file", "database", "tls"];
const OF_HTTP: [&str; 4] = ["host", "status", "headers", "body"];

/// Dependencies of one node, and of one service.
const MOST: usize = 256;
const MOST_OF_A_SERVICE: usize = 16;
const MOST_MEMBERS: usize = 16;
const MOST_NAME: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Database(DatabaseEngine),
    Tcp,
    Http,
    Mount,
}

/// `depends_on = ["library-db", "storage"]`
pub(super) fn names(
    field: &Field<'_>,
    report: &mut Report<'_>,
) -> Option<BTreeSet<DependencyName>> {
    const FORM: &str =
        "a list of names that [dependencies.NAME] in minato.toml explains, like [\"library-db\"]";
    let items = field.items(report, FORM, 0..=MOST_OF_A_SERVICE)?;
    let mut all = Some(BTreeSet::new());
    for item in &items {
        let name = item.text(report, "a name, like \"library-db\"");
        let name = name.and_then(|it| name_of(item, it, report));
        match (name, all.as_mut()) {
            (Some(name), Some(names)) => {
                if !names.insert(name) {
                    item.problem::<()>(report, "stands here already; leave one of them out");
                    all = None;
                }
            }
            _ => all = None,
        }
    }
    all
}

fn name_of(field: &Field<'_>, text: &str, report: &mut Report<'_>) -> Option<DependencyName> {
    DependencyName::parse(text).map_or_else(|error| field.problem(report, error.to_string()), Some)
}

/// All of them; relative paths are taken from `folder`.
pub(super) fn read(
    field: &Field<'_>,
    report: &mut Report<'_>,
    folder: &Path,
) -> Option<BTreeMap<DependencyName, Dependency>> {
    const FORM: &str = "tables, written [dependencies.NAME]";
    let section = field.section(report, FORM)?;
    let fields = section.fields(report);
    if fields.len() > MOST {
        let message = format!("at most {MOST} may stand here, got {}", fields.len());
        return field.problem(report, message);
    }
    let mut all = BTreeMap::new();
    for (name, value) in fields {
        let name = name_of(&value, name, report);
        let Some(table) = value.section(report, FORM) else {
            continue;
        };
        if let (Some(name), Some(one)) = (name, one(&table, report, folder)) {
            all.insert(name, one);
        }
    }
    Some(all)
}

fn one(section: &Section<'_>, report: &mut Report<'_>, folder: &Path) -> Option<Dependency> {
    KEYS.check(section, report);
    let timing = health::timing(section, report);
    let relay = relay::read(section, report);
    let balance = section.read(report, "balance", relay::balance);
    let kind = match section.read(report, "kind", kind) {
        Given::Right(kind) => kind,
        Given::Wrong => return None,
        Given::Absent => {
            let message = "needs `kind`: \"mariadb\", \"mysql\", \"postgresql\", \"tcp\", \"http\" or \"mount\"";
            if report.is_whole() {
                report.problem(section.line, &section.path, message);
            }
            return None;
        }
    };
    check_keys(section, report, kind);
    let check = match kind {
        Kind::Mount => DependencyCheck::Mount(mount(section, report)?),
        Kind::Tcp | Kind::Http | Kind::Database(_) => {
            let members = members(section, report);
            let probe = match kind {
                Kind::Database(engine) => {
                    database(section, report, folder, engine).map(MemberProbe::Database)
                }
                Kind::Http => health::http(section, report).map(MemberProbe::Http),
                Kind::Tcp | Kind::Mount => Some(MemberProbe::Tcp),
            };
            DependencyCheck::Members {
                members: members?,
                probe: probe?,
            }
        }
    };
    let relay = match relay.ok()? {
        Some(relay) => Some(Relay {
            balance: relay::balance_of(section, report, &check, balance)?,
            ..relay
        }),
        None => None,
    };
    Some(Dependency {
        check,
        timing: timing?,
        relay,
    })
}

/// Reports keys that say nothing for this kind.
fn check_keys(section: &Section<'_>, report: &mut Report<'_>, kind: Kind) {
    let is_database = matches!(kind, Kind::Database(_));
    let mut only = |keys: &[&str], message: &str| {
        for key in keys {
            if let Some(field) = section.get(report, key) {
                field.problem::<()>(report, message);
            }
        }
    };
    if !is_database {
        only(
            &OF_DATABASE,
            "belongs to kind = \"mariadb\", \"mysql\" or \"postgresql\"",
        );
    }
    if kind != Kind::Http {
        only(&OF_HTTP, "belongs to kind = \"http\"");
    }
    match kind {
        Kind::Mount => {
            only(&OF_MEMBERS, "says nothing of a mount, which has `path`");
            only(&["listen"], "says nothing of a mount; leave it out");
        }
        Kind::Tcp | Kind::Database(_) => {
            only(
                &["path"],
                "belongs to kind = \"http\" or \"mount\"; leave it out",
            );
        }
        Kind::Http => {}
    }
}

fn kind(field: &Field<'_>, report: &mut Report<'_>) -> Option<Kind> {
    const FORM: &str = "\"mariadb\", \"mysql\", \"postgresql\", \"tcp\", \"http\" or \"mount\"";
    const WORDS: [&str; 6] = ["mariadb", "mysql", "postgresql", "tcp", "http", "mount"];
    match field.text(report, FORM)? {
        "mariadb" | "mysql" => Some(Kind::Database(DatabaseEngine::Mysql)),
        "postgresql" => Some(Kind::Database(DatabaseEngine::Postgresql)),
        "tcp" => Some(Kind::Tcp),
        "http" => Some(Kind::Http),
        "mount" => Some(Kind::Mount),
        other => match nearest(other, &WORDS) {
            Some(near) => field.wrong(report, &format!("{FORM} (did you mean \"{near}\"?)")),
            None => field.wrong(report, FORM),
        },
    }
}

fn mount(section: &Section<'_>, report: &mut Report<'_>) -> Option<PathBuf> {
    const FORM: &str = "the absolute path of a mount point, like \"/srv/library\"";
    match section.read(report, "path", |it, to| {
        let path = path(it, to)?;
        if path.is_absolute() {
            Some(path)
        } else {
            it.wrong(to, FORM)
        }
    }) {
        Given::Right(path) => Some(path),
        Given::Wrong => None,
        Given::Absent => {
            report.problem(section.line, &section.path, format!("needs `path`, {FORM}"));
            None
        }
    }
}

fn members(section: &Section<'_>, report: &mut Report<'_>) -> Option<Vec<SocketAddr>> {
    const FORM: &str = "a list of 1 to 16 addresses, like [\"10.0.0.8:3306\", \"10.0.0.9:3306\"]";
    match section.read(report, "members", |it, to| {
        let items = it.items(to, FORM, 1..=MOST_MEMBERS)?;
        distinct(&items, to, address::endpoint)
    }) {
        Given::Right(members) => Some(members),
        Given::Wrong => None,
        Given::Absent => {
            let message = format!("needs `members`, {FORM}");
            report.problem(section.line, &section.path, message);
            None
        }
    }
}

pub(super) fn distinct(
    items: &[Field<'_>],
    report: &mut Report<'_>,
    read: fn(&Field<'_>, &mut Report<'_>) -> Option<SocketAddr>,
) -> Option<Vec<SocketAddr>> {
    let mut all: Vec<SocketAddr> = Vec::new();
    for item in items {
        let Some(address) = read(item, report) else {
            continue;
        };
        if all.contains(&address) {
            item.problem::<()>(report, "stands here already; leave one of them out");
        } else {
            all.push(address);
        }
    }
    (all.len() == items.len()).then_some(all)
}

fn database(
    section: &Section<'_>,
    report: &mut Report<'_>,
    folder: &Path,
    engine: DatabaseEngine,
) -> Option<Database> {
    let file = |it: &Field<'_>, to: &mut Report<'_>| path(it, to).map(|it| folder.join(it));
    let role = section.read(report, "role", role);
    let user = section.read(report, "user", name);
    let password = section.read(report, "password_file", file);
    let name = section.read(report, "database", name);
    let tls = section.read(report, "tls", upstream::tls);
    if user.is_absent() && report.is_whole() {
        let message = "needs `user`, who may log in and look at the role; its password goes into the file that `password_file` names";
        report.problem(section.line, &section.path, message);
    }
    Some(Database {
        engine,
        role: role.in_force(DatabaseRole::Primary)?,
        user: user.right()?,
        password: match password {
            Given::Wrong => return None,
            password => password.right(),
        },
        name: name.in_force("postgres".to_owned())?,
        tls: tls.in_force(None)?,
    })
}

fn role(field: &Field<'_>, report: &mut Report<'_>) -> Option<DatabaseRole> {
    const FORM: &str = "\"primary\" or \"replica\"";
    match field.text(report, FORM)? {
        "primary" => Some(DatabaseRole::Primary),
        "replica" => Some(DatabaseRole::Replica),
        _ => field.wrong(report, FORM),
    }
}

fn name(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "a name of 1 to 128 characters";
    let text = field.text(report, FORM)?;
    let sound = !text.is_empty() && text.len() <= MOST_NAME && !text.contains(char::is_control);
    if sound {
        Some(text.to_owned())
    } else {
        field.wrong(report, FORM)
    }
}
