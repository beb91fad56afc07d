//! Why there is no TLS connection to an instance, in words for a health event.

use crate::authorities::AuthoritiesError;
use rustls::{CertificateError, Error};
use std::io::{self, ErrorKind};

/// A handshake with an instance that did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Ours: nobody can be checked.
    #[error("no authorities to check it with: {0}")]
    Authorities(#[from] AuthoritiesError),
    /// Ours: `sni` is no DNS name.
    #[error("`{0}` is no DNS name")]
    NoName(String),
    /// No authority that is believed signed it.
    #[error("certificate of an unknown issuer; name its authority with tls.ca")]
    UnknownIssuer,
    /// It is another's.
    #[error("certificate for another name: {0}")]
    WrongName(String),
    /// Its time is over.
    #[error("certificate has expired")]
    Expired,
    /// Its time has not begun.
    #[error("certificate is not valid yet")]
    NotYetValid,
    /// Anything else about the certificate.
    #[error("certificate refused: {0}")]
    Certificate(CertificateError),
    /// The instance speaks TLS, but not HTTP/2.
    #[error("no HTTP/2: the instance did not choose `h2` by ALPN")]
    NoHttp2,
    /// The protocol, or an alert of the instance.
    #[error("handshake failed: {0}")]
    Handshake(Error),
    /// The instance does not speak TLS at all.
    #[error("the instance does not speak TLS")]
    NotTls,
    /// It closed the connection.
    #[error("connection closed during the handshake")]
    Closed,
    /// The socket.
    #[error("connection broke during the handshake: {0}")]
    Io(io::Error),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::UnexpectedEof {
            return Self::Closed;
        }
        match error.downcast::<Error>() {
            Ok(Error::InvalidCertificate(it)) => it.into(),
            Ok(Error::InvalidMessage(
                rustls::InvalidMessage::InvalidContentType
                | rustls::InvalidMessage::UnknownProtocolVersion,
            )) => Self::NotTls,
            Ok(error) => Self::Handshake(error),
            Err(error) => Self::Io(error),
        }
    }
}

impl From<CertificateError> for ConnectError {
    fn from(error: CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName(error.to_string())
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            other => Self::Certificate(other),
        }
    }
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Io(error) => error,
            ConnectError::Closed => Self::new(ErrorKind::UnexpectedEof, error),
            other => Self::new(ErrorKind::InvalidData, other),
        }
    }
}
