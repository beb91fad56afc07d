//! What a service file asks for that no two services may have: routes, a fixed port, and where its redirects and endpoints lead.
//!
//! A file with problems still asks: it is compared with the others so that all problems show at once, and never applied.

use crate::{Backend, Problem, Route, Service, ServiceName};
use std::net::SocketAddr;
use std::path::Path;

/// What one file asks for, with the text, so that problems can name lines.
#[derive(Debug, Clone, Copy)]
pub struct Wants<'a> {
    /// The file as it was named to us.
    pub file: &'a Path,
    /// What stands in it.
    pub text: &'a str,
    /// The service that it describes.
    pub name: &'a ServiceName,
    /// Each pattern once.
    pub routes: &'a [Route],
    /// A fixed port of a command.
    pub port: Option<u16>,
    /// Fixed endpoints.
    pub endpoints: &'a [SocketAddr],
}

impl<'a> Wants<'a> {
    /// Of a file without problems: `service` is what [`crate::parse_service`] made of `text`.
    pub fn of(file: &'a Path, text: &'a str, service: &'a Service) -> Self {
        let (port, endpoints) = match &service.backend {
            Backend::Command(command) => (command.port, [].as_slice()),
            Backend::Endpoints(endpoints) => (None, endpoints.as_slice()),
        };
        Self {
            file,
            text,
            name: &service.name,
            routes: &service.routes,
            port,
            endpoints,
        }
    }
}

/// What could be read of a service file that has problems. Not a service: there is no way to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// In the order of the file; never empty.
    pub problems: Vec<Problem>,
    pub(crate) name: ServiceName,
    pub(crate) routes: Vec<Route>,
    pub(crate) port: Option<u16>,
    pub(crate) endpoints: Vec<SocketAddr>,
}

impl Salvaged {
    /// What the readable part asks for; `file` and `text` are those that it was salvaged from.
    pub fn wants<'a>(&'a self, file: &'a Path, text: &'a str) -> Wants<'a> {
        Wants {
            file,
            text,
            name: &self.name,
            routes: &self.routes,
            port: self.port,
            endpoints: &self.endpoints,
        }
    }
}
