//! Started by the tests: `shim ...` keeps a run, `slow-shim ...` after a while, `agent FOLDER` runs an agent on an embedded store until it is killed.

use minato_config::{
    DockerSettings, NodeId, PortRange, RuntimeSettings, ServiceName, ServiceRecord, SiteId, Slot,
    SlotIndex,
};
use minato_control_agent::{AgentOptions, Stop, run, shim};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, Compare, Embedded, Options, SharedStore, Store, StoreError};
use std::error::Error;
use std::ffi::OsString;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(|it| it.to_str()) {
        Some("shim") => shim::run(arguments.collect()),
        Some("slow-shim") => {
            dawdle();
            shim::run(arguments.collect())
        }
        Some("agent") => match agent(&arguments.map(PathBuf::from).collect::<Vec<_>>()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        _ => ExitCode::from(2),
    }
}

/// Makes the time between a keeper's birth and its first deed long enough for an agent to die and another to look.
#[expect(clippy::disallowed_methods, reason = "the delay is the point")]
fn dawdle() {
    std::thread::sleep(std::time::Duration::from_millis(fastrand::u64(0..150)));
}

/// FOLDER holds `service.json` (a service's record) and `slot.json`, which are put into the store where it has none. A file `engine`
/// there names the socket of the engine that runs images. What agents tell is added to the file `events`.
#[tokio::main]
async fn agent(arguments: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let [folder] = arguments else {
        return Err("a folder is wanted".into());
    };
    let keys = Keys::new(&SiteId::parse("local")?);
    let store: SharedStore = Arc::new(Embedded::open(&folder.join("store"), Options::default())?);
    let record: ServiceRecord = read(&folder.join("service.json"))?;
    let slot: Slot = read(&folder.join("slot.json"))?;
    let name: ServiceName = record.service.name.clone();
    put(&*store, keys.text(&Key::Service(name.clone())), &record).await?;
    put(&*store, keys.text(&Key::Slot(name, SlotIndex(0))), &slot).await?;
    let options = AgentOptions {
        site: SiteId::parse("local")?,
        node: NodeId::parse("here")?,
        runtime: runtime(folder),
        keys,
        data: folder.join("data"),
        ports: PortRange {
            first: 21_000,
            last: 21_999,
        },
        log_bytes: 1 << 20,
        shim: vec![
            std::env::current_exe()?.into_os_string(),
            OsString::from("slow-shim"),
        ],
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        labels: Default::default(),
        overcommit: Default::default(),
        lease: Duration::from_secs(20),
        figures: minato_control_agent::Figures::default(),
        dependencies: None,
    };
    let (events, mut listener) = mpsc::channel(256);
    let mut told = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("events"))?;
    tokio::spawn(async move {
        while let Some(event) = listener.recv().await {
            let _ = writeln!(told, "{event}");
        }
    });
    let (_stop, stopped) = watch::channel(Stop::Run);
    run(options, store, events, stopped).await?;
    Ok(())
}

fn runtime(folder: &Path) -> RuntimeSettings {
    let Ok(socket) = std::fs::read_to_string(folder.join("engine")) else {
        return RuntimeSettings::Process;
    };
    RuntimeSettings::Docker(Box::new(DockerSettings {
        socket: PathBuf::from(socket),
        free_bytes: 0,
        ..Default::default()
    }))
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Box<dyn Error>> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

async fn put<T: serde::Serialize>(
    store: &dyn Store,
    key: String,
    value: &T,
) -> Result<(), Box<dyn Error>> {
    let commit = Commit::put(key.clone(), serde_json::to_vec(value)?);
    match store.commit(commit.when(Compare::Absent { key })).await {
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
