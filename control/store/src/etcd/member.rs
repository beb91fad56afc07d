//! One member of the cluster: its endpoint and the connection to it, made at the first use and again after trouble.

use super::cluster::Cluster;
use super::fault::{Fault, REACH};
use super::once::Once;
use super::options::EtcdOptions;
use crate::StoreError;
use etcd_client::{Channel, Client, ConnectOptions};
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use zeroize::Zeroizing;

/// HTTP/2 pings while calls are open. etcd ends connections that ping more often than every 5 s.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(3);
/// Flow control: a page of a list arrives without waiting for us.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Bytes of a file with a certificate, key or password.
const MOST_FILE: u64 = 1 << 20;
/// Bytes of a password.
const MOST_PASSWORD: usize = 4 << 10;
const FILES: &str = "check the file and who may read it; it is read again for each connection";

/// See the module.
pub(super) struct Member {
    pub(super) endpoint: String,
    client: Mutex<Connection>,
    /// What is not worth saying at every connection.
    warned: AtomicBool,
}

#[derive(Default)]
struct Connection {
    client: Option<Client>,
    /// Counts connections, so that a late failure of an old one does not end its successor.
    number: u64,
}

/// A connection, and which of the member's it is.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) number: u64,
}

impl Member {
    /// [`StoreError::Invalid`] for what is no endpoint.
    pub(super) fn new(endpoint: &str) -> Result<Self, StoreError> {
        let scheme = endpoint.starts_with("http://") || endpoint.starts_with("https://");
        if !scheme || Endpoint::from_shared(endpoint.to_owned()).is_err() {
            return Err(StoreError::Invalid {
                detail: format!(
                    "`{endpoint}` is no endpoint of etcd: write one like https://10.0.0.2:2379"
                ),
            });
        }
        Ok(Self {
            endpoint: endpoint.to_owned(),
            client: Mutex::default(),
            warned: AtomicBool::new(false),
        })
    }

    /// The connection that there is, or a new one, which is asked who it is first. Signing in may wait for the member: bound it from
    /// outside.
    pub(super) async fn connected(&self, cluster: &Cluster) -> Result<Connected, Fault> {
        let mut connection = self.client.lock().await;
        if connection.client.is_none() {
            let client = self.connect(&cluster.options).await?;
            cluster.look_at(&client).await?;
            connection.client = Some(client);
            connection.number += 1;
        }
        match &connection.client {
            Some(client) => Ok(Connected {
                client: client.clone(),
                number: connection.number,
            }),
            None => Err(Fault::away("no connection")),
        }
    }

    /// Forgets connection `number`, if it is still the one: the next call makes another.
    pub(super) async fn forget(&self, number: u64) {
        let mut connection = self.client.lock().await;
        if connection.number == number {
            connection.client = None;
        }
    }

    /// Forgets whatever connection there is.
    pub(super) async fn hang_up(&self) {
        self.client.lock().await.client = None;
    }

    /// A new connection, of which nothing is kept here.
    pub(super) async fn connect(&self, options: &EtcdOptions) -> Result<Client, Fault> {
        let is_tls = self.endpoint.starts_with("https://");
        let mut endpoint = Endpoint::from_shared(self.endpoint.clone())
            .map_err(|error| Fault::refused(error.to_string(), REACH))?
            .connect_timeout(options.attempt)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        if is_tls {
            let tls = tls(options)?;
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|error| Fault::from(etcd_client::Error::TransportError(error)))?;
        }
        let connector = Once::new(options.attempt);
        let channel = Channel::Tonic(endpoint.connect_with_connector_lazy(connector));
        let plain = ConnectOptions::new()
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        let Some(user) = &options.user else {
            return Ok(Client::from_channel(channel, Some(plain)).await?);
        };
        let password = password(&user.password_file)?;
        if !is_tls && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(endpoint = %self.endpoint, "The password goes to the store unencrypted; use https endpoints");
        }
        let signed = plain.clone().with_user(&user.name, password.as_str());
        match Client::from_channel(channel.clone(), Some(signed))
            .await
            .map_err(Fault::from)
        {
            Ok(client) => Ok(client),
            // Like etcd's own clients: who may do everything needs no name.
            Err(Fault::NoUsers) => {
                tracing::warn!(endpoint = %self.endpoint, "The store has no users, so [store] user has no effect: anybody who reaches it may change everything (etcdctl auth enable)");
                Ok(Client::from_channel(channel, Some(plain)).await?)
            }
            Err(fault) => Err(fault),
        }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoint)
    }
}

fn tls(options: &EtcdOptions) -> Result<ClientTlsConfig, Fault> {
    let mut tls = ClientTlsConfig::new();
    tls = match &options.tls.ca {
        Some(path) => tls.ca_certificate(Certificate::from_pem(&*read(path)?)),
        None => tls.with_native_roots(),
    };
    if let Some(it) = &options.tls.identity {
        tls = tls.identity(Identity::from_pem(
            &*read(&it.certificate)?,
            &*read(&it.key)?,
        ));
    }
    Ok(tls)
}

fn password(path: &Path) -> Result<Zeroizing<String>, Fault> {
    let bytes = read(path)?;
    let wrong = |what: &str| Fault::refused(format!("{} {what}", path.display()), FILES);
    if path
        .metadata()
        .is_ok_and(|it| it.permissions().mode() & 0o007 != 0)
    {
        return Err(wrong("can be read by every user (chmod 600)"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() || text.len() > MOST_PASSWORD || text.contains('\n') {
        return Err(wrong("should hold one line, the password"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// A whole small file. Blocks for a moment; it happens once for each connection.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    use std::io::Read as _;
    let failed = |cause: std::io::Error| {
        Fault::refused(format!("{} cannot be read: {cause}", path.display()), FILES)
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MOST_FILE)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_password_is_one_line_that_only_its_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (text, mode, expected) in [
            ("secret\n", 0o600, Some("secret")),
            ("secret\r\n", 0o640, Some("secret")),
            (" with spaces ", 0o400, Some(" with spaces ")),
            ("secret\n", 0o604, None),
            ("", 0o600, None),
            ("\n", 0o600, None),
            ("two\nlines\n", 0o600, None),
        ] {
            let _ = fs::remove_file(&path);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let found = password(&path).ok().map(|it| it.to_string());
            assert_eq!(found.as_deref(), expected, "{text:?} {mode:o}");
        }
        let missing = password(&folder.path().join("none")).unwrap_err();
        let Fault::Refused { detail, .. } = missing else {
            panic!("{missing:?}")
        };
        assert!(detail.contains("none"), "{detail}");
    }

    #[test]
    fn what_is_no_endpoint_is_said() {
        for text in [
            "10.0.0.2:2379",
            "ftp://10.0.0.2",
            "https://",
            "",
            "http://a b",
        ] {
            let error = Member::new(text).unwrap_err().to_string();
            assert!(error.contains("https://10.0.0.2:2379"), "{text}: {error}");
        }
        assert!(Member::new("https://[::1]:2379").is_ok());
    }
}
