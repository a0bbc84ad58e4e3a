//! `p99_added`: what the hub adds to the echo's 99th percentile, at 70% of the hub's own top rate, over what its disk
//! takes. An open loop: a call is timed from when it was due.

use super::{Bar, Figure, Stage, accept::IN_FLIGHT, disk::sync_times};
use crate::{
    load::{Job, To},
    processes::metrics,
};

const SHARE: f64 = 0.7;
/// Synced writes between the turns.
const SYNCS: usize = 200;
/// The least that is divided by, in ms: two syncs of a slow disk.
const DISK_MS_MIN: f64 = 2.0;
/// Commits, and those of them that took no more than the 250 ms that each may take.
const COMMITS: [&str; 2] = ["waybill_commit_seconds_count ", "waybill_commit_seconds_bucket{le=\"0.25\"} "];

pub(super) fn measure(stage: &mut Stage) -> anyhow::Result<Figure> {
    let seconds = stage.plan.seconds;
    let top = stage.run(&Job::Unary { to: To::Hub, in_flight: IN_FLIGHT, seconds }, false)?.outcome;
    let rate = top.rate() * SHARE;
    let before = slow_commits(stage)?;
    let (mut rounds, mut syncs) = (Vec::new(), Vec::new());
    for _ in 0..stage.plan.rounds {
        let hub = stage.run(&Job::Paced { to: To::Hub, rate, seconds }, false)?.outcome;
        let echo = stage.run(&Job::Paced { to: To::Echo, rate, seconds }, true)?.outcome;
        syncs.extend(sync_times(stage.scene.folder(), SYNCS)?);
        rounds.push((hub.p99_us, echo.p99_us));
    }
    let slow_commits = slow_commits(stage)? - before;
    syncs.sort_unstable();
    let sync_ms = syncs[syncs.len() * 99 / 100].as_secs_f64() * 1e3;
    let disk_ms = DISK_MS_MIN.max(2.0 * sync_ms);
    let added = |(hub, echo): &(u64, u64)| (hub.saturating_sub(*echo) as f64 / 1e3, disk_ms);
    let mean = |pick: fn(&(u64, u64)) -> u64| rounds.iter().map(pick).sum::<u64>() as f64 / rounds.len() as f64 / 1e3;
    Ok(Figure::of("p99_added", Bar::AtMost(3.0), &rounds.iter().map(added).collect::<Vec<_>>())
        .with("hub_p99_ms", mean(|round| round.0))
        .with("echo_p99_ms", mean(|round| round.1))
        .with("rate", rate)
        .with("sync_p99_ms", sync_ms)
        .with("commits_over_250_ms", slow_commits)
        .missed_if(slow_commits > 0.0))
}

/// How many commits have taken longer than they may.
fn slow_commits(stage: &Stage) -> anyhow::Result<f64> {
    let [all, in_time] = metrics(stage.scene.metrics, COMMITS)?;
    Ok(all - in_time)
}
