//! `waybill receive`: prints deliveries as JSON lines, and acknowledges each once its line has been written and flushed.
//! What could not be written is not acknowledged: it comes again.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::{signal, sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use waybill_proto::v1::{
    self, delivery_answer::Answer, receive_request::Message as Asked, receive_response::Message as Told,
};

use super::{
    exit::{Exit, Failure},
    hub::HubOptions,
    output::{Out, aside, count},
    receipt,
    refused::Busy,
    wire,
};

/// How long the hub may take to end the stream after the last acknowledgement.
const FAREWELL: Duration = Duration::from_secs(5);

/// `receive`.
#[derive(Debug, clap::Args)]
pub(super) struct Receive {
    /// End after so many deliveries [default: never]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Reject what comes instead of acknowledging it
    #[arg(long, value_enum, value_name = "REASON", num_args = 0..=1, default_missing_value = "unprocessable")]
    reject: Option<Reason>,
    /// Answer nothing: everything comes again
    #[arg(long, conflicts_with = "reject")]
    no_ack: bool,
    /// How many deliveries may be unanswered
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    credit: u32,
    #[command(flatten)]
    hub: HubOptions,
}

/// Why a delivery is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Reason {
    /// It can't be processed, now or later: the delivery ends
    Unprocessable,
    /// Not now: it comes again
    TryAgain,
}

impl Receive {
    pub(super) async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let hub = self.hub.dial().await?;
        if !out.is_json() {
            // Standard output is JSON lines in either case, so the first line stands beside it.
            hub.environment().await?.iter().for_each(|line| aside(line));
        }
        // What is claimed and not answered is blocked for a while: so no more is claimed than wanted.
        let credit = self.count.map_or(self.credit, |count| u64::from(self.credit).min(count) as u32);
        let open = v1::ReceiveOpen { on_behalf_of: self.hub.agency(), credit };
        let (answers, receiver) = mpsc::channel(credit as usize + 1);
        // There is room for it: nothing was sent before.
        let _ = answers.try_send(asked(Asked::Open(open)));
        let mut stream = hub.exchange().receive(ReceiverStream::new(receiver)).await?.into_inner();
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            let message = tokio::select! {
                message = stream.message() => message?,
                _ = signal::ctrl_c() => break,
            };
            let Some(message) = message else {
                let message = "the hub ended the stream".to_owned();
                return Err(Failure::Busy(Box::new(Busy { message, ..Busy::default() })));
            };
            if let Some(Told::Deliveries(deliveries)) = message.message {
                let taken = take(&deliveries.deliveries, left, out)?;
                left -= taken.len() as u64;
                if let Some(answer) = self.answer() {
                    let answer = v1::DeliveryAnswer { transfer_ids: taken, answer: Some(answer) };
                    // A send fails only when the stream has ended, which the next read reports.
                    let _ = answers.send(asked(Asked::Answer(answer))).await;
                }
            }
        }
        drop(answers);
        farewell(&mut stream).await;
        if !out.is_json() {
            let got = self.count.unwrap_or(u64::MAX) - left;
            aside(&format!("{} printed", count(got as usize, "delivery").replace("deliverys", "deliveries")));
        }
        Ok(Exit::Ok)
    }

    fn answer(&self) -> Option<Answer> {
        let rejected = |reason: v1::RejectionReason| Answer::Rejected(v1::Rejected { reason: reason.into() });
        match self.reject {
            _ if self.no_ack => None,
            None => Some(Answer::Acknowledged(v1::Acknowledged {})),
            Some(Reason::Unprocessable) => Some(rejected(v1::RejectionReason::Unprocessable)),
            Some(Reason::TryAgain) => Some(rejected(v1::RejectionReason::TryAgain)),
        }
    }
}

fn asked(message: Asked) -> v1::ReceiveRequest {
    v1::ReceiveRequest { message: Some(message) }
}

/// Writes at most `left` deliveries; names those that were written.
fn take(deliveries: &[v1::Delivery], left: u64, out: &mut Out) -> Result<Vec<String>, Failure> {
    let wanted = deliveries.iter().take(usize::try_from(left).unwrap_or(usize::MAX));
    wanted
        .map(|delivery| {
            out.object(&line(delivery))?;
            Ok(delivery.transfer_id.clone())
        })
        .collect()
}

/// Waits until the hub has read the last answer, which shows in its ending the stream.
async fn farewell(stream: &mut Streaming<v1::ReceiveResponse>) {
    let ended = async { while let Ok(Some(_)) = stream.message().await {} };
    // A hub that does not end it may not have read the answer: then the delivery comes again.
    let _ = timeout(FAREWELL, ended).await;
}

fn line(delivery: &v1::Delivery) -> Value {
    let fields = json!({
        "transfer_id": delivery.transfer_id,
        "ledger_index": delivery.ledger_index,
        "source": delivery.source,
        "agreement": delivery.agreement,
        "purpose": delivery.purpose,
        "record_type": delivery.record_type,
        "schema_version": delivery.schema_version,
        "identity": wire::identity(delivery.record.as_ref()),
        "subject_pseudonym": delivery.subject_pseudonym,
        "keep_seconds": delivery.keep_seconds,
        "attempt": delivery.attempt,
        "replayed": delivery.replayed,
        "traceparent": Some(&delivery.traceparent).filter(|trace| !trace.is_empty()),
        "record": wire::record(&delivery.payload),
    });
    let mut receipt = receipt::to_json(delivery.receipt.as_ref(), Some(&delivery.payload));
    if let Some(receipt) = receipt.as_object_mut() {
        receipt.remove("ledger_index");
    }
    wire::merged(fields, receipt)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn delivery(id: &str) -> v1::Delivery {
        v1::Delivery {
            transfer_id: id.to_owned(),
            ledger_index: 9,
            payload: br#"{"city":"x"}"#.to_vec().into(),
            receipt: Some(v1::Receipt { index: 9, environment: "demo".to_owned(), ..v1::Receipt::default() }),
            ..v1::Delivery::default()
        }
    }

    #[test]
    fn a_line_holds_the_record_and_where_it_is_recorded() {
        let line = line(&delivery("t-1"));
        assert_eq!((&line["ledger_index"], &line["record"]["city"]), (&json!(9), &json!("x")));
        assert_eq!((&line["environment"], &line["traceparent"]), (&json!("demo"), &Value::Null));
    }

    #[test]
    fn no_more_is_taken_than_was_asked_for() {
        let mut out = Out::to(true, Box::new(io::sink()));
        let taken = take(&[delivery("a"), delivery("b")], 1, &mut out).unwrap();
        assert_eq!(taken, ["a"]);
    }

    #[test]
    fn what_could_not_be_written_is_not_taken() {
        struct Full;
        impl io::Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut out = Out::to(true, Box::new(Full));
        assert!(matches!(take(&[delivery("a")], 1, &mut out), Err(Failure::Output(_))));
    }
}
