//! RFC 9113 6 and 7: each type of frame, and error codes.

use crate::case::{Case, Expect, Step, case, run, steps};
use crate::client::{Client, Windows};
use crate::frame::*;
use crate::subject::Subject;

fn bodies() -> Vec<Case> {
    let head = request("GET", "/");
    let bad = request("POST", "/bad");
    let padded = |length: u8, block: &[u8], padding: usize| {
        [&[length][..], block, &vec![0; padding]].concat()
    };
    let weighted = [&[0, 0, 0, 0, 15][..], &head].concat();
    vec![
        case(
            "6.1 DATA",
            &[post(1, "/"), data(END_STREAM, 1, b"test")],
            Expect::Served(1),
        ),
        case(
            "6.1 DATA twice",
            &[post(1, "/"), data(0, 1, b"te"), data(END_STREAM, 1, b"st")],
            Expect::Served(1),
        ),
        case(
            "6.1 DATA with padding",
            &[
                post(1, "/"),
                frame(DATA, END_STREAM | PADDED, 1, &padded(6, b"test", 6)),
            ],
            Expect::Served(1),
        ),
        case(
            "6.1 DATA of stream 0",
            &[post(1, "/wait"), data(END_STREAM, 0, b"test")],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.1 DATA on a closed side",
            &[get(1, "/wait"), data(END_STREAM, 1, b"test")],
            Expect::Reset(1, &[CLOSED]),
        ),
        case(
            "6.1 padding as long as the frame",
            &[
                post(1, "/wait"),
                frame(DATA, END_STREAM | PADDED, 1, &padded(5, b"test", 0)),
            ],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.1 PADDED without a length",
            &[post(1, "/wait"), frame(DATA, END_STREAM | PADDED, 1, b"")],
            Expect::Ends(&[PROTOCOL, FRAME_SIZE]),
        ),
        case(
            "6.2 HEADERS with padding",
            &[headers(WHOLE | PADDED, 1, &padded(6, &head, 6))],
            Expect::Served(1),
        ),
        case(
            "6.2 HEADERS with a weight",
            &[headers(WHOLE | WEIGHTED, 1, &weighted)],
            Expect::Served(1),
        ),
        case(
            "6.2 HEADERS with both",
            &[headers(
                WHOLE | WEIGHTED | PADDED,
                1,
                &padded(3, &weighted, 3),
            )],
            Expect::Served(1),
        ),
        case(
            "6.2 HEADERS, then PRIORITY within the block",
            &[headers(END_STREAM, 1, &bad), priority(1, 0)],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.2 HEADERS of another stream within the block",
            &[headers(0, 1, &bad), headers(WHOLE, 3, &bad)],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.2 HEADERS of stream 0",
            &[headers(WHOLE, 0, &bad)],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.2 padding longer than the frame",
            &[headers(WHOLE | PADDED, 1, &padded(255, &bad, 0))],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.2 a weight that is cut off",
            &[headers(WHOLE | WEIGHTED, 1, &[0, 0, 0])],
            Expect::Ends(&[PROTOCOL, FRAME_SIZE]),
        ),
        case(
            "6.3 PRIORITY of stream 0",
            &[priority(0, 1)],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.3 PRIORITY of 4 bytes",
            &[post(1, "/wait"), frame(PRIORITY, 0, 1, &[0, 0, 0, 3])],
            Expect::ResetOrEnds(1, &[FRAME_SIZE]),
        ),
        case(
            "6.3 PRIORITY with exclusive",
            &[priority(1, 1 << 31), get(1, "/")],
            Expect::Served(1),
        ),
        case(
            "6.3 PRIORITY of a higher stream first",
            &[priority(5, 0), get(1, "/")],
            Expect::Served(1),
        ),
        case(
            "6.4 RST_STREAM",
            &[post(1, "/wait"), reset(1, CANCEL)],
            Expect::Alive,
        ),
        case(
            "6.4 RST_STREAM of stream 0",
            &[reset(0, CANCEL)],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.4 RST_STREAM of 3 bytes",
            &[post(1, "/wait"), frame(RST_STREAM, 0, 1, &[0; 3])],
            Expect::Ends(&[FRAME_SIZE]),
        ),
        case(
            "6.6 PUSH_PROMISE from a client",
            &[frame(
                PUSH_PROMISE,
                END_HEADERS,
                1,
                &[&2_u32.to_be_bytes()[..], &bad].concat(),
            )],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.10 CONTINUATION twice",
            &[
                headers(END_STREAM, 1, &head),
                continuation(0, 1, &field(b"x-a", b"1")),
                continuation(END_HEADERS, 1, &field(b"x-b", b"2")),
            ],
            Expect::Served(1),
        ),
        case(
            "6.10 CONTINUATION that is empty",
            &[
                headers(END_STREAM, 1, &head),
                continuation(END_HEADERS, 1, &[]),
            ],
            Expect::Served(1),
        ),
        case(
            "6.10 DATA after CONTINUATION",
            &[
                headers(0, 1, &bad),
                continuation(0, 1, &[]),
                data(END_STREAM, 1, b"test"),
            ],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.10 CONTINUATION of stream 0",
            &[
                headers(END_STREAM, 1, &bad),
                continuation(END_HEADERS, 0, &[]),
            ],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.10 CONTINUATION after END_HEADERS",
            &[get(1, "/wait"), continuation(END_HEADERS, 1, &[])],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.10 CONTINUATION after the block's last",
            &[
                headers(END_STREAM, 1, &request("GET", "/wait")),
                continuation(END_HEADERS, 1, &[]),
                continuation(END_HEADERS, 1, &[]),
            ],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.10 CONTINUATION after DATA",
            &[
                headers(0, 1, &bad),
                data(END_STREAM, 1, b"test"),
                continuation(END_HEADERS, 1, &[]),
            ],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "7 an unknown code in RST_STREAM",
            &[get(1, "/wait"), reset(1, 0xff)],
            Expect::Alive,
        ),
    ]
}

fn connection() -> Vec<Case> {
    let raw = |length: usize| frame(SETTINGS, 0, 0, &vec![0; length]);
    let setting =
        |name, one: (u16, u32), codes| case(name, &[settings(&[one])], Expect::Ends(codes));
    vec![
        case(
            "6.5 SETTINGS",
            &[settings(&[(MAX_CONCURRENT_STREAMS, 100)])],
            Expect::Alive,
        ),
        case(
            "6.5 an acknowledgement with a payload",
            &[frame(SETTINGS, ACK, 0, &[0])],
            Expect::Ends(&[FRAME_SIZE]),
        ),
        case(
            "6.5 SETTINGS of a stream",
            &[frame(SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 100])],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.5 SETTINGS of 3 bytes",
            &[raw(3)],
            Expect::Ends(&[FRAME_SIZE]),
        ),
        setting("6.5.2 ENABLE_PUSH of 2", (ENABLE_PUSH, 2), &[PROTOCOL]),
        setting(
            "6.5.2 a window above 2^31-1",
            (INITIAL_WINDOW_SIZE, 1 << 31),
            &[FLOW_CONTROL, PROTOCOL],
        ),
        setting(
            "6.5.2 a frame size below 2^14",
            (MAX_FRAME_SIZE, (1 << 14) - 1),
            &[PROTOCOL],
        ),
        setting(
            "6.5.2 a frame size above 2^24-1",
            (MAX_FRAME_SIZE, 1 << 24),
            &[PROTOCOL],
        ),
        case(
            "6.5.2 an unknown setting",
            &[settings(&[(0xff, 1)])],
            Expect::Alive,
        ),
        case("6.7 PING", &[ping(*b"12345678")], Expect::Alive),
        case(
            "6.7 an acknowledgement that nobody waits for",
            &[frame(PING, ACK, 0, b"invalid!")],
            Expect::Alive,
        ),
        case(
            "6.7 PING of a stream",
            &[frame(PING, 0, 1, b"12345678")],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.7 PING of 6 bytes",
            &[frame(PING, 0, 0, b"123456")],
            Expect::Ends(&[FRAME_SIZE]),
        ),
        case(
            "6.8 GOAWAY of a stream",
            &[goaway(1, 0, NO_ERROR)],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.9 WINDOW_UPDATE of 0",
            &[window(0, 0)],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "6.9 WINDOW_UPDATE of 0 on a stream",
            &[get(1, "/wait"), window(1, 0)],
            Expect::ResetOrEnds(1, &[PROTOCOL]),
        ),
        case(
            "6.9 WINDOW_UPDATE of 3 bytes",
            &[frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])],
            Expect::Ends(&[FRAME_SIZE]),
        ),
        case(
            "6.9 WINDOW_UPDATE",
            &[window(0, 1), get(1, "/"), window(1, 1)],
            Expect::Served(1),
        ),
        case(
            "6.9.1 a window above 2^31-1",
            &[window(0, 0x7fff_ffff), window(0, 0x7fff_ffff)],
            Expect::Ends(&[FLOW_CONTROL]),
        ),
        steps(
            "6.9.1 a window above 2^31-1 on a stream",
            vec![
                Step::Send(get(1, "/wait")),
                Step::Settle,
                Step::Send([window(1, 0x7fff_ffff), window(1, 0x7fff_ffff)].concat()),
            ],
            Expect::ResetOrEnds(1, &[FLOW_CONTROL]),
        ),
    ]
}

#[tokio::test]
async fn frames_of_streams_are_what_they_are_defined_as() {
    run(bodies()).await;
}

#[tokio::test]
async fn frames_of_the_connection_are_what_they_are_defined_as() {
    run(connection()).await;
}

#[tokio::test]
async fn an_answer_to_ping_and_settings_comes_at_once() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    client.send(ping(*b"12345678")).await;
    client
        .until("6.7 the answer", |it| it.pongs == [b"12345678"])
        .await;
    let before = client.acknowledged;
    client
        .send([settings(&[(ENABLE_PUSH, 0)]), settings(&[])].concat())
        .await;
    client
        .until("6.5.3 acknowledgements", |it| it.acknowledged == before + 2)
        .await;
}

/// RFC 9113 6.8: what the client has begun ends; nothing is pushed, so there is nothing else to end.
#[tokio::test]
async fn a_client_that_goes_away_gets_what_it_asked_for() {
    let subject = Subject::start().await;
    for code in [NO_ERROR, 0xff] {
        let mut client = Client::connect(subject.address).await;
        client
            .send([get(1, "/"), goaway(0, 0, code)].concat())
            .await;
        let answer = client.ended(1).await;
        assert_eq!(
            (answer.status, answer.body),
            (Some(200), b"ok".to_vec()),
            "7: code {code}"
        );
    }
}

#[tokio::test]
async fn bodies_keep_to_the_windows() {
    let subject = Subject::start().await;
    let kept = |values: &'static [(u16, u32)]| async move {
        let mut client = Client::with(subject.address, values).await;
        client.windows = Windows::Kept;
        client
    };
    // 6.9.1: one byte, then no more until there is room.
    let mut client = kept(&[(INITIAL_WINDOW_SIZE, 1)]).await;
    client.send(get(1, "/ten")).await;
    client
        .until("a byte", |it| it.answer(1).body.len() == 1)
        .await;
    client.settle().await;
    assert_eq!(client.answer(1).pieces, [1]);
    client.send(window(1, 3)).await;
    client
        .until("three more", |it| it.answer(1).body.len() >= 4)
        .await;
    client.settle().await;
    assert_eq!(client.answer(1).body, b"0123");

    // 6.5.3: the last of two values holds.
    let mut client = kept(&[(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)]).await;
    client.send(get(1, "/ten")).await;
    client
        .until("a byte", |it| !it.answer(1).body.is_empty())
        .await;
    client.settle().await;
    assert_eq!(client.answer(1).pieces, [1]);

    // 6.9.2: a change holds for streams that are open; a window may be negative.
    let mut client = kept(&[(INITIAL_WINDOW_SIZE, 0)]).await;
    client.send(get(1, "/ten")).await;
    client
        .until("the head", |it| it.answer(1).status.is_some())
        .await;
    client.settle().await;
    assert!(client.answer(1).body.is_empty());
    client.send(settings(&[(INITIAL_WINDOW_SIZE, 3)])).await;
    client
        .until("three bytes", |it| it.answer(1).body.len() == 3)
        .await;
    client
        .send([settings(&[(INITIAL_WINDOW_SIZE, 2)]), window(1, 2)].concat())
        .await;
    client
        .until("the fourth", |it| it.answer(1).body.len() >= 4)
        .await;
    client.settle().await;
    assert_eq!(client.answer(1).body, b"0123");
    client.send(settings(&[(INITIAL_WINDOW_SIZE, 100)])).await;
    assert_eq!(client.ended(1).await.body, b"0123456789");

    // 6.9: the connection's own window holds across streams; 65,535 at first.
    let mut client = kept(&[(INITIAL_WINDOW_SIZE, 1 << 20)]).await;
    client
        .send([get(1, "/large"), get(3, "/large")].concat())
        .await;
    client
        .until("the window", |it| {
            it.answer(1).body.len() + it.answer(3).body.len() == 65_535
        })
        .await;
    client.settle().await;
    assert_eq!(
        client.answer(1).body.len() + client.answer(3).body.len(),
        65_535
    );
    client.send(window(0, 1 << 20)).await;
    assert_eq!(client.ended(1).await.body.len(), 400_000);
    assert_eq!(client.ended(3).await.body.len(), 400_000);
}

/// RFC 9113 5.2: what a client sends past its window ends the stream or the connection, and is kept nowhere.
#[tokio::test]
async fn more_than_the_window_is_an_error() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    client.send(post(1, "/wait")).await;
    let piece = data(0, 1, &[0; 1 << 14]);
    // Nobody reads at the instance: 64 MiB are more than all windows and buffers.
    for _ in 0..4096 {
        if !client.try_send(&piece).await || !client.goaways.is_empty() {
            break;
        }
    }
    client
        .until("an end", |it| {
            !it.goaways.is_empty() || it.answer(1).reset.is_some()
        })
        .await;
    let code = client
        .goaways
        .last()
        .map(|it| it.1)
        .or(client.answer(1).reset);
    assert!(
        matches!(code, None | Some(FLOW_CONTROL)),
        "{}",
        client.account()
    );
}
