//! The client's side of mutual TLS: the CLI, the demo, tests and the bench connect with it. Not the server's
//! (`server`).

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::{AlertDescription, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::files::{LoadError, trust};
use super::pem::{read_certificates, read_key};
use super::{ALPN_H2, Clock, ClockProvider, identity, provider};

/// A connection that is not up by then has failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server of HTTP/2 speaks first. One that has not by then may do so later.
const FIRST_WORD_WAIT: Duration = Duration::from_secs(2);
/// HTTP/2 pings find a peer that went without a word, also while no call is under way: deliveries wait idle for hours.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
/// Of an `https` address without a port.
const DEFAULT_PORT: u16 = 443;

/// Where a system's certificates are.
#[derive(Debug, Clone)]
pub struct ClientFiles {
    /// The CA of the hub's certificate.
    pub ca: PathBuf,
    /// The system's certificate, then the intermediates that lead to its root.
    pub certificate: PathBuf,
    /// The private key of `certificate`.
    pub key: PathBuf,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not `https://host[:port]`.
    #[error("not an address of the form https://host:port: {address}")]
    Address {
        /// What was given.
        address: String,
    },
    /// The connection or its handshake failed.
    #[error("no connection to {address}: {reason}")]
    Failed {
        /// Whereto.
        address: String,
        /// The innermost cause.
        reason: String,
        /// What of the set-up it lies in; nothing, if it may pass.
        misfit: Option<Misfit>,
    },
}

/// What of the set-up keeps hub and system apart, however often they try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// The hub's certificate does not have the name that was dialled.
    HubName,
    /// The hub's certificate is of another CA.
    HubIssuer,
    /// The hub's certificate does not hold for some other reason.
    HubCertificate,
    /// Whoever is there speaks no TLS, or not as a hub does.
    Protocol,
    /// The hub did not accept our certificate.
    OwnCertificate,
}

/// By which a server says that it does not accept a client's certificate.
const NOT_ACCEPTED: [AlertDescription; 9] = [
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
    AlertDescription::CertificateRequired,
    AlertDescription::NoCertificate,
];
/// By which a server says that it speaks otherwise.
const NOT_SPOKEN: [AlertDescription; 3] =
    [AlertDescription::HandshakeFailure, AlertDescription::ProtocolVersion, AlertDescription::NoApplicationProtocol];

/// What of the set-up an error of a connection lies in, wherever in its chain that stands. Nothing, if it may pass.
pub fn misfit(error: &(dyn Error + 'static)) -> Option<Misfit> {
    let mut next = Some(error);
    while let Some(error) = next {
        let found = error.downcast_ref().map_or_else(|| told_misfit(&error.to_string()), tls_misfit);
        // An `io::Error` names as its source what lies below the error that it was made of.
        let io = error.downcast_ref::<io::Error>();
        let found = found.or_else(|| io.filter(|io| io.kind() == io::ErrorKind::Unsupported).map(|_| Misfit::Protocol));
        let inner = || io.and_then(io::Error::get_ref).and_then(|inner| misfit(inner));
        if let Some(found) = found.or_else(inner) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn tls_misfit(error: &rustls::Error) -> Option<Misfit> {
    use rustls::{CertificateError as Certificate, Error};
    Some(match error {
        Error::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
            Misfit::HubName
        }
        Error::InvalidCertificate(Certificate::UnknownIssuer) => Misfit::HubIssuer,
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Misfit::HubCertificate,
        Error::InvalidMessage(_) | Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Misfit::Protocol,
        Error::AlertReceived(alert) if NOT_ACCEPTED.contains(alert) => Misfit::OwnCertificate,
        Error::AlertReceived(alert) if NOT_SPOKEN.contains(alert) => Misfit::Protocol,
        _ => return None,
    })
}

/// HTTP/2 hands on the text of an alert that ends its connection, not the error.
fn told_misfit(text: &str) -> Option<Misfit> {
    let is_told = |alert: &AlertDescription| text == rustls::Error::AlertReceived(*alert).to_string();
    NOT_ACCEPTED.iter().any(is_told).then_some(Misfit::OwnCertificate)
}

/// A system's side of the handshake.
#[derive(Debug, Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
}

impl ClientTls {
    /// Reads the files. The hub must show a certificate of `ca` for the DNS name or IP address that is dialled.
    pub fn load(files: &ClientFiles, clock: &Clock) -> Result<Self, LoadError> {
        let roots = trust(&files.ca, &read_certificates(&files.ca)?)?;
        let chain = read_certificates(&files.certificate)?;
        let key = read_key(&files.key)?;
        let refused =
            |path: &Path, error: rustls::Error| LoadError::Refused { path: path.to_owned(), reason: error.to_string() };
        let mut config = ClientConfig::builder_with_details(provider(), Arc::new(ClockProvider(clock.clone())))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| refused(&files.ca, error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|source| LoadError::Key {
                key: files.key.clone(),
                certificate: files.certificate.clone(),
                source,
            })?;
        config.alpn_protocols = vec![ALPN_H2.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config) })
    }

    /// For those who don't speak gRPC, and for tests that look into the handshake.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    async fn dial(self, uri: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let (host, name) = server_name(&uri).ok_or(io::ErrorKind::InvalidInput)?;
        let tcp = TcpStream::connect((host, uri.port_u16().unwrap_or(DEFAULT_PORT))).await?;
        tcp.set_nodelay(true)?;
        let stream = TlsConnector::from(self.config).connect(name, tcp).await?;
        if stream.get_ref().1.alpn_protocol() != Some(ALPN_H2) {
            let told = "the server does not speak HTTP/2 (ALPN h2)";
            return Err(io::Error::new(io::ErrorKind::Unsupported, told));
        }
        Ok(TokioIo::new(stream))
    }

    /// Dials, and waits for the server's first word, or for why there is none.
    async fn dial_and_hear(self, uri: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let mut stream = self.dial(uri).await?;
        match tokio::time::timeout(FIRST_WORD_WAIT, stream.inner_mut().fill_buf()).await {
            Ok(Ok([])) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed it at once")),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) => Ok(stream),
        }
    }
}

/// The CN of the first certificate in a file, if it has one: a client of Kafka is known by it, nobody else is.
pub fn common_name(certificate: &Path) -> Result<Option<String>, LoadError> {
    let chain = read_certificates(certificate)?;
    // The file has at least one, and what it has was read as certificates.
    Ok(chain.first().and_then(|first| identity::common_name(first).ok().flatten()))
}

/// The host as it is dialled, and as the server's certificate must name it. IPv6 stands in brackets in a URI only.
fn server_name(uri: &Uri) -> Option<(&str, ServerName<'static>)> {
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some((host, ServerName::try_from(host).ok()?.to_owned()))
}

/// The hub at `https://host:port`, with our time-outs and keepalive; the caller may set more (windows, a deadline).
pub fn endpoint(address: &str) -> Result<Endpoint, ConnectError> {
    let wrong = || ConnectError::Address { address: address.to_owned() };
    let uri: Uri = address.parse().map_err(|_| wrong())?;
    if uri.scheme_str() != Some("https") || server_name(&uri).is_none() {
        return Err(wrong());
    }
    Ok(Endpoint::from(uri)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1)
        .keep_alive_while_idle(true))
}

/// Connects; the channel connects again by itself when the connection is lost. A hub that refuses our certificate
/// says so only after this has returned (TLS 1.3), so it shows at the first call.
pub async fn connect(endpoint: &Endpoint, tls: &ClientTls) -> Result<Channel, ConnectError> {
    let tls = tls.clone();
    let dial = tower::service_fn(move |uri| tls.clone().dial(uri));
    endpoint.connect_with_connector(dial).await.map_err(|error| failed(endpoint, &error))
}

/// As [`connect`], but returns when the hub has spoken: that it refuses our certificate shows here and now. Whoever calls
/// first would often see no more than a broken pipe.
pub async fn connect_and_hear(endpoint: &Endpoint, tls: &ClientTls) -> Result<Channel, ConnectError> {
    let tls = tls.clone();
    let dial = tower::service_fn(move |uri| tls.clone().dial_and_hear(uri));
    endpoint.connect_with_connector(dial).await.map_err(|error| failed(endpoint, &error))
}

fn failed(endpoint: &Endpoint, error: &(dyn Error + 'static)) -> ConnectError {
    ConnectError::Failed { address: endpoint.uri().to_string(), reason: innermost(error), misfit: misfit(error) }
}

/// tonic's own message is "transport error"; what happened stands at the end of the chain.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_with_a_name_or_an_ip_address() {
        for good in ["https://hub.example", "https://127.0.0.1:7443", "https://[::1]:7443"] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in ["http://hub.example", "hub.example:7443", "https://", "https://a_b c", ""] {
            assert!(matches!(endpoint(bad), Err(ConnectError::Address { .. })), "{bad}");
        }
    }

    #[test]
    fn brackets_belong_to_the_uri_and_not_to_the_name() {
        let uri: Uri = "https://[::1]:7443".parse().unwrap();
        let (host, name) = server_name(&uri).unwrap();
        assert_eq!(host, "::1");
        assert!(matches!(name, ServerName::IpAddress(_)));
    }
}
