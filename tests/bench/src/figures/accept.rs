//! `unary_accept` and `stream_accept`: records accepted, over the bare echo's.

use super::{Bar, Costed, Figure, Stage, median};
use crate::load::{Job, To};

/// Calls at a time.
pub(super) const IN_FLIGHT: usize = 256;

pub(super) fn unary(stage: &mut Stage) -> anyhow::Result<Figure> {
    let seconds = stage.plan.seconds;
    compare(stage, "unary_accept", Bar::AtLeast(0.5), |to| Job::Unary { to, in_flight: IN_FLIGHT, seconds })
}

pub(super) fn stream(stage: &mut Stage) -> anyhow::Result<Figure> {
    let seconds = stage.plan.seconds;
    compare(stage, "stream_accept", Bar::AtLeast(0.2), |to| Job::Stream { to, seconds })
}

/// Rounds of the same job, at the hub and at the echo.
fn compare(stage: &mut Stage, name: &'static str, bar: Bar, job: impl Fn(To) -> Job) -> anyhow::Result<Figure> {
    let mut rounds: Vec<(Costed, Costed)> = Vec::with_capacity(stage.plan.rounds);
    for _ in 0..stage.plan.rounds {
        let hub = stage.run(&job(To::Hub), false)?;
        let echo = stage.run(&job(To::Echo), true)?;
        rounds.push((hub, echo));
    }
    let rates: Vec<_> = rounds.iter().map(|(hub, echo)| (hub.outcome.rate(), echo.outcome.rate())).collect();
    let of = |pick: fn(&(Costed, Costed)) -> f64| median(&rounds.iter().map(pick).collect::<Vec<_>>());
    Ok(Figure::of(name, bar, &rates)
        .with("hub_us", of(|(hub, _)| hub.server_us()))
        .with("hub_client_us", of(|(hub, _)| hub.client_us()))
        .with("echo_us", of(|(_, echo)| echo.server_us()))
        .with("echo_client_us", of(|(_, echo)| echo.client_us()))
        .with("answer_bytes", of(|(hub, _)| f64::from(hub.outcome.answer_bytes))))
}
