//! Commit two of a request: its answer, made durable before the requester sees it. What is done with a record in it is
//! `evidence.rs`; without one, `no_record.rs`.

use std::pin::pin;

use tokio::sync::oneshot;

use super::{
    Audience, CallError, Desk, Evidence, Receipt,
    call::Stop,
    panics::{caught, contained, panicked},
    providers::{Answer, Answered, NoRecord, ProvideLink},
    refuse::Trace,
    request::Permission,
};
use crate::{
    domain::{
        agency::{AgencyId, Role, SystemId},
        idempotency::IdempotencyKey,
        record::RecordTypeId,
        refusal::{Refusal, RefusalCode},
        subject::IdentifierHash,
        transfer::TransferId,
    },
    exchange::{
        address::malformed,
        authenticate::{self, Caller},
        seal::Sealed,
        submission::{CallContext, Peer},
    },
    ledger::Kind,
    sequencer::{Proposal, Recorded, SequencerError},
    store::{Known, Owner, SystemKey},
};

/// The most record types that a provider's stream names.
pub const RECORD_TYPES_MAX: usize = 1_000;

/// What a request is answered with.
#[derive(Debug, Clone)]
pub enum AnswerOutcome {
    /// A record.
    Evidence(Box<Evidence>),
    /// None.
    NoRecord {
        /// Why; `None` in the answer to a repeat that comes after the consent that it rested on is over.
        answer: Option<NoRecord>,
        /// The answer's entry.
        receipt: Receipt,
    },
}

impl Desk {
    /// Opens a provider's stream: whose, and of which record types (none: all). `None` when it did not say so first.
    pub async fn provide(
        &self,
        peer: Peer<'_>,
        opening: Option<(CallContext, Vec<String>)>,
    ) -> Result<(Caller, ProvideLink), CallError> {
        contained(pin!(self.try_provide(peer, opening))).await
    }

    async fn try_provide(
        &self,
        peer: Peer<'_>,
        opening: Option<(CallContext, Vec<String>)>,
    ) -> Result<(Caller, ProvideLink), CallError> {
        let catalogue = self.catalogue();
        let admitted = self.admit(&catalogue, peer)?;
        let mut trace = Trace::new(Kind::Refusal, self.new_id());
        trace.system = authenticate::system(&catalogue, peer).ok().map(|system| system.id.clone());
        let result = (|| {
            let (context, record_types) = opening.ok_or_else(|| malformed("/open", "required"))?;
            let caller = authenticate::caller(&catalogue, peer, Role::Provide, context)?;
            if record_types.len() > RECORD_TYPES_MAX {
                return Err(malformed("/open/record_types", "maxItems"));
            }
            let types: Result<Vec<RecordTypeId>, _> = record_types.iter().map(|name| RecordTypeId::new(name)).collect();
            let types = types.map_err(|_| RefusalCode::RecordTypeUnknown)?;
            if types.iter().any(|name| catalogue.record_type(name.as_str()).is_none()) {
                return Err(Refusal::from(RefusalCode::RecordTypeUnknown));
            }
            let link = self.providers.open(caller.system.clone(), caller.agency().clone(), types);
            Ok((caller, link))
        })();
        self.settle(&admitted, trace, result.map_err(Stop::from)).await
    }

    /// Whether the catalogue in force still lets `system` provide for `agency`.
    pub fn may_provide(&self, system: &SystemId, agency: &AgencyId) -> bool {
        let catalogue = self.catalogue();
        let system = catalogue.system(system);
        system.is_some_and(|system| system.has(Role::Provide) && system.may_act_for(agency))
    }

    /// Whether a question to `agency` waits for its answer.
    pub fn is_asked(&self, request: &str, agency: &AgencyId) -> bool {
        request.parse().is_ok_and(|request| self.providers.is_open(request, agency))
    }

    /// Takes a provider's answer to a question, and tells what became of it.
    pub async fn answer(
        &self,
        caller: &Caller,
        request: &str,
        answer: Answer,
        context: CallContext,
    ) -> Result<Receipt, CallError> {
        contained(pin!(self.try_answer(caller, request, answer, context))).await
    }

    async fn try_answer(
        &self,
        caller: &Caller,
        request: &str,
        answer: Answer,
        context: CallContext,
    ) -> Result<Receipt, CallError> {
        let catalogue = self.catalogue();
        let peer = Peer::System(&caller.system);
        let known = authenticate::system(&catalogue, peer).ok();
        let admitted = self.quota.admit_answer(caller.system.as_str(), known)?;
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
        let (told, outcome) = oneshot::channel();
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
        let Answered { answer, system, context, told } = answered;
        let provider = Caller { system, context };
        let mut tell = Teller(Some(told));
        let recorded = caught(pin!(self.try_record_answer(permission, &provider, answer, &mut tell))).await;
        recorded.unwrap_or_else(|| {
            // The requester has not gone, which is what silence would mean.
            tell.tell(Err(panicked()));
            Err(panicked().into())
        })
    }

    async fn try_record_answer(
        &self,
        permission: &Permission<'_>,
        provider: &Caller,
        answer: Answer,
        tell: &mut Teller,
    ) -> Result<AnswerOutcome, Stop> {
        let settled = match answer {
            Answer::None(none) => self.record_no_record(permission, provider, none).await.map_err(AnswerStop::from),
            Answer::Record(provided) => self.record_evidence(permission, provider, &provided).await,
        };
        match settled {
            Ok(settled) => {
                tell.tell(settled.told());
                Ok(settled.outcome)
            }
            Err(AnswerStop::Answer(refusal)) => {
                let refused = self.record_refused_answer(permission, provider, refusal).await?;
                tell.tell(Err(refused));
                Ok(self.record_unavailable(permission).await?.outcome)
            }
            // Told to the requester, as the request's outcome.
            Err(AnswerStop::Request(stop)) => {
                tell.tell(Err(otherwise()));
                Err(stop)
            }
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
        self.record_refusal(&trace, refusal).await
    }

    /// Whom identifiers point to, or the first of them while that is nobody.
    pub(super) async fn owner(&self, identifiers: &[IdentifierHash]) -> Result<Owner, CallError> {
        match self.store.find_subject(identifiers).await? {
            crate::store::Found::One { subject, .. } => Ok(Owner::Subject(subject.id)),
            _ => Ok(unknown(identifiers)),
        }
    }

    /// Proposes an answer under its request's key.
    pub(super) async fn propose_answer(&self, proposal: Proposal, sealed: &Sealed) -> Result<Proposed, CallError> {
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
}

impl AnswerOutcome {
    const fn receipt(&self) -> &Receipt {
        match self {
            Self::Evidence(evidence) => &evidence.receipt,
            Self::NoRecord { receipt, .. } => receipt,
        }
    }
}

/// The outcome of a request.
pub(super) struct Settled {
    /// What the requester gets.
    pub outcome: AnswerOutcome,
    /// Whether it is what this answer made, and not one that came before.
    pub own: bool,
}

impl Settled {
    /// What the provider is told of its answer.
    fn told(&self) -> Result<Receipt, CallError> {
        if self.own { Ok(proof_only(self.outcome.receipt())) } else { Err(otherwise()) }
    }
}

/// Under whom it is filed what is said of nobody who is known.
pub(super) fn unknown(identifiers: &[IdentifierHash]) -> Owner {
    identifiers.first().map_or(Owner::Hub, |first| Owner::Unknown(*first))
}

fn otherwise() -> CallError {
    CallError::Unavailable("the answer is not the request's outcome".into())
}

/// Tells a provider what became of its answer, once.
struct Teller(Option<oneshot::Sender<Result<Receipt, CallError>>>);

impl Teller {
    fn tell(&mut self, became: Result<Receipt, CallError>) {
        if let Some(told) = self.0.take() {
            let _ = told.send(became); // the provider may have gone
        }
    }
}

/// What the provider is told: that it is recorded.
pub(super) fn proof_only(receipt: &Receipt) -> Receipt {
    Receipt { commitments: None, openings: Vec::new(), ..receipt.clone() }
}

/// What became of a proposed answer.
pub(super) enum Proposed {
    Receipt(Receipt),
    Known(Known),
    Stale,
}

/// Why evidence was not recorded.
pub(super) enum AnswerStop {
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
