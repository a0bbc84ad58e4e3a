//! Compiled JSON Schemas (2020-12) that read records in place. The catalogue compiles them, the exchange runs them.
//!
//! Nothing is fetched: a `$ref` leads to a schema of the catalogue or the schema does not compile. Patterns run on the
//! linear engine, `format` is asserted, and a format that is not known is an error of the schema.

mod instance;

use std::collections::HashSet;

use jsonschema::{
    Draft, PatternOptions, Registry, Validator, error::ValidationErrorKind as Kind, paths::LocationSegment,
};
use serde_json::Value as Schema;

use self::instance::Instance;
use crate::domain::{canonical, refusal::Violation, value::Value};

/// What stands in a pointer for a property that the schema does not name.
pub const UNKNOWN_PROPERTY: &str = "*unknown*";

/// Bytes of one compiled pattern, a bound of the linear engine.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A schema that does not compile. The text is about the schema, which is public.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at {pointer:?} of the schema)")]
pub struct InvalidSchema {
    /// Where in the schema.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

/// Validates the records of one schema version.
#[derive(Debug)]
pub struct RecordValidator {
    validator: Validator<Instance>,
    /// Every property name that the schema, or one that it may refer to, has.
    known: HashSet<Box<str>>,
}

impl RecordValidator {
    /// Compiles `schema`; `others` are the catalogue's schemas that it may refer to, by their `$id`.
    pub fn compile<'s>(
        schema: &Schema,
        others: impl IntoIterator<Item = (&'s str, &'s Schema)>,
    ) -> Result<Self, InvalidSchema> {
        let mut known = HashSet::new();
        collect_names(schema, &mut known);
        let mut registry = Registry::new().draft(Draft::Draft202012).retriever(Nowhere);
        for (id, other) in others {
            collect_names(other, &mut known);
            registry = registry.add(id, other).map_err(|error| unresolved(&error))?;
        }
        let registry = registry.prepare().map_err(|error| unresolved(&error))?;
        let validator = jsonschema::options_for::<Instance>()
            .with_draft(Draft::Draft202012)
            .with_registry(&registry)
            .with_retriever(Nowhere)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .build(schema)
            .map_err(|error| InvalidSchema {
                pointer: error.instance_path().to_string(),
                message: error.to_string(),
            })?;
        Ok(Self { validator, known })
    }

    /// Whether `record` obeys the schema. The common case, without any error built.
    pub fn is_valid(&self, record: &Value<'_>) -> bool {
        self.validator.is_valid(record)
    }

    /// What is wrong with `record`, the first `violations_max` faults; empty when it is valid.
    ///
    /// Ask [`Self::is_valid`] first: this builds every error before it cuts. Each is small, since it holds no value,
    /// and their number is bounded by the record's values times the schema's static cost.
    pub fn violations(&self, record: &Value<'_>, violations_max: usize) -> Vec<Violation> {
        self.validator
            .iter_errors(record)
            .take(violations_max)
            .map(|error| {
                let mut pointer = self.masked(record, error.instance_path().into_iter());
                if let Some(missing) = self.missing(error.kind()) {
                    canonical::write_pointer_step(&mut pointer, missing);
                }
                Violation { pointer, keyword: keyword(error.kind()) }
            })
            .collect()
    }

    /// The property that is required and not there, which the schema names.
    fn missing<'k>(&self, kind: &'k Kind) -> Option<&'k str> {
        let Kind::Required { property } = kind else { return None };
        property.as_str().filter(|name| self.known.contains(*name))
    }

    /// The pointer, with the names that the schema lacks masked. A name of digits looks like an index, so what a step
    /// is gets decided by the record.
    fn masked<'p>(&self, record: &Value<'_>, path: impl Iterator<Item = LocationSegment<'p>>) -> String {
        let mut pointer = String::new();
        let mut here = Some(record);
        for step in path {
            let name = match step {
                LocationSegment::Index(index) if matches!(here, Some(Value::Array(_))) => {
                    canonical::write_pointer_step(&mut pointer, &index.to_string());
                    here = here.and_then(|value| value.items().get(index));
                    continue;
                }
                LocationSegment::Index(number) => number.to_string().into(),
                LocationSegment::Property(name) => name,
            };
            let shown = if self.known.contains(&*name) { &*name } else { UNKNOWN_PROPERTY };
            canonical::write_pointer_step(&mut pointer, shown);
            here = here.and_then(|value| value.get(&name));
        }
        pointer
    }
}

/// Retrieves nothing.
struct Nowhere;

impl jsonschema::Retrieve for Nowhere {
    fn retrieve(&self, _: &jsonschema::Uri<String>) -> Result<Schema, Box<dyn std::error::Error + Send + Sync>> {
        Err("no schema of this catalogue has that $id".into())
    }
}

fn unresolved(error: &dyn std::error::Error) -> InvalidSchema {
    InvalidSchema { pointer: String::new(), message: error.to_string() }
}

/// Every name under any `properties`: what a pointer may show, since the schema is public.
fn collect_names(schema: &Schema, names: &mut HashSet<Box<str>>) {
    match schema {
        Schema::Object(members) => {
            if let Some(Schema::Object(properties)) = members.get("properties") {
                names.extend(properties.keys().map(|name| name.as_str().into()));
            }
            members.values().for_each(|member| collect_names(member, names));
        }
        Schema::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        _ => {}
    }
}

/// The keyword that failed, as a name that lives as long as the program.
fn keyword(kind: &Kind) -> &'static str {
    match kind {
        Kind::AdditionalItems { .. } => "additionalItems",
        Kind::AdditionalProperties { .. } => "additionalProperties",
        Kind::AnyOf { .. } => "anyOf",
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } | Kind::Pattern { .. } => "pattern",
        Kind::Constant { .. } => "const",
        Kind::Contains => "contains",
        Kind::ContentEncoding { .. } | Kind::FromUtf8 { .. } => "contentEncoding",
        Kind::ContentMediaType { .. } => "contentMediaType",
        Kind::Custom { .. } => "custom",
        Kind::Enum { .. } => "enum",
        Kind::ExclusiveMaximum { .. } => "exclusiveMaximum",
        Kind::ExclusiveMinimum { .. } => "exclusiveMinimum",
        Kind::FalseSchema => "false",
        Kind::Format { .. } => "format",
        Kind::MaxItems { .. } => "maxItems",
        Kind::Maximum { .. } => "maximum",
        Kind::MaxLength { .. } => "maxLength",
        Kind::MaxProperties { .. } => "maxProperties",
        Kind::MinItems { .. } => "minItems",
        Kind::Minimum { .. } => "minimum",
        Kind::MinLength { .. } => "minLength",
        Kind::MinProperties { .. } => "minProperties",
        Kind::MultipleOf { .. } => "multipleOf",
        Kind::Not { .. } => "not",
        Kind::OneOfMultipleValid { .. } | Kind::OneOfNotValid { .. } => "oneOf",
        Kind::PropertyNames { .. } => "propertyNames",
        Kind::Required { .. } => "required",
        Kind::Type { .. } => "type",
        Kind::UnevaluatedItems { .. } => "unevaluatedItems",
        Kind::UnevaluatedProperties { .. } => "unevaluatedProperties",
        Kind::UniqueItems => "uniqueItems",
        Kind::Referencing(_) => "$ref",
    }
}

#[cfg(test)]
#[path = "validator/tests.rs"]
mod tests;
