//! Once warm, reading and writing heads and bodies allocates nothing. In a binary of its own, whose allocator counts.

use allocation_counter::measure;
use minato_http1::{
    BodyReader, Framing, HeadScan, Method, Persistence, Piece, RequestHead, RequestOnward,
    ResponseHead, ResponseOnward, Trust, Version, write_chunk_line, write_last_chunk,
};

const REQUESTS: [&str; 4] = [
    "GET /library/catalogue?query=minato&page=2 HTTP/1.1\r\nHost: library.example.ac.jp\r\nUser-Agent: a browser\r\n\
     Accept: text/html\r\nCookie: session=0123456789abcdef\r\nConnection: keep-alive\r\n\r\n",
    "POST /a/../b/%2e/c HTTP/1.1\r\nHost: LIBRARY.example:8080\r\nConnection: X-Own, upgrade\r\nX-Own: 1\r\n\
     X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nX-Forwarded-Proto: https\r\nTransfer-Encoding: chunked\r\n\r\n",
    "PROPFIND http://[::1]:80/ HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 5\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
];
const RESPONSES: [&str; 2] = [
    "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: x\r\nContent-Length: 5\r\nKeep-Alive: timeout=5\r\n\r\n",
    "HTTP/1.1 206 Partial Content\r\nConnection: X-Own\r\nX-Own: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
];

#[derive(Default)]
struct Reused {
    request: RequestHead,
    response: ResponseHead,
    out: Vec<u8>,
}

impl Reused {
    fn run(&mut self) {
        for text in REQUESTS {
            let end = HeadScan::default().look(text.as_bytes());
            assert_eq!(end, Ok(Some(text.len())));
            assert_eq!(self.request.read(text.as_bytes()), Ok(()));
            for trust in [Trust::Trusted, Trust::Unknown] {
                let onward = RequestOnward {
                    path: self.request.path(),
                    client: [192, 0, 2, 9].into(),
                    trust,
                    scheme: "http",
                    hops: None,
                    upstream: ([127, 0, 0, 1], 3000).into(),
                };
                self.out.clear();
                self.request.write(&onward, &mut self.out);
            }
        }
        for text in RESPONSES {
            assert_eq!(self.response.read(text.as_bytes(), Method::Get), Ok(()));
            for client in [Version::Http10, Version::Http11] {
                let onward = ResponseOnward {
                    client,
                    persistence: Persistence::KeepAlive,
                };
                self.out.clear();
                self.response.write(&onward, &mut self.out);
            }
        }
        let fields = [
            (&b"cookie"[..], &b"a=1"[..]),
            (b"cookie", b"b=2"),
            (b"x", b"y"),
        ];
        let assembled =
            self.request
                .assemble("GET", "https", Some("a.test"), "/x", fields.into_iter());
        assert_eq!(assembled, Ok(()));
        self.body();
    }

    fn body(&mut self) {
        self.out.clear();
        let mut reader = BodyReader::new(Framing::Chunked);
        let mut rest = &b"5;x\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"[..];
        loop {
            let piece = reader.next(rest);
            if let Ok(Piece::Data(count)) = piece {
                write_chunk_line(count, &mut self.out);
            }
            let Ok(Piece::Skip(count) | Piece::Data(count)) = piece else {
                break assert_eq!(piece, Ok(Piece::End));
            };
            rest = &rest[count..];
        }
        write_last_chunk(reader.trailers(), &mut self.out);
    }
}

#[test]
fn nothing_is_allocated_once_warm() {
    let empty = measure(|| drop(Reused::default()));
    assert_eq!(empty.count_total, 0, "{empty:?}");
    let mut reused = Reused::default();
    let first = measure(|| reused.run());
    assert!(first.count_total > 0, "nothing is counted");
    // Owned forms of targets that had to be changed are bounded, and rare.
    let again = measure(|| reused.run());
    assert_eq!(again.count_total, 0, "{again:?}");
}
