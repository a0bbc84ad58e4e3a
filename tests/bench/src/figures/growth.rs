//! `growth`: how CPU per record and memory rise while the ledger grows tenfold; the worse of the two. Of the hub's resident
//! memory, what its bounded caches hold by its own word is subtracted: they may fill up.

use std::{fmt::Write as _, time::Duration};

use super::{Bar, Figure, Stage};
use crate::{
    load::{Job, To},
    processes::{Process, metric},
    scene::Hub,
};

/// The part of a size over which CPU is measured.
const MEASURED: f64 = 0.3;
/// The parts of the store's memory that are bounded caches.
const CACHES: [&str; 5] = ["blocks", "recent", "known_keys", "people", "slots"];
/// What the LSM has still to write to its tables: that must be there, and is not subtracted.
const NO_CACHE: &str = "write_buffers";
/// How long it takes until the hub has told of all that it held at the end of the load: it does so every five seconds.
const TOLD: Duration = Duration::from_secs(6);

/// The hub at one size.
struct At {
    hub_us: f64,
    resident_bytes: u64,
    caches_bytes: f64,
}

impl At {
    fn above_caches(&self) -> f64 {
        self.resident_bytes as f64 - self.caches_bytes
    }
}

pub(super) fn measure(stage: &mut Stage) -> anyhow::Result<Figure> {
    let hub = Process::hub(&stage.scene, Hub::Growing)?;
    let (small, large) = stage.plan.growth;
    stage.client.run(&Job::Everybody { to: To::Growing })?;
    // The transfers to all recipients of everybody's first record.
    let before = grow(stage, &hub, 3 * stage.plan.people, small)?;
    let after = grow(stage, &hub, small, large)?;
    let cpu_ratio = after.hub_us / before.hub_us;
    let (small_bytes, large_bytes) = (before.above_caches(), after.above_caches());
    anyhow::ensure!(small_bytes > 0.0 && large_bytes > 0.0, "the hub tells of more than it has");
    let memory_ratio = large_bytes / small_bytes;
    let sides =
        if cpu_ratio > memory_ratio { (after.hub_us, before.hub_us) } else { (large_bytes / 1e6, small_bytes / 1e6) };
    Ok(Figure::of("growth", Bar::AtMost(1.2), &[sides])
        .with("cpu_ratio", cpu_ratio)
        .with("memory_ratio", memory_ratio)
        .with("small_us", before.hub_us)
        .with("large_us", after.hub_us)
        .with("small_mb", before.resident_bytes as f64 / 1e6)
        .with("large_mb", after.resident_bytes as f64 / 1e6)
        .with("small_caches_mb", before.caches_bytes / 1e6)
        .with("large_caches_mb", after.caches_bytes / 1e6)
        .with("entries", large as f64))
}

/// Grows the ledger from one size to another, and measures on the last part of the way.
fn grow(stage: &mut Stage, hub: &Process, from: u64, to: u64) -> anyhow::Result<At> {
    #[expect(clippy::cast_sign_loss, reason = "a part of a size is not negative")]
    let measured = (to as f64 * MEASURED) as u64;
    let unmeasured = to.saturating_sub(from + measured);
    if unmeasured > 0 {
        stage.client.run(&Job::Fill { to: To::Growing, records: unmeasured })?;
    }
    let before = hub.cpu_s()?;
    let outcome = stage.client.run(&Job::Fill { to: To::Growing, records: measured })?;
    let hub_us = (hub.cpu_s()? - before) * 1e6 / measured as f64;
    #[expect(clippy::disallowed_methods, reason = "this program waits for others")]
    std::thread::sleep(TOLD);
    let resident_bytes = hub.resident_bytes()?;
    let mut told = String::new();
    let mut part = |name: &str| {
        let line = format!("waybill_store_memory_bytes{{part=\"{name}\"}} ");
        let bytes = metric(stage.scene.growing_metrics, &line)?;
        let _ = write!(told, " {name} {:.1}", bytes / 1e6);
        anyhow::Ok(bytes)
    };
    let caches_bytes = CACHES.into_iter().map(&mut part).sum::<anyhow::Result<f64>>()?;
    part(NO_CACHE)?;
    let resident = resident_bytes as f64 / 1e6;
    eprintln!("{to} entries: {:.0}/s, hub {hub_us:.1} us, {resident:.0} MB, of which:{told}", outcome.rate());
    Ok(At { hub_us, resident_bytes, caches_bytes })
}
