//! The fields that a schema can have: each instance path with its sensitivity, and whom it identifies.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use super::{
    super::problem::{Fault, Place, Problems},
    references::resolve,
};
use crate::domain::{field::FieldPath, subject::IdentifierRole};

/// The most fields of one schema.
pub const SCHEMA_FIELDS_MAX: usize = 4096;

/// How much harm it does if it leaks, and which rule of law is about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensitivity {
    /// Personal data, as all of it is.
    Ordinary,
    /// Hurts more; no special rule.
    Sensitive,
    /// GDPR Art. 9.
    Special,
    /// GDPR Art. 10.
    Criminal,
}

impl Sensitivity {
    /// From the word that schemas use.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "ordinary" => Some(Self::Ordinary),
            "sensitive" => Some(Self::Sensitive),
            "special" => Some(Self::Special),
            "criminal" => Some(Self::Criminal),
            _ => None,
        }
    }
}

/// A property that identifies a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentifierField {
    /// Where it is.
    pub path: FieldPath,
    /// What kind of number it is.
    pub scheme: Arc<str>,
    /// Whether it is the main subject's.
    pub role: IdentifierRole,
}

/// What is known of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldInfo {
    /// Its own sensitivity; items of an array have the array's.
    pub sensitivity: Sensitivity,
    /// Whether it is an object or an array.
    pub structured: bool,
    /// Scheme and role word, if it identifies a person.
    identifier: Option<(Arc<str>, Arc<str>)>,
}

/// All fields of a schema, by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(BTreeMap<FieldPath, FieldInfo>);

impl Fields {
    /// Every field, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&FieldPath, &FieldInfo)> {
        self.0.iter()
    }

    /// The sensitivities of a field and of all that lies below it; `None` where the schema has no such field.
    ///
    /// What lies above does not count: an object has the highest sensitivity found inside it, and its other properties
    /// are no more sensitive for that.
    pub fn selected(&self, field: &FieldPath) -> Option<BTreeSet<Sensitivity>> {
        self.0.contains_key(field).then(|| {
            let below = self.0.iter().filter(|(path, _)| field.covers(path));
            below.map(|(_, info)| info.sensitivity).collect()
        })
    }

    /// The identifying properties, by path.
    pub fn identifiers(&self) -> Vec<IdentifierField> {
        let identifier = |(path, info): (&FieldPath, &FieldInfo)| {
            let (scheme, relation) = info.identifier.clone()?;
            let role = if &*relation == "main" { IdentifierRole::Main } else { IdentifierRole::Other };
            Some(IdentifierField { path: path.clone(), scheme, role })
        };
        self.0.iter().filter_map(identifier).collect()
    }
}

/// Walks a schema that has passed the rules. `None` where it has too many fields.
pub(super) fn walk(schema: &Value, file: &Arc<str>, problems: &Problems) -> Option<Fields> {
    let mut walk = Walk { root: schema, file, problems, fields: Fields::default() };
    if walk.below(schema, "", "", Sensitivity::Ordinary).is_err() {
        let fault = Fault::FieldCountOver { max: SCHEMA_FIELDS_MAX.to_string() };
        problems.add(file, Place::File, fault);
        return None;
    }
    Some(walk.fields)
}

struct Walk<'s> {
    root: &'s Value,
    file: &'s Arc<str>,
    problems: &'s Problems,
    fields: Fields,
}

/// There are more fields than [`SCHEMA_FIELDS_MAX`].
struct TooMany;

impl Walk<'_> {
    /// The fields below a place.
    fn below(&mut self, schema: &Value, path: &str, pointer: &str, inherited: Sensitivity) -> Result<(), TooMany> {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str)
            && let Some(definition) = resolve(self.root, target)
        {
            return self.below(definition, path, target.trim_start_matches('#'), inherited);
        }
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                let place = (format!("{path}/{escaped}"), format!("{pointer}/properties/{escaped}"));
                self.field(property, place, name, None)?;
            }
        }
        if let Some(items) = schema.get("items") {
            self.field(items, (format!("{path}/*"), format!("{pointer}/items")), "*", Some(inherited))?;
        }
        Ok(())
    }

    fn field(
        &mut self,
        schema: &Value,
        (path, pointer): (String, String),
        name: &str,
        inherited: Option<Sensitivity>,
    ) -> Result<(), TooMany> {
        if self.fields.0.len() >= SCHEMA_FIELDS_MAX {
            return Err(TooMany);
        }
        let addressable = FieldPath::parse(&path).ok().filter(|_| inherited.is_some() || name != "*");
        let Some(parsed) = addressable else {
            let fault = Fault::NameNotAddressable { name: name.to_owned() };
            self.problems.add(self.file, Place::Pointer(pointer), fault);
            return Ok(());
        };
        let text = |name: &str| self.annotation(schema, name).and_then(Value::as_str);
        let sensitivity = text("x-waybill-sensitivity").and_then(Sensitivity::from_word).or(inherited);
        let Some(sensitivity) = sensitivity else {
            self.problems.add(self.file, Place::Pointer(pointer), Fault::SensitivityMissing {});
            return Ok(());
        };
        let identifier = self.annotation(schema, "x-waybill-identifier");
        if identifier.is_some() && text("type") != Some("string") {
            let detail = "it is on something other than a string".to_owned();
            self.problems.add(self.file, Place::Pointer(pointer.clone()), Fault::IdentifierInvalid { detail });
        }
        let word = |name: &str| identifier?.get(name)?.as_str().map(Arc::from);
        let info = FieldInfo {
            sensitivity,
            structured: matches!(text("type"), Some("object" | "array")),
            identifier: word("scheme").zip(word("role")),
        };
        self.fields.0.insert(parsed, info);
        self.below(schema, &path, &pointer, sensitivity)
    }

    /// A keyword at a place, or else at what its `$ref` names.
    fn annotation<'v>(&'v self, schema: &'v Value, name: &str) -> Option<&'v Value> {
        let mut here = Some(schema);
        while let Some(schema) = here {
            if let Some(found) = schema.get(name) {
                return Some(found);
            }
            here = schema.get("$ref").and_then(Value::as_str).and_then(|target| resolve(self.root, target));
        }
        None
    }
}
