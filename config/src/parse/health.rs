//! How instances are checked: `health = "off"`, `"tcp"` or a table.

use super::document::Report;
use super::duration::show;
use super::field::{Field, Given, Section, describe};
use super::key::{Keys, nearest};
use crate::{Health, HealthProbe, HealthTiming, HttpProbe, StatusRange};
use std::collections::BTreeMap;
use std::time::Duration;
use toml::de::DeValue;

/// Of `health`.
pub(super) const KEYS: Keys = Keys::known(&[
    "kind", "path", "host", "interval", "fast", "timeout", "fall", "rise", "status", "headers",
    "body",
]);

/// Keys that only an HTTP probe has.
const OF_HTTP: [&str; 5] = ["path", "host", "status", "headers", "body"];

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(3_600);
/// Longest timeout that is filled in where none is given.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest `fast` that is filled in where none is given.
const DEFAULT_FAST: Duration = Duration::from_millis(500);

enum Kind {
    Http,
    Tcp,
}

/// Statuses that pass where none are named.
pub(super) const PASSING: StatusRange = StatusRange {
    first: 200,
    last: 399,
};

/// What is in force where nothing is said: a GET of `/`.
pub(super) fn default() -> Health {
    Health::On {
        probe: HealthProbe::Http(HttpProbe {
            path: "/".to_owned(),
            host: None,
            status: vec![PASSING],
            headers: BTreeMap::new(),
            body: None,
        }),
        timing: HealthTiming::default(),
    }
}

/// One of the three forms.
pub(super) fn read(field: &Field<'_>, report: &mut Report<'_>) -> Option<Health> {
    const FORM: &str =
        "\"off\", \"tcp\" or a table, like { path = \"/healthz\", interval = \"2s\" }";
    match field.value {
        DeValue::String(text) => match text.as_ref() {
            "off" => Some(Health::Off),
            "tcp" => Some(Health::On {
                probe: HealthProbe::Tcp,
                timing: HealthTiming::default(),
            }),
            path if path.starts_with('/') => {
                let path = super::show_text(path);
                let message =
                    format!("must be {FORM}, got \"{path}\"; write {{ path = \"{path}\" }}");
                field.problem(report, message)
            }
            _ => field.wrong(report, FORM),
        },
        DeValue::Boolean(false) => {
            field.problem(report, format!("must be {FORM}, got false; write \"off\""))
        }
        _ => table(&field.section(report, FORM)?, report),
    }
}

fn table(section: &Section<'_>, report: &mut Report<'_>) -> Option<Health> {
    KEYS.check(section, report);
    let timing = timing(section, report);
    let probe = match section.read(report, "kind", kind) {
        Given::Wrong => {
            http(section, report);
            return None;
        }
        Given::Absent | Given::Right(Kind::Http) => HealthProbe::Http(http(section, report)?),
        Given::Right(Kind::Tcp) => {
            for key in OF_HTTP {
                if let Some(field) = section.get(report, key) {
                    let message = "belongs to kind = \"http\"; a TCP probe only connects";
                    field.problem::<()>(report, message);
                }
            }
            HealthProbe::Tcp
        }
    };
    Some(Health::On {
        probe,
        timing: timing?,
    })
}

fn kind(field: &Field<'_>, report: &mut Report<'_>) -> Option<Kind> {
    const FORM: &str = "\"http\" or \"tcp\"";
    match field.text(report, FORM)? {
        "http" => Some(Kind::Http),
        "tcp" => Some(Kind::Tcp),
        "off" => field.problem(
            report,
            "must be \"http\" or \"tcp\", got \"off\"; write health = \"off\" instead of the table",
        ),
        other => match nearest(other, &["http", "tcp"]) {
            Some(near) => field.wrong(report, &format!("{FORM} (did you mean \"{near}\"?)")),
            None => field.wrong(report, FORM),
        },
    }
}

pub(super) fn timing(section: &Section<'_>, report: &mut Report<'_>) -> Option<HealthTiming> {
    let time = |it: &Field<'_>, report: &mut Report<'_>| it.duration(report, SHORTEST..=LONGEST);
    let count = |it: &Field<'_>, report: &mut Report<'_>| it.number::<u8>(report, 1..=100);
    let default = HealthTiming::default();
    let interval = section.read(report, "interval", time);
    let fast = section.read(report, "fast", time);
    let timeout = section.read(report, "timeout", time);
    let fall = section.read(report, "fall", count);
    let rise = section.read(report, "rise", count);

    let said = match interval {
        Given::Absent => format!("interval ({}, the default)", show(default.interval)),
        _ => format!("interval ({})", show(interval.or(default.interval))),
    };
    let interval = interval.in_force(default.interval)?;
    let mut sound = true;
    if let (Given::Right(timeout), Some(field)) = (timeout, section.get(report, "timeout"))
        && timeout >= interval
    {
        field.problem::<()>(
            report,
            format!("must be below {said}, got {}", show(timeout)),
        );
        sound = false;
    }
    if let (Given::Right(fast), Some(field)) = (fast, section.get(report, "fast"))
        && fast > interval
    {
        field.problem::<()>(
            report,
            format!("must not be above {said}, got {}", show(fast)),
        );
        sound = false;
    }
    let timing = HealthTiming {
        interval,
        fast: fast.in_force(DEFAULT_FAST.min(interval))?,
        timeout: timeout.in_force(default_timeout(interval))?,
        fall: fall.in_force(default.fall)?,
        rise: rise.in_force(default.rise)?,
    };
    sound.then_some(timing)
}

/// In whole milliseconds, as it is kept and told to others.
pub(super) fn default_timeout(interval: Duration) -> Duration {
    let half = u64::try_from(interval.as_millis() / 2).unwrap_or(u64::MAX);
    DEFAULT_TIMEOUT.min(Duration::from_millis(half))
}

pub(super) fn http(section: &Section<'_>, report: &mut Report<'_>) -> Option<HttpProbe> {
    let path = section.read(report, "path", path);
    let host = section.read(report, "host", host);
    let status = section.read(report, "status", statuses);
    let headers = section.read(report, "headers", headers);
    let body = section.read(report, "body", body);
    Some(HttpProbe {
        path: path.in_force("/".to_owned())?,
        host: match host {
            Given::Wrong => return None,
            host => host.right(),
        },
        status: status.in_force(vec![PASSING])?,
        headers: headers.in_force(BTreeMap::new())?,
        body: match body {
            Given::Wrong => return None,
            body => body.right(),
        },
    })
}

fn path(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "a path with an optional query, like \"/healthz\"";
    let text = field.text(report, FORM)?;
    let sound = text.starts_with('/')
        && text.len() <= 2_048
        && text.bytes().all(|it| it.is_ascii_graphic() && it != b'#')
        && text.parse::<http::uri::PathAndQuery>().is_ok();
    if sound {
        Some(text.to_owned())
    } else if text.contains("://") {
        let hint = "the address is each instance's own; for another Host header add `host`";
        field.problem(
            report,
            format!("must be {FORM}, got {}; {hint}", describe(field.value)),
        )
    } else {
        field.wrong(report, FORM)
    }
}

fn host(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "the Host header to send, like \"example.org\"";
    let text = field.text(report, FORM)?;
    match text.parse::<http::uri::Authority>() {
        Ok(_) if text.len() <= 260 && !text.contains('@') => Some(text.to_owned()),
        _ => field.wrong(report, FORM),
    }
}

fn statuses(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<StatusRange>> {
    let items = field.items(report, "a list, like [200, \"300-399\"]", 1..=32)?;
    let ranges: Vec<_> = items.iter().map(|it| status(it, report)).collect();
    ranges.into_iter().collect()
}

fn status(field: &Field<'_>, report: &mut Report<'_>) -> Option<StatusRange> {
    const FORM: &str = "a status from 100 to 599, or a range like \"200-399\"";
    let range = match field.value {
        DeValue::Integer(it) => it.as_str().parse().ok().map(|it| (it, it)),
        DeValue::String(text) => match text.split_once('-') {
            Some((first, last)) => first.trim().parse().ok().zip(last.trim().parse().ok()),
            None => text.parse().ok().map(|it| (it, it)),
        },
        _ => None,
    };
    match range {
        Some((first, last)) if (100..=599).contains(&first) && (first..=599).contains(&last) => {
            Some(StatusRange { first, last })
        }
        _ => field.wrong(report, FORM),
    }
}

fn headers(field: &Field<'_>, report: &mut Report<'_>) -> Option<BTreeMap<String, String>> {
    let section = field.section(report, "a table of strings, like { server = \"library\" }")?;
    let fields = section.fields(report);
    if fields.len() > 32 {
        return field.problem(
            report,
            format!("at most 32 headers may stand here, got {}", fields.len()),
        );
    }
    let mut all = Some(BTreeMap::new());
    for (name, value) in fields {
        match (header(name, &value, report), all.as_mut()) {
            (Some((name, text)), Some(headers)) => {
                if headers.insert(name.clone(), text).is_some() {
                    let message =
                        format!("`{name}` stands here twice, in capitals and not; leave one out");
                    value.problem::<()>(report, message);
                    all = None;
                }
            }
            _ => all = None,
        }
    }
    all
}

fn header(name: &str, value: &Field<'_>, report: &mut Report<'_>) -> Option<(String, String)> {
    let Ok(name) = http::HeaderName::from_bytes(name.as_bytes()) else {
        return value.problem(report, "is not a header's name: letters, digits and `-`");
    };
    let text = value.text(report, "the header's whole value, as a string")?;
    if text.len() > 1_024 || http::HeaderValue::from_str(text).is_err() {
        return value.wrong(report, "a header's value: one line, at most 1,024 bytes");
    }
    Some((name.as_str().to_owned(), text.to_owned()))
}

fn body(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "text of 1 to 1,024 bytes that the answer must hold";
    let text = field.text(report, FORM)?;
    if text.is_empty() || text.len() > 1_024 {
        return field.wrong(report, FORM);
    }
    Some(text.to_owned())
}
