//! Containers of a real engine.

mod agent;
mod images;
mod killed;
mod reaper;
#[allow(dead_code, reason = "shared with tests that use all of it")]
mod registry;
mod runtime;
mod stage;

use crate::support::*;
use minato_config::{Command, DockerSettings, Image, ImageReference, NodeId, SiteId};
use minato_control::Event;
use minato_control_agent::Stop;
use minato_control_agent::runtime::{DockerOptions, DockerRuntime, RunName, RunOrder};
use stage::Engine;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// `reference`, as a service file without any other key has it.
fn image(reference: &str) -> Image {
    Image {
        reference: ImageReference::parse(reference).unwrap(),
        port: Some(8080),
        network: "bridge".to_owned(),
        pull: Default::default(),
        init: true,
        user: None,
        secrets: Default::default(),
        volumes: Default::default(),
        resources: Default::default(),
        ceiling: Default::default(),
    }
}

fn container(reference: &str, argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(|it| (*it).to_owned()).collect(),
        image: Some(Box::new(image(reference))),
        ..sh("")
    }
}

fn order(name: RunName, command: Command, port: u16) -> RunOrder {
    RunOrder {
        name,
        digest: command.digest(),
        command,
        port,
    }
}

fn options(engine: &Engine, data: &Path) -> DockerOptions {
    DockerOptions {
        settings: DockerSettings {
            socket: engine.socket(),
            free_bytes: 0,
            ..Default::default()
        },
        site: SiteId::local(),
        node: NodeId::parse("here").unwrap(),
        data: data.to_owned(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        log_bytes: 1 << 20,
    }
}

/// A runtime as a new agent would open it, and what it tells.
fn open(options: DockerOptions) -> (DockerRuntime, mpsc::Receiver<Event>) {
    let (sender, events) = mpsc::channel(1_024);
    (DockerRuntime::open(options, sender).unwrap(), events)
}

/// The body of `GET path`.
async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let body = text.split_once("\r\n\r\n").map(|it| it.1.to_owned());
    body.ok_or_else(|| std::io::Error::other(format!("no answer but {text:?}")))
}

/// As [`get`], once it listens.
async fn get_until(address: SocketAddr, path: &str) -> String {
    let began = tokio::time::Instant::now();
    loop {
        match get(address, path).await {
            Ok(body) => return body,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{address}{path}: {error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
