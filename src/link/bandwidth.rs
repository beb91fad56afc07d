//! How much a link carries: measured rarely, by one short burst on a connection of its own.
//!
//! What a copy will take is predicted from it, so a figure that is too low is better than none. Visitors share the line: at most
//! [`MOST`] bytes and [`LIMIT`] of it, each ten minutes.

use super::call::Call;
use super::known::GatewayKey;
use crate::clock;
use minato_link::Identity;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Bytes of one answer.
pub(super) const MOST: usize = 4 << 20;
/// The first part is not counted: a new connection is slow at first.
const FIRST: usize = 256 << 10;
/// What is counted should take about so long.
const AIM: Duration = Duration::from_millis(500);
/// All of it, connecting included.
const LIMIT: Duration = Duration::from_secs(5);
/// After a link came up, and from then on; up to a quarter more, so that gateways do not measure all at once.
const SOON: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(600);

/// One link's figure. Dropping it ends what is under way.
#[derive(Debug)]
pub(super) struct Bandwidth {
    /// Bytes in a second; 0: not measured yet.
    figure: Arc<AtomicU64>,
    due: Option<Instant>,
    task: JoinSet<()>,
}

impl Bandwidth {
    pub(super) fn new() -> Self {
        Self {
            figure: Arc::default(),
            due: None,
            task: JoinSet::new(),
        }
    }

    /// As measured last.
    pub(super) fn figure(&self) -> Option<u64> {
        Some(self.figure.load(Ordering::Relaxed)).filter(|it| *it > 0)
    }

    /// To be called while the link is up: begins a measurement where one is due.
    pub(super) fn measure(&mut self, identity: &Arc<Identity>, key: &GatewayKey) {
        let now = clock::now();
        let due = *self.due.get_or_insert_with(|| now + spread(SOON));
        if now < due {
            return;
        }
        self.due = Some(now + spread(EVERY));
        let (identity, key) = (Arc::clone(identity), key.clone());
        let figure = Arc::clone(&self.figure);
        self.task.abort_all();
        self.task.spawn(async move {
            match timeout(LIMIT, burst(&identity, &key)).await {
                Ok(Ok(found)) => figure.store(found.max(1), Ordering::Relaxed),
                Ok(Err(why)) => {
                    tracing::debug!(site = %key.site, why, "the link's bandwidth is not measured");
                }
                // It did not even carry that.
                Err(_) => {
                    let at_most = FIRST as u64 / LIMIT.as_secs();
                    figure.store(at_most, Ordering::Relaxed);
                }
            }
        });
    }
}

fn spread(it: Duration) -> Duration {
    it + it.mul_f64(fastrand::f64() / 4.0)
}

async fn burst(identity: &Identity, key: &GatewayKey) -> Result<u64, String> {
    let mut call = Call::open(identity, &key.site, key.address).await?;
    let took = echo(&mut call, FIRST).await?;
    let bytes = size(FIRST, took);
    let took = echo(&mut call, bytes).await?;
    Ok(rate(bytes, took))
}

async fn echo(call: &mut Call, bytes: usize) -> Result<Duration, String> {
    let began = clock::now();
    let came = call.echo(bytes).await?;
    if came != bytes {
        return Err(format!(
            "it answers {came} bytes where {bytes} were asked for"
        ));
    }
    Ok(clock::now().saturating_duration_since(began))
}

/// How much to ask for, by how long a first part took.
fn size(bytes: usize, took: Duration) -> usize {
    let aimed =
        rate(bytes, took).saturating_mul(u64::try_from(AIM.as_millis()).unwrap_or(0)) / 1_000;
    usize::try_from(aimed).unwrap_or(MOST).clamp(FIRST, MOST)
}

/// Bytes in a second.
fn rate(bytes: usize, took: Duration) -> u64 {
    let micros = took.as_micros().max(1);
    let rate = bytes as u128 * 1_000_000 / micros;
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_as_long_as_the_line_is_fast_and_never_long() {
        let millis = Duration::from_millis;
        // 2.6 MB/s: half a second of it.
        assert_eq!(size(FIRST, millis(100)), 1_310_720);
        assert_eq!(size(FIRST, millis(1)), MOST);
        assert_eq!(size(FIRST, Duration::ZERO), MOST);
        assert_eq!(size(FIRST, millis(60_000)), FIRST);
        assert_eq!(rate(1_250_000, millis(100)), 12_500_000);
    }
}
