//! TLS of this process's listeners: the certificates of the folder, who shows one to each listener, and the keys of
//! session tickets, which outlive the process.

use crate::listeners::{Listeners, Role};
use anyhow::Context as _;
use minato_config::{ClientAuth, Settings};
use minato_proxy_server::{Listener, Redirect};
use minato_tls::{Acceptor, Certificates, Following, TicketKeys};
use std::net::SocketAddr;
use std::sync::Arc;

/// Everything that is needed to accept TLS.
#[derive(Debug)]
pub(crate) struct Secure {
    pub(crate) certificates: Arc<Certificates>,
    tickets: Arc<TicketKeys>,
    /// By the address in the settings.
    acceptors: Vec<(SocketAddr, Acceptor)>,
    /// For a listener that the settings do not name, which a socket unit passed.
    otherwise: Acceptor,
    redirects: bool,
    _following: Following,
}

impl Secure {
    /// `None` where nothing is served over TLS. `tickets`: exported by the process before, empty where there was none.
    pub(crate) fn open(settings: &Settings, tickets: &[u8]) -> anyhow::Result<Option<Self>> {
        let gateway = &settings.gateway;
        let Some(folder) = gateway.certificates.as_deref() else {
            return Ok(None);
        };
        let certificates = Certificates::open(folder);
        let following = certificates
            .follow()
            .context("no thread for watching the folder of certificates")?;
        let keys = TicketKeys::new()?;
        if !tickets.is_empty()
            && let Err(error) = keys.import(tickets)
        {
            tracing::warn!(%error, "clients of the process before need a full handshake once");
        }
        let acceptor =
            |auth: &ClientAuth| Acceptor::new(Arc::clone(&certificates), Arc::clone(&keys), auth);
        let mut acceptors = Vec::new();
        for listener in &gateway.https {
            let made = acceptor(&listener.client_auth)
                .with_context(|| format!("[gateway] https: {}", listener.listen))?;
            acceptors.push((listener.listen, made));
        }
        Ok(Some(Self {
            otherwise: acceptor(&ClientAuth::None)?,
            acceptors,
            tickets: keys,
            redirects: gateway.redirect && !gateway.https.is_empty(),
            certificates,
            _following: following,
        }))
    }

    /// Where plain requests go that could come encrypted.
    pub(crate) fn redirect(&self, listeners: &Listeners) -> Option<Redirect> {
        let address = *listeners.addresses(Role::Https).first()?;
        self.redirects.then(|| Redirect {
            certificates: Arc::clone(&self.certificates),
            port: address.port(),
        })
    }

    /// The TLS listeners, to accept on.
    pub(crate) fn listeners(&self, all: &Listeners) -> anyhow::Result<Vec<Listener>> {
        let sockets = all.of_asked(Role::Https)?.into_iter();
        let with_acceptor = |(asked, socket)| {
            let own = self.acceptors.iter().find(|it| it.0 == asked);
            let acceptor = own.map_or(&self.otherwise, |it| &it.1);
            Listener::https(socket, acceptor.clone())
        };
        Ok(sockets.map(with_acceptor).collect())
    }

    /// The keys of session tickets, for the process that takes over. Secret.
    pub(crate) fn export_tickets(&self) -> Vec<u8> {
        self.tickets.export().to_vec()
    }
}
