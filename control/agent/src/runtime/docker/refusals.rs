//! What the engine's and a registry's words mean for an operator: whose fault it is, and what to do. Pure.

use super::engine::EngineError;
use crate::runtime::{RunName, RuntimeError};
use minato_config::ImageReference;
use std::io;

/// Bytes of the engine's own words that are passed on.
const LONGEST: usize = 400;

/// A request about a run that came to nothing.
pub(super) fn failed(doing: String, error: EngineError) -> RuntimeError {
    match error {
        EngineError::Away(why) => RuntimeError::Away(why),
        EngineError::Missing(why) | EngineError::Conflict(why) | EngineError::Refused(why) => {
            RuntimeError::Machine {
                doing,
                cause: io::Error::other(short(&why)),
            }
        }
    }
}

/// A container that could not be made or started.
pub(super) fn not_started(run: &RunName, port: u16, error: EngineError) -> RuntimeError {
    let (EngineError::Missing(why) | EngineError::Conflict(why) | EngineError::Refused(why)) =
        &error
    else {
        return failed(String::new(), error);
    };
    let has = |words: &[&str]| words.iter().any(|it| why.contains(it));
    let field = |field, advice: &str| RuntimeError::Field {
        field,
        why: format!("{}; {advice}", short(why)),
    };
    if has(&["no space left on device"]) {
        return RuntimeError::Machine {
            doing: format!("starting {run}"),
            cause: io::Error::other(
                "the engine's disk is full; `docker system df` shows what takes it",
            ),
        };
    }
    if has(&["port is already allocated", "address already in use"]) {
        return RuntimeError::Port(format!(
            "port {port} of this node is taken; `ss -ltnp sport = :{port}` and `docker ps --filter publish={port}` name by whom"
        ));
    }
    if has(&["No command specified", "no command specified"]) {
        return field(
            "command",
            "the image says nothing of what to start: write `command`",
        );
    }
    if has(&[
        "executable file not found",
        "no such file or directory: unknown",
    ]) {
        return field(
            "command",
            "the program is not in the image: correct `command`, or take it out for the image's own",
        );
    }
    if has(&["exec format error"]) {
        return field(
            "image",
            "it is made for other processors: build it for this node's",
        );
    }
    if has(&["permission denied: unknown"]) {
        return field(
            "command",
            "the program in the image may not be executed: correct `command` or the image",
        );
    }
    if has(&["bind source path does not exist"]) {
        return field(
            "volumes",
            "make that folder on this node, or correct [agent.docker.volumes]",
        );
    }
    if has(&[
        "unable to find user",
        "unable to find group",
        "no matching entries in passwd",
    ]) {
        return field("user", "name one that the image has, or its number");
    }
    if why.starts_with("network ") && has(&["not found"]) {
        return field(
            "network",
            "make it with `docker network create`, or choose another",
        );
    }
    failed(format!("starting {run}"), error)
}

/// An image that could not be fetched. `login`: whether one was sent along.
pub(super) fn not_fetched(
    image: &ImageReference,
    login: Login,
    error: EngineError,
) -> RuntimeError {
    let registry = image.registry();
    let (EngineError::Missing(why) | EngineError::Conflict(why) | EngineError::Refused(why)) =
        error
    else {
        return failed(String::new(), error);
    };
    let advice = match meaning(&why) {
        Meaning::Full => {
            "the engine's disk is full: `docker system df` shows what takes it".to_owned()
        }
        Meaning::Busy => format!("{registry} allows no more for now: log in, or wait"),
        Meaning::Denied => match login {
            Login::Sent => format!(
                "{registry} refuses this login, or has no such image: check the login with `docker login {registry}` and the image's name"
            ),
            Login::None => format!(
                "{registry} wants a login, or has no such image: check its name, or `docker login {registry}` and name the file that this writes as `logins` in [agent.docker]"
            ),
        },
        Meaning::Absent => {
            format!("{registry} has no such image: check name and tag, or push it")
        }
        Meaning::Untrusted => format!(
            "{registry} cannot be trusted: give the engine its certificate authority in /etc/docker/certs.d/{registry}/ca.crt"
        ),
        Meaning::Silent => format!("{registry} does not answer: what runs goes on"),
        Meaning::Other => "what runs goes on".to_owned(),
    };
    RuntimeError::Field {
        field: "image",
        why: format!("{image} could not be fetched: {}; {advice}", short(&why)),
    }
}

/// Whether a registry has said no for good: nothing but somebody's hand makes a yes of it. An engine or a registry that is away, busy or
/// broken says nothing of an image.
pub(super) fn is_definite(error: &EngineError) -> bool {
    match error {
        EngineError::Away(_) => false,
        EngineError::Missing(why) | EngineError::Conflict(why) | EngineError::Refused(why) => {
            matches!(meaning(why), Meaning::Denied | Meaning::Absent)
        }
    }
}

/// What a registry's words come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Full,
    Busy,
    Silent,
    Denied,
    Absent,
    Untrusted,
    Other,
}

fn meaning(why: &str) -> Meaning {
    let low = why.to_lowercase();
    // Addresses and names of images may contain any of the words below.
    let words: Vec<&str> = low.split_whitespace().collect();
    let words = words.into_iter().filter(|it| !it.contains('/'));
    let said = words.collect::<Vec<_>>().join(" ");
    let has = |words: &[&str]| words.iter().any(|it| said.contains(it));
    if has(&["no space left on device"]) {
        Meaning::Full
    } else if has(&["toomanyrequests", "too many requests", "rate limit"]) {
        Meaning::Busy
    } else if has(&[
        "connection refused",
        "connection reset",
        "no such host",
        "timeout",
        "dial tcp",
        "unreachable",
        "eof",
        "request canceled",
        "internal server error",
        "bad gateway",
        "service unavailable",
        "gateway time",
    ]) {
        // Before a refusal: what a token server or a proxy in between cannot do is no word of the registry.
        Meaning::Silent
    } else if has(&["page not found"]) || said == "not found" {
        // Who answers is no registry, or the engine is one that cannot ask.
        Meaning::Other
    } else if has(&[
        "unauthorized",
        "authentication required",
        "no basic auth",
        "denied",
        "forbidden",
    ]) {
        Meaning::Denied
    } else if has(&[
        "manifest unknown",
        "not found",
        "does not exist",
        "name unknown",
    ]) {
        Meaning::Absent
    } else if has(&[
        "server gave http response to https client",
        "certificate",
        "tls:",
    ]) {
        Meaning::Untrusted
    } else {
        Meaning::Other
    }
}

/// Whether a login went along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    Sent,
    None,
}

/// On one line, and not too long.
fn short(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect();
    match line.char_indices().find(|(at, _)| *at >= LONGEST) {
        Some((at, _)) => format!("{}...", line.get(..at).unwrap_or_default()),
        None => line.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_words() {
        let image = ImageReference::parse("127.0.0.1:5000/library:3").unwrap();
        for (login, words, expected) in [
            (
                Login::None,
                "Head \"https://r/v2/\": no basic auth credentials",
                "wants a login",
            ),
            (
                Login::Sent,
                "unauthorized: authentication required",
                "refuses this login",
            ),
            (
                Login::None,
                "manifest for x not found: manifest unknown: manifest unknown",
                "has no such image",
            ),
            (
                Login::None,
                "Get \"http://r/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused",
                "does not answer",
            ),
            (
                Login::None,
                "write /var/x: no space left on device",
                "disk is full",
            ),
            (
                Login::None,
                "Get: x509: certificate signed by unknown authority",
                "cannot be trusted",
            ),
            (Login::None, "something new", "what runs goes on"),
        ] {
            let error = not_fetched(&image, login, EngineError::Refused(words.to_owned()));
            let RuntimeError::Field {
                field: "image",
                why,
            } = &error
            else {
                panic!("{words}: {error:?}");
            };
            assert!(
                why.contains(expected) && why.contains("127.0.0.1:5000/library:3"),
                "{why}"
            );
        }
        let away = not_fetched(&image, Login::None, EngineError::Away("gone".to_owned()));
        assert!(matches!(away, RuntimeError::Away(_)), "{away:?}");
    }

    #[test]
    fn only_a_registrys_own_no_is_definite() {
        let refused = |it: &str| EngineError::Refused(it.to_owned());
        for (error, expected) in [
            (
                refused("manifest for r/x:1 not found: manifest unknown"),
                true,
            ),
            (EngineError::Missing("manifest unknown".to_owned()), true),
            (refused("name unknown: repository name not known"), true),
            (refused("unauthorized: authentication required"), true),
            (
                refused("denied: requested access to the resource is denied"),
                true,
            ),
            (
                refused("Head \"https://r/v2/\": no basic auth credentials"),
                true,
            ),
            (EngineError::Away("docker restarts".to_owned()), false),
            (EngineError::Away("manifest unknown".to_owned()), false),
            (
                refused("toomanyrequests: unauthorized pulls are limited"),
                false,
            ),
            (refused("429 Too Many Requests"), false),
            (
                refused("Get \"https://r/v2/\": dial tcp 10.0.0.1:443: i/o timeout"),
                false,
            ),
            (
                refused("Get \"https://r/v2/\": context deadline exceeded"),
                false,
            ),
            (
                refused("received unexpected HTTP status: 503 Service Unavailable"),
                false,
            ),
            (
                refused("failed to fetch token, 502 Bad Gateway: access denied"),
                false,
            ),
            (refused("dial tcp: connect: permission denied"), false),
            (refused("lookup r.test: no such host"), false),
            (
                refused("Get: x509: certificate signed by unknown authority"),
                false,
            ),
            (refused("error parsing HTTP 404: 404 page not found"), false),
            (EngineError::Missing("Not Found".to_owned()), false),
            (refused("r/access-denied:1: something new"), false),
            (refused("something new"), false),
        ] {
            assert_eq!(is_definite(&error), expected, "{error:?}");
        }
    }

    #[test]
    fn the_engines_words() {
        let run = RunName::parse("library.0.0.1.1").unwrap();
        for (words, expected) in [
            (
                "driver failed: Bind for 127.0.0.1:20000 failed: port is already allocated",
                "port",
            ),
            (
                "OCI runtime create failed: exec: \"x\": executable file not found in $PATH: unknown",
                "command",
            ),
            (
                "exec: \"/x\": stat /x: no such file or directory: unknown",
                "command",
            ),
            ("No command specified", "command"),
            (
                "standard_init_linux.go:228: exec user process caused: exec format error",
                "image",
            ),
            (
                "invalid mount config for type \"bind\": bind source path does not exist: /x",
                "volumes",
            ),
            (
                "unable to find user x: no matching entries in passwd file",
                "user",
            ),
            ("network backend not found", "network"),
            ("something new", "machine"),
        ] {
            let error = not_started(&run, 20_000, EngineError::Refused(words.to_owned()));
            let kind = match &error {
                RuntimeError::Field { field, .. } => field,
                RuntimeError::Port(_) => "port",
                RuntimeError::Machine { .. } => "machine",
                other => panic!("{other:?}"),
            };
            assert_eq!(kind, expected, "{words}: {error}");
        }
    }

    #[test]
    fn long_words_are_cut() {
        assert_eq!(short("a\nb"), "a b");
        assert!(short(&"\u{e9}".repeat(4_000)).len() <= LONGEST + 4);
    }
}
