//! One recipient's worker: a task that reacts to commits, links, reports and alarms. It waits for nothing but these; what
//! takes long is done beside it (`jobs.rs`).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use futures_util::{
    StreamExt,
    stream::{FuturesOrdered, FuturesUnordered},
};
use tokio::{
    sync::{broadcast, mpsc},
    task::{JoinError, JoinHandle},
    time::{Duration, Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    RelayLimits,
    book::{Book, Due},
    jobs::{self, Claimed, Done, OpenedOne, Search, Stray, ToOpen},
    links::Links,
    meters::Meters,
    outbox::Outbox,
};
use crate::{
    desk::{CallError, Content, DeliveryContent, DeliveryRef, End, Ending, Replayed},
    domain::{
        agency::{AgencyId, AgencyKey, SystemId},
        transfer::TransferId,
    },
    drivers::{BATCH_BYTES_MAX, BATCH_MAX, LinkId, Notice, Outbound, Outcome, Report, Reports},
    store::PendingDelivery,
    vault::Random,
};

/// Deliveries in one claim at most: small enough that a claim and what follows it overlap.
const CLAIM_MAX: usize = 512;
/// Deliveries that are open and not yet handed over, in batches.
const OPEN_BATCHES_MAX: usize = 4;
/// Ends in one commit at most: a good part of a batch of the sequencer, and not all of it.
const RECORD_MAX: usize = 128;
/// Commits of ends under way: one is on its way to the disk while the next is sealed.
const RECORDING_MAX: usize = 2;
/// Late answers that wait to be looked up; beyond it they are forgotten, and the deliveries come again.
const STRAYS_MAX: usize = 1024;
/// How long to leave the hub alone after it could not write or read.
const PAUSE: Duration = Duration::from_secs(1);

/// What a worker is made of.
pub(super) struct Parts {
    pub recipient: AgencyId,
    pub outbox: Arc<dyn Outbox>,
    pub limits: RelayLimits,
    pub random: Arc<dyn Random>,
    pub notices: mpsc::UnboundedReceiver<Notice>,
    pub reports: mpsc::Receiver<Reports>,
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
    /// Dead letters that are due again and not yet claimed.
    replayed: Vec<u64>,
    /// What was read when it was claimed and can be handed over at once.
    fresh: HashMap<u64, Box<PendingDelivery>>,
    /// Opened, for the next link that takes something.
    staged: VecDeque<Box<DeliveryContent>>,
    /// To be recorded.
    ends: Vec<End>,
    /// Transfers whose answer is being recorded, or is to be.
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

/// Why a worker goes on or ends.
enum Flow {
    On,
    End,
}

impl Worker {
    /// Runs one recipient's worker until it is told to stop, or the hub has.
    pub(super) async fn run(parts: Parts) {
        let Parts { recipient, outbox, limits, random, mut notices, mut reports, stop } = parts;
        let mut replays = outbox.replays();
        let mut worker = Self::new(&recipient, outbox, limits, random);
        loop {
            worker.advance();
            if worker.stopping && worker.ends.is_empty() && worker.recording == 0 {
                return;
            }
            let alarm = worker.alarm();
            tokio::select! {
                Some(notice) = notices.recv() => worker.notice(notice),
                Some(batch) = reports.recv() => {
                    worker.take_reports(batch);
                    while let Ok(batch) = reports.try_recv() {
                        worker.take_reports(batch);
                    }
                }
                Some(opened) = worker.opening.next(), if !worker.opening.is_empty() => {
                    if let Flow::End = worker.opened(opened) { return }
                }
                Some(done) = worker.done.next(), if !worker.done.is_empty() => {
                    if let Flow::End = worker.finish(done) { return }
                }
                replayed = replays.recv() => worker.replay(replayed),
                grown = worker.outbox.grown(worker.cursor), if worker.wants_news() => {
                    if !grown { return }
                }
                () = sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => worker.ring(),
                () = stop.cancelled(), if !worker.stopping => {
                    while let Ok(batch) = reports.try_recv() {
                        worker.take_reports(batch);
                    }
                    worker.stop();
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
            replayed: Vec::new(),
            fresh: HashMap::new(),
            staged: VecDeque::new(),
            ends: Vec::new(),
            ending: HashSet::new(),
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

    /// How many deliveries may be claimed now: what the links can take, and the book can hold.
    fn claim_room(&self) -> usize {
        let coming = self.opening_count + self.staged.len() + self.book.ready();
        let credit = self.links.credit_left().saturating_sub(coming);
        credit.min(self.limits.held_max.saturating_sub(self.book.len())).min(CLAIM_MAX.saturating_sub(coming))
    }

    fn wants_news(&self) -> bool {
        !self.claiming && !self.stopping && self.paused.is_none() && self.claim_room() > 0
    }

    fn start_claim(&mut self) {
        if !self.wants_news() {
            return;
        }
        let room = self.claim_room();
        let search = if !self.replayed.is_empty() {
            Search::Replayed(self.replayed.split_off(self.replayed.len().saturating_sub(room)))
        } else if self.outbox.size() > self.cursor {
            Search::From(self.cursor, room)
        } else {
            return;
        };
        self.claiming = true;
        let job = jobs::claim(Arc::clone(&self.outbox), self.recipient, search);
        self.done.push(tokio::spawn(job));
    }

    fn claimed(&mut self, search: Search, claimed: Result<Claimed, CallError>) {
        self.claiming = false;
        let Claimed { items, next } = match claimed {
            Ok(claimed) => claimed,
            Err(error) => {
                if let Search::Replayed(indices) = search {
                    self.replayed.extend(indices);
                }
                return self.pause(&error, "deliveries could not be claimed");
            }
        };
        if let Some(next) = next {
            self.cursor = next;
        }
        for item in items {
            let Some(delivery) = DeliveryRef::of(&item.entry) else { continue };
            let index = delivery.index;
            // Those that have to wait for their turn are read again then.
            if self.book.hold(delivery) && self.book.is_ready(index) {
                self.fresh.insert(index, Box::new(item));
            }
        }
    }

    fn replay(&mut self, replayed: Result<Replayed, broadcast::error::RecvError>) {
        match replayed {
            Ok(Replayed { recipient, index }) if recipient == self.recipient => self.replayed.push(index),
            Ok(_) => {}
            // Some were missed: look through everything that is open.
            Err(_) => self.cursor = 0,
        }
    }

    /// Takes what can be handed over soon, and has it opened.
    fn start_opening(&mut self) {
        loop {
            let coming = self.opening_count + self.staged.len();
            let room = self.links.room().min(OPEN_BATCHES_MAX * BATCH_MAX).saturating_sub(coming);
            let taken = self.book.take(room.min(BATCH_MAX));
            if taken.is_empty() {
                return;
            }
            let fresh = &mut self.fresh;
            let wanted: Vec<ToOpen> =
                taken.iter().map(|index| fresh.remove(index).map_or(ToOpen::Again(*index), ToOpen::Fresh)).collect();
            self.opening_count += wanted.len();
            let job = jobs::open(Arc::clone(&self.outbox), self.recipient, wanted);
            self.opening.push_back(tokio::spawn(job));
        }
    }

    fn opened(&mut self, opened: Result<Vec<OpenedOne>, JoinError>) -> Flow {
        let Ok(opened) = opened else { return self.broken() };
        self.opening_count -= opened.len();
        for one in opened {
            match one {
                OpenedOne::Ended(index) => drop(self.end(index)),
                OpenedOne::Unread(index) => drop(self.book.rest(index, Instant::now() + PAUSE)),
                OpenedOne::Opened(opened) => {
                    self.book.learn(&opened.delivery);
                    let index = opened.delivery.index;
                    match opened.content {
                        Content::Ready(content) => self.staged.push_back(content),
                        Content::Gone => self.conclude(index, Ending::Unopenable),
                        Content::Failed => self.failed(index),
                    }
                }
            }
        }
        Flow::On
    }

    /// A job has panicked, or the runtime is going: the worker ends, and the next link starts another.
    fn broken(&self) -> Flow {
        tracing::error!(recipient = self.recipient.0, "a job of the relay was broken off: its worker ends");
        Flow::End
    }

    /// Hands over what is open, to whichever link has most credit left.
    fn hand_over(&mut self) {
        while let Some((link, to, share)) = self.links.best(self.staged.len()) {
            let until = Instant::now() + to.terms.report_within;
            let (mut batch, mut bytes) = (Vec::with_capacity(share), 0);
            while batch.len() < share
                && let Some(content) = self.staged.pop_front()
            {
                bytes += content.payload.len();
                if bytes > BATCH_BYTES_MAX && !batch.is_empty() {
                    self.staged.push_front(content);
                    break;
                }
                // It may have ended while it was opened.
                if let Some(attempt) = self.book.attempt(content.index) {
                    batch.push(Outbound { content, attempt });
                }
            }
            if batch.is_empty() {
                continue;
            }
            let indices: Vec<u64> = batch.iter().map(|one| one.content.index).collect();
            if to.batches.try_send(batch).is_ok() {
                self.links.take(link, indices.len());
                self.meters.handed.increment(indices.len() as u64);
                indices.iter().for_each(|index| self.book.handed(*index, link, until));
            } else {
                // The driver has gone, and is about to say so: its credit counts no more.
                self.links.remove(link);
                indices.iter().for_each(|index| self.book.put_back(*index));
            }
        }
        if self.links.is_empty() {
            self.staged.drain(..).for_each(|content| self.book.put_back(content.index));
        }
    }

    fn start_recording(&mut self) {
        while self.recording < RECORDING_MAX && !self.ends.is_empty() && (self.paused.is_none() || self.stopping) {
            let rest = self.ends.split_off(self.ends.len().min(RECORD_MAX));
            let ends = std::mem::replace(&mut self.ends, rest);
            self.recording += 1;
            self.done.push(tokio::spawn(jobs::record(Arc::clone(&self.outbox), self.recipient, ends)));
        }
    }

    fn recorded(&mut self, ends: Vec<End>, recorded: Result<(), CallError>) {
        self.recording -= 1;
        match recorded {
            Ok(()) => {
                for end in &ends {
                    self.ending.remove(&end.delivery.id);
                    match end.how {
                        Ending::Acknowledged(_) => self.meters.acknowledged.increment(1),
                        Ending::Rejected(_) => self.meters.rejected.increment(1),
                        Ending::DeadLettered | Ending::Unopenable => self.meters.dead_lettered.increment(1),
                    }
                }
            }
            // Unrecorded answers are given again after the restart, when the deliveries are.
            Err(error) if self.stopping => tracing::warn!(%error, "ends of deliveries were not recorded"),
            Err(error) => {
                self.ends.splice(0..0, ends);
                self.pause(&error, "ends of deliveries could not be recorded");
            }
        }
    }

    fn start_finding(&mut self) {
        if self.finding || self.strays.is_empty() || self.stopping {
            return;
        }
        let (book, ending) = (&self.book, &self.ending);
        let unknown = |stray: &Stray| book.index_of(stray.id).is_none() && !ending.contains(&stray.id);
        let (strays, held): (Vec<_>, Vec<_>) = self.strays.drain(..self.strays.len().min(BATCH_MAX)).partition(unknown);
        for Stray { id, outcome, system } in held {
            self.answer(id, outcome, &system, None);
        }
        if !strays.is_empty() {
            self.finding = true;
            self.done.push(tokio::spawn(jobs::find(Arc::clone(&self.outbox), self.recipient, strays)));
        }
    }

    fn found(&mut self, found: Vec<(Stray, DeliveryRef)>) {
        self.finding = false;
        for (Stray { id, outcome, system }, delivery) in found {
            if self.book.index_of(id).is_some() {
                self.answer(id, outcome, &system, None);
            } else if let Some(how) = ending(outcome, &system)
                && self.ending.insert(id)
            {
                // How often it was handed over is not known any more; once at least.
                self.ends.push(End { delivery, how, attempts: 1 });
            }
        }
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
            Notice::Taken(ended) => ended.into_iter().for_each(|index| drop(self.end(index))),
            Notice::Lost(link) => {
                self.links.remove(link);
                self.book.out_on(link).into_iter().for_each(|index| self.failed(index));
                self.book.set_rule(self.links.rule());
            }
        }
    }

    fn take_reports(&mut self, batch: Reports) {
        let Reports { link, system, reports } = batch;
        for Report { transfer, outcome } in reports {
            self.answer(transfer, outcome, &system, Some(link));
        }
    }

    /// What became of a delivery, says its recipient. A word about an earlier attempt counts as well, but for a failure:
    /// the attempt that is out now may succeed.
    fn answer(&mut self, id: TransferId, outcome: Outcome, system: &SystemId, link: Option<LinkId>) {
        let Some(index) = self.book.index_of(id) else {
            if outcome != Outcome::Failed && !self.ending.contains(&id) && self.strays.len() < STRAYS_MAX {
                self.strays.push_back(Stray { id, outcome, system: system.clone() });
            }
            return;
        };
        match ending(outcome, system) {
            Some(how) => self.conclude(index, how),
            None if link.is_some_and(|link| self.book.is_out_on(index, link)) => self.failed(index),
            None => {}
        }
    }

    /// An attempt failed: the delivery rests, or is given up.
    fn failed(&mut self, index: u64) {
        if self.book.attempt(index).is_some() {
            // It never reached a link, but an attempt that always fails must come to an end, too.
            self.book.count_attempt(index);
        }
        let attempts = self.book.attempts(index);
        if attempts >= self.limits.attempts_max {
            return self.conclude(index, Ending::DeadLettered);
        }
        self.meters.retried.increment(1);
        let random = u64::from_be_bytes(self.random.bytes());
        let link = self.book.rest(index, Instant::now() + self.limits.backoff.wait(attempts, random));
        self.links.give_back(link);
    }

    /// Ends a delivery and has it recorded.
    fn conclude(&mut self, index: u64, how: Ending) {
        if let Some((delivery, attempts)) = self.end(index) {
            // An answer to a delivery that is being given up still says something new; one to an answered one does not.
            if !how.is_given_up() {
                self.ending.insert(delivery.id);
            }
            self.ends.push(End { delivery, how, attempts });
        }
    }

    /// Ends a delivery without an entry: there is one.
    fn end(&mut self, index: u64) -> Option<(DeliveryRef, u32)> {
        self.fresh.remove(&index);
        let left = self.book.end(index)?;
        self.links.give_back(left.link);
        Some((left.delivery, left.attempts))
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

/// The end that an answer is, if it is one.
fn ending(outcome: Outcome, system: &SystemId) -> Option<Ending> {
    match outcome {
        Outcome::Acknowledged => Some(Ending::Acknowledged(system.clone())),
        Outcome::Rejected => Some(Ending::Rejected(system.clone())),
        Outcome::Failed => None,
    }
}
