//! A connection that gathers what is written to it, and tells of its end by being dropped. Answers become ready by the
//! dozen, each with a task of its own; HTTP/2 would write every one as it comes: one TLS record and one system call each.
//!
//! What is written waits in a buffer. A flush lets other tasks run first, once; what they have written goes out with it.
//! No timer: where nothing else is ready, the flush goes on at once.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::DropGuard;
use tonic::transport::server::Connected;

/// Bytes that go out without waiting for more: as many as HTTP/2 gathers, and a TLS record holds.
const GATHERED_BYTES_MAX: usize = 16 << 10;

/// Gathers what is written to `IO` until it is flushed.
#[derive(Debug)]
pub(super) struct Gathered<IO> {
    io: IO,
    waiting: BytesMut,
    /// Whether the flush under way has let others go first.
    waited: bool,
    _gone: DropGuard,
}

impl<IO> Gathered<IO> {
    /// `gone` is told when the connection has ended.
    pub(super) fn new(io: IO, gone: DropGuard) -> Self {
        Self { io, waiting: BytesMut::new(), waited: false, _gone: gone }
    }
}

impl<IO: AsyncWrite + Unpin> Gathered<IO> {
    /// Writes all that waits. An error is the connection's end, so what is left is dropped.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.waiting)) {
                Ok(0) => {
                    self.waiting.clear();
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                Ok(written) => self.waiting.advance(written),
                Err(error) => {
                    self.waiting.clear();
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: Connected> Connected for Gathered<IO> {
    type ConnectInfo = IO::ConnectInfo;

    fn connect_info(&self) -> IO::ConnectInfo {
        self.io.connect_info()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Gathered<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Gathered<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.waiting.len() + bytes.len() > GATHERED_BYTES_MAX {
            ready!(self.drain(cx))?;
        }
        if bytes.len() >= GATHERED_BYTES_MAX {
            return Pin::new(&mut self.io).poll_write(cx, bytes);
        }
        self.waiting.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Not: HTTP/2 gathers small frames itself where it has no slices to write, and flushes after each where it has.
    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.waited && !this.waiting.is_empty() && this.waiting.len() < GATHERED_BYTES_MAX {
            this.waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(this.drain(cx))?;
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        this.waited = false;
        Poll::Ready(Ok(()))
    }

    /// Where the rest can't be written any more, the connection ends all the same.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = ready!(self.drain(cx));
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use futures_util::{FutureExt as _, future, task::noop_waker_ref};
    use parking_lot::Mutex;
    use tokio::io::AsyncWriteExt as _;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// Notes each write; takes at most `most` bytes of one, and fails once it has been `closed`.
    #[derive(Debug, Clone, Default)]
    struct Peer(Arc<Mutex<State>>);

    #[derive(Debug, Default)]
    struct State {
        writes: Vec<Vec<u8>>,
        flushes: usize,
        most: Option<usize>,
        closed: bool,
        ended: bool,
    }

    impl Peer {
        fn writes(&self) -> Vec<Vec<u8>> {
            self.0.lock().writes.clone()
        }
    }

    impl AsyncWrite for Peer {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let mut state = self.0.lock();
            if state.closed {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            let count = bytes.len().min(state.most.unwrap_or(usize::MAX));
            state.writes.push(bytes[..count].to_vec());
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0.lock().flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.0.lock().ended = true;
            Poll::Ready(Ok(()))
        }
    }

    fn gathered(peer: Peer) -> Gathered<Peer> {
        Gathered::new(peer, CancellationToken::new().drop_guard())
    }

    #[tokio::test]
    async fn what_was_written_while_others_went_first_goes_out_in_one_write() {
        let peer = Peer::default();
        let mut io = gathered(peer.clone());
        io.write_all(b"one ").await.unwrap();
        assert!(io.flush().now_or_never().is_none(), "others go first");
        assert!(peer.writes().is_empty());
        io.write_all(b"two").await.unwrap();
        io.flush().now_or_never().unwrap().unwrap();
        assert_eq!((peer.writes(), peer.0.lock().flushes), (vec![b"one two".to_vec()], 1));

        // The next flush lets others go first again; with nothing written there is nothing to wait for.
        io.write_all(b"three").await.unwrap();
        assert!(io.flush().now_or_never().is_none());
        io.flush().now_or_never().unwrap().unwrap();
        io.flush().now_or_never().unwrap().unwrap();
        assert_eq!((peer.writes().len(), peer.0.lock().flushes), (2, 3));
    }

    #[tokio::test]
    async fn a_flush_that_lets_others_go_first_is_woken_by_itself() {
        let peer = Peer::default();
        let mut io = gathered(peer.clone());
        io.write_all(b"alone").await.unwrap();
        // Nobody else runs here: without its own wake this would never end.
        tokio::time::timeout(Duration::from_secs(10), io.flush()).await.unwrap().unwrap();
        assert_eq!(peer.writes(), [b"alone"]);
    }

    #[tokio::test]
    async fn as_much_as_fills_a_record_goes_out_at_once_and_one_byte_less_waits() {
        for (bytes, waits) in [(GATHERED_BYTES_MAX - 1, true), (GATHERED_BYTES_MAX, false)] {
            let mut io = gathered(Peer::default());
            io.write_all(&vec![7; bytes]).await.unwrap();
            assert_eq!(io.flush().now_or_never().is_none(), waits, "{bytes}");
        }
    }

    #[tokio::test]
    async fn however_little_the_peer_takes_at_once_all_bytes_arrive_in_order() {
        let peer = Peer::default();
        peer.0.lock().most = Some(1000);
        let mut io = gathered(peer.clone());
        let all: Vec<u8> = (0..5 * GATHERED_BYTES_MAX).map(|place| (place % 251) as u8).collect();
        for piece in all.chunks(3000) {
            io.write_all(piece).await.unwrap();
            assert!(io.waiting.len() <= GATHERED_BYTES_MAX, "it does not grow with what is written");
        }
        io.flush().await.unwrap();
        assert_eq!(peer.writes().concat(), all);

        peer.0.lock().most = None;
        io.write_all(b"small").await.unwrap();
        io.write_all(&all).await.unwrap();
        assert!(io.waiting.is_empty(), "more than it gathers goes straight on, after what waits");
        assert_eq!(peer.writes().concat(), [&all[..], b"small", &all].concat());
    }

    #[tokio::test]
    async fn what_waits_goes_out_before_the_end_and_a_closed_peer_is_ended_without_it() {
        for closed in [false, true] {
            let peer = Peer::default();
            let mut io = gathered(peer.clone());
            io.write_all(b"last").await.unwrap();
            peer.0.lock().closed = closed;
            let shut = future::poll_fn(|_| Pin::new(&mut io).poll_shutdown(&mut Context::from_waker(noop_waker_ref())));
            shut.await.unwrap();
            assert!(peer.0.lock().ended);
            assert_eq!(peer.writes().concat(), if closed { &b""[..] } else { b"last" });
        }
    }

    #[tokio::test]
    async fn what_the_peer_does_not_take_is_an_error_of_the_flush() {
        let peer = Peer::default();
        let mut io = gathered(peer.clone());
        io.write_all(b"lost").await.unwrap();
        peer.0.lock().closed = true;
        assert_eq!(io.flush().await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(io.waiting.is_empty());
    }
}
