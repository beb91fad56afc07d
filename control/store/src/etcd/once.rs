//! A connector for one connection. The transport would make another by itself where one ends, and go on with whoever answers
//! there by then; here its end is an error, and the next connection is looked at like the first.

use hyper_util::client::legacy::connect::HttpConnector;
use std::error::Error;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;

type Failed = Box<dyn Error + Send + Sync>;
type Connected = <HttpConnector as Service<Uri>>::Response;

/// See the module.
pub(super) struct Once {
    inner: HttpConnector,
    used: bool,
}

impl Once {
    /// `limit`: of one connection attempt.
    pub(super) fn new(limit: Duration) -> Self {
        let mut inner = HttpConnector::new();
        inner.enforce_http(false);
        inner.set_nodelay(true);
        inner.set_connect_timeout(Some(limit));
        Self { inner, used: false }
    }
}

impl Service<Uri> for Once {
    type Response = Connected;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Connected, Failed>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if std::mem::replace(&mut self.used, true) {
            return Box::pin(ready(Err("the connection has ended".into())));
        }
        let connecting = self.inner.call(uri);
        Box::pin(async move { Ok(connecting.await?) })
    }
}
