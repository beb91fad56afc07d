//! A second opinion on messages: strict, slow, and written apart from the code under test.

/// One message at the front of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Lines behind the last chunk.
    pub(crate) trailers: Vec<String>,
    /// Data of each chunk apart; empty where it is not chunked.
    pub(crate) chunks: Vec<usize>,
}

/// Whether a head is followed by what it declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Declared,
    /// As after HEAD.
    None,
}

impl Message {
    /// The first message and what is behind it; `None` while it is not whole.
    #[track_caller]
    pub(crate) fn cut(bytes: &[u8], body: Body) -> Option<(Self, &[u8])> {
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in UTF-8");
        let rest = &bytes[end..];
        let mut message = Self {
            head,
            body: Vec::new(),
            trailers: Vec::new(),
            chunks: Vec::new(),
        };
        let lengths = message.fields("content-length");
        let codings = message.fields("transfer-encoding");
        assert!(lengths.len() + codings.len() <= 1, "{}", message.head);
        let status = message.status();
        if body == Body::None || matches!(status, Some(100..=199 | 204 | 304)) {
            return Some((message, rest));
        }
        if let [coding] = codings[..] {
            assert_eq!(coding, "chunked", "{}", message.head);
            return message.cut_chunks(rest);
        }
        let length = lengths.first().map_or(0, |it| it.parse().unwrap());
        let (body, rest) = rest.split_at_checked(length)?;
        message.body = body.to_vec();
        Some((message, rest))
    }

    fn cut_chunks(mut self, mut rest: &[u8]) -> Option<(Self, &[u8])> {
        loop {
            let (line, after) = line(rest)?;
            let size = usize::from_str_radix(line, 16).expect("a size and nothing else");
            assert!(line.chars().all(|it| it.is_ascii_hexdigit()), "{line:?}");
            rest = after;
            if size == 0 {
                break;
            }
            let (data, after) = rest.split_at_checked(size)?;
            self.body.extend_from_slice(data);
            self.chunks.push(size);
            let (end, after) = after.split_at_checked(2)?;
            assert_eq!(end, b"\r\n");
            rest = after;
        }
        loop {
            let (line, after) = line(rest)?;
            rest = after;
            if line.is_empty() {
                return Some((self, rest));
            }
            self.trailers.push(line.to_owned());
        }
    }

    /// Values of all fields of a name.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1);
        let fields = lines.filter_map(|it| it.split_once(':'));
        let named = fields.filter(|it| it.0.eq_ignore_ascii_case(name));
        named.map(|it| it.1.trim()).collect()
    }

    /// Of a response.
    pub(crate) fn status(&self) -> Option<u16> {
        self.head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }

    /// As bytes again, however many chunks its body came in.
    pub(crate) fn joined(&self) -> Vec<u8> {
        let mut out = self.head.clone().into_bytes();
        if self.fields("transfer-encoding").is_empty() {
            out.extend_from_slice(&self.body);
            return out;
        }
        if !self.body.is_empty() {
            out.extend_from_slice(format!("{:X}\r\n", self.body.len()).as_bytes());
            out.extend_from_slice(&self.body);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n");
        for trailer in &self.trailers {
            out.extend_from_slice(format!("{trailer}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out
    }
}

fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|it| it == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[..end]).expect("a line in UTF-8");
    assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
    Some((line, &bytes[end + 2..]))
}
