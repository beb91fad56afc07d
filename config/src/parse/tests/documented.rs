//! docs/configuration.md says what the code does.

use super::*;
use crate::{Health, HealthTiming, Limits, StopPolicy, Timeouts};

const TEXT: &str = include_str!("../../../../docs/configuration.md");

/// The cells of the table row of `key`.
#[track_caller]
fn row(key: &str) -> Vec<&'static str> {
    let begin = format!("| `{key}` |");
    let row = TEXT.lines().find(|it| it.starts_with(&begin));
    let row = row.unwrap_or_else(|| panic!("docs/configuration.md has no row `{key}`"));
    row.split('|').map(str::trim).collect()
}

#[test]
fn every_key_has_a_row_and_every_row_a_key() {
    let tables: [(&str, &key::Keys); 30] = [
        ("", &settings::KEYS),
        ("store.", &store::KEYS),
        ("gateway.", &gateway::KEYS),
        ("gateway.https.", &gateway::HTTPS_KEYS),
        ("agent.", &settings::AGENT_KEYS),
        ("agent.docker.", &docker::KEYS),
        ("agent.overcommit.", &label::OVERCOMMIT_KEYS),
        ("control.", &control::KEYS),
        ("entrance.", &entrance::KEYS),
        ("entrance.dns.NAME.", &entrance::DNS_KEYS),
        ("entrance.dns.NAME.key.", &entrance::KEY_KEYS),
        ("entrance.hook.NAME.", &entrance::HOOK_KEYS),
        ("hooks.", &hooks::KEYS),
        ("hooks.run.NAME.", &hooks::RUN_KEYS),
        ("admin.", &settings::ADMIN_KEYS),
        ("dependencies.NAME.", &dependency::KEYS),
        ("sites.NAME.", &link::SITE_KEYS),
        ("link.", &link::KEYS),
        ("link.streams.NAME.", &link::STREAM_KEYS),
        ("at.SITE.", &sites::AT_KEYS),
        ("switch.", &sites::SWITCH_KEYS),
        ("", &service::KEYS),
        ("health.", &health::KEYS),
        ("tls.", &upstream::TLS_KEYS),
        ("limits.", &limit::LIMIT_KEYS),
        ("timeouts.", &limit::TIMEOUT_KEYS),
        ("stop.", &backend::STOP_KEYS),
        ("resources.", &image::RESOURCE_KEYS),
        ("replicas.", &replicas::KEYS),
        ("update.", &update::KEYS),
    ];
    let parts = [
        "store",
        "gateway",
        "agent",
        "control",
        "entrance",
        "hooks",
        "admin",
        "dependencies",
        "link",
        "at",
        "switch",
        "health",
        "limits",
        "timeouts",
        "stop",
        "resources",
        "route",
        "update",
    ];
    let mut known: Vec<String> = Vec::new();
    for (path, keys) in tables {
        let is_table = |it: &&str| match path {
            // `sites` is a table of minato.toml and a key of a service file, which has a row.
            "" => parts.contains(it),
            "agent." => matches!(*it, "overcommit" | "docker"),
            "entrance." => matches!(*it, "dns" | "hook"),
            "hooks." => *it == "run",
            "entrance.dns.NAME." => *it == "key",
            "link." => *it == "streams",
            _ => false,
        };
        let own = keys.known.iter().filter(|it| !is_table(it));
        known.extend(own.map(|it| format!("{path}{it}")));
        for (later, _) in keys.later {
            let last = TEXT.split("## Not served").last().unwrap();
            assert!(last.contains(later), "`{later}` is not named as not served");
        }
    }
    known.extend(route::KEYS.known.iter().map(|it| format!("route.{it}")));
    for key in &known {
        row(key);
    }
    let rows = TEXT
        .lines()
        .filter_map(|it| it.strip_prefix("| `")?.split_once('`'));
    for (key, _) in rows {
        assert!(
            known.iter().any(|it| it == key),
            "`{key}` stands in the text only"
        );
    }
}

#[test]
fn defaults_are_those_of_the_code() {
    let settings = Settings::default();
    let show = |it| format!("`\"{}\"`", duration::show(it));
    let quote = |it: &dyn ToString| format!("`\"{}\"`", it.to_string());
    let (timing, stop) = (HealthTiming::default(), StopPolicy::default());
    let (limits, timeouts) = (Limits::default(), Timeouts::default());
    let service = library("command = [\"a\"]").unwrap();
    assert_eq!(service.health, health::default());
    assert!(matches!(&service.health, Health::On { timing: it, .. } if *it == timing));
    let ports = settings.agent.ports;
    let docker = crate::DockerSettings::default();
    for (key, default) in [
        ("site", quote(&settings.site)),
        ("services", quote(&settings.services.display())),
        ("store.path", quote(&settings.data.display())),
        (
            "gateway.http",
            format!("`[\"{}\"]`", settings.gateway.http[0]),
        ),
        (
            "gateway.redirect",
            format!("`{}`", settings.gateway.redirect),
        ),
        (
            "gateway.access_log",
            format!("`{}`", settings.gateway.access_log),
        ),
        (
            "gateway.access_log_size",
            format!("`\"{}\"`", size::show(settings.gateway.access_log_bytes)),
        ),
        (
            "agent.ports",
            format!("`\"{}-{}\"`", ports.first, ports.last),
        ),
        (
            "agent.log_size",
            format!("`\"{}\"`", size::show(settings.agent.log_bytes)),
        ),
        ("agent.docker.socket", quote(&docker.socket.display())),
        ("agent.docker.secrets", quote(&docker.secrets.display())),
        (
            "agent.docker.free_space",
            format!("`\"{}\"`", size::show(docker.free_bytes)),
        ),
        ("agent.docker.reap", "`\"on\"`".to_owned()),
        ("agent.advertise", quote(&settings.agent.advertise)),
        (
            "agent.overcommit.cpu",
            format!(
                "`{:.1}`",
                f64::from(settings.agent.overcommit.cpu_percent) / 100.0
            ),
        ),
        (
            "agent.overcommit.memory",
            format!(
                "`{:.1}`",
                f64::from(settings.agent.overcommit.memory_percent) / 100.0
            ),
        ),
        ("admin.listen", quote(&settings.admin)),
        ("replicas", format!("`{}`", service.replicas)),
        ("retries", format!("`{}`", service.retries)),
        ("stop.drain", show(stop.drain)),
        ("stop.grace", show(stop.grace)),
        ("health.interval", show(timing.interval)),
        ("health.fast", show(timing.fast)),
        ("health.timeout", show(timing.timeout)),
        ("health.fall", format!("`{}`", timing.fall)),
        ("health.rise", format!("`{}`", timing.rise)),
        (
            "health.status",
            format!("`[\"{}-{}\"]`", health::PASSING.first, health::PASSING.last),
        ),
        ("limits.in_flight", format!("`{}`", limits.in_flight)),
        ("limits.queue", format!("`{}`", limits.queue)),
        ("limits.queue_timeout", show(limits.queue_timeout)),
        ("limits.body", format!("`{}`", limits.body_bytes)),
        ("limits.connections", format!("`{}`", limits.connections)),
        ("limits.idle", format!("`{}`", limits.idle)),
        ("timeouts.connect", show(timeouts.connect)),
        ("timeouts.first_byte", show(timeouts.first_byte)),
        ("timeouts.idle", show(timeouts.idle)),
        ("timeouts.tunnel", show(timeouts.tunnel)),
    ] {
        let cell = row(key)[3];
        assert!(
            cell.starts_with(&default),
            "{key}: the text says {cell}, the code {default}"
        );
    }
}

#[test]
fn the_examples_in_the_text_are_right() {
    let blocks: Vec<_> = TEXT
        .split("```toml\n")
        .skip(1)
        .filter_map(|it| it.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 6);
    let is_settings = |it: &str| {
        it.contains("[dependencies.") || it.contains("[store]") || it.contains("[hooks]")
    };
    let (settings, services): (Vec<&str>, Vec<&str>) =
        blocks.into_iter().partition(|it| is_settings(it));
    assert_eq!(settings.len(), 3);
    settings.into_iter().for_each(|it| {
        minato(it).unwrap();
    });
    for block in services {
        let command = if block.contains("image ") {
            ""
        } else {
            "command = [\"a\"]\n"
        };
        library(&format!("{command}{block}")).unwrap();
    }
}
