//! Says no, as an entry: what is known of the call so far, the code and the stage. A refusal keeps no payload.

use super::{Audience, CallError, Desk, Receipt, Refused, call::Stop, quota::Admitted, sealing::About};
use crate::{
    domain::{
        agency::{AgencyId, SystemId},
        agreement::Agreement,
        context::Context,
        idempotency::IdempotencyKey,
        record::{RecordIdentity, RecordTypeId},
        refusal::{LiesIn, Refusal},
        transfer::TransferId,
    },
    exchange::statement::Statement,
    ledger::{Attribute, Kind},
    sequencer::{Proposal, Recorded},
    store::{Owner, SystemKey},
    vault::ContentHash,
};

/// What is known of a call so far: enough to record its refusal at any stage.
#[derive(Debug)]
pub(super) struct Trace {
    /// How its refusal is called.
    pub kind: Kind,
    /// The decision's id.
    pub id: TransferId,
    /// The acting system, once the certificate named one that the catalogue knows.
    pub system: Option<SystemId>,
    /// Who acts, for whom, once that is allowed.
    pub context: Option<Context>,
    /// The idempotency key, once it is a good one.
    pub key: Option<(SystemKey, IdempotencyKey, ContentHash)>,
    /// Whom it is about, once that is known.
    pub owner: Owner,
    /// The agreement, once there is one (of a pull).
    pub agreement: Option<Agreement>,
    /// The record, once its type is known.
    pub record: Option<(RecordTypeId, RecordIdentity)>,
    /// The request that it belongs to.
    pub request: Option<TransferId>,
}

impl Trace {
    pub(super) const fn new(kind: Kind, id: TransferId) -> Self {
        Self {
            kind,
            id,
            system: None,
            context: None,
            key: None,
            owner: Owner::Hub,
            agreement: None,
            record: None,
            request: None,
        }
    }

    /// The agency that the call was made for, or else whose system made it.
    fn agency(&self) -> Option<AgencyId> {
        let of_context = self.context.as_ref().map(|context| context.on_behalf_of.clone());
        of_context.or_else(|| self.system.as_ref().map(SystemId::agency))
    }

    fn statement(&self, refusal: &Refusal) -> Statement {
        let mut statement = Statement::of(self.kind);
        statement.string(Attribute::Outcome, refusal.code.code());
        if let Some(agreement) = &self.agreement {
            statement.string(Attribute::Source, agreement.source.as_str());
            statement.string(Attribute::Recipient, agreement.recipient.as_str());
            statement.string(Attribute::Agreement, agreement.id.as_str());
            statement.number(Attribute::AgreementRevision, agreement.revision.into());
            statement.string(Attribute::Purpose, agreement.purpose.as_str());
        }
        if let Some((record_type, record)) = &self.record {
            if self.agreement.is_none() {
                statement.string_if_any(Attribute::Source, self.agency().as_ref().map_or("", AgencyId::as_str));
            }
            statement.string(Attribute::RecordType, record_type.as_str());
            statement.record(record);
        }
        statement.string(Attribute::TransferId, &self.id.to_string());
        if let Some(system) = &self.system {
            statement.string(Attribute::System, system.as_str());
        }
        if let Some(context) = &self.context {
            statement.context(context);
        }
        if let Some(request) = self.request {
            statement.string(Attribute::RequestId, &request.to_string());
        }
        statement.string(Attribute::RefusalCode, refusal.code.code());
        statement.string(Attribute::RefusalStage, refusal.code.stage().as_str());
        if !refusal.violations.is_empty() {
            let lines: Vec<String> =
                refusal.violations.iter().map(|fault| format!("{} {}", fault.keyword, fault.pointer)).collect();
            statement.list(Attribute::Violations, lines.iter().map(String::as_str));
        }
        statement
    }
}

/// What the caller is told: a reason that lies in the person looks like `not-available`.
pub(super) fn told(refusal: Refusal) -> Refusal {
    Refusal { code: refusal.code.told_to_caller(), ..refusal }
}

/// How far the caller may read the entry of a refusal: of a reason that lies in the person, nothing.
pub(super) fn audience(refusal: &Refusal) -> Audience {
    if refusal.code.lies_in() == LiesIn::Person { Audience::Source } else { Audience::Caller }
}

impl Desk {
    /// Records a refusal; costs the system one of its refusals. Repeats of the call get the same one.
    pub(super) async fn refuse(&self, admitted: &Admitted, trace: Trace, refusal: Refusal) -> CallError {
        match admitted.refusal() {
            Ok(()) => match self.record_refusal(&trace, &refusal).await {
                Ok(receipt) => CallError::Refused(Box::new(Refused { refusal: told(refusal), receipt })),
                Err(error) => error,
            },
            Err(error) => error,
        }
    }

    /// Ends a use case: a refusal becomes an entry first.
    pub(super) async fn settle<T>(
        &self,
        admitted: &Admitted,
        trace: Trace,
        result: Result<T, Stop>,
    ) -> Result<T, CallError> {
        match result {
            Ok(done) => Ok(done),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Refusal(refusal)) => Err(self.refuse(admitted, trace, refusal).await),
        }
    }

    pub(super) async fn record_refusal(&self, trace: &Trace, refusal: &Refusal) -> Result<Receipt, CallError> {
        let statement = trace.statement(refusal);
        let agency = trace.agency();
        let agencies: Vec<&AgencyId> = agency.iter().collect();
        let about = About {
            outcome: refusal.code.code(),
            agencies: &agencies,
            agreement: trace.agreement.as_ref(),
            ..About::new(trace.kind, trace.id, trace.owner)
        };
        let sealed = self.seal(about, &statement).await?;
        let proposal = Proposal {
            system: trace.key.map(|(system, ..)| system),
            key: trace.key,
            entries: vec![sealed.entry.clone()],
            ..Proposal::default()
        };
        match self.sequencer.propose(proposal).await? {
            Recorded::Committed { first, commit } => self.opened_receipt(&commit, first, &sealed, audience(refusal)),
            // The same call raced this one; its entry says the same.
            Recorded::Repeat(known) => match self.stored(known.first).await? {
                Some(stored) => self.stored_opened_receipt(&stored, audience(refusal)).await,
                None => Err(CallError::Fault(format!("entry {} is missing", known.first))),
            },
        }
    }
}
