//! Durations as operators write them: `2s`, `500ms`, `1m30s`, `1h`.

use std::time::Duration;

/// Units from large to small, with their milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Whole numbers with units h, m, s and ms, large before small, without spaces. The error says what would be right.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    const FORM: &str =
        "write whole numbers with h, m, s or ms, like \"2s\", \"500ms\" or \"1m30s\"";
    let mut rest = text;
    let mut total = 0_u64;
    let mut units = UNITS.as_slice();
    if text.is_empty() {
        return Err(FORM.to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest.bytes().skip(digits);
        let letters = letters.take_while(u8::is_ascii_alphabetic).count();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        rest = &rest[digits + letters..];
        if digits > 0 && letters == 0 && rest.is_empty() {
            return Err(format!("the unit is missing; \"{text}s\" or \"{text}ms\"?"));
        }
        let Some(place) = units.iter().position(|(name, _)| *name == unit) else {
            return Err(match unit {
                "d" => "days are not a unit; write 24h for one day".to_owned(),
                _ => FORM.to_owned(),
            });
        };
        let number: u64 = number.parse().map_err(|_| FORM.to_owned())?;
        let part = number.checked_mul(units[place].1);
        let sum = part.and_then(|it| it.checked_add(total));
        total = sum.ok_or_else(|| "that is too long".to_owned())?;
        units = &units[place + 1..];
    }
    Ok(Duration::from_millis(total))
}

/// The shortest form that [`parse`] reads back.
pub(super) fn show(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, size) in UNITS {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ones_round_trip() {
        for (text, millis) in [
            ("2s", 2_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1h1m1s1ms", 3_661_001),
            ("0s", 0),
        ] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(text), Ok(duration), "{text}");
            assert_eq!(show(duration), text);
        }
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(show(Duration::from_secs(90)), "1m30s");
    }

    #[test]
    fn bad_ones_say_what_would_be_right() {
        for (text, hint) in [
            ("", "like \"2s\""),
            ("2", "the unit is missing; \"2s\" or \"2ms\"?"),
            ("s", "whole numbers"),
            ("1.5s", "whole numbers"),
            ("2 s", "whole numbers"),
            ("-2s", "whole numbers"),
            ("1s1m", "whole numbers"),
            ("1s1s", "whole numbers"),
            ("1d", "24h"),
            ("2sec", "whole numbers"),
            ("99999999999999999999s", "whole numbers"),
            ("9999999999999999h", "too long"),
            ("１s", "whole numbers"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
