//! Consents: recording them. Reading them is `consents.rs`, taking one back `withdraw.rs`.
//!
//! The fields map to ISO/IEC TS 27560: consent id (record identifier), notice (privacy notice), recipient and source
//! (PII controllers), agreement's purpose and fields (purposes, PII categories), moments (timestamps), state (status).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Audience, CallError, Desk, Receipt,
    call::Stop,
    content,
    decide::{Person, transfer_statement},
    refuse::Trace,
    sealing::{About, seal_payload},
    submit::DECIDE_ATTEMPTS_MAX,
};
use crate::{
    catalogue::{Catalogue, CompiledAgreement},
    domain::{
        agency::Role,
        agreement::{AgreementId, Demand},
        canonical,
        context::Authority,
        facts::{Fact, FactScope, Facts},
        refusal::{Refusal, RefusalCode},
        subject::{Identifier, IdentifierHash},
        time::Moment,
        transfer::TransferId,
    },
    exchange::{
        address::malformed,
        authenticate::{self, Caller},
        seal::Sealed,
        statement::Statement,
        submission::{CallContext, Peer},
    },
    ledger::{Attribute, Kind},
    sequencer::{Proposal, Recorded, SequencerError},
    store::{Class, Known, Owner, Query, SubjectChange, SystemKey},
    vault::ContentHash,
};

/// What evidence begins with, beside its content: random, so that its commitment says nothing of it.
const EVIDENCE_SALT_BYTES: usize = 32;

/// The longest version of a notice, in bytes.
pub const NOTICE_BYTES_MAX: usize = 128;
/// How far from the moment that its id names a decision can have been recorded: clocks are set, and commits wait.
pub(super) const RECORDED_WITHIN: Duration = Duration::from_hours(1);

/// A consent to be recorded.
#[derive(Clone)]
pub struct GrantCall {
    /// The idempotency key, as text.
    pub key: String,
    /// Who consents.
    pub subject: Vec<Identifier>,
    /// The agreement that was shown, as text.
    pub agreement: String,
    /// The revision that was shown.
    pub revision: u32,
    /// When it begins; `None`: now.
    pub from: Option<Moment>,
    /// When it ends; `None`: when withdrawn.
    pub until: Option<Moment>,
    /// The notice's version.
    pub notice_version: String,
    /// The notice's language (BCP 47).
    pub notice_language: String,
    /// What the evidence is.
    pub evidence_media_type: String,
    /// How it was given.
    pub evidence: Bytes,
    /// Who records it; `acting_for` is the representative who gave it.
    pub context: CallContext,
}

/// Its evidence is personal, so it prints only what it is about.
impl std::fmt::Debug for GrantCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GrantCall({}, …)", self.agreement)
    }
}

/// A recorded consent.
#[derive(Debug, Clone)]
pub struct GrantOutcome {
    /// Its id.
    pub id: TransferId,
    /// Its entry.
    pub receipt: Receipt,
}

/// A call about a person's consents whose caller and key are known.
pub(super) struct ConsentCall {
    pub caller: Caller,
    pub key: (SystemKey, crate::domain::idempotency::IdempotencyKey, ContentHash),
    pub identifiers: Vec<IdentifierHash>,
}

/// A consent that may be recorded.
#[derive(Clone, Copy)]
struct Grant<'a> {
    id: TransferId,
    compiled: &'a CompiledAgreement,
    consent: &'a ConsentCall,
    call: &'a GrantCall,
    from: Moment,
    until: Option<Moment>,
    /// Of the evidence.
    salt: &'a [u8; EVIDENCE_SALT_BYTES],
}

impl Desk {
    /// Records a consent to what one revision of an agreement shows.
    pub async fn grant(&self, peer: Peer<'_>, call: GrantCall) -> Result<GrantOutcome, CallError> {
        self.called(peer, async |catalogue, trace| self.try_grant(catalogue, peer, call, trace).await).await
    }

    async fn try_grant(
        &self,
        catalogue: &Catalogue,
        peer: Peer<'_>,
        mut call: GrantCall,
        trace: &mut Trace,
    ) -> Result<GrantOutcome, Stop> {
        let content = content::of_grant(&self.hasher, &call);
        let context = std::mem::replace(&mut call.context, CallContext { on_behalf_of: None, rest: Box::default() });
        let opened = self.consent_call(catalogue, peer, context, (&call.key, content), &call.subject, trace).await?;
        let consent = match opened {
            Ok(consent) => consent,
            Err(known) => return self.repeated_grant(known).await,
        };
        let compiled = self.check_grant(catalogue, &call)?;
        trace.agreement = Some(compiled.agreement.clone());
        let now = self.clock.now();
        let from = call.from.unwrap_or(now);
        let representative = consent.caller.context.acting_for.as_ref();
        // Whether a child has come of age is not the hub's to know.
        if representative.is_some_and(|who| who.authority == Authority::Parent && who.until.is_none()) {
            return Err(malformed("/context/acting_for/until", "required").into());
        }
        let ends =
            [("/valid_until", call.until), ("/context/acting_for/until", representative.and_then(|who| who.until))];
        for (pointer, until) in ends {
            if until.is_some_and(|until| until <= from || until <= now) {
                return Err(malformed(pointer, "minimum").into());
            }
        }
        let until = ends.into_iter().filter_map(|(_, until)| until).min();
        // One for all attempts, which seal the same under one key.
        let salt = self.random.bytes();
        for _ in 0..DECIDE_ATTEMPTS_MAX {
            let person = self.person(&consent.identifiers).await?;
            let grant = Grant { id: trace.id, compiled, consent: &consent, call: &call, from, until, salt: &salt };
            let (proposal, sealed) = self.decide_grant(&grant, &person).await?;
            match self.sequencer.propose(proposal).await {
                Ok(Recorded::Committed { first, commit }) => {
                    let receipt = self.opened_receipt(&commit, first, &sealed, Audience::Caller)?;
                    return Ok(GrantOutcome { id: trace.id, receipt });
                }
                Ok(Recorded::Repeat(known)) => return self.repeated_grant(known).await,
                Err(SequencerError::Stale) => {}
                Err(SequencerError::KeyReused) => return Err(RefusalCode::KeyReused.into()),
                Err(error) => return Err(CallError::from(error).into()),
            }
        }
        Err(CallError::Unavailable("the person's facts keep changing; try again".into()).into())
    }

    /// What is to be written for a consent: the fact, its entry, its evidence.
    async fn decide_grant(&self, grant: &Grant<'_>, person: &Person) -> Result<(Proposal, Sealed), Stop> {
        let Grant { id, compiled, consent, call, from, until, salt, .. } = *grant;
        let Owner::Subject(subject) = person.owner else {
            return Err(CallError::Fault("a person has no subject id".into()).into());
        };
        let mut facts = person.facts.clone();
        let scope = FactScope::Consent { agreement: compiled.agreement.id.clone(), revision: call.revision };
        let fact = Fact { id, agency: compiled.agreement.recipient.clone(), scope, from, until, ended: None };
        if !facts.add(fact, self.clock.now()) {
            return Err(RefusalCode::FactsFull.into());
        }
        let mut subjects = person.changes.clone();
        subjects.push(SubjectChange::Facts { subject, facts });

        let collector = consent.caller.agency();
        let about = About {
            agencies: &keepers(collector, compiled),
            agreement: Some(&compiled.agreement),
            ..About::new(Kind::ConsentGranted, id, person.owner)
        };
        let mut statement = grant_statement(grant);
        let evidence = match call.evidence.as_ref() {
            [] => None,
            content => {
                let salted = [&salt[..], content].concat();
                say_evidence(&mut statement, &call.evidence_media_type, &salted);
                // Evidence outlives the hour: both parts of its key lie in its own slot.
                let slots = self.store.slots(person.owner, &[(collector.key(), Class::Evidence)]).await?;
                slots.first().map(|slot| seal_payload(slot, slot, id, salted))
            }
        };
        let sealed = self.seal_with(about, &statement, evidence).await?;
        let proposal = Proposal {
            system: Some(consent.key.0),
            key: Some(consent.key),
            expects: person.expects.clone(),
            entries: vec![sealed.entry.clone()],
            subjects,
            ..Proposal::default()
        };
        Ok((proposal, sealed))
    }

    /// Who calls about whose consents. `Err` inside: the call is a repeat.
    pub(super) async fn consent_call(
        &self,
        catalogue: &Catalogue,
        peer: Peer<'_>,
        context: CallContext,
        (key, content): (&str, ContentHash),
        subject: &[Identifier],
        trace: &mut Trace,
    ) -> Result<Result<ConsentCall, Known>, Stop> {
        trace.system = authenticate::system(catalogue, peer).ok().map(|system| system.id.clone());
        let caller = authenticate::caller(catalogue, peer, Role::CollectConsent, context)?;
        trace.context = Some(caller.context.clone());
        let key = authenticate::key(key, self.clock.now(), self.limits.window)?;
        let system = SystemKey::from(&caller.system);
        if let Some(known) = self.store.known(system, key).await? {
            Self::check_same(known, content)?;
            return Ok(Err(known));
        }
        trace.key = Some((system, key, content));
        let identifiers: Vec<IdentifierHash> = subject.iter().map(|one| self.hasher.identifier(one)).collect();
        let first = identifiers.first().ok_or(RefusalCode::SubjectMissing)?;
        trace.owner = Owner::Unknown(*first);
        Ok(Ok(ConsentCall { caller, key: (system, key, content), identifiers }))
    }

    fn check_grant<'c>(
        &self,
        catalogue: &'c Catalogue,
        call: &GrantCall,
    ) -> Result<&'c Arc<CompiledAgreement>, Refusal> {
        let id = AgreementId::new(&call.agreement).map_err(|_| RefusalCode::AgreementMissing)?;
        let compiled = catalogue.agreement(&id).ok_or(RefusalCode::AgreementMissing)?;
        let agreement = &compiled.agreement;
        if !agreement.in_force(self.clock.now()) {
            return Err(RefusalCode::AgreementMissing.into());
        }
        // Nobody can consent to what rests on a law: that would be asked in vain (GDPR recital 43).
        if agreement.demand != Demand::Consent {
            return Err(malformed("/agreement", "const"));
        }
        if !(agreement.consent_since_revision..=agreement.revision).contains(&call.revision) {
            return Err(malformed("/agreement_revision", "maximum"));
        }
        for (pointer, length, least) in [
            ("/notice/version", call.notice_version.len(), 1),
            ("/notice/language", call.notice_language.len(), 1),
            ("/evidence/media_type", call.evidence_media_type.len(), 0),
        ] {
            if length < least {
                return Err(malformed(pointer, "required"));
            }
            if length > NOTICE_BYTES_MAX {
                return Err(malformed(pointer, "maxLength"));
            }
        }
        if call.evidence.len() > self.limits.evidence_bytes_max {
            return Err(malformed("/evidence/content", "maxLength"));
        }
        Ok(compiled)
    }

    async fn repeated_grant(&self, known: Known) -> Result<GrantOutcome, Stop> {
        let entries = self.entries_of(known).await?;
        let stored = entries.first().ok_or_else(|| CallError::Fault("a known call has no entry".into()))?;
        if stored.routing.kind != Kind::ConsentGranted {
            return Err(self.repeated_refusal(stored).await?.into());
        }
        let receipt = self.stored_opened_receipt(stored, Audience::Caller).await?;
        Ok(GrantOutcome { id: stored.routing.id, receipt })
    }

    /// Where the entry of a decision is: the oldest that is found by its id, since later ones refer to it. It is looked
    /// for where it can be, not in the whole ledger: whoever calls may name any id.
    pub(super) async fn index_of(&self, id: TransferId) -> Result<Option<u64>, CallError> {
        const PAGE: usize = 1000;
        let Some(made) = id.moment() else { return Ok(None) };
        let mut query = Query {
            terms: vec![self.words.id(id)],
            from: Some(made.before(RECORDED_WITHIN)),
            until: Some(made.after(RECORDED_WITHIN)),
            limit: PAGE,
            ..Query::default()
        };
        loop {
            let found = self.store.search(&query).await?;
            match found.last() {
                Some(last) if found.len() == PAGE => query.before = Some(*last),
                Some(last) => return Ok(Some(*last)),
                // The page before ended with the oldest.
                None => return Ok(query.before),
            }
        }
    }
}

/// Who keeps the trail of a consent: who collected it, whose record it is, who may get it.
pub(super) fn keepers<'a>(
    collector: &'a crate::domain::agency::AgencyId,
    compiled: &'a CompiledAgreement,
) -> Vec<&'a crate::domain::agency::AgencyId> {
    let mut keepers = vec![&compiled.agreement.source, &compiled.agreement.recipient];
    if !keepers.contains(&collector) {
        keepers.push(collector);
    }
    keepers
}

fn grant_statement(grant: &Grant<'_>) -> Statement {
    let Grant { id, compiled, consent, call, from, until, .. } = *grant;
    let caller = &consent.caller;
    let mut statement = transfer_statement(Kind::ConsentGranted, id, compiled);
    // The revision that was shown, not the one in force.
    statement.replace_number(Attribute::AgreementRevision, call.revision.into());
    statement.string(Attribute::System, caller.system.as_str());
    statement.context(&caller.context);
    statement.string(Attribute::ConsentId, &id.to_string());
    let grantor = if caller.context.acting_for.is_some() { "representative" } else { "subject" };
    statement.string(Attribute::Grantor, grantor);
    statement.moment(Attribute::ValidFrom, from);
    if let Some(until) = until {
        statement.moment(Attribute::ValidUntil, until);
    }
    statement.with(Attribute::Notice, |text| {
        text.push_str("{\"language\":");
        canonical::write_string(text, &call.notice_language);
        text.push_str(",\"version\":");
        canonical::write_string(text, &call.notice_version);
        text.push('}');
    });
    statement
}

/// Commits to evidence, which begins with its salt: the salt goes with it, and then nobody can try out what it was.
fn say_evidence(statement: &mut Statement, media_type: &str, salted: &[u8]) {
    let commitment = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, salted);
    statement.with(Attribute::Evidence, |text| {
        text.push_str("{\"commitment\":");
        canonical::write_string(text, &hex::encode(commitment));
        text.push_str(",\"media_type\":");
        canonical::write_string(text, media_type);
        text.push('}');
    });
}

/// The facts with the consent `id` ended at `at`, or why it cannot be.
pub(super) fn ended(facts: &Facts, id: &str, at: Moment) -> Result<(Facts, Fact), RefusalCode> {
    let mut facts = facts.clone();
    let fact = facts
        .rows
        .iter_mut()
        .find(|fact| fact.id.to_string() == id && matches!(fact.scope, FactScope::Consent { .. }))
        .ok_or(RefusalCode::ConsentUnknown)?;
    if fact.ended.is_some() {
        return Err(RefusalCode::ConsentWithdrawn);
    }
    fact.ended = Some(at);
    let fact = fact.clone();
    facts.version += 1;
    Ok((facts, fact))
}
