//! Sizes as operators write them: `100MiB`, `1GB`, plain numbers of bytes.

/// Powers of 1024 first, so that [`show`] prefers them.
const UNITS: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// A whole number and a unit; bytes without one. The error says what would be right.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    const FORM: &str =
        "write a whole number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, like \"100MiB\"";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| FORM.to_owned())?;
    let size = match unit {
        "" => 1,
        "K" | "k" | "M" | "G" | "T" => {
            let letter = unit.to_uppercase();
            return Err(format!(
                "write \"{number}{letter}iB\" (1024) or \"{number}{letter}B\" (1000)"
            ));
        }
        _ => match UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, size)) => *size,
            None => return Err(FORM.to_owned()),
        },
    };
    number
        .checked_mul(size)
        .ok_or_else(|| "that is too large".to_owned())
}

/// The largest unit that divides it.
pub(super) fn show(bytes: u64) -> String {
    let mut units = UNITS
        .iter()
        .filter(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size));
    match units.next() {
        Some((unit, size)) => format!("{}{unit}", bytes / size),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ones() {
        for (text, bytes) in [
            ("0", 0),
            ("123", 123),
            ("1B", 1),
            ("2kB", 2_000),
            ("2KB", 2_000),
            ("1KiB", 1_024),
            ("100MiB", 100 << 20),
            ("1GB", 1_000_000_000),
            ("3TiB", 3 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
            assert_eq!(parse(&show(bytes)), Ok(bytes), "{text}");
        }
        assert_eq!(show(100 << 20), "100MiB");
        assert_eq!(show(1_000_000), "1MB");
    }

    #[test]
    fn bad_ones_say_what_would_be_right() {
        for (text, hint) in [
            ("", "like \"100MiB\""),
            ("MiB", "whole number"),
            ("1.5GiB", "whole number"),
            ("100M", "\"100MiB\" (1024) or \"100MB\" (1000)"),
            ("100 MiB", "whole number"),
            ("-1B", "whole number"),
            ("99999999TiB", "too large"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
