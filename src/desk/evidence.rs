//! Evidence: the record that answers a request. It is validated, permitted again, minimised and committed before the
//! requester sees it; and read again when the request is repeated. Answers without a record are `answer.rs`.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Audience, CallError, Desk, Receipt,
    answer::{AnswerOutcome, AnswerStop, Proposed, Settled, proof_only},
    call::Stop,
    copies::Passed,
    decide::{Person, payload_parts, payload_plain, transfer_statement},
    meters::{Stage, Timer},
    providers::{NoRecord, ProvidedRecord},
    request::{Permission, RequestOutcome},
    sealing::{About, HUB, seal_payload, too_much},
    submit::DECIDE_ATTEMPTS_MAX,
    with_committer,
};
use crate::{
    domain::{
        agreement::AgreementId,
        idempotency::IdempotencyKey,
        record::{Change, RecordAuthority, RecordIdentity},
        refusal::{Refusal, RefusalCode},
        subject::IdentifierHash,
        time::Moment,
        transfer::TransferId,
        view::Projection,
    },
    exchange::{
        address,
        authenticate::Caller,
        seal::{self, Sealed},
        statement::Statement,
        trail::Trail,
        validate::{Valid, validate},
    },
    ledger::{Attribute, Kind},
    sequencer::Proposal,
    store::{Class, Expect, Found, Known, StoredEntry, SystemKey},
    vault,
};

/// The minimised record that answers a request.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The transfer.
    pub id: TransferId,
    /// What it is.
    pub record_type: String,
    /// Which version.
    pub schema_version: String,
    /// RFC 8785 JSON; `None` in the answer to a repeat that comes after the hub has destroyed it, or its consent is over.
    pub payload: Option<Bytes>,
    /// Its identity at the source.
    pub record: RecordIdentity,
    /// How the requester knows the person.
    pub pseudonym: String,
    /// How long the requester may keep it.
    pub keep: Option<Duration>,
    /// The transfer's entry.
    pub receipt: Receipt,
}

/// What became of a request before.
pub(super) enum Before {
    /// It was asked, and has no outcome yet.
    Open {
        /// Its id.
        request: TransferId,
        /// Its entry.
        asked: Receipt,
    },
    /// It was answered.
    Ended(RequestOutcome),
}

/// A record that a provider sent, decided and sealed.
struct Decided {
    id: TransferId,
    projection: Projection,
    pseudonym: String,
    sealed: Sealed,
    /// What must still hold, beside the person's facts.
    until: Option<Moment>,
}

impl Desk {
    /// Records a provider's record.
    pub(super) async fn record_evidence(
        &self,
        permission: &Permission<'_>,
        provider: &Caller,
        provided: &ProvidedRecord,
    ) -> Result<Settled, AnswerStop> {
        let timer = self.meters.timer();
        let (valid, main) = self.check_provided(&timer, permission, provided)?;
        let stopped = |stop| match stop {
            Stop::Refusal(refusal) => AnswerStop::Answer(refusal),
            other @ Stop::Error(_) => other.into(),
        };
        let agreed = &permission.compiled.agreement;
        for _ in 0..DECIDE_ATTEMPTS_MAX {
            let person = self.person(&main).await.map_err(stopped)?;
            let (by, record_type, record) = (&agreed.source, &agreed.record_type, &provided.record);
            let passed = Passed { by, record_type, record, about: person.owner };
            self.check_copy(permission.catalogue, passed).await.map_err(stopped)?;
            let decided = self.decide_evidence(&timer, permission, provider, provided, &valid, &person).await?;
            let mut expects = person.expects.clone();
            expects.extend(decided.until.map(Expect::Before));
            expects.extend(decided.sealed.entry.routing.payload.map(|slots| Expect::Key(slots.epoch)));
            let proposal = Proposal {
                system: Some(SystemKey::from(&permission.caller.system)),
                key: Some(permission.answer_key),
                expects,
                entries: vec![decided.sealed.entry.clone()],
                subjects: person.changes.clone(),
                ..Proposal::default()
            };
            match self.propose_answer(proposal, &decided.sealed).await? {
                Proposed::Receipt(receipt) => {
                    let agreement = &permission.compiled.agreement;
                    let outcome = AnswerOutcome::Evidence(Box::new(Evidence {
                        id: decided.id,
                        record_type: agreement.record_type.to_string(),
                        schema_version: valid.version.version.to_string(),
                        payload: Some(Bytes::copy_from_slice(decided.projection.text().as_bytes())),
                        record: provided.record.clone(),
                        pseudonym: decided.pseudonym,
                        keep: agreement.retention.at_recipient,
                        receipt,
                    }));
                    return Ok(Settled { outcome, own: true });
                }
                Proposed::Known(known) => {
                    let outcome = self.known_answer(known, &permission.identifiers).await.map_err(Stop::from)?;
                    return Ok(Settled { outcome, own: false });
                }
                Proposed::Stale => {}
            }
        }
        Err(Stop::from(CallError::Unavailable("the person's facts keep changing; try again".into())).into())
    }

    /// Whether the record is what the agreement covers, and about the person who was asked about.
    fn check_provided<'c, 'p>(
        &self,
        timer: &Timer,
        permission: &Permission<'c>,
        provided: &'p ProvidedRecord,
    ) -> Result<(Valid<'c, 'p>, Vec<IdentifierHash>), Refusal> {
        let agreement = &permission.compiled.agreement;
        let (record_type, version) =
            address::version(permission.catalogue, agreement.record_type.as_str(), &provided.schema_version)?;
        if version.version.major != agreement.schema_major {
            return Err(RefusalCode::SchemaUnknown.into());
        }
        address::check_record_id(&provided.record)?;
        address::check_authority(record_type, &agreement.source, &provided.record)?;
        let validate = || validate(&provided.payload, version, &self.limits.validate);
        let valid = timer.time(Stage::Validate, validate)?;
        let main: Vec<IdentifierHash> = valid.main.iter().map(|one| self.hasher.identifier(one)).collect();
        if main.iter().any(|one| permission.identifiers.contains(one)) {
            Ok((valid, main))
        } else {
            Err(RefusalCode::SubjectAmbiguous.into())
        }
    }

    /// Permits again, minimises and seals.
    async fn decide_evidence(
        &self,
        timer: &Timer,
        permission: &Permission<'_>,
        provider: &Caller,
        provided: &ProvidedRecord,
        valid: &Valid<'_, '_>,
        person: &Person,
    ) -> Result<Decided, AnswerStop> {
        let Permission { compiled, request, .. } = permission;
        let agreement = &compiled.agreement;
        let now = self.clock.now();
        let ground = timer.time(Stage::Permit, || person.facts.permit(agreement, now)).map_err(Stop::from)?;
        let mut projection = Projection::default();
        let project = || compiled.view.project(&valid.value, &mut projection);
        timer.time(Stage::Minimise, project).map_err(Refusal::from)?;
        let id = self.new_id();
        let wants = [
            (HUB, Class::Subject),
            (agreement.source.key(), Class::Trail),
            (agreement.recipient.key(), Class::Trail),
            (agreement.source.key(), Class::Payload),
        ];
        let slots = self.store.slots(person.owner, &wants).await.map_err(Stop::from)?;
        let [subject, source, recipient, payload] = slots.as_slice() else {
            return Err(Stop::from(CallError::Fault("the store gave fewer key slots than asked for".into())).into());
        };
        let pseudonym = subject.key.pseudonym(&agreement.recipient).to_string();
        let mut statement = evidence_statement(permission, provider, provided, id);
        statement.id(Attribute::SchemaVersion, valid.version.version);
        statement.list(Attribute::Withheld, projection.withheld());
        statement.string(Attribute::Subject, &pseudonym);
        if let Some(consent) = ground.consent {
            statement.id(Attribute::ConsentId, consent);
        }
        let about = About {
            agencies: &[&agreement.source, &agreement.recipient],
            agreement: Some(agreement),
            ids: &[*request],
            consent: ground.consent,
            record: Some((&agreement.source, agreement.record_type.as_str(), &provided.record.record_id)),
            ..About::new(Kind::Transfer, id, person.owner)
        };
        let epoch = self.epoch().await.map_err(Stop::from)?;
        let draft = seal::Draft {
            kind: Kind::Transfer,
            id,
            statement: &statement,
            projection: Some(&projection),
            parties: &[source, recipient],
            terms: self.terms(&about),
            outgoing: None,
            payload: Some(seal_payload(payload, &epoch, id, payload_plain("", projection.text()))),
        };
        let seal = || with_committer(|committer| seal::seal(draft, committer, &*self.random));
        let sealed = timer.time(Stage::Seal, seal).map_err(|code| Stop::from(too_much(code)))?;
        Ok(Decided { id, projection, pseudonym, sealed, until: ground.until })
    }

    /// What became of a request that was made before: its outcome, or that it was asked and has none yet, since the hub
    /// stopped in between.
    pub(super) async fn before(
        &self,
        known: Known,
        answer: (SystemKey, IdempotencyKey),
        identifiers: &[IdentifierHash],
    ) -> Result<Before, Stop> {
        let entries = self.entries_of(known).await?;
        let first = entries.first().ok_or_else(|| CallError::Fault("a known call has no entry".into()))?;
        if first.routing.kind != Kind::RequestAsked {
            return Err(self.repeated_refusal(first).await?.into());
        }
        let request = first.routing.id;
        let asked = self.stored_opened_receipt(first, Audience::Caller).await?;
        Ok(match self.store.known(answer.0, answer.1).await? {
            None => Before::Open { request, asked },
            Some(known) => {
                let answer = self.known_answer(known, identifiers).await?;
                Before::Ended(RequestOutcome { request, asked, answer })
            }
        })
    }

    /// The answer that a request about `identifiers` got before: its entry and, as long as it may be had, its record. The
    /// catalogue may have changed since; how long the recipient may keep it is what the agreement says now.
    pub(super) async fn known_answer(
        &self,
        known: Known,
        identifiers: &[IdentifierHash],
    ) -> Result<AnswerOutcome, CallError> {
        let stored = self.stored(known.first).await?;
        let stored = stored.ok_or_else(|| CallError::Fault(format!("entry {} is missing", known.first)))?;
        if stored.routing.kind == Kind::Refusal {
            return Err(self.repeated_refusal(&stored).await?);
        }
        let opened = self.open_entry(&stored).await?.map(|(_, trail)| trail);
        let receipt = self.stored_opened_receipt(&stored, Audience::Recipient).await?;
        if stored.routing.kind == Kind::Transfer {
            let payload = self.open_payload(&stored).await?.map(|(_, record)| record);
            // Looked at last: what is taken back by now does not leave again, nor for the first time.
            let payload = if self.may_leave_again(opened.as_ref(), identifiers).await? { payload } else { None };
            let trail = opened.unwrap_or_default();
            let catalogue = self.catalogue();
            let agreement = trail.text(Attribute::Agreement).and_then(|id| AgreementId::new(&id).ok());
            let agreement = agreement.and_then(|id| catalogue.agreement(&id).cloned());
            return Ok(AnswerOutcome::Evidence(Box::new(Evidence {
                id: stored.routing.id,
                record_type: trail.text(Attribute::RecordType).unwrap_or_default(),
                schema_version: trail.text(Attribute::SchemaVersion).unwrap_or_default(),
                payload,
                record: record_of(&trail),
                pseudonym: trail.text(Attribute::Subject).unwrap_or_default(),
                keep: agreement.and_then(|compiled| compiled.agreement.retention.at_recipient),
                receipt,
            })));
        }
        if !self.may_leave_again(opened.as_ref(), identifiers).await? {
            return Ok(AnswerOutcome::NoRecord { answer: None, receipt: proof_only(&receipt) });
        }
        let trail = opened.unwrap_or_default();
        let until = trail.text(Attribute::ValidFrom).and_then(|text| text.parse().ok());
        let answer = trail.text(Attribute::Answer).and_then(|word| NoRecord::from_word(&word, until));
        let answer = Some(answer.unwrap_or(NoRecord::ProviderUnavailable));
        Ok(AnswerOutcome::NoRecord { answer, receipt })
    }

    /// Whether what an answer rests on still lets it leave: without a consent, yes; with one, as long as it holds.
    /// Nobody can tell when the trail was erased.
    async fn may_leave_again(&self, trail: Option<&Trail>, identifiers: &[IdentifierHash]) -> Result<bool, CallError> {
        let Some(trail) = trail else { return Ok(false) };
        let Some(consent) = trail.text(Attribute::ConsentId) else { return Ok(true) };
        let Found::One { subject, .. } = self.store.find_subject(identifiers).await? else { return Ok(false) };
        let now = self.clock.now();
        Ok(subject.facts.rows.iter().any(|fact| fact.id.to_string() == consent && !fact.is_over(now)))
    }

    /// The traceparent and record that an entry carries, while its keys exist.
    pub(super) async fn open_payload(&self, stored: &StoredEntry) -> Result<Option<(String, Bytes)>, CallError> {
        if let Ok(Some(opened)) = self.try_open_payload(stored).await {
            return Ok(Some(opened));
        }
        // It may have been sealed again, under another hour's key, since the entry was read.
        match self.stored(stored.index).await? {
            Some(stored) => self.try_open_payload(&stored).await,
            None => Ok(None),
        }
    }

    async fn try_open_payload(&self, stored: &StoredEntry) -> Result<Option<(String, Bytes)>, CallError> {
        let Some(slots) = stored.routing.payload else { return Ok(None) };
        let (subject, epoch) = (self.store.slot_key(slots.subject).await?, self.store.slot_key(slots.epoch).await?);
        let (Some(subject), Some(epoch)) = (subject, epoch) else { return Ok(None) };
        let Some(sealed) = self.store.payload(stored.index).await? else { return Ok(None) };
        let key = vault::payload_key(&subject, &epoch, stored.routing.id);
        let plain = vault::open(&key, &sealed).map_err(|error| CallError::Fault(error.to_string()))?;
        Ok(payload_parts(&plain))
    }
}

/// What the entry says of who answered what.
fn evidence_statement(
    permission: &Permission<'_>,
    provider: &Caller,
    provided: &ProvidedRecord,
    id: TransferId,
) -> Statement {
    let request = permission.request.to_string();
    let mut statement = transfer_statement(Kind::Transfer, id, permission.compiled);
    statement.record(&provided.record);
    statement.string(Attribute::System, provider.system.as_str());
    statement.context(&provider.context);
    statement.string(Attribute::RequestId, &request);
    statement.list(Attribute::RefersTo, [request.as_str()]);
    statement
}

/// The record's identity, as a trail tells it.
pub fn record_of(trail: &Trail) -> RecordIdentity {
    let change = match trail.text(Attribute::Change).as_deref() {
        Some("changed") => Change::Changed,
        Some("corrected") => Change::Corrected,
        Some("ended") => Change::Ended,
        Some("recalled") => Change::Recalled,
        _ => Change::New,
    };
    let copy_of = trail.text(Attribute::CopyOf).and_then(|text| text.parse().ok());
    RecordIdentity {
        record_id: trail.text(Attribute::RecordId).unwrap_or_default(),
        revision: trail.number(Attribute::Revision),
        as_of: trail.text(Attribute::AsOf).and_then(|text| text.parse::<Moment>().ok()),
        change,
        corrects_revision: trail.number(Attribute::CorrectsRevision),
        authority: copy_of.map_or(RecordAuthority::Authoritative, RecordAuthority::CopyOf),
    }
}
