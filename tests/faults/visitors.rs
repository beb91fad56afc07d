//! Visitors who come at a constant rate, each on a connection of its own, by whatever leads to the service at that moment.
//!
//! Nobody waits for who came before, so a service that does not answer does not make fewer come; every visit is logged. Nothing is
//! tried again.

use crate::network::Host;
use crate::support::clock::{now, pause, until};
use crate::support::http::{TOO_LONG, get};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// From one to the next.
const EVERY: Duration = Duration::from_millis(50);

/// So many in a row, five seconds of them, are service.
const CALM: usize = 100;

/// One that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    /// How many came before.
    pub(crate) number: u64,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// Why it was not served.
    pub(crate) failure: Option<String>,
}

/// Those of one machine. Dropping it ends their coming.
pub(crate) struct Visitors {
    stop: Arc<AtomicBool>,
    log: Arc<Mutex<Vec<Visit>>>,
    coming: Option<JoinHandle<()>>,
}

impl Visitors {
    /// They come from `host` to `/page` of `name`; `find`: where that is, asked by each for itself.
    pub(crate) fn come(
        host: &Host,
        name: &'static str,
        find: impl Fn() -> io::Result<SocketAddr> + Send + Sync + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stopped, logged, find) = (Arc::clone(&stop), Arc::clone(&log), Arc::new(find));
        let coming = host.inside(|| {
            std::thread::spawn(move || {
                let (mut visits, mut number) = (Vec::new(), 0);
                while !stopped.load(Ordering::SeqCst) {
                    let (find, log) = (Arc::clone(&find), Arc::clone(&logged));
                    visits.push(std::thread::spawn(move || {
                        let visit = visit(number, name, &*find);
                        log.lock().unwrap().push(visit);
                    }));
                    number += 1;
                    visits.retain(|it: &JoinHandle<()>| !it.is_finished());
                    pause(EVERY);
                }
                visits.into_iter().for_each(|it| it.join().unwrap());
            })
        });
        Self {
            stop,
            log,
            coming: Some(coming),
        }
    }

    /// Waits until this many more were served.
    #[track_caller]
    pub(crate) fn wait_for(&self, more: usize) {
        let served = || {
            let log = self.log.lock().unwrap();
            log.iter().filter(|it| it.failure.is_none()).count()
        };
        let goal = served() + more;
        until("visitors to be served", || (served() >= goal).then_some(()));
    }

    /// How long after `since` the first was served of those that came after it.
    #[track_caller]
    pub(crate) fn first_served(&self, since: Instant) -> Duration {
        until("a visitor to be served again", || {
            let log = self.log.lock().unwrap();
            let of_then = log.iter().filter(|it| it.began >= since);
            let served = of_then.filter(|it| it.failure.is_none());
            served.map(|it| it.ended - since).min()
        })
    }

    /// Waits until [`CALM`] of those that came after `since`, one after another, were served in time, each of them: a few that come
    /// through say nothing. Fails after half a minute.
    #[track_caller]
    pub(crate) fn wait_for_calm(&self, since: Instant) {
        until("all visitors to be served again", || {
            let mut of_then = self.log.lock().unwrap().clone();
            of_then.retain(|it| it.began >= since);
            of_then.sort_by_key(|it| it.number);
            (longest(&of_then) >= CALM).then_some(())
        });
    }

    /// Waits for those that are here, and for nobody else.
    pub(crate) fn end(mut self) -> Vec<Visit> {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(coming) = self.coming.take() {
            coming.join().unwrap();
        }
        let log = self.log.lock().unwrap();
        log.clone()
    }
}

impl Drop for Visitors {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// The longest row of visitors who were all served; `visits` in the order in which they came. Who is still there ends it.
fn longest(visits: &[Visit]) -> usize {
    let (mut longest, mut row, mut last) = (0, 0, None);
    for it in visits {
        let is_next = last.is_none_or(|last: u64| last + 1 == it.number);
        row = match it.failure {
            Some(_) => 0,
            None if is_next => row + 1,
            None => 1,
        };
        (longest, last) = (longest.max(row), Some(it.number));
    }
    longest
}

/// How many were not served.
pub(crate) fn failed(visits: &[Visit]) -> u64 {
    visits.iter().filter(|it| it.failure.is_some()).count() as u64
}

fn visit(number: u64, name: &str, find: &impl Fn() -> io::Result<SocketAddr>) -> Visit {
    let began = now();
    let answer = find().and_then(|it| get(it, name, "/page"));
    let ended = now();
    let failure = match answer {
        Err(error) => Some(error.to_string()),
        Ok(it) if it.status != 200 => Some(it.status.to_string()),
        Ok(it) if it.text() != "the page" => Some(format!("wrong body {:?}", it.text())),
        Ok(_) if ended - began >= TOO_LONG => Some("too late".to_owned()),
        Ok(_) => None,
    };
    Visit {
        number,
        began,
        ended,
        failure,
    }
}

#[test]
fn a_row_of_visitors_is_broken_by_who_failed_and_by_who_is_still_there() {
    // A letter each: `.` served, `x` not, ` ` still there.
    let check = |text: &str, expected: usize| {
        let began = now();
        let visits = (0..).zip(text.chars()).filter(|it| it.1 != ' ');
        let visits = visits.map(|(number, letter)| Visit {
            number,
            began,
            ended: began,
            failure: (letter == 'x').then(String::new),
        });
        let visits: Vec<Visit> = visits.collect();
        assert_eq!(longest(&visits), expected, "{text}");
    };
    check("", 0);
    check("xx....", 4);
    check("...x..", 3);
    check(".. ... .", 3);
    check("xx xx", 0);
}
