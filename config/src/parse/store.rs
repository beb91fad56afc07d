//! `[store]`: where it is, and how etcd is reached.

use super::document::Report;
use super::field::{Field, Given, Section};
use super::key::Keys;
use super::settings::path;
use crate::EtcdSettings;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

/// Of `[store]`.
pub(super) const KEYS: Keys = Keys::known(&[
    "path",
    "etcd",
    "ca",
    "certificate",
    "key",
    "user",
    "password_file",
    "lease",
]);

/// Endpoints of one cluster; etcd advises 7 members at most.
const MOST_ENDPOINTS: usize = 16;
const MOST_NAME: usize = 256;
const FORM: &str = "an endpoint, like \"https://10.0.0.2:2379\"";

/// `None` for the embedded store, and for what is reported as wrong.
pub(super) fn read(
    section: &Section<'_>,
    report: &mut Report<'_>,
    folder: &Path,
) -> Option<EtcdSettings> {
    let file = |it: &Field<'_>, to: &mut Report<'_>| path(it, to).map(|it| folder.join(it));
    let endpoints = section.read(report, "etcd", endpoints);
    let ca = section.read(report, "ca", file);
    let certificate = section.read(report, "certificate", file);
    let key = section.read(report, "key", file);
    let user = section.read(report, "user", name);
    let password = section.read(report, "password_file", file);
    let mut needs = |has: &str, other: &Given<PathBuf>, message: &str| {
        if other.is_absent()
            && let Some(field) = section.get(report, has)
        {
            field.problem::<()>(report, message);
        }
    };
    if endpoints.is_absent() {
        let without = "does nothing without `etcd`, like etcd = [\"https://10.0.0.2:2379\"]";
        for has in &KEYS.known[2..] {
            needs(has, &Given::Absent, without);
        }
        return None;
    }
    needs("certificate", &key, "needs `key`, its private key");
    needs(
        "key",
        &certificate,
        "needs `certificate`, the client certificate that it belongs to",
    );
    needs(
        "user",
        &password,
        "needs `password_file`, a file that holds the password and that only minato's user may read",
    );
    if user.is_absent() {
        needs(
            "password_file",
            &Given::Absent,
            "needs `user`, whose password it is",
        );
    }
    let endpoints = endpoints.right()?;
    if endpoints.iter().all(|it| it.starts_with("http://")) {
        for has in ["ca", "certificate", "key"] {
            needs(
                has,
                &Given::Absent,
                "does nothing for http endpoints; write https in `etcd`",
            );
        }
    }
    Some(EtcdSettings {
        endpoints,
        ca: ca.right(),
        identity: certificate.right().zip(key.right()),
        user: user.right().zip(password.right()),
    })
}

fn endpoints(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<String>> {
    let wanted = "a list of 1 to 16 endpoints, like [\"https://10.0.0.2:2379\"]";
    let items = field.items(report, wanted, 1..=MOST_ENDPOINTS)?;
    let mut all: Vec<String> = Vec::new();
    for item in &items {
        let Some(endpoint) = endpoint(item, report) else {
            continue;
        };
        let scheme = |it: &str| it.split_once(':').map(|(scheme, _)| scheme.to_owned());
        if all.contains(&endpoint) {
            item.problem::<()>(report, "stands here already; leave one of them out");
        } else if let Some(first) = all.first()
            && scheme(first) != scheme(&endpoint)
        {
            let own = scheme(&endpoint).unwrap_or_default();
            let message = format!("is {own} and etcd[0] is not; use https for all");
            item.problem::<()>(report, message);
        } else {
            all.push(endpoint);
        }
    }
    (all.len() == items.len()).then_some(all)
}

fn endpoint(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = field.text(report, FORM)?;
    // Not shown: a password may stand in it.
    if text.contains('@') {
        return field.problem(report, format!("must be {FORM}; a user goes into `user`, its password into the file that `password_file` names"));
    }
    let rest = text
        .strip_prefix("https://")
        .or(text.strip_prefix("http://"));
    if rest.is_some_and(is_authority) {
        return Some(text.to_owned());
    }
    field.wrong(report, FORM)
}

/// `10.0.0.2:2379`, `[fd00::2]:2379`, `etcd-1.example:2379`
fn is_authority(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_port = port.parse::<u16>().is_ok_and(|it| it > 0) && !port.starts_with('+');
    let bracketed = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_host = match bracketed {
        Some(it) => it.parse::<Ipv6Addr>().is_ok(),
        None => {
            let letter = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '.';
            (1..=253).contains(&host.len()) && host.chars().all(letter)
        }
    };
    is_port && is_host
}

fn name(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "a name of 1 to 256 bytes";
    let text = field.text(report, FORM)?;
    if !(1..=MOST_NAME).contains(&text.len()) || text.contains(char::is_control) {
        return field.wrong(report, FORM);
    }
    Some(text.to_owned())
}
