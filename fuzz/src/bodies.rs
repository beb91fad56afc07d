//! A chunked body means the same however it is split, a lenient decoder agrees, and what is written of it is read alike.

use super::{Reached, control, cuts};
use minato_http1::{
    BadBody, BodyReader, CHUNK_END, Framing, Piece, write_chunk_line, write_last_chunk,
};

/// What was read of a body.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Body {
    pub data: Vec<u8>,
    /// Octets of the input that were the body's.
    pub used: usize,
    pub is_whole: bool,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Property of a chunked body.
pub fn chunked(data: &[u8]) -> Reached {
    let (step, bytes) = control(data);
    let whole = follow(Framing::Chunked, bytes, 0);
    let pieces = follow(Framing::Chunked, bytes, step);
    assert_eq!(whole, pieces, "in pieces of {step}");
    let body = match whole {
        Err(_) => return Reached::Refused,
        Ok(body) if !body.is_whole => return Reached::Unfinished,
        Ok(body) => body,
    };
    let (lenient, used) = lenient(bytes).expect("a lenient decoder refuses it");
    assert_eq!(lenient, body.data);
    assert_eq!(used, body.used);
    let mut out = Vec::new();
    encode(&body, step, &mut out);
    let again = follow(Framing::Chunked, &out, 0).expect("what was written is sound");
    assert_eq!((again.used, again.is_whole), (out.len(), true));
    assert_eq!((again.data, again.trailers), (body.data, body.trailers));
    Reached::Held
}

/// Reads a body in pieces of `step` octets; at once where that is 0.
pub(crate) fn follow(framing: Framing, input: &[u8], step: u8) -> Result<Body, BadBody> {
    let mut reader = BodyReader::new(framing);
    let mut body = Body::default();
    for end in cuts(input.len(), step) {
        loop {
            let sure = reader.sure();
            match reader.next(&input[body.used..end])? {
                Piece::Skip(count) => {
                    assert!((1..=end - body.used).contains(&count));
                    body.used += count;
                }
                Piece::Data(count) => {
                    assert!((1..=end - body.used).contains(&count) && count as u64 <= sure);
                    body.data
                        .extend_from_slice(&input[body.used..body.used + count]);
                    body.used += count;
                }
                Piece::More => break assert_eq!(body.used, end, "input left unread"),
                Piece::End => {
                    assert!(reader.is_done() && reader.end().is_ok());
                    body.is_whole = true;
                    let owned = |it: (&[u8], &[u8])| (it.0.to_vec(), it.1.to_vec());
                    body.trailers = reader.trailers().map(owned).collect();
                    return Ok(body);
                }
            }
        }
    }
    body.is_whole = reader.end().is_ok();
    if body.is_whole && framing == Framing::Chunked {
        let owned = |it: (&[u8], &[u8])| (it.0.to_vec(), it.1.to_vec());
        body.trailers = reader.trailers().map(owned).collect();
    }
    Ok(body)
}

/// Writes data in chunks of `step` octets, and the end only of a whole body.
pub(crate) fn encode(body: &Body, step: u8, out: &mut Vec<u8>) {
    for chunk in body.data.chunks(usize::from(step).max(1)) {
        write_chunk_line(chunk.len(), out);
        out.extend_from_slice(chunk);
        out.extend_from_slice(CHUNK_END);
    }
    if body.is_whole {
        let fields = body.trailers.iter().map(|it| (&it.0[..], &it.1[..]));
        write_last_chunk(fields, out);
    }
}

/// The data of a whole chunked body, and how long it is, as httparse's sizes and plain search have it.
fn lenient(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(&bytes[at..])
        else {
            return None;
        };
        at += line;
        if size == 0 {
            break;
        }
        let end = at + usize::try_from(size).ok()?;
        data.extend_from_slice(bytes.get(at..end)?);
        at = end + 2;
    }
    loop {
        let line = bytes.get(at..)?.windows(2).position(|it| it == b"\r\n")?;
        at += line + 2;
        if line == 0 {
            return Some((data, at));
        }
    }
}
