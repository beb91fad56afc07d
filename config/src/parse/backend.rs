//! What answers the requests of a service: a command or an image that minato runs, or fixed endpoints.

use super::address;
use super::document::Report;
use super::field::{Field, Given, Section, describe};
use super::image::{self, OF_IMAGE};
use super::key::{Keys, nearest};
use super::replicas::{self, MOST_REPLICAS, Replicas};
use crate::{Backend, Command, Image, StopPolicy};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use toml::de::DeValue;

/// Of `stop`.
pub(super) const STOP_KEYS: Keys = Keys::known(&["drain", "grace"]);

/// Keys that only a command has.
const OF_COMMAND: [&str; 7] = [
    "port",
    "replicas",
    "env",
    "directory",
    "stop",
    "nodes",
    "update",
];

/// Bytes of arguments and environment together: what every Linux starts.
const MOST_BYTES: usize = 96 * 1024;
/// Arguments, and variables.
const MOST_ITEMS: usize = 256;

/// What could be read.
pub(super) struct Read {
    /// The backend and how many instances it has, where every part is right.
    pub(super) whole: Option<(Backend, Replicas)>,
    /// The fixed port of a command.
    pub(super) port: Option<u16>,
    /// Those addresses that are right.
    pub(super) endpoints: Vec<SocketAddr>,
}

/// The command, the image or the endpoints.
pub(super) fn read(section: &Section<'_>, report: &mut Report<'_>) -> Read {
    let command = section.read(report, "command", arguments);
    let mut endpoints = Vec::new();
    let list = section.read(report, "endpoints", |it, report| {
        read_endpoints(it, report, &mut endpoints)
    });
    let of_image = section.get(report, "image").is_some();
    let (of_command, of_endpoints) = (!command.is_absent() || of_image, !list.is_absent());
    if !of_image {
        for key in OF_IMAGE {
            if let Some(field) = section.get(report, key) {
                let message = "belongs to an `image`; a process has what its user may have";
                field.problem::<()>(report, message);
            }
        }
    }
    let (mut whole, port) = if of_endpoints && !of_command {
        for key in OF_COMMAND {
            if let Some(field) = section.get(report, key) {
                let message = "belongs to a `command`; endpoints are started, stopped and counted by someone else";
                field.problem::<()>(report, message);
            }
        }
        let count = list
            .right()
            .and_then(|()| u16::try_from(endpoints.len()).ok());
        let whole = count.map(|it| (Backend::Endpoints(endpoints.clone()), Replicas::fixed(it)));
        (whole, None)
    } else if of_image {
        let image = image::read(section, report);
        read_command(section, report, command, Kind::Image(image))
    } else {
        read_command(section, report, command, Kind::Process)
    };
    if of_command && let Some(field) = section.get(report, "endpoints") {
        let beside = if of_image { "image" } else { "command" };
        let message = format!("stands beside `{beside}`; a service has one of the two");
        whole = field.problem(report, message);
    }
    let neither = !of_command && !of_endpoints;
    if neither && report.is_whole() {
        let message = "needs `command`, like command = [\"./server\", \"--port\", \"{port}\"], `image`, like image = \"registry.example/library:3.2\", or `endpoints`, like endpoints = [\"10.0.0.7:8080\"]";
        report.problem(section.line, &section.path, message);
    }
    Read {
        whole,
        port,
        endpoints,
    }
}

/// What a command runs in.
enum Kind {
    Process,
    /// `None` where it is wrong.
    Image(Option<Image>),
}

/// The command where all of it is right, and its fixed port where that is.
fn read_command(
    section: &Section<'_>,
    report: &mut Report<'_>,
    argv: Given<Vec<String>>,
    kind: Kind,
) -> (Option<(Backend, Replicas)>, Option<u16>) {
    let port = match kind {
        Kind::Process => section.read(report, "port", |it, report| {
            it.number::<u16>(report, 1..=65_535)
        }),
        // It is the program's own, inside.
        Kind::Image(_) => Given::Absent,
    };
    let replicas = section.read(report, "replicas", replicas::read);
    let env = section.read(report, "env", environment);
    let directory = section.read(report, "directory", directory);
    let stop = section.read(report, "stop", stop);
    let most = match &replicas {
        Given::Right(replicas) => replicas.most(),
        Given::Absent | Given::Wrong => 1,
    };
    if let (Kind::Process, replicas @ 2.., Some(field)) = (&kind, most, section.get(report, "port"))
    {
        let message = format!(
            "one port cannot serve {replicas} replicas; leave `port` out, and each gets its own as PORT and {{port}}"
        );
        field.problem::<()>(report, message);
    }
    if let (Kind::Image(Some(image)), Given::Right(env)) = (&kind, &env)
        && let Some(name) = image.secrets.keys().find(|it| env.contains_key(*it))
        && let Some(field) = section.get(report, "secrets")
    {
        let message = format!("`{name}` stands in `env` as well; leave one of them out");
        field.problem::<()>(report, message);
    }
    if let (Some(message), Some(field)) = (too_much(&argv, &env), section.get(report, "command")) {
        field.problem::<()>(report, message);
    }
    let whole = || {
        let (argv, image) = match kind {
            Kind::Process => (argv.right()?, None),
            Kind::Image(image) => (argv.in_force(Vec::new())?, Some(Box::new(image?))),
        };
        let command = Command {
            argv,
            env: env.in_force(BTreeMap::new())?,
            directory: match directory {
                Given::Wrong => return None,
                directory => directory.right(),
            },
            port: match port {
                Given::Wrong => return None,
                port => port.right(),
            },
            stop: stop.in_force(StopPolicy::default())?,
            image,
        };
        let replicas = replicas.in_force(Replicas::fixed(1))?;
        Some((Backend::Command(command), replicas))
    };
    (whole(), port.right())
}

/// What to say where no Linux would start this.
fn too_much(argv: &Given<Vec<String>>, env: &Given<BTreeMap<String, String>>) -> Option<String> {
    let argv = match argv {
        Given::Right(argv) => argv.iter().map(|it| it.len() + 1).sum(),
        _ => 0,
    };
    let env = match env {
        Given::Right(env) => env.iter().map(|(name, it)| name.len() + it.len() + 2).sum(),
        _ => 0,
    };
    let (bytes, limit) = (argv + env, MOST_BYTES / 1024);
    (bytes > MOST_BYTES).then(|| {
        format!(
            "arguments and `env` may have {limit} KiB together, got {bytes} bytes; put the rest into a file"
        )
    })
}

fn arguments(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    const FORM: &str = "a list of program and arguments";
    if let DeValue::String(text) = field.value {
        let words: Vec<_> = text.split_whitespace().take(8).collect();
        let got = describe(field.value);
        let hint = super::show_text(&words.join("\", \""));
        let message = format!("must be {FORM}, got {got}; no shell reads it: write [\"{hint}\"]");
        return field.problem(report, message);
    }
    let items = field.items(report, FORM, 1..=MOST_ITEMS)?;
    let items = items.iter().enumerate().map(|(n, item)| {
        let text = item.text(report, "a string")?;
        if text.contains('\0') {
            item.problem(report, "holds a zero byte, which no argument can")
        } else if n == 0 && text.trim().is_empty() {
            item.problem(report, "the program is empty; write its name or path")
        } else if let Some(word) = misspelt(text) {
            let message = format!("`{{{word}}}` stands for nothing; did you mean `{{port}}`?");
            item.problem(report, message)
        } else {
            Some(text.to_owned())
        }
    });
    let items: Vec<_> = items.collect();
    items.into_iter().collect()
}

/// The word of the first `{word}` that is near `port` and not it.
///
/// Braces are common in arguments (JSON, `awk`, shells, templates): those of other words, and `${word}`, `%{word}` and
/// `{{word}}`, are left to the program.
fn misspelt(argument: &str) -> Option<&str> {
    let opened = argument.match_indices('{');
    let words = opened.filter_map(|(at, _)| {
        let foreign = argument[..at].ends_with(['$', '%', '{']);
        let (word, after) = argument[at + 1..].split_once('}')?;
        (!foreign && !after.starts_with('}')).then_some(word)
    });
    let is_word = |it: &str| {
        it.bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it))
    };
    let mut words = words.filter(|it| it.len() <= 8 && *it != "port" && is_word(it));
    words.find(|it| nearest(it, &["port"]).is_some())
}

/// Fills `all` with the addresses that are right; `None` where one is not.
fn read_endpoints(
    field: &Field<'_>,
    report: &mut Report<'_>,
    all: &mut Vec<SocketAddr>,
) -> Option<()> {
    let wanted = "a list of addresses, like [\"10.0.0.7:8080\", \"10.0.0.8:8080\"]";
    let items = field.items(report, wanted, 1..=MOST_REPLICAS as usize)?;
    let mut places = BTreeMap::new();
    for item in &items {
        let Some(address) = address::endpoint(item, report) else {
            continue;
        };
        match places.get(&address) {
            Some(first) => {
                let message = format!("{address} is `{first}` already; leave one of them out");
                item.problem::<()>(report, message);
            }
            None => {
                places.insert(address, item.path.clone());
                all.push(address);
            }
        }
    }
    (all.len() == items.len()).then_some(())
}

fn environment(field: &Field<'_>, report: &mut Report<'_>) -> Option<BTreeMap<String, String>> {
    let section = field.section(report, "a table of strings, like { MODE = \"production\" }")?;
    let fields = section.fields(report);
    if fields.len() > MOST_ITEMS {
        let message = format!(
            "at most {MOST_ITEMS} variables may stand here, got {}",
            fields.len()
        );
        return field.problem(report, message);
    }
    let mut all = Some(BTreeMap::new());
    for (name, value) in fields {
        match (variable(name, &value, report), all.as_mut()) {
            (Some(text), Some(env)) => {
                env.insert(name.to_owned(), text);
            }
            _ => all = None,
        }
    }
    all
}

/// Whether a variable may have this name.
pub(super) fn check_variable(name: &str, value: &Field<'_>, report: &mut Report<'_>) -> Option<()> {
    let mut bytes = name.bytes();
    let first = bytes
        .next()
        .is_some_and(|it| it.is_ascii_alphabetic() || it == b'_');
    if !first || !bytes.all(|it| it.is_ascii_alphanumeric() || it == b'_') {
        return value.problem(
            report,
            "a variable's name is letters, digits and `_`, not beginning with a digit",
        );
    }
    if name == "PORT" {
        let message =
            "is set by minato for each instance; for one fixed port write `port` outside of env";
        return value.problem(report, message);
    }
    if name.starts_with("MINATO_") {
        return value.problem(
            report,
            "names that begin with MINATO_ are minato's own; choose another",
        );
    }
    Some(())
}

fn variable(name: &str, value: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    check_variable(name, value, report)?;
    let hint = format!(
        "a string, like \"{}\"",
        match value.value {
            DeValue::Integer(it) => super::show_text(it.as_str()),
            DeValue::Boolean(it) => it.to_string(),
            _ => "text".to_owned(),
        }
    );
    let text = value.text(report, &hint)?;
    if text.contains('\0') {
        return value.problem(report, "holds a zero byte, which no variable can");
    }
    Some(text.to_owned())
}

fn directory(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "an absolute path, like \"/srv/library\"";
    let text = field.text(report, FORM)?;
    if !text.starts_with('/') || text.contains('\0') || text.len() > 4_096 {
        return field.wrong(report, FORM);
    }
    Some(text.to_owned())
}

fn stop(field: &Field<'_>, report: &mut Report<'_>) -> Option<StopPolicy> {
    let section = field.section(report, "a table, like { drain = \"30s\", grace = \"10s\" }")?;
    STOP_KEYS.check(&section, report);
    let hour = Duration::from_secs(3_600);
    let none = Duration::ZERO;
    let drain = section.read(report, "drain", |it, report| {
        it.duration(report, none..=24 * hour)
    });
    let grace = section.read(report, "grace", |it, report| {
        it.duration(report, none..=hour)
    });
    let default = StopPolicy::default();
    Some(StopPolicy {
        drain: drain.in_force(default.drain)?,
        grace: grace.in_force(default.grace)?,
    })
}
