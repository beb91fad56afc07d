//! What a container is made of: the image and its reference, what it may use, and what is put into it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A container's part of a [`crate::Command`], whose arguments, variables and folder are then the container's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Which image.
    pub reference: ImageReference,
    /// Where the program listens inside the container; `None` only in the machine's own network, where it is told its
    /// port as a process is.
    #[serde(default)]
    pub port: Option<u16>,
    /// The engine's network that it joins: `bridge`, `host`, or one by name.
    pub network: String,
    /// When the registry is asked.
    #[serde(default)]
    pub pull: Pull,
    /// Whether an init of the engine's is process 1, for programs that neither handle SIGTERM nor bury their children.
    #[serde(default)]
    pub init: bool,
    /// User, or user and group, in place of the image's.
    #[serde(default)]
    pub user: Option<String>,
    /// By the name under which the program finds them: names of the agent's secrets. Values never stand here.
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
    /// By absolute path inside: names of the agent's volumes.
    #[serde(default)]
    pub volumes: BTreeMap<String, Mount>,
    /// May change while it runs: not part of what makes it another version.
    #[serde(default)]
    pub resources: Resources,
    /// How far control may raise them while it runs; no part of its version either.
    #[serde(default, skip_serializing_if = "Grant::is_nothing")]
    pub ceiling: Grant,
}

impl Image {
    /// Whether it shares the machine's own network.
    pub fn is_on_host_network(&self) -> bool {
        self.network == HOST_NETWORK
    }

    /// Every part but the resources, as text for a digest.
    pub(crate) fn each_part(&self, mut add: impl FnMut(&str)) {
        add("image");
        add(&self.reference.to_string());
        add(&self.port.map(|it| it.to_string()).unwrap_or_default());
        add(&self.network);
        add(if self.init { "init" } else { "" });
        add(self.user.as_deref().unwrap_or_default());
        for (name, secret) in &self.secrets {
            add("secret");
            add(name);
            add(&secret.name);
            add(match secret.as_what {
                SecretForm::File => "file",
                SecretForm::Variable => "variable",
            });
        }
        for (path, mount) in &self.volumes {
            add("volume");
            add(path);
            add(&mount.volume);
            add(match mount.access {
                Access::ReadWrite => "rw",
                Access::ReadOnly => "ro",
            });
        }
    }
}

/// The engine's name of the machine's own network.
pub const HOST_NETWORK: &str = "host";
/// The engine's network that containers join by default.
pub const BRIDGE_NETWORK: &str = "bridge";

/// When the registry is asked for an image. A run that is started again uses the very image of the run before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pull {
    /// Where the machine lacks it; for a reference without tag and digest, or with the tag `latest`, as [`Pull::Always`].
    #[default]
    Missing,
    /// At every new assignment. Where the registry does not answer, what the machine has is used.
    Always,
    /// Never: it is put on the machine by someone else.
    Never,
}

/// One secret of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// The file below the agent's folder of secrets.
    pub name: String,
    /// How the program gets it.
    #[serde(default)]
    pub as_what: SecretForm,
}

/// How a program gets a secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretForm {
    /// As the file `/run/secrets/NAME`, whose path is in the variable `NAME_FILE`.
    #[default]
    File,
    /// As the variable `NAME`, which everyone who may ask the engine can read.
    Variable,
}

/// One mounted volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// A name of the agent's list.
    pub volume: String,
    /// What the container may do with it.
    #[serde(default)]
    pub access: Access,
}

/// What may be done with a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Both.
    #[default]
    ReadWrite,
    /// Reading.
    ReadOnly,
}

/// What an instance may use of its machine. What is not given is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Share of the processors while they are contended, in thousandths of one.
    pub cpu_milli: Option<u32>,
    /// Processor time at most, in thousandths of one processor.
    pub cpu_limit_milli: Option<u32>,
    /// Memory at most, in bytes; what needs more is killed. Swap is not used beyond it.
    pub memory_bytes: Option<u64>,
}

/// Processors and memory of one instance, where they are not what its file gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grant {
    /// As [`Resources::cpu_milli`].
    pub cpu_milli: Option<u32>,
    /// As [`Resources::memory_bytes`].
    pub memory_bytes: Option<u64>,
}

impl Grant {
    /// Neither of them.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Image {
    /// Its resources with what was granted, which counts between what the file gives and the ceiling.
    pub fn granted(&self, grant: Grant) -> Resources {
        fn between<T: Ord + Copy>(
            own: Option<T>,
            granted: Option<T>,
            most: Option<T>,
        ) -> Option<T> {
            match (own, granted, most) {
                (Some(own), Some(granted), Some(most)) => Some(granted.min(most).max(own)),
                _ => own,
            }
        }
        let own = self.resources;
        Resources {
            cpu_milli: between(own.cpu_milli, grant.cpu_milli, self.ceiling.cpu_milli),
            memory_bytes: between(
                own.memory_bytes,
                grant.memory_bytes,
                self.ceiling.memory_bytes,
            ),
            ..own
        }
    }
}

/// `[registry/]path[:tag][@sha256:digest]`, as the operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    text: String,
    /// Bytes of `text` before tag and digest.
    name: usize,
}

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no image: {why}; write it like \"registry.example/library:3.2\" or \"library@sha256:...\""
)]
pub struct InvalidImage {
    why: &'static str,
}

impl ImageReference {
    /// Takes a reference; the grammar is that of the distribution project.
    pub fn parse(text: &str) -> Result<Self, InvalidImage> {
        let wrong = |why| Err(InvalidImage { why });
        if text.len() > 512 {
            return wrong("it is longer than 512 bytes");
        }
        if text.contains("://") {
            return wrong("it is a URL; leave out the part before the registry");
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if name.is_empty() {
            return wrong("it has no name");
        }
        let (registry, path) = split_registry(name);
        if registry.is_some_and(|it| !is_registry(it)) {
            return wrong("its registry is no host with an optional port");
        }
        if !path.split('/').all(is_component) {
            return wrong(
                "its path is not a-z, 0-9, `.`, `_` and `-` between slashes, in lower case",
            );
        }
        if tag.is_some_and(|it| !is_tag(it)) {
            return wrong("its tag is not 1 to 128 letters, digits, `.`, `_` and `-`");
        }
        if digest.is_some_and(|it| !is_digest(it)) {
            return wrong("its digest is not `sha256:` and 64 hexadecimal digits in lower case");
        }
        Ok(Self {
            name: name.len(),
            text: text.to_owned(),
        })
    }

    /// Without tag and digest.
    pub fn name(&self) -> &str {
        self.text.get(..self.name).unwrap_or(&self.text)
    }

    /// `registry.example:5000`; `docker.io` where none is given.
    pub fn registry(&self) -> &str {
        split_registry(self.name()).0.unwrap_or("docker.io")
    }

    /// `sha256:...`, where it is pinned.
    pub fn digest(&self) -> Option<&str> {
        self.text.split_once('@').map(|it| it.1)
    }

    /// `None` where none is given.
    pub fn tag(&self) -> Option<&str> {
        let rest = self.text.get(self.name..)?;
        let tag = rest.split_once('@').map_or(rest, |it| it.0);
        tag.strip_prefix(':')
    }

    /// Whether the same reference is expected to mean another image from time to time.
    pub fn is_moving(&self) -> bool {
        self.digest().is_none() && self.tag().is_none_or(|it| it == "latest")
    }
}

/// The first component is a registry only where it could be no path: docker's rule.
fn split_registry(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first), path)
        }
        _ => (None, name),
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, Some(port)),
        _ => (text, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let host = match bracketed {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
            edge(label.bytes().next())
                && edge(label.bytes().last())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }),
    };
    host && port.is_none_or(|it| it.parse::<u16>().is_ok_and(|it| it > 0))
}

fn is_component(text: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(text.bytes().next())
        && edge(text.bytes().last())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl TryFrom<String> for ImageReference {
    type Error = InvalidImage;
    fn try_from(text: String) -> Result<Self, InvalidImage> {
        Self::parse(&text)
    }
}

impl From<ImageReference> for String {
    fn from(it: ImageReference) -> Self {
        it.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let pinned = format!("registry.example:5000/a/b:1.2@{digest}");
        for (text, registry, name, tag, is_pinned, is_moving) in [
            ("library", "docker.io", "library", None, false, true),
            (
                "library:latest",
                "docker.io",
                "library",
                Some("latest"),
                false,
                true,
            ),
            (
                "team/library:3",
                "docker.io",
                "team/library",
                Some("3"),
                false,
                false,
            ),
            (
                "localhost/x:1",
                "localhost",
                "localhost/x",
                Some("1"),
                false,
                false,
            ),
            (
                "[::1]:5000/x",
                "[::1]:5000",
                "[::1]:5000/x",
                None,
                false,
                true,
            ),
            (
                "127.0.0.1:5000/x:v_1",
                "127.0.0.1:5000",
                "127.0.0.1:5000/x",
                Some("v_1"),
                false,
                false,
            ),
            (
                &pinned,
                "registry.example:5000",
                "registry.example:5000/a/b",
                Some("1.2"),
                true,
                false,
            ),
        ] {
            let it = ImageReference::parse(text).unwrap();
            assert_eq!(
                (it.registry(), it.name(), it.tag()),
                (registry, name, tag),
                "{text}"
            );
            assert_eq!(
                (it.digest().is_some(), it.is_moving()),
                (is_pinned, is_moving),
                "{text}"
            );
            assert_eq!(it.to_string(), text);
        }
    }

    #[test]
    fn what_names_no_image_is_refused() {
        for text in [
            "",
            ":1",
            "@",
            "Library",
            "a//b",
            "/a",
            "a/",
            "a:",
            "a: 1",
            "a b",
            "a@sha256:12",
            "a@md5:x",
            "https://registry.example/a",
            "registry.example:0/a",
            "registry.example:99999/a",
            "-.example/a",
            "a\n",
            "a:\u{e9}",
            "[::/a",
            "é/a.b:c/",
        ] {
            assert!(ImageReference::parse(text).is_err(), "{text:?}");
        }
        assert!(ImageReference::parse(&"a".repeat(513)).is_err());
    }
}
