//! Times of heads and chunks, as a gateway has them on every request.
//!
//! `cargo bench -p minato-http1`

#![expect(clippy::print_stdout, reason = "a table of figures is what it is for")]
#![expect(
    clippy::expect_used,
    reason = "a figure that cannot be measured is no figure"
)]

use minato_http1::{
    BodyReader, Framing, HeadScan, Method, Persistence, Piece, RequestHead, RequestOnward,
    ResponseHead, ResponseOnward, Trust, Version, write_chunk_line,
};
use std::hint::black_box;
use std::time::Instant;

const REQUEST: &str = "GET /library/catalogue/search?query=minato&page=2 HTTP/1.1\r\n\
    Host: library.example.ac.jp\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\
    Accept-Language: ja,en-US;q=0.7,en;q=0.3\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Referer: http://library.example.ac.jp/\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\n\
    Connection: keep-alive\r\n\r\n";

const RESPONSE: &str = "HTTP/1.1 200 OK\r\n\
    Server: nginx/1.22.1\r\n\
    Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Length: 1024\r\n\
    Last-Modified: Sun, 31 Dec 2023 00:00:00 GMT\r\n\
    ETag: \"659130f0-400\"\r\n\
    Cache-Control: max-age=60\r\n\
    Accept-Ranges: bytes\r\n\
    Connection: keep-alive\r\n\
    Keep-Alive: timeout=75\r\n\
    X-Frame-Options: SAMEORIGIN\r\n\r\n";

#[expect(clippy::disallowed_methods, reason = "measures")]
fn now() -> Instant {
    Instant::now()
}

/// The median and the least of 21 runs, in nanoseconds for each call.
fn time(name: &str, mut work: impl FnMut()) {
    const CALLS: u32 = 20_000;
    let mut runs: Vec<f64> = (0..21)
        .map(|_| {
            let began = now();
            (0..CALLS).for_each(|_| work());
            began.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    println!("{name:<44} {:>8.1} ns   (least {:.1})", runs[10], runs[0]);
}

fn main() {
    requests();
    responses();
    chunks();
}

fn requests() {
    let bytes = REQUEST.as_bytes();
    println!("request of {} octets", bytes.len());
    let mut head = RequestHead::default();
    let mut out = Vec::new();
    time("find the end, whole", || {
        let _ = black_box(HeadScan::default().look(black_box(bytes)));
    });
    time("find the end, in two pieces", || {
        let mut scan = HeadScan::default();
        let _ = black_box(scan.look(black_box(&bytes[..200])));
        let _ = black_box(scan.look(black_box(bytes)));
    });
    time("read", || head.read(black_box(bytes)).expect("sound"));
    let onward = RequestOnward {
        path: "/library/catalogue/search",
        client: [192, 0, 2, 9].into(),
        trust: Trust::Unknown,
        scheme: "http",
        hops: None,
        upstream: ([127, 0, 0, 1], 3000).into(),
    };
    time("write", || {
        out.clear();
        head.write(black_box(&onward), &mut out);
        black_box(&out);
    });
    time("all three", || {
        let end = HeadScan::default().look(black_box(bytes));
        let end = end.expect("sound").expect("whole");
        head.read(&bytes[..end]).expect("sound");
        out.clear();
        head.write(black_box(&onward), &mut out);
        black_box(&out);
    });
}

fn responses() {
    let bytes = RESPONSE.as_bytes();
    println!("response of {} octets", bytes.len());
    let mut head = ResponseHead::default();
    let mut out = Vec::new();
    let onward = ResponseOnward {
        client: Version::Http11,
        persistence: Persistence::KeepAlive,
    };
    time("read", || {
        head.read(black_box(bytes), Method::Get).expect("sound");
    });
    time("write", || {
        out.clear();
        black_box(head.write(black_box(&onward), &mut out));
    });
    time("find the end, read and write", || {
        let end = HeadScan::default().look_response(black_box(bytes));
        let end = end.expect("sound").expect("whole");
        head.read(&bytes[..end], Method::Get).expect("sound");
        out.clear();
        black_box(head.write(black_box(&onward), &mut out));
    });
}

fn chunks() {
    let mut body = Vec::new();
    for _ in 0..16 {
        write_chunk_line(4096, &mut body);
        body.resize(body.len() + 4096, b'x');
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    println!("body of 16 chunks of 4 KiB");
    time("follow", || {
        let mut reader = BodyReader::new(Framing::Chunked);
        let mut rest = black_box(&body[..]);
        while let Ok(Piece::Skip(count) | Piece::Data(count)) = reader.next(rest) {
            rest = &rest[count..];
        }
        black_box(reader.is_done());
    });
}
