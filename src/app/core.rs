//! The core of a hub: store, sequencer, desk. Tests and the demo put the same core together as `serve` does.

use std::sync::Arc;

use anyhow::Context as _;

use crate::{
    catalogue::Catalogue,
    config::{Config, Limits},
    desk::{Desk, DeskLimits, DeskParts, QuotaLimits},
    domain::{
        environment::Environment,
        idempotency::Window,
        time::{Clock, SystemClock},
    },
    exchange::{parse::RecordLimits, validate::ValidateLimits},
    kafka::{KafkaHook, NoKafkaHook},
    sequencer::{Bounds, Sequencer, Signing},
    store::{
        Store,
        embedded::{CommitHook, EmbeddedOptions, EmbeddedStore, NoHook},
    },
    vault::{MasterKey, Random, SystemRandom},
};

/// What a hub is put together from, beside its configuration. Tests bring their own clock and hooks.
#[derive(Clone)]
pub struct Surroundings {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub random: Arc<dyn Random>,
    /// What the steps of a commit call.
    pub commits: Arc<dyn CommitHook>,
    /// What the steps of a message from and to Kafka call.
    pub kafka: Arc<dyn KafkaHook>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            commits: Arc::new(NoHook),
            kafka: Arc::new(NoKafkaHook),
        }
    }
}

/// A hub without its ways in and out: store, sequencer, desk.
pub struct Core {
    /// The store.
    pub store: EmbeddedStore,
    /// The one writer.
    pub sequencer: Sequencer,
    /// The use cases.
    pub desk: Arc<Desk>,
}

/// The bounds of the desk, from the table of limits.
pub fn desk_limits(limits: &Limits) -> DeskLimits {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let nonzero = |value: u32| std::num::NonZeroU32::new(value).unwrap_or(std::num::NonZeroU32::MIN);
    DeskLimits {
        validate: ValidateLimits {
            record: RecordLimits {
                bytes_max: limits.record_bytes_max,
                depth_max: u8::try_from(limits.record_depth_max).unwrap_or(u8::MAX),
                values_max: number(limits.record_values_max),
                string_bytes_max: limits.record_string_bytes_max,
            },
            violations_max: limits.violations_max,
        },
        window: Window { back: limits.idempotency_back_s_max, ahead: limits.idempotency_ahead_s_max },
        request_deadline_max: limits.request_s_max,
        evidence_bytes_max: limits.evidence_bytes_max,
        search_page_max: limits.search_page_max,
        dead_letter_term: limits.dead_letter_s_max,
        quota: QuotaLimits {
            rate_per_s: nonzero(limits.rate_per_s_max),
            rate_burst: nonzero(number(limits.rate_burst_max)),
            refusals_per_s: nonzero(limits.refusals_per_s_max),
            refusals_burst: nonzero(number(limits.refusals_burst_max)),
            in_flight_max: number(limits.in_flight_per_system_max),
        },
    }
}

/// The bounds of the sequencer, from the table of limits.
pub fn sequencer_bounds(limits: &Limits) -> Bounds {
    Bounds {
        batch_entries_max: limits.batch_entries_max,
        batch_bytes_max: limits.batch_bytes_max,
        batch_wait_max: limits.batch_wait_ms_max,
        queue_per_system_max: limits.queue_per_system_max,
        queue_max: limits.queue_total_max,
        clock_behind_max: limits.clock_behind_ms_max,
        clock_jump_max: limits.clock_jump_s_max,
    }
}

impl Core {
    /// Opens the store (or creates it in an empty folder), checks the ledger, publishes the catalogue if it changed.
    pub async fn start(
        options: EmbeddedOptions,
        signing: Signing,
        catalogue: Catalogue,
        limits: &Limits,
        surroundings: Surroundings,
    ) -> anyhow::Result<Self> {
        let environment: Environment = options.environment;
        let hasher = options.master_key.hasher();
        let store = open_store(options)?;
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        let clock = Arc::clone(&surroundings.clock);
        let sequencer =
            Sequencer::start(Arc::clone(&shared), signing, Arc::clone(&clock), sequencer_bounds(limits)).await?;
        let catalogue = Arc::new(catalogue);
        let desk = Arc::new(Desk::new(DeskParts {
            store: shared,
            sequencer: sequencer.clone(),
            catalogue: Arc::clone(&catalogue),
            hasher,
            clock,
            random: surroundings.random,
            environment,
            limits: desk_limits(limits),
        }));
        desk.publish(catalogue).await.context("the catalogue was not published")?;
        Ok(Self { store, sequencer, desk })
    }
}

/// Opens the store; one that is not there yet is created. A folder that holds half a store is neither.
fn open_store(options: EmbeddedOptions) -> anyhow::Result<EmbeddedStore> {
    if !EmbeddedStore::exists(&options.path) {
        std::fs::create_dir_all(&options.path).with_context(|| format!("{}", options.path.display()))?;
        EmbeddedStore::create(&options)?;
    }
    Ok(EmbeddedStore::open(options)?)
}

/// The options of the embedded store, from the configuration.
pub fn store_options(config: &Config, origin: &str, master: Arc<MasterKey>) -> EmbeddedOptions {
    let mut options = EmbeddedOptions::new(config.paths.data.clone(), config.environment, origin, master);
    options.memory.block_bytes = config.store.cache_bytes;
    options.reserve_bytes = config.store.reserve_bytes();
    options
}
