//! When an operation may run: moments with a time zone, and windows that come again each day.
//!
//! Time zones are those of the IANA database that is built in, so that a machine's own, old or missing one changes nothing.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use minato_config::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// So late an operation still begins; later its time counts as missed, and it does not run.
pub const GRACE: Duration = Duration::from_secs(300);
/// No schedule lies further ahead: 400 days, a year and what a calendar shifts.
const FURTHEST: Duration = Duration::from_secs(400 * 86_400);
const DAY: Duration = Duration::from_secs(86_400);

/// When an operation may run. Without `at`: at once. Without `until`: for as long as it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Not before.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// Nothing begins from then on.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// The zone in which it was said: `Asia/Tokyo`, `UTC`, `+09:00`. Empty without times.
    #[serde(default)]
    pub zone: String,
    /// Whether the window comes again.
    #[serde(default)]
    pub repeat: Repeat,
}

/// Whether a window comes again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// What is not done by its end is not done.
    #[default]
    Once,
    /// At the same local times on each day until all is done.
    Daily,
}

/// A moment as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// The zone that they wrote.
    pub zone: String,
}

impl Moment {
    /// Parses `2026-12-20 08:00 Asia/Tokyo`: date, time to the minute or second, and a zone of the IANA database, `UTC`, or an offset like
    /// `+09:00`. Times that the zone's clocks skip or show twice are refused with what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(60).collect();
        let mut words = text.split_whitespace();
        let (Some(date), Some(time)) = (words.next(), words.next()) else {
            return Err(format!(
                "`{shown}` is no time: write date, time and zone, like \"2026-12-20 08:00 Asia/Tokyo\""
            ));
        };
        let zone: Vec<&str> = words.collect();
        let civil: DateTime = format!("{date}T{time}").parse().map_err(|_| {
            format!("`{date} {time}` is no date and time: write it like 2026-12-20 08:00")
        })?;
        let [name] = zone.as_slice() else {
            let why = if zone.is_empty() {
                "has no time zone"
            } else {
                "has more than a time zone at its end"
            };
            return Err(format!(
                "`{shown}` {why}: write one after it, like `{date} {time} Asia/Tokyo`, UTC or +09:00"
            ));
        };
        let tz = zone_of(name)?;
        let instant = |offset: Offset| offset.to_timestamp(civil).ok().and_then(stamp);
        let found = match tz.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => instant(offset),
            AmbiguousOffset::Gap { before, after } => {
                return Err(format!(
                    "`{shown}` does not exist: clocks in {name} are set forward then (from {before} to {after}); write another time, or one with its offset, like `{date} {time} {before}:00`"
                ));
            }
            AmbiguousOffset::Fold { before, after } => {
                return Err(format!(
                    "`{shown}` is there twice: clocks in {name} are set back then; write which one you mean, `{date} {time} {before}:00` or `{date} {time} {after}:00`"
                ));
            }
        };
        let at = found.ok_or_else(|| format!("`{shown}` is before 1970 or too far away"))?;
        Ok(Self {
            at,
            zone: (*name).to_owned(),
        })
    }
}

fn zone_of(name: &str) -> Result<TimeZone, String> {
    if let Some(offset) = offset(name) {
        return Ok(TimeZone::fixed(offset));
    }
    // Abbreviations mean different zones in different places, and some are names of the database all the same (`EST`).
    let is_name = name == "UTC" || name.contains('/');
    match TimeZone::get(name) {
        Ok(zone) if is_name => Ok(zone),
        _ => {
            let shown: String = name.chars().take(40).collect();
            Err(format!(
                "`{shown}` is no time zone of the IANA database: write one like Asia/Tokyo, UTC, or an offset like +09:00"
            ))
        }
    }
}

/// `+09:00`, `-03:30`, `Z`.
fn offset(text: &str) -> Option<Offset> {
    if text == "Z" {
        return Some(Offset::UTC);
    }
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, text.get(1..)?),
        b'-' => (-1, text.get(1..)?),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |it: &str| {
        let is_plain = it.len() == 2 && it.bytes().all(|b| b.is_ascii_digit());
        is_plain.then(|| it.parse::<i32>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 18 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

fn stamp(at: jiff::Timestamp) -> Option<Timestamp> {
    u64::try_from(at.as_millisecond()).ok().map(Timestamp)
}

/// `2026-12-20 08:00 Asia/Tokyo`; in UTC where the zone is not known.
pub fn local_text(at: Timestamp, zone: &str) -> String {
    let found = i64::try_from(at.0).ok();
    let found = found.and_then(|it| jiff::Timestamp::from_millisecond(it).ok());
    match (found, zone_of(zone)) {
        (Some(it), Ok(tz)) => {
            let civil = tz.to_datetime(it);
            format!("{} {zone}", civil.strftime("%Y-%m-%d %H:%M"))
        }
        _ => crate::clock_text(at),
    }
}

impl Schedule {
    /// Checks what a person wrote against `now`, and against itself.
    pub fn parse(
        at: Option<&str>,
        until: Option<&str>,
        repeat: Repeat,
        now: Timestamp,
    ) -> Result<Self, String> {
        let at = at.map(Moment::parse).transpose()?;
        let until = until.map(Moment::parse).transpose()?;
        let text = |it: &Moment| local_text(it.at, &it.zone);
        if let Some(it) = at.iter().find(|it| it.at < now) {
            return Err(format!(
                "{} is in the past: it is {} there now",
                text(it),
                local_text(now, &it.zone)
            ));
        }
        let far = at
            .iter()
            .chain(&until)
            .find(|it| it.at.since(now) > FURTHEST);
        if let Some(it) = far {
            return Err(format!("{} is more than 400 days ahead", text(it)));
        }
        let begin = at.as_ref().map_or(now, |it| it.at);
        if let Some(it) = until.iter().find(|it| it.at <= begin) {
            return Err(match &at {
                Some(at) => format!("its end {} is not after its begin {}", text(it), text(at)),
                None => format!("its end {} is in the past", text(it)),
            });
        }
        if repeat == Repeat::Daily {
            let (Some(at), Some(until)) = (&at, &until) else {
                return Err("a window that comes again each day needs both, its begin (--at) and its end (--until)".to_owned());
            };
            if until.at.since(at.at) >= DAY {
                return Err(format!(
                    "a window that comes again each day is shorter than one, and from {} to {} is not",
                    text(at),
                    text(until)
                ));
            }
        }
        let zone = at.as_ref().or(until.as_ref()).map(|it| it.zone.clone());
        Ok(Self {
            at: at.map(|it| it.at),
            until: until.map(|it| it.at),
            zone: zone.unwrap_or_default(),
            repeat,
        })
    }

    /// Whether nothing may begin any more.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|it| now >= it)
    }

    /// Whether the time to begin has gone by. What has no time should begin when it was `asked` for.
    pub(super) fn is_missed(&self, asked: Timestamp, now: Timestamp) -> bool {
        now > self.at.unwrap_or(asked).after(GRACE) || self.is_over(now)
    }

    /// The same window on the first later day whose begin lies after `now`. Local times: where clocks skip one, it is the moment after.
    pub(super) fn next_window(&self, now: Timestamp) -> Option<Self> {
        let (at, until) = (self.at?, self.until?);
        if self.repeat == Repeat::Once {
            return None;
        }
        let tz = zone_of(&self.zone).ok()?;
        let zoned = jiff::Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
        let length = until.since(at);
        let mut civil = tz.to_datetime(zoned);
        // A leader may have been away for long: one step over the days in between.
        let days = i64::try_from(now.since(at).as_secs() / 86_400).ok()?;
        civil = civil
            .checked_add(jiff::Span::new().try_days(days).ok()?)
            .ok()?;
        for _ in 0..4 {
            civil = civil.tomorrow_at_same_time()?;
            let begin = stamp(tz.to_ambiguous_timestamp(civil).compatible().ok()?)?;
            if begin > now {
                return Some(Self {
                    at: Some(begin),
                    until: Some(begin.after(length)),
                    ..self.clone()
                });
            }
        }
        None
    }

    /// Whether two may be under way at the same moment. What has no end, or comes again, may always be.
    pub(super) fn overlaps(&self, other: &Self, now: Timestamp) -> bool {
        let begin = |it: &Self| it.at.map_or(now, |at| at.max(now));
        let end = |it: &Self| match it.repeat {
            Repeat::Once => it.until.unwrap_or(Timestamp(u64::MAX)),
            Repeat::Daily => Timestamp(u64::MAX),
        };
        begin(self) < end(other) && begin(other) < end(self)
    }

    /// `from 2026-12-20 08:00 Asia/Tokyo until 2026-12-20 18:00 Asia/Tokyo, each day`; empty without times.
    pub fn text(&self) -> String {
        let mut words = Vec::new();
        words.extend(
            self.at
                .map(|it| format!("from {}", local_text(it, &self.zone))),
        );
        words.extend(
            self.until
                .map(|it| format!("until {}", local_text(it, &self.zone))),
        );
        let text = words.join(" ");
        match self.repeat {
            Repeat::Daily => format!("{text}, each day"),
            Repeat::Once => text,
        }
    }
}

trait Tomorrow: Sized {
    fn tomorrow_at_same_time(self) -> Option<Self>;
}

impl Tomorrow for DateTime {
    fn tomorrow_at_same_time(self) -> Option<Self> {
        self.checked_add(jiff::Span::new().try_days(1).ok()?).ok()
    }
}
