//! Says no, as an entry: what is known of the call so far, the code and the stage. A refusal keeps no payload.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;

use super::{
    Audience, CallError, Desk, Refused,
    call::Stop,
    panics::{caught, contained, panicked},
    quota::Admitted,
    sealing::About,
};
use crate::{
    catalogue::Catalogue,
    domain::{
        agency::{AgencyId, SystemId},
        agreement::Agreement,
        context::Context,
        idempotency::IdempotencyKey,
        record::{RecordIdentity, RecordTypeId},
        refusal::{LiesIn, Refusal},
        transfer::TransferId,
    },
    exchange::{
        authenticate,
        seal::Sealed,
        statement::Statement,
        submission::{CallKey, Peer},
    },
    ledger::{Attribute, Kind},
    sequencer::{Committed, Proposal, Recorded},
    store::{Known, Owner, SystemKey},
    vault::ContentHash,
};

/// By what a call is known: its system, its key, and the keyed hash of its content.
pub(super) type CallId = (SystemKey, IdempotencyKey, ContentHash);

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
    pub context: Option<Arc<Context>>,
    /// The idempotency key, once it is a good one.
    pub key: Option<CallId>,
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

/// A call that its ingress could not read.
pub struct Malformed {
    /// The idempotency key; an empty text if it has none.
    pub key: CallKey,
    /// The call as it came, so that a repeat can be told from another call. Only its keyed hash is kept.
    pub content: Bytes,
    /// What is wrong with it.
    pub refusal: Refusal,
}

impl std::fmt::Debug for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Malformed").field("refusal", &self.refusal).finish_non_exhaustive()
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
            Ok(()) => self.record_refusal(&trace, refusal).await.unwrap_or_else(|error| error),
            Err(error) => error,
        }
    }

    /// A use case whose caller waits: admits the call, does it, and ends it. A panic ends this call alone.
    pub(super) async fn called<T>(
        &self,
        peer: Peer<'_>,
        work: impl AsyncFnOnce(&Catalogue, &mut Trace) -> Result<T, Stop>,
    ) -> Result<T, CallError> {
        contained(pin!(async {
            let catalogue = self.catalogue();
            let admitted = self.admit(&catalogue, peer)?;
            let mut trace = Trace::new(Kind::Refusal, self.new_id());
            let result = work(&catalogue, &mut trace).await;
            self.settle(&admitted, trace, result).await
        }))
        .await
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

    /// Records a refusal, and gives what the caller is told.
    pub(super) async fn record_refusal(&self, trace: &Trace, refusal: Refusal) -> Result<CallError, CallError> {
        let (sealed, proposal) = self.seal_refusal(trace, &refusal).await?;
        match self.sequencer.propose(proposal).await? {
            Recorded::Committed { first, commit } => self.refused(&commit, first, refusal, &sealed),
            // The same call raced this one.
            Recorded::Repeat(known) => {
                let stored = self.stored(known.first).await?;
                let stored = stored.ok_or_else(|| CallError::Fault(format!("entry {} is missing", known.first)))?;
                match stored.routing.kind {
                    Kind::Refusal | Kind::RefusalOfSubmission => self.repeated_refusal(&stored).await,
                    // It succeeded: a repeat finds its outcome.
                    _ => Err(CallError::Unavailable("the same call is under way; try again".into())),
                }
            }
        }
    }

    /// The entry that records a refusal, not yet committed.
    pub(super) async fn seal_refusal(&self, trace: &Trace, refusal: &Refusal) -> Result<(Sealed, Proposal), CallError> {
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
            system: trace.system.as_ref().map(SystemKey::from),
            key: trace.key,
            entries: vec![sealed.entry.clone()],
            ..Proposal::default()
        };
        Ok((sealed, proposal))
    }

    /// What the caller gets for a refusal that has been committed.
    pub(super) fn refused(
        &self,
        commit: &Committed,
        index: u64,
        refusal: Refusal,
        sealed: &Sealed,
    ) -> Result<CallError, CallError> {
        let receipt = self.opened_receipt(commit, index, sealed, audience(&refusal))?;
        Ok(CallError::Refused(Box::new(Refused { refusal: told(refusal), receipt })))
    }

    /// Refuses a call that its ingress could not read.
    pub async fn refuse_malformed(&self, peer: Peer<'_>, kind: Kind, malformed: Malformed) -> CallError {
        caught(pin!(async {
            let catalogue = self.catalogue();
            let admitted = match self.admit(&catalogue, peer) {
                Ok(admitted) => admitted,
                Err(error) => return error,
            };
            let mut trace = Trace::new(kind, self.new_id());
            match self.malformed(&catalogue, peer, malformed, &mut trace).await {
                Stop::Refusal(refusal) => self.refuse(&admitted, trace, refusal).await,
                Stop::Error(error) => error,
            }
        }))
        .await
        .unwrap_or_else(panicked)
    }

    /// How a call ends that its ingress could not read: as it did before, if it is repeated.
    pub(super) async fn malformed(
        &self,
        catalogue: &Catalogue,
        peer: Peer<'_>,
        malformed: Malformed,
        trace: &mut Trace,
    ) -> Stop {
        let Malformed { key, content, refusal } = malformed;
        let system = match authenticate::system(catalogue, peer) {
            Ok(system) => &system.id,
            Err(refusal) => return refusal.into(),
        };
        trace.system = Some(system.clone());
        // A key that is none can't be answered again; what is wrong with the call is said all the same.
        let Ok(key) = authenticate::call_key(&key, self.clock.now(), self.limits.window) else { return refusal.into() };
        let (system, content) = (SystemKey::from(system), self.hasher.content(&[b"malformed", &content]));
        match self.store.known(system, key).await {
            Err(error) => error.into(),
            Ok(Some(known)) => match Self::check_same(known, content) {
                Ok(()) => self.repeated_malformed(known).await,
                Err(stop) => stop,
            },
            Ok(None) => {
                trace.key = Some((system, key, content));
                refusal.into()
            }
        }
    }

    async fn repeated_malformed(&self, known: Known) -> Stop {
        let refused = match self.stored(known.first).await {
            Ok(Some(stored)) => self.repeated_refusal(&stored).await,
            Ok(None) => Err(CallError::Fault(format!("entry {} is missing", known.first))),
            Err(error) => Err(error),
        };
        refused.unwrap_or_else(|error| error).into()
    }
}
