//! One bidirectional stream with a window: of submissions to a hub, of blobs of the same size to the echo.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use waybill_proto::v1::{self, numbered_outcome};

use super::{Client, Outcome, Target, copies, recorded};
use crate::{
    echo::{Blob, EchoClient},
    records::{ACCEPTED, DELIVERED, Submissions},
    submitter::{Numbered, SubmitMany, SubmitterClient},
};

/// Records in one message, to the hub and to the echo alike.
const CHUNK: usize = 32;
/// Records without answer.
const WINDOW: usize = 1024;
const BEGIN: Duration = Duration::from_millis(300);

/// How long.
pub(super) enum Until {
    /// Seconds.
    Time(f64),
    /// Records.
    Count(u64),
    /// Every person once.
    Everybody,
}

/// Counts what is answered, and says when enough has been sent.
struct Meter {
    begin: Instant,
    end: Option<Instant>,
    records_max: u64,
    sent: u64,
    outcome: Outcome,
}

impl Meter {
    fn new(until: &Until, people: u64) -> Self {
        let started = Instant::now();
        let (begin, end, records_max) = match until {
            Until::Time(seconds) => {
                let begin = started + BEGIN;
                (begin, Some(begin + Duration::from_secs_f64(*seconds)), u64::MAX)
            }
            Until::Count(records) => (started, None, *records),
            Until::Everybody => (started, None, people),
        };
        Self { begin, end, records_max, sent: 0, outcome: Outcome::default() }
    }

    /// How many records to send next; none when it is enough.
    fn next(&mut self) -> usize {
        if self.end.is_some_and(|end| Instant::now() >= end) {
            return 0;
        }
        let count = (self.records_max - self.sent).min(CHUNK as u64);
        self.sent += count;
        count as usize
    }

    fn waiting(&self) -> u64 {
        self.sent - self.outcome.total
    }

    fn answered(&mut self, records: u64) {
        let now = Instant::now();
        self.outcome.total += records;
        if now >= self.begin && self.end.is_none_or(|end| now < end) {
            self.outcome.records += records;
        }
    }

    fn finish(mut self) -> Outcome {
        let end = self.end.unwrap_or_else(Instant::now);
        self.outcome.seconds = (end - self.begin).as_secs_f64();
        self.outcome
    }
}

pub(super) async fn run(target: Target, client: &Client, until: Until) -> anyhow::Result<Outcome> {
    let meter = Meter::new(&until, client.scene.people);
    match target {
        Target::Hub(hub) => {
            if matches!(until, Until::Everybody) {
                let all = client.records.submissions(&[ACCEPTED, DELIVERED].concat())?;
                submissions(hub, &all, 0.., meter).await
            } else {
                let mut people = client.people(0);
                submissions(hub, &client.accepted, std::iter::repeat_with(|| people.next()), meter).await
            }
        }
        Target::Echo(echo, blob) => blobs(echo, &blob, meter).await,
    }
}

/// Submits records of `people`, which do not end.
async fn submissions(
    mut hub: SubmitterClient<tonic::transport::Channel>,
    made: &Submissions,
    mut people: impl Iterator<Item = u64>,
    mut meter: Meter,
) -> anyhow::Result<Outcome> {
    let (sender, out) = mpsc::channel(WINDOW / CHUNK);
    let first = SubmitMany { receipt_detail: v1::ReceiptDetail::Index.into(), submissions: Vec::new() };
    sender.send(first).await?;
    let mut answers = hub.submit_stream(ReceiverStream::new(out)).await?.into_inner();
    let window = answers.message().await?.map_or(WINDOW, |first| first.window as usize).min(WINDOW);
    let mut number = 0;
    loop {
        while meter.waiting() as usize + CHUNK <= window {
            let count = meter.next();
            if count == 0 {
                break;
            }
            let numbered = people.by_ref().take(count).map(|person| {
                number += 1;
                Numbered { number, submission: made.of(person) }
            });
            let message = SubmitMany { receipt_detail: 0, submissions: numbered.collect() };
            sender.send(message).await.context("the hub has closed the stream")?;
        }
        if meter.waiting() == 0 {
            return Ok(meter.finish());
        }
        take(&mut answers, &mut meter).await?;
    }
}

async fn take(answers: &mut Streaming<v1::SubmitStreamResponse>, meter: &mut Meter) -> anyhow::Result<()> {
    let message = answers.message().await?.context("the hub has closed the stream")?;
    let count = message.outcomes.len() as u64;
    if let Some(bytes) = (message.encoded_len() as u64).checked_div(count) {
        meter.outcome.answer_bytes = bytes as u32;
    }
    for one in &message.outcomes {
        match &one.result {
            Some(numbered_outcome::Result::Outcome(outcome)) => drop(recorded(Some(outcome))?),
            other => anyhow::bail!("submission {} had another outcome: {other:?}", one.number),
        }
    }
    meter.answered(count);
    Ok(())
}

async fn blobs(
    mut echo: EchoClient<tonic::transport::Channel>,
    blob: &Blob,
    mut meter: Meter,
) -> anyhow::Result<Outcome> {
    let (sender, out) = mpsc::channel(WINDOW / CHUNK);
    let message = Blob { body: copies(&blob.body, CHUNK) };
    let mut answers = echo.many(ReceiverStream::new(out)).await?.into_inner();
    loop {
        while meter.waiting() as usize + CHUNK <= WINDOW {
            if meter.next() == 0 {
                break;
            }
            sender.send(message.clone()).await.context("the echo has closed the stream")?;
        }
        if meter.waiting() == 0 {
            return Ok(meter.finish());
        }
        answers.message().await?.context("the echo has closed the stream")?;
        meter.answered(CHUNK as u64);
    }
}
