//! One connection. Its calls are counted, so that it can be closed when there has been none for a while: with GOAWAY, as
//! HTTP/2 wants it, so that no call is lost. (tonic itself ends connections by age alone, whatever they do.)

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Server, server::Connected},
};
use tower::{Layer, Service};

use super::gathered::Gathered;

/// Serves one connection until its peer leaves, it has been idle for too long, or `stopping`; calls under way end first.
pub(super) async fn serve<IO>(
    server: Server,
    routes: Routes,
    io: IO,
    idle_max: Duration,
    stopping: CancellationToken,
) -> Result<(), tonic::transport::Error>
where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let (calls, ended) = (Arc::new(Calls::new()), CancellationToken::new());
    let io = Gathered::new(io, ended.clone().drop_guard());
    let counted = Arc::clone(&calls);
    let over = async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = ended.cancelled() => {}
            () = calls.idle_for(idle_max) => {
                metrics::counter!("waybill_connections_idle_total").increment(1);
                tracing::debug!("a connection without calls is closed");
            }
        }
    };
    let only = tokio_stream::once(Ok::<_, io::Error>(io)).chain(tokio_stream::pending());
    server.layer(CountCalls(counted)).serve_with_incoming_shutdown(routes, only, over).await
}

/// The open calls of one connection.
#[derive(Debug)]
struct Calls {
    open: AtomicUsize,
    begun: Instant,
    /// When the last call ended, in microseconds since `begun`.
    last: AtomicU64,
}

impl Calls {
    fn new() -> Self {
        Self { open: AtomicUsize::new(0), begun: Instant::now(), last: AtomicU64::new(0) }
    }

    /// Waits until no call has been open for so long.
    async fn idle_for(&self, max: Duration) {
        loop {
            let now = Instant::now();
            // While a call is open, the end of its idleness is at least `max` away, so looking again then is early enough.
            let idle_since = match self.open.load(Ordering::Acquire) {
                0 => self.begun + Duration::from_micros(self.last.load(Ordering::Acquire)),
                _ => now,
            };
            let due = idle_since + max;
            if due <= now {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

/// One open call; it ends by being dropped.
#[derive(Debug)]
struct Open(Arc<Calls>);

impl Open {
    fn of(calls: &Arc<Calls>) -> Self {
        calls.open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(calls))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let since = u64::try_from(self.0.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.last.fetch_max(since, Ordering::AcqRel);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Counts calls from their headers to the end of their answer.
#[derive(Debug, Clone)]
struct CountCalls(Arc<Calls>);

impl<S> Layer<S> for CountCalls {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting { inner, calls: Arc::clone(&self.0) }
    }
}

#[derive(Debug, Clone)]
struct Counting<S> {
    inner: S,
    calls: Arc<Calls>,
}

impl<S, Asked, Answer> Service<Request<Asked>> for Counting<S>
where
    S: Service<Request<Asked>, Response = Response<Answer>>,
{
    type Response = Response<Counted<Answer>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Asked>) -> Self::Future {
        Answering { open: Some(Open::of(&self.calls)), call: self.inner.call(request) }
    }
}

pin_project! {
    /// A call before its answer's headers.
    struct Answering<F> {
        open: Option<Open>,
        #[pin]
        call: F,
    }
}

impl<F, Answer, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<Answer>, E>>,
{
    type Output = Result<Response<Counted<Answer>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.call.poll(cx));
        let open = this.open.take();
        Poll::Ready(answer.map(|answer| answer.map(|body| Counted { open, body })))
    }
}

pin_project! {
    /// An answer's body; the call is open until it is dropped.
    struct Counted<B> {
        open: Option<Open>,
        #[pin]
        body: B,
    }
}

impl<B: Body> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_mins(10);
    const ALMOST: Duration = Duration::from_millis(599_999);

    /// Whether it is still not idle after `time`.
    async fn lasts(calls: &Calls, time: Duration) -> bool {
        tokio::time::timeout(time, calls.idle_for(MAX)).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn idleness_begins_with_the_end_of_the_last_call() {
        let calls = Arc::new(Calls::new());
        assert!(lasts(&calls, ALMOST).await);
        let (one, other) = (Open::of(&calls), Open::of(&calls));
        assert!(lasts(&calls, 5 * MAX).await, "a call is open");
        drop(one);
        assert!(lasts(&calls, 5 * MAX).await, "another still is");
        drop(other);
        assert!(lasts(&calls, ALMOST).await);
        assert!(!lasts(&calls, Duration::from_millis(2)).await);
    }
}
