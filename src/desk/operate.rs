//! Operating: publishing a catalogue. Each publication is an entry with the digest; calls that are under way end under
//! the one they began under.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::json;

use super::{CallError, Desk, Receipt, call::Stop, content, quota::Admitted, refuse::Trace};
use crate::{
    catalogue::{Catalogue, Digest, Publication, System},
    domain::{
        agency::{Role, SystemId},
        idempotency::IdempotencyKey,
        refusal::RefusalCode,
    },
    exchange::{
        authenticate,
        submission::{CallContext, Peer},
    },
    ledger::{Attribute, Entry, Kind, PublicAttributes},
    sequencer::{Content, Proposal, Recorded, SealedEntry},
    store::{Known, Owner, Query, Routing, SystemKey},
    vault::{ContentHash, TermKind},
};

/// Where a catalogue comes from: reads, checks and compiles the folder again.
pub type LoadCatalogue = Arc<dyn Fn() -> Result<Catalogue, String> + Send + Sync>;

/// What publishing did.
#[derive(Debug, Clone)]
pub struct Published {
    /// The catalogue that was published, or was in force already.
    pub digest: Digest,
    /// Its entry, when it was not in force already.
    pub receipt: Option<Receipt>,
}

/// Who publishes, under which key.
struct By {
    system: SystemId,
    key: (SystemKey, IdempotencyKey, ContentHash),
}

/// Why a catalogue is not put in force.
enum NotPublished {
    /// It may not be: what is wrong with it.
    Refused(String),
    /// It cannot be.
    Error(CallError),
}

impl<E: Into<CallError>> From<E> for NotPublished {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl Desk {
    /// Publishes `catalogue` if it is not the one published last and may follow it, and puts it in force.
    pub async fn publish(&self, catalogue: Arc<Catalogue>) -> Result<Published, CallError> {
        let _alone = self.publishing.lock().await;
        match self.put_in_force(catalogue, None).await {
            Ok(published) => Ok(published),
            Err(NotPublished::Refused(problems)) => Err(CallError::Fault(problems)),
            Err(NotPublished::Error(error)) => Err(error),
        }
    }

    /// To be called by one at a time.
    async fn put_in_force(&self, catalogue: Arc<Catalogue>, by: Option<&By>) -> Result<Published, NotPublished> {
        let digest = catalogue.digest();
        let last = self.last_published().await?;
        if last.as_ref().is_some_and(|(published, _)| *published == digest.to_string()) {
            self.catalogue.store(catalogue);
            return Ok(Published { digest, receipt: None });
        }
        let previous = last.map(|(_, publication)| publication).unwrap_or_default();
        catalogue.may_follow(&previous).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            NotPublished::Refused(problems.join("\n"))
        })?;
        let index = self.record_publication(&catalogue, previous, by).await?;
        self.catalogue.store(catalogue);
        let stored = self.stored(index).await?;
        let stored = stored.ok_or_else(|| CallError::Fault(format!("entry {index} is missing")))?;
        Ok(Published { digest, receipt: Some(self.stored_receipt(&stored).await?) })
    }

    /// Loads the catalogue's folder again and publishes it, for an operator's call.
    pub async fn publish_for(
        &self,
        peer: Peer<'_>,
        key: &str,
        context: CallContext,
        load: LoadCatalogue,
    ) -> Result<Published, CallError> {
        self.called(peer, async |catalogue, trace| {
            trace.system = authenticate::system(catalogue, peer).ok().map(|system| system.id.clone());
            self.try_publish(catalogue, peer, key, context, load, trace).await
        })
        .await
    }

    async fn try_publish(
        &self,
        catalogue: &Catalogue,
        peer: Peer<'_>,
        key: &str,
        context: CallContext,
        load: LoadCatalogue,
        trace: &mut Trace,
    ) -> Result<Published, Stop> {
        let content = content::of_publication(&self.hasher, &context);
        let caller = authenticate::caller(catalogue, peer, Role::Operate, context)?;
        trace.context = Some(caller.context.clone());
        let key = authenticate::key(key, self.clock.now(), self.limits.window)?;
        let system = SystemKey::from(&caller.system);
        let _alone = self.publishing.lock().await;
        // Publishing what is in force already is no outcome, and does nothing: it has no entry, and keeps no key.
        if let Some(known) = self.store.known(system, key).await? {
            Self::check_same(known, content)?;
            return self.repeated_publication(known).await;
        }
        trace.key = Some((system, key, content));
        let by = By { system: caller.system, key: (system, key, content) };
        let loaded = tokio::task::spawn_blocking(move || load()).await;
        let published =
            match loaded.map_err(|_| CallError::Fault("the catalogue could not be loaded: that panicked".into()))? {
                Ok(catalogue) => self.put_in_force(Arc::new(catalogue), Some(&by)).await,
                Err(problems) => Err(NotPublished::Refused(problems)),
            };
        match published {
            Ok(published) => Ok(published),
            Err(NotPublished::Error(error)) => Err(error.into()),
            Err(NotPublished::Refused(problems)) => {
                tracing::warn!(%problems, "the catalogue was not published");
                Err(RefusalCode::CatalogueRefused.into())
            }
        }
    }

    /// The answer of a repeated publication, from its entry; or its refusal.
    async fn repeated_publication(&self, known: Known) -> Result<Published, Stop> {
        let stored = self.stored(known.first).await?;
        let stored = stored.ok_or_else(|| CallError::Fault(format!("entry {} is missing", known.first)))?;
        if stored.routing.kind != Kind::CataloguePublished {
            return Err(self.repeated_refusal(&stored).await?.into());
        }
        let said = match Entry::decode(&stored.entry) {
            Ok(Entry::Public { attributes, .. }) => attributes.get(&Attribute::Catalogue.number()).cloned(),
            _ => None,
        };
        let digest = said.as_ref().and_then(|digest| digest.as_str()?.parse().ok());
        let digest = digest.ok_or_else(|| CallError::Fault(format!("entry {} names no catalogue", stored.index)))?;
        Ok(Published { digest, receipt: Some(self.stored_receipt(&stored).await?) })
    }

    /// The system that calls, with the catalogue that knows it; somebody unknown is refused, as an entry.
    pub async fn known_system(&self, peer: Peer<'_>) -> Result<(Arc<Catalogue>, System), CallError> {
        let (catalogue, system, _) = self.admit_known(peer).await?;
        Ok((catalogue, system))
    }

    /// Admits a system that may call by being known; what is given back last is its place among the calls in flight.
    pub(super) async fn admit_known(&self, peer: Peer<'_>) -> Result<(Arc<Catalogue>, System, Admitted), CallError> {
        let catalogue = self.catalogue();
        let admitted = self.admit(&catalogue, peer)?;
        let trace = Trace::new(Kind::Refusal, self.new_id());
        let found = authenticate::system(&catalogue, peer).cloned().map_err(Stop::from);
        let system = self.settle(&admitted, trace, found).await?;
        Ok((catalogue, system, admitted))
    }

    /// The digest of the catalogue published last and what it left for the next, from its entry.
    async fn last_published(&self) -> Result<Option<(String, Publication)>, CallError> {
        let terms = vec![self.words.term(TermKind::Kind, Kind::CataloguePublished.name())];
        let found = self.store.search(&Query { terms, limit: 1, ..Query::default() }).await?;
        let Some(index) = found.first() else { return Ok(None) };
        let Some(stored) = self.stored(*index).await? else { return Ok(None) };
        let Ok(Entry::Public { attributes, .. }) = Entry::decode(&stored.entry) else { return Ok(None) };
        let digest = said(&attributes, Attribute::Catalogue)?;
        let publication = Publication {
            schemas: said(&attributes, Attribute::Schemas)?,
            shown: said(&attributes, Attribute::Shown)?,
            given: said(&attributes, Attribute::Given)?,
        };
        Ok(Some((digest, publication)))
    }

    /// Records it; says where.
    async fn record_publication(
        &self,
        catalogue: &Catalogue,
        previous: Publication,
        by: Option<&By>,
    ) -> Result<u64, NotPublished> {
        let id = self.new_id();
        let publication = catalogue.publication_after(previous);
        let mut attributes = PublicAttributes::from([
            (Attribute::Kind.number(), json!(Kind::CataloguePublished.number())),
            (Attribute::Catalogue.number(), json!(catalogue.digest().to_string())),
            (Attribute::TransferId.number(), json!(id.to_string())),
            (Attribute::Environment.number(), json!(self.environment.as_str())),
            (Attribute::Schemas.number(), json!(publication.schemas)),
            (Attribute::Shown.number(), json!(publication.shown)),
            (Attribute::Given.number(), json!(publication.given)),
        ]);
        // Which system published, and nothing of who sat before it: the entry is in the clear.
        attributes.extend(by.map(|by| (Attribute::System.number(), json!(by.system.as_str()))));
        let check = Entry::Public { time: 0, attributes: attributes.clone() }.encode();
        check.map_err(|error| {
            let advice = "raise consent_since_revision where consents to old revisions need not hold any more";
            NotPublished::Refused(format!("the catalogue cannot be recorded: {error}; {advice}"))
        })?;
        let kind = Kind::CataloguePublished;
        let terms = vec![self.words.about(Owner::Hub), self.words.id(id), self.words.term(TermKind::Kind, kind.name())];
        let routing = Routing { kind, id, terms, secrets: Vec::new(), outgoing: None, payload: None };
        let content = Content::Public(attributes);
        let entry = SealedEntry { content, routing, trail: bytes::Bytes::new(), payload: bytes::Bytes::new() };
        let (key, system) = (by.map(|by| by.key), by.map(|by| by.key.0));
        match self.sequencer.propose(Proposal { key, system, entries: vec![entry], ..Proposal::default() }).await? {
            Recorded::Committed { first, .. } => Ok(first),
            Recorded::Repeat(_) => {
                Err(CallError::Fault("a publication is made alone, so no other has its key".into()).into())
            }
        }
    }
}

/// What a public entry says there; where it says nothing, nothing.
fn said<T: DeserializeOwned + Default>(attributes: &PublicAttributes, attribute: Attribute) -> Result<T, CallError> {
    let Some(value) = attributes.get(&attribute.number()) else { return Ok(T::default()) };
    T::deserialize(value)
        .map_err(|error| CallError::Fault(format!("attribute {} of a publication: {error}", attribute.number())))
}
