//! The client's side of mutual TLS: the CLI, the demo, tests and the bench connect with it. Not the server's
//! (`server`).

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::files::{LoadError, trust};
use super::pem::{read_certificates, read_key};
use super::{ALPN_H2, Clock, ClockProvider, identity, provider};

/// A connection that is not up by then has failed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
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
    },
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
            return Err(io::Error::other("the server does not speak HTTP/2 (ALPN h2)"));
        }
        Ok(TokioIo::new(stream))
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
    endpoint
        .connect_with_connector(tower::service_fn(move |uri| tls.clone().dial(uri)))
        .await
        .map_err(|error| ConnectError::Failed { address: endpoint.uri().to_string(), reason: innermost(&error) })
}

/// As [`connect`], but dials at the first call.
pub fn connect_lazy(endpoint: &Endpoint, tls: &ClientTls) -> Channel {
    let tls = tls.clone();
    endpoint.connect_with_connector_lazy(tower::service_fn(move |uri| tls.clone().dial(uri)))
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
