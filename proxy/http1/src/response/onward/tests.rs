use super::*;
use crate::Method;

const KEPT: ResponseOnward = ResponseOnward {
    client: Version::Http11,
    persistence: Persistence::KeepAlive,
};
const CLOSED: ResponseOnward = ResponseOnward {
    persistence: Persistence::Close,
    ..KEPT
};
const OLD: ResponseOnward = ResponseOnward {
    client: Version::Http10,
    ..KEPT
};

#[track_caller]
fn check(from: &str, asked: Method, onward: ResponseOnward, expected: &str, framing: Framing) {
    let mut head = ResponseHead::default();
    let text = format!("{}\r\n\r\n", from.replace('\n', "\r\n"));
    head.read(text.as_bytes(), asked).unwrap();
    let mut out = b"before".to_vec();
    let got = head.write(&onward, &mut out);
    let expected = format!("before{}\r\n\r\n", expected.replace('\n', "\r\n"));
    assert_eq!(String::from_utf8_lossy(&out), expected, "{from}");
    assert_eq!(got, framing, "{from}");
}

#[test]
fn fields_of_one_hop_stay_behind() {
    check(
        "HTTP/1.1 200 Fine\nConnection: x-hop, set-cookie\nX-Hop: 1\nSet-Cookie: a=b\nKeep-Alive: timeout=9\nProxy-Authenticate: x\n\
         Upgrade: h2c\nTrailer: X-Sum\nX_Y: kept\nDate: now\nTransfer-Encoding: chunked",
        Method::Get,
        KEPT,
        "HTTP/1.1 200 Fine\nSet-Cookie: a=b\nTrailer: X-Sum\nX_Y: kept\nDate: now\nVia: 1.1 minato\nTransfer-Encoding: chunked",
        Framing::Chunked,
    );
}

#[test]
fn each_client_gets_a_framing_it_knows() {
    use Framing::{Chunked, Length, None, UntilClose};
    let length = "HTTP/1.1 200 OK\nContent-Length: 3\nContent-Length: 3";
    let chunked = "HTTP/1.1 200 OK\nTrailer: x\nTransfer-Encoding: chunked";
    let open = "HTTP/1.0 200 OK";
    let told = |rest: &str| format!("HTTP/1.1 200 OK\n{rest}");
    let via = "Via: 1.1 minato";
    for (from, asked, onward, rest, framing) in [
        (
            length,
            Method::Get,
            KEPT,
            format!("{via}\nContent-Length: 3"),
            Length(3),
        ),
        (
            length,
            Method::Get,
            CLOSED,
            format!("{via}\nContent-Length: 3\nConnection: close"),
            Length(3),
        ),
        (
            length,
            Method::Get,
            OLD,
            format!("{via}\nContent-Length: 3\nConnection: keep-alive"),
            Length(3),
        ),
        (
            length,
            Method::Head,
            KEPT,
            format!("{via}\nContent-Length: 3"),
            None,
        ),
        (
            chunked,
            Method::Get,
            KEPT,
            format!("Trailer: x\n{via}\nTransfer-Encoding: chunked"),
            Chunked,
        ),
        (
            chunked,
            Method::Get,
            OLD,
            format!("{via}\nConnection: close"),
            UntilClose,
        ),
        (chunked, Method::Head, KEPT, via.to_owned(), None),
        (
            open,
            Method::Get,
            KEPT,
            "Via: 1.0 minato\nTransfer-Encoding: chunked".to_owned(),
            Chunked,
        ),
        (
            open,
            Method::Get,
            OLD,
            "Via: 1.0 minato\nConnection: close".to_owned(),
            UntilClose,
        ),
    ] {
        check(from, asked, onward, &told(&rest), framing);
    }
    check(
        "HTTP/1.1 204 No Content\nContent-Length: 3",
        Method::Get,
        KEPT,
        "HTTP/1.1 204 No Content\nVia: 1.1 minato",
        None,
    );
    check(
        "HTTP/1.1 304\nContent-Length: 3",
        Method::Get,
        CLOSED,
        "HTTP/1.1 304 \nVia: 1.1 minato\nContent-Length: 3\nConnection: close",
        None,
    );
}

#[test]
fn interim_answers_say_nothing_of_the_connection() {
    check(
        "HTTP/1.1 103 Early Hints\nLink: x\nContent-Length: 3",
        Method::Get,
        CLOSED,
        "HTTP/1.1 103 Early Hints\nLink: x",
        Framing::None,
    );
    check(
        "HTTP/1.1 101 S\nConnection: upgrade\nUpgrade: WebSocket\nSec-WebSocket-Accept: k",
        Method::Get,
        KEPT,
        "HTTP/1.1 101 S\nSec-WebSocket-Accept: k\nConnection: Upgrade\nUpgrade: websocket",
        Framing::None,
    );
}

fn forwarded(head: &ResponseHead) -> String {
    let mut fields = Vec::new();
    head.forward(&mut |name, value| fields.extend([name, b"=", value, b" "].concat()));
    String::from_utf8(fields).unwrap()
}

#[test]
fn http_2_gets_no_framing_but_a_length() {
    let mut head = ResponseHead::default();
    head.read(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nTrailer: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        Method::Get,
    )
    .unwrap();
    assert_eq!(forwarded(&head), "Trailer=x Via=1.1 minato ");
    head.read(
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        Method::Head,
    )
    .unwrap();
    assert_eq!(forwarded(&head), "Via=1.1 minato Content-Length=7 ");
}

#[test]
fn what_http_2_brought_gets_a_reason() {
    let mut head = ResponseHead::default();
    let trailer = [(&b"trailer"[..], &b"grpc-status"[..])];
    head.assemble(404, Method::Get, trailer.into_iter())
        .unwrap();
    let mut out = Vec::new();
    assert_eq!(head.write(&KEPT, &mut out), Framing::Chunked);
    let expected = "HTTP/1.1 404 Not Found\r\ntrailer: grpc-status\r\nVia: 2.0 minato\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&out), expected);
    assert_eq!(forwarded(&head), "trailer=grpc-status Via=2.0 minato ");
    head.set_bodiless();
    out.clear();
    assert_eq!(head.write(&KEPT, &mut out), Framing::Length(0));
    assert!(String::from_utf8_lossy(&out).contains("\r\nContent-Length: 0\r\n"));
}
