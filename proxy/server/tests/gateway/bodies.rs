//! Bodies stream, whole, in both directions; early answers; who may be pooled afterwards.

use crate::peer::{Origin, Peer, field};
use crate::setup::{GET, OK, Running, Setup};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;
use tokio::time::timeout;

async fn one() -> (Origin, Running) {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    (origin, running)
}

/// Sends `request`, has the instance answer `answer`; leaves both ends.
async fn exchange(origin: &Origin, running: &Running, request: &str, answer: &str) -> (Peer, Peer) {
    let mut client = running.client().await;
    client.send(request).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    instance.send(answer).await;
    (client, instance)
}

#[tokio::test]
async fn chunked_bodies_pass_in_both_directions() {
    let (origin, running) = one().await;
    let mut client = running.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await;
    let mut instance = origin.accept().await;
    let head = instance.head().await;
    assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
    assert_eq!(field(&head, "content-length"), None);
    client
        .send("6;x=y\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n")
        .await;
    let trailer = || vec!["X-Sum: 1".to_owned()];
    assert_eq!(
        instance.chunks().await,
        (b"hello world".to_vec(), trailer())
    );
    instance
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n")
        .await;
    instance.send("3\r\nbar\r\n0\r\nX-Sum: 1\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.chunks().await, (b"foobar".to_vec(), trailer()));
}

/// A chunk's size line cut in two makes the parser report an empty piece, which must not go on as the last chunk.
#[tokio::test]
async fn chunk_lines_cut_anywhere_do_not_end_the_body() {
    let (origin, running) = one().await;
    let mut client = running.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let mut instance = origin.accept().await;
    instance.head().await;
    for piece in [
        "4", "\r\n", "wi", "ki\r", "\n5", ";x", "\r", "\npedia", "\r\n0", "\r\n", "\r", "\n",
    ] {
        client.send(piece).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(instance.chunks().await.0, b"wikipedia");
    instance
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    for piece in [
        "4", "\r\n", "wi", "ki\r", "\n5", ";x", "\r", "\npedia", "\r\n0", "\r\n", "\r", "\n",
    ] {
        instance.send(piece).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(client.answer().await.text(), "wikipedia");
}

#[tokio::test]
async fn large_bodies_pass_whole() {
    let (origin, running) = one().await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|it| (it % 251) as u8).collect();
    let mut client = running.client().await;
    let expected = body.clone();
    let echo = tokio::spawn(async move {
        let mut instance = origin.accept().await;
        instance.head().await;
        let got = instance.bytes(3_000_000).await;
        instance
            .send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                got.len()
            ))
            .await;
        instance.send(&got).await;
    });
    client
        .send("PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3000000\r\n\r\n")
        .await;
    client.send(&body).await;
    assert!(client.answer().await.body == expected);
    echo.await.unwrap();
}

/// However a body was moved, nothing is left of it that would look like bytes of an answer nobody asked for.
#[tokio::test]
async fn after_bodies_of_any_length_the_connection_to_the_instance_is_used_again() {
    let (origin, running) = one().await;
    let mut client = running.client().await;
    client.send(GET).await;
    let mut instance = origin.accept().await;
    for length in [10, 65_536, 69_632, 131_072, 500_000, 3_000_000] {
        instance.head().await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let body = "b".repeat(length);
        let (sent, answer) = tokio::join!(
            async {
                instance.send(head).await;
                instance.send(body).await;
            },
            client.answer()
        );
        let () = sent;
        assert_eq!(answer.body.len(), length);
        client.send(GET).await;
    }
    instance.head().await;
    instance.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
    assert!(origin.is_left_alone().await);
}

#[tokio::test]
async fn answers_without_bodies_leave_the_connection_usable() {
    let (origin, running) = one().await;
    let mut client = running.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    let mut instance = origin.accept().await;
    instance.head().await;
    instance
        .send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(field(&head, "content-length"), Some("1000"));
    for (answer, status) in [
        ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: x\r\n\r\n",
            304,
        ),
        (OK, 200),
    ] {
        client.send(GET).await;
        instance.head().await;
        instance.send(answer).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status);
        assert!(
            status != 204 || answer.field("content-length").is_none(),
            "{}",
            answer.head
        );
        assert_eq!(answer.field("connection"), None);
    }
    assert!(origin.is_left_alone().await);
}

#[tokio::test]
async fn an_answer_until_close_becomes_chunked_and_is_not_pooled() {
    let (origin, running) = one().await;
    let (mut client, instance) =
        exchange(&origin, &running, GET, "HTTP/1.0 200 OK\r\n\r\nall of it").await;
    drop(instance);
    assert_eq!(client.answer().await.text(), "all of it");
    client.send(GET).await;
    let mut fresh = origin.accept().await;
    fresh.head().await;
    fresh.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn http_1_0_clients_get_what_they_understand() {
    let (origin, running) = one().await;
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n0\r\n\r\n";
    let (mut client, mut instance) = exchange(
        &origin,
        &running,
        "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n",
        answer,
    )
    .await;
    let answer = client.answer().await;
    assert_eq!(
        (
            answer.field("transfer-encoding"),
            answer.field("connection")
        ),
        (None, Some("close"))
    );
    assert_eq!(answer.text(), "foo");

    let kept = "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n";
    let mut client = running.client().await;
    for _ in 0..2 {
        client.send(kept).await;
        instance.head().await;
        instance.send(OK).await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.text(), answer.field("connection")),
            ("ok", Some("keep-alive"))
        );
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_an_upload_reaches_a_client_that_still_sends() {
    let (origin, running) = one().await;
    let mut client = running.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 50000000\r\n\r\nstart")
        .await;
    let mut instance = origin.accept().await;
    instance.head().await;
    instance
        .send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
        .await;
    // What the client sends until it looks at the answer must not destroy it.
    client.send(vec![b'x'; 30_000]).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text()), (413, "no!"));
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(client.rest().await.1, "closed by a reset");
    instance.ends().await;
    assert_eq!(
        running.ask_origin(&origin).await,
        200,
        "half an exchange went back to the pool"
    );
}

/// The instance reads nothing and its buffers are full: the answer must be found all the same.
#[tokio::test]
async fn an_early_answer_is_found_while_the_upload_is_blocked() {
    let (origin, running) = one().await;
    let mut client = running.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 90000000\r\n\r\n")
        .await;
    let mut instance = origin.accept().await;
    instance.head().await;
    let filled = async {
        loop {
            let write = tokio::io::AsyncWriteExt::write(&mut client.stream, &[0; 65536]);
            match tokio::time::timeout(std::time::Duration::from_millis(300), write).await {
                Ok(written) => assert!(written.unwrap() > 0),
                Err(_) => return,
            }
        }
    };
    crate::peer::soon("full buffers", filled).await;
    // An interim answer is not the end of the upload.
    instance.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.head().await.split(' ').nth(1), Some("100"));
    instance
        .send("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 403);
}

#[tokio::test]
async fn an_instance_that_closes_while_it_is_written_to_has_its_answer_read_first() {
    let (origin, running) = one().await;
    let mut client = running.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n")
        .await;
    let mut instance = origin.accept().await;
    instance.head().await;
    instance
        .send("HTTP/1.1 401 Who\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .await;
    instance.half_close().await;
    client.send(vec![b'x'; 1000]).await;
    assert_eq!(client.answer().await.status, 401);
}

#[tokio::test]
async fn a_piece_of_a_body_does_not_wait_for_the_next() {
    let (origin, running) = one().await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
    let (mut client, mut instance) = exchange(&origin, &running, GET, answer).await;
    client.head().await;
    for piece in ["one", "two"] {
        instance.send(piece).await;
        assert_eq!(client.bytes(3).await, piece.as_bytes());
    }
}

#[tokio::test]
async fn many_small_chunks_arrive_whole() {
    let (origin, running) = one().await;
    let chunks = "1\r\nx\r\n".repeat(50_000);
    let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    let (mut client, _instance) = exchange(&origin, &running, GET, &answer).await;
    assert_eq!(client.answer().await.body.len(), 50_000);
}

#[tokio::test]
async fn a_head_does_not_wait_for_its_body() {
    let (origin, running) = one().await;
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
        let (mut client, _instance) = exchange(&origin, &running, GET, &answer).await;
        assert!(client.head().await.starts_with("HTTP/1.1 200"));
    }
}

impl Running {
    /// A plain GET that must arrive on a new connection of the origin; its status.
    async fn ask_origin(&self, origin: &Origin) -> u16 {
        let mut client = self.client().await;
        client.send(GET).await;
        let mut instance = origin.accept().await;
        instance.head().await;
        instance.send(OK).await;
        client.answer().await.status
    }
}

/// What the kernel would keep for a client that does not read is some MiB; of many such, all that it has.
#[tokio::test]
async fn a_client_that_does_not_read_holds_little_of_an_answer() {
    const MOST: usize = 1024 * 1024;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 * 1024).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(8).unwrap();
    let running = Setup::new().start(&[listener.local_addr().unwrap()]).await;
    let mut client = Peer::connect_narrow(running.address).await;
    client.send(GET).await;
    let (mut instance, _) = listener.accept().await.unwrap();
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n";
    instance.write_all(head).await.unwrap();
    let piece = vec![b'x'; 64 * 1024];
    let mut taken = 0;
    let still = Duration::from_millis(500);
    while let Ok(count) = timeout(still, instance.write(&piece)).await {
        taken += count.unwrap();
        assert!(taken < 50_000_000, "it does not stop");
    }
    assert!(taken < MOST, "{taken} bytes");
}
