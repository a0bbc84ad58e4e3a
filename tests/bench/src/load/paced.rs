//! An open loop: calls at a fixed rate, each timed from when it was due, so that a slow server is not spared.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{Client, Outcome, Target, histogram, unary::call};

/// Not measured.
const BEGIN: Duration = Duration::from_millis(500);
/// How often the pacing thread looks at the clock: tokio's timers have a millisecond, which would be in every time.
const TICK: Duration = Duration::from_micros(200);

pub(super) async fn run(target: Target, client: &Client, rate: f64, seconds: f64) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let begin = started + BEGIN;
    let end = begin + Duration::from_secs_f64(seconds);
    let (sender, mut due) = mpsc::unbounded_channel::<Instant>();
    let pacing = std::thread::spawn(move || {
        let mut nth = 0_u64;
        loop {
            let at = started + Duration::from_secs_f64(nth as f64 / rate);
            if at >= end {
                return;
            }
            while Instant::now() < at {
                #[expect(clippy::disallowed_methods, reason = "a thread of its own that only keeps time")]
                std::thread::sleep(TICK.min(at.saturating_duration_since(Instant::now())));
            }
            if sender.send(at).is_err() {
                return;
            }
            nth += 1;
        }
    });
    let (done, mut answers) = mpsc::unbounded_channel();
    let mut people = client.people(0);
    let calling = {
        let records = Arc::clone(&client.records);
        tokio::spawn(async move {
            while let Some(at) = due.recv().await {
                let (mut target, records, person, done) =
                    (target.clone(), records.clone(), people.next(), done.clone());
                tokio::spawn(async move {
                    let answer = call(&mut target, &records, person).await;
                    let _ = done.send((at, Instant::now(), answer)); // nobody counts after an error
                });
            }
        })
    };
    let mut outcome = Outcome { seconds, ..Outcome::default() };
    let mut times = histogram()?;
    while let Some((at, answered, answer)) = answers.recv().await {
        outcome.total += 1;
        outcome.answer_bytes = answer?;
        if at >= begin {
            outcome.records += 1;
            times.saturating_record((answered - at).as_micros() as u64);
        }
    }
    calling.await?;
    pacing.join().map_err(|_| anyhow::anyhow!("the pacing thread failed"))?;
    Ok(outcome.with_times(&times))
}
