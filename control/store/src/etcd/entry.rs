//! Between etcd's words and ours. Pure. What a member sends may be anything: nothing here panics.

use crate::{Commit, Compare, Entry, Event, LeaseId, Revision, Write};
use etcd_client::proto::{PbEvent, PbKeyValue};
use etcd_client::{CompareOp, GetOptions, PutOptions, TxnOp};

pub(super) fn revision(it: i64) -> Revision {
    Revision(u64::try_from(it).unwrap_or(0))
}

/// etcd counts with a sign; no revision of a real cluster comes near the end.
pub(super) fn signed(it: Revision) -> i64 {
    i64::try_from(it.0).unwrap_or(i64::MAX)
}

pub(super) fn lease(it: LeaseId) -> i64 {
    i64::try_from(it.0).unwrap_or(i64::MAX)
}

/// Keys are text. One that is not is somebody else's, and shown as well as it can be.
pub(super) fn entry(it: PbKeyValue) -> Entry {
    Entry {
        key: text(it.key),
        value: it.value,
        created: revision(it.create_revision),
        modified: revision(it.mod_revision),
        lease: u64::try_from(it.lease)
            .ok()
            .filter(|it| *it != 0)
            .map(LeaseId),
    }
}

fn text(key: Vec<u8>) -> String {
    String::from_utf8(key).unwrap_or_else(|it| String::from_utf8_lossy(it.as_bytes()).into_owned())
}

/// `None` for what is neither put nor delete.
pub(super) fn event(it: PbEvent) -> Option<Event> {
    let pair = it.kv?;
    match it.r#type {
        0 => Some(Event::Put(entry(pair))),
        1 => Some(Event::Delete {
            revision: revision(pair.mod_revision),
            key: text(pair.key),
        }),
        _ => None,
    }
}

pub(super) fn compare(it: &Compare) -> etcd_client::Compare {
    use etcd_client::Compare as Theirs;
    match it {
        Compare::Modified { key, revision } => {
            Theirs::mod_revision(key.as_str(), CompareOp::Equal, signed(*revision))
        }
        Compare::Created { key, revision } => {
            Theirs::create_revision(key.as_str(), CompareOp::Equal, signed(*revision))
        }
        Compare::Absent { key } => absent(key),
    }
}

pub(super) fn absent(key: &str) -> etcd_client::Compare {
    etcd_client::Compare::create_revision(key, CompareOp::Equal, 0)
}

pub(super) fn write(it: &Write) -> TxnOp {
    match it {
        Write::Put {
            key,
            value,
            lease: on,
        } => {
            let options = PutOptions::new().with_lease(on.map_or(0, lease));
            TxnOp::put(key.as_str(), value.as_slice(), Some(options))
        }
        Write::Delete { key } => TxnOp::delete(key.as_str(), None),
    }
}

/// What is looked at to tell which comparison did not hold: the key without its value.
pub(super) fn look(it: &Compare) -> TxnOp {
    TxnOp::get(it.key(), Some(GetOptions::new().with_keys_only()))
}

/// Whether `found` is what `compare` wants. A missing key has revision 0 for etcd; here nothing equals it.
pub(super) fn holds(compare: &Compare, found: Option<&Entry>) -> bool {
    match compare {
        Compare::Modified { revision, .. } => found.is_some_and(|it| it.modified == *revision),
        Compare::Created { revision, .. } => found.is_some_and(|it| it.created == *revision),
        Compare::Absent { .. } => found.is_none(),
    }
}

/// A comparison that can hold for no key at all, though etcd would say so for a missing one.
pub(super) fn never(commit: &Commit) -> Option<&Compare> {
    commit.compare.iter().find(|it| match it {
        Compare::Modified { revision, .. } | Compare::Created { revision, .. } => revision.0 == 0,
        Compare::Absent { .. } => false,
    })
}

/// The first key after all that begin with `prefix`; `\0` where there is none, which etcd takes as "to the end".
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_key_that_lacks_it() {
        for (prefix, end) in [
            (&b"/a/"[..], &b"/a0"[..]),
            (b"a\xff", b"b"),
            (b"\xff\xff", b"\0"),
            (b"", b"\0"),
        ] {
            assert_eq!(end_of(prefix), end, "{prefix:?}");
        }
    }

    #[test]
    fn odd_answers_are_taken_as_well_as_they_can_be() {
        let pair = PbKeyValue {
            key: b"\xff/k".to_vec(),
            create_revision: -1,
            mod_revision: 7,
            lease: -5,
            ..PbKeyValue::default()
        };
        let taken = entry(pair.clone());
        assert_eq!((taken.created, taken.modified), (Revision(0), Revision(7)));
        assert_eq!(taken.lease, None);
        let of = |kind, kv| {
            event(PbEvent {
                r#type: kind,
                kv,
                prev_kv: None,
            })
        };
        assert!(matches!(
            of(1, Some(pair.clone())),
            Some(Event::Delete {
                revision: Revision(7),
                ..
            })
        ));
        assert_eq!(of(2, Some(pair)), None);
        assert_eq!(of(0, None), None);
    }
}
