//! What this gateway answers to gateways of other sites, and takes in from them: which site comes first, and what their control asks
//! of this one's.

use super::bandwidth;
use super::desk::Desk;
use super::gather::{CHUNK, Listed, Listing};
use super::idle::Idle;
use super::known::LinkNews;
use super::services::Shelf;
use super::streams::Offers;
use super::view::LinkView;
use crate::gateway::{Orders, Visits, Wants};
use arc_swap::ArcSwap;
use axum::body::Bytes;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use minato_config::{NodeId, OrderRecord, ServiceName, SiteId};
use minato_control_server::{PeerAnswer, PeerCall};
use minato_health::{LinkState, SharedService};
use minato_link::LinkProtocol;
use minato_proxy::{ServiceEntry, Standing, Table};
use minato_proxy_server::{Archive, LinkStream};
use minato_tls::ServerStream;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

/// Connections at once: a peer's gateway has one, or two while it makes a new one.
const MOST_CONNECTIONS: usize = 512;
/// Those of one site, so that no peer takes the places of the others.
const MOST_OF_SITE: usize = 128;
/// Peers ask twice a second; one that has not for so long is gone, however its connection looks from here.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes of a question.
const MOST_BODY: usize = 64 << 10;

/// Named streams at once, over all names.
const MOST_STREAMS: usize = 4_096;

/// What answers are made from.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    pub(super) site: SiteId,
    pub(super) node: NodeId,
    pub(super) table: Arc<ArcSwap<Table>>,
    pub(super) shelf: Shelf,
    pub(super) orders: Orders,
    pub(super) visits: Visits,
    pub(super) desk: Desk,
    /// To the health loop.
    pub(super) news: mpsc::Sender<LinkNews>,
    pub(super) links: LinkView,
    pub(super) wants: Wants,
    /// This gateway's access logs; `None` where it keeps none.
    pub(super) archive: Option<Archive>,
}

/// Which site asks.
#[derive(Debug, Clone)]
struct Asker(SiteId);

impl Answers {
    /// Serves what the engine hands over, until it is gone.
    pub(super) async fn serve(self, streams: mpsc::Receiver<LinkStream>, offers: Offers) {
        let app = Router::new()
            .route("/v1/state", get(state))
            .route("/v1/services", get(services))
            .route("/v1/echo", get(echo))
            .route("/v1/access/{service}", get(access))
            .route("/v1/access/{service}/{segment}", get(access_part))
            .route("/v1/orders", post(order))
            .route("/v1/control/{*path}", any(control))
            .layer(DefaultBodyLimit::max(MOST_BODY))
            .with_state(Arc::new(self))
            .into_make_service_with_connect_info::<Asker>();
        let accepted = Accepted {
            streams,
            places: Places::default(),
            offers: Arc::new(offers),
            open: JoinSet::new(),
        };
        if let Err(error) = axum::serve(accepted, app).await {
            tracing::error!(%error, "links are not answered any more");
        }
    }

    fn state(&self, asker: &SiteId) -> LinkState {
        let services = self.table.load().services();
        let shared = services.iter().filter_map(|entry| {
            let shared = self.shared(entry, asker)?;
            Some((entry.service.name.clone(), shared))
        });
        LinkState {
            v: 1,
            site: self.site.clone(),
            node: self.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: crate::clock::wall(),
            services: shared.collect(),
            follows_orders: true,
            sees: self.sees(asker),
        }
    }

    /// How other sites look from here; the asker knows best how it is itself.
    fn sees(&self, asker: &SiteId) -> BTreeMap<SiteId, bool> {
        let mut sees = self.links.sees();
        sees.remove(asker);
        sees
    }

    /// `None` where the two sites do not share it.
    fn shared(&self, entry: &ServiceEntry, asker: &SiteId) -> Option<SharedService> {
        let sites = entry.service.sites.as_ref()?;
        sites.place(&self.site)?;
        sites.place(asker)?;
        let own = entry.endpoints.iter().filter(|it| it.site().is_none());
        let up = own.filter(|it| it.standing() <= Standing::Suspect).count();
        let queue = &entry.shared.queue;
        Some(SharedService {
            order: sites.order.clone(),
            wanted: self.wants.of(&entry.service),
            up: u32::try_from(up).unwrap_or(u32::MAX),
            draining: entry.draining,
            decided: self.orders.of(&entry.service.name),
            in_flight: u64::from(queue.in_flight()) + u64::from(queue.waiting()),
            quiet_since: self.visits.quiet_since(&entry.service.name),
            came: self.visits.came(&entry.service.name),
        })
    }
}

async fn state(
    State(answers): State<Arc<Answers>>,
    ConnectInfo(Asker(site)): ConnectInfo<Asker>,
) -> Json<LinkState> {
    Json(answers.state(&site))
}

/// `POST /v1/orders`: which site comes first for a service, as the site that decided it tells.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct ToldOrder {
    pub(super) service: ServiceName,
    pub(super) order: OrderRecord,
}

async fn order(
    State(answers): State<Arc<Answers>>,
    ConnectInfo(Asker(site)): ConnectInfo<Asker>,
    body: Bytes,
) -> Response {
    let told: ToldOrder = match serde_json::from_slice(&body) {
        Ok(it) => it,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    // Whether it counts decides the health loop, which knows the services; the state tells what came of it.
    let news = LinkNews::Order(site, told.service, told.order);
    match answers.news.try_send(news) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// What the control of another site asks of this one's.
async fn control(
    State(answers): State<Arc<Answers>>,
    ConnectInfo(Asker(site)): ConnectInfo<Asker>,
    Path(path): Path<String>,
    method: Method,
    body: Bytes,
) -> Response {
    let call = PeerCall {
        method,
        path,
        body: body.to_vec(),
    };
    let PeerAnswer { status, body } = answers.desk.answer(&site, &call).await;
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (status, json, body).into_response()
}

/// What a question for services names.
#[derive(Debug, serde::Deserialize)]
struct Known {
    known: Option<String>,
    /// Names with commas between.
    #[serde(default)]
    missing: String,
}

async fn services(
    State(answers): State<Arc<Answers>>,
    ConnectInfo(Asker(site)): ConnectInfo<Asker>,
    Query(Known { known, missing }): Query<Known>,
) -> Response {
    let missing: BTreeSet<&str> = missing.split(',').collect();
    let answer = answers.shelf.answer(&site, known.as_deref(), &missing);
    match answer.await {
        Ok(Some(answer)) => Json(answer).into_response(),
        Ok(None) => StatusCode::NOT_MODIFIED.into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

#[derive(Debug, serde::Deserialize)]
struct Wanted {
    bytes: usize,
}

/// So many bytes, that the asker may see how fast they come.
async fn echo(Query(Wanted { bytes }): Query<Wanted>) -> Vec<u8> {
    vec![b'.'; bytes.min(bandwidth::MOST)]
}

/// Where this gateway's log of a service that both sites serve is.
fn logs_of(
    answers: &Answers,
    asker: &SiteId,
    service: &str,
) -> Result<(Archive, ServiceName), Refused> {
    let not_found = |why: String| (StatusCode::NOT_FOUND, why);
    let shared = ServiceName::parse(service).ok().filter(|it| {
        let entry = answers.table.load().service(it).cloned();
        entry.is_some_and(|it| answers.shared(&it, asker).is_some())
    });
    let Some(service) = shared else {
        let why = format!(
            "{} has no service `{service:.80}` whose `sites` name both sites",
            answers.site
        );
        return Err(not_found(why));
    };
    match &answers.archive {
        Some(archive) => Ok((archive.clone(), service)),
        None => Err(not_found(format!(
            "this gateway keeps no access logs: give [gateway] access_log_size a size at {}",
            answers.site
        ))),
    }
}

type Refused = (StatusCode, String);

/// Errors of files, as the asker's operator reads them.
fn unreadable(error: &io::Error) -> Refused {
    let status = match error.kind() {
        io::ErrorKind::NotFound => StatusCode::NOT_FOUND,
        io::ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("the access log cannot be read: {error}"))
}

async fn access(
    State(answers): State<Arc<Answers>>,
    ConnectInfo(Asker(site)): ConnectInfo<Asker>,
    Path(service): Path<String>,
) -> Result<Json<Listing>, Refused> {
    let (archive, service) = logs_of(&answers, &site, &service)?;
    let segments = tokio::task::spawn_blocking(move || archive.segments(&service));
    let segments = segments
        .await
        .map_err(io::Error::other)
        .and_then(|it| it)
        .map_err(|it| unreadable(&it))?;
    Ok(Json(Listing {
        v: 1,
        gateway: answers.node.to_string(),
        segments: segments
            .into_iter()
            .map(|it| Listed {
                name: it.name,
                length: it.length,
            })
            .collect(),
    }))
}

#[derive(Debug, serde::Deserialize)]
struct From {
    #[serde(default)]
    from: u64,
}

async fn access_part(
    State(answers): State<Arc<Answers>>,
    ConnectInfo(Asker(site)): ConnectInfo<Asker>,
    Path((service, segment)): Path<(String, String)>,
    Query(From { from }): Query<From>,
) -> Result<Vec<u8>, Refused> {
    let (archive, service) = logs_of(&answers, &site, &service)?;
    let read = tokio::task::spawn_blocking(move || archive.read(&service, &segment, from, CHUNK));
    let read = read.await.map_err(io::Error::other).and_then(|it| it);
    read.map_err(|it| unreadable(&it))
}

/// Connections as axum accepts them.
struct Accepted {
    streams: mpsc::Receiver<LinkStream>,
    places: Places,
    offers: Arc<Offers>,
    /// Streams that are open; they end with this.
    open: JoinSet<()>,
}

/// Places for connections.
#[derive(Debug)]
struct Places {
    all: Arc<Semaphore>,
    /// Of each peer that was ever let in: as many as the settings name.
    sites: BTreeMap<SiteId, Arc<Semaphore>>,
}

/// A place among all, and one among those of its site.
type Place = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Default for Places {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
            sites: BTreeMap::new(),
        }
    }
}

impl Places {
    /// `None` where none is left.
    fn take(&mut self, site: &SiteId) -> Option<Place> {
        let of_site = self.sites.entry(site.clone());
        let of_site = of_site.or_insert_with(|| Arc::new(Semaphore::new(MOST_OF_SITE)));
        let of_site = Arc::clone(of_site).try_acquire_owned().ok()?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some((of_all, of_site))
    }
}

/// One of them, with its place.
#[derive(Debug)]
struct Taken {
    stream: Idle<ServerStream>,
    _place: Place,
}

impl axum::serve::Listener for Accepted {
    type Io = Taken;
    type Addr = SiteId;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Some(next) = self.streams.recv().await else {
                // The gateway is gone, and this task with it.
                return std::future::pending().await;
            };
            if next.protocol == LinkProtocol::Stream {
                while self.open.try_join_next().is_some() {}
                if self.open.len() < MOST_STREAMS {
                    let offers = Arc::clone(&self.offers);
                    self.open.spawn(async move { offers.serve(next).await });
                }
                continue;
            }
            // Where all places are taken the connection is closed, and tried again by whoever wants it.
            let Some(place) = self.places.take(&next.site) else {
                tracing::debug!(site = %next.site, "a link's connection is closed: the site has too many");
                continue;
            };
            let taken = Taken {
                stream: Idle::new(next.stream, IDLE),
                _place: place,
            };
            return (taken, next.site);
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Err(io::Error::other("a link has no address of its own"))
    }
}

impl Connected<IncomingStream<'_, Accepted>> for Asker {
    fn connect_info(stream: IncomingStream<'_, Accepted>) -> Self {
        Self(stream.remote_addr().clone())
    }
}

impl AsyncRead for Taken {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Taken {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.get_mut().stream), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.get_mut().stream), cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_site_takes_the_places_of_another() {
        let site = |name: &str| SiteId::parse(name).expect("a site");
        let (osaka, kyoto) = (site("osaka"), site("kyoto"));
        let mut places = Places::default();
        let mut taken: Vec<Place> = (0..MOST_OF_SITE)
            .map(|_| places.take(&osaka).expect("a place"))
            .collect();
        assert!(places.take(&osaka).is_none());
        assert!(places.take(&kyoto).is_some());
        taken.pop();
        assert!(places.take(&osaka).is_some());
    }
}
