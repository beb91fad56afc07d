//! `[gateway]`: listeners, certificates and what all requests share.
//!
//! Not here: clashes of listeners with other parts of the settings (`settings`) and with services (`check`).

use super::address;
use super::document::Report;
use super::field::{Field, Given, Section};
use super::key::{Keys, nearest};
use super::settings::path;
use crate::{ClientAuth, GatewaySettings, HttpsListener};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// Of `[gateway]`.
pub(super) const KEYS: Keys = Keys {
    known: &[
        "http",
        "https",
        "certificates",
        "redirect",
        "workers",
        "trusted_proxies",
        "sorry_page",
        "access_log",
        "access_log_size",
    ],
    later: &[],
    below: &[("https", &HTTPS_KEYS)],
};
/// Of a listener in `https` that is written as a table.
pub(super) const HTTPS_KEYS: Keys = Keys::known(&["listen", "client_ca", "client_auth"]);

/// Listeners of one kind.
const MOST_LISTENERS: usize = 16;
/// The smallest and largest `access_log_size`; 0 keeps nothing.
const ACCESS_LOG_SIZES: RangeInclusive<u64> = 0..=1 << 50;
/// Threads that serve.
const MOST_WORKERS: u64 = 256;

/// Fills `to`. Relative paths are taken from `folder`; where a listener is wrong it is left out.
pub(super) fn read(
    section: &Section<'_>,
    report: &mut Report<'_>,
    folder: &Path,
    to: &mut GatewaySettings,
) {
    let file = |it: &Field<'_>, report: &mut Report<'_>| path(it, report).map(|it| folder.join(it));
    let mut http = Vec::new();
    let plain = section.read(report, "http", |it, report| {
        listeners(it, report, &mut http)
    });
    if !plain.is_absent() {
        to.http = http;
    }
    let tls = section.read(report, "https", |it, report| {
        https(it, report, &file, &to.http, &mut to.https)
    });
    if plain == Given::Right(())
        && to.http.is_empty()
        && to.https.is_empty()
        && tls != Given::Wrong
        && let Some(field) = section.get(report, "http")
    {
        let message = "is empty, and so is `https`: a gateway listens somewhere; without one leave \"gateway\" out of `roles`";
        field.problem::<()>(report, message);
    }
    let certificates = section.read(report, "certificates", file);
    let folder_given = !certificates.is_absent();
    to.certificates = certificates.right();
    if let Some(field) = section.get(report, "https")
        && !to.https.is_empty()
        && !folder_given
    {
        let message = "needs `certificates`, the folder of NAME.crt and NAME.key, like certificates = \"/etc/minato/tls/\"";
        field.problem::<()>(report, message);
    }
    if let Some(field) = section.get(report, "certificates")
        && to.https.is_empty()
        && tls != Given::Wrong
    {
        let message = "does nothing without `https`, like https = [\"[::]:443\"]";
        field.problem::<()>(report, message);
    }
    let redirect = section.read(report, "redirect", Field::boolean);
    to.redirect = redirect.or(to.redirect);
    let workers = section.read(report, "workers", |it, report| {
        it.number::<usize>(report, 1..=MOST_WORKERS)
    });
    to.workers = workers.right().and_then(NonZeroUsize::new);
    if let Given::Right(it) = section.read(report, "trusted_proxies", blocks) {
        to.trusted_proxies = it;
    }
    to.sorry_page = section.read(report, "sorry_page", file).right();
    let access_log = section.read(report, "access_log", Field::boolean);
    to.access_log = access_log.or(to.access_log);
    let size = section.read(report, "access_log_size", |it, report| {
        it.size(report, ACCESS_LOG_SIZES)
    });
    to.access_log_bytes = size.or(to.access_log_bytes);
}

/// Fills `all` with the listeners that are right; `None` where one is not.
fn listeners(field: &Field<'_>, report: &mut Report<'_>, all: &mut Vec<SocketAddr>) -> Option<()> {
    let wanted = "a list of addresses, like [\"[::]:80\"]";
    let items = field.items(report, wanted, 0..=MOST_LISTENERS)?;
    for item in &items {
        if let Some(address) = address::listener(item, report)
            && is_free(address, all.iter().copied(), item, report)
        {
            all.push(address);
        }
    }
    (all.len() == items.len()).then_some(())
}

/// As [`listeners`], for those with TLS; `http` are those without.
fn https(
    field: &Field<'_>,
    report: &mut Report<'_>,
    file: &impl Fn(&Field<'_>, &mut Report<'_>) -> Option<PathBuf>,
    http: &[SocketAddr],
    all: &mut Vec<HttpsListener>,
) -> Option<()> {
    let wanted = "a list of addresses, like [\"[::]:443\"]";
    let items = field.items(report, wanted, 1..=MOST_LISTENERS)?;
    for item in &items {
        let listener = match item.value {
            DeValue::Table(_) => asking(item, report, file),
            _ => address::listener(item, report).map(|listen| HttpsListener {
                listen,
                client_auth: ClientAuth::None,
            }),
        };
        let Some(listener) = listener else {
            continue;
        };
        let others = http.iter().copied().chain(all.iter().map(|it| it.listen));
        if is_free(listener.listen, others, item, report) {
            all.push(listener);
        }
    }
    (all.len() == items.len()).then_some(())
}

/// `{ listen = "..", client_ca = ".." }`
fn asking(
    field: &Field<'_>,
    report: &mut Report<'_>,
    file: &impl Fn(&Field<'_>, &mut Report<'_>) -> Option<PathBuf>,
) -> Option<HttpsListener> {
    const FORM: &str =
        "an address, or a table like { listen = \"[::]:443\", client_ca = \"ca.pem\" }";
    let section = field.section(report, FORM)?;
    HTTPS_KEYS.check(&section, report);
    let listen = section.read(report, "listen", address::listener);
    if listen.is_absent() {
        field.problem::<()>(report, "needs `listen`, like listen = \"[::]:443\"");
    }
    let ca = section.read(report, "client_ca", file);
    let demand = section.read(report, "client_auth", demand);
    if ca.is_absent()
        && let Some(field) = section.get(report, "client_auth")
    {
        let message =
            "needs `client_ca`, the PEM file of the authorities that sign clients' certificates";
        return field.problem(report, message);
    }
    let client_auth = match (ca, demand.in_force(Demand::Require)?) {
        (Given::Wrong, _) => return None,
        (Given::Absent, _) => ClientAuth::None,
        (Given::Right(ca), Demand::Request) => ClientAuth::Request { ca },
        (Given::Right(ca), Demand::Require) => ClientAuth::Require { ca },
    };
    Some(HttpsListener {
        listen: listen.right()?,
        client_auth,
    })
}

/// What happens to a client without a certificate.
enum Demand {
    Request,
    Require,
}

fn demand(field: &Field<'_>, report: &mut Report<'_>) -> Option<Demand> {
    const FORM: &str = "\"require\" or \"request\"";
    match field.text(report, FORM)? {
        "require" => Some(Demand::Require),
        "request" => Some(Demand::Request),
        "required" => field.wrong(report, &format!("{FORM} (did you mean \"require\"?)")),
        other => match nearest(other, &["require", "request"]) {
            Some(near) => field.wrong(report, &format!("{FORM} (did you mean \"{near}\"?)")),
            None => field.wrong(report, FORM),
        },
    }
}

/// Whether none of `others` has it; else that is reported.
fn is_free(
    address: SocketAddr,
    mut others: impl Iterator<Item = SocketAddr>,
    field: &Field<'_>,
    report: &mut Report<'_>,
) -> bool {
    let Some(other) = others.find(|it| overlap(*it, address)) else {
        return true;
    };
    let message = format!("{address} is taken by {other} already; leave one of them out");
    field.problem::<()>(report, message);
    false
}

/// Whether the two cannot both be listened on. Port 0 is a new port each time.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || (any && same_family))
}

fn blocks(field: &Field<'_>, report: &mut Report<'_>) -> Option<Vec<(IpAddr, u8)>> {
    let items = field.items(
        report,
        "a list of addresses or blocks, like [\"10.0.0.0/8\"]",
        0..=256,
    )?;
    let mut all = Vec::new();
    for item in &items {
        match address::block(item, report) {
            Some(block) if all.contains(&block) => {
                item.problem::<()>(report, "stands here already; leave one of them out");
            }
            Some(block) => all.push(block),
            None => {}
        }
    }
    (all.len() == items.len()).then_some(all)
}
