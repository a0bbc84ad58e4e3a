//! The schemas of a catalogue: read, held to the rules, walked for their fields, costed. Compiling them is
//! `compiled`'s.

mod cost;
mod evolution;
mod fields;
mod identity;
mod json;
mod references;
mod rules;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

pub use self::{
    cost::{COST_MAX, PATTERN_COST_DIVISOR},
    fields::{FieldInfo, Fields, IdentifierField, SCHEMA_FIELDS_MAX, Sensitivity},
    rules::{PATTERN_BYTES_MAX, STRING_CHARS_MAX},
};

#[cfg(test)]
pub(super) use self::cost::cost;

use super::{
    digest::Digest,
    files::SourceFile,
    problem::{Fault, Place, Problems, Spot},
};
use crate::domain::record::{RecordTypeId, SchemaVersion};

/// All schemas of the record types that the catalogue names, by version.
pub(super) type Schemas = BTreeMap<RecordTypeId, BTreeMap<SchemaVersion, SchemaDraft>>;

/// One schema.
#[derive(Debug)]
pub(super) struct SchemaDraft {
    /// Its file, for problems.
    pub(super) file: Arc<str>,
    /// As written.
    pub(super) json: Arc<Value>,
    /// Of its canonical form.
    pub(super) digest: Digest,
    /// Its fields; `None` where it broke a rule that the walk needs.
    pub(super) fields: Option<Fields>,
}

/// Reads the schemas of `record_types` and checks each, and each against its previous minor version.
pub(super) fn read(files: &[SourceFile], record_types: &BTreeSet<&RecordTypeId>, problems: &Problems) -> Schemas {
    let mut schemas = Schemas::new();
    for file in files {
        let Some((record_type, version)) = name(file, problems) else { continue };
        if !record_types.contains(&record_type) {
            continue;
        }
        let Some(draft) = read_one(file, problems) else { continue };
        schemas.entry(record_type).or_default().insert(version, draft);
    }
    for versions in schemas.values() {
        for ((previous, old), (version, new)) in versions.iter().zip(versions.iter().skip(1)) {
            if previous.major == version.major {
                evolution::check(*previous, old, new, problems);
            }
        }
    }
    schemas
}

fn name(file: &SourceFile, problems: &Problems) -> Option<(RecordTypeId, SchemaVersion)> {
    let wrong = |detail: String| {
        problems.add(&file.shown, Place::File, Fault::SchemaFileName { detail });
    };
    let (record_type, version) = file.path.strip_suffix(".json")?.rsplit_once('/')?;
    match (record_type.parse(), version.parse()) {
        (Ok(record_type), Ok(version)) => return Some((record_type, version)),
        (Err(error), _) => wrong(format!("{error}")),
        (_, Err(error)) => wrong(format!("{error}")),
    }
    None
}

fn read_one(file: &SourceFile, problems: &Problems) -> Option<SchemaDraft> {
    let json = match json::parse(&file.text) {
        Ok(json) => json,
        Err(error) => {
            let spot = Spot { file: Arc::clone(&file.shown), line: error.line() as u32 };
            let text = error.to_string();
            let detail = text.split(" at line ").next().unwrap_or_default().to_owned();
            problems.at(&spot, Fault::Syntax { detail });
            return None;
        }
    };
    let before = problems.count();
    rules::check(&json, &file.shown, problems);
    let mut draft = SchemaDraft {
        file: Arc::clone(&file.shown),
        digest: Digest::of_json(&json),
        json: Arc::new(json),
        fields: None,
    };
    // The walks below rely on the rules: references that resolve and end, bounds that are there.
    if problems.count() == before {
        let cost = cost::cost(&draft.json);
        if cost > COST_MAX {
            let fault = Fault::CostOver { cost: cost.to_string(), max: COST_MAX.to_string() };
            problems.add(&file.shown, Place::File, fault);
        }
        draft.fields = fields::walk(&draft.json, &file.shown, problems);
        if let Some(fields) = &draft.fields {
            identity::check(fields, &file.shown, problems);
        }
    }
    Some(draft)
}
