//! What came of a run, as one line of JSON.

use std::time::Duration;

#[derive(Default)]
pub(crate) struct Report {
    /// Of those answered well: from the moment a request was due, in nanoseconds.
    latencies: Vec<u64>,
    pub(crate) failed: u64,
    /// Due but never sent: the rate was more than could be taken.
    pub(crate) unsent: u64,
    pub(crate) bytes: u64,
    pub(crate) full: u64,
    pub(crate) resumed: u64,
}

impl Report {
    pub(crate) fn answered(&mut self, latency: Duration) {
        self.latencies
            .push(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// `share` of the latencies is at most this, in microseconds. Sorted by the caller; the nearest rank.
    fn at(&self, share: f64) -> f64 {
        let rank = (share * self.latencies.len() as f64).ceil() as usize;
        self.latencies
            .get(rank.saturating_sub(1))
            .map_or(0.0, |it| *it as f64 / 1e3)
    }

    pub(crate) fn json(mut self, seconds: f64) -> String {
        self.latencies.sort_unstable();
        format!(
            concat!(
                r#"{{"requests":{},"failed":{},"unsent":{},"seconds":{:.6},"bytes":{},"full":{},"resumed":{},"#,
                r#""p50_us":{:.1},"p99_us":{:.1},"p999_us":{:.1},"max_us":{:.1}}}"#
            ),
            self.latencies.len(),
            self.failed,
            self.unsent,
            seconds,
            self.bytes,
            self.full,
            self.resumed,
            self.at(0.5),
            self.at(0.99),
            self.at(0.999),
            self.at(1.0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use std::time::Duration;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut report = Report::default();
        for it in (1..=1_000).rev() {
            report.answered(Duration::from_micros(it));
        }
        let json = report.json(1.0);
        assert!(
            json.contains(r#""p50_us":500.0,"p99_us":990.0,"p999_us":999.0,"max_us":1000.0"#),
            "{json}"
        );
    }
}
