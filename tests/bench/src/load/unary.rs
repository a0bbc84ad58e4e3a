//! A closed loop of calls: as many at a time, the next when one is answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use prost::Message as _;

use super::{Client, Outcome, Target, histogram, recorded};
use crate::{
    records::{People, Submissions},
    submitter::SubmitOne,
};

/// Not measured: until connections and caches are warm.
const BEGIN: Duration = Duration::from_millis(300);

/// One caller's count.
struct Calls {
    records: u64,
    total: u64,
    answer_bytes: u32,
    times: Histogram<u64>,
}

pub(super) async fn closed(target: Target, client: &Client, in_flight: usize, seconds: f64) -> anyhow::Result<Outcome> {
    let begin = Instant::now() + BEGIN;
    let end = begin + Duration::from_secs_f64(seconds);
    let mut callers = Vec::with_capacity(in_flight);
    for nth in 0..in_flight {
        let (target, submissions, people) = (target.clone(), Arc::clone(&client.accepted), client.people(nth));
        callers.push(tokio::spawn(async move { caller(target, &submissions, people, begin, end).await }));
    }
    let mut outcome = Outcome { seconds, ..Outcome::default() };
    let mut times = histogram()?;
    for caller in callers {
        let calls = caller.await??;
        outcome.records += calls.records;
        outcome.total += calls.total;
        outcome.answer_bytes = calls.answer_bytes;
        times.add(&calls.times)?;
    }
    Ok(outcome.with_times(&times))
}

async fn caller(
    mut target: Target,
    submissions: &Submissions,
    mut people: People,
    begin: Instant,
    end: Instant,
) -> anyhow::Result<Calls> {
    let mut calls = Calls { records: 0, total: 0, answer_bytes: 0, times: histogram()? };
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok(calls);
        }
        let answer_bytes = call(&mut target, submissions, people.next()).await?;
        let answered = Instant::now();
        calls.total += 1;
        if answered >= begin && answered < end {
            calls.records += 1;
            calls.answer_bytes = answer_bytes;
            calls.times.saturating_record((answered - sent).as_micros() as u64);
        }
    }
}

/// One call; says how long the answer is.
pub(super) async fn call(target: &mut Target, submissions: &Submissions, person: u64) -> anyhow::Result<u32> {
    match target {
        Target::Hub(hub) => {
            let answer = hub.submit(SubmitOne { submission: submissions.of(person) }).await?.into_inner();
            recorded(answer.outcome.as_ref())?;
            let proven = answer.outcome.as_ref().and_then(|outcome| outcome.recipients.first()?.receipt.as_ref());
            anyhow::ensure!(proven.context("no receipt")?.checkpoint.len() > 64, "no proof");
            Ok(answer.encoded_len() as u32)
        }
        Target::Echo(echo, blob) => {
            let answer = echo.one(blob.clone()).await?.into_inner();
            Ok(answer.body.len() as u32)
        }
    }
}
