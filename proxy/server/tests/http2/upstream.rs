//! Instances that speak HTTP/2: what they receive, what becomes of their answers, and what is sent again.

use crate::client::Client;
use crate::frame::*;
use crate::link::{Instance, Link, Said};
use crate::setup::{Running, Setup};
use minato_config::UpstreamProtocol;

async fn start(instances: &[&Instance]) -> Running {
    let mut setup = Setup::new();
    setup.service.upstream.protocol = UpstreamProtocol::Http2;
    let addresses: Vec<_> = instances.iter().map(|it| it.address).collect();
    setup.start(&addresses).await
}

fn text(fields: &[(String, String)]) -> Vec<String> {
    let each = fields.iter();
    each.map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

/// Brings a connection up with one request that is answered, so that the next one finds it.
async fn warm(client: &mut Client, instance: &Instance) -> Link {
    client.send(get(1, "/warm")).await;
    let mut link = instance.accept().await;
    let (stream, ..) = link.request().await;
    link.answer(stream, "warm").await;
    assert_eq!(client.ended(1).await.body, b"warm");
    link
}

#[tokio::test]
async fn heads_are_passed_on_and_bodies_with_trailers_both_ways() {
    let instance = Instance::start().await;
    let running = start(&[&instance]).await;
    let mut client = Client::connect(running.address).await;
    let head = [
        request("POST", "/a?b"),
        block(&[
            ("te", "trailers"),
            ("x-test", "1"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
        ]),
    ]
    .concat();
    client
        .send([headers(END_HEADERS, 1, &head), data(0, 1, b"ping")].concat())
        .await;
    let mut link = instance.accept().await;
    let (stream, fields, is_last) = link.request().await;
    assert!(!is_last);
    assert_eq!(
        text(&fields),
        [
            ":method: POST",
            ":scheme: http",
            ":authority: a.test",
            ":path: /a?b",
            "x-test: 1",
            "cookie: a=1; b=2",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-proto: http",
            "x-forwarded-host: a.test",
            "via: 2.0 minato",
            "te: trailers",
        ]
    );
    assert!(matches!(link.said().await, Said::Data { bytes, is_last: false } if bytes == b"ping"));
    // The answer may begin and go on while the request does.
    link.send(headers(
        END_HEADERS,
        stream,
        &block(&[(":status", "200"), ("content-type", "application/grpc")]),
    ))
    .await;
    link.send(data(0, stream, b"pong")).await;
    client
        .until("the first piece", |it| it.answer(1).body == b"pong")
        .await;
    client
        .send(
            [
                data(0, 1, b"more"),
                headers(WHOLE, 1, &block(&[("x-sum", "7")])),
            ]
            .concat(),
        )
        .await;
    assert!(matches!(link.said().await, Said::Data { bytes, is_last: false } if bytes == b"more"));
    let (_, trailers, is_last) = link.request().await;
    assert_eq!(
        (text(&trailers), is_last),
        (vec!["x-sum: 7".to_owned()], true)
    );
    link.send(headers(
        WHOLE,
        stream,
        &block(&[("grpc-status", "0"), ("grpc-message", "")]),
    ))
    .await;
    let answer = client.ended(1).await;
    assert_eq!(
        text(&answer.fields),
        [
            ":status: 200",
            "content-type: application/grpc",
            "via: 2.0 minato"
        ]
    );
    assert_eq!(
        (answer.body.as_slice(), answer.is_ended),
        (&b"pong"[..], true)
    );
    assert_eq!(text(&answer.trailers), ["grpc-status: 0", "grpc-message: "]);
    running.is_at_rest().await;
}

#[tokio::test]
async fn an_answer_of_fields_only_stays_one() {
    let instance = Instance::start().await;
    let running = start(&[&instance]).await;
    let mut client = Client::connect(running.address).await;
    client
        .send([post(1, "/"), data(END_STREAM, 1, b"ping")].concat())
        .await;
    let mut link = instance.accept().await;
    let (stream, ..) = link.request().await;
    link.send(headers(
        WHOLE,
        stream,
        &block(&[(":status", "200"), ("grpc-status", "5")]),
    ))
    .await;
    let answer = client.ended(1).await;
    assert_eq!(answer.field("grpc-status"), Some("5"));
    assert!(answer.is_ended && answer.pieces.is_empty() && answer.trailers.is_empty());
}

#[tokio::test]
async fn clients_of_http1_are_served_too() {
    let instance = Instance::start().await;
    let running = start(&[&instance]).await;
    let mut client = running.client().await;
    client
        .send("POST /x HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE, X-Hop\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nping\r\n0\r\nX-Sum: 7\r\n\r\n")
        .await;
    let mut link = instance.accept().await;
    let (stream, fields, _) = link.request().await;
    let fields = text(&fields);
    assert!(fields.contains(&"te: trailers".to_owned()), "{fields:?}");
    assert!(
        !fields.iter().any(|it| it.starts_with("x-hop")
            || it.starts_with("transfer-encoding")
            || it.starts_with("connection")
            || it.starts_with("host")),
        "{fields:?}"
    );
    assert!(matches!(link.said().await, Said::Data { bytes, .. } if bytes == b"ping"));
    let (_, trailers, is_last) = link.request().await;
    assert_eq!(
        (text(&trailers), is_last),
        (vec!["x-sum: 7".to_owned()], true)
    );
    link.send(headers(
        END_HEADERS,
        stream,
        &block(&[(":status", "103"), ("link", "</a>")]),
    ))
    .await;
    link.send(headers(END_HEADERS, stream, &block(&[(":status", "201")])))
        .await;
    link.send(data(0, stream, b"pong")).await;
    link.send(headers(WHOLE, stream, &block(&[("x-sum", "8")])))
        .await;
    assert!(
        client
            .head()
            .await
            .starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n")
    );
    assert_eq!(
        client.head().await,
        "HTTP/1.1 201 Created\r\nVia: 2.0 minato\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let body = b"4\r\npong\r\n0\r\nx-sum: 8\r\n\r\n";
    assert_eq!(client.bytes(body.len()).await, body);
}

#[tokio::test]
async fn requests_share_one_connection() {
    let instance = Instance::start().await;
    let running = start(&[&instance]).await;
    let mut client = Client::connect(running.address).await;
    let odd = |it: u32| 2 * it + 1;
    client
        .send(
            (0..50)
                .flat_map(|it| get(odd(it), "/"))
                .collect::<Vec<u8>>(),
        )
        .await;
    let mut link = instance.accept().await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(link.request().await.0);
    }
    assert!(instance.is_left_alone().await);
    for stream in streams.into_iter().rev() {
        link.answer(stream, "ok").await;
    }
    for it in 0..50 {
        assert_eq!(client.ended(odd(it)).await.body, b"ok");
    }
    running.is_at_rest().await;
}

/// What an instance says it can bear is kept to; what is above that takes another connection.
#[tokio::test]
async fn the_instances_limit_of_streams_holds() {
    let instance = Instance::start().await;
    let running = start(&[&instance]).await;
    let mut client = Client::connect(running.address).await;
    client.send(get(1, "/")).await;
    let mut first = instance.accept_with(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let (one, ..) = first.request().await;
    first.answer(one, "warm").await;
    assert_eq!(client.ended(1).await.body, b"warm");
    client.send([get(3, "/"), get(5, "/")].concat()).await;
    let (one, ..) = first.request().await;
    let mut second = instance.accept_with(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let (other, ..) = second.request().await;
    second.answer(other, "second").await;
    first.answer(one, "first").await;
    assert_eq!(
        (client.ended(3).await.body, client.ended(5).await.body),
        (b"first".to_vec(), b"second".to_vec())
    );
}

/// RFC 9113 8.7: what an instance refuses unprocessed may be sent again, even a POST.
#[tokio::test]
async fn a_refused_post_is_sent_again() {
    for is_goaway in [false, true] {
        let instance = Instance::start().await;
        let running = start(&[&instance]).await;
        let mut client = Client::connect(running.address).await;
        let mut link = warm(&mut client, &instance).await;
        client.send(headers(WHOLE, 3, &request("POST", "/"))).await;
        let (stream, ..) = link.request().await;
        let mut next = if is_goaway {
            link.send(goaway(0, stream - 2, NO_ERROR)).await;
            instance.accept().await
        } else {
            link.send(reset(stream, REFUSED)).await;
            link
        };
        let (stream, fields, _) = next.request().await;
        assert_eq!(fields[0].1, "POST");
        next.answer(stream, "once").await;
        assert_eq!(client.ended(3).await.body, b"once", "{}", client.account());
        running.is_at_rest().await;
        assert_eq!(running.endpoints[0].failures(), 0);
    }
}

/// On a connection of its own a refusal says something about the instance: it counts, and ends.
#[tokio::test]
async fn an_instance_that_refuses_all_is_given_up() {
    let instance = Instance::start().await;
    let running = start(&[&instance]).await;
    let mut client = Client::connect(running.address).await;
    client.send(headers(WHOLE, 1, &request("POST", "/"))).await;
    let mut link = instance.accept().await;
    let mut refused = 0;
    let refusing = async {
        while let Said::Fields { stream, .. } = link.next().await {
            refused += 1;
            link.send(reset(stream, REFUSED)).await;
        }
    };
    let answered = async { client.ended(1).await };
    let answer = tokio::select! {
        answer = answered => answer,
        () = refusing => panic!("the connection ended"),
    };
    assert_eq!(answer.status, Some(502));
    assert!((1..=3).contains(&refused), "{refused}");
}

/// A POST that may have been executed is never sent twice; a GET may.
#[tokio::test]
async fn what_breaks_is_sent_again_only_if_it_may_be() {
    for (method, is_repeated) in [("POST", false), ("GET", true)] {
        for is_cut in [false, true] {
            let instance = Instance::start().await;
            let running = start(&[&instance]).await;
            let mut client = Client::connect(running.address).await;
            let mut link = warm(&mut client, &instance).await;
            client.send(headers(WHOLE, 3, &request(method, "/"))).await;
            let (stream, ..) = link.request().await;
            let mut kept = None;
            if is_cut {
                drop(link);
            } else {
                link.send(reset(stream, INTERNAL)).await;
                kept = Some(link);
            }
            if is_repeated {
                let mut again = match kept {
                    Some(link) => link,
                    None => instance.accept().await,
                };
                let (stream, ..) = again.request().await;
                again.answer(stream, "again").await;
                assert_eq!(client.ended(3).await.body, b"again", "{method} {is_cut}");
            } else {
                assert_eq!(client.ended(3).await.status, Some(502), "{method} {is_cut}");
                assert!(instance.is_left_alone().await);
            }
            running.is_at_rest().await;
        }
    }
}

#[tokio::test]
async fn answers_that_break_the_rules_are_502() {
    let bad: [(&str, &[(&str, &str)]); 6] = [
        ("connection", &[(":status", "200"), ("connection", "close")]),
        (
            "transfer-encoding",
            &[(":status", "200"), ("transfer-encoding", "chunked")],
        ),
        ("101", &[(":status", "101")]),
        (
            "two lengths",
            &[
                (":status", "200"),
                ("content-length", "2"),
                ("content-length", "3"),
            ],
        ),
        ("no status", &[("x-test", "1")]),
        ("an outer space", &[(":status", "200"), ("x-test", " 1")]),
    ];
    for (what, fields) in bad {
        let instance = Instance::start().await;
        let running = start(&[&instance]).await;
        let mut client = Client::connect(running.address).await;
        client.send(headers(WHOLE, 1, &request("POST", "/"))).await;
        let mut link = instance.accept().await;
        let (stream, ..) = link.request().await;
        link.send(headers(END_HEADERS, stream, &block(fields)))
            .await;
        assert_eq!(client.ended(1).await.status, Some(502), "{what}");
        assert!(client.is_open().await, "{what}");
        running.is_at_rest().await;
    }
}

/// A reset after the head: the client must not take the answer for whole, whichever version it speaks.
#[tokio::test]
async fn an_answer_that_breaks_off_is_cut() {
    let instance = Instance::start().await;
    let running = start(&[&instance]).await;
    let mut client = Client::connect(running.address).await;
    let mut old = running.client().await;
    client.send(get(1, "/")).await;
    let mut link = instance.accept().await;
    let (stream, ..) = link.request().await;
    link.send(
        [
            headers(END_HEADERS, stream, &block(&[(":status", "200")])),
            data(0, stream, b"half"),
        ]
        .concat(),
    )
    .await;
    client
        .until("half", |it| it.answer(1).body == b"half")
        .await;
    link.send(reset(stream, INTERNAL)).await;
    let answer = client.ended(1).await;
    assert_eq!((answer.is_ended, answer.reset), (false, Some(INTERNAL)));

    old.send(crate::setup::GET).await;
    let (stream, ..) = link.request().await;
    link.send(
        [
            headers(END_HEADERS, stream, &block(&[(":status", "200")])),
            data(0, stream, b"half"),
        ]
        .concat(),
    )
    .await;
    assert!(old.head().await.contains("chunked"));
    link.send(reset(stream, INTERNAL)).await;
    let (rest, _) = old.rest().await;
    assert_eq!(rest, b"4\r\nhalf\r\n");
    running.is_at_rest().await;
}

/// A client that goes away takes its request with it, and nobody else's.
#[tokio::test]
async fn a_request_that_is_given_up_is_reset() {
    let instance = Instance::start().await;
    let running = start(&[&instance]).await;
    let mut client = Client::connect(running.address).await;
    client.send([get(1, "/"), get(3, "/")].concat()).await;
    let mut link = instance.accept().await;
    let (first, ..) = link.request().await;
    let (second, ..) = link.request().await;
    client.send(reset(1, CANCEL)).await;
    assert!(matches!(link.said().await, Said::Reset { stream, code: CANCEL } if stream == first));
    link.answer(second, "ok").await;
    assert_eq!(client.ended(3).await.body, b"ok");
    running.is_at_rest().await;
}

/// An instance that is not read from stops the client, and the other way round; nothing is lost.
#[tokio::test]
async fn large_bodies_both_ways() {
    let instance = Instance::start().await;
    let running = start(&[&instance]).await;
    let mut client = Client::connect(running.address).await;
    const SIZE: usize = 3 << 20;
    client.send(post(1, "/")).await;
    let mut link = instance.accept().await;
    let (stream, ..) = link.request().await;
    let answering = async {
        let mut taken = 0;
        while taken < SIZE {
            let Said::Data { bytes, .. } = link.said().await else {
                panic!("no data");
            };
            taken += bytes.len();
        }
        link.answer(stream, &taken.to_string()).await;
        link
    };
    let sending = async {
        for _ in 0..SIZE >> 14 {
            client.send_within_window(1, &[b'x'; 1 << 14]).await;
        }
        client.send(data(END_STREAM, 1, b"")).await;
        client.ended(1).await
    };
    let (answer, _link) = tokio::join!(sending, answering);
    assert_eq!(answer.body, SIZE.to_string().as_bytes());
}

#[tokio::test]
async fn nothing_there_is_the_sorry_page() {
    let instance = Instance::start().await;
    let running = start(&[&instance]).await;
    drop(instance);
    let mut client = Client::connect(running.address).await;
    client
        .send(
            (0..20)
                .flat_map(|it| get(2 * it + 1, "/"))
                .collect::<Vec<u8>>(),
        )
        .await;
    for it in 0..20 {
        assert_eq!(client.ended(2 * it + 1).await.status, Some(503));
    }
    running.is_at_rest().await;
}

/// Where no more connections may be made, requests wait for room in those there are.
#[tokio::test]
async fn the_limit_of_connections_holds() {
    let instance = Instance::start().await;
    let mut setup = Setup::new();
    setup.service.upstream.protocol = UpstreamProtocol::Http2;
    setup.service.limits.connections = 1;
    let running = setup.start(&[instance.address]).await;
    let mut client = Client::connect(running.address).await;
    client.send(get(1, "/")).await;
    let mut link = instance.accept_with(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    let (stream, ..) = link.request().await;
    link.answer(stream, "warm").await;
    client.ended(1).await;
    client.send([get(3, "/"), get(5, "/")].concat()).await;
    for _ in 0..2 {
        let (stream, ..) = link.request().await;
        assert!(instance.is_left_alone().await);
        link.answer(stream, "ok").await;
    }
    assert_eq!(client.ended(3).await.body, b"ok");
    assert_eq!(client.ended(5).await.body, b"ok");
    running.is_at_rest().await;
}
