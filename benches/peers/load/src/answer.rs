//! Reads the head of an answer: enough to know whether it is right and where it ends.

use std::io;

/// A head, and how much of the body is still to come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes of the buffer that the head takes.
    pub(crate) length: usize,
    pub(crate) body: u64,
    /// It is the last of its connection.
    pub(crate) closes: bool,
}

/// `None` until the head is whole. An answer without Content-Length is an error: every peer is asked for bodies of known length.
pub(crate) fn head(data: &[u8]) -> io::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(data).map_err(io::Error::other)?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let body = response
        .headers
        .iter()
        .find(|it| it.name.eq_ignore_ascii_case("content-length"))
        .and_then(|it| std::str::from_utf8(it.value).ok()?.trim().parse().ok())
        .ok_or_else(|| io::Error::other("an answer without a length"))?;
    let closes = response.headers.iter().any(|it| {
        it.name.eq_ignore_ascii_case("connection") && it.value.eq_ignore_ascii_case(b"close")
    });
    Ok(Some(Head {
        status: response.code.unwrap_or(0),
        length,
        body,
        closes,
    }))
}

#[cfg(test)]
mod tests {
    use super::{Head, head};

    #[test]
    fn a_head_is_found_only_when_whole() {
        let whole = b"HTTP/1.1 200 OK\r\nX: y\r\ncontent-length: 5\r\n\r\nabc";
        for end in 0..whole.len() - 3 {
            assert_eq!(head(&whole[..end]).ok().flatten(), None, "{end}");
        }
        let found = head(whole).ok().flatten();
        let length = whole.len() - 3;
        assert_eq!(
            found,
            Some(Head {
                status: 200,
                length,
                body: 5,
                closes: false
            })
        );
    }

    #[test]
    fn the_last_of_a_connection_says_so() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: Close\r\n\r\n";
        assert!(head(whole).ok().flatten().is_some_and(|it| it.closes));
    }

    #[test]
    fn an_answer_of_unknown_length_is_refused() {
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
