//! Is the record what it says: bounds, then its schema, then whom it is about.

use super::parse::{RecordLimits, parse};
use crate::{
    catalogue::RecordVersion,
    domain::{
        field::Step,
        refusal::{Refusal, RefusalCode},
        subject::{Identifier, IdentifierRole},
        value::Value,
    },
};

/// A record that obeys its schema and says whom it is about.
#[derive(Debug)]
pub struct Valid<'c, 'p> {
    /// The parsed record.
    pub value: Value<'p>,
    /// The schema that it obeys.
    pub version: &'c RecordVersion,
    /// The main subject's identifiers, in the order of the schema; at least one.
    pub main: Vec<Identifier>,
    /// Everybody else's: spouse, child, guardian.
    pub others: Vec<Identifier>,
}

/// Bounds of this stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidateLimits {
    /// Bounds of the record itself.
    pub record: RecordLimits,
    /// How many faults a refusal names.
    pub violations_max: usize,
}

/// Stage 3: parses the payload once and checks it.
pub fn validate<'c, 'p>(
    payload: &'p [u8],
    version: &'c RecordVersion,
    limits: &ValidateLimits,
) -> Result<Valid<'c, 'p>, Refusal> {
    let value = parse(payload, &limits.record).map_err(Refusal::from)?;
    if !version.validator.is_valid(&value) {
        let violations = version.validator.violations(&value, limits.violations_max);
        return Err(Refusal { code: RefusalCode::RecordInvalid, violations });
    }
    let (mut main, mut others) = (Vec::with_capacity(2), Vec::new());
    for field in &version.identifiers {
        let into = if field.role == IdentifierRole::Main { &mut main } else { &mut others };
        collect(&value, field.path.steps(), &field.scheme, into);
    }
    if main.is_empty() {
        return Err(RefusalCode::SubjectMissing.into());
    }
    Ok(Valid { value, version, main, others })
}

/// Every identifier that `steps` lead to. The schema has bounded it already; one that is no identifier is passed over.
fn collect(value: &Value<'_>, steps: &[Step], scheme: &str, into: &mut Vec<Identifier>) {
    match steps.split_first() {
        None => into.extend(value.as_str().and_then(|text| Identifier::new(scheme, text).ok())),
        Some((Step::Property(name), rest)) => {
            if let Some(inner) = value.get(name) {
                collect(inner, rest, scheme, into);
            }
        }
        Some((Step::AnyItem, rest)) => value.items().iter().for_each(|item| collect(item, rest, scheme, into)),
    }
}
