//! `orders`, the demo's own web service: takes numbered orders and writes each to a ledger before it says yes.
//!
//! It can be told to fail its health check (`POST /sick`, `/well`) or to stop answering (`POST /hang`).
//! Not here: running it (minato does), reading the ledger (`ledger`).

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

/// Connections of one instance.
const CONNECTIONS: usize = 1024;
/// Bytes of an order's body.
const ORDER_BYTES: usize = 64 * 1024;
/// Requests in flight may take this long after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);

/// `minato demo-service`, the hidden subcommand.
#[derive(Debug, clap::Args)]
pub(crate) struct ServiceArgs {
    /// File that all instances append to.
    #[arg(long)]
    ledger: PathBuf,
    /// Stands in the header `x-instance` before the process id.
    #[arg(long)]
    name: String,
}

/// Serves on 127.0.0.1 at the port in the variable PORT until SIGTERM.
pub(crate) async fn service_main(args: ServiceArgs) -> anyhow::Result<ExitCode> {
    let port: u16 = std::env::var("PORT")
        .context("the variable PORT is not set: minato sets it for each instance")?
        .parse()
        .context("the variable PORT is not a port number")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let orders = Arc::new(Orders::open(&args.ledger, &args.name)?);
    let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    serve(&listener, &orders, async move {
        terminated.recv().await;
    })
    .await;
    Ok(ExitCode::SUCCESS)
}

/// The body of `GET /orders/NUMBER`: the same for everyone, about 300 bytes.
pub(crate) fn order_page(number: u64) -> String {
    let mut text = format!("order {number}\n");
    let mut hash = number ^ 0xcbf2_9ce4_8422_2325;
    for line in 0..8 {
        hash = hash.wrapping_mul(0x0100_0000_01b3).rotate_left(23) ^ line;
        let _ = writeln!(text, "line {line} {hash:016x} of {number}");
    }
    text
}

/// The body that `POST /orders/NUMBER` must carry, so that a mangled request is noticed.
pub(crate) fn order_form(number: u64) -> String {
    format!("please take order {number}")
}

/// How an instance behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Mood {
    Well = 0,
    /// Answers everything, but its health path says 500.
    Sick = 1,
    /// Accepts connections and requests and never answers.
    Hung = 2,
}

/// One instance.
#[derive(Debug)]
pub(crate) struct Orders {
    ledger: File,
    /// `name pid`
    instance: String,
    mood: AtomicU8,
}

impl Orders {
    /// Opens the ledger for appending and creates it where there is none.
    pub(crate) fn open(ledger: &std::path::Path, name: &str) -> anyhow::Result<Self> {
        let file = File::options()
            .append(true)
            .create(true)
            .open(ledger)
            .with_context(|| format!("cannot open the ledger {}", ledger.display()))?;
        Ok(Self {
            ledger: file,
            instance: format!("{name} {}", std::process::id()),
            mood: AtomicU8::new(Mood::Well as u8),
        })
    }

    fn mood(&self) -> Mood {
        match self.mood.load(Ordering::SeqCst) {
            0 => Mood::Well,
            1 => Mood::Sick,
            _ => Mood::Hung,
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if self.mood() == Mood::Hung {
            std::future::pending::<()>().await;
        }
        let (status, body) = self.act(request).await;
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        if let Ok(value) = self.instance.parse() {
            response.headers_mut().insert("x-instance", value);
        }
        response
    }

    async fn act(&self, request: Request<Incoming>) -> (StatusCode, String) {
        let ok = |body: &str| (StatusCode::OK, body.to_owned());
        let path = request.uri().path().to_owned();
        match (request.method().clone(), path.as_str()) {
            (Method::GET, "/healthz") if self.mood() == Mood::Sick => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "sick, as told\n".to_owned(),
            ),
            (Method::GET, "/healthz") => ok("ok\n"),
            (Method::POST, "/sick") => self.become_mood(Mood::Sick),
            (Method::POST, "/well") => self.become_mood(Mood::Well),
            (Method::POST, "/hang") => self.become_mood(Mood::Hung),
            (method, path) => {
                let Some(number) = path
                    .strip_prefix("/orders/")
                    .and_then(|it| it.parse::<u64>().ok())
                else {
                    return (StatusCode::NOT_FOUND, "no such page\n".to_owned());
                };
                match method {
                    Method::GET => ok(&order_page(number)),
                    Method::POST => self.take(number, request.into_body()).await,
                    _ => (
                        StatusCode::METHOD_NOT_ALLOWED,
                        "GET or POST only\n".to_owned(),
                    ),
                }
            }
        }
    }

    fn become_mood(&self, mood: Mood) -> (StatusCode, String) {
        self.mood.store(mood as u8, Ordering::SeqCst);
        (StatusCode::OK, format!("{mood:?}\n").to_lowercase())
    }

    /// Writes the order down, then says yes.
    async fn take(&self, number: u64, body: Incoming) -> (StatusCode, String) {
        let whole = match Limited::new(body, ORDER_BYTES).collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(error) => return (StatusCode::BAD_REQUEST, format!("no whole body: {error}\n")),
        };
        if whole != order_form(number).as_bytes() {
            return (
                StatusCode::BAD_REQUEST,
                format!("the body is not that of order {number}\n"),
            );
        }
        let line = format!("{number} {}\n", std::process::id());
        // One write of one line to a file opened for appending: lines of several instances do not mix.
        match (&self.ledger).write(line.as_bytes()) {
            Ok(written) if written == line.len() => (StatusCode::OK, number.to_string()),
            Ok(_) => (
                StatusCode::INSUFFICIENT_STORAGE,
                "the ledger is full\n".to_owned(),
            ),
            Err(error) => (
                StatusCode::INSUFFICIENT_STORAGE,
                format!("the ledger: {error}\n"),
            ),
        }
    }
}

/// Accepts until `stop`, then lets requests in flight end, for at most 3 s.
pub(crate) async fn serve(
    listener: &TcpListener,
    orders: &Arc<Orders>,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (stopping, stopped) = watch::channel(());
    let mut stop = std::pin::pin!(stop);
    loop {
        let place = tokio::select! {
            () = stop.as_mut() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let stream = tokio::select! {
            () = stop.as_mut() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (orders, mut stopped) = (Arc::clone(orders), stopped.clone());
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(|request| {
                let orders = Arc::clone(&orders);
                async move { Ok::<_, Infallible>(orders.answer(request).await) }
            });
            let mut connection = std::pin::pin!(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
            );
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        });
    }
    drop(stopped);
    let _ = stopping.send(());
    let _ = tokio::time::timeout(GRACE, stopping.closed()).await;
}
