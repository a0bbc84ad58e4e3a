//! The live connections: who each is, until when its certificates last, and how to close it. Not why (`state`).

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::TlsLimits;

/// How HTTP/2 begins: RFC 9113, section 3.4.
const PREFACE_BYTES: usize = 24;

/// Whose connection it is; tonic puts it among the extensions of each request.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// The URI that names the system, from its certificate.
    pub san_uri: Arc<str>,
    /// Numbers the connection within this process, for logs.
    pub connection: u64,
    /// Where it came from.
    pub remote: SocketAddr,
}

/// Ends a connection from outside: both directions fail from then on, and whoever waits on one is woken.
#[derive(Debug, Default)]
struct Closer {
    closed: AtomicBool,
    read: AtomicWaker,
    write: AtomicWaker,
}

impl Closer {
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.read.wake();
        self.write.wake();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct Live {
    san_uri: Arc<str>,
    chain: Arc<[CertificateDer<'static>]>,
    /// Ends of validity that have not been looked at yet, earliest first.
    expiries: Vec<UnixTime>,
    closer: Arc<Closer>,
}

/// Why one more connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum OverCap {
    #[error("the hub has as many connections as it takes")]
    All,
    #[error("the system has as many connections as it may")]
    System,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    live: HashMap<u64, Live>,
    per_system: HashMap<Arc<str>, usize>,
}

/// The registry of live connections.
#[derive(Debug)]
pub(super) struct Connections {
    table: Mutex<Table>,
    all_max: usize,
    per_system_max: usize,
}

/// What is known of a peer when its handshake has ended.
pub(super) struct Peer {
    pub(super) san_uri: Arc<str>,
    pub(super) chain: Arc<[CertificateDer<'static>]>,
    pub(super) expiries: Vec<UnixTime>,
    pub(super) remote: SocketAddr,
}

impl Connections {
    pub(super) fn new(limits: &TlsLimits) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            all_max: limits.connections_max,
            per_system_max: limits.connections_per_system_max,
        })
    }

    /// Counts the connection in, or says which cap forbids it.
    pub(super) fn register(self: &Arc<Self>, peer: Peer) -> Result<Registration, OverCap> {
        let Peer { san_uri, chain, expiries, remote } = peer;
        let closer = Arc::new(Closer::default());
        let mut table = self.table.lock();
        if table.live.len() >= self.all_max {
            return Err(OverCap::All);
        }
        let of_system = table.per_system.get(&san_uri).copied().unwrap_or(0);
        if of_system >= self.per_system_max {
            return Err(OverCap::System);
        }
        let id = table.next;
        table.next += 1;
        table.per_system.insert(san_uri.clone(), of_system + 1);
        table.live.insert(id, Live { san_uri: san_uri.clone(), chain, expiries, closer: closer.clone() });
        metrics::gauge!("waybill_tls_connections").set(table.live.len() as f64);
        let info = PeerInfo { san_uri, connection: id, remote };
        Ok(Registration { connections: self.clone(), closer, info })
    }

    fn deregister(&self, id: u64) {
        let mut table = self.table.lock();
        let Some(live) = table.live.remove(&id) else { return };
        metrics::gauge!("waybill_tls_connections").set(table.live.len() as f64);
        if let Some(of_system) = table.per_system.get_mut(&live.san_uri) {
            *of_system -= 1;
            if *of_system == 0 {
                table.per_system.remove(&live.san_uri);
            }
        }
    }

    /// Open connections.
    pub(super) fn count(&self) -> usize {
        self.table.lock().live.len()
    }

    /// Every connection with its chain.
    pub(super) fn all(&self) -> Vec<(u64, Arc<[CertificateDer<'static>]>)> {
        self.table.lock().live.iter().map(|(id, live)| (*id, live.chain.clone())).collect()
    }

    /// The connections of which a certificate has ended since they were last asked for here. A chain may hold a
    /// certificate that it does not need, so an end is a reason to look again, not yet to close.
    pub(super) fn take_expired(&self, now: UnixTime) -> Vec<(u64, Arc<[CertificateDer<'static>]>)> {
        let mut expired = Vec::new();
        for (id, live) in &mut self.table.lock().live {
            let ended = live.expiries.partition_point(|end| *end < now);
            if ended > 0 {
                live.expiries.drain(..ended);
                expired.push((*id, live.chain.clone()));
            }
        }
        expired
    }

    /// Closes one connection; `None` if it has gone by itself. It counts until its owner has dropped it.
    pub(super) fn close(&self, id: u64) -> Option<Arc<str>> {
        let table = self.table.lock();
        let live = table.live.get(&id)?;
        live.closer.close();
        Some(live.san_uri.clone())
    }
}

/// A connection's place in the registry; given back when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    connections: Arc<Connections>,
    closer: Arc<Closer>,
    pub(super) info: PeerInfo,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.connections.deregister(self.info.connection);
    }
}

/// An authenticated connection. Once its certificate is no longer accepted, reading and writing fail.
#[derive(Debug)]
pub struct PeerIo {
    stream: TlsStream<TcpStream>,
    registration: Registration,
    /// Until the peer has said something: when it must have.
    first_bytes: Option<Pin<Box<Sleep>>>,
    /// How much of its preface the peer has yet to say: before that HTTP/2 looks after nobody.
    preface_left: usize,
}

impl PeerIo {
    pub(super) fn new(stream: TlsStream<TcpStream>, registration: Registration, first_bytes: Duration) -> Self {
        let first_bytes = Some(Box::pin(tokio::time::sleep(first_bytes)));
        Self { stream, registration, first_bytes, preface_left: PREFACE_BYTES }
    }

    /// Whose connection it is.
    pub fn peer(&self) -> &PeerInfo {
        &self.registration.info
    }

    /// Does `io` unless closed. Waits for the closer only where it would wait anyway, so that the usual path costs
    /// one load; looks again after registering, since `close` may have come between.
    fn unless_closed<T>(
        &mut self,
        context: &mut Context<'_>,
        waker: fn(&Closer) -> &AtomicWaker,
        io: impl FnOnce(Pin<&mut TlsStream<TcpStream>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let closer = &self.registration.closer;
        if closer.is_closed() {
            return Poll::Ready(Err(closed()));
        }
        let outcome = io(Pin::new(&mut self.stream), context);
        if outcome.is_pending() {
            waker(closer).register(context.waker());
            if closer.is_closed() {
                return Poll::Ready(Err(closed()));
            }
        }
        outcome
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed: the peer's certificate is no longer accepted")
}

impl Connected for PeerIo {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.registration.info.clone()
    }
}

impl AsyncRead for PeerIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = this.unless_closed(cx, |closer| &closer.read, |stream, cx| stream.poll_read(cx, buf));
        if read.is_ready() && buf.filled().len() > before {
            this.preface_left = this.preface_left.saturating_sub(buf.filled().len() - before);
            if this.preface_left == 0 {
                this.first_bytes = None;
            }
        }
        match &mut this.first_bytes {
            Some(deadline) if read.is_pending() => match deadline.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "closed: the peer has not begun to speak HTTP/2",
                ))),
                Poll::Pending => Poll::Pending,
            },
            _ => read,
        }
    }
}

impl AsyncWrite for PeerIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().unless_closed(cx, |closer| &closer.write, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().unless_closed(cx, |closer| &closer.write, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().unless_closed(cx, |closer| &closer.write, AsyncWrite::poll_flush)
    }

    /// Of a closed connection nothing that waits in a buffer may still go out: the socket ends without a flush.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.registration.closer.is_closed() {
            return Pin::new(this.stream.get_mut().0).poll_shutdown(cx);
        }
        this.unless_closed(cx, |closer| &closer.write, AsyncWrite::poll_shutdown)
    }
}
