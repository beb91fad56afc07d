//! What is written down of each run: `instances/<name>.json`, whole or not at all. The agent writes it before the run's
//! keeper or its container exists; of a process the keeper does from then on.

use super::{Ended, Exit, RunOrder, RuntimeError};
use crate::proc::Process;
use minato_config::{Command, ServiceName, SlotIndex};
use minato_control::RunName;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of one record at most.
const LONGEST: u64 = 1024 * 1024;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Format version, 1.
    pub(crate) v: u32,
    pub(crate) name: RunName,
    pub(crate) command: Command,
    pub(crate) digest: String,
    pub(crate) port: u16,
    /// The machine's start that the processes belong to.
    pub(crate) boot: String,
    /// `None` until it exists.
    pub(crate) keeper: Option<Process>,
    /// `None` until it exists; of a process its id is also its process group.
    pub(crate) instance: Option<Process>,
    /// Where it is reached, where that is not its port at the node's address.
    #[serde(default)]
    pub(crate) address: Option<SocketAddr>,
    /// `None` while it runs.
    pub(crate) ended: Option<Ended>,
}

impl Record {
    /// What is written before anything of a run exists. `boot`: the machine's start that it will belong to.
    pub(crate) fn new(order: &RunOrder, boot: &str) -> Self {
        Self {
            v: 1,
            name: order.name.clone(),
            command: order.command.clone(),
            digest: order.digest.clone(),
            port: order.port,
            boot: boot.to_owned(),
            keeper: None,
            instance: None,
            address: None,
            ended: None,
        }
    }

    /// The order that it was begun by, with the resources that it has had since.
    pub(crate) fn order(&self) -> RunOrder {
        RunOrder {
            name: self.name.clone(),
            command: self.command.clone(),
            digest: self.digest.clone(),
            port: self.port,
        }
    }
}

/// The folder of records, with the folders that instances run in.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    folder: PathBuf,
}

impl Records {
    /// Makes the folder where it is missing, for its owner only.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let folder = data.join("instances");
        private_folder(&folder)?;
        Ok(Self { folder })
    }

    /// The folder that a slot's instances run in unless their command names one.
    pub(crate) fn home(&self, service: &ServiceName, slot: SlotIndex) -> PathBuf {
        self.folder.join(format!("{service}.{slot}"))
    }

    /// Held by the keeper of the slot's run, so that there is never a second.
    pub(crate) fn lock(&self, service: &ServiceName, slot: SlotIndex) -> PathBuf {
        self.folder.join(format!("{service}.{slot}.lock"))
    }

    fn path(&self, name: &RunName) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// Replaces the record. A reader sees the old one or the new one. Not forced to disk: what runs does not outlive the
    /// machine's start either, and the store remembers the run's number.
    pub(crate) fn write(&self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_vec(record)?;
        write_whole(&self.path(&record.name), &text, Durable::WhileUp)
    }

    /// `None` when there is none, or none that can be read.
    pub(crate) fn read(&self, name: &RunName) -> Option<Record> {
        read(&self.path(name)).filter(|it| it.name == *name)
    }

    /// All that can be read, by name, and a remark on each that cannot and was removed. `instead`: what serves in its place.
    pub(crate) fn take_stock(
        &self,
        instead: &str,
    ) -> Result<(Vec<Record>, Vec<String>), RuntimeError> {
        let all = self.all();
        let (records, unreadable) = all.map_err(RuntimeError::machine(format!(
            "reading the records in {}",
            self.folder.display()
        )))?;
        let remark = |path: PathBuf| {
            let _ = fs::remove_file(&path);
            let path = path.display();
            format!("the record {path} cannot be read and was removed; {instead}")
        };
        Ok((records, unreadable.into_iter().map(remark).collect()))
    }

    /// All that can be read, by name. Those that cannot are told by their path.
    fn all(&self) -> io::Result<(Vec<Record>, Vec<PathBuf>)> {
        let (mut records, mut unreadable) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let Some(name) = path
                .file_name()
                .and_then(|it| it.to_str()?.strip_suffix(".json"))
            else {
                continue;
            };
            match (RunName::parse(name), read(&path)) {
                (Some(name), Some(record)) if record.name == name => records.push(record),
                _ => unreadable.push(path),
            }
        }
        records.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((records, unreadable))
    }

    /// Writes down how a run ended; an end that is written down already stays, and is answered.
    pub(crate) fn close(&self, name: &RunName, ended: Ended) -> Ended {
        let Some(mut record) = self.read(name) else {
            return ended;
        };
        if let Some(before) = record.ended {
            return before;
        }
        record.ended = Some(ended.clone());
        if let Err(error) = self.write(&record) {
            tracing::warn!(run = %name, %error, "the end of a run could not be written down");
        }
        ended
    }

    /// The end that is written down was wanted.
    pub(crate) fn settle(&self, name: &RunName) -> Result<(), RuntimeError> {
        let Some(mut record) = self.read(name) else {
            return Ok(());
        };
        let Some(ended) = &mut record.ended else {
            return Ok(());
        };
        ended.exit = Exit::Stopped;
        let doing = format!("writing the record of {name}");
        self.write(&record).map_err(RuntimeError::machine(doing))
    }

    /// No error when there is none.
    pub(crate) fn remove(&self, name: &RunName) -> Result<(), RuntimeError> {
        match fs::remove_file(self.path(name)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                let doing = format!("removing the record of {name}");
                Err(RuntimeError::machine(doing)(cause))
            }
            _ => Ok(()),
        }
    }
}

fn read(path: &Path) -> Option<Record> {
    let fits = fs::metadata(path).is_ok_and(|it| it.len() <= LONGEST);
    let text = fits.then(|| fs::read(path).ok())??;
    serde_json::from_slice(&text)
        .ok()
        .filter(|it: &Record| it.v == 1)
}

/// Makes a folder and those above it, for their owner only.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// What a written file must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    /// The end of any process.
    WhileUp,
    /// The end of the machine, too.
    Always,
}

/// Writes a file beside `path`, then puts it in its place.
pub(crate) fn write_whole(path: &Path, text: &[u8], durable: Durable) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(text)?;
            match durable {
                Durable::WhileUp => Ok(()),
                Durable::Always => file.sync_all(),
            }
        })
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
