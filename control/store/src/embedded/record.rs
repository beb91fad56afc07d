//! Bytes of entries and commits in the file, format 1. All numbers are little-endian.
//!
//! Entry: created u64, modified u64, lease u64 (0: none), value. Commit: for each change a tag u8 (1 put, 0 delete),
//! key length u32, key; for a put also created u64, lease u64, value length u32, value.
//! What cannot be read is an error with a reason, never a panic.

use super::state::Change;
use crate::{Entry, LeaseId, Revision};
use std::sync::Arc;

const DELETE: u8 = 0;
const PUT: u8 = 1;

pub(super) fn encode_entry(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + entry.value.len());
    out.extend(entry.created.0.to_le_bytes());
    out.extend(entry.modified.0.to_le_bytes());
    out.extend(entry.lease.map_or(0, |it| it.0).to_le_bytes());
    out.extend(&entry.value);
    out
}

pub(super) fn decode_entry(key: &str, bytes: &[u8]) -> Result<Entry, String> {
    let mut rest = Rest(bytes);
    Ok(Entry {
        key: key.to_owned(),
        created: Revision(rest.u64()?),
        modified: Revision(rest.u64()?),
        lease: Some(LeaseId(rest.u64()?)).filter(|it| it.0 != 0),
        value: rest.0.to_vec(),
    })
}

pub(super) fn encode_commit(changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::new();
    // Commits are checked against MAX_COMMIT_BYTES, so every length fits.
    let length = |it: usize| u32::try_from(it).unwrap_or(u32::MAX).to_le_bytes();
    for change in changes {
        let put = matches!(change, Change::Put(_));
        out.push(if put { PUT } else { DELETE });
        out.extend(length(change.key().len()));
        out.extend(change.key().as_bytes());
        if let Change::Put(entry) = change {
            out.extend(entry.created.0.to_le_bytes());
            out.extend(entry.lease.map_or(0, |it| it.0).to_le_bytes());
            out.extend(length(entry.value.len()));
            out.extend(&entry.value);
        }
    }
    out
}

pub(super) fn decode_commit(revision: Revision, bytes: &[u8]) -> Result<Arc<[Change]>, String> {
    let mut rest = Rest(bytes);
    let mut changes = Vec::new();
    while !rest.0.is_empty() {
        let tag = rest.take(1)?[0];
        let length = rest.u32()?;
        let key = std::str::from_utf8(rest.take(length)?)
            .map_err(|cause| format!("a key of commit {} is not text: {cause}", revision.0))?
            .to_owned();
        changes.push(match tag {
            DELETE => Change::Delete(key),
            PUT => Change::Put(Arc::new(Entry {
                key,
                created: Revision(rest.u64()?),
                modified: revision,
                lease: Some(LeaseId(rest.u64()?)).filter(|it| it.0 != 0),
                value: {
                    let length = rest.u32()?;
                    rest.take(length)?.to_vec()
                },
            })),
            _ => return Err(format!("commit {} has an unknown change", revision.0)),
        });
    }
    Ok(changes.into())
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| format!("{} bytes where {count} should be", self.0.len()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn u32(&mut self) -> Result<usize, String> {
        self.array().map(u32::from_le_bytes).map(|it| it as usize)
    }
}
