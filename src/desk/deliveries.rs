//! How deliveries end: acknowledged, rejected, dead-lettered. Each is an entry for those who keep the transfer's trail;
//! what arrives together is written together. When to hand over is the relay's matter.

mod open;
mod receiver;
mod replay;
mod transfer;

use std::sync::Arc;

use tokio::sync::broadcast;

use super::{CallError, Desk, sealing::HUB, sealing::too_much, submit::DECIDE_ATTEMPTS_MAX, with_committer};
use crate::{
    domain::{
        agency::{AgencyKey, SystemId},
        transfer::{DeliveryState, TransferId},
    },
    exchange::{
        seal::{self, PARTIES_MAX},
        statement::Statement,
    },
    ledger::{Attribute, Kind},
    sequencer::{Proposal, SealedEntry, SequencerError},
    store::{Class, DeliveryChange, Expect, Owner, Slot, SlotNumber, StoreError, StoredEntry},
    vault::{Term, TermKind},
};

pub use open::{Content, DeliveryContent, Opened, Unopened};
pub use receiver::Receiver;
pub use replay::{DeadLetterPage, DeadLetterView, Replayed};
pub use transfer::{TransferState, TransferView};

/// A delivery as the relay keeps it in memory: what it needs to order it, and the desk to record its end.
#[derive(Debug, Clone)]
pub struct DeliveryRef {
    /// The transfer's entry.
    pub index: u64,
    /// The transfer.
    pub id: TransferId,
    /// Deliveries with the same value go one after the other.
    pub order: u64,
    /// Whom the transfer is about.
    about: Option<Term>,
    /// The trail slots of those who keep the transfer's trail.
    keepers: [Option<SlotNumber>; PARTIES_MAX],
    /// Known once it was opened.
    parties: Option<Arc<Parties>>,
}

/// Between whom a transfer moves, as its trail says.
#[derive(Debug, PartialEq, Eq)]
struct Parties {
    source: String,
    recipient: String,
    agreement: String,
}

impl DeliveryRef {
    /// The delivery that an entry carries, if it carries one.
    pub fn of(stored: &StoredEntry) -> Option<Self> {
        let mut keepers = [None; PARTIES_MAX];
        for (keeper, wrapped) in keepers.iter_mut().zip(&stored.routing.secrets) {
            *keeper = Some(wrapped.slot);
        }
        Some(Self {
            index: stored.index,
            id: stored.routing.id,
            order: stored.routing.outgoing?.order,
            about: stored.routing.terms.first().copied(),
            keepers,
            parties: None,
        })
    }
}

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The recipient has it, says this system.
    Acknowledged(SystemId),
    /// The recipient cannot process it, now or later, says this system.
    Rejected(SystemId),
    /// It was handed over in vain as often as is tried.
    DeadLettered,
    /// It cannot be opened any more: its keys were erased, or its bytes are damaged.
    Unopenable,
}

impl Ending {
    const fn kind(&self) -> Kind {
        match self {
            Self::Acknowledged(_) => Kind::DeliveryAcknowledged,
            Self::Rejected(_) => Kind::DeliveryRejected,
            Self::DeadLettered | Self::Unopenable => Kind::DeliveryDeadLettered,
        }
    }

    const fn state(&self) -> DeliveryState {
        match self {
            Self::Acknowledged(_) => DeliveryState::Acknowledged,
            Self::Rejected(_) => DeliveryState::Rejected,
            Self::DeadLettered | Self::Unopenable => DeliveryState::DeadLettered,
        }
    }

    const fn outcome(&self) -> &'static str {
        match self {
            Self::Acknowledged(_) => "acknowledged",
            Self::Rejected(_) => "rejected: unprocessable",
            Self::DeadLettered => "dead-lettered",
            Self::Unopenable => "dead-lettered: unopenable",
        }
    }

    /// Whether the hub says so and not the recipient. What the recipient says is true even of a cancelled delivery.
    pub(crate) const fn is_given_up(&self) -> bool {
        matches!(self, Self::DeadLettered | Self::Unopenable)
    }
}

/// One delivery's end, to be recorded.
#[derive(Debug, Clone)]
pub struct End {
    /// Which.
    pub delivery: DeliveryRef,
    /// How.
    pub how: Ending,
    /// How often it was handed over.
    pub attempts: u32,
}

/// What an entry about a delivery says beside its transfer.
struct Step<'a> {
    kind: Kind,
    outcome: &'a str,
    attempts: u32,
    system: Option<&'a SystemId>,
}

impl Desk {
    /// Tells of each dead letter that is made due again.
    pub fn replays(&self) -> broadcast::Receiver<Replayed> {
        self.replays.subscribe()
    }

    /// Records how deliveries of `recipient` ended, in one commit. One that was cancelled in the meantime is not given
    /// up any more (so that it can never be replayed); it gets no entry. Nor does one that damage keeps from being sealed:
    /// it is set aside, and holds up no other. Returns once it is durable, with the indices of what was set aside.
    pub async fn record_ends(&self, recipient: AgencyKey, ends: &[End]) -> Result<Vec<u64>, CallError> {
        let (mut ends, mut sealed, aside) = self.seal_ends(ends).await?;
        for _ in 0..DECIDE_ATTEMPTS_MAX {
            if ends.is_empty() {
                return Ok(aside);
            }
            let claimed = |end: &&End| Expect::Delivery { index: end.delivery.index, state: DeliveryState::Claimed };
            let settle = |end: &&End| DeliveryChange::Settle {
                recipient,
                index: end.delivery.index,
                state: end.how.state(),
                attempts: end.attempts,
            };
            let expects: Vec<Expect> = ends.iter().filter(|end| end.how.is_given_up()).map(claimed).collect();
            // What expects nothing is not sent back.
            let entries = if expects.is_empty() { std::mem::take(&mut sealed) } else { sealed.clone() };
            let proposal =
                Proposal { expects, entries, deliveries: ends.iter().map(settle).collect(), ..Proposal::default() };
            match self.sequencer.propose(proposal).await {
                Ok(_) => return Ok(aside),
                Err(SequencerError::Stale) if !sealed.is_empty() => self.drop_cancelled(&mut ends, &mut sealed).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(CallError::Unavailable("deliveries that are given up keep changing".into()))
    }

    /// Seals ends, each by itself; says which cannot be.
    async fn seal_ends<'a>(&self, ends: &'a [End]) -> Result<(Vec<&'a End>, Vec<SealedEntry>, Vec<u64>), CallError> {
        let (mut kept, mut sealed, mut aside) =
            (Vec::with_capacity(ends.len()), Vec::with_capacity(ends.len()), vec![]);
        for end in ends {
            match self.seal_end(end).await {
                Ok(entry) => {
                    kept.push(end);
                    sealed.push(entry);
                }
                Err(error @ CallError::Damaged(_)) => {
                    let index = end.delivery.index;
                    tracing::error!(%error, index, "the end of a delivery cannot be recorded: it is set aside");
                    aside.push(index);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((kept, sealed, aside))
    }

    /// Leaves out what is to be given up but is no longer claimed.
    async fn drop_cancelled(&self, ends: &mut Vec<&End>, sealed: &mut Vec<SealedEntry>) -> Result<(), CallError> {
        let (old_ends, old_sealed) = (std::mem::take(ends), std::mem::take(sealed));
        for (end, entry) in old_ends.into_iter().zip(old_sealed) {
            let state = self.store.delivery(end.delivery.index).await?.map(|delivery| delivery.state);
            if !end.how.is_given_up() || state == Some(DeliveryState::Claimed) {
                ends.push(end);
                sealed.push(entry);
            }
        }
        Ok(())
    }

    async fn seal_end(&self, end: &End) -> Result<SealedEntry, CallError> {
        let system = match &end.how {
            Ending::Acknowledged(system) | Ending::Rejected(system) => Some(system),
            Ending::DeadLettered | Ending::Unopenable => None,
        };
        let step = Step { kind: end.how.kind(), outcome: end.how.outcome(), attempts: end.attempts, system };
        let parties = self.parties(&end.delivery).await?;
        let (id, statement) = self.step_statement(&end.delivery, &step, parties.as_deref());
        let keepers = self.keepers_of(&end.delivery).await?;
        let terms = self.step_terms(&end.delivery, &step, id, parties.as_deref());
        Ok(self.seal_step(step.kind, id, &statement, &keepers, terms)?.entry)
    }

    /// Between whom the delivery moves; `None` when its trail was erased.
    async fn parties(&self, delivery: &DeliveryRef) -> Result<Option<Arc<Parties>>, CallError> {
        if let Some(parties) = &delivery.parties {
            return Ok(Some(Arc::clone(parties)));
        }
        let Some(stored) = self.stored(delivery.index).await? else { return Ok(None) };
        Ok(self.open_entry(&stored).await?.map(|(_, trail)| open::parties_of(&trail)))
    }

    /// The trail slots that still have a key, and are not damaged; the hub's own when none has.
    async fn keepers_of(&self, delivery: &DeliveryRef) -> Result<Vec<Slot>, CallError> {
        let mut keepers = Vec::with_capacity(2);
        for number in delivery.keepers.iter().flatten() {
            match self.store.slot_key(*number).await {
                Ok(Some(key)) => keepers.push(Slot { number: *number, key }),
                Ok(None) => {}
                Err(StoreError::Corrupt(what)) => {
                    tracing::error!(index = delivery.index, %what, "a keeper's key is damaged: its step is kept without");
                }
                Err(error) => return Err(error.into()),
            }
        }
        if keepers.is_empty() {
            keepers = self.store.slots(Owner::Hub, &[(HUB, Class::Trail)]).await?;
        }
        Ok(keepers)
    }

    /// A new id, and what is said under it.
    fn step_statement(
        &self,
        delivery: &DeliveryRef,
        step: &Step<'_>,
        parties: Option<&Parties>,
    ) -> (TransferId, Statement) {
        let id = self.new_id();
        let mut statement = Statement::of(step.kind);
        statement.string(Attribute::Outcome, step.outcome);
        if let Some(parties) = parties {
            statement.string(Attribute::Source, &parties.source);
            statement.string(Attribute::Recipient, &parties.recipient);
            statement.string(Attribute::Agreement, &parties.agreement);
        }
        statement.list(Attribute::RefersTo, [delivery.id.to_string().as_str()]);
        statement.string(Attribute::TransferId, &id.to_string());
        if let Some(system) = step.system {
            statement.string(Attribute::System, system.as_str());
        }
        statement.number(Attribute::Attempts, step.attempts.into());
        (id, statement)
    }

    /// Under what it is searched: as the transfer is, as far as the relay knows it, and by the transfer's id.
    fn step_terms(
        &self,
        delivery: &DeliveryRef,
        step: &Step<'_>,
        id: TransferId,
        parties: Option<&Parties>,
    ) -> Vec<Term> {
        let words = &self.words;
        let mut terms = Vec::with_capacity(8);
        terms.push(delivery.about.unwrap_or_else(|| words.about(Owner::Hub)));
        terms.push(words.id(id));
        terms.push(words.term(TermKind::Kind, step.kind.name()));
        terms.push(words.term(TermKind::Outcome, step.outcome));
        if let Some(parties) = parties {
            terms.push(words.term(TermKind::Agency, &parties.source));
            terms.push(words.term(TermKind::Agency, &parties.recipient));
            terms.push(words.term(TermKind::Agreement, &parties.agreement));
        }
        terms.push(words.id(delivery.id));
        terms
    }

    fn seal_step(
        &self,
        kind: Kind,
        id: TransferId,
        statement: &Statement,
        keepers: &[Slot],
        terms: Vec<Term>,
    ) -> Result<seal::Sealed, CallError> {
        let parties: Vec<&Slot> = keepers.iter().collect();
        let draft = seal::Draft {
            kind,
            id,
            statement,
            projection: None,
            parties: &parties,
            terms,
            outgoing: None,
            payload: None,
        };
        with_committer(|committer| seal::seal(draft, committer, &*self.random)).map_err(too_much)
    }
}
