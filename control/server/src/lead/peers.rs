//! The way to other sites: what control asks of them. The root package has the links; here is what goes over them.

use http::{Method, StatusCode};
use minato_config::{ServiceName, SiteId};
use minato_control::mirror::SharedServices;
use minato_health::LinkState;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What a peer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pulled {
    /// Nothing changed since the revision that was named.
    Same,
    /// All of it.
    New {
        /// To name in the next question.
        revision: String,
        /// What it shares.
        services: SharedServices,
    },
    /// It is there and cannot say: its store is away, or its version is another. Why, in words.
    Unable(String),
}

/// What the gateways of a site that answer say, and how long the slowest of them took. The error: why none of them does.
pub type States = Result<(Vec<LinkState>, Duration), String>;

/// One call to the control of another site. The path is below `/v1/control/`, without a slash before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCall {
    /// GET or POST.
    pub method: Method,
    /// `switches`, `operations/12/abort`.
    pub path: String,
    /// JSON, or nothing.
    pub body: Vec<u8>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAnswer {
    /// As of the admin API.
    pub status: StatusCode,
    /// JSON.
    pub body: Vec<u8>,
}

impl PeerAnswer {
    /// Nothing was done, and why.
    pub fn refused(status: StatusCode, why: &str) -> Self {
        let error = crate::api::ApiError {
            error: why.to_owned(),
            hint: String::new(),
        };
        Self {
            status,
            body: serde_json::to_vec(&error).unwrap_or_default(),
        }
    }
}

/// An answer that is on its way.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An answer, or why there is none.
pub type Pulling<'a> = Answering<'a, Result<Pulled, String>>;

/// The way to other sites. It bounds what it reads, and the time of [`PeerServices::states`], [`PeerServices::tell`] and
/// [`PeerServices::call`]; of [`PeerServices::pull`] the caller does.
pub trait PeerServices: Send + Sync + std::fmt::Debug {
    /// What `site` shares with this one, if that is not what it said at `known`; and which of `missing` it has and shares no more.
    fn pull<'a>(
        &'a self,
        site: &'a SiteId,
        known: Option<&'a str>,
        missing: &'a [ServiceName],
    ) -> Pulling<'a>;
    /// What each gateway of `site` says of itself.
    fn states<'a>(&'a self, site: &'a SiteId) -> Answering<'a, States>;
    /// Tells every gateway of `site` something: JSON to a path of the link. The error: why one of those that answer did not take it.
    fn tell<'a>(
        &'a self,
        site: &'a SiteId,
        path: &'a str,
        body: Vec<u8>,
    ) -> Answering<'a, Result<(), String>>;
    /// Asks the control of `site`, through one of its gateways.
    fn call<'a>(
        &'a self,
        site: &'a SiteId,
        call: &'a PeerCall,
    ) -> Answering<'a, Result<PeerAnswer, String>>;
}

/// Which sites are asked, and how.
#[derive(Debug, Clone)]
pub struct Peers {
    /// Not this one.
    pub sites: BTreeSet<SiteId>,
    /// Of these, those of which nothing is to run here.
    pub unmirrored: BTreeSet<SiteId>,
    /// The way there.
    pub way: Arc<dyn PeerServices>,
}
