//! What is said to whoever asks. Pure: nothing of a request but its method and its path counts, and nothing that a
//! stranger should not know is in an answer.

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body_util::Full;
use minato_control::entrance::Standing;

/// Whether traffic should come: 200 or 503.
const READY: [&str; 2] = ["/readyz", "/healthz"];
/// Whether the gateway serves, wanted or not: 200 while it is drained, too.
const LIVE: &str = "/livez";

/// The answer to a request. A HEAD is answered as a GET: hyper leaves the body out.
pub(crate) fn answer(method: &Method, path: &str, standing: Standing) -> Response<Full<Bytes>> {
    let (status, text) = match path {
        _ if !matches!(*method, Method::GET | Method::HEAD) => {
            (StatusCode::METHOD_NOT_ALLOWED, "read with GET or HEAD")
        }
        LIVE => (served(standing != Standing::Stuck), standing.word()),
        path if READY.contains(&path) => (served(standing == Standing::Alive), standing.word()),
        _ => (StatusCode::NOT_FOUND, "ask for /readyz or /livez"),
    };
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, http::HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, "text/plain; charset=utf-8");
    set(header::CACHE_CONTROL, "no-store");
    if status == StatusCode::METHOD_NOT_ALLOWED {
        set(header::ALLOW, "GET, HEAD");
    }
    response
}

fn served(is_well: bool) -> StatusCode {
    if is_well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_control::entrance::Leaving;

    #[test]
    fn ready_is_whether_to_come_and_live_is_whether_it_serves() {
        let by_hand = Standing::Draining(Leaving::ByHand);
        let stopping = Standing::Draining(Leaving::Stopping);
        let table = [
            ("GET", "/readyz", Standing::Alive, 200),
            ("HEAD", "/readyz", Standing::Alive, 200),
            ("GET", "/healthz", Standing::Alive, 200),
            ("GET", "/livez", Standing::Alive, 200),
            ("GET", "/readyz", by_hand, 503),
            ("HEAD", "/healthz", stopping, 503),
            ("GET", "/healthz", by_hand, 503),
            ("GET", "/livez", by_hand, 200),
            ("GET", "/livez", stopping, 200),
            ("GET", "/readyz", Standing::Stuck, 503),
            ("GET", "/livez", Standing::Stuck, 503),
            ("GET", "/", Standing::Alive, 404),
            ("GET", "/readyz/", Standing::Alive, 404),
            ("GET", "//readyz", Standing::Alive, 404),
            ("POST", "/readyz", Standing::Alive, 405),
            ("OPTIONS", "/", by_hand, 405),
            ("BREW", "/livez", Standing::Stuck, 405),
        ];
        for (method, path, standing, expected) in table {
            let method = method.parse().unwrap();
            let answer = answer(&method, path, standing);
            assert_eq!(
                answer.status().as_u16(),
                expected,
                "{method} {path} {standing:?}"
            );
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        }
    }
}
