//! `purposes.toml` and `record-types.toml`: what data is used for, and whose word counts about what.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{agency::AgencyId, agreement::PurposeId, record::RecordTypeId};

use super::{
    files::SourceFile,
    humane::Text,
    problem::{At, Fault, Problems, Spot},
    reader::TableReader,
};

/// What data may be used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// Its name.
    pub id: PurposeId,
    /// What people call it.
    pub title: String,
    /// Whether it rests on the citizen's consent, and on nothing else.
    pub consent: bool,
}

/// A record type as the register has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordTypeDraft {
    pub(super) id: RecordTypeId,
    pub(super) spot: Spot,
    pub(super) authority: At<AgencyId>,
    pub(super) links: bool,
}

pub(super) fn read_purposes(file: &SourceFile, problems: &Problems) -> Vec<Purpose> {
    let Some(mut table) = TableReader::parse(file, problems) else { return Vec::new() };
    let mut seen = BTreeSet::new();
    let mut purposes = Vec::new();
    for mut table in table.tables("purpose") {
        let id = table.required::<PurposeId>("id");
        let title = table.required::<Text>("title");
        let consent = table.optional::<bool>("consent");
        table.finish();
        let Some(id) = id else { continue };
        if !seen.insert(id.value.clone()) {
            problems.at(&id.spot, Fault::PurposeTwice { purpose: id.value.to_string() });
            continue;
        }
        let title = title.map(|title| title.value.0).unwrap_or_default();
        purposes.push(Purpose { id: id.value, title, consent: consent.is_some_and(|found| found.value) });
    }
    table.finish();
    purposes
}

pub(super) fn read_record_types(file: &SourceFile, problems: &Problems) -> BTreeMap<RecordTypeId, RecordTypeDraft> {
    let mut types = BTreeMap::new();
    let Some(mut table) = TableReader::parse(file, problems) else { return types };
    for mut table in table.tables("record_type") {
        let id = table.required::<RecordTypeId>("id");
        let authority = table.required::<AgencyId>("authority");
        let links = table.optional::<bool>("links");
        table.finish();
        let (Some(id), Some(authority)) = (id, authority) else { continue };
        if types.contains_key(&id.value) {
            problems.at(&id.spot, Fault::RecordTypeTwice { record_type: id.value.to_string() });
            continue;
        }
        let links = links.is_some_and(|found| found.value);
        let draft = RecordTypeDraft { id: id.value.clone(), spot: id.spot, authority, links };
        types.insert(id.value, draft);
    }
    table.finish();
    types
}
