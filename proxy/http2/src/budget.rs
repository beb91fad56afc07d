//! What a peer may do without asking for anything: so much at once, and so much more each second.

use crate::Code;
use std::time::Instant;

/// So many at once, and so many more each second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) most: u32,
    pub(crate) each_second: u32,
}

/// Frames that move nothing.
pub(crate) const FRAMES: Allowance = Allowance {
    most: 2_000,
    each_second: 200,
};
/// Requests that are reset before they were answered, by the client (CVE-2023-44487) or through it by us (CVE-2025-8671), and
/// such that are turned away.
pub(crate) const RESETS: Allowance = Allowance {
    most: 256,
    each_second: 20,
};
/// What a request earns, for PRIORITY and the like around it.
pub(crate) const OF_REQUEST: u32 = 8;
/// What a frame of ours with data or fields earns: clients answer them with WINDOW_UPDATE, often two for each.
pub(crate) const OF_ANSWER: u32 = 4;
/// Octets of a frame of data from which on it earns that even where the client's window made it as short (CVE-2019-9511).
pub(crate) const WORTH: usize = 256;
/// What a request that is turned away costs; its answer earns one back.
pub(crate) const TURNED_AWAY: u32 = 2;

/// What is left of an allowance.
#[derive(Debug)]
pub(crate) struct Budget {
    allowance: Allowance,
    left: u32,
    /// Up to when it was refilled.
    at: Instant,
}

impl Budget {
    pub(crate) fn new(allowance: Allowance, now: Instant) -> Self {
        Self {
            allowance,
            left: allowance.most,
            at: now,
        }
    }

    pub(crate) fn earn(&mut self, count: u32) {
        self.left = self.left.saturating_add(count).min(self.allowance.most);
    }

    /// An error where nothing is left.
    pub(crate) fn spend(&mut self, count: u32, now: Instant) -> Result<(), Code> {
        // Each time that it moves, and not only in need: what is full saves nothing up. Time is as coarse as its owner's ticks.
        if now != self.at {
            self.refill(now);
        }
        self.left = self
            .left
            .checked_sub(count)
            .ok_or(Code::ENHANCE_YOUR_CALM)?;
        Ok(())
    }

    fn refill(&mut self, now: Instant) {
        let each = self.allowance.each_second;
        let passed = now.saturating_duration_since(self.at);
        let more = passed.as_millis().saturating_mul(u128::from(each)) / 1000;
        if more > 0 {
            self.at = now;
            self.earn(u32::try_from(more).unwrap_or(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn so_many_at_once_and_so_many_more_each_second() {
        let began = crate::connection::tests::start();
        let mut budget = Budget::new(RESETS, began);
        for _ in 0..RESETS.most {
            assert_eq!(budget.spend(1, began), Ok(()));
        }
        assert_eq!(budget.spend(1, began), Err(Code::ENHANCE_YOUR_CALM));
        let later = began + Duration::from_secs(2);
        for _ in 0..2 * RESETS.each_second {
            assert_eq!(budget.spend(1, later), Ok(()));
        }
        assert_eq!(budget.spend(1, later), Err(Code::ENHANCE_YOUR_CALM));
        budget.earn(1);
        assert_eq!(budget.spend(2, later), Err(Code::ENHANCE_YOUR_CALM));
        assert_eq!(budget.spend(1, later), Ok(()));
        budget.earn(u32::MAX);
        assert_eq!(budget.left, RESETS.most);
        // A long while without need saves nothing up.
        let mut budget = Budget::new(RESETS, began);
        let later = began + Duration::from_secs(100);
        for _ in 0..RESETS.most {
            assert_eq!(budget.spend(1, later), Ok(()));
        }
        assert_eq!(budget.spend(1, later), Err(Code::ENHANCE_YOUR_CALM));
    }
}
