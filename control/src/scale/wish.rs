//! How many instances one moment's measures ask for.

use super::{Measures, TOLERANCE};
use minato_config::Scale;
use std::time::Duration;

/// A number and the measure that asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// Not yet within any bounds.
    pub(super) replicas: u16,
    /// `41 in flight of 40 each`
    pub(super) reason: String,
}

/// Whether response times and processors speak of the instances that are there now: a start takes processor time, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figures {
    Current,
    /// All are not ready yet, or their number changed a moment ago.
    OfBefore,
}

/// What the target that asks for most asks for, with `n` instances; `None` where nothing is known.
pub(super) fn wish(scale: &Scale, n: u16, measures: &Measures, figures: Figures) -> Option<Wish> {
    let in_flight = scale.in_flight.zip(measures.in_flight);
    let in_flight = in_flight.map(|(target, sum)| Wish {
        replicas: by_sum(n, sum, target),
        reason: format!(
            "{} in flight of {target} each",
            sum.div_ceil(n.max(1).into())
        ),
    });
    // Known, though nobody saw a request: then nothing is asked for.
    let is_heard = measures.in_flight.is_some();
    let p95 = scale.p95.filter(|_| is_heard).map(|target| {
        let now = measures.p95.unwrap_or(Duration::ZERO);
        Wish {
            replicas: by_time(n, now, target, figures),
            reason: format!("p95 {now:?} of {target:?}"),
        }
    });
    let cpu = scale.cpu_percent.zip(measures.cpu_percent);
    let cpu = cpu.map(|(target, sum)| Wish {
        replicas: match figures {
            Figures::Current => by_sum(n, sum, target),
            Figures::OfBefore => by_sum(n, sum, target).min(n),
        },
        reason: format!(
            "processor {} % of {target} % each",
            sum.div_ceil(n.max(1).into())
        ),
    });
    // Of what was turned away nobody measured anything.
    let called = (measures.called > 0).then(|| Wish {
        replicas: u16::try_from(measures.called).unwrap_or(u16::MAX),
        reason: format!(
            "{} for visitors whom other sites do not serve",
            measures.called
        ),
    });
    // Of equal ones the first named.
    [called, cpu, p95, in_flight]
        .into_iter()
        .flatten()
        .max_by_key(|it| it.replicas)
}

/// `ceil(n × (sum / n) / target)`; `n` where `sum` is within the tolerance of `n` times `target`.
fn by_sum(n: u16, sum: u64, target: u32) -> u16 {
    let target = u64::from(target.max(1));
    if is_near(as_float(sum), as_float(target) * f64::from(n)) {
        return n;
    }
    u16::try_from(sum.div_ceil(target)).unwrap_or(u16::MAX)
}

/// Up in proportion, as the rule has it. Down by one only: how fast two would be is not to be seen from how fast three are.
fn by_time(n: u16, now: Duration, target: Duration, figures: Figures) -> u16 {
    let ratio = now.as_secs_f64() / target.as_secs_f64().max(0.001);
    if is_near(ratio, 1.0) || figures == Figures::OfBefore {
        n
    } else if ratio < 1.0 {
        n.saturating_sub(1)
    } else {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive and bounded"
        )]
        let wish = (f64::from(n) * ratio).ceil().min(f64::from(u16::MAX)) as u16;
        wish
    }
}

fn is_near(now: f64, target: f64) -> bool {
    // A little more than the tolerance, for what cannot be written in binary: 44 of 40 is near.
    (now - target).abs() <= target * (TOLERANCE + 1e-9)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of requests, compared within a tenth"
)]
fn as_float(it: u64) -> f64 {
    it as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(in_flight: Option<u32>, p95_ms: Option<u64>, cpu_percent: Option<u32>) -> Scale {
        Scale {
            max: 100,
            in_flight,
            p95: p95_ms.map(Duration::from_millis),
            cpu_percent,
        }
    }

    fn measures(in_flight: u64, p95_ms: u64, cpu_percent: u64) -> Measures {
        Measures {
            in_flight: Some(in_flight),
            p95: Some(Duration::from_millis(p95_ms)),
            cpu_percent: Some(cpu_percent),
            called: 0,
            gap: None,
        }
    }

    #[track_caller]
    fn asks(scale: &Scale, n: u16, measures: &Measures, replicas: u16, reason: &str) {
        let wish = wish(scale, n, measures, Figures::Current).unwrap();
        assert_eq!((wish.replicas, wish.reason.as_str()), (replicas, reason));
    }

    #[test]
    fn requests_in_flight() {
        let scale = scale(Some(40), None, None);
        for (n, sum, replicas, reason) in [
            (2, 80, 2, "40 in flight of 40 each"),
            (2, 88, 2, "44 in flight of 40 each"),
            (2, 89, 3, "45 in flight of 40 each"),
            (2, 72, 2, "36 in flight of 40 each"),
            (3, 72, 2, "24 in flight of 40 each"),
            (1, 160, 4, "160 in flight of 40 each"),
            (4, 0, 0, "0 in flight of 40 each"),
            (
                1,
                u64::MAX,
                u16::MAX,
                "18446744073709551615 in flight of 40 each",
            ),
        ] {
            asks(&scale, n, &measures(sum, 0, 0), replicas, reason);
        }
    }

    #[test]
    fn response_times_grow_in_proportion_and_shrink_by_one() {
        let scale = scale(None, Some(500), None);
        for (n, p95, replicas, reason) in [
            (2, 500, 2, "p95 500ms of 500ms"),
            (2, 550, 2, "p95 550ms of 500ms"),
            (2, 600, 3, "p95 600ms of 500ms"),
            (2, 2_000, 8, "p95 2s of 500ms"),
            (8, 5, 7, "p95 5ms of 500ms"),
        ] {
            asks(&scale, n, &measures(0, p95, 0), replicas, reason);
        }
        let before = wish(&scale, 2, &measures(0, 2_000, 0), Figures::OfBefore);
        assert_eq!(before.unwrap().replicas, 2);
    }

    #[test]
    fn processors() {
        let scale = scale(None, None, Some(70));
        for (n, sum, replicas, reason) in [
            (2, 140, 2, "processor 70 % of 70 % each"),
            (2, 154, 2, "processor 77 % of 70 % each"),
            (2, 156, 3, "processor 78 % of 70 % each"),
            (1, 200, 3, "processor 200 % of 70 % each"),
            (4, 60, 1, "processor 15 % of 70 % each"),
        ] {
            asks(&scale, n, &measures(0, 0, sum), replicas, reason);
        }
        // What a start takes asks for no further start.
        let started = wish(&scale, 2, &measures(0, 0, 400), Figures::OfBefore);
        assert_eq!(started.unwrap().replicas, 2);
    }

    #[test]
    fn the_target_that_asks_for_most_counts() {
        let scale = scale(Some(40), Some(500), Some(70));
        asks(
            &scale,
            2,
            &measures(200, 600, 150),
            5,
            "100 in flight of 40 each",
        );
        asks(&scale, 2, &measures(80, 2_000, 150), 8, "p95 2s of 500ms");
        asks(
            &scale,
            2,
            &measures(80, 500, 420),
            6,
            "processor 210 % of 70 % each",
        );
    }

    #[test]
    fn what_other_sites_do_not_serve_is_asked_for_though_nothing_of_it_is_measured() {
        let scale = scale(Some(40), None, None);
        let called = |in_flight| Measures {
            called: 5,
            ..measures(in_flight, 0, 0)
        };
        let reason = "5 for visitors whom other sites do not serve";
        asks(&scale, 1, &called(0), 5, reason);
        asks(&scale, 1, &called(280), 7, "280 in flight of 40 each");
        let nobody_tells = Measures {
            in_flight: None,
            ..called(0)
        };
        asks(&scale, 1, &nobody_tells, 5, reason);
    }

    #[test]
    fn what_nobody_tells_asks_for_nothing() {
        let nothing = Measures::default();
        let all = scale(Some(40), Some(500), Some(70));
        assert_eq!(wish(&all, 3, &nothing, Figures::Current), None);
        let idle = Measures {
            in_flight: Some(0),
            ..nothing
        };
        asks(
            &scale(None, Some(500), None),
            3,
            &idle,
            2,
            "p95 0ns of 500ms",
        );
    }
}
