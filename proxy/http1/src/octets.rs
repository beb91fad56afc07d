//! Classes of octets, and searches for them.

/// What an octet may be, as bits.
const TOKEN: u8 = 1;
const UNDERSCORE: u8 = 2;
const UPPER: u8 = 4;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 128 {
        let byte = at as u8;
        if byte.is_ascii_alphanumeric() {
            table[at] = TOKEN;
        }
        if byte.is_ascii_uppercase() {
            table[at] |= UPPER;
        }
        at += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = TOKEN;
        at += 1;
    }
    table[b'_' as usize] |= UNDERSCORE;
    table
}

/// Whether an octet may stand in a method or in the name of a field (RFC 9110 5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & TOKEN != 0
}

/// A run of token octets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) length: usize,
    classes: u8,
}

impl Run {
    /// The one that `bytes` begin with.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut classes = 0;
        let mut length = 0;
        for byte in bytes {
            let class = CLASSES[usize::from(*byte)];
            if class == 0 {
                break;
            }
            classes |= class;
            length += 1;
        }
        Self { length, classes }
    }

    pub(crate) fn has_underscore(self) -> bool {
        self.classes & UNDERSCORE != 0
    }

    pub(crate) fn has_upper(self) -> bool {
        self.classes & UPPER != 0
    }
}

/// Whether an octet may stand in a value: visible, beyond ASCII, SP or HTAB.
pub(crate) fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

/// Where the first octet at or after `from` stands that is no text, if one is there. Eight at a time.
pub(crate) fn find_control(bytes: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let mut at = from;
    while let Some(word) = bytes.get(at..).and_then(|it| it.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        let below_space = word.wrapping_sub(ONES * 0x20) & !word;
        let other = word ^ (ONES * 0x7f);
        let deletes = other.wrapping_sub(ONES) & !other;
        // Borrows may mark octets above the first one that is marked, never below it.
        let marks = (below_space | deletes) & HIGH;
        if marks == 0 {
            at += 8;
            continue;
        }
        let found = at + (marks.trailing_zeros() / 8) as usize;
        if bytes[found] != b'\t' {
            return Some(found);
        }
        at = found + 1;
    }
    let rest = bytes.get(at..)?;
    let offset = rest.iter().position(|it| !is_text(*it))?;
    Some(at + offset)
}

/// Without the white space around it, which is SP and HTAB, no more (RFC 9110 5.6.3).
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The elements of a list, empty ones left out (RFC 9110 5.6.1).
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|it| *it == b',')
        .map(trim)
        .filter(|it| !it.is_empty())
}

/// Decimal digits of a number, written into `buffer`.
pub(crate) fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_the_standard() {
        for byte in 0..=255_u8 {
            let expected = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token(byte), expected, "{byte}");
        }
        let run = Run::of(b"X_a: b");
        assert_eq!(
            (run.length, run.has_underscore(), run.has_upper()),
            (3, true, true)
        );
        let run = Run::of(b"x-a");
        assert_eq!(
            (run.length, run.has_underscore(), run.has_upper()),
            (3, false, false)
        );
    }

    /// Every octet at every place of a word and its neighbours, before and behind every other.
    #[test]
    fn a_control_is_found_wherever_it_stands() {
        for length in 0..20 {
            for place in 0..length {
                for byte in 0..=255_u8 {
                    for around in [b'a', b'\t', b' ', 0x80, 0xff, 0x7e, 0x20, 0x21] {
                        let mut bytes = vec![around; length];
                        bytes[place] = byte;
                        let expected = (!is_text(byte)).then_some(place);
                        assert_eq!(find_control(&bytes, 0), expected, "{bytes:?}");
                        assert_eq!(find_control(&bytes, place), expected, "{bytes:?}");
                        assert_eq!(find_control(&bytes, place + 1), None, "{bytes:?}");
                    }
                }
            }
        }
        assert_eq!(find_control(b"\t\0\x01aaaaaaaa", 0), Some(1));
        assert_eq!(find_control(b"", 9), None);
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 1, 9, 10, 12345, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }

    #[test]
    fn lists_have_elements() {
        let all = |it: &'static [u8]| elements(it).collect::<Vec<_>>();
        assert_eq!(all(b"a, b ,\t,c"), [b"a", b"b", b"c"]);
        assert!(all(b" ,, ").is_empty());
    }
}
