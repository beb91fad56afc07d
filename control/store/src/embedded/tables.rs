//! The tables of the file, format 1: what is written in one transaction, and reading all of it back with every check.

use super::record::{decode_commit, decode_entry, encode_commit, encode_entry};
use super::state::{Change, Delta, State};
use crate::{LeaseId, Revision};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use std::sync::Arc;
use std::time::Duration;

/// Format of the tables and records. A higher one was written by a newer minato.
const FORMAT: u128 = 1;

const META: TableDefinition<&str, u128> = TableDefinition::new("meta");
const ENTRIES: TableDefinition<&str, &[u8]> = TableDefinition::new("entries");
const HISTORY: TableDefinition<u64, &[u8]> = TableDefinition::new("history");
const LEASES: TableDefinition<u64, u64> = TableDefinition::new("leases");

/// Who this store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) store_id: u128,
    /// Rises when a store is restored or copied.
    pub(super) era: u32,
}

/// Why the engine or the content failed.
pub(super) enum Failed {
    Engine(redb::Error),
    Content(String),
}

impl<E: Into<redb::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Engine(error.into())
    }
}

/// Writes all of `state` into a new database.
pub(super) fn fill(database: &Database, identity: Identity, state: &State) -> Result<(), Failed> {
    transact(database, |tables| {
        tables.meta.insert("format", FORMAT)?;
        tables.meta.insert("store_id", identity.store_id)?;
        tables.meta.insert("era", u128::from(identity.era))?;
        tables.fill(state)
    })
}

/// Writes `delta` over a state whose history began at `oldest`.
pub(super) fn apply(database: &Database, oldest: Revision, delta: &Delta) -> Result<(), Failed> {
    transact(database, |tables| tables.apply(oldest, delta))
}

struct Tables<'txn> {
    meta: redb::Table<'txn, &'static str, u128>,
    entries: redb::Table<'txn, &'static str, &'static [u8]>,
    history: redb::Table<'txn, u64, &'static [u8]>,
    leases: redb::Table<'txn, u64, u64>,
}

/// One durable transaction.
fn transact(
    database: &Database,
    change: impl FnOnce(&mut Tables<'_>) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    change(&mut Tables {
        meta: transaction.open_table(META)?,
        entries: transaction.open_table(ENTRIES)?,
        history: transaction.open_table(HISTORY)?,
        leases: transaction.open_table(LEASES)?,
    })?;
    Ok(transaction.commit()?)
}

impl Tables<'_> {
    fn apply(&mut self, oldest: Revision, delta: &Delta) -> Result<(), Failed> {
        for (key, entry) in &delta.entries {
            match entry {
                Some(entry) => drop(
                    self.entries
                        .insert(key.as_str(), encode_entry(entry).as_slice())?,
                ),
                None => drop(self.entries.remove(key.as_str())?),
            }
        }
        for (lease, ttl) in &delta.leases {
            match ttl {
                Some(ttl) => self.grant(*lease, *ttl)?,
                None => drop(self.leases.remove(lease.0)?),
            }
        }
        for (revision, changes) in (1..=delta.revision.0).rev().zip(delta.commits.iter().rev()) {
            if revision >= delta.oldest.0 {
                self.remember(revision, changes)?;
            }
        }
        for gone in oldest.0..delta.oldest.0 {
            self.history.remove(gone)?;
        }
        self.count(
            delta.revision,
            delta.sequence,
            delta.last_lease,
            delta.oldest,
        )
    }

    fn fill(&mut self, state: &State) -> Result<(), Failed> {
        for (key, entry) in &state.entries {
            self.entries
                .insert(key.as_str(), encode_entry(entry).as_slice())?;
        }
        for (lease, ttl) in &state.leases {
            self.grant(*lease, *ttl)?;
        }
        for (revision, changes) in state.history.since(Revision(0)) {
            self.remember(revision.0, changes)?;
        }
        self.count(
            state.revision,
            state.sequence,
            state.last_lease,
            state.history.oldest,
        )
    }

    fn grant(&mut self, lease: LeaseId, ttl: Duration) -> Result<(), Failed> {
        let milliseconds = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.leases.insert(lease.0, milliseconds)?;
        Ok(())
    }

    fn remember(&mut self, revision: u64, changes: &[Change]) -> Result<(), Failed> {
        self.history
            .insert(revision, encode_commit(changes).as_slice())?;
        Ok(())
    }

    fn count(
        &mut self,
        revision: Revision,
        sequence: u64,
        last_lease: u64,
        oldest: Revision,
    ) -> Result<(), Failed> {
        self.meta.insert("revision", u128::from(revision.0))?;
        self.meta.insert("sequence", u128::from(sequence))?;
        self.meta.insert("last_lease", u128::from(last_lease))?;
        self.meta.insert("oldest", u128::from(oldest.0))?;
        Ok(())
    }
}

/// Reads everything; what contradicts itself is an error.
pub(super) fn read(database: &Database) -> Result<(Identity, State), Failed> {
    let content = |detail: String| Failed::Content(detail);
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let number = |name: &str| -> Result<u128, Failed> {
        let found = meta.get(name)?.map(|it| it.value());
        found.ok_or_else(|| content(format!("its meta record has no `{name}`")))
    };
    let count = |name: &str| -> Result<u64, Failed> {
        u64::try_from(number(name)?).map_err(|_| content(format!("its `{name}` is out of range")))
    };
    let format = number("format")?;
    if format != FORMAT {
        return Err(content(format!(
            "it has format {format} and this minato reads {FORMAT}: a newer minato wrote it, use that one"
        )));
    }
    let identity = Identity {
        store_id: number("store_id")?,
        era: u32::try_from(number("era")?)
            .map_err(|_| content("its era is out of range".into()))?,
    };
    let mut state = State {
        revision: Revision(count("revision")?),
        sequence: count("sequence")?,
        last_lease: count("last_lease")?,
        ..State::default()
    };
    state.history.oldest = Revision(count("oldest")?);
    for row in transaction.open_table(ENTRIES)?.iter()? {
        let (key, value) = row?;
        let entry = decode_entry(key.value(), value.value()).map_err(content)?;
        if entry.modified > state.revision || entry.created > entry.modified {
            return Err(content(format!(
                "`{}` has a revision that never was",
                entry.key
            )));
        }
        state.insert(Arc::new(entry));
    }
    for row in transaction.open_table(LEASES)?.iter()? {
        let (lease, ttl) = row?;
        let ttl = Duration::from_millis(ttl.value());
        state.leases.insert(LeaseId(lease.value()), ttl);
    }
    let mut next = state.history.oldest;
    for row in transaction.open_table(HISTORY)?.iter()? {
        let (revision, value) = row?;
        if revision.value() != next.0 {
            return Err(content(format!("commit {} is missing", next.0)));
        }
        let changes = decode_commit(next, value.value()).map_err(content)?;
        state.history.push(changes);
        next.0 += 1;
    }
    if next.0 != state.revision.0.saturating_add(1) {
        return Err(content(format!(
            "its last commit should be {} and is {}",
            state.revision.0,
            next.0.saturating_sub(1)
        )));
    }
    Ok((identity, state))
}
