//! Commit two of a request: its answer. The record is validated, permitted again, minimised and committed before the
//! requester sees it.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Audience, CallError, Desk, Receipt, Refused,
    call::Stop,
    decide::{payload_parts, payload_plain, transfer_statement},
    providers::{Answer, Answered, NoRecord, ProvideLink, ProvidedRecord},
    refuse::{Trace, told},
    request::{Permission, RequestOutcome},
    sealing::{About, HUB, seal_payload, too_much},
    submit::DECIDE_ATTEMPTS_MAX,
    with_committer,
};
use crate::{
    domain::{
        agency::Role,
        idempotency::IdempotencyKey,
        record::{Change, RecordAuthority, RecordIdentity, RecordTypeId},
        refusal::{Refusal, RefusalCode},
        subject::IdentifierHash,
        time::Moment,
        transfer::TransferId,
        view::Projection,
    },
    exchange::{
        address,
        authenticate::{self, Caller},
        seal::{self, Sealed},
        submission::{CallContext, Peer},
        trail::Trail,
        validate::validate,
    },
    ledger::{Attribute, Kind},
    sequencer::{Proposal, Recorded, SequencerError},
    store::{Class, Expect, Known, Owner, StoredEntry, SystemKey},
    vault,
};

/// The minimised record that answers a request.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The transfer.
    pub id: TransferId,
    /// What it is.
    pub record_type: RecordTypeId,
    /// Which version.
    pub schema_version: String,
    /// RFC 8785 JSON.
    pub payload: Bytes,
    /// Its identity at the source.
    pub record: RecordIdentity,
    /// How the requester knows the person.
    pub pseudonym: String,
    /// How long the requester may keep it.
    pub keep: Option<Duration>,
    /// The transfer's entry.
    pub receipt: Receipt,
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub enum AnswerOutcome {
    /// A record.
    Evidence(Box<Evidence>),
    /// None.
    NoRecord {
        /// Why.
        answer: NoRecord,
        /// The answer's entry.
        receipt: Receipt,
    },
}

impl Desk {
    /// Opens a provider's stream.
    pub async fn provide(
        &self,
        peer: Peer<'_>,
        context: CallContext,
        record_types: &[String],
    ) -> Result<(Caller, ProvideLink), CallError> {
        let catalogue = self.catalogue();
        let admitted = self.admit(&catalogue, peer)?;
        let mut trace = Trace::new(Kind::Refusal, self.new_id());
        trace.system = authenticate::system(&catalogue, peer).ok().map(|system| system.id.clone());
        let result = (|| {
            let caller = authenticate::caller(&catalogue, peer, Role::Provide, context)?;
            let types: Result<Vec<RecordTypeId>, _> = record_types.iter().map(|name| RecordTypeId::new(name)).collect();
            let types = types.map_err(|_| RefusalCode::RecordTypeUnknown)?;
            if types.iter().any(|name| catalogue.record_type(name).is_none()) {
                return Err(RefusalCode::RecordTypeUnknown.into());
            }
            let link = self.providers.open(caller.agency().clone(), types);
            Ok((caller, link))
        })();
        self.settle(&admitted, trace, result).await
    }

    /// Takes a provider's answer to a question, and tells what became of it.
    pub async fn answer(
        &self,
        caller: &Caller,
        request: &str,
        answer: Answer,
        context: CallContext,
    ) -> Result<Receipt, CallError> {
        let catalogue = self.catalogue();
        let peer = Peer::System(&caller.system);
        let admitted = self.admit(&catalogue, peer)?;
        let mut trace = Trace::new(Kind::Refusal, self.new_id());
        trace.system = Some(caller.system.clone());
        let result = (|| {
            let answering = authenticate::caller(&catalogue, peer, Role::Provide, context)?;
            let id: TransferId = request.parse().map_err(|_| RefusalCode::RequestUnknown)?;
            let reply = self.providers.take(id, answering.agency()).ok_or(RefusalCode::RequestUnknown)?;
            Ok::<_, Refusal>((answering, reply))
        })();
        let (answering, reply) = match result {
            Ok(open) => open,
            Err(refusal) => return Err(self.refuse(&admitted, trace, refusal).await),
        };
        let (told, outcome) = tokio::sync::oneshot::channel();
        let answered = Answered { answer, system: answering.system, context: answering.context, told };
        // Between taking the question and this the requester may have gone, and with it the question.
        if reply.send(answered).is_err() {
            return Err(self.refuse(&admitted, trace, RefusalCode::RequestUnknown.into()).await);
        }
        outcome.await.unwrap_or_else(|_| Err(CallError::Unavailable("the requester has gone".into())))
    }

    /// Records an answer and tells the provider what became of it.
    pub(super) async fn record_answer(
        &self,
        permission: &Permission<'_>,
        answered: Answered,
    ) -> Result<AnswerOutcome, Stop> {
        let Answered { answer, system, context, told: tell } = answered;
        let provider = Caller { system, context };
        let provided = match answer {
            Answer::None(none) => {
                let outcome = self.record_no_record(permission, Some(&provider), none).await?;
                let _ = tell.send(Ok(proof_only(outcome.receipt()))); // the provider may have gone
                return Ok(outcome);
            }
            Answer::Record(provided) => provided,
        };
        match self.record_evidence(permission, &provider, &provided).await {
            Ok(outcome) => {
                let _ = tell.send(Ok(proof_only(outcome.receipt()))); // the provider may have gone
                Ok(outcome)
            }
            Err(AnswerStop::Answer(refusal)) => {
                let refused = self.record_refused_answer(permission, &provider, refusal).await?;
                let _ = tell.send(Err(refused)); // the provider may have gone
                Ok(self.record_no_record(permission, None, NoRecord::ProviderUnavailable).await?)
            }
            Err(AnswerStop::Request(stop)) => {
                let _ = tell.send(Err(CallError::Unavailable("the request ended otherwise".into())));
                Err(stop)
            }
        }
    }

    async fn record_evidence(
        &self,
        permission: &Permission<'_>,
        provider: &Caller,
        provided: &ProvidedRecord,
    ) -> Result<AnswerOutcome, AnswerStop> {
        let Permission { catalogue, compiled, request, .. } = permission;
        let agreement = &compiled.agreement;
        let (_, version) = address::version(catalogue, agreement.record_type.as_str(), &provided.schema_version)?;
        if version.version.major != agreement.schema_major {
            return Err(Refusal::from(RefusalCode::SchemaUnknown).into());
        }
        address::check_record_id(&provided.record)?;
        let valid = validate(&provided.payload, version, &self.limits.validate)?;
        let main: Vec<IdentifierHash> = valid.main.iter().map(|one| self.hasher.identifier(one)).collect();
        if !main.iter().any(|one| permission.identifiers.contains(one)) {
            return Err(Refusal::from(RefusalCode::SubjectAmbiguous).into());
        }
        for _ in 0..DECIDE_ATTEMPTS_MAX {
            let person = match self.person(&main).await {
                Err(Stop::Refusal(refusal)) => return Err(AnswerStop::Answer(refusal)),
                other => other?,
            };
            let ground = person.facts.permit(agreement, self.clock.now()).map_err(Stop::from)?;
            let mut projection = Projection::default();
            compiled.view.project(&valid.value, &mut projection).map_err(Refusal::from)?;
            let id = self.new_id();
            let mut statement = transfer_statement(Kind::Transfer, id, compiled, catalogue);
            statement.string(Attribute::SchemaVersion, &version.version.to_string());
            statement.record(&provided.record);
            statement.list(Attribute::Withheld, projection.withheld());
            statement.string(Attribute::System, provider.system.as_str());
            statement.context(&provider.context);
            statement.string(Attribute::RequestId, &request.to_string());
            statement.list(Attribute::RefersTo, [request.to_string().as_str()]);
            if let Some(consent) = ground.consent {
                statement.string(Attribute::ConsentId, &consent.to_string());
            }
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
            statement.string(Attribute::Subject, &pseudonym);
            let about = About {
                agencies: &[&agreement.source, &agreement.recipient],
                agreement: Some(agreement),
                ids: &[*request],
                record: Some((&agreement.source, agreement.record_type.as_str(), &provided.record.record_id)),
                ..About::new(Kind::Transfer, id, person.owner)
            };
            let epoch = self.epoch().await.map_err(Stop::from)?;
            let plain = payload_plain("", projection.text());
            let draft = seal::Draft {
                kind: Kind::Transfer,
                id,
                statement: &statement,
                projection: Some(&projection),
                parties: &[source, recipient],
                terms: self.terms(&about),
                outgoing: None,
                payload: Some(seal_payload(payload, &epoch, id, &plain)),
            };
            let sealed = with_committer(|committer| seal::seal(draft, committer, &*self.random));
            let sealed = sealed.map_err(|code| Stop::from(too_much(code)))?;
            let mut expects = person.expects;
            expects.extend(ground.until.map(Expect::Before));
            let proposal = Proposal {
                system: None,
                key: Some(permission.answer_key),
                expects,
                entries: vec![sealed.entry.clone()],
                subjects: person.changes,
                deliveries: Vec::new(),
            };
            match self.propose_answer(proposal, &sealed).await? {
                Proposed::Receipt(receipt) => {
                    return Ok(AnswerOutcome::Evidence(Box::new(Evidence {
                        id,
                        record_type: agreement.record_type.clone(),
                        schema_version: version.version.to_string(),
                        payload: Bytes::copy_from_slice(projection.text().as_bytes()),
                        record: provided.record.clone(),
                        pseudonym,
                        keep: agreement.retention.at_recipient,
                        receipt,
                    })));
                }
                Proposed::Known(known) => return Ok(self.known_answer(permission, known).await?),
                Proposed::Stale => {}
            }
        }
        Err(Stop::from(CallError::Unavailable("the person's facts keep changing; try again".into())).into())
    }

    /// Records an answer that holds no record.
    pub(super) async fn record_no_record(
        &self,
        permission: &Permission<'_>,
        provider: Option<&Caller>,
        answer: NoRecord,
    ) -> Result<AnswerOutcome, CallError> {
        let Permission { catalogue, compiled, request, .. } = permission;
        let agreement = &compiled.agreement;
        let id = self.new_id();
        let kind = Kind::AnswerWithoutRecord;
        let mut statement = transfer_statement(kind, id, compiled, catalogue);
        statement.string(Attribute::Outcome, answer.as_str());
        statement.string(Attribute::Answer, answer.as_str());
        statement.string(Attribute::RequestId, &request.to_string());
        statement.list(Attribute::RefersTo, [request.to_string().as_str()]);
        if let NoRecord::NotAvailableUntil(Some(until)) = answer {
            statement.moment(Attribute::ValidFrom, until);
        }
        if let Some(provider) = provider {
            statement.string(Attribute::System, provider.system.as_str());
            statement.context(&provider.context);
        }
        let about = About {
            outcome: answer.as_str(),
            agencies: &[&agreement.source, &agreement.recipient],
            agreement: Some(agreement),
            ids: &[*request],
            ..About::new(kind, id, self.owner(&permission.identifiers).await?)
        };
        let sealed = self.seal(about, &statement).await?;
        let key = Some(permission.answer_key);
        let proposal = Proposal { key, entries: vec![sealed.entry.clone()], ..Proposal::default() };
        match self.propose_answer(proposal, &sealed).await? {
            Proposed::Receipt(receipt) => Ok(AnswerOutcome::NoRecord { answer, receipt }),
            Proposed::Known(known) => self.known_answer(permission, known).await,
            Proposed::Stale => Err(CallError::Fault("a proposal without expectations went stale".into())),
        }
    }

    /// Records that a provider's answer was refused; the request itself stays open for its other outcome.
    async fn record_refused_answer(
        &self,
        permission: &Permission<'_>,
        provider: &Caller,
        refusal: Refusal,
    ) -> Result<CallError, CallError> {
        let mut trace = Trace::new(Kind::Refusal, self.new_id());
        trace.system = Some(provider.system.clone());
        trace.context = Some(provider.context.clone());
        trace.agreement = Some(permission.compiled.agreement.clone());
        trace.request = Some(permission.request);
        trace.owner = self.owner(&permission.identifiers).await?;
        let receipt = self.record_refusal(&trace, &refusal).await?;
        Ok(CallError::Refused(Box::new(Refused { refusal: told(refusal), receipt })))
    }

    /// Whom identifiers point to, or the first of them while that is nobody.
    pub(super) async fn owner(&self, identifiers: &[IdentifierHash]) -> Result<Owner, CallError> {
        match self.store.find_subject(identifiers).await? {
            crate::store::Found::One { subject, .. } => Ok(Owner::Subject(subject.id)),
            _ => Ok(identifiers.first().map_or(Owner::Hub, |first| Owner::Unknown(*first))),
        }
    }

    async fn propose_answer(&self, proposal: Proposal, sealed: &Sealed) -> Result<Proposed, CallError> {
        match self.sequencer.propose(proposal).await {
            Ok(Recorded::Committed { first, commit }) => {
                Ok(Proposed::Receipt(self.opened_receipt(&commit, first, sealed, Audience::Recipient)?))
            }
            Ok(Recorded::Repeat(known)) => Ok(Proposed::Known(known)),
            Err(SequencerError::Stale) => Ok(Proposed::Stale),
            Err(error) => Err(error.into()),
        }
    }

    /// The key under which a request's answer is committed: a UUIDv7 of the same moment, its other bits a keyed hash of
    /// the request's key, so that nobody can choose it and each request has one.
    pub(super) fn derived_key(&self, system: SystemKey, key: IdempotencyKey) -> IdempotencyKey {
        let hash = self.hasher.content(&[b"answer", &system.0.to_be_bytes(), key.as_bytes()]);
        let mut bytes = hash.0;
        bytes[..6].copy_from_slice(&key.as_bytes()[..6]);
        bytes[6] = (bytes[6] & 0x0f) | 0x70;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        IdempotencyKey::from_uuid(uuid::Uuid::from_bytes(bytes)).expect("its version bits were just set to 7")
    }

    /// A repeated request: the answer that it got, or, if the hub stopped in between, the same question again.
    pub(super) async fn repeated_request(
        &self,
        mut permission: Permission<'_>,
        known: Known,
    ) -> Result<RequestOutcome, Stop> {
        let entries = self.entries_of(known).await?;
        let first = entries.first().ok_or_else(|| CallError::Fault("a known call has no entry".into()))?;
        if first.routing.kind != Kind::RequestAsked {
            return Err(self.repeated_refusal(first).await?.into());
        }
        permission.request = first.routing.id;
        let asked = self.stored_opened_receipt(first, Audience::Caller).await?;
        let (system, key, _) = permission.answer_key;
        match self.store.known(system, key).await? {
            None => self.await_answer(permission, asked).await,
            Some(known) => {
                let answer = self.known_answer(&permission, known).await?;
                Ok(RequestOutcome { request: permission.request, asked, answer })
            }
        }
    }

    /// The answer that a request got before.
    async fn known_answer(&self, permission: &Permission<'_>, known: Known) -> Result<AnswerOutcome, CallError> {
        let stored = self.stored(known.first).await?;
        let stored = stored.ok_or_else(|| CallError::Fault(format!("entry {} is missing", known.first)))?;
        let trail = self.open_entry(&stored).await?.map(|(_, trail)| trail).unwrap_or_default();
        let receipt = self.stored_opened_receipt(&stored, Audience::Recipient).await?;
        if stored.routing.kind == Kind::Transfer {
            let payload = self.open_payload(&stored).await?.map(|(_, record)| record).unwrap_or_default();
            let agreement = &permission.compiled.agreement;
            return Ok(AnswerOutcome::Evidence(Box::new(Evidence {
                id: stored.routing.id,
                record_type: agreement.record_type.clone(),
                schema_version: trail.text(Attribute::SchemaVersion).unwrap_or_default(),
                payload,
                record: record_of(&trail),
                pseudonym: trail.text(Attribute::Subject).unwrap_or_default(),
                keep: agreement.retention.at_recipient,
                receipt,
            })));
        }
        let until = trail.text(Attribute::ValidFrom).and_then(|text| text.parse().ok());
        let answer = trail.text(Attribute::Answer).and_then(|word| NoRecord::from_word(&word, until));
        let answer = answer.unwrap_or(NoRecord::ProviderUnavailable);
        Ok(AnswerOutcome::NoRecord { answer, receipt })
    }

    /// The traceparent and record that an entry carries, while its keys exist.
    pub(super) async fn open_payload(&self, stored: &StoredEntry) -> Result<Option<(String, Bytes)>, CallError> {
        let Some(slots) = stored.routing.payload else { return Ok(None) };
        let (subject, epoch) = (self.store.slot_key(slots.subject).await?, self.store.slot_key(slots.epoch).await?);
        let (Some(subject), Some(epoch)) = (subject, epoch) else { return Ok(None) };
        let Some(sealed) = self.store.payload(stored.index).await? else { return Ok(None) };
        let key = vault::payload_key(&subject, &epoch, stored.routing.id);
        let plain = vault::open(&key, &sealed).map_err(|error| CallError::Fault(error.to_string()))?;
        Ok(payload_parts(&plain))
    }
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

impl AnswerOutcome {
    const fn receipt(&self) -> &Receipt {
        match self {
            Self::Evidence(evidence) => &evidence.receipt,
            Self::NoRecord { receipt, .. } => receipt,
        }
    }
}

/// What the provider is told: that it is recorded.
fn proof_only(receipt: &Receipt) -> Receipt {
    Receipt { commitments: None, openings: Vec::new(), ..receipt.clone() }
}

enum Proposed {
    Receipt(Receipt),
    Known(Known),
    Stale,
}

/// Why evidence was not recorded.
enum AnswerStop {
    /// The answer is not what it must be: the provider is told.
    Answer(Refusal),
    /// The request ends: the requester is told.
    Request(Stop),
}

impl From<Refusal> for AnswerStop {
    fn from(refusal: Refusal) -> Self {
        Self::Answer(refusal)
    }
}

impl From<Stop> for AnswerStop {
    fn from(stop: Stop) -> Self {
        Self::Request(stop)
    }
}

impl From<CallError> for AnswerStop {
    fn from(error: CallError) -> Self {
        Self::Request(error.into())
    }
}
