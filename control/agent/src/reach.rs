//! What services of this node would lack, written down for placing: `nodes/<node>/reach`.
//!
//! What comes and goes is told at once; that the same lack has another reason is not worth more than a write in a while.
//! Not here: the checks (`dependency`), what is made of it (`control::plan`).

use minato_config::{DependencyName, NodeId};
use minato_control::{Standings, Usable};
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Commit, SharedStore, StoreError};
use minato_health::NodeReach;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// A reason that changed is told after this long.
const REASONS: Duration = Duration::from_secs(60);
/// Between tries to reach the store.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Octets of a reason.
const LONGEST: usize = 300;

/// Runs until dropped, until nobody watches dependencies, or until the store is closed. `standings`: `None` where no setting names any.
pub(crate) async fn tell_reach(
    store: SharedStore,
    keys: Keys,
    node: NodeId,
    standings: Option<watch::Receiver<Standings>>,
) {
    let key = keys.text(&Key::NodeReach(node));
    // What another minato with other settings said must not stay.
    let mut told: Option<BTreeMap<DependencyName, String>> = None;
    let Some(mut standings) = standings else {
        while write(&store, &key, &BTreeMap::new()).await == Written::Later {
            sleep(STORE_PAUSE).await;
        }
        return;
    };
    loop {
        let lacks = lacks(&standings.borrow_and_update());
        let same_names = |it: &BTreeMap<_, _>| it.keys().eq(lacks.keys());
        let due = !told.as_ref().is_some_and(same_names);
        if due {
            match write(&store, &key, &lacks).await {
                Written::Yes => told = Some(lacks),
                Written::Never => return,
                Written::Later => sleep(STORE_PAUSE).await,
            }
            continue;
        }
        let pending = told.as_ref() != Some(&lacks);
        let changed = async {
            match pending {
                true => timeout(REASONS, standings.changed()).await.ok(),
                false => Some(standings.changed().await),
            }
        };
        match changed.await {
            Some(Ok(())) => {}
            Some(Err(_)) => return,
            // The reason has been another one for a while.
            None => told = None,
        }
    }
}

fn lacks(standings: &Standings) -> BTreeMap<DependencyName, String> {
    let lacks = standings.iter().filter_map(|(name, it)| match &it.state {
        Usable::No(why) => {
            let mut why = format!("{}: {why}", it.noun);
            why.truncate(why.floor_char_boundary(LONGEST));
            Some((name.clone(), why))
        }
        Usable::Yes | Usable::Unknown => None,
    });
    lacks.collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Yes,
    /// Not now.
    Later,
    /// The store is closed.
    Never,
}

async fn write(
    store: &SharedStore,
    key: &str,
    lacks: &BTreeMap<DependencyName, String>,
) -> Written {
    let commit = if lacks.is_empty() {
        Commit::default().and_delete(key.to_owned())
    } else {
        let lacks = lacks.clone();
        match serde_json::to_vec(&NodeReach { v: 1, lacks }) {
            Ok(value) => Commit::put(key, value),
            Err(error) => {
                tracing::error!(%error, "what this node does not reach cannot be written as JSON");
                return Written::Never;
            }
        }
    };
    match store.commit(commit).await {
        Ok(_) => Written::Yes,
        Err(StoreError::Closed) => Written::Never,
        // Whoever needs the store says so.
        Err(error) => {
            tracing::debug!(%error, "what this node does not reach could not be stored");
            Written::Later
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_control::Standing;

    #[test]
    fn only_what_is_known_to_be_down_is_lacked() {
        let standing = |state| Standing {
            noun: "database",
            state,
        };
        let name = |it: &str| DependencyName::parse(it).unwrap();
        let standings: Standings = [
            (name("a"), standing(Usable::Unknown)),
            (name("b"), standing(Usable::Yes)),
            (name("c"), standing(Usable::No("\u{e9}".repeat(200)))),
        ]
        .into();
        let lacks = lacks(&standings);
        assert_eq!(lacks.keys().collect::<Vec<_>>(), [&name("c")]);
        assert_eq!(
            lacks[&name("c")],
            format!("database: {}", "\u{e9}".repeat(145))
        );
    }
}
