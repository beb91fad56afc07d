//! Keeps what plans that take something away were made from, in files that `minato replay` reads. Written before the plan is
//! carried out; where that fails control goes on, and says so once.
//!
//! Not here: what is in such a file (`control/store`), what counts as a plan (`control`).

use crate::clock;
use crate::journal::emit;
use minato_config::{SiteId, Timestamp};
use minato_control::{Action, Event, EventKind, Losses, Plan, World};
use minato_control_store::Decision;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Files at most, and bytes of all of them; the oldest go first.
const MOST: usize = 1000;
const MOST_BYTES: u64 = 256 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Saved {
    /// `None`: nothing is saved.
    folder: Option<PathBuf>,
    site: SiteId,
    /// Revision and steps of the last one: a plan that is tried again is the same. At one revision there may be several, since time and
    /// what the leader remembers of nodes go on.
    last: (u64, Vec<String>),
    /// The last one could not be written.
    failing: bool,
}

impl Saved {
    pub(super) fn new(folder: Option<PathBuf>, site: SiteId) -> Self {
        Self {
            folder,
            site,
            last: (0, Vec::new()),
            failing: false,
        }
    }

    /// Saves what `plan` follows from if it takes anything away.
    pub(super) async fn keep(
        &mut self,
        (world, losses): (&World, &Losses),
        now: Timestamp,
        plan: &Plan,
        events: &mpsc::Sender<Event>,
    ) {
        let Some(folder) = self.folder.clone().filter(|_| takes_away(world, plan)) else {
            return;
        };
        let steps = plan.steps.iter().map(ToString::to_string).collect();
        let this = (world.revision, steps);
        if self.last == this {
            return;
        }
        self.last = this;
        let about = (&self.site, env!("CARGO_PKG_VERSION"));
        let written = match Decision::new(about, world, losses, now, plan) {
            Ok(decision) => {
                let name = format!("{:013}-{}.json", now.0, world.revision);
                let place = folder.clone();
                let writing = tokio::task::spawn_blocking(move || write(&place, &name, &decision));
                writing
                    .await
                    .unwrap_or_else(|error| Err(io::Error::other(error)))
            }
            Err(error) => Err(error.into()),
        };
        let failing = written.is_err();
        if let (Err(error), false) = (written, self.failing) {
            let text = format!(
                "what control decides on cannot be saved in {}: {error}; it goes on, and `minato replay` will lack these decisions",
                folder.display()
            );
            let event = Event::warn(clock::wall(), EventKind::Alarm, text);
            emit(
                events,
                event.hint("make room there, or let minato write there"),
            );
        }
        self.failing = failing;
    }
}

/// Whether an instance that runs may end by it.
fn takes_away(world: &World, plan: &Plan) -> bool {
    plan.steps.iter().any(|it| match &it.action {
        Action::Remove(_) | Action::ForgetService => true,
        Action::Assign(n, _) => world.slots.contains_key(&(it.service.clone(), *n)),
        Action::Forget(_) => false,
    })
}

fn write(folder: &Path, name: &str, decision: &Decision) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let whole = folder.join(name);
    let part = folder.join(format!("{name}.part"));
    let mut file = fs::File::create(&part)?;
    file.write_all(&serde_json::to_vec(decision)?)?;
    // It is there before what it led to, also where the machine loses its power next.
    file.sync_all()?;
    fs::rename(part, whole)?;
    make_room(folder)
}

fn make_room(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.file_name(), entry.metadata()?.len()));
    }
    // Names begin with the time.
    files.sort_unstable();
    let mut bytes: u64 = files.iter().map(|it| it.1).sum();
    let mut count = files.len();
    for (name, length) in files {
        if count <= MOST && bytes <= MOST_BYTES {
            break;
        }
        fs::remove_file(folder.join(name))?;
        (count, bytes) = (count - 1, bytes - length);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_config::{ServiceName, SlotIndex};
    use minato_control::Step;

    fn removes(services: &[&str]) -> Plan {
        let step = |name: &&str| Step {
            service: ServiceName::parse(name).unwrap(),
            action: Action::Remove(SlotIndex(0)),
            reason: "1 wanted".to_owned(),
            relies_on: Vec::new(),
        };
        Plan {
            steps: services.iter().map(step).collect(),
            ..Plan::default()
        }
    }

    #[tokio::test]
    async fn each_decision_is_saved_once_also_where_the_store_stands_still() {
        let folder = tempfile::tempdir().unwrap();
        let (events, _told) = mpsc::channel(8);
        let mut saved = Saved::new(Some(folder.path().to_owned()), SiteId::local());
        let world = World {
            revision: 5,
            ..World::default()
        };
        let mut losses = Losses::default();
        let count = || fs::read_dir(folder.path()).unwrap().count();
        let one = removes(&["one"]);
        saved
            .keep((&world, &losses), Timestamp(1), &one, &events)
            .await;
        // Refused, say, and tried again: the same.
        saved
            .keep((&world, &losses), Timestamp(2), &one, &events)
            .await;
        assert_eq!(count(), 1);
        // A grace ends by the leader's clock alone; nothing was written to the store.
        losses.alarm = Some("most nodes are gone".to_owned());
        let both = removes(&["one", "two"]);
        saved
            .keep((&world, &losses), Timestamp(3), &both, &events)
            .await;
        assert_eq!(count(), 2);
        let newest = fs::read(folder.path().join("0000000000003-5.json")).unwrap();
        let newest = Decision::parse(&newest).unwrap();
        assert_eq!(newest.steps.len(), 2);
    }
}
