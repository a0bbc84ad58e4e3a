//! Dead letters: listed, and made due again by an operator. A replay is an entry; the delivery keeps its old index.

use super::{DeliveryRef, Step, TransferId};
use crate::{
    catalogue::Catalogue,
    desk::{Audience, CallError, Desk, Receipt, call::Stop, content, refuse::Trace},
    domain::{
        agency::{AgencyId, AgencyKey, Role},
        refusal::{Refusal, RefusalCode},
        time::Moment,
        transfer::DeliveryState,
    },
    exchange::{
        address::malformed,
        authenticate::{self, Caller},
        seal::Sealed,
        submission::{CallContext, Peer},
    },
    ledger::Kind,
    sequencer::{Proposal, Recorded, SequencerError},
    store::{DeliveryChange, Expect, Known, StoredEntry, SystemKey},
};

const PAGE_DEFAULT: usize = 50;

/// A dead letter as an operator sees it: never its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterView {
    /// The transfer.
    pub id: TransferId,
    /// Its entry.
    pub index: u64,
    /// To whom.
    pub recipient: AgencyId,
    /// How often it was handed over.
    pub attempts: u32,
    /// Since when.
    pub since: Moment,
}

/// A page of dead letters, by recipient, then oldest first.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterPage {
    /// On this page.
    pub letters: Vec<DeadLetterView>,
    /// Where the next page begins; empty: there is no more.
    pub next_page: String,
}

/// A replay that was made due: the relay reads it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Whose.
    pub recipient: AgencyKey,
    /// Which.
    pub index: u64,
}

impl Desk {
    /// Dead letters of `recipient` (empty: of every agency), `page_size` of them (0: 50) from `page_token` on.
    pub async fn dead_letters(
        &self,
        peer: Peer<'_>,
        recipient: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<DeadLetterPage, CallError> {
        self.called(peer, async |catalogue, trace| {
            let context = CallContext { on_behalf_of: None, rest: Box::default() };
            match operator(catalogue, peer, context, trace) {
                Ok(_) => self.page_of_dead_letters(catalogue, recipient, page_size, page_token).await,
                Err(stop) => Err(stop),
            }
        })
        .await
    }

    async fn page_of_dead_letters(
        &self,
        catalogue: &Catalogue,
        recipient: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<DeadLetterPage, Stop> {
        let size = if page_size == 0 { PAGE_DEFAULT } else { page_size as usize }.min(self.limits.search_page_max);
        // A page begins at "<agency>/<index>"; agencies come in the order of their names.
        let (from_agency, mut from) = match page_token.split_once('/') {
            None if page_token.is_empty() => ("", 0),
            None => return Err(malformed("/page_token", "format").into()),
            Some((agency, index)) => (agency, index.parse().map_err(|_| malformed("/page_token", "format"))?),
        };
        let mut page = DeadLetterPage::default();
        let wanted = |id: &AgencyId| (recipient.is_empty() || id.as_str() == recipient) && id.as_str() >= from_agency;
        for agency in catalogue.agencies().map(|agency| &agency.id).filter(|id| wanted(id)) {
            let start = if agency.as_str() == from_agency { std::mem::take(&mut from) } else { 0 };
            // One more than fits says whether, and where, there is another page.
            let letters = self.store.dead_letters(agency.key(), start, size + 1 - page.letters.len()).await?;
            for letter in letters {
                if page.letters.len() == size {
                    page.next_page = format!("{agency}/{}", letter.index);
                    return Ok(page);
                }
                page.letters.push(DeadLetterView {
                    id: letter.id,
                    index: letter.index,
                    recipient: agency.clone(),
                    attempts: letter.attempts,
                    since: letter.since,
                });
            }
        }
        Ok(page)
    }

    /// Makes a dead letter due again.
    pub async fn replay(
        &self,
        peer: Peer<'_>,
        key: &str,
        transfer: &str,
        context: CallContext,
    ) -> Result<Receipt, CallError> {
        self.called(peer, async |catalogue, trace| {
            self.try_replay(catalogue, peer, key, transfer, context, trace).await
        })
        .await
    }

    async fn try_replay(
        &self,
        catalogue: &Catalogue,
        peer: Peer<'_>,
        key: &str,
        transfer: &str,
        context: CallContext,
        trace: &mut Trace,
    ) -> Result<Receipt, Stop> {
        let content = content::of_replay(&self.hasher, transfer, &context);
        let caller = operator(catalogue, peer, context, trace)?;
        let key = authenticate::key(key, self.clock.now(), self.limits.window)?;
        let system = SystemKey::from(&caller.system);
        if let Some(known) = self.store.known(system, key).await? {
            Self::check_same(known, content)?;
            return self.repeated_replay(known).await;
        }
        trace.key = Some((system, key, content));
        let id: TransferId = transfer.parse().map_err(|_| RefusalCode::DeadLetterUnknown)?;
        let stored = self.decision(id).await?.ok_or(RefusalCode::DeadLetterUnknown)?;
        let index = stored.index;
        let Some(delivery) = self.store.delivery(index).await?.filter(|one| one.state == DeliveryState::DeadLettered)
        else {
            return Err(RefusalCode::DeadLetterUnknown.into());
        };
        if !self.is_within_term(delivery.recipient, index).await? || self.open_payload(&stored).await?.is_none() {
            return Err(RefusalCode::DeadLetterUnknown.into());
        }
        let sealed = self.seal_replay(&stored, &caller).await?;
        let proposal = Proposal {
            system: Some(system),
            key: trace.key,
            expects: vec![Expect::Delivery { index, state: DeliveryState::DeadLettered }],
            entries: vec![sealed.entry.clone()],
            deliveries: vec![DeliveryChange::Replay { recipient: delivery.recipient, index }],
            ..Proposal::default()
        };
        match self.sequencer.propose(proposal).await {
            Ok(Recorded::Committed { first, commit }) => {
                // Nobody listens while no recipient has ever been connected; then it is found when one is.
                let _ = self.replays.send(Replayed { recipient: delivery.recipient, index });
                Ok(self.opened_receipt(&commit, first, &sealed, Audience::Caller)?)
            }
            Ok(Recorded::Repeat(known)) => self.repeated_replay(known).await,
            // Somebody else replayed it, or it was cancelled.
            Err(SequencerError::Stale) => Err(RefusalCode::DeadLetterUnknown.into()),
            Err(SequencerError::KeyReused) => Err(RefusalCode::KeyReused.into()),
            Err(error) => Err(CallError::from(error).into()),
        }
    }

    /// Whether a dead letter's term goes on. Once it is over it is forgotten within a minute, but its content goes with its
    /// hour only.
    async fn is_within_term(&self, recipient: AgencyKey, index: u64) -> Result<bool, CallError> {
        let since = self.clock.now().before(self.limits.dead_letter_term);
        let letters = self.store.dead_letters(recipient, index, 1).await?;
        Ok(letters.first().is_some_and(|letter| letter.index == index && letter.since >= since))
    }

    async fn seal_replay(&self, stored: &StoredEntry, caller: &Caller) -> Result<Sealed, Stop> {
        let delivery = DeliveryRef::of(stored).ok_or(RefusalCode::DeadLetterUnknown)?;
        let kind = Kind::DeliveryReplayed;
        let step = Step { kind, outcome: "replayed", attempts: 0, system: Some(&caller.system) };
        let parties = self.parties(&delivery).await?;
        let (id, mut statement) = self.step_statement(&delivery, &step, parties.as_deref());
        statement.context(&caller.context);
        let keepers = self.keepers_of(&delivery).await?;
        let terms = self.step_terms(&delivery, &step, id, parties.as_deref());
        Ok(self.seal_step(kind, id, &statement, &keepers, terms)?)
    }

    async fn repeated_replay(&self, known: Known) -> Result<Receipt, Stop> {
        let entries = self.entries_of(known).await?;
        let stored = entries.first().ok_or_else(|| CallError::Fault("a known call has no entry".into()))?;
        if stored.routing.kind == Kind::DeliveryReplayed {
            Ok(self.stored_opened_receipt(stored, Audience::Caller).await?)
        } else {
            Err(self.repeated_refusal(stored).await?.into())
        }
    }
}

fn operator(catalogue: &Catalogue, peer: Peer<'_>, context: CallContext, trace: &mut Trace) -> Result<Caller, Stop> {
    trace.system = authenticate::system(catalogue, peer).ok().map(|system| system.id.clone());
    let caller = authenticate::caller(catalogue, peer, Role::Operate, context).map_err(in_the_message)?;
    trace.context = Some(caller.context.clone());
    Ok(caller)
}

/// What an operator says stands in the message itself, which has no context.
fn in_the_message(mut refusal: Refusal) -> Refusal {
    for fault in &mut refusal.violations {
        if let Some(pointer) = fault.pointer.strip_prefix("/context").map(str::to_owned) {
            fault.pointer = pointer;
        }
    }
    refusal
}
