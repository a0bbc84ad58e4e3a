//! Accepts connections and shakes hands, many at once but bounded. Not the HTTP/2 above it: tonic serves what comes
//! out.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;

use super::ALPN_H2;
use super::connections::{OverCap, Peer, PeerIo};
use super::identity::{IdentityError, expiries, san_uri};
use super::server::identity_error;
use super::state::{ServerTls, TlsState};

/// Connections that have shaken hands and wait for the server to take them.
const READY_MAX: usize = 64;
/// The first pause after a failed accept, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// The authenticated connections of one listener, in the form that tonic's `serve_with_incoming` takes. It never ends
/// and yields no error; dropping it stops accepting.
#[derive(Debug)]
pub struct Incoming {
    ready: mpsc::Receiver<PeerIo>,
    accepting: JoinHandle<()>,
}

impl Incoming {
    /// Starts to accept, on the current tokio runtime.
    pub fn start(listener: TcpListener, state: Arc<TlsState>) -> Self {
        Self::from_accept(listener, state)
    }

    fn from_accept(source: impl Accept, state: Arc<TlsState>) -> Self {
        let (sender, ready) = mpsc::channel(READY_MAX);
        Self { ready, accepting: tokio::spawn(accept_all(source, state, sender)) }
    }
}

impl Stream for Incoming {
    type Item = io::Result<PeerIo>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(cx).map(|io| io.map(Ok))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Ends the handshakes under way too: they are the task's own.
        self.accepting.abort();
    }
}

/// Where connections come from; a listener, or a test's script.
trait Accept: Send + 'static {
    fn accept(&mut self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    fn accept(&mut self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send {
        TcpListener::accept(self)
    }
}

async fn accept_all(mut source: impl Accept, state: Arc<TlsState>, ready: mpsc::Sender<PeerIo>) {
    let handshakes = Arc::new(Semaphore::new(state.limits().handshakes_max));
    let mut under_way = JoinSet::new();
    let mut pause = BACKOFF.0;
    loop {
        // First the permit: while there is none, connections wait in the kernel's backlog, at no cost to us.
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        while under_way.try_join_next().is_some() {}
        match source.accept().await {
            Ok((tcp, remote)) => {
                pause = BACKOFF.0;
                under_way.spawn(admit(tcp, remote, state.clone(), permit, ready.clone()));
            }
            Err(error) if concerns_one_peer(&error) => tracing::debug!(%error, "a connection ended before its accept"),
            Err(error) => {
                // Out of descriptors or memory: accepting again at once would spin.
                metrics::counter!("waybill_tls_accept_errors_total").increment(1);
                tracing::warn!(%error, pause_ms = pause.as_millis(), "can't accept connections");
                sleep(pause).await;
                pause = (pause * 2).min(BACKOFF.1);
            }
        }
    }
}

/// accept(2) reports errors of the connection that it would have returned; the next one may be well.
fn concerns_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | Interrupted | NetworkUnreachable | TimedOut
    )
}

/// Why a connection was not let in.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("no handshake within the time allowed")]
    TimedOut,
    #[error("handshake: {0}")]
    Handshake(io::Error),
    #[error("the peer does not speak HTTP/2 (ALPN h2)")]
    NotHttp2,
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("{cap} ({system})")]
    OverCap { cap: OverCap, system: Arc<str> },
}

impl From<io::Error> for Refused {
    /// rustls shows a verifier's own reason in Rust's notation only; ours is taken out again.
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref()).and_then(identity_error) {
            Some(identity) => Self::Identity(identity),
            None => Self::Handshake(error),
        }
    }
}

impl Refused {
    /// The metric's label.
    fn outcome(&self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::Handshake(_) | Self::NotHttp2 | Self::Identity(_) => "failed",
            Self::OverCap { cap: OverCap::All, .. } => "over_cap",
            Self::OverCap { cap: OverCap::System, .. } => "over_system_cap",
        }
    }
}

async fn admit(
    tcp: TcpStream,
    remote: SocketAddr,
    state: Arc<TlsState>,
    permit: OwnedSemaphorePermit,
    ready: mpsc::Sender<PeerIo>,
) {
    let outcome = match shake_hands(tcp, remote, &state, state.current()).await {
        Ok(io) => {
            drop(permit);
            tracing::debug!(system = %io.peer().san_uri, connection = io.peer().connection, "connected");
            // Fails only when the server has gone; then the connection goes too.
            let _ = ready.send(io).await;
            "accepted"
        }
        Err(refused) => {
            // A stranger can cause this at will, so it is not worth a line by default. A cap is: it is a known system.
            if matches!(refused, Refused::OverCap { .. }) {
                tracing::warn!(%remote, reason = %refused, "connection refused");
            } else {
                tracing::debug!(%remote, reason = %refused, "connection refused");
            }
            refused.outcome()
        }
    };
    metrics::counter!("waybill_tls_handshakes_total", "outcome" => outcome).increment(1);
}

/// `trusted` is what was current when the handshake began.
async fn shake_hands(
    tcp: TcpStream,
    remote: SocketAddr,
    state: &TlsState,
    trusted: Arc<ServerTls>,
) -> Result<PeerIo, Refused> {
    tcp.set_nodelay(true)?;
    let handshake = TlsAcceptor::from(trusted.config()).accept(tcp);
    let stream = timeout(state.limits().handshake_timeout, handshake).await.map_err(|_| Refused::TimedOut)??;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN_H2) {
        return Err(Refused::NotHttp2);
    }
    let peer = identify(&stream, remote)?;
    let (system, chain) = (peer.san_uri.clone(), peer.chain.clone());
    let registration = state.connections().register(peer).map_err(|cap| Refused::OverCap { cap, system })?;
    state.recheck_if_newer(trusted.generation(), registration.info.connection, &chain);
    Ok(PeerIo::new(stream, registration, state.limits().first_bytes_timeout))
}

fn identify(stream: &TlsStream<TcpStream>, remote: SocketAddr) -> Result<Peer, IdentityError> {
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let own = chain.first().ok_or(IdentityError::NoCertificate)?;
    Ok(Peer { san_uri: san_uri(own)?, expiries: expiries(chain)?, chain: chain.into(), remote })
}

#[cfg(test)]
mod tests;
