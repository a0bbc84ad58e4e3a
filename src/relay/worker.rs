//! One recipient's worker: a task that reacts to commits, links, reports and alarms. It waits for nothing but these; what
//! takes long is done beside it (`jobs.rs`). From the outbox to the links: `worker/sending.rs`; from the recipient back:
//! `worker/answers.rs`.

mod answers;
mod sending;

use std::{collections::VecDeque, sync::Arc};

use ahash::{HashMap, HashSet};
use futures_util::{
    StreamExt,
    stream::{FuturesOrdered, FuturesUnordered},
};
use tokio::{
    sync::{broadcast, mpsc},
    task::{JoinError, JoinHandle},
    time::{Duration, Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    RelayLimits,
    book::{Book, Due},
    jobs::{Done, OpenedOne, Stray},
    links::Links,
    meters::Meters,
    outbox::Outbox,
};
use crate::{
    desk::{CallError, DeliveryContent, End, Replayed},
    domain::{
        agency::{AgencyId, AgencyKey},
        transfer::TransferId,
    },
    drivers::{Notice, Report, Reported, Taken},
    store::PendingDelivery,
    vault::Random,
};

/// How long to leave the hub alone after it could not write or read.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a recipient that takes nothing is told of in the metrics: nothing else wakes its worker.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What a worker is made of.
pub(super) struct Parts {
    pub recipient: AgencyId,
    pub outbox: Arc<dyn Outbox>,
    pub limits: RelayLimits,
    pub random: Arc<dyn Random>,
    pub notices: mpsc::UnboundedReceiver<Notice>,
    pub reports: mpsc::Receiver<Reported>,
    pub stop: CancellationToken,
}

pub(super) struct Worker {
    recipient: AgencyKey,
    outbox: Arc<dyn Outbox>,
    limits: RelayLimits,
    random: Arc<dyn Random>,
    meters: Meters,
    book: Book,
    links: Links,
    /// Up to where the outbox has been read.
    cursor: u64,
    replayed: Again,
    /// What was read when it was claimed and can be handed over at once.
    fresh: HashMap<u64, Box<PendingDelivery>>,
    /// Opened, for the next link that takes something.
    staged: VecDeque<Box<DeliveryContent>>,
    /// To be recorded.
    ends: VecDeque<End>,
    /// Transfers whose answer is being recorded, or is to be; and those whose end can never be, until the next start.
    ending: HashSet<TransferId>,
    strays: VecDeque<Stray>,
    claiming: bool,
    finding: bool,
    recording: usize,
    opening_count: usize,
    done: FuturesUnordered<JoinHandle<Done>>,
    opening: FuturesOrdered<JoinHandle<Vec<OpenedOne>>>,
    /// Until when nothing is claimed or recorded, since the hub could not.
    paused: Option<Instant>,
    stopping: bool,
}

/// Dead letters that are due again.
#[derive(Default)]
struct Again {
    /// Those that are not yet claimed.
    known: Vec<u64>,
    /// Whether some were missed, so that the outbox is to be read again from the beginning.
    missed: bool,
}

/// Why a worker goes on or ends.
enum Flow {
    On,
    End,
}

impl Worker {
    /// Runs one recipient's worker until it is told to stop, or the hub has.
    pub(super) async fn run(parts: Parts) {
        let Parts { recipient, outbox, limits, random, notices, reports, stop } = parts;
        let replays = outbox.replays();
        let mut worker = Self::new(&recipient, outbox, limits, random);
        worker.work(notices, reports, replays, &stop).await;
        // Whoever waits for the worker's end may let go of the store then, so nothing goes on beside it.
        while worker.opening.next().await.is_some() {}
        while worker.done.next().await.is_some() {}
    }

    async fn work(
        &mut self,
        mut notices: mpsc::UnboundedReceiver<Notice>,
        mut reports: mpsc::Receiver<Reported>,
        mut replays: broadcast::Receiver<Replayed>,
        stop: &CancellationToken,
    ) {
        loop {
            self.advance();
            if self.stopping && self.ends.is_empty() && self.recording == 0 {
                return;
            }
            let alarm = self.alarm();
            tokio::select! {
                Some(notice) = notices.recv() => self.notice(notice),
                Some(batch) = reports.recv() => {
                    self.take_reports(batch);
                    while let Ok(batch) = reports.try_recv() {
                        self.take_reports(batch);
                    }
                }
                Some(opened) = self.opening.next(), if !self.opening.is_empty() => {
                    if let Flow::End = self.opened(opened) { return }
                }
                Some(done) = self.done.next(), if !self.done.is_empty() => {
                    if let Flow::End = self.finish(done) { return }
                }
                replayed = replays.recv() => self.replay(&replayed),
                grown = self.outbox.grown(self.cursor), if self.wants_news() => {
                    if !grown { return }
                }
                () = sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => self.ring(),
                () = sleep(TELL_EVERY), if !self.wants_news() => {}
                () = stop.cancelled(), if !self.stopping => {
                    while let Ok(batch) = reports.try_recv() {
                        self.take_reports(batch);
                    }
                    self.stop();
                }
            }
        }
    }

    fn new(recipient: &AgencyId, outbox: Arc<dyn Outbox>, limits: RelayLimits, random: Arc<dyn Random>) -> Self {
        Self {
            recipient: recipient.key(),
            outbox,
            limits,
            random,
            meters: Meters::new(recipient.as_str()),
            book: Book::new(),
            links: Links::default(),
            cursor: 0,
            replayed: Again::default(),
            fresh: HashMap::default(),
            staged: VecDeque::new(),
            ends: VecDeque::new(),
            ending: HashSet::default(),
            strays: VecDeque::new(),
            claiming: false,
            finding: false,
            recording: 0,
            opening_count: 0,
            done: FuturesUnordered::new(),
            opening: FuturesOrdered::new(),
            paused: None,
            stopping: false,
        }
    }

    /// Starts whatever can be started.
    fn advance(&mut self) {
        if !self.stopping {
            self.hand_over();
            self.start_opening();
            self.start_claim();
        }
        self.start_recording();
        self.start_finding();
        self.meters.in_flight.set(self.book.out() as f64);
        self.meters.lag_entries.set(self.outbox.size().saturating_sub(self.cursor) as f64);
    }

    /// Closes the links. What they have out is handed over again by the next hub.
    fn stop(&mut self) {
        self.stopping = true;
        self.links.close();
        self.staged.clear();
    }

    fn pause(&mut self, error: &CallError, what: &str) {
        if self.paused.is_none() {
            tracing::warn!(%error, recipient = self.recipient.0, "{what}; trying again");
        }
        self.paused = Some(Instant::now() + PAUSE);
    }

    fn replay(&mut self, replayed: &Result<Replayed, broadcast::error::RecvError>) {
        match *replayed {
            Ok(Replayed { recipient, index }) if recipient == self.recipient => self.replayed.known.push(index),
            Ok(_) => {}
            // Some were missed: look through everything that is open, once what is being claimed is there.
            Err(_) => self.replayed.missed = true,
        }
    }

    /// A job has panicked, or the runtime is going: the worker ends, and the next link starts another.
    fn broken(&self) -> Flow {
        tracing::error!(recipient = self.recipient.0, "a job of the relay was broken off: its worker ends");
        Flow::End
    }

    fn finish(&mut self, done: Result<Done, JoinError>) -> Flow {
        match done {
            Ok(Done::Claimed(search, claimed)) => self.claimed(search, claimed),
            Ok(Done::Recorded(ends, recorded)) => self.recorded(ends, recorded),
            Ok(Done::Found(found)) => self.found(found),
            Err(_) => return self.broken(),
        }
        Flow::On
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Connected(_, _, batches) if self.stopping => drop(batches),
            Notice::Connected(link, terms, batches) => {
                self.links.add(link, terms, batches);
                self.book.set_rule(self.links.rule());
            }
            Notice::Taken(Taken { link, left, ended }) => {
                left.into_iter().for_each(|index| self.book.left(index, link));
                ended.into_iter().for_each(|index| drop(self.end(index)));
            }
            Notice::Lost(link, spared) => {
                self.links.remove(link);
                for index in self.book.out_on(link) {
                    // What its driver had not taken was not attempted.
                    if spared || !self.book.has_left(index) { self.book.spare(index) } else { self.failed(index) }
                }
                self.book.set_rule(self.links.rule());
            }
        }
    }

    fn take_reports(&mut self, batch: Reported) {
        let Reported { link, system, reports } = batch;
        for Report { transfer, outcome } in reports {
            self.answer(transfer, outcome, &system, Some(link));
        }
    }

    /// When something is due.
    fn alarm(&self) -> Option<Instant> {
        [self.book.next_alarm(), self.paused].into_iter().flatten().min()
    }

    fn ring(&mut self) {
        let now = Instant::now();
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
        }
        while let Some(due) = self.book.due(now) {
            if let Due::Overdue(index) = due {
                self.failed(index);
            }
        }
    }
}
