//! How bytes leave: what a driver gets from the relay and what it owes it. One file a driver; none decides what is sent.
//!
//! A driver connects a [`Port`] for one recipient (`relay::Registry::connect`) and pulls batches from it:
//! - [`Port::next`] yields only what may leave at that moment: withdrawal and restriction are checked as it yields, so
//!   the driver releases a batch at once (writes it, calls `produce`) and never keeps it for later. What it could not
//!   release at once it asks for again ([`Port::ask`]).
//! - At most [`LinkTerms::credit`] deliveries are out without a report. A small window suits a stream, thousands an
//!   idempotent producer.
//! - [`Reporter::report`] says, in any order and in batches, what became of them. Reporting twice does no harm.
//! - Dropping the port says that the link is lost: what it had out without a report is handed over again, here or on
//!   another link; what `next` had not yielded never left, and that counts as no attempt. An error after which a producer
//!   can no longer keep order is such a loss: rebuild it, connect again. Where no delivery can have been the cause,
//!   [`Port::spare`] says so: then none of it counts as an attempt.
//!
//! | way out | file |
//! |---|---|
//! | a gRPC Receive stream | `stream.rs` |
//! | a recipient's topic in Kafka | `kafka/` |

pub mod kafka;
pub mod stream;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::{
    desk::DeliveryContent,
    domain::{agency::SystemId, transfer::TransferId},
};

/// Deliveries in one batch at most.
pub const BATCH_MAX: usize = 64;
/// Bytes of records in one batch, unless one alone has more: a message that any gRPC client takes (4 MiB).
pub const BATCH_BYTES_MAX: usize = 1 << 20;
/// Batches that wait in a port at most; the relay opens no more for it until the driver has taken one.
pub(crate) const BATCHES_WAITING_MAX: usize = 4;

/// A link's number; never used again while the hub runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What a driver can do, told when it connects.
#[derive(Debug, Clone)]
pub struct LinkTerms {
    /// The acting system: who is said to have acknowledged.
    pub system: SystemId,
    /// How many deliveries may be out without a report, from 1.
    pub credit: usize,
    /// What keeps deliveries of one subject in order.
    pub order: OrderRule,
    /// How long a report may take before the delivery is handed over again.
    pub report_within: Duration,
}

/// What keeps deliveries of one order in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderRule {
    /// The relay: at most one of them is out without a report.
    OneUnacknowledged,
    /// The driver: it keeps the sequence in which it gets them, and one that fails fails all that follow.
    Pipelined,
}

/// One delivery on its way out.
#[derive(Debug)]
pub struct Outbound {
    /// What is delivered.
    pub content: Box<DeliveryContent>,
    /// How often it is handed over with this, since the hub started.
    pub attempt: u32,
}

/// What became of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Which.
    pub transfer: TransferId,
    /// What.
    pub outcome: Outcome,
}

/// What can become of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The recipient has it.
    Acknowledged,
    /// The recipient cannot process it, now or later.
    Rejected,
    /// It did not arrive, or the recipient cannot take it now: it is handed over again after a while.
    Failed,
}

/// Says whether deliveries may leave now.
#[async_trait]
pub(crate) trait Gate: Send + Sync + 'static {
    /// For each of these entries, whether its delivery is still open; `Err` when that cannot be read.
    async fn pass(&self, indices: &[u64]) -> Result<Vec<bool>, GateFault>;
}

/// It could not be read whether a delivery may leave: so it does not.
#[derive(Debug)]
pub(crate) struct GateFault;

/// What a driver tells the relay beside its reports.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A link is connected.
    Connected(LinkId, LinkTerms, mpsc::Sender<Vec<Outbound>>),
    /// The driver took a batch.
    Taken(Taken),
    /// The link is gone; whether what it had out is to be spared: nothing was attempted.
    Lost(LinkId, bool),
}

/// What became of a batch when the driver took it.
#[derive(Debug)]
pub(crate) struct Taken {
    pub link: LinkId,
    /// These leave.
    pub left: Vec<u64>,
    /// These may not leave any more.
    pub ended: Vec<u64>,
}

/// Reports of one link.
#[derive(Debug)]
pub(crate) struct Reported {
    pub link: LinkId,
    pub system: SystemId,
    pub reports: Vec<Report>,
}

/// A driver's end of a link. Dropping it is losing the link.
pub struct Port {
    batches: mpsc::Receiver<Vec<Outbound>>,
    gate: Arc<dyn Gate>,
    notices: mpsc::UnboundedSender<Notice>,
    reporter: Reporter,
    spared: bool,
}

/// Where a driver says what became of deliveries. Clones may be used at once, from any task.
#[derive(Debug, Clone)]
pub struct Reporter {
    link: LinkId,
    system: SystemId,
    reports: mpsc::Sender<Reported>,
}

impl Port {
    /// A link's two ends: the driver's, and where the relay puts batches.
    pub(crate) fn pair(
        link: LinkId,
        terms: &LinkTerms,
        gate: Arc<dyn Gate>,
        notices: mpsc::UnboundedSender<Notice>,
        reports: mpsc::Sender<Reported>,
    ) -> (Self, mpsc::Sender<Vec<Outbound>>) {
        let (sender, batches) = mpsc::channel(BATCHES_WAITING_MAX);
        let reporter = Reporter { link, system: terms.system.clone(), reports };
        (Self { batches, gate, notices, reporter, spared: false }, sender)
    }

    /// The next deliveries, which may leave now, and only now. `None`: the relay has closed the link.
    ///
    /// Cancel safe up to the moment at which a batch was taken; what is lost then never left, and is handed over again when
    /// the link is lost, or its time is up.
    pub async fn next(&mut self) -> Option<Vec<Outbound>> {
        loop {
            let batch = self.batches.recv().await?;
            let batch = self.ask(batch).await?;
            if !batch.is_empty() {
                return Some(batch);
            }
        }
    }

    /// What of a batch may leave at this moment: for a driver that could not release all of it at once. `None`: that cannot
    /// be read, so nothing does, and the link is to be dropped.
    pub async fn ask(&self, mut batch: Vec<Outbound>) -> Option<Vec<Outbound>> {
        let indices: Vec<u64> = batch.iter().map(|one| one.content.index).collect();
        // A fault closes the link: nothing leaves unchecked.
        let passes = self.gate.pass(&indices).await.ok()?;
        let mut passes = passes.into_iter();
        let (left, ended): (Vec<u64>, Vec<u64>) = indices.into_iter().partition(|_| passes.next().unwrap_or(false));
        if !ended.is_empty() {
            batch.retain(|one| !ended.contains(&one.content.index));
        }
        let taken = Taken { link: self.reporter.link, left, ended };
        let _ = self.notices.send(Notice::Taken(taken)); // the relay may have stopped
        Some(batch)
    }

    /// Loses the link through no fault of any delivery: what it had out without a report is handed over again, and that it
    /// was out counts as no attempt.
    pub fn spare(mut self) {
        self.spared = true;
    }

    /// Where to say what became of them.
    pub fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let _ = self.notices.send(Notice::Lost(self.reporter.link, self.spared)); // the relay may have stopped
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("link", &self.reporter.link).finish_non_exhaustive()
    }
}

impl Reporter {
    /// Says what became of deliveries. Waits while the relay has more reports than it can record; once it has stopped,
    /// nothing happens.
    pub async fn report(&self, reports: Vec<Report>) {
        let _ = self.reports.send(Reported { link: self.link, system: self.system.clone(), reports }).await;
    }
}
