//! What a service file says of a container: `image` and the keys that only stand beside it.

use super::document::Report;
use super::field::{Field, Given, Section, describe};
use super::key::{Keys, nearest};
use crate::{
    Access, BRIDGE_NETWORK, HOST_NETWORK, Image, ImageReference, Mount, Pull, Resources, Secret,
    SecretForm,
};
use std::collections::BTreeMap;
use toml::de::DeValue;

/// Of `resources`.
pub(super) const RESOURCE_KEYS: Keys = Keys::known(&["cpu", "cpu_limit", "memory"]);
/// Of one secret in its long form.
const SECRET_KEYS: Keys = Keys::known(&["name", "as"]);
/// Of one volume in its long form.
const VOLUME_KEYS: Keys = Keys::known(&["name", "access"]);

/// Keys that only an image has.
pub(super) const OF_IMAGE: [&str; 7] = [
    "network",
    "pull",
    "init",
    "user",
    "secrets",
    "volumes",
    "resources",
];

/// Secrets, and volumes, of one service.
const MOST_ITEMS: usize = 64;
/// Thousandths of a processor.
const CPUS: std::ops::RangeInclusive<u32> = 10..=1_024_000;
/// What an engine takes.
const MEMORY: std::ops::RangeInclusive<u64> = 6 << 20..=1 << 44;

/// Everything of the image but its arguments, variables and folder; `None` where a part is wrong.
pub(super) fn read(section: &Section<'_>, report: &mut Report<'_>) -> Option<Image> {
    let reference = section.read(report, "image", reference);
    let network = section.read(report, "network", network);
    let port = section.read(report, "port", |it, to| it.number::<u16>(to, 1..=65_535));
    let pull = section.read(report, "pull", pull);
    let init = section.read(report, "init", |it, to| it.boolean(to));
    let user = section.read(report, "user", user);
    let secrets = section.read(report, "secrets", secrets);
    let volumes = section.read(report, "volumes", volumes);
    let resources = section.read(report, "resources", resources);
    let network = network.in_force(BRIDGE_NETWORK.to_owned());
    let on_host = network.as_deref() == Some(HOST_NETWORK);
    let port = match port {
        Given::Wrong => None,
        Given::Right(_) if on_host => section.get(report, "port").and_then(|it| {
            let message = "in the machine's own network each instance gets a port of its own, as PORT and {port}; leave `port` out";
            it.problem(report, message)
        }),
        Given::Absent if !on_host && network.is_some() => {
            if report.is_whole() && let Some(image) = section.get(report, "image") {
                let message = "needs `port`: where the program in the image listens, like port = 8080";
                image.problem::<()>(report, message);
            }
            None
        }
        port => Some(port.right()),
    };
    Some(Image {
        reference: reference.right()?,
        port: port?,
        network: network?,
        pull: pull.in_force(Pull::default())?,
        init: init.in_force(false)?,
        user: match user {
            Given::Wrong => return None,
            user => user.right(),
        },
        secrets: secrets.in_force(BTreeMap::new())?,
        volumes: volumes.in_force(BTreeMap::new())?,
        resources: resources.in_force(Resources::default())?,
    })
}

fn reference(field: &Field<'_>, report: &mut Report<'_>) -> Option<ImageReference> {
    let text = field.text(report, "an image, like \"registry.example/library:3.2\"")?;
    ImageReference::parse(text).map_or_else(
        |error| field.problem(report, format!("\"{}\" {error}", super::show_text(text))),
        Some,
    )
}

/// A name that the engine takes for networks and that a list of the agent's may hold.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text
            .bytes()
            .next()
            .is_some_and(|it| it.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"_.-".contains(&it))
}

fn network(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "\"bridge\", \"host\", or a network of the engine by its name";
    let text = field.text(report, FORM)?;
    if text == "none" {
        return field.problem(
            report,
            format!("must be {FORM}; without a network nobody can reach it"),
        );
    }
    if !is_name(text) {
        return field.wrong(report, FORM);
    }
    Some(text.to_owned())
}

fn pull(field: &Field<'_>, report: &mut Report<'_>) -> Option<Pull> {
    const FORM: &str = "\"missing\", \"always\" or \"never\"";
    match field.text(report, FORM)? {
        "missing" => Some(Pull::Missing),
        "always" => Some(Pull::Always),
        "never" => Some(Pull::Never),
        other => match nearest(other, &["missing", "always", "never"]) {
            Some(near) => field.wrong(report, &format!("{FORM} (did you mean \"{near}\"?)")),
            None => field.wrong(report, FORM),
        },
    }
}

fn user(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "a user, or user and group, like \"1000:1000\"";
    let text = field.text(report, FORM)?;
    let mut parts = text.split(':');
    let right = parts.by_ref().take(2).all(is_name) && parts.next().is_none();
    if right {
        Some(text.to_owned())
    } else {
        field.wrong(report, FORM)
    }
}

fn secrets(field: &Field<'_>, report: &mut Report<'_>) -> Option<BTreeMap<String, Secret>> {
    let wanted = "a table of names, like { DB_PASSWORD = \"library-db\" }";
    field.table(report, wanted, MOST_ITEMS, |name, value, report| {
        super::backend::check_variable(name, value, report)?;
        let (name, form) = match value.value {
            DeValue::Table(_) => {
                let section = value.section(report, wanted)?;
                SECRET_KEYS.check(&section, report);
                let form = section.read(report, "as", secret_form);
                (
                    named(&section, report, "secret")?,
                    form.in_force(SecretForm::File)?,
                )
            }
            _ => (one_name(value, report, "secret")?, SecretForm::File),
        };
        Some(Secret {
            name,
            as_what: form,
        })
    })
}

fn secret_form(field: &Field<'_>, report: &mut Report<'_>) -> Option<SecretForm> {
    const FORM: &str = "\"file\" or \"variable\"";
    match field.text(report, FORM)? {
        "file" => Some(SecretForm::File),
        "variable" => Some(SecretForm::Variable),
        _ => field.wrong(report, FORM),
    }
}

fn volumes(field: &Field<'_>, report: &mut Report<'_>) -> Option<BTreeMap<String, Mount>> {
    let wanted = "a table of paths inside and names of [agent.docker.volumes], like { \"/data\" = \"library-data\" }";
    field.table(report, wanted, MOST_ITEMS, |path, value, report| {
        let plain =
            path.len() > 1 && path.len() <= 1_024 && path.starts_with('/') && !path.ends_with('/');
        let odd = |it: &str| it.is_empty() || it == "." || it == "..";
        if !plain || path.split('/').skip(1).any(odd) || path.contains([':', '\0', ',']) {
            return value.problem(
                report,
                "the path inside must be absolute and plain, like \"/data\"",
            );
        }
        let (volume, access) = match value.value {
            DeValue::Table(_) => {
                let section = value.section(report, wanted)?;
                VOLUME_KEYS.check(&section, report);
                let access = section.read(report, "access", access);
                (
                    named(&section, report, "volume")?,
                    access.in_force(Access::ReadWrite)?,
                )
            }
            _ => (one_name(value, report, "volume")?, Access::ReadWrite),
        };
        Some(Mount { volume, access })
    })
}

fn access(field: &Field<'_>, report: &mut Report<'_>) -> Option<Access> {
    const FORM: &str = "\"rw\" or \"ro\"";
    match field.text(report, FORM)? {
        "rw" => Some(Access::ReadWrite),
        "ro" => Some(Access::ReadOnly),
        _ => field.wrong(report, FORM),
    }
}

fn named(section: &Section<'_>, report: &mut Report<'_>, what: &str) -> Option<String> {
    match section.read(report, "name", |it, to| one_name(it, to, what)) {
        Given::Right(name) => Some(name),
        Given::Wrong => None,
        Given::Absent => {
            report.problem(
                section.line,
                &section.path,
                format!("needs `name`, the {what}'s"),
            );
            None
        }
    }
}

fn one_name(field: &Field<'_>, report: &mut Report<'_>, what: &str) -> Option<String> {
    let form = match what {
        "volume" => {
            "the name of a volume, which [agent.docker.volumes] of the machine leads to a folder"
                .to_owned()
        }
        _ => format!("the name of a {what}: letters, digits, `.`, `_` and `-`"),
    };
    let text = field.text(report, &form)?;
    if !is_name(text) {
        return field.wrong(report, &form);
    }
    Some(text.to_owned())
}

fn resources(field: &Field<'_>, report: &mut Report<'_>) -> Option<Resources> {
    let section = field.section(report, "a table, like { cpu = 0.5, memory = \"512MiB\" }")?;
    RESOURCE_KEYS.check(&section, report);
    let cpu = section.read(report, "cpu", processors);
    let limit = section.read(report, "cpu_limit", processors);
    let memory = section.read(report, "memory", |it, to| it.size(to, MEMORY));
    let whole = |it: Given<u32>| match it {
        Given::Wrong => None,
        it => Some(it.right()),
    };
    Some(Resources {
        cpu_milli: whole(cpu)?,
        cpu_limit_milli: whole(limit)?,
        memory_bytes: match memory {
            Given::Wrong => return None,
            memory => memory.right(),
        },
    })
}

/// A number of processors, in thousandths.
fn processors(field: &Field<'_>, report: &mut Report<'_>) -> Option<u32> {
    let wanted = "a number of processors from 0.01 to 1024, like 0.5";
    let text = match field.value {
        DeValue::Integer(it) if it.radix() == 10 => it.as_str(),
        DeValue::Float(it) => it.as_str(),
        other => {
            let message = format!("must be {wanted}, got {}", describe(other));
            return field.problem(report, message);
        }
    };
    match milli(text).filter(|it| CPUS.contains(it)) {
        Some(it) => Some(it),
        None => field.wrong(report, wanted),
    }
}

/// `0.5` as 500; at most three digits after the point count.
fn milli(text: &str) -> Option<u32> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let part: u32 = format!("{part:0<3}").parse().ok()?;
    whole
        .parse::<u32>()
        .ok()?
        .checked_mul(1_000)?
        .checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::milli;

    #[test]
    fn processors_in_thousandths() {
        for (text, expected) in [
            ("2", Some(2_000)),
            ("0.5", Some(500)),
            ("+1.25", Some(1_250)),
            ("0.001", Some(1)),
            ("0.0001", None),
            ("1e3", None),
            ("-1", None),
            ("inf", None),
            ("99999999", None),
        ] {
            assert_eq!(milli(text), expected, "{text}");
        }
    }
}
