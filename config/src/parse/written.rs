//! A service as the text of a file that says the same.
//!
//! What comes over a link was checked by whoever sent it, which says nothing. Written out and read again it passes everything that a
//! service file passes, and what no file can say shows as a difference.

use super::duration;
use crate::{
    Access, Backend, Command, Consent, Health, HealthProbe, HealthTiming, HttpProbe, Image, Limits,
    Pull, Resources, RouteAction, Scale, SecretForm, Service, Sites, Standby, StatusRange,
    StopPolicy, Timeouts, UpdateOrder, UpdatePolicy, UpstreamProtocol, UpstreamTls, Verify,
};
use std::fmt::{self, Display};
use std::time::Duration;

/// One value of TOML, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    /// A number or a truth, as it is.
    Bare(String),
    List(Vec<Value>),
    Table(Vec<(String, Value)>),
}

/// A key of the file with its value.
pub(super) type Line = (&'static str, String);

/// The lines of a file that says what `service` is, every number spelled out. Where [`Service::at`] put a site's own figures is no part of
/// a file: take it back before.
pub(super) fn lines(service: &Service) -> Vec<Line> {
    let mut all: Vec<(&'static str, Value)> = Vec::new();
    match &service.backend {
        Backend::Command(command) => {
            all.extend(of_command(command));
            all.push((
                "replicas",
                replicas(service.replicas, service.scale.as_ref()),
            ));
        }
        Backend::Endpoints(addresses) => all.push(("endpoints", texts(addresses))),
    }
    let routes = service.routes.iter().map(|it| {
        let mut parts = vec![part("match", text(&it.pattern))];
        parts.push(match &it.action {
            RouteAction::Forward { strip } => part("strip", bare(strip)),
            RouteAction::Redirect { to } => part("redirect", text(to)),
        });
        Value::Table(parts)
    });
    all.push(("route", Value::List(routes.collect())));
    all.push(("health", health(&service.health)));
    all.push((
        "protocol",
        text(match service.upstream.protocol {
            UpstreamProtocol::Http1 => "http1",
            UpstreamProtocol::Http2 => "h2",
        }),
    ));
    all.push((
        "tls",
        service.upstream.tls.as_ref().map_or(bare(false), tls),
    ));
    all.push(("limits", limits(&service.limits)));
    all.push(("timeouts", timeouts(&service.timeouts)));
    all.push(("retries", bare(service.retries)));
    if !service.nodes.is_empty() {
        let labels = service.nodes.iter();
        all.push(("nodes", table(labels.map(|(name, it)| (name, text(it))))));
    }
    if !service.update.is_default() {
        all.push(("update", update(&service.update)));
    }
    all.push(("depends_on", texts(&service.depends_on)));
    if let Some(sites) = &service.sites {
        all.extend(of_sites(sites));
    }
    all.into_iter()
        .map(|(key, value)| (key, format!("{key} = {value}")))
        .collect()
}

fn of_command(command: &Command) -> Vec<(&'static str, Value)> {
    let mut all = Vec::new();
    if !command.argv.is_empty() || command.image.is_none() {
        all.push(("command", texts(&command.argv)));
    }
    if !command.env.is_empty() {
        let env = command.env.iter();
        all.push(("env", table(env.map(|(name, it)| (name, text(it))))));
    }
    all.extend(command.directory.iter().map(|it| ("directory", text(it))));
    all.extend(command.port.map(|it| ("port", bare(it))));
    let StopPolicy { drain, grace } = &command.stop;
    let stop = vec![part("drain", time(*drain)), part("grace", time(*grace))];
    all.push(("stop", Value::Table(stop)));
    if let Some(image) = &command.image {
        all.extend(of_image(image));
    }
    all
}

fn of_image(image: &Image) -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("image", text(&image.reference)),
        ("network", text(&image.network)),
        (
            "pull",
            text(match image.pull {
                Pull::Missing => "missing",
                Pull::Always => "always",
                Pull::Never => "never",
            }),
        ),
        ("init", bare(image.init)),
    ];
    all.extend(image.port.map(|it| ("port", bare(it))));
    all.extend(image.user.iter().map(|it| ("user", text(it))));
    let secrets = image.secrets.iter().map(|(name, it)| {
        let form = match it.as_what {
            SecretForm::File => "file",
            SecretForm::Variable => "variable",
        };
        let parts = vec![part("name", text(&it.name)), part("as", text(form))];
        (name, Value::Table(parts))
    });
    all.push(("secrets", table(secrets)));
    let volumes = image.volumes.iter().map(|(path, it)| {
        let access = match it.access {
            Access::ReadWrite => "rw",
            Access::ReadOnly => "ro",
        };
        let parts = vec![part("name", text(&it.volume)), part("access", text(access))];
        (path, Value::Table(parts))
    });
    all.push(("volumes", table(volumes)));
    let Resources {
        cpu_milli,
        cpu_limit_milli,
        memory_bytes,
    } = image.resources;
    let cpu = |key: &str, it: Option<u32>| it.map(|it| part(key, decimal(it, 1_000)));
    let memory = |key: &str, it: Option<u64>| it.map(|it| part(key, size(it)));
    let resources = [
        cpu("cpu", cpu_milli),
        cpu("cpu_limit", cpu_limit_milli),
        cpu("cpu_max", image.ceiling.cpu_milli),
        memory("memory", memory_bytes),
        memory("memory_max", image.ceiling.memory_bytes),
    ];
    let resources = resources.into_iter().flatten().collect();
    all.push(("resources", Value::Table(resources)));
    all
}

fn replicas(least: u16, scale: Option<&Scale>) -> Value {
    let Some(scale) = scale else {
        return bare(least);
    };
    let mut parts = vec![part("min", bare(least)), part("max", bare(scale.max))];
    parts.extend(scale.in_flight.map(|it| part("in_flight", bare(it))));
    parts.extend(scale.p95.map(|it| part("p95", time(it))));
    parts.extend(scale.cpu_percent.map(|it| part("cpu", decimal(it, 100))));
    Value::Table(parts)
}

fn health(health: &Health) -> Value {
    let Health::On { probe, timing } = health else {
        return text("off");
    };
    let mut parts = match probe {
        HealthProbe::Tcp => vec![part("kind", text("tcp"))],
        HealthProbe::Http(probe) => http(probe),
    };
    let HealthTiming {
        interval,
        fast,
        timeout,
        fall,
        rise,
    } = timing;
    parts.push(part("interval", time(*interval)));
    parts.push(part("fast", time(*fast)));
    // What is filled in may be shorter than what may be written.
    if *timeout != super::health::default_timeout(*interval) {
        parts.push(part("timeout", time(*timeout)));
    }
    parts.push(part("fall", bare(fall)));
    parts.push(part("rise", bare(rise)));
    Value::Table(parts)
}

fn http(probe: &HttpProbe) -> Vec<(String, Value)> {
    let mut parts = vec![part("path", text(&probe.path))];
    parts.extend(probe.host.iter().map(|it| part("host", text(it))));
    let status = probe
        .status
        .iter()
        .map(|StatusRange { first, last }| text(format!("{first}-{last}")));
    parts.push(part("status", Value::List(status.collect())));
    if !probe.headers.is_empty() {
        let headers = probe.headers.iter();
        let headers = table(headers.map(|(name, it)| (name, text(it))));
        parts.push(part("headers", headers));
    }
    parts.extend(probe.body.iter().map(|it| part("body", text(it))));
    parts
}

fn tls(tls: &UpstreamTls) -> Value {
    let mut parts = vec![part("verify", bare(tls.verify == Verify::On))];
    let ca = tls.ca.iter();
    parts.extend(ca.map(|it| part("ca", text(it.display()))));
    parts.extend(tls.sni.iter().map(|it| part("sni", text(it))));
    Value::Table(parts)
}

fn limits(limits: &Limits) -> Value {
    Value::Table(vec![
        part("in_flight", bare(limits.in_flight)),
        part("queue", bare(limits.queue)),
        part("queue_timeout", time(limits.queue_timeout)),
        part("body", size(limits.body_bytes)),
        part("connections", bare(limits.connections)),
        part("idle", bare(limits.idle)),
    ])
}

fn timeouts(timeouts: &Timeouts) -> Value {
    Value::Table(vec![
        part("connect", time(timeouts.connect)),
        part("first_byte", time(timeouts.first_byte)),
        part("idle", time(timeouts.idle)),
        part("tunnel", time(timeouts.tunnel)),
    ])
}

fn update(update: &UpdatePolicy) -> Value {
    let order = match update.order {
        UpdateOrder::StartFirst => "start-first",
        UpdateOrder::StopFirst => "stop-first",
    };
    Value::Table(vec![
        part("healthy", time(update.healthy)),
        part("deadline", time(update.deadline)),
        part("parallel", bare(update.parallel)),
        part("order", text(order)),
    ])
}

fn of_sites(sites: &Sites) -> Vec<(&'static str, Value)> {
    let standby = match sites.standby {
        Standby::Active => "active",
        Standby::Warm => "warm",
        Standby::Cold => "cold",
    };
    let consent = |it: Consent| match it {
        Consent::Auto => text("auto"),
        Consent::Ask => text("ask"),
    };
    let mut all = vec![
        ("sites", texts(&sites.order)),
        ("standby", text(standby)),
        ("failover", consent(sites.failover)),
        ("failback", consent(sites.failback)),
        ("rto", time(sites.targets.rto)),
        ("rpo", time(sites.targets.rpo)),
    ];
    if !sites.at.is_empty() {
        let at = sites.at.iter().map(|(site, it)| {
            let replicas = it.replicas.map(|it| part("replicas", bare(it)));
            (site, Value::Table(replicas.into_iter().collect()))
        });
        all.push(("at", table(at)));
    }
    if let Some(sync) = &sites.sync {
        all.push(("switch", Value::Table(vec![part("sync", text(sync))])));
    }
    all
}

fn part(key: &str, value: Value) -> (String, Value) {
    (key.to_owned(), value)
}

fn text(it: impl Display) -> Value {
    Value::Text(it.to_string())
}

fn bare(it: impl Display) -> Value {
    Value::Bare(it.to_string())
}

fn time(it: Duration) -> Value {
    text(duration::show(it))
}

/// In bytes: TOML's numbers end before ours.
fn size(it: u64) -> Value {
    text(format!("{it}B"))
}

/// `it` parts of `of`, which is a power of ten.
fn decimal(it: u32, of: u32) -> Value {
    let digits = of.to_string().len() - 1;
    bare(format!("{}.{:0digits$}", it / of, it % of))
}

fn texts<T: Display>(all: impl IntoIterator<Item = T>) -> Value {
    Value::List(all.into_iter().map(text).collect())
}

fn table<K: Display>(all: impl Iterator<Item = (K, Value)>) -> Value {
    Value::Table(all.map(|(key, value)| (key.to_string(), value)).collect())
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(it) => quote(it, f),
            Self::Bare(it) => f.write_str(it),
            Self::List(items) => {
                f.write_str("[")?;
                for it in items {
                    write!(f, "{it}, ")?;
                }
                f.write_str("]")
            }
            Self::Table(parts) => {
                f.write_str("{ ")?;
                for (n, (key, value)) in parts.iter().enumerate() {
                    if n > 0 {
                        f.write_str(", ")?;
                    }
                    quote(key, f)?;
                    write!(f, " = {value}")?;
                }
                f.write_str(" }")
            }
        }
    }
}

fn quote(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for it in text.chars() {
        match it {
            '"' | '\\' => write!(f, "\\{it}")?,
            it if it.is_control() => write!(f, "\\u{:04X}", u32::from(it))?,
            it => write!(f, "{it}")?,
        }
    }
    f.write_str("\"")
}
