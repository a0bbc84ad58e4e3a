//! Hands deliveries to the library as the relay lets them leave, and tells the relay what the brokers said of them. When the
//! link ends, and is made again, is not decided here.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    super::{Outbound, Outcome, Port, Report, Reporter},
    message,
};
use crate::{
    domain::transfer::TransferId,
    kafka::{self, Lost, Offered, Producer, SendFault},
};

/// Reports that are told together.
const REPORTS_MAX: usize = 1024;
/// How long to wait while the library's queue is full; it doubles up to the longest.
const FULL_PAUSE: Duration = Duration::from_millis(5);
const FULL_PAUSE_MAX: Duration = Duration::from_millis(500);

/// A transfer, whether its recipient's answer is waited for, and what the brokers said.
pub(super) type Said = (TransferId, bool, Result<(), SendFault>);

/// What a delivery on its way stands for.
pub(super) struct Sent {
    transfer: TransferId,
    answered: bool,
    back: mpsc::UnboundedSender<Said>,
}

impl kafka::Report for Sent {
    fn reported(self, written: Result<(), SendFault>) {
        let _ = self.back.send((self.transfer, self.answered, written)); // the link may have gone
    }
}

/// Whether the brokers took anything while a link was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Nothing,
    Some,
}

/// What deliveries are handed over with.
pub(super) struct Sending<'a> {
    pub producer: &'a Producer<Sent>,
    pub topic: &'a str,
    pub source: &'a str,
    pub back: mpsc::UnboundedSender<Said>,
    pub lost: &'a CancellationToken,
}

impl Sending<'_> {
    /// Hands over what the relay lets leave, until the link is lost.
    pub(super) async fn run(self, port: &mut Port) {
        loop {
            let batch = tokio::select! {
                biased;
                () = self.lost.cancelled() => return,
                batch = port.next() => match batch {
                    Some(batch) => batch,
                    None => return,
                },
            };
            if !self.release(port, batch).await {
                return;
            }
        }
    }

    /// Hands a batch to the library. What that does not take now may have to wait for as long as the brokers are away: it is
    /// asked for again before each try, so that what is cancelled meanwhile does not leave. False when the link is lost.
    async fn release(&self, port: &Port, mut batch: Vec<Outbound>) -> bool {
        let mut pause = FULL_PAUSE;
        loop {
            let mut taken = 0;
            for outbound in &batch {
                match self.offer(outbound) {
                    Ok(Offered::Taken) => taken += 1,
                    Ok(Offered::Full) => break,
                    Err(_) => return false,
                }
            }
            if taken == batch.len() {
                return true;
            }
            if taken > 0 {
                batch.drain(..taken);
                pause = FULL_PAUSE;
            }
            tokio::select! {
                () = self.lost.cancelled() => return false,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(FULL_PAUSE_MAX);
            let Some(rest) = port.ask(batch).await else { return false };
            batch = rest;
        }
    }

    fn offer(&self, outbound: &Outbound) -> Result<Offered, Lost> {
        let content = &outbound.content;
        let sent = Sent { transfer: content.id, answered: content.answer_required, back: self.back.clone() };
        let headers = message::headers(outbound, self.source);
        self.producer.offer(self.topic, &content.pseudonym, &content.payload, headers, sent)
    }
}

/// Tells the relay what was written. Ends when nothing more can be reported; whether anything was written.
pub(super) async fn tell(
    mut reports: mpsc::UnboundedReceiver<Said>,
    reporter: Reporter,
    lost: CancellationToken,
    topic: String,
) -> Written {
    let (mut some, mut anything) = (Vec::new(), Written::Nothing);
    while reports.recv_many(&mut some, REPORTS_MAX).await > 0 {
        let mut told = Vec::with_capacity(some.len());
        for (transfer, answered, written) in some.drain(..) {
            if written.is_ok() {
                anything = Written::Some;
            }
            let outcome = match written {
                Ok(()) if answered => continue,
                Ok(()) => Outcome::Acknowledged,
                Err(SendFault::Message) => Outcome::Failed,
                Err(SendFault::Producer(code)) => {
                    if !lost.is_cancelled() {
                        tracing::warn!(%code, topic, "the producer is made anew");
                        lost.cancel();
                    }
                    continue;
                }
            };
            told.push(Report { transfer, outcome });
        }
        if !told.is_empty() {
            reporter.report(told).await;
        }
    }
    anything
}

#[cfg(test)]
mod tests;
