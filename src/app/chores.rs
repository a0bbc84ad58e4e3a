//! What a hub does beside its calls, in small steps that do not disturb them.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    desk::Desk,
    domain::time::Moment,
    sequencer::Sequencer,
    store::{
        StoreError,
        embedded::{EmbeddedStore, Held},
    },
};

/// Rows forgotten in one step: some milliseconds of work.
const ROWS: usize = 256;
/// How much longer than the window calls are known: so that none is forgotten between the look at its key's time and the
/// look-up.
const WINDOW_GRACE: Duration = Duration::from_mins(1);
/// How often something is looked for that has had its time.
const EVERY: Duration = Duration::from_mins(1);
/// How often it is told what the store holds in memory.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How long after its hour the key of an epoch is destroyed: what was sealed in it has been committed by then, or is
/// decided again. So a payload is gone 71 minutes after its acknowledgement at the latest.
const EPOCH_GRACE: Duration = Duration::from_mins(10);

/// Tells, as metrics, what the store holds in memory.
pub(super) async fn tell_memory(store: EmbeddedStore, stopping: CancellationToken) {
    let tell = move || {
        set_memory(store.held());
        Ok(())
    };
    again_and_again(TELL_EVERY, tell, "it is not told what the store holds in memory", stopping).await;
}

fn set_memory(held: Held) {
    for (part, bytes) in held.parts() {
        metrics::gauge!("waybill_store_memory_bytes", "part" => part).set(bytes as f64);
    }
}

/// Forgets calls whose keys are older than the window; a repeat of them is refused as too old. Nothing while the clock is
/// not to be trusted, as the sequencer says.
pub(super) async fn forget_calls(
    store: EmbeddedStore,
    sequencer: Sequencer,
    window: Duration,
    stopping: CancellationToken,
) {
    let forget = move || {
        let Ok(now) = sequencer.time() else { return Ok(()) };
        let since = now.before(window + WINDOW_GRACE);
        while store.forget_before(since, ROWS)? == ROWS {
            std::thread::yield_now();
        }
        Ok(())
    };
    again_and_again(EVERY, forget, "old calls are not forgotten", stopping).await;
}

/// Destroys payloads that have had their time: see [`retire_payloads`]; before that, makes room for the key slots of new
/// calls where those of calls that were turned away have left none. Nothing while the clock is not to be trusted.
pub(super) async fn retire(
    store: EmbeddedStore,
    desk: Arc<Desk>,
    sequencer: Sequencer,
    term: Duration,
    stopping: CancellationToken,
) {
    let retire = move || match sequencer.time() {
        Ok(now) => {
            store.make_room_for_slots()?;
            retire_payloads(&store, &desk, now, term).map(drop)
        }
        Err(_) => Ok(()),
    };
    again_and_again(EVERY, retire, "payloads are kept longer than they should be", stopping).await;
}

/// Destroys what is not needed any more at `now`: the epoch keys of hours that are over, and with them every payload that
/// was handed over or cancelled; dead letters of which the `term` is over. What is late is sealed again. Says how many
/// epochs ended. Blocks: not to be called from async code.
pub fn retire_payloads(store: &EmbeddedStore, desk: &Desk, now: Moment, term: Duration) -> Result<usize, StoreError> {
    let dead_since = now.before(term);
    store.forget_dead_letters(dead_since)?;
    let over = store.epochs_before(hour(now.before(EPOCH_GRACE)))?;
    for ended in &over {
        let late = store.retire_epoch(*ended, hour(now), dead_since)?;
        tracing::info!(late, "an hour's payloads are destroyed; those that are late were sealed again");
    }
    desk.forget_epoch();
    Ok(over.len())
}

fn hour(moment: Moment) -> u32 {
    u32::try_from(moment.as_secs() / 3600).unwrap_or(u32::MAX)
}

/// Does `step` again after each `every`, on a thread that may block.
async fn again_and_again(
    every: Duration,
    step: impl Fn() -> Result<(), StoreError> + Send + Sync + 'static,
    failed: &'static str,
    stopping: CancellationToken,
) {
    let step = Arc::new(step);
    let mut ticks = tokio::time::interval(every);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let step = Arc::clone(&step);
        match tokio::task::spawn_blocking(move || step()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "{failed}"),
            Err(ended) if ended.is_panic() => tracing::error!("{failed}: that panicked"),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn each_part_of_the_memory_held_is_a_metric() {
        let held = Held { blocks: 1, write_buffers: 2, recent: 3, known_keys: 4, people: 5, slots: 6 };
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || set_memory(held));
        let page = recorder.handle().render();
        for (part, bytes) in held.parts() {
            assert!(page.contains(&format!("waybill_store_memory_bytes{{part=\"{part}\"}} {bytes}\n")), "{page}");
        }
    }
}
