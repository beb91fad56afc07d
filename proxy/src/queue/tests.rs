//! The queue step by step, and under threads as the machine runs them; `model` has the orders it does not.

#![cfg(not(loom))]

use super::*;
use crate::sample::limits;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::task::Wake;
use std::thread::Thread;
use std::time::Duration;

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(ticket: &mut Ticket, waker: &Arc<Count>) -> Option<Permit> {
    let waker = Waker::from(Arc::clone(waker));
    match Pin::new(ticket).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(permit) => Some(permit),
        Poll::Pending => None,
    }
}

#[track_caller]
fn permit(queue: &Arc<Queue>) -> Permit {
    match queue.admit() {
        Admission::Permit(permit) => permit,
        other => panic!("expected a permit, got {other:?}"),
    }
}

#[track_caller]
fn ticket(queue: &Arc<Queue>) -> Ticket {
    match queue.admit() {
        Admission::Ticket(ticket) => ticket,
        other => panic!("expected a ticket, got {other:?}"),
    }
}

#[track_caller]
fn check(queue: &Queue, in_flight: u32, waiting: u32) {
    assert_eq!((queue.in_flight(), queue.waiting()), (in_flight, waiting));
}

#[test]
fn no_limit_counts_all_the_same() {
    let queue = Queue::new(&limits(0, 0));
    let permits: Vec<_> = (0..1_000).map(|_| permit(&queue)).collect();
    check(&queue, 1_000, 0);
    drop(permits);
    check(&queue, 0, 0);
}

#[test]
fn past_limit_and_queue_it_sheds() {
    let queue = Queue::new(&limits(2, 1));
    let (one, _two) = (permit(&queue), permit(&queue));
    let waiting = ticket(&queue);
    assert!(matches!(queue.admit(), Admission::Shed));
    check(&queue, 2, 1);
    drop(waiting);
    check(&queue, 2, 0);
    drop(one);
    let _three = permit(&queue);
    let without_queue = Queue::new(&limits(1, 0));
    let _one = permit(&without_queue);
    assert!(matches!(without_queue.admit(), Admission::Shed));
}

#[test]
fn first_in_is_first_out_and_each_is_woken_once() {
    let queue = Queue::new(&limits(1, 10));
    let mut last = Some(permit(&queue));
    let mut line: Vec<_> = (0..5)
        .map(|_| (ticket(&queue), Arc::new(Count::default())))
        .collect();
    for (ticket, waker) in &mut line {
        assert!(poll(ticket, waker).is_none());
        assert!(poll(ticket, waker).is_none());
    }
    for turn in 0..5 {
        drop(last.take());
        for (index, (ticket, waker)) in line.iter_mut().enumerate() {
            let woken = waker.0.load(Ordering::SeqCst);
            assert_eq!(
                woken,
                u32::from(index <= turn),
                "turn {turn}, ticket {index}"
            );
            if index > turn {
                assert!(poll(ticket, waker).is_none(), "turn {turn}, ticket {index}");
            } else if index == turn {
                last = poll(ticket, waker);
                assert!(last.is_some(), "turn {turn}");
            }
        }
        check(&queue, 1, 4 - turn as u32);
    }
    drop(line);
    check(&queue, 1, 0);
    drop(last);
    check(&queue, 0, 0);
}

#[test]
fn a_new_waker_takes_the_place_of_the_old_one() {
    let queue = Queue::new(&limits(1, 1));
    let first = permit(&queue);
    let (mut ticket, old, new) = (ticket(&queue), Arc::default(), Arc::default());
    assert!(poll(&mut ticket, &old).is_none());
    assert!(poll(&mut ticket, &new).is_none());
    drop(first);
    assert_eq!(
        (old.0.load(Ordering::SeqCst), new.0.load(Ordering::SeqCst)),
        (0, 1)
    );
    assert!(poll(&mut ticket, &new).is_some());
}

#[test]
fn a_ticket_dropped_after_its_turn_came_passes_the_place_on() {
    let queue = Queue::new(&limits(1, 3));
    let first = permit(&queue);
    let (gone, never_polled, mut next) = (ticket(&queue), ticket(&queue), ticket(&queue));
    let waker = Arc::default();
    assert!(poll(&mut next, &waker).is_none());
    drop(first);
    check(&queue, 1, 2);
    // Let in, and its client went away before it looked.
    drop(gone);
    check(&queue, 1, 1);
    drop(never_polled);
    check(&queue, 1, 0);
    assert_eq!(waker.0.load(Ordering::SeqCst), 1);
    drop(poll(&mut next, &waker).unwrap());
    drop(next);
    check(&queue, 0, 0);
}

#[test]
fn leaving_the_middle_of_the_line_keeps_the_order() {
    let queue = Queue::new(&limits(1, 3));
    let first = permit(&queue);
    let (mut a, b, mut c) = (ticket(&queue), ticket(&queue), ticket(&queue));
    let waker = Arc::default();
    drop(b);
    check(&queue, 1, 2);
    drop(first);
    assert!(poll(&mut c, &waker).is_none());
    let permit = poll(&mut a, &waker).unwrap();
    drop(permit);
    assert!(poll(&mut c, &waker).is_some());
}

#[test]
fn new_limits_count_at_once() {
    let queue = Queue::new(&limits(1, 10));
    let first = permit(&queue);
    let mut line: Vec<_> = (0..6).map(|_| ticket(&queue)).collect();
    queue.set_limits(&limits(3, 0));
    check(&queue, 3, 4);
    assert!(matches!(queue.admit(), Admission::Shed));
    let waker = Arc::default();
    let mut permits: Vec<_> = line.iter_mut().filter_map(|it| poll(it, &waker)).collect();
    assert_eq!(permits.len(), 2);
    // Lower than what is in flight: nobody comes in until it is below.
    queue.set_limits(&limits(2, 10));
    drop(first);
    check(&queue, 2, 4);
    drop(permits.pop());
    check(&queue, 2, 3);
    // No limit: everyone.
    queue.set_limits(&limits(0, 0));
    check(&queue, 5, 0);
    drop((permits, line));
    check(&queue, 0, 0);
}

/// A ticket let in before anyone polls it is in flight, so a newcomer waits behind it.
#[test]
fn nobody_passes_those_who_wait() {
    let queue = Queue::new(&limits(1, 2));
    let first = permit(&queue);
    let mut older = ticket(&queue);
    drop(first);
    let mut newer = ticket(&queue);
    let waker = Arc::default();
    assert!(poll(&mut newer, &waker).is_none());
    assert!(poll(&mut older, &waker).is_some());
}

#[test]
fn while_it_is_held_nobody_gets_in_and_then_all_do_in_their_order() {
    // Without a limit, and with one that has room left.
    for most in [0, 3] {
        let queue = Queue::new(&limits(most, 1));
        let before = permit(&queue);
        assert!(queue.hold() && !queue.hold() && queue.is_held());
        let mut line: Vec<_> = (0..5).map(|_| ticket(&queue)).collect();
        check(&queue, 1, 5);
        let waker = Arc::default();
        assert!(poll(&mut line[0], &waker).is_none());
        // What leaves makes room for nobody, new limits neither.
        drop(before);
        queue.set_limits(&limits(most, 1));
        check(&queue, 0, 5);
        assert!(line.iter_mut().all(|it| poll(it, &waker).is_none()));
        assert!(queue.release() && !queue.release());
        let served: Vec<_> = line.iter_mut().filter_map(|it| poll(it, &waker)).collect();
        let all = if most == 0 { 5 } else { 3 };
        assert_eq!(served.len(), all, "limit {most}");
        assert!(most == 0 || poll(&mut line[4], &waker).is_none());
        drop((served, line));
        check(&queue, 0, 0);
        drop(permit(&queue));
    }
}

#[test]
fn so_many_wait_while_it_is_held_and_no_more() {
    let queue = Queue::new(&limits(0, 0));
    queue.hold();
    let mut line: Vec<_> = (0..HELD).map(|_| ticket(&queue)).collect();
    assert!(matches!(queue.admit(), Admission::Shed));
    // Who goes away makes room for another.
    drop(line.pop());
    line.push(ticket(&queue));
    assert!(matches!(queue.admit(), Admission::Shed));
    queue.release();
    check(&queue, HELD, 0);
    drop(line);
    check(&queue, 0, 0);
}

struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// Runs a future on this thread; a wake that never comes is a failure and not a hanging test.
fn block_on<F: Future>(future: F) -> F::Output {
    let unpark = Arc::new(Unpark {
        thread: std::thread::current(),
        woken: AtomicBool::new(true),
    });
    let waker = Waker::from(Arc::clone(&unpark));
    let mut future = pin!(future);
    // 1,200 times 50 ms.
    for _ in 0..1_200 {
        if unpark.woken.swap(false, Ordering::SeqCst)
            && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
        {
            return output;
        }
        if !unpark.woken.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
    panic!("a wake was lost");
}

/// Threads that are served, that give up before, after and while their turn comes, and limits that change meanwhile.
fn stress(most: u32, seeds: std::ops::Range<u64>, change: impl Fn(&Arc<Queue>, u32) + Sync) {
    let queue = Queue::new(&limits(most, 6));
    let (inside, served, left, shed) = (
        AtomicU32::new(0),
        AtomicU32::new(0),
        AtomicU32::new(0),
        AtomicU32::new(0),
    );
    let serve = |permit: Permit| {
        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(now <= most, "{now} inside, limit {most}");
        assert!(queue.in_flight() >= 1);
        std::thread::yield_now();
        inside.fetch_sub(1, Ordering::SeqCst);
        drop(permit);
        served.fetch_add(1, Ordering::Relaxed);
    };
    std::thread::scope(|scope| {
        for seed in seeds {
            let (queue, serve, left, shed, change) = (&queue, &serve, &left, &shed, &change);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                let waker = Arc::default();
                for turn in 0..3_000 {
                    change(queue, turn);
                    match (queue.admit(), random.u8(0..4)) {
                        (Admission::Permit(permit), _) => serve(permit),
                        (Admission::Shed, _) => {
                            shed.fetch_add(1, Ordering::Relaxed);
                            std::thread::yield_now();
                        }
                        (Admission::Ticket(ticket), 0) => {
                            drop(ticket);
                            left.fetch_add(1, Ordering::Relaxed);
                        }
                        (Admission::Ticket(mut ticket), 1) => {
                            match poll(&mut ticket, &waker) {
                                Some(permit) => serve(permit),
                                None => std::thread::yield_now(),
                            }
                            left.fetch_add(1, Ordering::Relaxed);
                        }
                        (Admission::Ticket(ticket), _) => serve(block_on(ticket)),
                    }
                }
            });
        }
    });
    check(&queue, 0, 0);
    let (served, left, shed) = (served.into_inner(), left.into_inner(), shed.into_inner());
    assert!(
        served > 0 && left > 0 && shed > 0,
        "{served} {left} {shed}: not every path ran"
    );
}

#[test]
fn under_threads_the_limit_holds_and_no_wake_is_lost() {
    stress(2, 0..12, |_, _| {});
}

#[test]
fn limits_that_change_under_threads_lose_nobody() {
    stress(4, 0..12, |queue, turn| {
        if turn % 50 == 0 {
            queue.set_limits(&limits(1 + turn / 50 % 4, 6));
        }
    });
}

#[test]
fn holds_that_come_and_go_under_threads_lose_nobody() {
    stress(4, 0..12, |queue, turn| {
        if turn % 50 == 0 {
            queue.hold();
            std::thread::yield_now();
            queue.release();
        }
    });
}
