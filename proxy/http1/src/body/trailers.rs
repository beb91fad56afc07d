//! Fields behind the last chunk.

use super::BadBody;
use crate::fields::Fields;
use crate::{Field, Kind, MOST_FIELDS, MOST_HEAD_BYTES};

/// Names that mean something only before a body, beside those that [`Kind`] knows: routing, conditions, authentication,
/// answers' control and content (RFC 9110 6.5.1).
const ONLY_BEFORE: [&str; 24] = [
    "accept-encoding",
    "age",
    "allow",
    "authentication-info",
    "cache-control",
    "content-encoding",
    "content-location",
    "content-range",
    "date",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "retry-after",
    "vary",
    "warning",
    "www-authenticate",
    "content-security-policy",
];

/// Whether a field that stands behind a body goes on: framing, routing, hop-by-hop, authentication, conditions, control
/// and content fields do not, nor does what is dropped from requests.
pub fn passes_as_trailer(name: &[u8]) -> bool {
    let is_known = Kind::of_any(name) != Kind::Other;
    let is_listed = ONLY_BEFORE
        .iter()
        .any(|it| it.as_bytes().eq_ignore_ascii_case(name));
    !is_known && !is_listed
}

/// Takes trailers octet by octet.
#[derive(Debug, Default)]
pub(super) struct Trailers {
    fields: Fields,
    /// Where the line began.
    line: usize,
    lines: usize,
}

impl Trailers {
    /// Takes an octet of a line.
    pub(super) fn push(&mut self, byte: u8) -> Result<(), BadBody> {
        if self.fields.bytes().len() + 2 > MOST_HEAD_BYTES {
            return Err(BadBody("more than 32 KiB of trailers"));
        }
        self.fields.append(&[byte]);
        Ok(())
    }

    /// Takes a line's CRLF.
    pub(super) fn end_line(&mut self) -> Result<(), BadBody> {
        if self.lines == MOST_FIELDS {
            return Err(BadBody("more than 100 trailers"));
        }
        self.lines += 1;
        self.fields.append(b"\r\n");
        let line = self.fields.read_line(self.line);
        self.line = line.map_err(|_| BadBody("a trailer that is no field"))?;
        let Some(last) = self.fields.last() else {
            return Ok(());
        };
        if matches!(last.kind, Kind::ContentLength | Kind::TransferEncoding) {
            return Err(BadBody("a framing field in the trailers"));
        }
        if !passes_as_trailer(last.name) {
            self.fields.drop_last();
        }
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter()
    }
}
