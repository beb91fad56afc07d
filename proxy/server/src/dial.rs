//! How connections to instances are made: by TCP; in rehearsals (tests and fuzzing) to a script in memory.

use crate::channel::Channel;
#[cfg(any(test, feature = "fuzzing"))]
use crate::memory::Doors;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// What makes them.
#[derive(Debug, Default)]
pub(crate) enum Dial {
    /// The system.
    #[default]
    Tcp,
    /// A script.
    #[cfg(any(test, feature = "fuzzing"))]
    Memory(Doors),
}

impl Dial {
    /// Ready once the instance has taken the connection, or refused it; the caller bounds the time.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<Channel> {
        match self {
            Self::Tcp => {
                let tcp = TcpStream::connect(address).await?;
                let _ = tcp.set_nodelay(true);
                Ok(Channel::Tcp(tcp))
            }
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Memory(doors) => doors.connect(address).await.map(Channel::Memory),
        }
    }
}
