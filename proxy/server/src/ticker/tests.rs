use super::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Wake;

#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counting() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), Waker::from(count))
}

#[test]
fn a_deadline_is_never_early_and_at_most_a_tick_late() {
    let ticker = Rc::new(Ticker::default());
    let (count, waker) = counting();
    let context = Context::from_waker(&waker);
    let timer = ticker.timer();
    timer.set(TICK * 3);
    // It may have been set right before a tick.
    for _ in 0..3 {
        assert!(!timer.is_due(&context));
        ticker.tick();
    }
    assert!(!timer.is_due(&context));
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    ticker.tick();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(timer.is_due(&context));
    timer.clear();
    assert!(!timer.is_due(&context));
}

#[test]
fn the_one_that_rested_longest_leaves_first_and_only_once() {
    let ticker = Rc::new(Ticker::default());
    let (_, waker) = counting();
    let context = Context::from_waker(&waker);
    let timers: Vec<Timer> = (0..3)
        .map(|_| {
            ticker.tick();
            let timer = ticker.timer();
            timer.rest(TICK * 1000);
            timer
        })
        .collect();
    timers[0].work();
    assert!(ticker.evict_oldest());
    assert_eq!(timers[1].rests(&context), Rest::Over);
    assert_eq!(timers[2].rests(&context), Rest::On);
    assert!(ticker.evict_oldest());
    assert_eq!(timers[2].rests(&context), Rest::Over);
    assert!(!ticker.evict_oldest());
}

#[test]
fn what_was_found_for_eviction_and_works_again_stays() {
    let ticker = Rc::new(Ticker::default());
    let timers: Vec<Timer> = (0..2)
        .map(|_| {
            ticker.tick();
            let timer = ticker.timer();
            timer.rest(TICK);
            timer
        })
        .collect();
    assert!(ticker.evict_oldest());
    timers[1].work();
    assert!(!ticker.evict_oldest());
}
