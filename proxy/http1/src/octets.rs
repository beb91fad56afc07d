//! Classes of octets, and searches for them.

/// What an octet may be, as bits.
const TOKEN: u8 = 1;
const UNDERSCORE: u8 = 2;
const UPPER: u8 = 4;
/// Of a label of a host.
const LABEL: u8 = 8;
const DOT: u8 = 16;
/// Asks for a closer look where it stands in a path.
const ODD_IN_PATH: u8 = 32;

const CLASSES: [u8; 256] = classes();

/// The lowest bit of each octet of a word, and the highest.
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHEST: u64 = ONES << 7;

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_alphanumeric() {
            table[at] = TOKEN | LABEL;
        }
        if byte.is_ascii_uppercase() {
            table[at] |= UPPER;
        }
        if byte <= b' ' || byte == 0x7f {
            table[at] = ODD_IN_PATH;
        }
        at += 1;
    }
    table = with(table, b"!#$%&'*+-.^_`|~", TOKEN);
    table = with(table, b"_", UNDERSCORE);
    table = with(table, b"-_", LABEL);
    table = with(table, b".", DOT);
    with(table, b"%\\#?", ODD_IN_PATH)
}

const fn with(mut table: [u8; 256], bytes: &[u8], class: u8) -> [u8; 256] {
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] |= class;
        at += 1;
    }
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
    #[inline]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut classes = 0;
        let mut length = letters(bytes);
        for byte in bytes.get(length..).unwrap_or_default() {
            let class = CLASSES[usize::from(*byte)];
            if class & TOKEN == 0 {
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
}

/// The length of the run of letters and `-` that `bytes` begin with, of which nearly all names consist; eight at a time, so that the
/// last few may be left.
#[inline]
fn letters(bytes: &[u8]) -> usize {
    let mut length = 0;
    let mut rest = bytes;
    while let Some((block, behind)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*block);
        // Sums of seven-bit octets carry nothing into their neighbours: each tells in its highest bit.
        let lower = (word | (ONES * 0x20)) & (ONES * 0x7f);
        let from_a = lower + ONES * (0x80 - 0x61);
        let behind_z = lower + ONES * (0x80 - 0x7b);
        let is_no_dash = ((word ^ (ONES * 0x2d)) & (ONES * 0x7f)) + ONES * 0x7f;
        let others = (!((from_a & !behind_z) | !is_no_dash) | word) & HIGHEST;
        if others != 0 {
            return length + (others.trailing_zeros() / 8) as usize;
        }
        (length, rest) = (length + 8, behind);
    }
    length
}

/// Whether a path needs no closer look, as nearly all: no escape, nothing that is refused, and no segment that begins with
/// a dot.
pub(crate) fn is_plain_path(path: &[u8]) -> bool {
    let classes = path
        .iter()
        .fold(0, |all, byte| all | CLASSES[usize::from(*byte)]);
    let has_dots = || path.windows(2).any(|it| it == b"/.");
    classes & ODD_IN_PATH == 0 && (classes & DOT == 0 || !has_dots())
}

/// Whether a name consists of labels of letters, digits, `-` and `_`, none of them empty, and if so, of what case.
pub(crate) fn label_case(name: &[u8]) -> Option<LabelCase> {
    let mut classes = 0;
    let mut before = DOT;
    for byte in name {
        let class = CLASSES[usize::from(*byte)];
        // A dot follows a label, and only a dot may be none.
        if class & LABEL == 0 && (class & DOT == 0 || before & DOT != 0) {
            return None;
        }
        classes |= class;
        before = class;
    }
    if before & DOT != 0 {
        None
    } else if classes & UPPER != 0 {
        Some(LabelCase::Mixed)
    } else {
        Some(LabelCase::Lower)
    }
}

/// Whether a name of labels has letters in upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelCase {
    Lower,
    Mixed,
}

/// Whether `name`, which holds no control octets, begins with `text`, which is of letters in lower case, digits and `-`;
/// in any case.
#[inline]
pub(crate) fn begins_with<const N: usize>(name: &[u8], text: &[u8; N]) -> bool {
    let Some(name) = name.first_chunk::<N>() else {
        return false;
    };
    // The bit makes a lower-case letter of the upper-case one, and of control octets only what is not a letter.
    let mut differs = 0;
    for at in 0..N {
        differs |= (name[at] | 0x20) ^ text[at];
    }
    differs == 0
}

/// As [`begins_with`], of all of it.
#[inline]
pub(crate) fn equals<const N: usize>(name: &[u8], text: &[u8; N]) -> bool {
    name.len() == N && begins_with(name, text)
}

/// Whether an octet may stand in a value: visible, beyond ASCII, SP or HTAB.
pub(crate) fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

/// Where the first octet at or after `from` stands that is no text, if one is there.
///
/// Eight octets at a time in one word: most lines are so short that wider vectors cost more to begin than they save.
#[inline]
pub(crate) fn find_control(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    let mut rest = bytes.get(from..)?;
    while let Some((block, behind)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*block);
        // As in `Run::of_letters`; HTAB is marked too.
        let low = word & (ONES * 0x7f);
        let is_visible = low + ONES * (0x80 - 0x20);
        let is_delete = low + ONES;
        let mut marks = (!is_visible | is_delete) & !word & HIGHEST;
        while marks != 0 {
            let offset = (marks.trailing_zeros() / 8) as usize;
            if block[offset] != b'\t' {
                return Some(at + offset);
            }
            marks &= marks - 1;
        }
        (at, rest) = (at + 8, behind);
    }
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
    let mut rest = Some(value);
    let next = move || {
        let list = rest?;
        let comma = memchr::memchr(b',', list);
        rest = comma.and_then(|it| list.get(it + 1..));
        Some(trim(&list[..comma.unwrap_or(list.len())]))
    };
    std::iter::from_fn(next).filter(|it| !it.is_empty())
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
        for length in 0..12 {
            for byte in 0..=255_u8 {
                for before in *b"a-Q7~" {
                    let mut name = vec![before; length];
                    name.push(byte);
                    name.extend(b"before-the-end: a");
                    let run = Run::of(&name);
                    let expected = if is_token(byte) { length + 15 } else { length };
                    assert_eq!(run.length, expected, "{name:?}");
                    assert_eq!(run.has_underscore(), byte == b'_', "{name:?}");
                }
            }
        }
        let run = Run::of(b"X_a: b");
        assert_eq!((run.length, run.has_underscore()), (3, true));
        let run = Run::of(b"x-a");
        assert_eq!((run.length, run.has_underscore()), (3, false));
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
