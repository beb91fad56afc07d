//! RFC 9113 5: the states of streams, their numbers, how many at once.

use crate::case::{Case, Expect, Step, case, run, steps};
use crate::client::Client;
use crate::frame::*;
use crate::subject::Subject;

/// What comes on a stream that is over on the client's side. Either scope: the text changed between RFC 7540 and 9113.
fn over(name: &'static str, before: Vec<Step>, late: Vec<u8>) -> Case {
    let mut all = before;
    all.push(Step::Send(late));
    steps(name, all, Expect::ResetOrEnds(1, &[CLOSED]))
}

fn states() -> Vec<Case> {
    let waiting = || vec![Step::Send(get(1, "/wait")), Step::Settle];
    let reset_by_us = || {
        vec![
            Step::Send([post(1, "/wait"), reset(1, CANCEL)].concat()),
            Step::Settle,
        ]
    };
    let whole = || vec![Step::Send(get(1, "/")), Step::Ended(1), Step::Settle];
    let fragment = || continuation(END_HEADERS, 1, &block(&[("x-test", "1")]));
    let ends = |name, mut before: Vec<Step>, late, codes| {
        before.push(Step::Send(late));
        steps(name, before, Expect::Ends(codes))
    };
    vec![
        case(
            "5.1 idle: DATA",
            &[data(END_STREAM, 1, b"test")],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "5.1 idle: RST_STREAM",
            &[reset(1, CANCEL)],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "5.1 idle: WINDOW_UPDATE",
            &[window(1, 100)],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "5.1 idle: CONTINUATION",
            &[continuation(END_HEADERS, 1, &request("GET", "/bad"))],
            Expect::Ends(&[PROTOCOL]),
        ),
        case(
            "5.1 idle: PRIORITY",
            &[priority(1, 0), get(1, "/")],
            Expect::Served(1),
        ),
        over(
            "5.1 half-closed: DATA",
            waiting(),
            data(END_STREAM, 1, b"test"),
        ),
        over("5.1 half-closed: HEADERS", waiting(), get(1, "/bad")),
        ends(
            "5.1 half-closed: CONTINUATION",
            waiting(),
            fragment(),
            &[PROTOCOL, CLOSED],
        ),
        steps(
            "5.1 half-closed: WINDOW_UPDATE, PRIORITY",
            vec![Step::Send(
                [get(1, "/"), window(1, 100), priority(1, 0)].concat(),
            )],
            Expect::Served(1),
        ),
        steps(
            "5.1 half-closed: RST_STREAM",
            vec![
                Step::Send([get(1, "/wait"), reset(1, CANCEL)].concat()),
                Step::Settle,
            ],
            Expect::Alive,
        ),
        over(
            "5.1 reset by the client: DATA",
            reset_by_us(),
            data(END_STREAM, 1, b"test"),
        ),
        over(
            "5.1 reset by the client: HEADERS",
            reset_by_us(),
            get(1, "/bad"),
        ),
        ends(
            "5.1 reset by the client: CONTINUATION",
            reset_by_us(),
            fragment(),
            &[PROTOCOL, CLOSED],
        ),
        over("5.1 closed: DATA", whole(), data(END_STREAM, 1, b"test")),
        over("5.1 closed: HEADERS", whole(), get(1, "/bad")),
        ends(
            "5.1 closed: CONTINUATION",
            whole(),
            fragment(),
            &[PROTOCOL, CLOSED],
        ),
        steps(
            "5.1 closed: PRIORITY",
            vec![
                Step::Send(get(1, "/")),
                Step::Ended(1),
                Step::Send(priority(1, 0)),
            ],
            Expect::Alive,
        ),
        steps(
            "5.1 closed: WINDOW_UPDATE and RST_STREAM a moment late",
            vec![
                Step::Send(get(1, "/")),
                Step::Ended(1),
                Step::Send([window(1, 5), reset(1, CANCEL)].concat()),
            ],
            Expect::Alive,
        ),
        case(
            "5.1.1 an even number",
            &[get(2, "/bad")],
            Expect::Ends(&[PROTOCOL]),
        ),
        steps(
            "5.1.1 a number below one that was used",
            vec![
                Step::Send(get(5, "/")),
                Step::Ended(5),
                Step::Send(get(3, "/bad")),
            ],
            // A stream that was skipped is closed from then on.
            Expect::Ends(&[PROTOCOL, CLOSED]),
        ),
        // The priorities of RFC 7540 are gone; who still refuses the loop is right, who ignores it too.
        case(
            "5.3.1 HEADERS that depend on themselves",
            &[headers(
                WHOLE | WEIGHTED,
                1,
                &[&1_u32.to_be_bytes()[..], &[255], &request("GET", "/bad")].concat(),
            )],
            Expect::Reset(1, &[PROTOCOL]),
        ),
        case(
            "5.3.1 PRIORITY that depends on itself",
            &[priority(2, 2)],
            // No stream is there that could be reset (6.4).
            Expect::Ends(&[PROTOCOL]),
        ),
    ]
}

#[tokio::test]
async fn each_state_takes_what_it_may() {
    run(states()).await;
}

#[tokio::test]
async fn streams_past_the_limit_are_refused() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    let most = client.settings[&MAX_CONCURRENT_STREAMS];
    // The last is one too many (5.1.2).
    let all: Vec<u8> = (0..=most).flat_map(|it| get(1 + 2 * it, "/wait")).collect();
    client.send(all).await;
    let last = client.ended(1 + 2 * most).await;
    assert_eq!(last.reset, Some(REFUSED), "{last:?}");
    client.settle().await;
    assert_eq!(client.answers.len(), 1, "{}", client.account());
    // Each that is given up makes room.
    client.send(reset(1, CANCEL)).await;
    assert_eq!(client.get(3 + 2 * most, "/").await.status, Some(200));
}

#[tokio::test]
async fn the_highest_number_is_one() {
    let subject = Subject::start().await;
    let mut client = Client::connect(subject.address).await;
    assert_eq!(
        client.get(0x7fff_ffff, "/").await.status,
        Some(200),
        "5.1.1"
    );
}
