//! Deadlines by the clock that they are given.

use crate::embedded::lease::{Deadlines, now};
use crate::{LeaseId, StoreError};
use std::time::Duration;

const TTL: Duration = Duration::from_secs(10);

#[test]
fn a_lease_ends_at_its_time_and_not_before() {
    let (deadlines, start) = (Deadlines::default(), now());
    deadlines.start(LeaseId(1), TTL, start);
    deadlines.start(LeaseId(2), TTL * 2, start);
    assert_eq!(deadlines.next(), Some(start + TTL));
    assert_eq!(
        deadlines.take_ended(start + TTL - Duration::from_nanos(1)),
        []
    );
    assert_eq!(deadlines.take_ended(start + TTL), [LeaseId(1)]);
    assert_eq!(deadlines.next(), Some(start + TTL * 2));
}

#[test]
fn keeping_alive_starts_its_time_anew_until_it_ended() {
    let (deadlines, start) = (Deadlines::default(), now());
    deadlines.start(LeaseId(1), TTL, start);
    deadlines.keep_alive(LeaseId(1), start + TTL / 2).unwrap();
    assert_eq!(deadlines.take_ended(start + TTL), []);
    assert_eq!(deadlines.take_ended(start + TTL * 2), [LeaseId(1)]);
    let gone = deadlines.keep_alive(LeaseId(1), start + TTL * 2);
    assert!(matches!(gone, Err(StoreError::LeaseGone { lease }) if lease == LeaseId(1)));
}

#[test]
fn after_a_stall_every_lease_has_its_whole_time() {
    let (deadlines, start) = (Deadlines::default(), now());
    deadlines.start(LeaseId(1), TTL, start);
    let late = start + TTL * 100;
    deadlines.restart(late);
    assert_eq!(deadlines.take_ended(late + TTL / 2), []);
    assert_eq!(deadlines.take_ended(late + TTL), [LeaseId(1)]);
}
