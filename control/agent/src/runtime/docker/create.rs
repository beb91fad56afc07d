//! From an order to what the engine is told to make. Pure.

use crate::runtime::RunOrder;
use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, HostConfig, HostConfigLogConfig, Mount, MountType,
    PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use minato_config::{Image, Resources};
use std::collections::HashMap;
use std::net::IpAddr;

/// One processor's share while processors are contended.
const SHARES: i64 = 1_024;
/// Microseconds over which processor time is counted.
const PERIOD: i64 = 100_000;
/// Memory of a container that may have all: an engine takes no word for that once there was a limit, but any number.
pub(super) const ALL_MEMORY: i64 = 1 << 60;
/// Bytes of one of the engine's two log files of a container, at least.
const LEAST_LOG: u64 = 16 * 1024;

/// What stands beside the order.
#[derive(Debug, Clone)]
pub(super) struct Parts<'a> {
    /// The very image, by its id.
    pub(super) image_id: &'a str,
    pub(super) labels: HashMap<String, String>,
    /// Host folders or files, by their path inside, and whether they may only be read.
    pub(super) mounts: Vec<(String, String, bool)>,
    /// Beside the order's own.
    pub(super) variables: Vec<(String, String)>,
    /// Where the port is published.
    pub(super) address: IpAddr,
    pub(super) log_bytes: u64,
}

pub(super) fn body(order: &RunOrder, image: &Image, parts: Parts<'_>) -> ContainerCreateBody {
    let command = &order.command;
    let port = image.port.unwrap_or(order.port);
    let fill = |text: &String| text.replace("{port}", &port.to_string());
    let argv: Vec<String> = command.argv.iter().map(fill).collect();
    let mut env: Vec<String> = vec![format!("PORT={port}")];
    let own = command
        .env
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    env.extend(
        own.chain(parts.variables)
            .map(|(name, value)| format!("{name}={value}")),
    );
    let published = image.port.map(|port| format!("{port}/tcp"));
    let binding = PortBinding {
        host_ip: Some(parts.address.to_string()),
        host_port: Some(order.port.to_string()),
    };
    let half = (parts.log_bytes / 2).max(LEAST_LOG);
    let log = [("max-size", half.to_string()), ("max-file", "2".to_owned())];
    let mounts = parts
        .mounts
        .into_iter()
        .map(|(source, target, read_only)| Mount {
            source: Some(source),
            target: Some(target),
            typ: Some(MountType::BIND),
            read_only: Some(read_only),
            ..Default::default()
        });
    let limits = limits(image.resources);
    ContainerCreateBody {
        image: Some(parts.image_id.to_owned()),
        cmd: Some(argv).filter(|it| !it.is_empty()),
        env: Some(env),
        user: image.user.clone(),
        working_dir: command.directory.clone(),
        labels: Some(parts.labels),
        exposed_ports: published.clone().map(|it| vec![it]),
        host_config: Some(HostConfig {
            network_mode: Some(image.network.clone()),
            port_bindings: published.map(|it| [(it, Some(vec![binding]))].into()),
            mounts: Some(mounts.collect()),
            init: Some(image.init),
            // Restarting is the agent's, which counts and tells.
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(log.map(|(key, value)| (key.to_owned(), value)).into()),
            }),
            cpu_shares: limits.cpu_shares,
            cpu_period: limits.cpu_period,
            cpu_quota: limits.cpu_quota,
            memory: limits.memory.filter(|it| *it < ALL_MEMORY),
            memory_swap: limits.memory_swap.filter(|it| *it < ALL_MEMORY),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Every limit, those that are not given as well: what is left out would stay as it was.
pub(super) fn limits(resources: Resources) -> ContainerUpdateBody {
    let Resources {
        cpu_milli,
        cpu_limit_milli,
        memory_bytes,
    } = resources;
    let memory = memory_bytes.map_or(ALL_MEMORY, |it| i64::try_from(it).unwrap_or(ALL_MEMORY));
    ContainerUpdateBody {
        cpu_shares: Some(cpu_milli.map_or(SHARES, |it| {
            (i64::from(it) * SHARES / 1_000).clamp(2, 262_144)
        })),
        cpu_period: Some(PERIOD),
        cpu_quota: Some(cpu_limit_milli.map_or(-1, |it| i64::from(it) * PERIOD / 1_000)),
        memory: Some(memory),
        memory_swap: Some(memory),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_told_to_the_engine() {
        let free = limits(Resources::default());
        assert_eq!((free.cpu_shares, free.cpu_quota), (Some(1_024), Some(-1)));
        assert_eq!(
            (free.memory, free.memory_swap),
            (Some(ALL_MEMORY), Some(ALL_MEMORY))
        );
        let some = limits(Resources {
            cpu_milli: Some(500),
            cpu_limit_milli: Some(1_500),
            memory_bytes: Some(64 << 20),
        });
        assert_eq!(
            (some.cpu_shares, some.cpu_quota),
            (Some(512), Some(150_000))
        );
        assert_eq!(
            (some.memory, some.memory_swap),
            (Some(64 << 20), Some(64 << 20))
        );
        let least = limits(Resources {
            cpu_milli: Some(1),
            ..Default::default()
        });
        assert_eq!(least.cpu_shares, Some(2));
    }
}
