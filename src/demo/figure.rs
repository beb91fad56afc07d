//! Worst, median, and how late the load itself was. Pure.

use serde::Serialize;
use std::time::Duration;

/// Worst and median of the same figure over several repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// How many there were.
    pub(crate) count: usize,
    pub(crate) median: f64,
    pub(crate) worst: f64,
}

/// `None` where there is no figure at all. The median of an even count is the mean of the middle two.
pub(crate) fn spread(figures: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut all: Vec<f64> = figures.into_iter().collect();
    all.sort_by(f64::total_cmp);
    let (worst, middle) = (*all.last()?, all.len() / 2);
    let median = if all.len() % 2 == 1 {
        *all.get(middle)?
    } else {
        (all.get(middle - 1)? + all.get(middle)?) / 2.0
    };
    Some(Spread {
        count: all.len(),
        median,
        worst,
    })
}

/// Milliseconds with a fraction.
pub(crate) fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// How late requests began through the fault of the load itself; whole milliseconds up to 1 s.
#[derive(Debug, Clone)]
pub(crate) struct Lateness {
    buckets: Vec<u64>,
    count: u64,
    worst: Duration,
}

impl Default for Lateness {
    fn default() -> Self {
        Self {
            buckets: vec![0; 1001],
            count: 0,
            worst: Duration::ZERO,
        }
    }
}

impl Lateness {
    /// Past this at the 99th percentile a run says nothing about minato.
    pub(crate) const LIMIT: Duration = Duration::from_millis(50);

    pub(crate) fn add(&mut self, late: Duration) {
        let at = usize::try_from(late.as_millis()).map_or(1000, |it| it.min(1000));
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
        self.count += 1;
        self.worst = self.worst.max(late);
    }

    pub(crate) fn worst(&self) -> Duration {
        self.worst
    }

    /// Upper edge of the bucket that `percent` of all requests reach at most; at 1 s and above 1.001 s.
    pub(crate) fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        for (at, count) in (1_u64..).zip(&self.buckets) {
            seen += count;
            if seen >= wanted && wanted > 0 {
                return Duration::from_millis(at);
            }
        }
        Duration::ZERO
    }

    /// Whether the load was on time: otherwise its figures are not minato's.
    pub(crate) fn is_valid(&self) -> bool {
        self.percentile(99) <= Self::LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_table() {
        type Row<'a> = (&'a [f64], Option<(f64, f64)>);
        let table: [Row<'_>; 4] = [
            (&[], None),
            (&[3.0], Some((3.0, 3.0))),
            (&[9.0, 1.0], Some((5.0, 9.0))),
            (&[9.0, 1.0, 2.0], Some((2.0, 9.0))),
        ];
        for (figures, wanted) in table {
            let found = spread(figures.iter().copied()).map(|it| (it.median, it.worst));
            assert_eq!(found, wanted, "{figures:?}");
        }
    }

    #[test]
    fn one_late_request_in_a_hundred_is_valid_and_two_are_not() {
        let mut late = Lateness::default();
        assert_eq!(late.percentile(99), Duration::ZERO);
        (0..99).for_each(|_| late.add(Duration::from_micros(300)));
        late.add(Duration::from_secs(3));
        assert_eq!(late.percentile(99), Duration::from_millis(1));
        assert_eq!(late.worst(), Duration::from_secs(3));
        assert!(late.is_valid());
        late.add(Duration::from_millis(60));
        assert!(!late.is_valid());
    }
}
