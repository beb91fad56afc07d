//! `[control]` of `minato.toml`.

use super::document::Report;
use super::field::Section;
use super::key::Keys;
use crate::ControlSettings;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Of `[control]`.
pub(super) const KEYS: Keys = Keys::known(&[
    "lease",
    "node_grace",
    "election_grace",
    "scale_interval",
    "scale_window",
]);

/// Of every lease: below, a busy machine would lose it by being slow; above, nobody is missed in time.
pub(super) const LEASES: RangeInclusive<Duration> =
    Duration::from_secs(2)..=Duration::from_secs(600);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// `[control]`
pub(super) fn read(section: &Section<'_>, report: &mut Report<'_>) -> ControlSettings {
    let default = ControlSettings::default();
    let mut read = |key: &str, range: RangeInclusive<Duration>, default: Duration| {
        let given = section.read(report, key, |it, to| it.duration(to, range));
        given.or(default)
    };
    ControlSettings {
        lease: read("lease", LEASES, default.lease),
        node_grace: read("node_grace", Duration::ZERO..=HOUR, default.node_grace),
        election_grace: read(
            "election_grace",
            Duration::ZERO..=HOUR,
            default.election_grace,
        ),
        scale_interval: read("scale_interval", SECOND..=HOUR, default.scale_interval),
        scale_window: read("scale_window", SECOND..=24 * HOUR, default.scale_window),
    }
}
