//! The h2 crate as a client: whatever its windows, and however many requests at once, it hears what was said and is heard.

use crate::client::PATIENCE;
use crate::subject::Subject;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Method, Request};
use std::future::poll_fn;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connections, each with another window, and requests on each.
const WINDOWS: [u32; 5] = [1, 700, 16_384, 65_535, 1 << 20];
const REQUESTS: u64 = 40;

async fn connect(address: SocketAddr, window: u32) -> SendRequest<Bytes> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut builder = Builder::new();
    builder.initial_window_size(window);
    let (client, connection) = builder.handshake(tcp).await.unwrap();
    tokio::spawn(async move {
        // Its end is the test's.
        let _ = connection.await;
    });
    client
}

/// Asks for `path` with so many octets of a body, in pieces of random sizes.
async fn ask(
    client: SendRequest<Bytes>,
    path: &str,
    length: usize,
    seed: u64,
) -> (u16, Vec<u8>, Option<HeaderMap>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let request = Request::builder()
        .method(if length > 0 {
            Method::POST
        } else {
            Method::GET
        })
        .uri(format!("http://a.test{path}"))
        .header("x-seed", seed)
        .header("content-length", length);
    let mut client = client.ready().await.unwrap();
    let (answer, mut body) = client
        .send_request(request.body(()).unwrap(), length == 0)
        .unwrap();
    let mut left = length;
    while left > 0 {
        body.reserve_capacity(left.min(random.usize(1..20_000)));
        let room = poll_fn(|context| body.poll_capacity(context)).await;
        let piece = room.unwrap().unwrap().min(left);
        left -= piece;
        let bytes = vec![b'u'; piece];
        body.send_data(bytes.into(), left == 0).unwrap();
    }
    let answer = answer.await.unwrap();
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    let mut heard = Vec::new();
    while let Some(bytes) = body.data().await {
        let bytes = bytes.unwrap();
        heard.extend_from_slice(&bytes);
        body.flow_control().release_capacity(bytes.len()).unwrap();
    }
    (status, heard, body.trailers().await.unwrap())
}

async fn one(client: SendRequest<Bytes>, window: u32, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let is_narrow = window < 1000;
    match random.u8(..4) {
        0 if !is_narrow => {
            let (status, body, _) = ask(client, "/large", 0, seed).await;
            assert_eq!((status, body.len()), (200, 400_000));
        }
        1 => {
            let length = random.usize(1..300_000);
            let (status, body, _) = ask(client, "/taken", length, seed).await;
            assert_eq!((status, body), (200, length.to_string().into_bytes()));
        }
        2 => {
            let (status, body, trailers) = ask(client, "/trailers", 0, seed).await;
            assert_eq!((status, &body[..]), (200, &b"ok"[..]));
            assert_eq!(trailers.unwrap()["x-sum"], "7");
        }
        _ => {
            let (status, body, trailers) = ask(client, "/ten", 0, seed).await;
            assert_eq!((status, &body[..]), (200, &b"0123456789"[..]));
            assert!(trailers.is_none());
        }
    }
}

#[tokio::test]
async fn another_client_hears_what_was_said() {
    let subject = Subject::start().await;
    for (number, window) in (0..).zip(WINDOWS) {
        let client = connect(subject.address, window).await;
        let all = (0..REQUESTS).map(|it| {
            let one = one(client.clone(), window, 1000 * number + it);
            tokio::spawn(one)
        });
        for one in all.collect::<Vec<_>>() {
            let ended = timeout(6 * PATIENCE, one).await;
            ended.expect("it takes too long").unwrap();
        }
    }
    assert_eq!(subject.captured().len() as u64, 5 * REQUESTS);
}
