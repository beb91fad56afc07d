//! One line of a table: what is sent, and what must come of it.

use crate::client::{Client, Closed, is_turned_away};
use crate::subject::Subject;

/// What a case does.
pub(crate) enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Waits until the server has dealt with them.
    Settle,
    /// Waits for the end of a stream.
    Ended(u32),
}

/// What must come of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expect {
    /// The stream is answered with 200, whole, and the connection goes on.
    Served(u32),
    /// Nothing ends.
    Alive,
    /// The stream is reset with one of these codes, and the connection goes on.
    Reset(u32, &'static [u32]),
    /// The request is malformed: its stream is reset with PROTOCOL_ERROR, behind 400 at most; the connection goes on.
    TurnedAway(u32),
    /// GOAWAY with one of these codes, then the end.
    Ends(&'static [u32]),
    /// Reset or ended, with one of these codes (where the text lets the server choose).
    ResetOrEnds(u32, &'static [u32]),
}

pub(crate) struct Case {
    /// Starts with the section of RFC 9113, or of RFC 7541 as `HPACK`.
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
    pub(crate) expect: Expect,
}

/// One that sends all at once.
pub(crate) fn case(name: &'static str, frames: &[Vec<u8>], expect: Expect) -> Case {
    Case {
        name,
        steps: vec![Step::Send(frames.concat())],
        expect,
    }
}

/// One that waits between its steps.
pub(crate) fn steps(name: &'static str, steps: Vec<Step>, expect: Expect) -> Case {
    Case {
        name,
        steps,
        expect,
    }
}

/// Runs each on a connection of its own, and says all that went wrong at once. A request for `/bad` must not reach the
/// instance, and the gateway must serve others after each.
pub(crate) async fn run(cases: Vec<Case>) {
    let subject = Subject::start().await;
    let mut wrong = Vec::new();
    for case in cases {
        let mut client = Client::connect(subject.address).await;
        for step in case.steps {
            match step {
                Step::Send(bytes) => client.send(bytes).await,
                Step::Settle => client.settle().await,
                Step::Ended(stream) => {
                    client.ended(stream).await;
                }
            }
        }
        if let Err(what) = check(&mut client, case.expect).await {
            wrong.push(format!("{}: {what}; {}", case.name, client.account()));
        }
        drop(client);
        if subject.paths().iter().any(|it| it.starts_with("/bad")) {
            wrong.push(format!("{}: /bad reached the instance", case.name));
            subject.forget();
        }
        if !Client::connect(subject.address).await.is_alive().await {
            wrong.push(format!("{}: others are not served", case.name));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

async fn check(client: &mut Client, expect: Expect) -> Result<(), String> {
    match expect {
        Expect::Alive => alive(client).await,
        Expect::Served(stream) => {
            let answer = client.ended(stream).await;
            is(answer.status == Some(200) && answer.is_ended, "not served")?;
            alive(client).await
        }
        Expect::Reset(stream, codes) => {
            let reset = client.ended(stream).await.reset;
            is(reset.is_some_and(|it| codes.contains(&it)), "not reset so")?;
            alive(client).await
        }
        Expect::TurnedAway(stream) => {
            is(is_turned_away(&client.ended(stream).await), "let through")?;
            alive(client).await
        }
        Expect::Ends(codes) => ended(client, codes).await,
        Expect::ResetOrEnds(stream, codes) => {
            client
                .until("a reset or the end", |it| {
                    it.answer(stream).reset.is_some() || !it.goaways.is_empty()
                })
                .await;
            match client.answer(stream).reset {
                Some(code) if codes.contains(&code) => alive(client).await,
                _ => ended(client, codes).await,
            }
        }
    }
}

async fn alive(client: &mut Client) -> Result<(), String> {
    is(client.is_alive().await, "the connection does not go on")
}

async fn ended(client: &mut Client, codes: &[u32]) -> Result<(), String> {
    let closed = client.end().await;
    let code = client.goaways.last().map(|it| it.1);
    is(code.is_some_and(|it| codes.contains(&it)), "no such GOAWAY")?;
    is(
        closed == Closed::Orderly,
        "a reset may have destroyed the GOAWAY",
    )
}

fn is(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}
