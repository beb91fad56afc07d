//! The fields of a head or of trailers: owned octets, and where in them each name and value stands.

mod kind;

pub use kind::Kind;
pub(crate) use kind::{HOP_BY_HOP, Kinds};

use crate::octets::{Run, elements, equals, find_control, is_token, trim};
use crate::refusal::Fault;
use crate::request::write_field;
use crate::{MOST_FIELDS, MOST_HEAD_BYTES};
use kind::KEPT;

/// One field as it came, without the white space around its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'b> {
    /// What its name means here.
    pub kind: Kind,
    /// In the case it was written in; lower case if HTTP/2 brought it.
    pub name: &'b [u8],
    /// Visible ASCII, octets beyond ASCII, SP and HTAB; may be empty.
    pub value: &'b [u8],
}

/// Where a field stands. A head is at most 32 KiB long, so 16 bits suffice.
#[derive(Debug, Clone, Copy)]
struct Span {
    name: u16,
    name_end: u16,
    value: u16,
    value_end: u16,
    kind: Kind,
    passage: Passage,
}

/// Whether `Connection` named a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    Onward,
    EndsHere,
}

/// What `Connection` says beside names of fields.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
}

/// Reused from head to head; once warm it allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    kinds: Kinds,
}

impl Fields {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.kinds = Kinds::default();
    }

    /// All octets: of a head that was read, the head.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes octets of a line that [`Self::read_line`] will read.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Reads the lines of `bytes` from `at` to the blank one, and keeps all up to its end; where that is.
    pub(crate) fn read(&mut self, bytes: &[u8], mut at: usize) -> Result<usize, Fault> {
        self.clear();
        while !matches!(bytes.get(at..at + 2), Some(b"\r\n")) {
            let (span, next) = line(bytes, at)?;
            self.note(span)?;
            at = next;
        }
        let head = bytes.get(..at + 2).unwrap_or_default();
        if head.len() > MOST_HEAD_BYTES {
            return Err(Fault::TooLarge);
        }
        self.bytes.extend_from_slice(head);
        Ok(head.len())
    }

    /// Reads the line at `at` of what was appended; where the next one begins.
    pub(crate) fn read_line(&mut self, at: usize) -> Result<usize, Fault> {
        let (span, next) = line(&self.bytes, at)?;
        self.note(span)?;
        Ok(next)
    }

    /// Adds a field that HTTP/2 brought, and checks it by the rules of both versions (RFC 9113 8.2.1).
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let run = Run::of(name);
        if run.length == 0 || run.length < name.len() {
            return Err(Fault::Malformed("a field's name is no token"));
        }
        if name.iter().any(u8::is_ascii_uppercase) {
            return Err(Fault::Malformed("a field's name is not in lower case"));
        }
        check_value(value)?;
        let start = self.bytes.len();
        if start + name.len() + value.len() > MOST_HEAD_BYTES {
            return Err(Fault::TooLarge);
        }
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        let kind = if run.has_underscore() {
            Kind::Underscored
        } else {
            Kind::of(name)
        };
        let colon = start + name.len();
        self.note(Span {
            name: short(start),
            name_end: short(colon),
            value: short(colon),
            value_end: short(self.bytes.len()),
            kind,
            passage: Passage::Onward,
        })
    }

    fn note(&mut self, span: Span) -> Result<(), Fault> {
        if self.spans.len() == MOST_FIELDS {
            return Err(Fault::TooLarge);
        }
        self.kinds.add(span.kind);
        self.spans.push(span);
        Ok(())
    }

    /// Forgets the field that was read last.
    pub(crate) fn drop_last(&mut self) {
        self.spans.pop();
    }

    pub(crate) fn last(&self) -> Option<Field<'_>> {
        self.spans.last().map(|it| self.field(it))
    }

    pub(crate) fn kinds(&self) -> Kinds {
        self.kinds
    }

    fn field(&self, span: &Span) -> Field<'_> {
        let part = |from: u16, to: u16| {
            let part = self.bytes.get(usize::from(from)..usize::from(to));
            part.unwrap_or_default()
        };
        Field {
            kind: span.kind,
            name: part(span.name, span.name_end),
            value: part(span.value, span.value_end),
        }
    }

    /// In the order they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        self.spans.iter().map(|it| self.field(it))
    }

    /// Those that `Connection` did not name.
    pub(crate) fn onward(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        let onward = |it: &&Span| it.passage == Passage::Onward;
        self.spans.iter().filter(onward).map(|it| self.field(it))
    }

    /// Writes the fields that `goes_on` lets pass and `Connection` did not name, in order. Those that stand as we would write
    /// them are copied together.
    pub(crate) fn write_onward(&self, mut goes_on: impl FnMut(Kind) -> bool, out: &mut Vec<u8>) {
        // Octets of a head that are still to be copied.
        let (mut from, mut to) = (0, 0);
        for span in &self.spans {
            if span.passage == Passage::EndsHere || !goes_on(span.kind) {
                continue;
            }
            let (name, end) = (usize::from(span.name), usize::from(span.value_end) + 2);
            if self.stands_as_written(span) {
                if name != to {
                    out.extend_from_slice(self.bytes.get(from..to).unwrap_or_default());
                    from = name;
                }
                to = end;
                continue;
            }
            out.extend_from_slice(self.bytes.get(from..to).unwrap_or_default());
            (from, to) = (0, 0);
            let field = self.field(span);
            write_field(field.name, field.value, out);
        }
        out.extend_from_slice(self.bytes.get(from..to).unwrap_or_default());
    }

    /// Whether a field's line is `name: value CRLF`, without more white space.
    fn stands_as_written(&self, span: &Span) -> bool {
        let (colon, value) = (usize::from(span.name_end), usize::from(span.value));
        let end = usize::from(span.value_end);
        value == colon + 2
            && self.bytes.get(colon..value) == Some(b": ")
            && self.bytes.get(end..end + 2) == Some(b"\r\n")
    }

    /// Values of the fields of one kind.
    pub(crate) fn values(&self, kind: Kind) -> impl Iterator<Item = &[u8]> + Clone {
        let spans = match self.kinds.has(kind) {
            true => &self.spans[..],
            false => &[],
        };
        let of_kind = move |it: &&Span| it.kind == kind;
        spans.iter().filter(of_kind).map(|it| self.field(it).value)
    }

    /// Reads `Connection`, and remembers which fields it names.
    pub(crate) fn connection(&mut self) -> Result<Options, Fault> {
        let mut options = Options::default();
        if !self.kinds.has(Kind::Connection) {
            return Ok(options);
        }
        let mut left = MOST_FIELDS;
        for at in 0..self.spans.len() {
            if self.spans[at].kind != Kind::Connection {
                continue;
            }
            let (from, to) = (self.spans[at].value, self.spans[at].value_end);
            let value = self.bytes.get(usize::from(from)..usize::from(to));
            for option in elements(value.unwrap_or_default()) {
                left = left.checked_sub(1).ok_or(Fault::TooLarge)?;
                if equals(option, b"close") {
                    options.close = true;
                } else if equals(option, b"keep-alive") {
                    options.keep_alive = true;
                } else if equals(option, b"upgrade") {
                    options.upgrade = true;
                } else {
                    end_named(&self.bytes, &mut self.spans, option);
                }
            }
        }
        Ok(options)
    }
}

/// The field on the line at `at`, and where the next line begins. Inlined: what it returns is large for what it does.
#[inline(always)]
fn line(bytes: &[u8], at: usize) -> Result<(Span, usize), Fault> {
    let run = Run::of(bytes.get(at..).unwrap_or_default());
    let colon = at + run.length;
    if run.length == 0 || bytes.get(colon) != Some(&b':') {
        return Err(no_field(bytes.get(colon)));
    }
    let end = line_end(bytes, colon + 1)?;
    let mut value = colon + 1;
    while value < end && matches!(bytes[value], b' ' | b'\t') {
        value += 1;
    }
    let mut value_end = end;
    while value_end > value && matches!(bytes[value_end - 1], b' ' | b'\t') {
        value_end -= 1;
    }
    let kind = if run.has_underscore() {
        Kind::Underscored
    } else {
        Kind::of(&bytes[at..colon])
    };
    let span = Span {
        name: short(at),
        name_end: short(colon),
        value: short(value),
        value_end: short(value_end),
        kind,
        passage: Passage::Onward,
    };
    Ok((span, end + 2))
}

/// What is wrong with a line whose name is followed by `octet`.
#[cold]
fn no_field(octet: Option<&u8>) -> Fault {
    Fault::Malformed(match octet {
        // Before the name it is obs-fold, after it a smuggler's.
        Some(b' ' | b'\t') => "white space around a field's name",
        Some(b':') => "a field without a name",
        Some(b'\r' | b'\n') | None => "a line without a colon",
        Some(_) => "a field's name is no token",
    })
}

/// Of a value that HTTP/2 brought (RFC 9113 8.2.1).
pub(crate) fn check_value(value: &[u8]) -> Result<(), Fault> {
    if find_control(value, 0).is_some() {
        Err(Fault::Malformed("a control octet in a value"))
    } else if trim(value).len() != value.len() {
        Err(Fault::Malformed("white space around a value"))
    } else {
        Ok(())
    }
}

/// Marks the fields of a name that end at this hop because `Connection` says so.
fn end_named(bytes: &[u8], spans: &mut [Span], name: &[u8]) {
    for span in spans.iter_mut().filter(|it| !KEPT.has(it.kind)) {
        let own = bytes.get(usize::from(span.name)..usize::from(span.name_end));
        if own.is_some_and(|it| it.eq_ignore_ascii_case(name)) {
            span.passage = Passage::EndsHere;
        }
    }
}

/// Where the CRLF stands that ends the line; other control octets may not come before it.
#[inline]
pub(crate) fn line_end(bytes: &[u8], from: usize) -> Result<usize, Fault> {
    let end = find_control(bytes, from);
    let end = end.ok_or(Fault::Malformed("a line without an end"))?;
    match (bytes[end], bytes.get(end + 1)) {
        (b'\r', Some(b'\n')) => Ok(end),
        (b'\r' | b'\n', _) => Err(Fault::Malformed("a bare CR or LF")),
        _ => Err(Fault::Malformed("a control octet in a head")),
    }
}

/// Whether no octet stands in a head that never may: what decides between two refusals must not hang on how a head was split.
pub(crate) fn is_sound(head: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = find_control(head, at) {
        if head[found] != b'\r' || head.get(found + 1) != Some(&b'\n') {
            return false;
        }
        at = found + 2;
    }
    true
}

/// Whether all of it is token octets, and there are some.
pub(crate) fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|it| is_token(*it))
}

/// Offsets stay below [`MOST_HEAD_BYTES`] wherever they are kept.
fn short(offset: usize) -> u16 {
    u16::try_from(offset).unwrap_or(u16::MAX)
}
