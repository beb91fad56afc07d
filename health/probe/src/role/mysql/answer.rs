//! Queries and their answers as text; what a server says when it refuses.

use super::wire::{Cursor, Wire, strange};
use minato_health::{Failure, Layer};
use tokio::io::{AsyncRead, AsyncWrite};

const QUERY: u8 = 3;
const QUIT: u8 = 1;
const OK: u8 = 0x00;
const NULL: u8 = 0xfb;
const END: u8 = 0xfe;
const REFUSED: u8 = 0xff;

/// Columns and rows of one answer: a replica has some 90 columns, one row for each server that it follows.
const MOST_COLUMNS: u64 = 512;
const MOST_ROWS: usize = 64;

/// No user by that name, a wrong password, a host that may not come, a lacking right.
const REFUSALS: [u16; 9] = [1044, 1045, 1130, 1142, 1227, 1251, 1524, 1698, 3118];
/// Only over TLS.
const WANTS_TLS: u16 = 3159;

/// What a server answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    columns: &'a [String],
    fields: &'a [Option<String>],
}

impl Rows {
    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|fields| Row {
            columns: &self.columns,
            fields,
        })
    }
}

impl<'a> Row<'a> {
    /// `None` for NULL, and for a column that is not there.
    pub(super) fn field(&self, column: &str) -> Option<&'a str> {
        let place = self.columns.iter().position(|it| it == column)?;
        self.fields.get(place)?.as_deref()
    }

    pub(super) fn first(&self) -> Option<&'a str> {
        self.fields.first()?.as_deref()
    }
}

/// A query that a server did not answer with rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It said so; the number, and what comes of it.
    Said(u16, Failure),
    /// The connection, or an answer that is none.
    Broken(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Said(_, failure) | Refusal::Broken(failure) => failure,
        }
    }
}

/// Asks, and reads the whole answer.
pub(super) async fn query<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    statement: &str,
) -> Result<Rows, Refusal> {
    let mut packet = vec![QUERY];
    packet.extend(statement.as_bytes());
    wire.begin();
    wire.write(&packet).await?;
    let head = wire.read().await?;
    let count = match head.first() {
        Some(&OK) => return Ok(Rows::default()),
        Some(&REFUSED) => {
            let (code, _) = said(&head).unwrap_or_default();
            return Err(Refusal::Said(code, refusal(&head)));
        }
        _ => Cursor(&head).number(),
    };
    let Some(count @ 1..=MOST_COLUMNS) = count else {
        return Err(strange("an answer without columns, or with far too many").into());
    };
    let mut found = Rows::default();
    for _ in 0..count {
        let packet = wire.read().await?;
        let name = column(&packet).ok_or_else(|| strange("a column without a name"))?;
        found.columns.push(name);
    }
    if !is_end(&wire.read().await?) {
        return Err(strange("more columns than it counted").into());
    }
    loop {
        let packet = wire.read().await?;
        if is_end(&packet) {
            return Ok(found);
        }
        if packet.first() == Some(&REFUSED) {
            let (code, _) = said(&packet).unwrap_or_default();
            return Err(Refusal::Said(code, refusal(&packet)));
        }
        let fields = row(&packet, found.columns.len());
        let fields = fields.ok_or_else(|| strange("a row that is cut short"))?;
        if found.rows.len() == MOST_ROWS {
            return Err(strange("far too many rows").into());
        }
        found.rows.push(fields);
    }
}

/// Says goodbye, so that the server counts no aborted connection; what becomes of it changes nothing.
pub(super) async fn quit<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) {
    wire.begin();
    let _ = wire.write(&[QUIT]).await;
}

/// The fifth text; four before it say where it comes from.
fn column(packet: &[u8]) -> Option<String> {
    let mut rest = Cursor(packet);
    for _catalog_schema_table_origin in 0..4 {
        rest.text()?;
    }
    Some(String::from_utf8_lossy(rest.text()?).into_owned())
}

fn row(packet: &[u8], columns: usize) -> Option<Vec<Option<String>>> {
    let mut rest = Cursor(packet);
    let mut fields = Vec::with_capacity(columns);
    for _ in 0..columns {
        if rest.0.first() == Some(&NULL) {
            rest.take(1)?;
            fields.push(None);
        } else {
            let text = String::from_utf8_lossy(rest.text()?);
            fields.push(Some(text.into_owned()));
        }
    }
    Some(fields)
}

/// A row may begin with the same octet, and is longer then.
fn is_end(packet: &[u8]) -> bool {
    packet.first() == Some(&END) && packet.len() < 9
}

/// Number and sentence; a state of five letters stands in between once the server knows our version.
fn said(packet: &[u8]) -> Option<(u16, String)> {
    let mut rest = Cursor(packet);
    rest.u8()?;
    let code = rest.u16()?;
    if rest.0.first() == Some(&b'#') {
        rest.take(6)?;
    }
    Some((code, String::from_utf8_lossy(rest.0).into_owned()))
}

/// What a packet of refusal says, by its layer.
pub(super) fn refusal(packet: &[u8]) -> Failure {
    let Some((code, message)) = said(packet) else {
        return strange("a refusal that is cut short");
    };
    let layer = match code {
        WANTS_TLS => Layer::Tls,
        code if REFUSALS.contains(&code) => Layer::Login,
        _ => Layer::NoAnswer,
    };
    let advice = match layer {
        Layer::Tls => "; give it `tls`",
        _ => "",
    };
    Failure::new(layer, format!("{message} ({code}){advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_by_their_layer() {
        for (packet, expected) in [
            (
                &b"\xff\x15\x04#28000Access denied for user 'minato'"[..],
                "login: Access denied for user 'minato' (1045)",
            ),
            (
                b"\xff\x10\x04Too many connections",
                "no answer: Too many connections (1040)",
            ),
            (
                b"\xff\x57\x0c#08004Connections using insecure transport are prohibited",
                "TLS: Connections using insecure transport are prohibited (3159); give it `tls`",
            ),
            (
                b"\xff\x15",
                "no answer: the server sent a refusal that is cut short",
            ),
        ] {
            assert_eq!(refusal(packet).to_string(), expected);
        }
    }

    #[test]
    fn rows_hold_texts_and_nulls() {
        let fields = |it: &[u8], columns| row(it, columns);
        assert_eq!(
            fields(b"\x01a\xfb\x00", 3),
            Some(vec![Some("a".to_owned()), None, Some(String::new())])
        );
        assert_eq!(fields(b"\x02a", 1), None);
        assert_eq!(fields(b"\x01a", 2), None);
        assert_eq!(
            column(b"\x03def\x00\x00\x00\x04name\x00"),
            Some("name".to_owned())
        );
        assert_eq!(column(b"\x03def\x00"), None);
    }

    #[test]
    fn an_end_is_short() {
        assert!(is_end(&[END, 0, 0, 2, 0]));
        assert!(!is_end(&[END, 0, 0, 0, 0, 0, 0, 0, 1]));
        assert!(!is_end(b"\x01a"));
    }
}
