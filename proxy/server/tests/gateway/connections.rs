//! Client connections: keep-alive, pipelining, half-close, resets, slow and idle ones, the cap.

use crate::peer::{Origin, Peer};
use crate::setup::{GET, OK, Running, Setup};
use minato_proxy_server::Deadlines;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let mut client = running.client().await;
    let post = "POST /2 HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let last = "GET /3 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    client
        .send(format!(
            "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n{post}{last}"
        ))
        .await;
    let mut instance = origin.accept().await;
    for number in 1..=3 {
        let head = instance.head().await;
        assert!(
            head.split(' ').nth(1) == Some(&format!("/{number}")),
            "{head}"
        );
        if number == 2 {
            assert_eq!(instance.chunks().await.0, b"hi");
        }
        instance
            .send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}"
            ))
            .await;
    }
    for number in 1..=3 {
        let answer = client.answer().await;
        assert_eq!(answer.text(), number.to_string());
    }
    assert_eq!(client.rest().await, (Vec::new(), true));
}

#[tokio::test]
async fn a_request_that_arrives_while_another_is_answered_waits() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let mut client = running.client().await;
    client.send(GET).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    client.send(GET).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    instance.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    instance.head().await;
    instance.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_client_that_has_sent_its_end_still_gets_its_answer() {
    let origin = Origin::start().await;
    let running = Setup::new().start(&[origin.address]).await;
    let mut client = running.client().await;
    client.send(GET).await;
    client.half_close().await;
    let mut instance = origin.accept().await;
    instance.head().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    instance.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    assert!(client.rest().await.1);
}

#[tokio::test]
async fn a_reset_aborts_the_request_before_and_within_its_answer() {
    for partial in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"] {
        let origin = Origin::start().await;
        let running = Setup::new().start(&[origin.address]).await;
        let mut client = running.client().await;
        client.send(GET).await;
        let mut instance = origin.accept().await;
        instance.head().await;
        instance.send(partial).await;
        if !partial.is_empty() {
            client.head().await;
            client.bytes(4).await;
        }
        client.reset();
        instance.ends().await;
        running.is_at_rest().await;
        assert_eq!(running.endpoints[0].failures(), 0);
        assert_eq!(
            running.metric("minato_http_refused_total{reason=\"client_gone\""),
            1.0
        );
    }
}

#[tokio::test]
async fn close_is_obeyed_wherever_it_is_said() {
    let origin = Origin::start().await.always(OK);
    let running = Setup::new().start(&[origin]).await;
    for fields in [
        "Connection: close\r\n",
        "Connection: x\r\nConnection: y, Close\r\n",
    ] {
        let mut client = running.client().await;
        let answer = client
            .ask(&format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"))
            .await;
        assert_eq!(answer.field("connection"), Some("close"), "{fields}");
        assert_eq!(client.rest().await, (Vec::new(), true));
    }
}

fn short() -> Deadlines {
    Deadlines {
        keep_alive: Duration::from_millis(600),
        head: Duration::from_millis(100),
        idle: Duration::from_millis(200),
        ..Deadlines::default()
    }
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_408() {
    let origin = Origin::start().await;
    let mut setup = Setup::new();
    setup.deadlines = short();
    let running = setup.start(&[origin.address]).await;
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.te").await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.field("connection")),
        (408, Some("close"))
    );
}

#[tokio::test]
async fn a_body_that_stalls_is_408_and_no_failure_of_the_instance() {
    let origin = Origin::start().await;
    let mut setup = Setup::new();
    setup.deadlines = short();
    let running = setup.start(&[origin.address]).await;
    let mut client = running.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nx")
        .await;
    let mut instance = origin.accept().await;
    assert_eq!(client.answer().await.status, 408);
    instance.ends().await;
    assert_eq!(running.endpoints[0].failures(), 0);
}

#[tokio::test]
async fn a_body_that_trickles_is_408() {
    let origin = Origin::start().await;
    let mut setup = Setup::new();
    setup.deadlines.slow = Duration::from_millis(200);
    let running = setup.start(&[origin.address]).await;
    let mut client = running.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 900\r\n\r\n")
        .await;
    let _instance = origin.accept().await;
    let trickle = async {
        while tokio::io::AsyncWriteExt::write_all(&mut client.stream, b"x")
            .await
            .is_ok()
        {
            if tokio::time::timeout(Duration::from_millis(40), client.stream.readable())
                .await
                .is_ok()
            {
                return;
            }
        }
    };
    crate::peer::soon("an answer", trickle).await;
    assert_eq!(client.answer().await.status, 408);
}

/// Between requests the limit is the keep-alive time, not the time of a head, and the end is silent.
#[tokio::test]
async fn an_idle_connection_ends_silently_at_its_limit() {
    let origin = Origin::start().await.always(OK);
    let mut setup = Setup::new();
    setup.deadlines = short();
    let running = setup.start(&[origin]).await;
    let mut client = running.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    let answered = Instant::now();
    assert_eq!(client.rest().await, (Vec::new(), true));
    assert!(
        answered.elapsed() >= Duration::from_millis(500),
        "{:?}",
        answered.elapsed()
    );
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up() {
    let origin = Origin::start().await;
    let mut setup = Setup::new();
    setup.deadlines = short();
    let running = setup.start(&[origin.address]).await;
    let mut client = Peer::connect_narrow(running.address).await;
    client.send(GET).await;
    let mut instance = origin.accept().await;
    instance.head().await;
    instance
        .send("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
        .await;
    let endless = async {
        while tokio::io::AsyncWriteExt::write_all(&mut instance.stream, &[0; 65536])
            .await
            .is_ok()
        {}
    };
    crate::peer::soon("the instance to be let go", endless).await;
    running.is_at_rest().await;
    assert_eq!(running.endpoints[0].failures(), 0);
}

#[tokio::test]
async fn five_hundred_idle_connections_are_no_trouble() {
    let origin = Origin::start().await.always(OK);
    let running = Setup::new().start(&[origin]).await;
    let mut clients = Vec::new();
    for _ in 0..500 {
        let mut client = running.client().await;
        assert_eq!(client.ask(GET).await.status, 200);
        clients.push(client);
    }
    assert_eq!(running.metric("minato_http_connections "), 500.0);
    for client in clients.iter_mut().rev() {
        assert_eq!(client.ask(GET).await.status, 200);
    }
    drop(clients);
    running
        .settles("the gauge to go down", |it| {
            it.metric("minato_http_connections ") == 0.0
        })
        .await;
}

#[tokio::test]
async fn at_the_cap_the_oldest_idle_connection_makes_room() {
    let origin = Origin::start().await.always(OK);
    let mut setup = Setup::new();
    setup.connections = 2;
    let running = setup.start(&[origin]).await;
    let (mut first, mut second) = (running.client().await, running.client().await);
    assert_eq!(first.ask(GET).await.status, 200);
    assert_eq!(second.ask(GET).await.status, 200);
    assert_eq!(running.ask(GET).await.status, 200);
    assert_eq!(first.rest().await, (Vec::new(), true));
    assert_eq!(second.ask(GET).await.status, 200);
}

/// A gateway with room for one connection, whose client waits for its answer, and another client behind it.
pub(crate) struct Crowd {
    pub(crate) running: Running,
    pub(crate) origin: Origin,
    pub(crate) busy: Peer,
    pub(crate) instance: Peer,
    pub(crate) waiting: Peer,
}

impl Crowd {
    pub(crate) async fn gather() -> Self {
        let origin = Origin::start().await;
        let mut setup = Setup::new();
        setup.connections = 1;
        let running = setup.start(&[origin.address]).await;
        let mut busy = running.client().await;
        busy.send(GET).await;
        let mut instance = origin.accept().await;
        instance.head().await;
        let mut waiting = running.client().await;
        waiting.send(GET).await;
        assert!(origin.is_left_alone().await);
        Self {
            running,
            origin,
            busy,
            instance,
            waiting,
        }
    }
}

/// No one idle to send away: the new one waits, and is served when there is room.
#[tokio::test]
async fn at_the_cap_busy_connections_are_left_alone() {
    let Crowd {
        mut busy,
        mut instance,
        mut waiting,
        ..
    } = Crowd::gather().await;
    instance.send(OK).await;
    assert_eq!(busy.answer().await.status, 200);
    instance.head().await;
    instance.send(OK).await;
    assert_eq!(waiting.answer().await.status, 200);
}

/// Its end, seen while the first one is answered, once took the others with it.
#[tokio::test]
async fn requests_sent_before_a_half_close_are_all_answered() {
    let origin = Origin::start().await.always(OK);
    let running = Setup::new().start(&[origin]).await;
    let mut client = running.client().await;
    client.send(GET.repeat(3)).await;
    client.half_close().await;
    for _ in 0..3 {
        assert_eq!(client.answer().await.text(), "ok");
    }
    assert_eq!(client.rest().await, (Vec::new(), true));
}

/// A connection to its instance is not waited for in vain: it can never have the rest of its request.
#[tokio::test]
async fn who_leaves_within_a_request_is_let_go_while_its_instance_does_not_accept() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // The kernel answers no more once these fill its queue.
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 100);
    }
    let running = Setup::new().start(&[address]).await;
    let mut client = running.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nhalf")
        .await;
    running
        .settles("the connection to be there", |it| {
            it.metric("minato_http_connections ") == 1.0
        })
        .await;
    drop(client);
    let began = Instant::now();
    running
        .settles("it to be let go", |it| {
            it.metric("minato_http_connections ") == 0.0
        })
        .await;
    // Connecting may take 3 s.
    assert!(began.elapsed() < Duration::from_secs(2));
}
