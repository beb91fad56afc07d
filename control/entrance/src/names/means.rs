//! By what a name is moved, and how that is called in events and in the status.

use minato_config::{DnsSettings, EntranceHook, HookTarget};

#[derive(Debug)]
pub(super) enum Means {
    Dns(DnsSettings),
    Hook(EntranceHook),
}

impl std::fmt::Display for Means {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(it) => {
                let servers: Vec<String> = it.servers.iter().map(ToString::to_string).collect();
                write!(f, "{} at {}", it.name, servers.join(", "))
            }
            Self::Hook(it) => match &it.to {
                HookTarget::Command(command) => {
                    f.write_str(command.first().map_or("", String::as_str))
                }
                // The query may hold what is not for everybody.
                HookTarget::Webhook { url, .. } => {
                    f.write_str(url.split('?').next().unwrap_or_default())
                }
            },
        }
    }
}
