//! The desk: one file a use case. It reads what the pure stages of [`crate::exchange`] need, runs them, proposes what
//! they decide to the sequencer, and hands back receipts. Every way in (gRPC, Kafka, …) comes here; none decides by
//! itself.
//!
//! | use case | file |
//! |---|---|
//! | push a record | `submit.rs`, how it is decided `decide.rs` |
//! | push many, in order | `series.rs`, what a log holds `consume.rs` |
//! | take a copy of what was transferred | `copies.rs` |
//! | ask for a record | `request.rs`; its answer `answer.rs`, `evidence.rs`, `no_record.rs`; of whom `providers.rs` |
//! | record a consent, read them | `consent.rs`, `consents.rs` |
//! | take a consent back | `withdraw.rs`, under load `held.rs`, the entry that ends a delivery `cancel.rs` |
//! | search and read entries | `audit.rs` |
//! | hand a delivery over, record its end, replay it | `deliveries.rs` |
//! | publish a catalogue | `operate.rs` |
//! | say no, as an entry | `refuse.rs` |
//! | answer a repeated call | `repeat.rs`, what makes it the same `content.rs` |
//! | seal an entry for its parties | `sealing.rs` |
//! | prove an entry to somebody | `receipts.rs` |
//! | prove an entry's place to anybody | `proofs.rs` |
//! | who may call how often | `quota.rs` |
//! | contain what panics | `panics.rs` |

mod answer;
mod audit;
mod call;
mod cancel;
mod consent;
mod consents;
mod consume;
mod content;
mod copies;
mod decide;
mod deliveries;
mod evidence;
mod held;
mod meters;
mod newcomers;
mod no_record;
mod operate;
mod panics;
mod proofs;
mod providers;
mod quota;
mod receipts;
mod refuse;
mod repeat;
mod request;
mod sealing;
mod series;
mod submit;
mod terms;
mod withdraw;

use std::{cell::RefCell, sync::Arc, time::Duration};

use arc_swap::ArcSwap;

pub use answer::AnswerOutcome;
pub use audit::{EntryView, SearchCall, SearchOutcome, WORD_BYTES_MAX, page_after};
pub use call::{CallError, Refused};
pub use consent::{GrantCall, GrantOutcome, NOTICE_BYTES_MAX};
pub use consents::{ConsentState, ConsentView, ConsentsCall};
pub use consume::Consuming;
pub use deliveries::{
    Content, DeadLetterPage, DeadLetterView, DeliveryContent, DeliveryRef, End, Ending, Opened, Receiver, Replayed,
    TransferState, TransferView, Unopened,
};
pub use evidence::{Evidence, record_of};
pub use operate::{LoadCatalogue, Published};
pub use proofs::{ConsistencyProof, InclusionProof, ProofError};
pub use providers::{Answer, NoRecord, ProvideLink, ProvidedRecord, Providers, Question};
pub use quota::QuotaLimits;
pub use receipts::{Audience, Proof, Receipt, ReceiptDetail};
pub use refuse::Malformed;
pub use request::{ExplicitRequest, REFERENCE_BYTES_MAX, RequestCall, RequestOutcome};
pub use series::{Consumable, GivenUp, NumberedOutcome, SeriesIn, SeriesOut};
pub use submit::{Arrival, RecipientOutcome, SubmitOutcome};
pub use withdraw::{Reached, WithdrawCall, WithdrawOutcome};

use crate::{
    catalogue::Catalogue,
    domain::{environment::Environment, idempotency::Window, time::Clock, transfer::TransferId},
    exchange::validate::ValidateLimits,
    ledger::Committer,
    sequencer::{LedgerReader, Sequencer},
    store::Store,
    vault::{Hasher, Random},
};

/// Bounds of the desk; defaults and documentation are in the table of limits.
#[derive(Debug, Clone, Copy)]
pub struct DeskLimits {
    /// Bounds of records.
    pub validate: ValidateLimits,
    /// The window of idempotency keys.
    pub window: Window,
    /// How long a request may wait for its answer.
    pub request_deadline_max: Duration,
    /// Bytes of a consent's evidence.
    pub evidence_bytes_max: usize,
    /// Entries in a page of a search.
    pub search_page_max: usize,
    /// How long a dead letter can be replayed.
    pub dead_letter_term: Duration,
    /// Rates, bounds and quotas of systems.
    pub quota: QuotaLimits,
}

/// Replays that a recipient's worker may be behind by; beyond it the worker looks through all that is open.
const REPLAYS_UNREAD_MAX: usize = 1024;

/// What the desk works with.
pub struct DeskParts {
    /// Where it is kept.
    pub store: Arc<dyn Store>,
    /// Who writes it.
    pub sequencer: Sequencer,
    /// Under what it is decided.
    pub catalogue: Arc<Catalogue>,
    /// The keyed hashes.
    pub hasher: Hasher,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub random: Arc<dyn Random>,
    /// The environment, told with each receipt.
    pub environment: Environment,
    /// Bounds.
    pub limits: DeskLimits,
}

/// The hub's use cases.
pub struct Desk {
    store: Arc<dyn Store>,
    sequencer: Sequencer,
    reader: LedgerReader,
    catalogue: ArcSwap<Catalogue>,
    hasher: Hasher,
    words: terms::Words,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    environment: Environment,
    limits: DeskLimits,
    quota: quota::Quota,
    epoch: sealing::EpochCache,
    providers: Arc<Providers>,
    replays: tokio::sync::broadcast::Sender<Replayed>,
    newcomers: Arc<newcomers::Newcomers>,
    held: Arc<held::Held>,
    /// One publication at a time, so that the catalogue in force is that of the last entry.
    publishing: tokio::sync::Mutex<()>,
    meters: meters::Meters,
    panics: panics::Panics,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("environment", &self.environment).finish_non_exhaustive()
    }
}

impl Desk {
    /// Opens the desk.
    pub fn new(parts: DeskParts) -> Self {
        let DeskParts { store, sequencer, catalogue, hasher, clock, random, environment, limits } = parts;
        Self {
            reader: LedgerReader::new(Arc::clone(&store)),
            store,
            sequencer,
            catalogue: ArcSwap::new(catalogue),
            words: terms::Words::new(hasher.clone()),
            hasher,
            clock,
            random,
            environment,
            quota: quota::Quota::new(limits.quota),
            limits,
            epoch: sealing::EpochCache::default(),
            providers: Arc::default(),
            replays: tokio::sync::broadcast::Sender::new(REPLAYS_UNREAD_MAX),
            newcomers: Arc::default(),
            held: Arc::default(),
            publishing: tokio::sync::Mutex::default(),
            meters: meters::Meters::new(),
            panics: panics::Panics::default(),
        }
    }

    /// The catalogue in force. A call holds on to it, so that it ends under the one it began under.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.load_full()
    }

    /// The environment.
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// The sequencer.
    pub const fn sequencer(&self) -> &Sequencer {
        &self.sequencer
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// A new id for a decision.
    fn new_id(&self) -> TransferId {
        TransferId::new(self.clock.now(), self.random.bytes())
    }
}

/// Runs `work` with this thread's committer, whose buffers are used again and again.
fn with_committer<T>(work: impl FnOnce(&mut Committer) -> T) -> T {
    thread_local! {
        static COMMITTER: RefCell<Committer> = RefCell::default();
    }
    COMMITTER.with_borrow_mut(work)
}
