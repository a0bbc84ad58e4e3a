//! Consents as those who collect them see them: which there are, and how each stands. They see those that others
//! collected too, since a person may take any of them back at any of these systems; so each reading is an entry.
//! Recording one is `consent.rs`.

use std::sync::Arc;

use super::{CallError, Desk, Receipt, call::Stop, content, refuse::Trace};
use crate::{
    catalogue::{Catalogue, CompiledAgreement},
    domain::{
        agency::Role,
        agreement::AgreementId,
        facts::{Fact, FactScope},
        refusal::RefusalCode,
        subject::{Identifier, IdentifierHash},
        time::Moment,
        transfer::TransferId,
    },
    exchange::{
        authenticate,
        submission::{CallContext, Peer},
    },
    store::{Found, Owner, Subject, SystemKey},
};

/// What the entry of a reading says was looked for; whom it was about is the entry's own subject.
const SEARCHED_ONE: &str = r#"{"about":"one person","consents":"one"}"#;
const SEARCHED_ALL: &str = r#"{"about":"one person","consents":"all"}"#;

/// A reading of consents.
#[derive(Debug, Clone)]
pub struct ConsentsCall {
    /// The idempotency key, as text.
    pub key: String,
    /// Whose.
    pub subject: Vec<Identifier>,
    /// The consent with this id; `None`: all.
    pub only: Option<String>,
    /// Who reads, for whom.
    pub context: CallContext,
}

/// How a consent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentState {
    /// It begins later.
    Future,
    /// It holds.
    Active,
    /// It was taken back.
    Withdrawn,
    /// It has ended by itself.
    Expired,
}

/// A consent, for those who collect them.
#[derive(Debug, Clone)]
pub struct ConsentView {
    /// Its id.
    pub id: TransferId,
    /// The agreement.
    pub agreement: AgreementId,
    /// The revision that was shown.
    pub revision: u32,
    /// The agreement as it stands, if the catalogue still has it: source, recipient, purpose.
    pub compiled: Option<Arc<CompiledAgreement>>,
    /// When it begins.
    pub from: Moment,
    /// When it ends by itself.
    pub until: Option<Moment>,
    /// When it was taken back.
    pub withdrawn: Option<Moment>,
    /// The entry that recorded it.
    pub index: u64,
    /// How it stands now.
    pub state: ConsentState,
}

impl Desk {
    /// The consents of a person, and the receipt of the reading.
    pub async fn consents(&self, peer: Peer<'_>, call: ConsentsCall) -> Result<(Vec<ConsentView>, Receipt), CallError> {
        self.called(peer, async |catalogue, trace| self.try_consents(catalogue, peer, call, trace).await).await
    }

    async fn try_consents(
        &self,
        catalogue: &Catalogue,
        peer: Peer<'_>,
        call: ConsentsCall,
        trace: &mut Trace,
    ) -> Result<(Vec<ConsentView>, Receipt), Stop> {
        let content = content::of_consents(&self.hasher, &call);
        let ConsentsCall { key, subject, only, context } = call;
        trace.system = authenticate::system(catalogue, peer).ok().map(|system| system.id.clone());
        let caller = authenticate::caller(catalogue, peer, Role::CollectConsent, context)?;
        trace.context = Some(caller.context.clone());
        let key = self.key_of_read(SystemKey::from(&caller.system), trace, &key, content).await?;
        let identifiers: Vec<IdentifierHash> = subject.iter().map(|one| self.hasher.identifier(one)).collect();
        let first = identifiers.first().ok_or(RefusalCode::SubjectMissing)?;
        trace.owner = Owner::Unknown(*first);
        let known = self.subject_of(&identifiers, trace).await?;
        let is_asked = |fact: &Fact| {
            matches!(fact.scope, FactScope::Consent { .. }) && only.as_ref().is_none_or(|id| fact.id.to_string() == *id)
        };
        let facts = known.iter().flat_map(|subject| &subject.facts.rows);
        if only.is_some() && !facts.into_iter().any(is_asked) {
            return Err(RefusalCode::ConsentUnknown.into());
        }
        let searched = if only.is_some() { SEARCHED_ONE } else { SEARCHED_ALL };
        let read = self.record_read(&caller, trace, key, searched).await?;
        // Looked up again: how each stands is not older than the entry of the reading. What was given after it is not shown,
        // also when the reading is repeated: a later look is a reading of its own.
        let mut views = match self.subject_of(&identifiers, trace).await? {
            Some(subject) => {
                self.consent_views(catalogue, subject.facts.rows.iter().filter(|fact| is_asked(fact))).await?
            }
            None => Vec::new(),
        };
        views.retain(|view| view.index < read.index);
        Ok((views, read))
    }

    async fn subject_of(
        &self,
        identifiers: &[IdentifierHash],
        trace: &mut Trace,
    ) -> Result<Option<Arc<Subject>>, Stop> {
        match self.store.find_subject(identifiers).await? {
            Found::Several => Err(RefusalCode::SubjectAmbiguous.into()),
            Found::Nobody => Ok(None),
            Found::One { subject, .. } => {
                trace.owner = Owner::Subject(subject.id);
                Ok(Some(subject))
            }
        }
    }

    async fn consent_views<'a>(
        &self,
        catalogue: &Catalogue,
        facts: impl Iterator<Item = &'a Fact>,
    ) -> Result<Vec<ConsentView>, CallError> {
        let mut views = Vec::new();
        for fact in facts {
            let FactScope::Consent { agreement, revision } = &fact.scope else { continue };
            let index = self.index_of(fact.id).await?;
            views.push(ConsentView {
                id: fact.id,
                agreement: agreement.clone(),
                revision: *revision,
                compiled: catalogue.agreement(agreement).cloned(),
                from: fact.from,
                until: fact.until,
                withdrawn: fact.ended,
                index: index.unwrap_or_default(),
                state: state_of(fact, self.clock.now()),
            });
        }
        Ok(views)
    }
}

/// How a consent stands at `at`.
fn state_of(fact: &Fact, at: Moment) -> ConsentState {
    if fact.ended.is_some() {
        ConsentState::Withdrawn
    } else if fact.until.is_some_and(|until| until <= at) {
        ConsentState::Expired
    } else if fact.from > at {
        ConsentState::Future
    } else {
        ConsentState::Active
    }
}
