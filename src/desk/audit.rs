//! Audit: searching and reading entries. Each reading is an entry, made durable before anything is shown; it demands
//! who reads, in which case, and why.

use super::{
    Audience, CallError, Desk, Receipt,
    call::Stop,
    content,
    refuse::{CallId, Trace},
    sealing::About,
};
use crate::{
    catalogue::Catalogue,
    domain::{
        agency::{AgencyId, Role},
        canonical,
        context::ContextItem,
        refusal::{Refusal, RefusalCode},
        subject::{Identifier, IdentifierHash},
        time::Moment,
        transfer::DeliveryState,
    },
    exchange::{
        address::check_context,
        address::malformed,
        authenticate::{self, Caller},
        statement::Statement,
        submission::{CallContext, Peer},
        trail::Trail,
    },
    ledger::{Attribute, Entry, Kind},
    sequencer::{Proposal, Recorded, SequencerError},
    store::{Found, Owner, Query, StoredEntry, SystemKey},
    vault::{ContentHash, Term, TermKind},
};

/// What an officer looks for. Empty texts and lists: anything.
#[derive(Debug, Clone, Default)]
pub struct SearchCall {
    /// The idempotency key, as text.
    pub key: String,
    /// About whom.
    pub subject: Vec<Identifier>,
    /// An agency that takes part.
    pub agency: String,
    /// A purpose.
    pub purpose: String,
    /// A record type.
    pub record_type: String,
    /// An outcome or refusal code.
    pub outcome: String,
    /// The name of a kind.
    pub kind: String,
    /// Entries of this moment or later.
    pub from: Option<Moment>,
    /// Entries before this moment.
    pub until: Option<Moment>,
    /// Entries in the page; 0: 50.
    pub page_size: u32,
    /// Where the page before ended.
    pub page_token: String,
}

const PAGE_DEFAULT: usize = 50;
/// The longest word that is searched for, in bytes.
pub const WORD_BYTES_MAX: usize = 128;

/// An entry as its reader may see it.
#[derive(Debug, Clone)]
pub struct EntryView {
    /// Its place.
    pub index: u64,
    /// When.
    pub time: Moment,
    /// What it says, if it could be opened.
    pub trail: Option<Trail>,
    /// What an entry in the clear says.
    pub public: Option<crate::ledger::PublicAttributes>,
    /// How its delivery stands.
    pub delivery: Option<DeliveryState>,
    /// With proof.
    pub receipt: Receipt,
}

/// A page of entries.
#[derive(Debug, Clone)]
pub struct SearchOutcome {
    /// Newest first.
    pub entries: Vec<EntryView>,
    /// Where the next page begins; empty: there is no more.
    pub next_page: String,
    /// The entry that records this reading.
    pub read: Receipt,
}

/// The token of the page that begins after the entry at `index`.
pub fn page_after(index: u64) -> String {
    index.to_string()
}

/// A reader who may read, and how far.
struct Reader {
    caller: Caller,
    key: SystemKey,
    /// Only entries in which this agency takes part.
    only: Option<AgencyId>,
}

impl Desk {
    /// Finds entries, newest first.
    pub async fn search(
        &self,
        peer: Peer<'_>,
        call: SearchCall,
        context: CallContext,
    ) -> Result<SearchOutcome, CallError> {
        self.called(peer, async |catalogue, trace| self.try_search(catalogue, peer, call, context, trace).await).await
    }

    /// One entry, as far as the caller may see it.
    pub async fn entry(
        &self,
        peer: Peer<'_>,
        key: &str,
        index: u64,
        context: CallContext,
    ) -> Result<(EntryView, Receipt), CallError> {
        self.called(peer, async |catalogue, trace| self.try_entry(catalogue, peer, key, index, context, trace).await)
            .await
    }

    async fn try_search(
        &self,
        catalogue: &Catalogue,
        peer: Peer<'_>,
        call: SearchCall,
        context: CallContext,
        trace: &mut Trace,
    ) -> Result<SearchOutcome, Stop> {
        let content = content::of_search(&self.hasher, &call, &context);
        let reader = Self::reader(catalogue, peer, context, trace)?;
        let before = page_before(&call.page_token)?;
        let searched = searched(&call, before);
        let key = self.begin_read(&reader, trace, &call.key, content).await?;
        let size = if call.page_size == 0 { PAGE_DEFAULT } else { call.page_size as usize };
        let limit = size.min(self.limits.search_page_max);
        let mut terms = self.words_searched(&call)?;
        terms.extend(reader.only.iter().map(|agency| self.words.term(TermKind::Agency, agency.as_str())));
        let identifiers: Vec<IdentifierHash> = call.subject.iter().map(|one| self.hasher.identifier(one)).collect();
        let owners = self.owners(&identifiers).await?;
        trace.owner = owners.first().copied().unwrap_or(Owner::Hub);

        let read = self.record_read(&reader.caller, trace, key, &searched).await?;
        let query = Query {
            terms,
            from: call.from,
            until: call.until,
            // Nothing newer than this reading, so that pages do not shift under it.
            before: Some(before.unwrap_or(read.index).min(read.index)),
            limit,
        };
        let indices = self.search_about(&owners, query).await?;
        let next_page = match indices.last() {
            Some(last) if indices.len() == limit => page_after(*last),
            _ => String::new(),
        };
        let mut entries = Vec::with_capacity(indices.len());
        for index in indices {
            match self.view_of(index).await {
                Ok(view) => entries.extend(view),
                // The others are shown, and the pages behind it; asked for alone, it says what is wrong.
                Err(CallError::Damaged(what)) => {
                    tracing::error!(index, %what, "a damaged entry is left out of a search");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(SearchOutcome { entries, next_page, read })
    }

    async fn try_entry(
        &self,
        catalogue: &Catalogue,
        peer: Peer<'_>,
        key: &str,
        index: u64,
        context: CallContext,
        trace: &mut Trace,
    ) -> Result<(EntryView, Receipt), Stop> {
        let content = content::of_entry(&self.hasher, index, &context);
        let reader = Self::reader(catalogue, peer, context, trace)?;
        let searched = format!("entry {index}");
        let key = self.begin_read(&reader, trace, key, content).await?;
        let stored = self.stored(index).await?.ok_or(RefusalCode::EntryUnknown)?;
        if let Some(agency) = &reader.only {
            let term = self.words.term(TermKind::Agency, agency.as_str());
            let public = stored.routing.secrets.is_empty();
            if !public && !stored.routing.terms.contains(&term) {
                return Err(RefusalCode::EntryUnknown.into());
            }
        }
        let read = self.record_read(&reader.caller, trace, key, &searched).await?;
        Ok((self.view(&stored).await?, read))
    }

    /// Who reads, and how far: the hub's auditors everything, an agency's that in which it takes part.
    fn reader(catalogue: &Catalogue, peer: Peer<'_>, context: CallContext, trace: &mut Trace) -> Result<Reader, Stop> {
        let system = authenticate::system(catalogue, peer);
        trace.system = system.as_ref().ok().map(|system| system.id.clone());
        let all = system.as_ref().is_ok_and(|system| system.has(Role::AuditHub));
        let roles = [Role::AuditHub, Role::AuditOwnAgency];
        let caller = authenticate::caller_with_any(catalogue, peer, &roles, context)?;
        trace.context = Some(caller.context.clone());
        let only = (!all).then(|| caller.agency().clone());
        Ok(Reader { key: SystemKey::from(&caller.system), caller, only })
    }

    /// Takes the key, under which whatever is said from here on stays said; then what a reading demands of its context. A
    /// reading that is repeated may find other facts: what refuses it then is an outcome of its own, under no key.
    async fn begin_read(
        &self,
        reader: &Reader,
        trace: &mut Trace,
        key: &str,
        content: ContentHash,
    ) -> Result<CallId, Stop> {
        let key = self.key_of_read(reader.key, trace, key, content).await?;
        check_context(&[ContextItem::Actor, ContextItem::Case, ContextItem::Reason], &reader.caller.context)?;
        Ok(key)
    }

    /// The key of a reading by `system`. A reading that was refused under it is refused again.
    pub(super) async fn key_of_read(
        &self,
        system: SystemKey,
        trace: &mut Trace,
        key: &str,
        content: ContentHash,
    ) -> Result<CallId, Stop> {
        let key = (system, authenticate::key(key, self.clock.now(), self.limits.window)?, content);
        if let Some(known) = self.store.known(key.0, key.1).await? {
            Self::check_same(known, content)?;
            let stored = self.stored(known.first).await?;
            if let Some(stored) = stored.filter(|stored| stored.routing.kind != Kind::AuditRead) {
                return Err(self.repeated_refusal(&stored).await?.into());
            }
        } else {
            trace.key = Some(key);
        }
        Ok(key)
    }

    fn words_searched(&self, call: &SearchCall) -> Result<Vec<Term>, Stop> {
        let mut terms = Vec::new();
        for (pointer, kind, word) in [
            ("/agency", TermKind::Agency, &call.agency),
            ("/purpose", TermKind::Purpose, &call.purpose),
            ("/record_type", TermKind::RecordType, &call.record_type),
            ("/outcome", TermKind::Outcome, &call.outcome),
            ("/kind", TermKind::Kind, &call.kind),
        ] {
            if word.len() > WORD_BYTES_MAX {
                return Err(malformed(pointer, "maxLength").into());
            }
            if !word.is_empty() {
                terms.push(self.hasher.term(kind, &[word.as_bytes()]));
            }
        }
        Ok(terms)
    }

    /// Everything that the identifiers can stand for: the person, and what refused calls said before it was known.
    async fn owners(&self, identifiers: &[IdentifierHash]) -> Result<Vec<Owner>, Stop> {
        let mut owners: Vec<Owner> = identifiers.iter().map(|identifier| Owner::Unknown(*identifier)).collect();
        match self.store.find_subject(identifiers).await? {
            Found::One { subject, .. } => owners.insert(0, Owner::Subject(subject.id)),
            Found::Several => return Err(RefusalCode::SubjectAmbiguous.into()),
            Found::Nobody => {}
        }
        Ok(owners)
    }

    /// Searches for each owner and joins what is found, newest first.
    async fn search_about(&self, owners: &[Owner], query: Query) -> Result<Vec<u64>, CallError> {
        if owners.is_empty() {
            return Ok(self.store.search(&query).await?);
        }
        let mut found = Vec::new();
        for owner in owners {
            let mut about = query.clone();
            about.terms.push(self.words.about(*owner));
            found.extend(self.store.search(&about).await?);
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        found.truncate(query.limit);
        Ok(found)
    }

    /// Records that somebody reads, before anything is shown.
    pub(super) async fn record_read(
        &self,
        caller: &Caller,
        trace: &Trace,
        key: CallId,
        searched: &str,
    ) -> Result<Receipt, Stop> {
        let mut statement = Statement::of(Kind::AuditRead);
        statement.string(Attribute::TransferId, &trace.id.to_string());
        statement.string(Attribute::System, caller.system.as_str());
        statement.context(&caller.context);
        statement.string(Attribute::WhatWasSearched, searched);
        let about = About { agencies: &[caller.agency()], ..About::new(Kind::AuditRead, trace.id, trace.owner) };
        let sealed = self.seal(about, &statement).await?;
        let proposal = Proposal {
            system: Some(SystemKey::from(&caller.system)),
            key: Some(key),
            entries: vec![sealed.entry.clone()],
            ..Proposal::default()
        };
        match self.sequencer.propose(proposal).await {
            Ok(Recorded::Committed { first, commit }) => {
                Ok(self.opened_receipt(&commit, first, &sealed, Audience::Caller)?)
            }
            // The same reading again: one entry, and the answer as of now.
            Ok(Recorded::Repeat(known)) => {
                let stored = self.stored(known.first).await?;
                let stored = stored.ok_or_else(|| CallError::Fault(format!("entry {} is missing", known.first)))?;
                if stored.routing.kind != Kind::AuditRead {
                    return Err(self.repeated_refusal(&stored).await?.into());
                }
                Ok(self.stored_opened_receipt(&stored, Audience::Caller).await?)
            }
            Err(SequencerError::KeyReused) => Err(RefusalCode::KeyReused.into()),
            Err(error) => Err(CallError::from(error).into()),
        }
    }

    async fn view_of(&self, index: u64) -> Result<Option<EntryView>, CallError> {
        match self.stored(index).await? {
            Some(stored) => self.view(&stored).await.map(Some),
            None => Ok(None),
        }
    }

    async fn view(&self, stored: &StoredEntry) -> Result<EntryView, CallError> {
        let entry = Entry::decode(&stored.entry).map_err(|error| CallError::Fault(error.to_string()))?;
        let time = Moment::from_secs(entry.time());
        let public = match entry {
            Entry::Public { attributes, .. } => Some(attributes),
            Entry::Person { .. } => None,
        };
        let trail = self.open_entry(stored).await?.map(|(_, trail)| trail);
        let delivery = self.store.delivery(stored.index).await?.map(|delivery| delivery.state);
        let receipt = self.stored_opened_receipt(stored, Audience::Audit).await?;
        Ok(EntryView { index: stored.index, time, trail, public, delivery, receipt })
    }
}

/// The index that a page token names: that of the entry after the page. Tokens are the hub's own, in decimal digits.
fn page_before(token: &str) -> Result<Option<u64>, Refusal> {
    if token.is_empty() {
        return Ok(None);
    }
    let index = token.parse().ok().filter(|index: &u64| index.to_string() == token);
    index.map(Some).ok_or_else(|| malformed("/page_token", "pattern"))
}

/// What was looked for, for the entry that records the reading; the person is told by the entry's own subject.
fn searched(call: &SearchCall, before: Option<u64>) -> String {
    let mut text = String::from("{");
    let mut say = |name: &str, value: &str| {
        if !value.is_empty() {
            if text.len() > 1 {
                text.push(',');
            }
            canonical::write_string(&mut text, name);
            text.push(':');
            canonical::write_string(&mut text, value);
        }
    };
    say("about", if call.subject.is_empty() { "" } else { "one person" });
    say("agency", &call.agency);
    say("from", &call.from.map_or_else(String::new, |moment| moment.to_string()));
    say("kind", &call.kind);
    say("outcome", &call.outcome);
    say("page", &before.map_or_else(String::new, |before| before.to_string()));
    say("purpose", &call.purpose);
    say("record_type", &call.record_type);
    say("until", &call.until.map_or_else(String::new, |moment| moment.to_string()));
    text.push('}');
    text
}
