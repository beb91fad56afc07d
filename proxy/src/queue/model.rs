//! Every order of a few threads at one queue, by loom: nobody waits for ever, every place is given back, limits hold.

#![cfg(loom)]

use super::*;
use crate::sample::limits;
use loom::future::block_on;
use loom::thread;

/// Takes part as a request does: waits if it must.
fn pass(queue: &Arc<Queue>) {
    match queue.admit() {
        Admission::Permit(permit) => drop(permit),
        Admission::Ticket(ticket) => drop(block_on(ticket)),
        Admission::Shed => panic!("there was room in the line"),
    }
}

fn permit(queue: &Arc<Queue>) -> Permit {
    match queue.admit() {
        Admission::Permit(permit) => permit,
        other => panic!("expected a permit, got {other:?}"),
    }
}

fn ticket(queue: &Arc<Queue>) -> Ticket {
    match queue.admit() {
        Admission::Ticket(ticket) => ticket,
        other => panic!("expected a ticket, got {other:?}"),
    }
}

fn is_empty(queue: &Queue) -> bool {
    (queue.in_flight(), queue.waiting()) == (0, 0)
}

#[test]
fn whoever_waits_is_woken() {
    loom::model(|| {
        let queue = Queue::new(&limits(1, 2));
        let other = Arc::clone(&queue);
        let thread = thread::spawn(move || pass(&other));
        pass(&queue);
        thread.join().unwrap();
        assert!(is_empty(&queue));
    });
}

#[test]
fn one_that_gives_up_as_its_turn_comes_passes_it_on() {
    loom::model(|| {
        let queue = Queue::new(&limits(1, 2));
        let (first, gone, next) = (permit(&queue), ticket(&queue), ticket(&queue));
        let leaves = thread::spawn(move || drop(first));
        let gives_up = thread::spawn(move || drop(gone));
        drop(block_on(next));
        leaves.join().unwrap();
        gives_up.join().unwrap();
        assert!(is_empty(&queue));
    });
}

#[test]
fn a_newcomer_does_not_pass_one_who_waits() {
    loom::model(|| {
        let queue = Queue::new(&limits(1, 2));
        let (first, mut older) = (permit(&queue), ticket(&queue));
        let leaves = thread::spawn(move || drop(first));
        // Whatever the order, the place is the older one's until it has been used.
        assert!(matches!(queue.admit(), Admission::Ticket(_)));
        leaves.join().unwrap();
        drop(block_on(&mut older));
        drop(older);
        assert!(is_empty(&queue));
    });
}

#[test]
fn a_limit_that_rises_lets_in_whoever_joins_meanwhile() {
    loom::model(|| {
        let queue = Queue::new(&limits(1, 2));
        let first = permit(&queue);
        let other = Arc::clone(&queue);
        let raises = thread::spawn(move || other.set_limits(&limits(2, 2)));
        pass(&queue);
        raises.join().unwrap();
        drop(first);
        assert!(is_empty(&queue));
    });
}

/// What a gateway says of a held service rests on this: once it is held, what was seen in flight only becomes less.
#[test]
fn after_it_is_held_nobody_slips_in() {
    loom::model(|| {
        let queue = Queue::new(&limits(0, 2));
        let other = Arc::clone(&queue);
        let comes = thread::spawn(move || pass(&other));
        queue.hold();
        let seen = queue.in_flight();
        assert!(queue.in_flight() <= seen);
        queue.release();
        comes.join().unwrap();
        assert!(is_empty(&queue));
    });
}
