//! Pushes one record: the stages of [`crate::exchange`], with what they need read for them, and one commit.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    CallError, Desk, Receipt, ReceiptDetail,
    call::Stop,
    quota::Admitted,
    refuse::Trace,
    sealing::{About, HUB, seal_payload, too_much},
    with_committer,
};
use crate::{
    catalogue::Catalogue,
    domain::{
        agency::AgencyId,
        refusal::{LiesIn, Refusal, RefusalCode},
        subject::{IdentifierHash, SubjectId},
        transfer::TransferId,
    },
    exchange::{
        address::{Addressed, address},
        authenticate::{self, Authenticated},
        minimise::{Minimised, minimise},
        permit::permit,
        seal::{self, Sealed},
        statement::Statement,
        submission::{Peer, Submission},
        validate::{Valid, validate},
    },
    ledger::{Attribute, Kind},
    sequencer::{Committed, Proposal, Recorded, SequencerError},
    store::{Class, Expect, Found, Outgoing, Owner, Slot, SubjectChange, SystemKey},
    vault::ContentHash,
};

/// How often a decision is made again because what it rested on changed before its commit. Each time the subject's facts
/// have changed in between, so this many changes of one person's facts within milliseconds are not an honest load.
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

/// The person that a record is about, as far as the hub knows.
pub(super) struct Person {
    /// Known, or not yet.
    pub owner: Owner,
    /// What must still hold in the commit.
    pub expects: Vec<Expect>,
    /// What the commit writes about the person.
    pub changes: Vec<SubjectChange>,
    /// What is known to allow or forbid.
    pub facts: crate::domain::facts::Facts,
}

/// One recipient's part of a proposal.
struct Part {
    recipient: AgencyId,
    agreement: String,
    id: TransferId,
    sealed: Sealed,
    refusal: Option<Refusal>,
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
        submission: Submission,
        detail: ReceiptDetail,
    ) -> Result<SubmitOutcome, CallError> {
        let catalogue = self.catalogue();
        let admitted = self.admit(&catalogue, peer)?;
        let mut trace = Trace::new(Kind::RefusalOfSubmission, self.new_id());
        let result = self.try_submit(&catalogue, peer, submission, detail, &mut trace).await;
        self.settle(&admitted, trace, result).await
    }

    async fn try_submit(
        &self,
        catalogue: &Catalogue,
        peer: Peer<'_>,
        submission: Submission,
        detail: ReceiptDetail,
        trace: &mut Trace,
    ) -> Result<SubmitOutcome, Stop> {
        let now = self.clock.now();
        trace.system = authenticate::system(catalogue, peer).ok().map(|system| system.id.clone());
        let content = self.content(&submission);
        let authenticated = authenticate::authenticate(catalogue, peer, submission, now, self.limits.window)?;
        let Authenticated { caller, key, .. } = &authenticated;
        trace.context = Some(caller.context.clone());
        let system = SystemKey::from(&caller.system);
        if let Some(known) = self.store.known(system, *key).await? {
            Self::check_same(known, content)?;
            return Ok(self.repeated_submission(known).await?);
        }
        trace.key = Some((system, *key, content));

        let addressed = address(catalogue, authenticated, now)?;
        trace.record = Some((addressed.record_type.clone(), addressed.submission.record.clone()));
        let valid = validate(&addressed.submission.payload, addressed.version, &self.limits.validate)?;
        let identifiers: Vec<IdentifierHash> = valid.main.iter().map(|one| self.hasher.identifier(one)).collect();
        trace.owner = Owner::Unknown(identifiers[0]);

        for _ in 0..DECIDE_ATTEMPTS_MAX {
            let person = self.person(&identifiers).await?;
            trace.owner = match person.owner {
                Owner::Subject(id) if person.changes.is_empty() => Owner::Subject(id),
                _ => Owner::Unknown(identifiers[0]),
            };
            let (parts, person) = self.decide(catalogue, &addressed, &valid, person).await?;
            let proposal = Proposal {
                system: Some(system),
                key: trace.key,
                expects: person.expects,
                entries: parts.iter().map(|part| part.sealed.entry.clone()).collect(),
                subjects: person.changes,
                deliveries: Vec::new(),
            };
            match self.sequencer.propose(proposal).await {
                Ok(Recorded::Committed { first, commit }) => return Ok(self.outcome(parts, first, &commit, detail)?),
                Ok(Recorded::Repeat(known)) => return Ok(self.repeated_submission(known).await?),
                Err(SequencerError::Stale) => {}
                Err(SequencerError::KeyReused) => return Err(RefusalCode::KeyReused.into()),
                Err(error) => return Err(CallError::from(error).into()),
            }
        }
        Err(CallError::Unavailable("the person's facts keep changing; try again".into()).into())
    }

    /// The keyed hash of everything that makes a submission what it is.
    fn content(&self, submission: &Submission) -> ContentHash {
        let record = &submission.record;
        let rest = &submission.context.rest;
        let about = format!("{:?} {:?} {:?}", record.revision, record.as_of, record.corrects_revision);
        let change = format!("{} {:?}", record.change.as_str(), record.authority);
        let acting_for = rest.acting_for.as_ref().map_or_else(String::new, |who| {
            format!("{} {} {:?}", who.authority.as_str(), who.representative, who.until)
        });
        self.hasher.content(&[
            b"submit",
            submission.record_type.as_bytes(),
            submission.schema_version.as_bytes(),
            &submission.payload,
            record.record_id.as_bytes(),
            about.as_bytes(),
            change.as_bytes(),
            submission.context.on_behalf_of.as_deref().unwrap_or_default().as_bytes(),
            rest.actor.as_bytes(),
            rest.case.as_bytes(),
            rest.reason.as_bytes(),
            acting_for.as_bytes(),
            submission.only.join("\n").as_bytes(),
        ])
    }

    /// Whom the identifiers point to, and what must still be so in the commit. Somebody unknown gets an id here and
    /// becomes a subject only if something is transferred.
    pub(super) async fn person(&self, identifiers: &[IdentifierHash]) -> Result<Person, Stop> {
        match self.store.find_subject(identifiers).await? {
            Found::Several => Err(RefusalCode::SubjectAmbiguous.into()),
            Found::One { subject, .. } => Ok(Person {
                owner: Owner::Subject(subject.id),
                expects: vec![Expect::Facts { subject: subject.id, version: subject.facts.version }],
                changes: Vec::new(),
                facts: subject.facts.clone(),
            }),
            Found::Nobody => {
                let subject = SubjectId(self.random.bytes());
                Ok(Person {
                    owner: Owner::Subject(subject),
                    expects: identifiers.iter().map(|identifier| Expect::Unlinked(*identifier)).collect(),
                    changes: vec![SubjectChange::Link { subject, identifiers: identifiers.to_vec() }],
                    facts: crate::domain::facts::Facts::default(),
                })
            }
        }
    }

    /// Permits, minimises and seals for each recipient.
    async fn decide(
        &self,
        catalogue: &Catalogue,
        addressed: &Addressed<'_>,
        valid: &Valid<'_, '_>,
        mut person: Person,
    ) -> Result<(Vec<Part>, Person), Stop> {
        let minimised = minimise(&valid.value, permit(&addressed.agreements, &person.facts, self.clock.now()));
        let transfers = minimised.iter().any(|one| matches!(one, Minimised::Granted { .. }));
        if !transfers && !person.changes.is_empty() {
            // A call that moves nothing creates no subject.
            person.changes.clear();
            person.owner = self.unknown(valid);
        }
        let source = addressed.caller.agency();
        let mut wants = vec![(HUB, Class::Subject), (source.key(), Class::Trail), (source.key(), Class::Payload)];
        wants.extend(minimised.iter().map(|one| (one.recipient().key(), Class::Trail)));
        let slots = self.store.slots(person.owner, &wants).await?;
        let epoch = self.epoch().await?;
        let keys = Keys::new(&slots, epoch)?;

        let mut parts = Vec::with_capacity(minimised.len());
        for (one, trail) in minimised.iter().zip(keys.recipients) {
            if let Minimised::Granted { ground, .. } = one {
                person.expects.extend(ground.until.map(Expect::Before));
            }
            parts.push(self.part(catalogue, addressed, person.owner, one, &keys, trail)?);
        }
        Ok((parts, person))
    }

    fn unknown(&self, valid: &Valid<'_, '_>) -> Owner {
        Owner::Unknown(self.hasher.identifier(&valid.main[0]))
    }

    /// Seals one recipient's transfer, or its refusal.
    fn part(
        &self,
        catalogue: &Catalogue,
        addressed: &Addressed<'_>,
        owner: Owner,
        one: &Minimised<'_>,
        keys: &Keys<'_>,
        trail: &Slot,
    ) -> Result<Part, Stop> {
        let id = self.new_id();
        let compiled = one.compiled();
        let agreement = &compiled.agreement;
        let (kind, outcome) = match one {
            Minimised::Granted { .. } => (Kind::Transfer, ""),
            Minimised::Refused { code, .. } => (Kind::RefusalOfRecipient, code.code()),
        };
        let mut statement = transfer_statement(kind, id, compiled, catalogue);
        statement.string(Attribute::SchemaVersion, &addressed.version.version.to_string());
        statement.record(&addressed.submission.record);
        statement.string(Attribute::System, addressed.caller.system.as_str());
        statement.context(&addressed.caller.context);
        let about = About {
            outcome,
            agencies: &[&agreement.source, &agreement.recipient],
            agreement: Some(agreement),
            record: Some((&agreement.source, agreement.record_type.as_str(), &addressed.submission.record.record_id)),
            ..About::new(kind, id, owner)
        };
        let mut draft = seal::Draft {
            kind,
            id,
            statement: &Statement::default(),
            projection: None,
            parties: &[keys.source, trail],
            terms: self.terms(&about),
            outgoing: None,
            payload: None,
        };
        let mut refusal = None;
        match one {
            Minimised::Granted { ground, projection, .. } => {
                statement.list(Attribute::Withheld, projection.withheld());
                statement.string(Attribute::Subject, &keys.subject.key.pseudonym(&agreement.recipient).to_string());
                if let Some(consent) = ground.consent {
                    statement.string(Attribute::ConsentId, &consent.to_string());
                }
                draft.projection = Some(projection);
                draft.outgoing = Some(Outgoing { recipient: agreement.recipient.key(), order: trail.number.0 });
                let plain = payload_plain(&addressed.submission.traceparent, projection.text());
                draft.payload = Some(seal_payload(keys.payload, &keys.epoch, id, &plain));
            }
            Minimised::Refused { code, .. } => {
                statement.string(Attribute::Outcome, code.code());
                statement.string(Attribute::RefusalCode, code.code());
                statement.string(Attribute::RefusalStage, code.stage().as_str());
                // The source is told only what lies in its own submission.
                refusal = (code.lies_in() == LiesIn::Call).then(|| Refusal::from(*code));
            }
        }
        draft.statement = &statement;
        let sealed = with_committer(|committer| seal::seal(draft, committer, &*self.random)).map_err(too_much)?;
        let (recipient, agreement) = (agreement.recipient.clone(), agreement.id.to_string());
        Ok(Part { recipient, agreement, id, sealed, refusal })
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
                receipt: self.fresh_receipt(commit, index, &part.sealed.entry.content, detail)?,
                refusal: part.refusal,
            })
        });
        Ok(SubmitOutcome { recipients: recipients.collect::<Result<_, CallError>>()? })
    }
}

impl<'c> Minimised<'c> {
    pub(super) fn compiled(&self) -> &'c crate::catalogue::CompiledAgreement {
        match self {
            Self::Granted { compiled, .. } | Self::Refused { compiled, .. } => compiled,
        }
    }

    pub(super) fn recipient(&self) -> &'c AgencyId {
        &self.compiled().agreement.recipient
    }
}

/// The key slots that a submission's entries need.
struct Keys<'s> {
    subject: &'s Slot,
    source: &'s Slot,
    payload: &'s Slot,
    recipients: &'s [Slot],
    epoch: Slot,
}

impl<'s> Keys<'s> {
    fn new(slots: &'s [Slot], epoch: Slot) -> Result<Self, CallError> {
        match slots {
            [subject, source, payload, recipients @ ..] => Ok(Self { subject, source, payload, recipients, epoch }),
            _ => Err(CallError::Fault("the store gave fewer key slots than were asked for".into())),
        }
    }
}

/// What every entry under an agreement says alike.
pub(super) fn transfer_statement(
    kind: Kind,
    id: TransferId,
    compiled: &crate::catalogue::CompiledAgreement,
    _catalogue: &Catalogue,
) -> Statement {
    let constants = &compiled.constants;
    let mut statement = Statement::of(kind);
    for (attribute, value) in [
        (Attribute::Source, &constants.source),
        (Attribute::Recipient, &constants.recipient),
        (Attribute::Agreement, &constants.agreement),
        (Attribute::AgreementRevision, &constants.agreement_revision),
        (Attribute::Purpose, &constants.purpose),
        (Attribute::Basis, &constants.basis),
        (Attribute::RecordType, &constants.record_type),
        (Attribute::Catalogue, &constants.catalogue),
    ] {
        statement.canonical(attribute, value);
    }
    statement.string(Attribute::TransferId, &id.to_string());
    statement
}

/// The plain form of a payload: u8 length of the traceparent, the traceparent, the record.
pub(super) fn payload_plain(traceparent: &str, record: &str) -> Vec<u8> {
    let mut plain = Vec::with_capacity(1 + traceparent.len() + record.len());
    plain.push(traceparent.len() as u8); // bounded by TRACEPARENT_BYTES_MAX
    plain.extend_from_slice(traceparent.as_bytes());
    plain.extend_from_slice(record.as_bytes());
    plain
}

/// Takes a plain payload apart: traceparent and record.
pub(super) fn payload_parts(plain: &[u8]) -> Option<(String, Bytes)> {
    let (length, rest) = plain.split_first()?;
    let (traceparent, record) = rest.split_at_checked(usize::from(*length))?;
    Some((String::from_utf8(traceparent.to_vec()).ok()?, Bytes::copy_from_slice(record)))
}
