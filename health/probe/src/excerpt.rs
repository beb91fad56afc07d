//! Bytes of strangers, made fit for a terminal and a log line.

/// The first `limit` bytes as text: broken UTF-8 replaced; control, direction and invisible characters escaped.
pub(crate) fn excerpt(bytes: &[u8], limit: usize) -> String {
    let head = bytes.get(..limit).unwrap_or(bytes);
    let mut text = String::with_capacity(head.len());
    for character in String::from_utf8_lossy(head).chars() {
        if character.is_control() || is_hidden(character) {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

/// Characters that change how others are shown, or show nothing.
fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn is_cut_and_escaped() {
        for (bytes, expected) in [
            (&b"all is well"[..], "all is well"),
            (b"two\r\nlines\x1b[31m\0", "two\\r\\nlines\\u{1b}[31m\\u{0}"),
            ("caf\u{e9}".as_bytes(), "caf\u{e9}"),
            ("a\u{202e}b".as_bytes(), "a\\u{202e}b"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"", ""),
        ] {
            assert_eq!(excerpt(bytes, 200), expected);
        }
        assert_eq!(excerpt(&[b'a'; 500], 200).len(), 200);
    }
}
