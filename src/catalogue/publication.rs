//! What a publication leaves for the next ones, and what may follow it: a schema that was published is never changed, what
//! an agreement gives, and on which terms, is changed by a new revision only, and a consent covers no more than what was
//! shown to who gave it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Catalogue, CompiledAgreement, Digest, Fault, Place, Problem, digest::basis, problem::Problems, schema_name,
};
use crate::domain::{
    agency::AgencyId,
    agreement::{Agreement, AgreementId, Demand, PurposeId},
    field::FieldPath,
    record::RecordTypeId,
};

/// The most bytes that a [`Publication`] may take: it stands in one entry of the ledger.
pub const PUBLICATION_BYTES_MAX: usize = 64_000;

/// What all publications up to one leave for the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publication {
    /// The digest of each schema, `<domain>/<name>/<major>.<minor>`. Those that were retired stay.
    pub schemas: BTreeMap<String, Digest>,
    /// Of each agreement that demands consent, what its revisions showed, from the earliest whose consents still hold.
    pub shown: BTreeMap<AgreementId, BTreeMap<u32, Shown>>,
    /// Of each other agreement, its newest revision with the digest of what that gives, which would take much more room.
    /// Publications of older hubs leave nothing here: then the next one begins.
    pub given: BTreeMap<AgreementId, BTreeMap<u32, Digest>>,
}

/// What a revision gives, and shows to who consents: who gives whom which fields, for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    source: AgencyId,
    recipient: AgencyId,
    purpose: PurposeId,
    record_type: RecordTypeId,
    schema_major: u16,
    onward: bool,
    /// Each field of the schema that the agreement reaches, not the objects that it names: these may grow.
    fields: BTreeSet<FieldPath>,
}

/// The fields that an agreement reaches, of those versions of the schema.
fn fields(catalogue: &Catalogue, agreed: &Agreement, versions: impl Fn(&str) -> bool) -> BTreeSet<FieldPath> {
    let agreed_on = |path: &&FieldPath| agreed.fields.iter().any(|field| field.covers(path));
    let mut fields = BTreeSet::new();
    if let Some(known) = catalogue.record_type(agreed.record_type.as_str()) {
        let major = known.versions().filter(|version| version.version.major == agreed.schema_major);
        for version in major.filter(|version| versions(&schema_name(&known.id, version.version))) {
            let leaves = version.fields.iter().filter(|(_, info)| !info.structured).map(|(path, _)| path);
            fields.extend(leaves.filter(agreed_on).cloned());
        }
    }
    fields
}

impl Shown {
    fn of(catalogue: &Catalogue, compiled: &CompiledAgreement) -> Self {
        let agreed = &compiled.agreement;
        Self {
            source: agreed.source.clone(),
            recipient: agreed.recipient.clone(),
            purpose: agreed.purpose.clone(),
            record_type: agreed.record_type.clone(),
            schema_major: agreed.schema_major,
            onward: agreed.onward,
            fields: fields(catalogue, agreed, |_| true),
        }
    }

    /// With the terms that nobody consents to, and both agencies agree on: how it is asked for and about whom, by which
    /// law, and how long the recipient keeps it.
    fn digest(&self, agreed: &Agreement) -> Digest {
        let mut given = json!(self);
        given["direction"] = json!(agreed.direction);
        given["basis"] = basis(agreed);
        given["demand"] = json!(agreed.demand);
        given["scope"] = json!(agreed.scope);
        given["context"] = json!(agreed.context);
        given["at_recipient"] = json!(agreed.retention.at_recipient.map(|kept| kept.as_secs()));
        Digest::of_json(&given)
    }

    /// What `later` has beyond this one, if it has.
    fn beyond(&self, later: &Self) -> Option<String> {
        let of = |shown: &Self| {
            let Self { source, recipient, purpose, record_type, schema_major, .. } = shown;
            format!("{record_type} {schema_major} from {source} to {recipient} for {purpose}")
        };
        if of(self) != of(later) {
            return Some(format!("it showed {}", of(self)));
        }
        if later.onward && !self.onward {
            return Some("it did not show that copies may be passed on".to_owned());
        }
        later.fields.difference(&self.fields).next().map(|field| format!("it did not show `{field}`"))
    }
}

impl Publication {
    /// The bytes that it takes in an entry.
    pub(super) fn bytes(&self) -> usize {
        let length = |json: serde_json::Result<Vec<u8>>| json.map_or(usize::MAX, |json| json.len());
        let Self { schemas, shown, given } = self;
        let agreements = length(serde_json::to_vec(shown)).saturating_add(length(serde_json::to_vec(given)));
        length(serde_json::to_vec(schemas)).saturating_add(agreements)
    }
}

impl Catalogue {
    /// What this catalogue leaves for the next, if none came before.
    pub fn publication(&self) -> Publication {
        let schemas = self.record_types.values().flat_map(|known| {
            known.versions().map(|version| (schema_name(&known.id, version.version), version.digest))
        });
        let shown = self.by_consent().map(|known| {
            let agreed = &known.agreement;
            (agreed.id.clone(), BTreeMap::from([(agreed.revision, Shown::of(self, known))]))
        });
        let others = self.agreements().filter(|known| known.agreement.demand != Demand::Consent);
        let given = others.map(|known| {
            let agreed = &known.agreement;
            (agreed.id.clone(), BTreeMap::from([(agreed.revision, Shown::of(self, known).digest(agreed))]))
        });
        Publication { schemas: schemas.collect(), shown: shown.collect(), given: given.collect() }
    }

    /// What it leaves for the next, after those that came before: schemas and agreements that were retired, and what
    /// revisions showed whose consents still hold.
    pub fn publication_after(&self, previous: Publication) -> Publication {
        let mut all = self.publication();
        for (name, digest) in previous.schemas {
            all.schemas.entry(name).or_insert(digest);
        }
        for (agreement, revisions) in previous.shown {
            let now = self.agreement(&agreement).map(|known| &known.agreement);
            let since = now.filter(|now| now.demand == Demand::Consent).map_or(0, |now| now.consent_since_revision);
            let known = all.shown.entry(agreement).or_default();
            for (revision, shown) in revisions.into_iter().filter(|(revision, _)| *revision >= since) {
                known.entry(revision).or_insert(shown);
            }
        }
        for (agreement, revisions) in previous.given {
            all.given.entry(agreement).or_insert(revisions);
        }
        all
    }

    fn by_consent(&self) -> impl Iterator<Item = &CompiledAgreement> {
        self.agreements().map(AsRef::as_ref).filter(|known| known.agreement.demand == Demand::Consent)
    }

    /// Whether this catalogue may follow those. A schema may be retired, but when it comes back it must be the same; so
    /// must what a revision gives. Consents to an earlier one cover a revision that shows no more.
    pub fn may_follow(&self, previous: &Publication) -> Result<(), Vec<Problem>> {
        let problems = Problems::default();
        let now = self.publication();
        for (name, digest) in &now.schemas {
            if let Some(published) = previous.schemas.get(name).filter(|published| *published != digest) {
                let fault = Fault::SchemaRepublished { name: name.clone(), published: published.to_string() };
                problems.add(&self.schema_files[name], Place::File, fault);
            }
        }
        for known in self.agreements() {
            let fault = self.gives_other(known, previous);
            fault.into_iter().for_each(|fault| problems.at(&self.revision_spots[&known.agreement.id], fault));
        }
        for known in self.by_consent() {
            let agreed = &known.agreement;
            let (shown, before) = (&now.shown[&agreed.id][&agreed.revision], previous.shown.get(&agreed.id));
            let none = BTreeMap::new();
            let before = before.unwrap_or(&none);
            let spot = &self.revision_spots[&agreed.id];
            if let Some(published) = before.get(&agreed.revision).filter(|published| *published != shown) {
                let more = published.beyond(shown).unwrap_or_else(|| "it showed more".to_owned());
                problems.at(spot, Fault::ConsentRevisionChanged { revision: agreed.revision.to_string(), more });
            }
            let newest = before.last_key_value().map_or(0, |(newest, _)| *newest);
            if agreed.revision < newest && !before.contains_key(&agreed.revision) {
                let (revision, newest) = (agreed.revision.to_string(), newest.to_string());
                problems.at(spot, Fault::ConsentRevisionOld { revision, newest });
            }
            let earlier = before.range(agreed.consent_since_revision..agreed.revision);
            for (revision, published) in earlier {
                if let Some(more) = published.beyond(shown) {
                    problems.at(spot, Fault::ConsentShowsMore { revision: revision.to_string(), more });
                }
            }
            if agreed.consent_since_revision < agreed.revision && !before.contains_key(&agreed.consent_since_revision) {
                problems.at(spot, Fault::ConsentSinceUnknown { since: agreed.consent_since_revision.to_string() });
            }
        }
        problems.into_result()
    }

    /// That an agreement has a revision which was published already, and gave something else; or one before such. What was
    /// shown to who consents is compared elsewhere.
    fn gives_other(&self, known: &CompiledAgreement, previous: &Publication) -> Option<Fault> {
        let (agreed, shown) = (&known.agreement, Shown::of(self, known));
        let revision = agreed.revision;
        let given = previous.given.get(&agreed.id);
        let by_consent = previous.shown.get(&agreed.id).filter(|_| agreed.demand != Demand::Consent);
        let newest = |last: Option<&u32>| last.copied().unwrap_or(0);
        let newest = newest(given.and_then(|known| known.keys().next_back()))
            .max(newest(by_consent.and_then(|known| known.keys().next_back())));
        if revision < newest {
            return Some(Fault::RevisionOld { revision: revision.to_string(), newest: newest.to_string() });
        }
        let given_so =
            given.and_then(|known| known.get(&revision)).is_none_or(|before| *before == shown.digest(agreed));
        let shown_so = by_consent.and_then(|known| known.get(&revision)).is_none_or(|before| *before == shown);
        if given_so && shown_so {
            return None;
        }
        let before = fields(self, agreed, |schema| previous.schemas.contains_key(schema));
        let more = match shown.fields.difference(&before).next() {
            Some(field) => format!("a new version of the schema adds `{field}`"),
            None => "it names other parties, another purpose, other fields or other terms".to_owned(),
        };
        Some(Fault::RevisionChanged { revision: revision.to_string(), more })
    }
}
