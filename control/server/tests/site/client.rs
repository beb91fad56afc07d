//! A real HTTP client, and raw bytes where a client would be too polite.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_str(&self.body) {
            Ok(it) => it,
            Err(error) => panic!("{error}: {}", self.body),
        }
    }
}

/// Sends a request with the right Host and hands back the answer with its body unread.
pub async fn open(
    to: SocketAddr,
    request: http::request::Builder,
    body: String,
) -> http::Response<Incoming> {
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = request
        .header("host", to.to_string())
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    send.send_request(request).await.unwrap()
}

async fn whole(response: http::Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

pub async fn get(to: SocketAddr, path: &str) -> Answer {
    let request = http::Request::get(path);
    whole(open(to, request, String::new()).await).await
}

pub async fn post(to: SocketAddr, path: &str, body: &str) -> Answer {
    let request = http::Request::post(path).header("content-type", "application/json");
    whole(open(to, request, body.to_owned()).await).await
}

/// Sends these bytes and reads until the other side closes.
pub async fn raw(to: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}
