//! That the cuts are real.

use crate::stage::{Afterwards, Case, Stage, onward};

/// Data that arrives in two reads goes on in two chunks, so chunks tell where it was cut.
#[tokio::test]
async fn pieces_are_read_apart() {
    let mut stage = Stage::start().await;
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let sent = format!("{head}A\r\n0123456789\r\n0\r\n\r\n");
    let first = "POST / HTTP/1.1\r\nHost: a.test\r\n";
    let case = Case {
        sent: sent.clone().into_bytes(),
        forwarded: vec![onward(
            first,
            "a.test",
            "Transfer-Encoding: chunked\r\n",
            "A\r\n0123456789\r\n0\r\n\r\n",
        )],
        answers: vec![204],
        afterwards: Afterwards::Open,
    };
    stage.check(&case).await;
    let mut seen = stage.origin.chunks();
    seen.retain(|it| it.len() == 2);
    seen.sort();
    let expected: Vec<_> = (1..10).map(|it| vec![it, 10 - it]).collect();
    assert_eq!(seen, expected);
}
