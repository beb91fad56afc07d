//! What changed in a file, in a few words.

use minato_config::{Backend, Service, ServiceRecord};

/// `replicas 2 -> 4, routes`; never empty.
pub(super) fn changes(old: &ServiceRecord, new: &ServiceRecord) -> String {
    let (a, b): (&Service, &Service) = (&old.service, &new.service);
    let mut words = Vec::new();
    let mut note = |differs: bool, word: &str| {
        if differs {
            words.push(word.to_owned());
        }
    };
    match (&a.backend, &b.backend) {
        (Backend::Command(a), Backend::Command(b)) => {
            note(a.argv != b.argv, "command");
            note(a.env != b.env, "env");
            note(a.directory != b.directory, "directory");
            note(a.port != b.port, "port");
            note(a.stop != b.stop, "stop");
            note(a.resources() != b.resources(), "resources");
            match (&a.image, &b.image) {
                (Some(a), Some(b)) => {
                    let image = format!("image {} -> {}", a.reference, b.reference);
                    note(a.reference != b.reference, &image);
                    note(a.port != b.port, "port");
                    note(a.network != b.network, "network");
                    note(
                        (a.pull, a.init, &a.user) != (b.pull, b.init, &b.user),
                        "how its image is run",
                    );
                    note(a.secrets != b.secrets, "secrets");
                    note(a.volumes != b.volumes, "volumes");
                }
                (None, None) => {}
                (None, Some(_)) => note(true, "an image instead of a process"),
                (Some(_), None) => note(true, "a process instead of an image"),
            }
        }
        (Backend::Endpoints(a), Backend::Endpoints(b)) => note(a != b, "endpoints"),
        (Backend::Command(_), Backend::Endpoints(_)) => {
            note(true, "endpoints instead of a command");
        }
        (Backend::Endpoints(_), Backend::Command(_)) => {
            note(true, "a command instead of endpoints");
        }
    }
    let replicas = format!("replicas {} -> {}", replicas(a), replicas(b));
    note((a.replicas, &a.scale) != (b.replicas, &b.scale), &replicas);
    note(a.routes != b.routes, "routes");
    note(a.health != b.health, "health");
    note(a.upstream.protocol != b.upstream.protocol, "protocol");
    note(a.upstream.tls != b.upstream.tls, "tls");
    note(a.limits != b.limits, "limits");
    note(a.timeouts != b.timeouts, "timeouts");
    note(a.retries != b.retries, "retries");
    note(old.source != new.source, "its file");
    if words.is_empty() {
        "changed".to_owned()
    } else {
        words.join(", ")
    }
}

fn replicas(service: &Service) -> String {
    match &service.scale {
        Some(scale) => scale.text(service.replicas),
        None => service.replicas.to_string(),
    }
}
