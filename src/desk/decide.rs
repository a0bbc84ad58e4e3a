//! Decides one submission for each of its recipients: permit, minimise, seal, with what these need read for them.

use bytes::Bytes;

use super::{
    CallError, Desk,
    call::Stop,
    meters::{Stage, Timer},
    newcomers::Reserved,
    sealing::{About, HUB, seal_payload, too_much},
    with_committer,
};
use crate::{
    catalogue::CompiledAgreement,
    domain::{
        agency::AgencyId,
        facts::Facts,
        refusal::{LiesIn, Refusal, RefusalCode},
        subject::{IdentifierHash, SubjectId},
        transfer::TransferId,
    },
    exchange::{
        address::Addressed,
        minimise::{Minimised, minimise},
        permit::permit,
        seal,
        statement::Statement,
        validate::Valid,
    },
    ledger::{Attribute, Kind},
    sequencer::{Content, SealedEntry},
    store::{Class, Expect, Found, Outgoing, Owner, Slot, SubjectChange},
    vault::TAG_BYTES,
};

/// The person that a record is about, as far as the hub knows.
pub(super) struct Person {
    /// Known, or not yet.
    pub owner: Owner,
    /// What must still hold in the commit.
    pub expects: Vec<Expect>,
    /// What the commit writes about the person.
    pub changes: Vec<SubjectChange>,
    /// What is known to allow or forbid.
    pub facts: Facts,
    /// The id of somebody who is not a subject yet, kept for calls about the same person that are under way.
    pub reserved: Option<Reserved>,
}

/// One recipient's part of a decision.
#[derive(Debug)]
pub(super) struct Part {
    /// The recipient.
    pub recipient: AgencyId,
    /// The agreement.
    pub agreement: String,
    /// The decision's id.
    pub id: TransferId,
    /// What its leaf will hold.
    pub content: Content,
    /// What the source is told, when the reason lies in its submission.
    pub refusal: Option<Refusal>,
}

/// What was decided about one submission.
pub(super) struct Decision {
    /// For each recipient.
    pub parts: Vec<Part>,
    /// The entries of the parts, in the same order.
    pub entries: Vec<SealedEntry>,
    /// About whom.
    pub person: Person,
}

impl Desk {
    /// Whom the identifiers point to, and what must still be so in the commit. Somebody unknown gets an id here and
    /// becomes a subject only if something is transferred.
    pub(super) async fn person(&self, identifiers: &[IdentifierHash]) -> Result<Person, Stop> {
        let mut found = self.store.find_subject(identifiers).await?;
        while let Found::One { subject, .. } = &found
            && self.held.wait(subject.id).await
        {
            found = self.store.find_subject(identifiers).await?;
        }
        match found {
            Found::Several => Err(RefusalCode::SubjectAmbiguous.into()),
            Found::One { subject, unlinked } => Ok(Person {
                owner: Owner::Subject(subject.id),
                // An identifier that pointed to nobody may be somebody else's by the time of the commit.
                expects: [Expect::Facts { subject: subject.id, version: subject.facts.version }]
                    .into_iter()
                    .chain(unlinked.into_iter().map(|identifier| Expect::Newcomer { identifier, subject: subject.id }))
                    .collect(),
                changes: Vec::new(),
                facts: subject.facts.clone(),
                reserved: None,
            }),
            Found::Nobody => {
                let reserved = self.newcomers.reserve(identifiers, || SubjectId(self.random.bytes()));
                let subject = reserved.subject();
                Ok(Person {
                    owner: Owner::Subject(subject),
                    expects: identifiers
                        .iter()
                        .map(|identifier| Expect::Newcomer { identifier: *identifier, subject })
                        .collect(),
                    changes: vec![SubjectChange::Link { subject, identifiers: identifiers.to_vec() }],
                    facts: Facts::default(),
                    reserved: Some(reserved),
                })
            }
        }
    }

    /// Permits, minimises and seals for each recipient.
    pub(super) async fn decide(
        &self,
        timer: &Timer,
        addressed: &Addressed<'_>,
        valid: &Valid<'_, '_>,
        mut person: Person,
    ) -> Result<Decision, Stop> {
        let now = self.clock.now();
        let permitted = timer.time(Stage::Permit, || permit(&addressed.agreements, &person.facts, now));
        let minimised = timer.time(Stage::Minimise, || minimise(valid, permitted));
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
        let mut entries = Vec::with_capacity(minimised.len());
        for (one, trail) in minimised.iter().zip(keys.recipients) {
            if let Minimised::Granted { ground, .. } = one {
                person.expects.extend(ground.until.map(Expect::Before));
            }
            let part = || self.part(addressed, person.owner, one, &keys, trail);
            let (part, entry) = timer.time(Stage::Seal, part)?;
            parts.push(part);
            entries.push(entry);
        }
        if transfers {
            // A proposal that waited past the end of its hour would be sealed under a key that is gone.
            person.expects.push(Expect::Key(keys.epoch.number));
        }
        Ok(Decision { parts, entries, person })
    }

    fn unknown(&self, valid: &Valid<'_, '_>) -> Owner {
        Owner::Unknown(self.hasher.identifier(&valid.main[0]))
    }

    /// Seals one recipient's transfer, or its refusal.
    fn part(
        &self,
        addressed: &Addressed<'_>,
        owner: Owner,
        one: &Minimised<'_>,
        keys: &Keys<'_>,
        trail: &Slot,
    ) -> Result<(Part, SealedEntry), Stop> {
        let id = self.new_id();
        let compiled = one.compiled();
        let agreement = &compiled.agreement;
        let (kind, outcome) = match one {
            Minimised::Granted { .. } => (Kind::Transfer, ""),
            Minimised::Refused { code, .. } => (Kind::RefusalOfRecipient, code.code()),
        };
        let mut statement = transfer_statement(kind, id, compiled);
        statement.id(Attribute::SchemaVersion, addressed.version.version);
        statement.record(&addressed.submission.record);
        statement.string(Attribute::System, addressed.caller.system.as_str());
        statement.context(&addressed.caller.context);
        let about = About {
            outcome,
            agencies: &[&agreement.source, &agreement.recipient],
            agreement: Some(agreement),
            consent: match one {
                Minimised::Granted { ground, .. } => ground.consent,
                Minimised::Refused { .. } => None,
            },
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
                statement.id(Attribute::Subject, keys.subject.key.pseudonym(&agreement.recipient));
                if let Some(consent) = ground.consent {
                    statement.id(Attribute::ConsentId, consent);
                }
                draft.projection = Some(projection);
                draft.outgoing = Some(Outgoing { recipient: agreement.recipient.key(), order: trail.number.0 });
                let plain = payload_plain(&addressed.submission.traceparent, projection.text());
                draft.payload = Some(seal_payload(keys.payload, &keys.epoch, id, plain));
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
        Ok((Part { recipient, agreement, id, content: sealed.entry.content.clone(), refusal }, sealed.entry))
    }
}

impl<'c> Minimised<'c> {
    pub(super) fn compiled(&self) -> &'c CompiledAgreement {
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
pub(super) fn transfer_statement(kind: Kind, id: TransferId, compiled: &CompiledAgreement) -> Statement {
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
    statement.id(Attribute::TransferId, id);
    statement
}

/// The plain form of a payload: u8 length of the traceparent, the traceparent, the record. With room for being sealed.
pub(super) fn payload_plain(traceparent: &str, record: &str) -> Vec<u8> {
    let mut plain = Vec::with_capacity(1 + traceparent.len() + record.len() + TAG_BYTES);
    plain.push(traceparent.len() as u8); // empty, or W3C's 55 bytes
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
