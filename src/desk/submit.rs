//! Pushes one record: the stages of [`crate::exchange`], and one commit. Many in order: `series.rs`; from a log:
//! `consume.rs`.
//!
//! A submission is *prepared* (everything up to its commit, so that many can be prepared at once), proposed to the
//! sequencer, and *concluded* from its answer: an outcome, or a proposal again when what it was decided on has changed.

use std::{pin::pin, sync::Arc};

use super::{
    CallError, Consuming, Desk, Receipt, ReceiptDetail,
    call::Stop,
    content,
    copies::Passed,
    decide::{Decision, Part},
    meters::{Stage, Timer},
    newcomers::Reserved,
    panics::caught,
    quota::Admitted,
    refuse::{Malformed, Trace},
};
use crate::{
    catalogue::Catalogue,
    domain::{
        refusal::{Refusal, RefusalCode},
        subject::IdentifierHash,
        transfer::TransferId,
    },
    exchange::{
        address::{Addressed, address},
        authenticate::{self, Authenticated},
        seal::Sealed,
        submission::{CallKey, Peer, Submission},
        validate::validate,
    },
    ledger::Kind,
    sequencer::{Committed, Proposal, Recorded, SequencerError},
    store::{Expect, Owner, SystemKey},
};

/// How often a decision is made again because what it rested on changed before its commit. Each time the subject's
/// facts have changed in between, so this many changes of one person's facts within milliseconds are not an honest
/// load.
pub(super) const DECIDE_ATTEMPTS_MAX: usize = 8;

/// What the source of a push learns.
#[derive(Debug, Clone)]
pub struct SubmitOutcome {
    /// For each recipient that an agreement names.
    pub recipients: Vec<RecipientOutcome>,
}

/// What the source learns of one recipient: that it is recorded, or a reason that lies in its own submission.
#[derive(Debug, Clone)]
pub struct RecipientOutcome {
    /// The recipient.
    pub recipient: String,
    /// The agreement.
    pub agreement: String,
    /// The decision's id.
    pub id: TransferId,
    /// Its entry.
    pub receipt: Receipt,
    /// Only when the reason lies in the submission.
    pub refusal: Option<Refusal>,
}

/// What an ingress hands over.
#[derive(Debug)]
pub enum Arrival {
    /// A submission.
    Submission(Submission),
    /// What should have been one.
    Malformed(Malformed),
}

impl From<Submission> for Arrival {
    fn from(submission: Submission) -> Self {
        Self::Submission(submission)
    }
}

/// What a submission keeps from its admission to its outcome.
#[derive(Debug)]
pub(super) struct Begun {
    /// It ends under the catalogue that it began under.
    catalogue: Arc<Catalogue>,
    admitted: Admitted,
    timer: Timer,
    pub trace: Trace,
    detail: ReceiptDetail,
    attempts: usize,
    /// If it was read from a log.
    pub consuming: Option<Consuming>,
    /// If it came as an event: what is known of that.
    pub event: Option<Expect>,
    /// Nobody could read it: it has an entry only while the system has refusals left.
    pub unreadable: bool,
}

/// A submission between its decision and its commit.
#[derive(Debug)]
pub(super) struct Call {
    pub begun: Begun,
    pub pending: Pending,
}

/// What is proposed.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "the large one is the usual one, and a call is boxed as a whole")]
pub(super) enum Pending {
    Transfers {
        from: Authenticated,
        parts: Vec<Part>,
        _reserved: Option<Reserved>,
    },
    Refusal {
        refusal: Refusal,
        sealed: Sealed,
    },
    /// Only the log's position is left to be written.
    Known(Result<SubmitOutcome, CallError>),
}

/// A submission that has been prepared.
#[derive(Debug)]
pub(super) enum Prepared {
    /// It needs no commit.
    Done(Result<SubmitOutcome, CallError>),
    /// It is to be proposed, and then concluded.
    Proposal(Box<Call>, Proposal),
}

/// A call whose sender is known: new, or answered before.
enum Opened {
    New(Box<Authenticated>),
    Repeat(SubmitOutcome),
}

impl Desk {
    /// Admits a call of `peer` against its system's rate and bounds.
    pub(super) fn admit(&self, catalogue: &Catalogue, peer: Peer<'_>) -> Result<Admitted, CallError> {
        let name = match peer {
            Peer::San(san) => san,
            Peer::System(id) => id.as_str(),
        };
        self.quota.admit(name, authenticate::system(catalogue, peer).ok())
    }

    /// Pushes one record to every recipient that an agreement names.
    pub async fn submit(
        &self,
        peer: Peer<'_>,
        arrival: impl Into<Arrival>,
        detail: ReceiptDetail,
    ) -> Result<SubmitOutcome, CallError> {
        let mut prepared = self.prepare(peer, arrival.into(), detail, None).await;
        loop {
            match prepared {
                Prepared::Done(result) => return result,
                Prepared::Proposal(call, proposal) => {
                    let answer = self.sequencer.propose(proposal).await;
                    prepared = self.conclude(*call, answer).await;
                }
            }
        }
    }

    /// Everything up to the commit. What is read from a log has been admitted before.
    pub(super) async fn prepare(
        &self,
        peer: Peer<'_>,
        arrival: Arrival,
        detail: ReceiptDetail,
        consumed: Option<(Consuming, Admitted)>,
    ) -> Prepared {
        let catalogue = self.catalogue();
        let (consuming, admitted) = match consumed {
            Some((consuming, admitted)) => (Some(consuming), admitted),
            None => match self.admit(&catalogue, peer) {
                Ok(admitted) => (None, admitted),
                Err(error) => return Prepared::Done(Err(error)),
            },
        };
        let trace = Trace::new(Kind::RefusalOfSubmission, self.new_id());
        let unreadable = matches!(arrival, Arrival::Malformed(_));
        let timer = self.meters.timer();
        let mut begun =
            Begun { catalogue, admitted, timer, trace, detail, attempts: 0, consuming, event: None, unreadable };
        let opened = match arrival {
            Arrival::Submission(submission) => self.panics.contain(pin!(self.open(&mut begun, peer, submission))).await,
            Arrival::Malformed(malformed) => {
                let stop = self.malformed(&begun.catalogue, peer, malformed, &mut begun.trace);
                self.panics.contain(pin!(async { Err(stop.await) })).await
            }
        };
        match opened {
            Ok(Opened::New(authenticated)) => self.decided(begun, *authenticated).await,
            Ok(Opened::Repeat(outcome)) => begun.known(Ok(outcome)),
            Err(stop) => self.stopped(begun, stop).await,
        }
    }

    /// Who sends it; and whether it was answered before.
    async fn open(&self, begun: &mut Begun, peer: Peer<'_>, mut submission: Submission) -> Result<Opened, Stop> {
        let (catalogue, trace) = (&begun.catalogue, &mut begun.trace);
        trace.system = authenticate::system(catalogue, peer).ok().map(|system| system.id.clone());
        if let (CallKey::Event(key), Some(system)) = (&mut submission.key, &trace.system) {
            (*key, begun.event) = self.first_key(SystemKey::from(system), *key).await?;
        }
        let content = content::of_submission(&self.hasher, &submission);
        let now = self.clock.now();
        let authenticate = || authenticate::authenticate(catalogue, peer, submission, now, self.limits.window);
        let authenticated = begun.timer.time(Stage::Authenticate, authenticate)?;
        let Authenticated { caller, key, .. } = &authenticated;
        trace.context = Some(caller.context.clone());
        let system = SystemKey::from(&caller.system);
        if let Some(known) = self.store.known(system, *key).await? {
            Self::check_same(known, content)?;
            return Ok(Opened::Repeat(self.repeated_submission(known).await?));
        }
        trace.key = Some((system, *key, content));
        Ok(Opened::New(Box::new(authenticated)))
    }

    /// Decides, for the first time or again.
    async fn decided(&self, mut begun: Begun, from: Authenticated) -> Prepared {
        begun.attempts += 1;
        if begun.attempts > DECIDE_ATTEMPTS_MAX {
            let error = CallError::Unavailable("the person's facts keep changing; try again".into());
            return Prepared::Done(Err(error));
        }
        let decided = self.panics.contain(pin!(self.try_decide(&mut begun, from))).await;
        match decided {
            Ok((from, Decision { parts, entries, person })) => {
                self.panics.over();
                let proposal = Proposal {
                    system: begun.trace.key.map(|(system, ..)| system),
                    key: begun.trace.key,
                    expects: person.expects,
                    entries,
                    subjects: person.changes,
                    ..Proposal::default()
                };
                begun.propose(Pending::Transfers { from, parts, _reserved: person.reserved }, proposal)
            }
            Err(stop) => self.stopped(begun, stop).await,
        }
    }

    async fn try_decide(&self, begun: &mut Begun, from: Authenticated) -> Result<(Authenticated, Decision), Stop> {
        let Begun { catalogue, timer, trace, .. } = begun;
        let now = self.clock.now();
        let addressed = timer.time(Stage::Address, || address(catalogue, from, now))?;
        trace.record = Some((addressed.record_type.clone(), addressed.submission.record.clone()));
        let payload = &addressed.submission.payload;
        let validate = || validate(payload, addressed.version, &self.limits.validate);
        let valid = timer.time(Stage::Validate, validate)?;
        let identifiers: Vec<IdentifierHash> = valid.main.iter().map(|one| self.hasher.identifier(one)).collect();
        trace.owner = Owner::Unknown(identifiers[0]);
        let reading = timer.start();
        let person = self.person(&identifiers).await?;
        timer.since(Stage::Facts, reading);
        if person.changes.is_empty() {
            trace.owner = person.owner;
        }
        let Addressed { caller, submission, record_type, .. } = &addressed;
        let passed = Passed { by: caller.agency(), record_type, record: &submission.record, about: person.owner };
        self.check_copy(catalogue, passed).await?;
        let decision = self.decide(timer, &addressed, &valid, person).await?;
        let Addressed { caller, key, submission, .. } = addressed;
        Ok((Authenticated { caller, key, submission }, decision))
    }

    /// It ends without a transfer: a refusal becomes an entry first.
    async fn stopped(&self, begun: Begun, stop: Stop) -> Prepared {
        let refusal = match stop {
            Stop::Refusal(_) if matches!(begun.consuming, Some(Consuming::Past)) => {
                return Prepared::Done(Err(begun.past()));
            }
            Stop::Refusal(refusal) => refusal,
            Stop::Error(error) => return begun.ended(error),
        };
        while let Err(error) = begun.admitted.refusal() {
            match error {
                // What is in a log waits; only what nobody can read does not hold up what follows.
                CallError::Exhausted { retry_after, .. } if begun.consuming.is_some() && !begun.unreadable => {
                    tokio::time::sleep(retry_after).await;
                }
                error => return begun.known(Err(error)),
            }
        }
        let sealed = self.panics.contain(pin!(self.seal_refusal(&begun.trace, &refusal))).await;
        match sealed {
            Ok((sealed, proposal)) => {
                self.panics.over();
                begun.propose(Pending::Refusal { refusal, sealed }, proposal)
            }
            Err(error) => begun.ended(error),
        }
    }

    /// What the sequencer's answer makes of a call. If that panics, the call may have been recorded all the same.
    pub(super) async fn conclude(&self, call: Call, answer: Result<Recorded, SequencerError>) -> Prepared {
        let concluded = caught(pin!(self.try_conclude(call, answer))).await;
        concluded.unwrap_or_else(|| Prepared::Done(Err(CallError::Fault("a call's end panicked".into()))))
    }

    async fn try_conclude(&self, call: Call, answer: Result<Recorded, SequencerError>) -> Prepared {
        let Call { mut begun, pending } = call;
        let recorded = match answer {
            Ok(recorded) => recorded,
            Err(SequencerError::Stale) => {
                if let Some((system, key, _)) = &mut begun.trace.key {
                    match self.first_key(*system, *key).await {
                        Ok(known) => (*key, begun.event) = known,
                        Err(error) => return Prepared::Done(Err(error)),
                    }
                }
                return match pending {
                    Pending::Transfers { from, .. } => self.decided(begun, from).await,
                    Pending::Refusal { refusal, .. } => self.stopped(begun, refusal.into()).await,
                    Pending::Known(result) => begun.known(result),
                };
            }
            Err(SequencerError::KeyReused) => {
                // Another call under this key came in between: this one can't be recorded under it.
                begun.trace.key = None;
                return self.stopped(begun, RefusalCode::KeyReused.into()).await;
            }
            // What follows in its log must not wait for what never comes.
            Err(SequencerError::Invalid(why)) if begun.is_step() && !matches!(pending, Pending::Known(_)) => {
                return begun.known(Err(CallError::Unrecordable(why)));
            }
            Err(error) => return Prepared::Done(Err(error.into())),
        };
        Prepared::Done(match (recorded, pending) {
            (Recorded::Committed { first, commit }, Pending::Transfers { parts, .. }) => {
                self.outcome(parts, first, &commit, begun.detail)
            }
            (Recorded::Committed { first, commit }, Pending::Refusal { refusal, sealed }) => {
                Err(self.refused(&commit, first, refusal, &sealed).unwrap_or_else(|error| error))
            }
            (_, Pending::Known(result)) => result,
            // The same call raced this one, and may have been decided under another catalogue: its outcome is the call's.
            (Recorded::Repeat(known), _) => self.repeated_submission(known).await,
        })
    }

    fn outcome(
        &self,
        parts: Vec<Part>,
        first: u64,
        commit: &Arc<Committed>,
        detail: ReceiptDetail,
    ) -> Result<SubmitOutcome, CallError> {
        let recipients = parts.into_iter().zip(first..).map(|(part, index)| {
            Ok(RecipientOutcome {
                recipient: part.recipient.to_string(),
                agreement: part.agreement,
                id: part.id,
                receipt: self.fresh_receipt(commit, index, &part.content, detail)?,
                refusal: part.refusal,
            })
        });
        Ok(SubmitOutcome { recipients: recipients.collect::<Result<_, CallError>>()? })
    }
}

impl Call {
    /// About whom it is, as far as it is known: the same for calls about one person that were decided on one snapshot.
    pub(super) const fn about(&self) -> Owner {
        self.begun.trace.owner
    }
}
