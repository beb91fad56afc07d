//! Clients that make work: each ends with GOAWAY ENHANCE_YOUR_CALM, or costs nothing worth speaking of; others are
//! served meanwhile.

use crate::client::{Client, Windows};
use crate::frame::*;
use crate::subject::Subject;
use std::time::Duration;
use tokio::time::timeout;

/// Frames of one flood at most: enough that any limit shows.
const MOST: usize = 200_000;
/// Sent between two looks at what came back.
const AT_ONCE: usize = 500;

/// Sends `piece` of each number until the server has had enough; its last code, or none where it bore all of `most`.
async fn flood(client: &mut Client, most: usize, piece: impl Fn(usize) -> Vec<u8>) -> Option<u32> {
    let mut sent = 0;
    while sent < most && client.closed.is_none() && client.goaways.is_empty() {
        let bytes: Vec<u8> = (sent..sent + AT_ONCE).flat_map(&piece).collect();
        sent += AT_ONCE;
        if !client.try_send(&bytes).await {
            break;
        }
        // Takes in what is there; a server that stops reading must not stop this end for ever.
        let _ = timeout(Duration::from_millis(1), client.until("the end", |_| false)).await;
    }
    if sent < most {
        client.end().await;
    }
    client.goaways.last().map(|it| it.1)
}

#[track_caller]
fn is_calmed(code: Option<u32>, what: &str) {
    assert_eq!(code, Some(CALM), "{what}");
}

async fn others_are_served(subject: &Subject) {
    let mut other = Client::connect(subject.address).await;
    assert!(other.is_alive().await, "{}", other.account());
}

/// CVE-2023-44487: each request is reset as soon as it is sent.
#[tokio::test]
async fn rapid_reset() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    let code = flood(&mut client, MOST, |it| {
        let stream = u32::try_from(2 * it + 1).unwrap();
        [get(stream, "/wait"), reset(stream, CANCEL)].concat()
    })
    .await;
    is_calmed(code, "rapid reset");
    let reached = subject.paths().len();
    assert!(reached <= 1000, "{reached} requests reached the instance");
    others_are_served(&subject).await;
}

/// The same with a pause, so that every request is under way before it is reset.
#[tokio::test]
async fn steady_reset() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    for round in 0..200_u32 {
        let streams = (0..100).map(|it| round * 200 + 2 * it + 1);
        let requests: Vec<u8> = streams.clone().flat_map(|it| get(it, "/wait")).collect();
        client.send(requests).await;
        client.settle().await;
        client
            .send(
                streams
                    .flat_map(|it| reset(it, CANCEL))
                    .collect::<Vec<u8>>(),
            )
            .await;
        if client.closed.is_some() {
            break;
        }
    }
    client.end().await;
    is_calmed(client.goaways.last().map(|it| it.1), "steady reset");
    others_are_served(&subject).await;
}

/// A page that is left in the middle, again and again at a person's pace, is no flood.
#[tokio::test]
async fn some_resets_are_ordinary() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    for round in 0..20_u32 {
        let streams = (0..20).map(|it| round * 50 + 2 * it + 1);
        client
            .send(
                streams
                    .clone()
                    .flat_map(|it| get(it, "/"))
                    .collect::<Vec<u8>>(),
            )
            .await;
        for stream in streams {
            assert_eq!(client.ended(stream).await.status, Some(200));
        }
        let left = round * 50 + 41;
        client
            .send([get(left, "/wait"), get(left + 2, "/wait")].concat())
            .await;
        client.settle().await;
        client
            .send([reset(left, CANCEL), reset(left + 2, CANCEL)].concat())
            .await;
    }
    assert!(client.is_alive().await, "{}", client.account());
}

/// CVE-2025-8671: the client makes the server reset, so that no reset of its own is counted.
#[tokio::test]
async fn made_you_reset() {
    let subject = Subject::start().await;
    type Trigger = fn(u32) -> Vec<u8>;
    let triggers: [(&str, Trigger); 4] = [
        ("a window of 0", |it| window(it, 0)),
        ("a window too large", |it| window(it, 0x7fff_ffff)),
        ("PRIORITY on itself", |it| priority(it, it)),
        ("DATA after the end", |it| data(0, it, b"x")),
    ];
    for (what, trigger) in triggers {
        let mut client = Client::connect(subject.address).await;
        subject.forget();
        let code = flood(&mut client, MOST, |it| {
            let stream = u32::try_from(2 * it + 1).unwrap();
            [get(stream, "/wait"), trigger(stream)].concat()
        })
        .await;
        is_calmed(code, what);
        let reached = subject.paths().len();
        assert!(
            reached <= 1000,
            "{what}: {reached} requests reached the instance"
        );
        others_are_served(&subject).await;
    }
}

/// Requests that are turned away cost little each, but not without end.
#[tokio::test]
async fn malformed_requests() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    let code = flood(&mut client, MOST, |it| {
        let stream = u32::try_from(2 * it + 1).unwrap();
        headers(
            WHOLE,
            stream,
            &[request("GET", "/bad"), field(b"te", b"x")].concat(),
        )
    })
    .await;
    is_calmed(code, "malformed requests");
    assert!(!subject.paths().iter().any(|it| it == "/bad"));
    others_are_served(&subject).await;
}

/// CVE-2024-27316 and its kind: a block that never ends.
#[tokio::test]
async fn continuation() {
    let subject = Subject::start().await;
    for (what, piece) in [
        ("empty", vec![]),
        ("small", field(b"x-a", b"1")),
        ("large", field(b"x-a", &[b'x'; 8000])),
    ] {
        let mut client = Client::connect(subject.address).await;
        client.send(headers(0, 1, &request("GET", "/bad"))).await;
        let code = flood(&mut client, MOST, |_| {
            crate::frame::continuation(0, 1, &piece)
        })
        .await;
        is_calmed(code, what);
        others_are_served(&subject).await;
    }
}

/// A table of one large field, named again and again: small on the wire, large in memory.
#[tokio::test]
async fn an_hpack_bomb() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    let bomb = [&[0x40][..], &string(b"x-a"), &string(&[b'x'; 4000])].concat();
    let uses = vec![0x80 | 62; 16_000];
    client
        .send(headers(
            END_STREAM,
            1,
            &[&request("GET", "/bad")[..], &bomb].concat(),
        ))
        .await;
    let code = flood(&mut client, MOST, |_| {
        crate::frame::continuation(0, 1, &uses)
    })
    .await;
    is_calmed(code, "a bomb");
    others_are_served(&subject).await;
}

#[tokio::test]
async fn frames_that_carry_nothing() {
    let subject = Subject::start().await;
    let floods: [(&str, Vec<u8>); 8] = [
        ("SETTINGS", settings(&[(INITIAL_WINDOW_SIZE, 65_535)])),
        ("empty SETTINGS", settings(&[])),
        ("PING", ping(*b"12345678")),
        ("acknowledged PING", frame(PING, ACK, 0, b"12345678")),
        ("PRIORITY", priority(1, 3)),
        ("unknown frames", frame(0x16, 0, 0, &[0; 8])),
        ("empty DATA", data(0, 1, b"")),
        (
            "padded DATA",
            frame(DATA, PADDED, 1, &[&[255][..], &[0; 255]].concat()),
        ),
    ];
    for (what, piece) in floods {
        let mut client = Client::connect(subject.address).await;
        client.send(post(1, "/wait")).await;
        is_calmed(flood(&mut client, MOST, |_| piece.clone()).await, what);
        others_are_served(&subject).await;
    }
}

/// One byte at a time is slow but lawful for a while; two million frames are not.
#[tokio::test]
async fn small_data() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    let sized = [request("POST", "/taken"), field(b"content-length", b"2000")].concat();
    client.send(headers(END_HEADERS, 1, &sized)).await;
    let piece = data(0, 1, b"x");
    let bytes = piece.repeat(1000);
    for _ in 0..2 {
        client.send(&bytes).await;
    }
    client.send(data(END_STREAM, 1, b"")).await;
    assert_eq!(client.ended(1).await.body, b"2000");
    assert!(client.is_alive().await);
}

/// Answers that nobody takes: bounded by the windows, and given up in time (the idle time of bodies, short here).
#[tokio::test]
async fn zero_windows() {
    let mut setup = crate::setup::Setup::new();
    setup.deadlines.idle = Duration::from_millis(300);
    let subject = Subject::start_with(setup).await;
    let mut client = Client::with(subject.address, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    client.windows = Windows::Kept;
    let all: Vec<u8> = (0..50).flat_map(|it| get(2 * it + 1, "/large")).collect();
    client.send(all).await;
    for stream in (0..50).map(|it| 2 * it + 1) {
        let answer = client.ended(stream).await;
        assert!(
            answer.reset.is_some() && answer.body.is_empty(),
            "{stream}: {answer:?}"
        );
    }
    others_are_served(&subject).await;
}

/// A client that neither reads nor closes: the window is open, but the socket is full.
#[tokio::test]
async fn a_client_that_reads_nothing() {
    let mut setup = crate::setup::Setup::new();
    setup.deadlines.idle = Duration::from_millis(300);
    let subject = Subject::start_with(setup).await;
    let mut client = Client::with(subject.address, &[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]).await;
    client.send(window(0, 0x7fff_0000 - 65_535)).await;
    let all: Vec<u8> = (0..100).flat_map(|it| get(2 * it + 1, "/large")).collect();
    client.send(all).await;
    if let Some(running) = &subject.running {
        running.is_at_rest().await;
    }
    others_are_served(&subject).await;
}

/// A block whose frames come one by one, each of them soon enough, is as slow as one that does not come at all.
#[tokio::test]
async fn a_block_that_dribbles() {
    let mut setup = crate::setup::Setup::new();
    setup.deadlines.head = Duration::from_millis(600);
    let subject = Subject::start_with(setup).await;
    let mut client = Client::connect(subject.address).await;
    client
        .send(headers(END_STREAM, 1, &request("GET", "/bad")))
        .await;
    let dribble = async {
        while client.closed.is_none() && client.goaways.is_empty() {
            client.send(crate::frame::continuation(0, 1, b"")).await;
            let pause = client.until("the end", |it| !it.goaways.is_empty());
            let _ = timeout(Duration::from_millis(100), pause).await;
        }
    };
    timeout(Duration::from_secs(30), dribble)
        .await
        .expect("it ends");
    assert!(subject.paths().is_empty(), "{:?}", subject.paths());
    others_are_served(&subject).await;
}

/// A block that does not come on, a preface that does not, and nothing at all.
#[tokio::test]
async fn slow_beginnings() {
    let mut setup = crate::setup::Setup::new();
    setup.deadlines.head = Duration::from_millis(300);
    setup.deadlines.keep_alive = Duration::from_millis(300);
    let subject = Subject::start_with(setup).await;
    let head = headers(END_STREAM, 1, &request("GET", "/bad"));
    let whole = [PREFACE, &settings(&[])].concat();
    for (what, bytes) in [
        ("half a preface", PREFACE[..10].to_vec()),
        ("a preface", PREFACE.to_vec()),
        ("no request", whole.clone()),
        ("half a frame", [&whole[..], &head[..20]].concat()),
        ("half a block", [&whole[..], &head].concat()),
    ] {
        let mut client = Client::silent(subject.address).await;
        client.send(bytes).await;
        client.until(what, |_| false).await;
        assert!(client.answers.is_empty(), "{what}: {}", client.account());
    }
}

/// A connection that had to end is counted by why it had to.
#[tokio::test]
async fn what_ended_is_counted() {
    let subject = Subject::start().await;
    let pings = ping(*b"12345678").repeat(3000);
    for (bytes, reason) in [
        (pings, "flooded"),
        (frame(PING, 0, 0, b"short"), "broke_rules"),
        (data(0, 1, b"idle"), "broke_rules"),
    ] {
        let mut client = Client::connect(subject.address).await;
        let line = format!("minato_http_refused_total{{reason=\"{reason}\"");
        let running = subject.running.as_ref();
        let before = running.map_or(0.0, |it| it.metric(&line));
        client.send(bytes).await;
        client.end().await;
        if let Some(running) = running {
            running
                .settles("the count", |it| it.metric(&line) == before + 1.0)
                .await;
        }
    }
}
