//! TLS of ours below a client of PostgreSQL.

use minato_config::UpstreamTls;
use minato_tls::{ClientStream, ConnectError, Connector};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// The handshake with one server.
#[derive(Debug)]
pub(super) struct Secured {
    pub(super) tls: UpstreamTls,
    pub(super) address: SocketAddr,
}

/// A connection that it ended with.
#[derive(Debug)]
pub(super) struct Channel(Box<ClientStream>);

impl TlsConnect<TcpStream> for Secured {
    type Stream = Channel;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Channel, ConnectError>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let Self { tls, address } = self;
            let stream = Connector::shared().secure(stream, &tls, address).await?;
            Ok(Channel(Box::new(stream)))
        })
    }
}

impl TlsStream for Channel {
    /// The certificate was checked; that is what binds.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut *self.0), cx, into)
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut *self.0), cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut *self.0), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut *self.0), cx)
    }
}
