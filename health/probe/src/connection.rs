//! The connection of one probe: plain, or TLS where the service speaks it.

use crate::Target;
use minato_health::{Failure, Layer};
use minato_tls::{ClientStream, Connector, Protocol};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// A connection with nothing sent on it yet.
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<ClientStream>),
}

impl Connection {
    /// Does the handshake where there is one. `timeout` is for the words of a failure.
    pub(crate) async fn open(
        tcp: TcpStream,
        target: &Target,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let Some(tls) = &target.tls else {
            return Ok(Self::Plain(tcp));
        };
        let connector = Connector::shared();
        let connect = connector.connect(tcp, tls, target.address, Protocol::Http1);
        match timeout_at(deadline, connect).await {
            Ok(Ok(stream)) => Ok(Self::Tls(Box::new(stream))),
            Ok(Err(error)) => Err(Failure::new(Layer::Tls, error.to_string())),
            Err(_) => Err(Failure::new(
                Layer::Tls,
                format!("no handshake in {timeout:?}"),
            )),
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// 0 where the peer has ended its side in order.
    pub(crate) async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(into).await,
            Self::Tls(stream) => stream.read_buf(into).await,
        }
    }

    /// Makes the coming close a reset, which leaves nothing in TIME_WAIT.
    pub(crate) fn reset(&self) {
        let tcp = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.io(),
        };
        let _ = tcp.set_zero_linger();
    }
}
