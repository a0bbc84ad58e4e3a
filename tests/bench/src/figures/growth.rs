//! `growth`: how CPU per record and memory rise while the ledger grows tenfold; the worse of the two.

use waybill::store::embedded::Memory;

use super::{Bar, Figure, Stage};
use crate::{
    load::{Job, To},
    processes::Process,
    scene::Hub,
};

/// The part of a size over which CPU is measured.
const MEASURED: f64 = 0.3;
/// The cache of blocks that the growing hub is configured with, in bytes.
const BLOCK_CACHE_BYTES: u64 = 16 << 20;
/// What one idempotency key takes in the hub's cache of them: 56 bytes in a table that is half to seven eighths full.
const KNOWN_KEY_BYTES: u64 = 88;

/// The hub at one size.
struct At {
    hub_us: f64,
    resident_bytes: u64,
}

pub(super) fn measure(stage: &mut Stage) -> anyhow::Result<Figure> {
    let hub = Process::hub(&stage.scene, Hub::Growing)?;
    let (small, large) = stage.plan.growth;
    stage.client.run(&Job::Everybody { to: To::Growing })?;
    // The transfers to all recipients of everybody's first record.
    let before = grow(stage, &hub, 3 * stage.plan.people, small)?;
    let after = grow(stage, &hub, small, large)?;
    let above_caches = |at: &At, size| at.resident_bytes.saturating_sub(caches_bytes(size)) as f64;
    let cpu_ratio = after.hub_us / before.hub_us;
    let (small_bytes, large_bytes) = (above_caches(&before, small), above_caches(&after, large));
    anyhow::ensure!(small_bytes > 0.0 && large_bytes > 0.0, "the hub's caches are not filled: no growth can be told");
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
        .with("entries", large as f64))
}

/// What the hub's bounded caches hold in a ledger of this size, in bytes, but for those of people: these are full before.
fn caches_bytes(size: u64) -> u64 {
    let memory = Memory::default();
    BLOCK_CACHE_BYTES + memory.recent_bytes as u64 + KNOWN_KEY_BYTES * size.min(memory.known_keys as u64)
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
    let resident_bytes = hub.resident_bytes()?;
    eprintln!("{to} entries: {:.0}/s, hub {hub_us:.1} us, {} MB", outcome.rate(), resident_bytes / 1_000_000);
    Ok(At { hub_us, resident_bytes })
}
