//! Is the record what it says: bounds, then its schema, then whom it is about.

use super::parse::{RecordLimits, parse};
use crate::{
    catalogue::RecordVersion,
    domain::{
        canonical::write_pointer_step,
        field::Step,
        refusal::{Refusal, RefusalCode, Violation},
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
        collect(&value, field.path.steps(), &field.scheme, into).map_err(|(pointer, keyword)| Refusal {
            code: RefusalCode::RecordInvalid,
            violations: vec![Violation { pointer, keyword }],
        })?;
    }
    if main.is_empty() {
        return Err(RefusalCode::SubjectMissing.into());
    }
    Ok(Valid { value, version, main, others })
}

/// Where a string stands that is no identifier, whatever its schema says of it, and which keyword it breaks.
type NoIdentifier = (String, &'static str);

/// Every identifier that `steps` lead to.
fn collect(value: &Value<'_>, steps: &[Step], scheme: &str, into: &mut Vec<Identifier>) -> Result<(), NoIdentifier> {
    match steps.split_first() {
        None => {
            let Some(text) = value.as_str() else { return Ok(()) };
            into.push(Identifier::new(scheme, text).map_err(|why| (String::new(), why.keyword()))?);
            Ok(())
        }
        Some((Step::Property(name), rest)) => match value.get(name) {
            Some(inner) => collect(inner, rest, scheme, into).map_err(|fault| below(name, fault)),
            None => Ok(()),
        },
        Some((Step::AnyItem, rest)) => value.items().iter().enumerate().try_for_each(|(at, item)| {
            collect(item, rest, scheme, into).map_err(|fault| below(&at.to_string(), fault))
        }),
    }
}

fn below(name: &str, (rest, keyword): NoIdentifier) -> NoIdentifier {
    let mut pointer = String::new();
    write_pointer_step(&mut pointer, name);
    (pointer + &rest, keyword)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::subject::IDENTIFIER_BYTES_MAX;

    #[test]
    fn what_is_too_long_or_empty_for_an_identifier_is_told_by_where_it_stands() {
        let long = "é".repeat(IDENTIFIER_BYTES_MAX / 2);
        let collected = |numbers: &[&str]| {
            let record = serde_json::json!({ "a/b": numbers }).to_string();
            let limits = RecordLimits::default();
            let value = parse(record.as_bytes(), &limits).unwrap();
            let steps = [Step::Property("a/b".into()), Step::AnyItem];
            let mut into = Vec::new();
            collect(&value, &steps, "number", &mut into).map(|()| into.len())
        };
        assert_eq!(collected(&["1", &long]), Ok(2));
        assert_eq!(collected(&["1", &format!("{long}1")]), Err(("/a~1b/1".into(), "maxLength")));
        assert_eq!(collected(&["", "1"]), Err(("/a~1b/0".into(), "minLength")));
    }
}
