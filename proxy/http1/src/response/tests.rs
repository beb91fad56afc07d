use super::*;
use crate::HeadScan;

fn judge(text: &str, asked: Method) -> Result<ResponseHead, BadResponse> {
    let end = HeadScan::default().look_response(text.as_bytes())?.unwrap();
    let mut head = ResponseHead::default();
    head.read(&text.as_bytes()[..end], asked).map(|()| head)
}

fn with(fields: &str) -> ResponseHead {
    judge(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), Method::Get).unwrap()
}

#[test]
fn sound_answers_pass() {
    let framing = |text: &str, asked| judge(text, asked).unwrap().framing();
    assert_eq!(
        framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Method::Get),
        Framing::Length(3)
    );
    assert_eq!(
        framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Method::Head),
        Framing::None
    );
    assert_eq!(
        framing(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Method::Get
        ),
        Framing::Chunked
    );
    assert_eq!(
        framing("HTTP/1.0 200\r\n\r\n", Method::Get),
        Framing::UntilClose
    );
    assert_eq!(
        framing(
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
            Method::Get
        ),
        Framing::None
    );
    assert_eq!(framing("HTTP/1.1 103 \r\n\r\n", Method::Get), Framing::None);
    let odd = judge("HTTP/1.0 999 a  b\té\r\n\r\n", Method::Get).unwrap();
    assert_eq!((odd.status(), odd.version()), (999, Version::Http10));
}

#[test]
fn answers_with_two_meanings_do_not() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3,3\r\n\r\n",
        "HTTP/1.1 204 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 3\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: y\r\n z\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 200 O\x01K\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 +20 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1\t200 OK\r\n\r\n",
        "HTTP/1.1 200\tOK\r\n\r\n",
        "HTTP/1.1 \r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "x\r\n\r\n",
    ] {
        assert!(judge(head, Method::Get).is_err(), "{head:?}");
    }
    let many = "a: b\r\n".repeat(101);
    assert!(judge(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"), Method::Get).is_err());
}

#[test]
fn octets_that_are_no_head_are_refused_unscanned() {
    let whole = "HTTP/1.1 200 OK\r\nX: y\r\n\r\n";
    for end in 0..whole.len() {
        let read = ResponseHead::default().read(&whole.as_bytes()[..end], Method::Get);
        assert!(read.is_err(), "{end}");
    }
    let read = ResponseHead::default().read(format!("{whole}x").as_bytes(), Method::Get);
    assert!(read.is_err());
}

#[test]
fn the_upstream_says_how_long_it_stays() {
    for (head, closes) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", false),
        ("HTTP/1.1 204 No Content\r\n", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", false),
        ("HTTP/1.1 200 OK\r\n", true),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n",
            true,
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n", true),
        (
            "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n",
            false,
        ),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", true),
    ] {
        let read = judge(&format!("{head}\r\n"), Method::Get).unwrap();
        assert_eq!(read.closes(), closes, "{head:?}");
    }
    let stays = |value: &str| with(&format!("Keep-Alive: {value}\r\n")).keep_alive();
    assert_eq!(stays("timeout=5, max=100"), Some(Duration::from_secs(5)));
    assert_eq!(stays("max=100,Timeout = 7"), Some(Duration::from_secs(7)));
    for none in [
        "",
        "max=1",
        "timeout",
        "timeout=",
        "timeout=-1",
        "timeout=x",
        "timeout=99999999999999999999",
    ] {
        assert_eq!(stays(none), None, "{none}");
    }
    assert_eq!(with("").keep_alive(), None);
}

#[test]
fn only_a_matching_101_switches() {
    let switches = |head: &str| {
        judge(&format!("{head}\r\n"), Method::Get)
            .unwrap()
            .is_websocket_upgrade()
    };
    const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: WebSocket\r\n";
    assert!(switches(&format!("HTTP/1.1 101 x\r\n{UPGRADE}")));
    for head in [
        format!("HTTP/1.1 200 x\r\n{UPGRADE}"),
        format!("HTTP/1.0 101 x\r\n{UPGRADE}"),
        format!("HTTP/1.1 101 x\r\n{UPGRADE}Upgrade: h2c\r\n"),
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n".to_owned(),
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\n".to_owned(),
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n".to_owned(),
    ] {
        assert!(!switches(&head), "{head:?}");
    }
}

#[test]
fn event_streams_are_known() {
    for (value, is_one) in [
        ("text/event-stream", true),
        ("Text/Event-Stream; charset=utf-8", true),
        ("text/event-stream ;x", true),
        ("text/event-streams", false),
        ("text/html", false),
        ("", false),
    ] {
        assert_eq!(
            with(&format!("Content-Type: {value}\r\n")).is_event_stream(),
            is_one,
            "{value}"
        );
    }
    assert!(!with("").is_event_stream());
}

#[test]
fn http_2_brings_heads_too() {
    let assemble = |status, asked, fields: &[(&str, &str)]| {
        let mut head = ResponseHead::default();
        let fields = fields.iter().map(|it| (it.0.as_bytes(), it.1.as_bytes()));
        head.assemble(status, asked, fields).map(|()| head)
    };
    let head = assemble(200, Method::Get, &[("content-length", "3"), ("x", "y")]).unwrap();
    assert_eq!(
        (head.framing(), head.version(), head.closes()),
        (Framing::Length(3), Version::Http2, false)
    );
    let mut open = assemble(200, Method::Get, &[]).unwrap();
    assert_eq!(
        (open.framing(), open.closes()),
        (Framing::UntilClose, false)
    );
    open.set_bodiless();
    assert_eq!(open.framing(), Framing::Length(0));
    assert_eq!(
        assemble(200, Method::Head, &[]).unwrap().framing(),
        Framing::None
    );
    for (status, fields) in [
        (99, &[][..]),
        (1000, &[]),
        (101, &[]),
        (200, &[("Upper", "x")]),
        (200, &[(":status", "200")]),
        (200, &[("connection", "close")]),
        (200, &[("transfer-encoding", "chunked")]),
        (200, &[("upgrade", "h2c")]),
        (200, &[("x", "a\nb")]),
        (200, &[("x", " a")]),
        (200, &[("content-length", "1"), ("content-length", "2")]),
    ] {
        assert!(
            assemble(status, Method::Get, fields).is_err(),
            "{status} {fields:?}"
        );
    }
}

#[test]
fn what_was_read_before_leaves_no_trace() {
    let long = "HTTP/1.0 404 Not Found at all\r\nConnection: keep-alive, x\r\nX: y\r\nContent-Length: 5\r\n\r\n";
    let short = "HTTP/1.1 200\r\nX: z\r\n\r\n";
    let mut head = judge(long, Method::Get).unwrap();
    head.read(short.as_bytes(), Method::Get).unwrap();
    assert_eq!(
        format!("{head:?}"),
        format!("{:?}", judge(short, Method::Get).unwrap())
    );
}
