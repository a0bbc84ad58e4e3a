//! Following `$ref` through the catalogue, and copying what is referred to under `$defs`. What is kept of it is decided
//! elsewhere.

use serde_json::{Map, Value as Schema};

/// Steps of `$ref` and `allOf` from one place; more is a circle.
const CONJUNCTS_MAX: usize = 64;

/// A schema within the document that its local references mean.
#[derive(Clone, Copy)]
pub struct Place<'s> {
    pub document: &'s Schema,
    pub schema: &'s Schema,
}

impl Place<'_> {
    /// The schema under a keyword, or under a name within it.
    pub fn below(self, keyword: &str, name: Option<&str>) -> Option<Self> {
        let found = self.schema.get(keyword)?;
        let schema = name.map_or(Some(found), |name| found.get(name))?;
        Some(Self { schema, ..self })
    }

    /// Whether the property must be there.
    pub fn requires(self, name: &str) -> bool {
        self.schema
            .get("required")
            .and_then(Schema::as_array)
            .is_some_and(|names| names.iter().any(|required| required == name))
    }
}

/// The definitions that the copies refer to.
pub struct Bundle<'s, 'r> {
    resolve: &'r dyn Fn(&str) -> Option<&'s Schema>,
    /// What has a name under `$defs`; from `copied` on, what still has to be copied there.
    named: Vec<(Place<'s>, String)>,
    definitions: Map<String, Schema>,
    /// A reference led nowhere.
    broken: bool,
}

impl<'s, 'r> Bundle<'s, 'r> {
    pub fn new(resolve: &'r dyn Fn(&str) -> Option<&'s Schema>) -> Self {
        Self { resolve, named: Vec::new(), definitions: Map::new(), broken: false }
    }

    /// All that a value at these places must obey: themselves, what their `$ref` leads to, their `allOf`, and so on.
    pub fn conjuncts(&self, places: &[Place<'s>]) -> Option<Vec<Place<'s>>> {
        let mut all = places.to_vec();
        let mut next = 0;
        while let Some(&place) = all.get(next) {
            if all.len() > CONJUNCTS_MAX {
                return None;
            }
            if let Some(reference) = place.schema.get("$ref") {
                all.push(self.target(place.document, reference.as_str()?)?);
            }
            if let Some(members) = place.schema.get("allOf").and_then(Schema::as_array) {
                all.extend(members.iter().map(|schema| Place { schema, ..place }));
            }
            next += 1;
        }
        Some(all)
    }

    /// Where a reference leads: `#/…` within the document, or an `$id` of the catalogue with or without such a
    /// fragment.
    fn target(&self, document: &'s Schema, reference: &str) -> Option<Place<'s>> {
        let (id, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let is_own = id.is_empty() || document.get("$id").and_then(Schema::as_str) == Some(id);
        let document = if is_own { document } else { (self.resolve)(id)? };
        Some(Place { document, schema: document.pointer(pointer)? })
    }

    /// A copy of the whole schema, its references leading to `$defs`.
    pub fn copy(&mut self, place: Place<'s>) -> Schema {
        let Schema::Object(keywords) = place.schema else { return place.schema.clone() };
        let copied = keywords.iter().filter(|(keyword, _)| !matches!(keyword.as_str(), "$id" | "$schema" | "$defs"));
        copied.map(|(keyword, value)| (keyword.clone(), self.copy_keyword(place, keyword, value))).collect()
    }

    fn copy_keyword(&mut self, place: Place<'s>, keyword: &str, value: &'s Schema) -> Schema {
        let within = |schema| Place { schema, ..place };
        match (keyword, value) {
            ("$ref", Schema::String(reference)) => self.reference(place, reference),
            ("properties" | "patternProperties" | "dependentSchemas", Schema::Object(schemas)) => {
                schemas.iter().map(|(name, schema)| (name.clone(), self.copy(within(schema)))).collect()
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Schema::Array(schemas)) => {
                schemas.iter().map(|schema| self.copy(within(schema))).collect()
            }
            (
                "items"
                | "additionalProperties"
                | "unevaluatedItems"
                | "unevaluatedProperties"
                | "propertyNames"
                | "contains"
                | "not"
                | "if"
                | "then"
                | "else",
                schema,
            ) => self.copy(within(schema)),
            // Plain data: bounds, names, constants, annotations.
            (_, data) => data.clone(),
        }
    }

    fn reference(&mut self, place: Place<'s>, reference: &str) -> Schema {
        let Some(target) = self.target(place.document, reference) else {
            self.broken = true;
            return Schema::Null;
        };
        let known = self.named.iter().find(|(known, _)| std::ptr::eq(known.schema, target.schema));
        let name = known.map(|(_, name)| name.clone());
        let name = name.unwrap_or_else(|| self.name(target, reference));
        format!("#/$defs/{}", name.replace('~', "~0").replace('/', "~1")).into()
    }

    /// A name for a definition: the last step of the reference (`record` for a whole document), numbered if another has
    /// it.
    fn name(&mut self, target: Place<'s>, reference: &str) -> String {
        let stem = reference.rsplit(['/', '#']).next().filter(|stem| !stem.is_empty()).unwrap_or("record");
        let taken = |name: &str| self.named.iter().any(|(_, known)| known == name);
        let mut name = stem.to_owned();
        let mut number = 2;
        while taken(&name) {
            name = format!("{stem}-{number}");
            number += 1;
        }
        self.named.push((target, name.clone()));
        name
    }

    /// The definitions, with all that they refer to in turn; `None` if a reference led nowhere.
    pub fn finish(mut self) -> Option<Map<String, Schema>> {
        let mut next = 0;
        while let Some((place, name)) = self.named.get(next).cloned() {
            let copy = self.copy(place);
            self.definitions.insert(name, copy);
            next += 1;
        }
        (!self.broken).then_some(self.definitions)
    }
}
