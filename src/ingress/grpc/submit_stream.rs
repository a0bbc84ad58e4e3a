//! Many submissions over one stream: reads as fast as the series takes them, writes outcomes as they are decided.
//!
//! The series bounds what has no outcome yet. Beyond that nothing is read, so HTTP/2's flow control reaches the client;
//! and outcomes that the client does not read count as not given. Outcomes that are ready go out in one message; none
//! waits for others.

use std::sync::Arc;

use futures_util::{FutureExt as _, Stream, stream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, Streaming};
use waybill_proto::v1;

use super::{peer, read, write};
use crate::desk::{Arrival, Desk, NumberedOutcome, ReceiptDetail, SeriesIn, SeriesOut};

/// Submissions that are handed to the desk together, from as many messages as have arrived.
const GATHERED_MAX: usize = 256;
/// Receipts in one message: with proofs of a billion entries, about half of the 4 MiB that clients read by default.
const RECEIPTS_MAX: usize = 1024;

/// Opens the stream.
pub(super) fn open(
    desk: &Arc<Desk>,
    request: Request<Streaming<v1::SubmitStreamRequest>>,
    window: usize,
    stopping: CancellationToken,
) -> Result<impl Stream<Item = Result<v1::SubmitStreamResponse, Status>> + Send + use<>, Status> {
    let peer = peer::name(request.extensions())?;
    let traceparent = read::traceparent(request.metadata());
    let (series, outcomes) = desk.series(peer, window);
    let reader = Reader { messages: request.into_inner(), series, traceparent, detail: ReceiptDetail::Index };
    let reading = tokio::spawn(reader.run(stopping));
    let first = v1::SubmitStreamResponse { window: u32::try_from(window).unwrap_or(u32::MAX), outcomes: Vec::new() };
    let writer = Writer { first: Some(first), outcomes, over: None, reading: Some(reading) };
    Ok(stream::unfold(writer, Writer::next))
}

struct Reader {
    messages: Streaming<v1::SubmitStreamRequest>,
    series: SeriesIn,
    traceparent: String,
    detail: ReceiptDetail,
}

impl Reader {
    /// Reads until the client has ended its side, the hub stops, or nobody collects outcomes. An error is the stream's.
    async fn run(mut self, stopping: CancellationToken) -> Result<(), Status> {
        loop {
            let message = tokio::select! {
                biased;
                () = stopping.cancelled() => return Ok(()),
                message = self.messages.message() => message?,
            };
            let Some(message) = message else { return Ok(()) };
            let mut gathered = Vec::with_capacity(message.submissions.len());
            self.gather(message, &mut gathered);
            let detail = self.detail;
            // What has arrived already goes along, unless it wants other receipts.
            let mut ended = false;
            let mut later = Vec::new();
            while gathered.len() < GATHERED_MAX && later.is_empty() {
                match self.messages.message().now_or_never() {
                    None => break,
                    Some(message) => match message? {
                        None => {
                            ended = true;
                            break;
                        }
                        Some(message) => {
                            let wanted = detail_of(&message).unwrap_or(detail);
                            self.gather(message, if wanted == detail { &mut gathered } else { &mut later });
                        }
                    },
                }
            }
            for (arrivals, detail) in [(gathered, detail), (later, self.detail)] {
                if self.series.send(arrivals, detail).await.is_err() {
                    return Ok(());
                }
            }
            if ended {
                return Ok(());
            }
        }
    }

    fn gather(&mut self, message: v1::SubmitStreamRequest, into: &mut Vec<(u64, Arrival)>) {
        self.detail = detail_of(&message).unwrap_or(self.detail);
        for numbered in message.submissions {
            into.push((numbered.number, read::arrival(numbered.submission, &self.traceparent)));
        }
    }
}

/// The receipts that a message asks for; `None`: as before.
fn detail_of(message: &v1::SubmitStreamRequest) -> Option<ReceiptDetail> {
    match message.receipt_detail() {
        v1::ReceiptDetail::Unspecified => None,
        v1::ReceiptDetail::Index => Some(ReceiptDetail::Index),
        v1::ReceiptDetail::Proof => Some(ReceiptDetail::Proof),
    }
}

struct Writer {
    first: Option<v1::SubmitStreamResponse>,
    outcomes: SeriesOut,
    /// Outcomes that did not fit into the message before.
    over: Option<std::vec::IntoIter<NumberedOutcome>>,
    reading: Option<JoinHandle<Result<(), Status>>>,
}

impl Writer {
    async fn next(mut self) -> Option<(Result<v1::SubmitStreamResponse, Status>, Self)> {
        if let Some(first) = self.first.take() {
            return Some((Ok(first), self));
        }
        let outcomes = match self.over.take() {
            Some(over) => Some(over),
            None => self.outcomes.next().await.map(Vec::into_iter),
        };
        if let Some(outcomes) = outcomes {
            let message = self.message(outcomes);
            return Some((Ok(message), self));
        }
        // All outcomes are out; how reading ended is how the stream ends.
        let ended = match self.reading.take()?.await {
            Ok(ended) => ended,
            // A panic's text may quote a record: it is logged by its place.
            Err(_) => {
                tracing::error!("a stream's reader failed");
                Err(Status::internal("the hub failed; its log says why"))
            }
        };
        ended.err().map(|status| (Err(status), self))
    }

    /// One message of what is ready, up to its bound.
    fn message(&mut self, mut ready: std::vec::IntoIter<NumberedOutcome>) -> v1::SubmitStreamResponse {
        let mut outcomes = Vec::with_capacity(ready.len());
        let mut receipts = 0;
        loop {
            for outcome in ready.by_ref() {
                receipts += outcome.1.as_ref().map_or(1, |decided| decided.recipients.len());
                outcomes.push(write::numbered(outcome));
                if receipts >= RECEIPTS_MAX {
                    self.over = Some(ready).filter(|over| over.len() > 0);
                    return v1::SubmitStreamResponse { window: 0, outcomes };
                }
            }
            match self.outcomes.ready() {
                Some(more) => ready = more.into_iter(),
                None => return v1::SubmitStreamResponse { window: 0, outcomes },
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The client has gone, or has everything: nobody would collect what is read from now on.
        if let Some(reading) = self.reading.take() {
            reading.abort();
        }
    }
}
