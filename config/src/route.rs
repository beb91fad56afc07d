//! Which requests a route takes: a host, exact or wildcard, and a path prefix of whole segments.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The host part of a route. Hosts are lower case, without port, without trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostPattern {
    /// This host only.
    Exact(String),
    /// `*.example.org`, stored as `example.org`: one or more labels in front; the longest suffix wins.
    Wildcard(String),
    /// `*`: any host that nothing else takes.
    Any,
}

impl HostPattern {
    /// Whether requests for `host` are meant; lower case, without port.
    pub fn takes(&self, host: &str) -> bool {
        match self {
            Self::Exact(it) => it == host,
            Self::Wildcard(suffix) => host
                .strip_suffix(suffix.as_str())
                .is_some_and(|it| it.len() > 1 && it.ends_with('.')),
            Self::Any => true,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// Begins with `/`, never ends with it unless it is `/` itself. Matches whole segments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PathPrefix(pub String);

/// `example.org/library`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoutePattern {
    /// Exact before wildcard before any.
    pub host: HostPattern,
    /// The longest wins.
    pub path: PathPrefix,
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.0 == "/" {
            self.host.fmt(f)
        } else {
            write!(f, "{}{}", self.host, self.path.0)
        }
    }
}

/// What happens to a request that the pattern takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteAction {
    /// To an instance of the service; with `strip`, without the prefix.
    Forward {
        /// Remove the matched prefix from the path that the instance sees.
        strip: bool,
    },
    /// 308 to this absolute URL with the rest of the path and the query appended.
    Redirect {
        /// `http://` or `https://`, host, optional path without trailing slash.
        to: String,
    },
}

/// One route of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What it takes.
    pub pattern: RoutePattern,
    /// What it does.
    pub action: RouteAction,
}
