//! Asks a provider for one record: two commits. That it was asked, before the provider sees the question; its answer,
//! before the requester does.

use std::{sync::Arc, time::Duration};

use super::{
    Audience, CallError, Desk, Receipt,
    answer::AnswerOutcome,
    call::Stop,
    content,
    decide::{Person, transfer_statement},
    evidence::Before,
    providers::{Answered, Question, UnderWay},
    refuse::Trace,
    sealing::About,
    submit::DECIDE_ATTEMPTS_MAX,
};
use crate::{
    catalogue::{Catalogue, CompiledAgreement},
    domain::{
        agency::{AgencyId, Role, SystemId},
        agreement::{Agreement, Demand},
        facts::Ground,
        refusal::{Refusal, RefusalCode},
        subject::{Identifier, IdentifierHash},
        time::Moment,
        transfer::TransferId,
    },
    exchange::{
        address,
        authenticate::{self, Caller},
        submission::{CallContext, Peer},
    },
    ledger::{Attribute, Kind},
    sequencer::{Proposal, Recorded, SequencerError},
    store::{Expect, Found, Owner, SystemKey},
    vault::ContentHash,
};

/// A request for evidence.
#[derive(Debug, Clone)]
pub struct RequestCall {
    /// The idempotency key, as text.
    pub key: String,
    /// What is wanted, as text.
    pub record_type: String,
    /// What for, as text.
    pub purpose: String,
    /// The agency asked, as text; empty: the authoritative one.
    pub provider: String,
    /// About whom.
    pub subject: Vec<Identifier>,
    /// What the person asked for, if they did.
    pub explicit_request: Option<ExplicitRequest>,
    /// Who asks, for whom, why.
    pub context: CallContext,
    /// When the answer is no longer of use.
    pub deadline: Option<Moment>,
    /// W3C trace context.
    pub traceparent: String,
}

/// The person's own request that this evidence be fetched. Not consent.
#[derive(Debug, Clone)]
pub struct ExplicitRequest {
    /// When.
    pub asked_at: Option<Moment>,
    /// How it is kept at the requester.
    pub reference: String,
}

const UNDER_WAY: &str = "the same request is under way; try again";

/// The longest reference of an explicit request, in bytes.
pub const REFERENCE_BYTES_MAX: usize = 512;

/// What became of a request.
#[derive(Debug, Clone)]
pub struct RequestOutcome {
    /// Its id.
    pub request: TransferId,
    /// The entry that was made before the provider saw the question.
    pub asked: Receipt,
    /// The answer.
    pub answer: AnswerOutcome,
}

/// A request that is permitted: what asking and answering share.
pub(super) struct Permission<'c> {
    pub catalogue: &'c Catalogue,
    pub compiled: &'c Arc<CompiledAgreement>,
    pub caller: Caller,
    pub call: RequestCall,
    pub identifiers: Vec<IdentifierHash>,
    pub request: TransferId,
    pub deadline: Moment,
    /// The key under which the answer is committed, so that a request has one.
    pub answer_key: (SystemKey, crate::domain::idempotency::IdempotencyKey, ContentHash),
}

/// A request that is permitted by what is known of the person.
pub(super) struct Permitted {
    /// The consent that it rests on.
    pub consent: Option<TransferId>,
    /// What must still hold when it is committed.
    pub expects: Vec<Expect>,
}

impl Desk {
    /// Asks the provider for one record and waits for its answer until the deadline.
    pub async fn request(&self, peer: Peer<'_>, call: RequestCall) -> Result<RequestOutcome, CallError> {
        self.called(peer, async |catalogue, trace| self.try_request(catalogue, peer, call, trace).await).await
    }

    async fn try_request(
        &self,
        catalogue: &Catalogue,
        peer: Peer<'_>,
        mut call: RequestCall,
        trace: &mut Trace,
    ) -> Result<RequestOutcome, Stop> {
        let now = self.clock.now();
        trace.system = authenticate::system(catalogue, peer).ok().map(|system| system.id.clone());
        let content = content::of_request(&self.hasher, &call);
        let context = std::mem::replace(&mut call.context, CallContext { on_behalf_of: None, rest: Box::default() });
        let caller = authenticate::caller(catalogue, peer, Role::Request, context)?;
        trace.context = Some(caller.context.clone());
        let key = authenticate::key(&call.key, now, self.limits.window)?;
        let system = SystemKey::from(&caller.system);
        let answer_key = (SystemKey(0), self.derived_key(system, key), content);
        let mut open = None;
        let mut identifiers: Vec<IdentifierHash> = call.subject.iter().map(|one| self.hasher.identifier(one)).collect();
        if let Some(known) = self.store.known(system, key).await? {
            Self::check_same(known, content)?;
            match self.before(known, (answer_key.0, answer_key.1), &identifiers).await? {
                Before::Ended(outcome) => return Ok(outcome),
                Before::Open { request, asked } => open = Some((request, asked)),
            }
        }
        // A request that was asked is refused as its answer would be recorded: a repeat is refused alike.
        trace.key = Some(if open.is_some() { answer_key } else { (system, key, content) });
        trace.request = open.as_ref().map(|(request, _)| *request);

        let compiled = address::pull(catalogue, &caller, &call.record_type, &call.purpose, &call.provider, now)?;
        trace.agreement = Some(compiled.agreement.clone());
        check_call(&compiled.agreement, &call)?;
        let Some(first) = identifiers.first() else { return Err(RefusalCode::SubjectMissing.into()) };
        trace.owner = Owner::Unknown(*first);
        if compiled.agreement.demand == Demand::Consent {
            self.keep_hers(&mut call.subject, &mut identifiers).await?;
        }

        let latest = now.after(self.limits.request_deadline_max);
        let deadline = call.deadline.map_or(latest, |deadline| deadline.min(latest));
        let late = call.deadline.is_some_and(|deadline| deadline <= now);
        let request = open.as_ref().map_or(trace.id, |(request, _)| *request);
        let permission = Permission { catalogue, compiled, caller, call, identifiers, request, deadline, answer_key };
        let asked = match open {
            Some((_, asked)) => {
                // The question goes out again, so what is known of the person by now must still allow it.
                self.permit_now(&permission, &mut trace.owner).await?;
                asked
            }
            None if late => return Err(address::malformed("/deadline", "minimum").into()),
            None => self.ask(&permission, trace).await?,
        };
        // From here on a refusal is the request's outcome, which has an id and a key of its own.
        trace.id = self.new_id();
        trace.key = Some(answer_key);
        trace.request = Some(request);
        self.await_answer(permission, asked).await
    }

    /// Keeps, of identifiers of which some point to a person, those: what else is named may be somebody's who has not
    /// consented.
    async fn keep_hers(
        &self,
        subject: &mut Vec<Identifier>,
        identifiers: &mut Vec<IdentifierHash>,
    ) -> Result<(), CallError> {
        let Found::One { unlinked, .. } = self.store.find_subject(identifiers).await? else { return Ok(()) };
        let mut hers = identifiers.iter().map(|identifier| !unlinked.contains(identifier));
        subject.retain(|_| hers.next().unwrap_or(false));
        identifiers.retain(|identifier| !unlinked.contains(identifier));
        Ok(())
    }

    /// Permits a request by what is known of the person now. `owner` is whose entries are from here on, as soon as that is
    /// known: asking about somebody unknown creates no subject.
    pub(super) async fn permit_now(&self, permission: &Permission<'_>, owner: &mut Owner) -> Result<Permitted, Stop> {
        let person = self.person(&permission.identifiers).await?;
        if person.changes.is_empty() {
            *owner = person.owner;
        }
        let ground = permit(&person, &permission.compiled.agreement, self.clock.now())?;
        let mut expects = person.expects;
        expects.extend(ground.until.map(Expect::Before));
        Ok(Permitted { consent: ground.consent, expects })
    }

    /// Commit one: that it was asked.
    async fn ask(&self, permission: &Permission<'_>, trace: &mut Trace) -> Result<Receipt, Stop> {
        let Permission { compiled, caller, call, request, deadline, .. } = permission;
        let agreement = &compiled.agreement;
        for _ in 0..DECIDE_ATTEMPTS_MAX {
            let Permitted { consent, expects } = self.permit_now(permission, &mut trace.owner).await?;
            let mut statement = transfer_statement(Kind::RequestAsked, *request, compiled);
            statement.string(Attribute::System, caller.system.as_str());
            statement.context(&caller.context);
            statement.string(Attribute::RequestId, &request.to_string());
            statement.moment(Attribute::Deadline, *deadline);
            if let Some(consent) = consent {
                statement.string(Attribute::ConsentId, &consent.to_string());
            }
            if let Some(asked) = &call.explicit_request {
                say_explicit_request(&mut statement, asked);
            }
            let about = About {
                agencies: &[&agreement.source, &agreement.recipient],
                agreement: Some(agreement),
                ..About::new(Kind::RequestAsked, *request, trace.owner)
            };
            let sealed = self.seal(about, &statement).await?;
            let proposal = Proposal {
                system: trace.key.map(|(system, ..)| system),
                key: trace.key,
                expects,
                entries: vec![sealed.entry.clone()],
                ..Proposal::default()
            };
            match self.sequencer.propose(proposal).await {
                Ok(Recorded::Committed { first, commit }) => {
                    return Ok(self.opened_receipt(&commit, first, &sealed, Audience::Caller)?);
                }
                // Two calls with one key race: the other one asks.
                Ok(Recorded::Repeat(_)) => {
                    return Err(CallError::Unavailable(UNDER_WAY.into()).into());
                }
                Err(SequencerError::Stale) => {}
                Err(SequencerError::KeyReused) => return Err(RefusalCode::KeyReused.into()),
                Err(error) => return Err(CallError::from(error).into()),
            }
        }
        Err(CallError::Unavailable("the person's facts keep changing; try again".into()).into())
    }

    /// Hands the question to the provider and records what it answers, or that it did not.
    pub(super) async fn await_answer(
        &self,
        permission: Permission<'_>,
        asked: Receipt,
    ) -> Result<RequestOutcome, Stop> {
        let agreement = &permission.compiled.agreement;
        let question = Question {
            request: permission.request,
            requester: permission.caller.agency().clone(),
            agreement: agreement.id.to_string(),
            purpose: agreement.purpose.to_string(),
            record_type: agreement.record_type.clone(),
            schema_major: agreement.schema_major,
            subject: permission.call.subject.clone(),
            explicitly_requested: permission.call.explicit_request.is_some(),
            deadline: permission.deadline,
            traceparent: permission.call.traceparent.clone(),
        };
        let left: Duration = permission.deadline.since(self.clock.now());
        let may = |system: &SystemId, agency: &AgencyId| self.may_provide(system, agency);
        // Of a repeat that comes after its deadline nobody is asked: the answer would be of no use.
        let asked_of = if left.is_zero() { Ok(None) } else { self.providers.ask(&agreement.source, question, may) };
        // Held until the answer is recorded: so long it is under way.
        let mut asked_of = asked_of.map_err(|UnderWay| CallError::Unavailable(UNDER_WAY.into()))?;
        let answered: Option<Answered> = match &mut asked_of {
            None => None,
            Some(waiting) => tokio::time::timeout(left, &mut waiting.answer).await.ok().and_then(Result::ok),
        };
        let answer = match answered {
            Some(answered) => self.record_answer(&permission, answered).await?,
            None => self.record_unavailable(&permission).await?.outcome,
        };
        drop(asked_of);
        Ok(RequestOutcome { request: permission.request, asked, answer })
    }
}

/// Permits a question about the person, if each identifier that it names is known to be hers where she must have consented.
fn permit(person: &Person, agreement: &Agreement, now: Moment) -> Result<Ground, Stop> {
    let ground = person.facts.permit(agreement, now)?;
    // She has become known since the others were left out.
    if ground.consent.is_some() && person.expects.iter().any(|expect| matches!(expect, Expect::Newcomer { .. })) {
        return Err(CallError::Unavailable("the person has just become known; try again".into()).into());
    }
    Ok(ground)
}

fn check_call(agreement: &Agreement, call: &RequestCall) -> Result<(), Refusal> {
    address::check_traceparent(&call.traceparent)?;
    let reference = call.explicit_request.as_ref().map_or(0, |said| said.reference.len());
    if reference > REFERENCE_BYTES_MAX {
        return Err(address::malformed("/explicit_request/reference", "maxLength"));
    }
    address::check_explicit_request(agreement, call.explicit_request.is_some())
}

fn say_explicit_request(statement: &mut crate::exchange::statement::Statement, said: &ExplicitRequest) {
    statement.with(Attribute::ExplicitRequest, |text| {
        text.push('{');
        if let Some(asked_at) = said.asked_at {
            text.push_str("\"asked_at\":");
            crate::domain::canonical::write_string(text, &asked_at.to_string());
            text.push(',');
        }
        text.push_str("\"reference\":");
        crate::domain::canonical::write_string(text, &said.reference);
        text.push('}');
    });
}
