//! Whom a record is about: every schema names one main subject, in one place, by one or more numbers.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::problem::{Fault, Place, Problems},
    fields::{Fields, IdentifierField},
};
use crate::domain::{field::Step, subject::IdentifierRole};

/// Reports a schema without a main subject, with two, or with one scheme twice.
pub(super) fn check(fields: &Fields, file: &Arc<str>, problems: &Problems) {
    let identifiers = fields.identifiers();
    let main: Vec<&IdentifierField> = identifiers.iter().filter(|field| field.role == IdentifierRole::Main).collect();
    let Some(first) = main.first() else {
        return problems.add(file, Place::File, Fault::MainSubjectMissing {});
    };
    let mut schemes: BTreeMap<&str, &IdentifierField> = BTreeMap::new();
    for field in &main {
        let place = || Place::Pointer(field.path.to_string());
        let beside = parent(field) == parent(first);
        // A main subject inside an array would be as many as the array has items.
        if !beside || field.path.steps().contains(&Step::AnyItem) {
            let (field, other) = (field.path.to_string(), first.path.to_string());
            problems.add(file, place(), Fault::MainSubjectTwice { field, other });
        } else if schemes.insert(&field.scheme, field).is_some() {
            let fault =
                Fault::MainSchemeTwice { field: field.path.to_string(), scheme: field.scheme.as_ref().to_owned() };
            problems.add(file, place(), fault);
        }
    }
}

fn parent(field: &IdentifierField) -> &[Step] {
    field.path.steps().split_last().map_or(&[], |(_, parent)| parent)
}
