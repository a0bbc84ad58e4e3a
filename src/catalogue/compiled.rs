//! Schemas and agreements made ready for the path: validators, views, and the attributes that each entry repeats.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::{
    agency::AgencyId,
    agreement::Agreement,
    record::{RecordTypeId, SchemaVersion},
    view::View,
};

use super::{
    agreements::{AgreementDraft, Signature},
    digest::{Digest, basis, canonical},
    problem::{Fault, Place, Problems},
    registers::RecordTypeDraft,
    schema::{Fields, IdentifierField, SchemaDraft, Schemas},
    validator::{InvalidSchema, RecordValidator},
    view_schema::view_schema,
};

/// A record type, with all its versions and the agreements that push it.
#[derive(Debug)]
pub struct RecordType {
    /// Its name.
    pub id: RecordTypeId,
    /// Whose word counts.
    pub authority: AgencyId,
    /// Whether identifiers that stand together in such a record, from the authoritative agency, are linked.
    pub links: bool,
    pub(super) versions: BTreeMap<SchemaVersion, RecordVersion>,
    /// By source and major version; a handful.
    pub(super) push: Vec<PushRoute>,
    /// By name; not many.
    pub(super) pull: Vec<Arc<CompiledAgreement>>,
}

/// What happens to a record type that a source submits.
#[derive(Debug)]
pub(super) struct PushRoute {
    pub(super) source: AgencyId,
    pub(super) major: u16,
    pub(super) agreements: Vec<Arc<CompiledAgreement>>,
}

impl RecordType {
    /// One version.
    pub fn version(&self, version: SchemaVersion) -> Option<&RecordVersion> {
        self.versions.get(&version)
    }

    /// All versions, oldest first.
    pub fn versions(&self) -> impl Iterator<Item = &RecordVersion> {
        self.versions.values()
    }
}

/// One version of a record type.
#[derive(Debug)]
pub struct RecordVersion {
    /// Which.
    pub version: SchemaVersion,
    /// As published.
    pub schema: Arc<Value>,
    /// Of the schema's canonical form.
    pub digest: Digest,
    /// Ready to run.
    pub validator: RecordValidator,
    /// The properties that identify a person, by path.
    pub identifiers: Vec<IdentifierField>,
    /// Its fields.
    pub fields: Fields,
}

/// An agreement, ready to decide and to cut records by.
#[derive(Debug)]
pub struct CompiledAgreement {
    /// What was agreed.
    pub agreement: Agreement,
    /// What people call it.
    pub title: String,
    /// What it is about, in their words.
    pub description: String,
    /// Detached signatures, as handed over.
    pub signatures: Vec<Signature>,
    /// Cuts a record down to the agreed fields.
    pub view: View,
    /// The schema of what the recipient sees, from the newest minor version: it holds older ones, too.
    pub view_schema: Value,
    /// That schema, ready to run.
    pub view_validator: RecordValidator,
    /// What every entry under this agreement says alike.
    pub constants: Constants,
}

/// Attribute values (canonical JSON) that are the same for every transfer under an agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constants {
    /// Attribute 3.
    pub source: Box<str>,
    /// Attribute 4.
    pub recipient: Box<str>,
    /// Attribute 5.
    pub agreement: Box<str>,
    /// Attribute 6.
    pub agreement_revision: Box<str>,
    /// Attribute 7.
    pub purpose: Box<str>,
    /// Attribute 8: an object of article, law and special_ground.
    pub basis: Box<str>,
    /// Attribute 9.
    pub record_type: Box<str>,
    /// Attribute 18: of the catalogue that the transfer is decided under.
    pub catalogue: Box<str>,
}

impl Constants {
    fn of(agreement: &Agreement, catalogue: Digest) -> Self {
        Self {
            source: canonical_text(&agreement.source),
            recipient: canonical_text(&agreement.recipient),
            agreement: canonical_text(&agreement.id),
            agreement_revision: canonical_text(&agreement.revision),
            purpose: canonical_text(&agreement.purpose),
            basis: canonical_text(&basis(agreement)),
            record_type: canonical_text(&agreement.record_type),
            catalogue: canonical_text(&catalogue.to_string()),
        }
    }
}

fn canonical_text(value: &impl Serialize) -> Box<str> {
    String::from_utf8(canonical(&json!(value))).expect("RFC 8785 JSON is UTF-8").into()
}

/// Compiles every version of a record type.
pub(super) fn record_type(draft: &RecordTypeDraft, schemas: &Schemas, problems: &Problems) -> RecordType {
    let versions = schemas.get(&draft.id).into_iter().flatten();
    let versions =
        versions.filter_map(|(version, schema)| Some((*version, record_version(*version, schema, problems)?)));
    RecordType {
        id: draft.id.clone(),
        authority: draft.authority.value.clone(),
        links: draft.links,
        versions: versions.collect(),
        push: Vec::new(),
        pull: Vec::new(),
    }
}

fn record_version(version: SchemaVersion, draft: &SchemaDraft, problems: &Problems) -> Option<RecordVersion> {
    let validator = or_report(compile(&draft.json), draft, problems)?;
    let fields = draft.fields.clone()?;
    Some(RecordVersion {
        version,
        schema: Arc::clone(&draft.json),
        digest: draft.digest,
        validator,
        identifiers: fields.identifiers(),
        fields,
    })
}

/// Schemas refer to themselves only, so there are no others to name.
fn compile(schema: &Value) -> Result<RecordValidator, InvalidSchema> {
    RecordValidator::compile(schema, [])
}

fn or_report<T>(result: Result<T, InvalidSchema>, draft: &SchemaDraft, problems: &Problems) -> Option<T> {
    result
        .map_err(|error| {
            let place = Place::Pointer(error.pointer.clone());
            problems.add(&draft.file, place, Fault::Uncompilable { detail: error.message });
        })
        .ok()
}

/// Compiles an agreement that has passed the rules, under the catalogue of this digest.
pub(super) fn agreement(
    draft: &AgreementDraft,
    schemas: &Schemas,
    catalogue: Digest,
    problems: &Problems,
) -> Option<CompiledAgreement> {
    let agreement = draft.to_agreement();
    let versions = schemas.get(&agreement.record_type)?;
    let newest = versions.iter().rev().find(|(version, _)| version.major == agreement.schema_major);
    let (version, schema) = newest?;
    // Schemas refer to themselves only, so there are no others to find.
    let view_schema = match view_schema(&schema.json, &agreement.fields, &|_| None) {
        Ok(view_schema) => view_schema,
        Err(missing) => {
            let (field, schema) = (missing.field.to_string(), format!("{}/{version}", agreement.record_type));
            problems.at(&draft.spot, Fault::FieldNotInSchema { field, schema });
            return None;
        }
    };
    let view_validator = or_report(compile(&view_schema), schema, problems)?;
    Some(CompiledAgreement {
        title: draft.title.clone(),
        description: draft.description.clone(),
        signatures: draft.signatures.iter().map(|found| found.value.clone()).collect(),
        view: View::compile(&agreement.fields),
        view_schema,
        view_validator,
        constants: Constants::of(&agreement, catalogue),
        agreement,
    })
}
