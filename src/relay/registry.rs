//! Where links get in: each recipient agency's worker is started when its first link connects, or on start when it has
//! deliveries that have not ended.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    RelayLimits,
    outbox::{Outbox, OutboxGate},
    worker::{Parts, Worker},
};
use crate::{
    desk::{CallError, Desk},
    domain::agency::{AgencyId, AgencyKey},
    drivers::{Gate, LinkId, LinkTerms, Notice, Port, Reported},
    vault::Random,
};

/// Batches of reports that wait for a worker; beyond it the drivers wait.
const REPORTS_WAITING_MAX: usize = 64;

/// The relay is stopping: no link can be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hub is stopping")]
pub struct Stopping;

/// All recipients' workers.
pub struct Registry {
    outbox: Arc<dyn Outbox>,
    gate: Arc<dyn Gate>,
    limits: RelayLimits,
    random: Arc<dyn Random>,
    next_link: AtomicU64,
    workers: Mutex<HashMap<AgencyKey, Handle>>,
    stop: CancellationToken,
}

struct Handle {
    notices: mpsc::UnboundedSender<Notice>,
    reports: mpsc::Sender<Reported>,
    task: JoinHandle<()>,
}

impl Registry {
    /// A registry over the hub's desk.
    pub fn new(desk: Arc<Desk>, limits: RelayLimits, random: Arc<dyn Random>) -> Arc<Self> {
        Self::over(desk, limits, random)
    }

    pub(super) fn over(outbox: Arc<dyn Outbox>, limits: RelayLimits, random: Arc<dyn Random>) -> Arc<Self> {
        Arc::new(Self {
            gate: Arc::new(OutboxGate(Arc::clone(&outbox))),
            outbox,
            limits,
            random,
            next_link: AtomicU64::new(1),
            workers: Mutex::default(),
            stop: CancellationToken::new(),
        })
    }

    /// The relay's bounds.
    pub const fn limits(&self) -> &RelayLimits {
        &self.limits
    }

    /// Starts a worker for each agency of the catalogue with deliveries that have not ended. Until a link connects it
    /// only says how far behind it is.
    pub async fn resume(&self) -> Result<(), CallError> {
        for agency in self.outbox.agencies() {
            if !self.outbox.pending(agency.key(), 0, 1).await?.items.is_empty() {
                self.with_worker(&agency, |_| true);
            }
        }
        Ok(())
    }

    /// Connects a link to `recipient`. Who may is decided before.
    pub fn connect(&self, recipient: &AgencyId, terms: &LinkTerms) -> Result<Port, Stopping> {
        if self.stop.is_cancelled() {
            return Err(Stopping);
        }
        let link = LinkId(self.next_link.fetch_add(1, Ordering::Relaxed));
        let mut port = None;
        self.with_worker(recipient, |worker| {
            let (notices, reports) = (worker.notices.clone(), worker.reports.clone());
            let (driver, batches) = Port::pair(link, terms, Arc::clone(&self.gate), notices, reports);
            let connected = worker.notices.send(Notice::Connected(link, terms.clone(), batches)).is_ok();
            port = connected.then_some(driver);
            connected
        });
        port.ok_or(Stopping)
    }

    /// Takes no more links, closes those that are, records the answers that have come, and ends the workers.
    pub async fn drain(&self) {
        self.stop.cancel();
        let workers: Vec<Handle> = self.workers.lock().drain().map(|(_, worker)| worker).collect();
        for worker in workers {
            let _ = worker.task.await; // a worker that was broken off has said so
        }
    }

    /// Lets `then` have the recipient's worker; when it says that the worker has ended, it gets a new one.
    fn with_worker(&self, recipient: &AgencyId, mut then: impl FnMut(&Handle) -> bool) {
        let mut workers = self.workers.lock();
        let key = recipient.key();
        if let Some(worker) = workers.get(&key)
            && then(worker)
        {
            return;
        }
        if self.stop.is_cancelled() {
            return;
        }
        let worker = self.start(recipient);
        then(&worker);
        workers.insert(key, worker);
    }

    fn start(&self, recipient: &AgencyId) -> Handle {
        let (notices, notices_in) = mpsc::unbounded_channel();
        let (reports, reports_in) = mpsc::channel(REPORTS_WAITING_MAX);
        let task = tokio::spawn(Worker::run(Parts {
            recipient: recipient.clone(),
            outbox: Arc::clone(&self.outbox),
            limits: self.limits,
            random: Arc::clone(&self.random),
            notices: notices_in,
            reports: reports_in,
            stop: self.stop.clone(),
        }));
        Handle { notices, reports, task }
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("limits", &self.limits).finish_non_exhaustive()
    }
}
