//! Messages that are nearly right: pieces that matter, put together at random, and some octets then changed.

use fastrand::Rng;

const METHODS: [&str; 8] = [
    "POST", "GET", "HEAD", "PUT", "OPTIONS", "PROPFIND", "get", "TRACE",
];
const TARGETS: [&str; 14] = [
    "/",
    "/a/b?c=d",
    "/a/../b/./c",
    "/%2e%2E/x",
    "//a",
    "/a%2fb?%00",
    "/?a?b",
    "*",
    "http://a.test",
    "http://a.test/x?y",
    "HTTPS://A.test:80/",
    "/é",
    "/a\\b",
    "/a#b",
];
const HOSTS: [&str; 6] = ["a.test", "A.test:80", "[::1]:8", "a.test.", "a,b", ""];
const VERSIONS: [&str; 4] = ["HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "http/1.1"];
const STATUSES: [&str; 8] = [
    "200 OK",
    "204 No Content",
    "304",
    "404 Not  Found",
    "101 Switching",
    "103 Early",
    "999 ",
    "20 OK",
];
const FIELDS: [&str; 34] = [
    "Accept: */*",
    "X-A:  b \t",
    "X-Empty:",
    "X_Y: z",
    "Cookie: a=b; c=d",
    "Connection: close",
    "Connection: keep-alive, X-A",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Keep-Alive: timeout=5",
    "TE: trailers",
    "Trailer: X-Sum",
    "Expect: 100-continue",
    "Expect: x",
    "Via: 1.1 before",
    "Proxy: x",
    "Proxy-Connection: close",
    "Proxy-Authorization: x",
    "X-Forwarded-For: 192.0.2.1,, b",
    "x-forwarded-proto: HTTPS",
    "X-Forwarded-Host: c.test",
    "Forwarded: for=x",
    "X-Real-IP: 192.0.2.1",
    "Content-Type: text/event-stream",
    "Content-Length: 3",
    "Content-Length: 3",
    "Content-Length: +3",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: Chunked",
    "Transfer-Encoding: gzip, chunked",
    "Date: Mon, 01 Jan 2024 00:00:00 GMT",
    "X-Bytes: \u{e9}\u{ff}",
    "Set-Cookie: a=b",
];
const TRAILERS: [&str; 7] = [
    "X-Sum: 1",
    "grpc-status: 0",
    "X-E:",
    "Host: b",
    "Content-Length: 3",
    "X : y",
    "Connection: x",
];
const ODD: &[u8] = b"\r\n\0 \t:;,/?#%\\\x7f\x80_0aA";

pub struct Generator {
    random: Rng,
    out: Vec<u8>,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            out: Vec::new(),
        }
    }

    fn one<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.random.usize(..list.len())]
    }

    /// Mostly the first, which is sound.
    fn mostly<'a>(&mut self, list: &[&'a str]) -> &'a str {
        if self.random.u8(..4) > 0 {
            list[0]
        } else {
            self.one(list)
        }
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn control(&mut self) {
        let octet = self.random.u8(..);
        self.out.push(octet);
    }

    fn fields(&mut self) {
        for _ in 0..self.random.usize(..6) {
            let field = self.one(&FIELDS);
            self.push(field);
            self.push("\r\n");
        }
        self.push("\r\n");
    }

    fn request_lines(&mut self) {
        let line = [
            self.mostly(&METHODS),
            " ",
            self.mostly(&TARGETS),
            " ",
            self.mostly(&VERSIONS),
            "\r\n",
        ];
        line.iter().for_each(|it| self.push(it));
        if self.random.u8(..16) > 0 {
            let host = self.mostly(&HOSTS);
            self.push(&format!("Host: {host}\r\n"));
        }
        self.fields();
    }

    fn response_lines(&mut self) {
        let line = [self.mostly(&VERSIONS), " ", self.mostly(&STATUSES), "\r\n"];
        line.iter().for_each(|it| self.push(it));
        self.fields();
    }

    fn chunks(&mut self) {
        for _ in 0..self.random.usize(..4) {
            let length = self.random.usize(1..40);
            let size = match self.random.u8(..8) {
                0 => format!("{length:X};a=\"b\"\r\n"),
                1 => format!("000{length:x}\r\n"),
                _ => format!("{length:x}\r\n"),
            };
            self.push(&size);
            for _ in 0..length {
                let octet = self.random.u8(..);
                self.out.push(octet);
            }
            self.push("\r\n");
        }
        self.push("0\r\n");
        for _ in 0..self.random.usize(..3) {
            let trailer = self.one(&TRAILERS);
            self.push(trailer);
            self.push("\r\n");
        }
        self.push("\r\n");
    }

    /// Changes a few octets of what stands behind `from`, or none.
    fn mutate(&mut self, from: usize) {
        if self.random.bool() {
            return;
        }
        for _ in 0..self.random.usize(1..3) {
            if self.out.len() <= from {
                return;
            }
            let at = self.random.usize(from..self.out.len());
            let odd = ODD[self.random.usize(..ODD.len())];
            match self.random.u8(..5) {
                0 => self.out[at] = odd,
                1 => self.out.insert(at, odd),
                2 => drop(self.out.remove(at)),
                3 => self.out.truncate(at),
                _ => {
                    let end = self.random.usize(at..self.out.len().min(at + 30));
                    self.out.extend_from_within(at..=end);
                }
            }
        }
    }

    fn finish(&mut self, controls: usize) -> Vec<u8> {
        self.mutate(controls);
        std::mem::take(&mut self.out)
    }

    pub fn request_head(&mut self) -> Vec<u8> {
        self.control();
        self.control();
        self.request_lines();
        self.finish(2)
    }

    pub fn response_head(&mut self) -> Vec<u8> {
        self.control();
        self.control();
        self.response_lines();
        self.finish(2)
    }

    pub fn chunked(&mut self) -> Vec<u8> {
        self.control();
        self.chunks();
        self.finish(1)
    }

    pub fn request(&mut self) -> Vec<u8> {
        let choice = self.random.u8(..) & !1;
        self.out.push(choice);
        self.control();
        self.request_lines();
        self.body();
        self.finish(2)
    }

    pub fn response(&mut self) -> Vec<u8> {
        let choice = self.random.u8(..) | 1;
        self.out.push(choice);
        self.control();
        self.response_lines();
        self.body();
        self.finish(2)
    }

    /// One that fits what the head says, mostly.
    fn body(&mut self) {
        let head = String::from_utf8_lossy(&self.out).to_lowercase();
        if head.contains("encoding: chunked") {
            self.chunks();
        } else if head.contains("length: 3") {
            self.push("abc");
        }
    }
}
