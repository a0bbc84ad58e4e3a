//! One partition of a member: whether it runs or rests, when the library is to fetch no more of it, and when it begins
//! again. Where it begins is `assignment.rs`'s matter, what happens to its records `partition.rs`'s.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use rdkafka::{Offset, consumer::Consumer as _};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    assignment::{ANSWER_MAX, Beginning, Binding, Consumer, Context, Place, binding, only},
    partition::{Failed, Incoming, Progress},
};
use crate::{desk::CallError, kafka::Topic};

/// How long a partition rests after a failure; it doubles up to the longest.
pub(super) const REST: Duration = Duration::from_millis(200);
pub(super) const REST_MAX: Duration = Duration::from_secs(5);

/// How often it is asked, at most, whether what is missing in a partition was deleted.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What a partition's task ends with.
type Task = JoinHandle<Result<(), Failed>>;

/// A partition that the member has.
pub(super) struct Slot {
    pub state: State,
    /// Whether the library has been told to fetch no more of it.
    paused: bool,
    failures: u32,
    /// Below this offset everything has been told.
    told: u64,
    arriving: Arriving,
}

/// Which offsets have come. Those of transactions' ends never come; others that are missing were deleted too early.
#[derive(Default)]
struct Arriving {
    /// What comes next, where anything has come before.
    next: Option<u64>,
    /// What did not come, of which it is still to be asked whether it was deleted: the longest such piece.
    missing: Range<u64>,
    asked: Option<Instant>,
}

impl Arriving {
    fn from(next: Option<u64>) -> Self {
        Self { next, ..Self::default() }
    }

    fn arrived(&mut self, offset: u64) {
        let missing = self.next.unwrap_or(offset)..offset;
        if missing.end.saturating_sub(missing.start) > self.missing.end - self.missing.start {
            self.missing = missing;
        }
        self.next = self.next.max(Some(offset + 1));
    }

    /// What is to be asked about now.
    fn due(&self) -> bool {
        !self.missing.is_empty() && self.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY)
    }
}

pub(super) enum State {
    Running(Running),
    /// Until then it is left alone.
    Resting(Instant),
}

pub(super) struct Running {
    pub incoming: mpsc::UnboundedSender<Incoming>,
    pub progress: Arc<Progress>,
    /// Whose word its records are, as long as it runs.
    pub bound: Binding,
    pub stop: CancellationToken,
    pub task: Task,
}

impl State {
    pub(super) fn resting(time: Duration) -> Self {
        Self::Resting(Instant::now() + time)
    }
}

impl Slot {
    /// A partition up to `told`; `paused`, if the library is told so at once.
    pub(super) fn new(state: State, paused: bool, beginning: Option<Beginning>) -> Self {
        let told = beginning.map_or(0, |beginning| beginning.told);
        let arriving = Arriving::from(beginning.and_then(Beginning::unread));
        Self { state, paused, failures: 0, told, arriving }
    }

    /// Below this offset everything has been told.
    pub(super) const fn told(&self) -> u64 {
        self.told
    }

    /// Takes up nothing more: its task, if it has one, ends when it has told what it took up.
    pub(super) fn end(self) -> (Arc<Progress>, Option<Task>) {
        match self.state {
            State::Running(Running { progress, stop, task, .. }) => {
                stop.cancel();
                (progress, Some(task))
            }
            State::Resting(_) => (Arc::new(Progress { told: self.told.into(), ..Progress::default() }), None),
        }
    }

    /// Hands on one record. What comes while the partition rests comes again.
    pub(super) fn take(&mut self, consumer: &Consumer, place: &Place, incoming: Incoming, shared: &Shared) {
        let State::Running(running) = &self.state else { return };
        self.arriving.arrived(incoming.offset);
        let mut queued = running.progress.queued();
        queued.records += 1;
        queued.bytes += incoming.arrived.bytes;
        running.progress.queued.fetch_add(1, Ordering::Relaxed);
        running.progress.untold_bytes.fetch_add(incoming.arrived.bytes, Ordering::Relaxed);
        let _ = running.incoming.send(incoming); // its task may just have ended: then it begins again, and so does this
        if queued.is_full(shared.window_max, shared.untold_bytes_max) {
            self.pause(consumer, place);
        }
    }

    fn pause(&mut self, consumer: &Consumer, place: &Place) {
        if !self.paused {
            match consumer.pause(&only(place)) {
                Ok(()) => self.paused = true,
                Err(error) => tracing::warn!(%error, topic = place.0, partition = place.1, "it cannot be paused"),
            }
        }
    }

    fn resume(&mut self, consumer: &Consumer, place: &Place) {
        if self.paused {
            match consumer.resume(&only(place)) {
                Ok(()) => self.paused = false,
                Err(error) => tracing::warn!(%error, topic = place.0, partition = place.1, "it cannot be resumed"),
            }
        }
    }

    /// Says what the brokers deleted before it came.
    fn miss(&mut self, context: &Context, consumer: &Consumer, place: &Place) {
        if !self.arriving.due() {
            return;
        }
        self.arriving.asked = Some(Instant::now());
        match Context::lowest(consumer, place) {
            Ok(lowest) => {
                let Range { start, end } = std::mem::take(&mut self.arriving.missing);
                context.shared.missed(place, start, lowest.min(end));
            }
            Err(error) => tracing::warn!(%error, topic = place.0, partition = place.1, "its first offset is not known"),
        }
    }

    /// Notes what was told, lets the library fetch on, and begins again what has failed.
    pub(super) fn look_after(&mut self, context: &Context, consumer: &Consumer, place: &Place) {
        self.miss(context, consumer, place);
        match &self.state {
            State::Running(running) => {
                let (told, queued) = (running.progress.told.load(Ordering::Relaxed), running.progress.queued());
                let finished = running.task.is_finished();
                let topic = Topic::parse(&place.0);
                let bound = topic.and_then(|topic| binding(&context.shared.desk.catalogue(), &topic));
                if bound.as_ref() != Some(&running.bound) && !running.stop.is_cancelled() {
                    // What was taken up is decided and told; then it begins again, as the catalogue has it now.
                    tracing::info!(topic = place.0, partition = place.1, "the catalogue binds the topic anew");
                    running.stop.cancel();
                }
                metrics::gauge!("waybill_kafka_queued", "topic" => place.0.clone(), "partition" => place.1.to_string())
                    .set(queued.records as f64);
                if told > self.told {
                    self.told = told;
                    self.failures = 0;
                    context.shared.connection.hook().before_offset(&place.0);
                    // Noted with the next automatic commit. Not while the partition is being taken away: it is told again.
                    let _ = consumer.store_offset(&place.0, place.1, told.cast_signed() - 1);
                }
                if finished {
                    self.pause(consumer, place);
                    self.rest(context, place);
                } else if queued.has_room(context.shared.window_max, context.shared.untold_bytes_max) {
                    self.resume(consumer, place);
                }
            }
            State::Resting(until) if *until <= Instant::now() => self.begin_again(context, consumer, place),
            State::Resting(_) => {}
        }
    }

    fn wait(&mut self) -> State {
        let rest = REST.saturating_mul(1 << self.failures.min(10)).min(REST_MAX);
        self.failures += 1;
        State::resting(rest)
    }

    fn rest(&mut self, context: &Context, place: &Place) {
        let resting = self.wait();
        metrics::counter!("waybill_kafka_retries_total", "topic" => place.0.clone()).increment(1);
        let State::Running(running) = std::mem::replace(&mut self.state, resting) else { return };
        match context.runtime.block_on(running.task) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, topic = place.0, partition = place.1, "a partition rests"),
            // What a panic says may be personal; where it was is in the log.
            Err(_) => tracing::error!(topic = place.0, partition = place.1, "a partition's task failed"),
        }
    }

    fn begin_again(&mut self, context: &Context, consumer: &Consumer, place: &Place) {
        let begun = context.beginning(consumer, place, (self.told > 0).then_some(self.told)).and_then(|beginning| {
            let offset = Offset::Offset(beginning.told.cast_signed());
            let sought = consumer.seek(&place.0, place.1, offset, ANSWER_MAX);
            sought.map_err(|error| CallError::Unavailable(error.to_string()))?;
            Ok(beginning)
        });
        match begun {
            Ok(beginning) => {
                self.told = beginning.told;
                self.arriving = Arriving::from(beginning.unread());
                self.state = match context.begin(place, beginning) {
                    Some(running) => State::Running(running),
                    None => State::resting(REST_MAX),
                };
                if let State::Running(_) = self.state {
                    self.resume(consumer, place);
                }
            }
            Err(error) => {
                tracing::warn!(%error, topic = place.0, partition = place.1, "a partition cannot begin again");
                self.state = self.wait();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_come_is_missing_and_what_comes_again_is_not() {
        for (next, offsets, missing) in [
            (None, &[7, 8][..], 0..0),
            (Some(7), &[7, 8], 0..0),
            (Some(7), &[5, 6, 7], 0..0),
            (Some(7), &[9], 7..9),
            (None, &[7, 9, 20, 22], 10..20),
            (Some(7), &[5, 12], 7..12),
        ] {
            let mut arriving = Arriving::from(next);
            offsets.iter().for_each(|offset| arriving.arrived(*offset));
            assert_eq!(arriving.missing, missing, "{next:?} {offsets:?}");
            assert_eq!(arriving.due(), !missing.is_empty());
        }
    }
}
