//! Takes a consent back. What it covers and nobody has claimed is cancelled in the same commit; what may have been
//! received is named and never sent again.

use super::{
    Audience, CallError, Desk, Receipt,
    call::Stop,
    cancel::Cancelled,
    consent::{ConsentCall, RECORDED_WITHIN, ended, keepers},
    content,
    refuse::Trace,
    sealing::About,
    submit::DECIDE_ATTEMPTS_MAX,
};
use crate::{
    catalogue::Catalogue,
    domain::{
        facts::{Fact, FactScope, Facts},
        refusal::RefusalCode,
        subject::Identifier,
        time::Moment,
        transfer::{DeliveryState, TransferId},
    },
    exchange::{
        seal::Sealed,
        statement::Statement,
        submission::{CallContext, Peer},
        trail::Trail,
    },
    ledger::{Attribute, Entry, Kind},
    sequencer::{Proposal, Recorded, SequencerError},
    store::{DeliveryChange, Expect, Found, Known, Owner, Query, StoredEntry, SubjectChange},
};

/// A withdrawal.
#[derive(Debug, Clone)]
pub struct WithdrawCall {
    /// The idempotency key, as text.
    pub key: String,
    /// Which consent, as text.
    pub consent: String,
    /// Whose.
    pub subject: Vec<Identifier>,
    /// Who takes it.
    pub context: CallContext,
}

/// What a withdrawal found on its way or gone.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The transfer.
    pub id: TransferId,
    /// Its entry.
    pub index: u64,
    /// To whom.
    pub recipient: String,
    /// What.
    pub record_type: String,
    /// How its delivery stood; `None`: it was the answer to a request, in the call itself.
    pub state: Option<DeliveryState>,
    /// When it was recorded.
    pub at: Moment,
}

/// A recorded withdrawal.
#[derive(Debug, Clone)]
pub struct WithdrawOutcome {
    /// Its entry.
    pub receipt: Receipt,
    /// What nobody had claimed: it never leaves.
    pub cancelled: Vec<Reached>,
    /// What may have been received: it is never sent again.
    pub may_have_been_received: Vec<Reached>,
    /// Other consents to the same agreement that hold, or will.
    pub still_given: Vec<TransferId>,
}

/// Entries in one read of the search.
const PAGE: usize = 500;

/// A transfer that rests on the consent, with what its cancellation needs.
struct Covered {
    reached: Reached,
    stored: StoredEntry,
}

impl Desk {
    /// Takes a consent back.
    pub async fn withdraw(&self, peer: Peer<'_>, call: WithdrawCall) -> Result<WithdrawOutcome, CallError> {
        self.called(peer, async |catalogue, trace| self.try_withdraw(catalogue, peer, call, trace).await).await
    }

    async fn try_withdraw(
        &self,
        catalogue: &Catalogue,
        peer: Peer<'_>,
        mut call: WithdrawCall,
        trace: &mut Trace,
    ) -> Result<WithdrawOutcome, Stop> {
        let content = content::of_withdrawal(&self.hasher, &call);
        let context = std::mem::replace(&mut call.context, CallContext { on_behalf_of: None, rest: Box::default() });
        let opened = self.consent_call(catalogue, peer, context, (&call.key, content), &call.subject, trace).await?;
        let consent = match opened {
            Ok(consent) => consent,
            Err(known) => return self.repeated_withdrawal(known, &call).await,
        };
        let mut hold = None;
        for attempt in 0..DECIDE_ATTEMPTS_MAX {
            let subject = match self.store.find_subject(&consent.identifiers).await? {
                Found::One { subject, .. } => subject,
                Found::Several => return Err(RefusalCode::SubjectAmbiguous.into()),
                Found::Nobody => return Err(RefusalCode::ConsentUnknown.into()),
            };
            trace.owner = Owner::Subject(subject.id);
            // Something was recorded about her since the search, and may go on so: what is not decided yet waits.
            if attempt > 0 && hold.is_none() {
                hold = Some(self.held.hold(subject.id));
            }
            let now = self.clock.now();
            let (facts, fact) = ended(&subject.facts, &call.consent, now)?;
            let still_given = others(catalogue, &facts, &fact, now);
            let since = self.sequencer.newest().snapshot.size();
            let covered = self.covered(fact.id).await?;

            let withdrawal = self.seal_withdrawal(catalogue, &consent, trace, &fact).await?;
            let mut proposal = Proposal {
                system: Some(consent.key.0),
                key: Some(consent.key),
                expects: vec![
                    Expect::Facts { subject: subject.id, version: subject.facts.version },
                    Expect::Quiet { term: self.words.rests_on(fact.id), since },
                ],
                entries: vec![withdrawal.entry.clone()],
                subjects: vec![SubjectChange::Facts { subject: subject.id, facts }],
                ..Proposal::default()
            };
            // In the order of the ledger, in which the store takes them in fastest.
            for one in covered.iter().rev() {
                self.cancel(one, trace, &mut proposal).await?;
            }
            match self.sequencer.propose(proposal).await {
                Ok(Recorded::Committed { first, commit }) => {
                    let receipt = self.opened_receipt(&commit, first, &withdrawal, Audience::Caller)?;
                    return Ok(outcome(receipt, covered.into_iter().map(|one| one.reached), still_given));
                }
                Ok(Recorded::Repeat(known)) => return self.repeated_withdrawal(known, &call).await,
                Err(SequencerError::Stale) => {}
                Err(SequencerError::KeyReused) => return Err(RefusalCode::KeyReused.into()),
                Err(error) => return Err(CallError::from(error).into()),
            }
        }
        Err(CallError::Unavailable("the person's transfers keep coming; try again".into()).into())
    }

    /// Every transfer that rests on the consent, newest first.
    async fn covered(&self, consent: TransferId) -> Result<Vec<Covered>, CallError> {
        // Nothing rests on it before it was given.
        let from = consent.moment().map(|given| given.before(RECORDED_WITHIN));
        let mut query = Query { terms: vec![self.words.rests_on(consent)], from, limit: PAGE, ..Query::default() };
        let mut covered = Vec::new();
        loop {
            let indices = self.store.search(&query).await?;
            for index in &indices {
                match self.covered_by(*index).await {
                    Ok(one) => covered.extend(one),
                    // What is over needs no cancelling, and a withdrawal that waited for it would never end. What may yet
                    // be handed over, should it be readable again, is not left out.
                    Err(CallError::Damaged(what)) if self.is_over(*index).await? => {
                        tracing::error!(index, %what, "a damaged entry is left out of a withdrawal");
                    }
                    Err(error) => return Err(error),
                }
            }
            match indices.last() {
                Some(last) if indices.len() == PAGE => query.before = Some(*last),
                _ => return Ok(covered),
            }
        }
    }

    /// Whether nothing is, or will be, on its way of an entry.
    async fn is_over(&self, index: u64) -> Result<bool, CallError> {
        Ok(match self.store.delivery(index).await? {
            None => true,
            Some(delivery) => match delivery.state {
                DeliveryState::Acknowledged | DeliveryState::Rejected | DeliveryState::Cancelled => true,
                DeliveryState::Due | DeliveryState::Claimed | DeliveryState::DeadLettered => false,
            },
        })
    }

    async fn covered_by(&self, index: u64) -> Result<Option<Covered>, CallError> {
        let Some(stored) = self.stored(index).await? else { return Ok(None) };
        let Some((_, trail)) = self.open_entry(&stored).await? else { return Ok(None) };
        let state = self.store.delivery(index).await?.map(|delivery| delivery.state);
        let reached = reached(&stored, &trail, state);
        Ok(Some(Covered { reached, stored }))
    }

    async fn seal_withdrawal(
        &self,
        catalogue: &Catalogue,
        consent: &ConsentCall,
        trace: &Trace,
        fact: &Fact,
    ) -> Result<Sealed, CallError> {
        let FactScope::Consent { agreement, revision } = &fact.scope else {
            return Err(CallError::Fault("only a consent can be withdrawn".into()));
        };
        let compiled = catalogue.agreement(agreement);
        let mut statement = Statement::of(Kind::ConsentWithdrawn);
        statement.string(Attribute::Agreement, agreement.as_str());
        statement.number(Attribute::AgreementRevision, (*revision).into());
        if let Some(compiled) = compiled {
            statement.canonical(Attribute::Source, &compiled.constants.source);
            statement.canonical(Attribute::Recipient, &compiled.constants.recipient);
            statement.canonical(Attribute::Purpose, &compiled.constants.purpose);
        }
        statement.string(Attribute::TransferId, &trace.id.to_string());
        statement.string(Attribute::ConsentId, &fact.id.to_string());
        statement.list(Attribute::RefersTo, [fact.id.to_string().as_str()]);
        statement.string(Attribute::System, consent.caller.system.as_str());
        statement.context(&consent.caller.context);
        let collector = consent.caller.agency();
        let agencies = compiled.map_or_else(|| vec![collector, &fact.agency], |known| keepers(collector, known));
        let about = About {
            agencies: &agencies,
            agreement: compiled.map(|known| &known.agreement),
            ids: &[fact.id],
            ..About::new(Kind::ConsentWithdrawn, trace.id, trace.owner)
        };
        self.seal(about, &statement).await
    }

    /// Ends the delivery of a covered transfer, if it has not ended. The entry says whether it may have been received.
    async fn cancel(&self, covered: &Covered, trace: &Trace, proposal: &mut Proposal) -> Result<(), CallError> {
        let index = covered.reached.index;
        let (Some(state), Some(outgoing)) = (covered.reached.state, covered.stored.routing.outgoing) else {
            return Ok(());
        };
        proposal.expects.push(Expect::Delivery { index, state });
        let how = match state {
            DeliveryState::Due => Cancelled::InTime,
            // A dead letter was handed over in vain, as far as the hub knows; the recipient may still have it.
            DeliveryState::Claimed | DeliveryState::DeadLettered => Cancelled::MayHaveBeenReceived,
            DeliveryState::Acknowledged | DeliveryState::Rejected | DeliveryState::Cancelled => return Ok(()),
        };
        let sealed = self.seal_cancellation(&covered.stored, how, trace.id).await?;
        proposal.entries.push(sealed.entry);
        proposal.deliveries.push(DeliveryChange::Settle {
            recipient: outgoing.recipient,
            index,
            state: DeliveryState::Cancelled,
            attempts: 0,
        });
        Ok(())
    }

    /// The answer of a repeated withdrawal, from its entries: the consent's id leads to what it covered.
    async fn repeated_withdrawal(&self, known: Known, call: &WithdrawCall) -> Result<WithdrawOutcome, Stop> {
        let entries = self.entries_of(known).await?;
        let (first, cancellations) =
            entries.split_first().ok_or_else(|| CallError::Fault("a known call has no entry".into()))?;
        if first.routing.kind != Kind::ConsentWithdrawn {
            return Err(self.repeated_refusal(first).await?.into());
        }
        let receipt = self.stored_opened_receipt(first, Audience::Caller).await?;
        let mut ended_now = Vec::new();
        for stored in cancellations.iter().rev() {
            let Some((_, trail)) = self.open_entry(stored).await? else { continue };
            let may = trail.text(Attribute::Outcome).as_deref() == Some(Cancelled::MayHaveBeenReceived.as_str());
            let state = if may { DeliveryState::Claimed } else { DeliveryState::Due };
            let Some(id) = trail.list(Attribute::RefersTo).first().and_then(|id| id.parse().ok()) else { continue };
            let Some(index) = self.index_of(id).await? else { continue };
            let Some(transfer) = self.stored(index).await? else { continue };
            let Some((_, trail)) = self.open_entry(&transfer).await? else { continue };
            ended_now.push(reached(&transfer, &trail, Some(state)));
        }
        let gone = self.gone_before(first, &ended_now).await?;
        let identifiers: Vec<_> = call.subject.iter().map(|one| self.hasher.identifier(one)).collect();
        let still_given = match self.store.find_subject(&identifiers).await? {
            Found::One { subject, .. } => {
                let facts = &subject.facts;
                let fact = facts.rows.iter().find(|fact| fact.id.to_string() == call.consent);
                fact.map_or_else(Vec::new, |fact| others(&self.catalogue(), facts, fact, self.clock.now()))
            }
            Found::Nobody | Found::Several => Vec::new(),
        };
        Ok(outcome(receipt, ended_now.into_iter().chain(gone), still_given))
    }

    /// What had left before a withdrawal that is answered again.
    async fn gone_before(&self, withdrawal: &StoredEntry, ended_now: &[Reached]) -> Result<Vec<Reached>, CallError> {
        let Some((_, trail)) = self.open_entry(withdrawal).await? else { return Ok(Vec::new()) };
        let Some(consent) = trail.text(Attribute::ConsentId).and_then(|id| id.parse().ok()) else {
            return Ok(Vec::new());
        };
        let known = |one: &Reached| ended_now.iter().any(|now| now.index == one.index);
        let covered = self.covered(consent).await?.into_iter().map(|one| one.reached);
        Ok(covered.filter(|one| !known(one)).collect())
    }
}

fn reached(stored: &StoredEntry, trail: &Trail, state: Option<DeliveryState>) -> Reached {
    Reached {
        id: stored.routing.id,
        index: stored.index,
        recipient: trail.text(Attribute::Recipient).unwrap_or_default(),
        record_type: trail.text(Attribute::RecordType).unwrap_or_default(),
        state,
        at: Moment::from_secs(Entry::decode(&stored.entry).map_or(0, |entry| entry.time())),
    }
}

/// The other consents that cover the agreement of `fact` as it is now, and have neither been withdrawn nor expired.
fn others(catalogue: &Catalogue, facts: &Facts, fact: &Fact, now: Moment) -> Vec<TransferId> {
    let FactScope::Consent { agreement, .. } = &fact.scope else { return Vec::new() };
    let Some(compiled) = catalogue.agreement(agreement) else { return Vec::new() };
    let goes_on = |other: &&Fact| other.id != fact.id && other.consents(&compiled.agreement) && !other.is_over(now);
    facts.rows.iter().filter(goes_on).map(|other| other.id).collect()
}

/// Sorts what was covered by whether it ever left.
fn outcome(receipt: Receipt, covered: impl Iterator<Item = Reached>, still_given: Vec<TransferId>) -> WithdrawOutcome {
    let (mut cancelled, mut may_have_been_received) = (Vec::new(), Vec::new());
    for one in covered {
        match one.state {
            Some(DeliveryState::Due) => cancelled.push(one),
            // One that an earlier call cancelled is not this one's to report.
            Some(DeliveryState::Cancelled) => {}
            _ => may_have_been_received.push(one),
        }
    }
    WithdrawOutcome { receipt, cancelled, may_have_been_received, still_given }
}
