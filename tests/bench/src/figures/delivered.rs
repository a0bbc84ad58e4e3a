//! `delivered`: records accepted, delivered to two connected recipients and durably acknowledged, over the unary echo's
//! calls.

use super::{Bar, Figure, Stage, accept::IN_FLIGHT, median};
use crate::load::{Job, To};

pub(super) fn measure(stage: &mut Stage) -> anyhow::Result<Figure> {
    let seconds = stage.plan.seconds;
    let (mut rounds, mut hub_us, mut client_us) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..stage.plan.rounds {
        let hub = stage.run(&Job::Delivered { in_flight: IN_FLIGHT, seconds }, false)?;
        let echo = stage.run(&Job::Unary { to: To::Echo, in_flight: IN_FLIGHT, seconds }, true)?;
        rounds.push((hub.outcome.rate(), echo.outcome.rate()));
        hub_us.push(hub.server_us());
        client_us.push(hub.client_us());
    }
    // No bar is set for it.
    Ok(Figure::of("delivered", Bar::AtLeast(0.0), &rounds)
        .with("hub_us", median(&hub_us))
        .with("client_us", median(&client_us)))
}
