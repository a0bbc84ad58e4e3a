//! An open loop: calls at a fixed rate, each timed from when it was due, so that a slow server is not spared.
//!
//! It has a thread and a connection of its own: a rate that leaves the machine half idle would have the threads of a
//! shared runtime wake one another for nothing, on the cores that the server needs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::MissedTickBehavior};

use super::{Outcome, Target, To, histogram, unary::call};
use crate::{
    records::{People, Submissions},
    scene::Scene,
};

/// Not measured.
const BEGIN: Duration = Duration::from_millis(500);
/// Calls are sent in bursts of what has become due: the resolution of the runtime's timers. A call's time begins when it
/// was due, so this is in the times of both sides alike.
const TICK: Duration = Duration::from_millis(1);

/// What is called.
pub(super) struct Paced {
    pub scene: Scene,
    pub to: To,
    pub submissions: Arc<Submissions>,
    pub people: People,
    pub rate: f64,
    pub seconds: f64,
}

/// Runs on the calling thread.
pub(super) fn run(paced: Paced) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let target = Target::connect(&paced.scene, paced.to, &paced.submissions).await?;
        call_all(target, paced).await
    })
}

async fn call_all(target: Target, paced: Paced) -> anyhow::Result<Outcome> {
    let Paced { submissions, mut people, rate, seconds, .. } = paced;
    let started = Instant::now();
    let begin = started + BEGIN;
    let end = begin + Duration::from_secs_f64(seconds);
    let (done, mut answers) = mpsc::unbounded_channel();
    let calling = {
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut due = (0_u64..)
                .map(|nth| started + Duration::from_secs_f64(nth as f64 / rate))
                .take_while(|at| *at < end)
                .peekable();
            while due.peek().is_some() {
                ticks.tick().await;
                let now = Instant::now();
                while let Some(at) = due.next_if(|at| *at <= now) {
                    let (mut target, submissions, person, done) =
                        (target.clone(), Arc::clone(&submissions), people.next(), done.clone());
                    tokio::spawn(async move {
                        let answer = call(&mut target, &submissions, person).await;
                        let _ = done.send((at, Instant::now(), answer)); // nobody counts after an error
                    });
                }
            }
        })
    };
    let mut outcome = Outcome { seconds, ..Outcome::default() };
    let mut times = histogram()?;
    while let Some((at, answered, answer)) = answers.recv().await {
        outcome.total += 1;
        answer?;
        if at >= begin {
            outcome.records += 1;
            times.saturating_record((answered - at).as_micros() as u64);
        }
    }
    calling.await?;
    Ok(outcome.with_times(&times))
}
