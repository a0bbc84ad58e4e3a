//! The schema of what a recipient gets: a record's schema, cut to the agreed fields. It says nothing about what is
//! withheld, and every projection of a valid record obeys it (a property test holds it to that).
//!
//! What [`View`](crate::domain::view::View) delivers whole keeps its schema, every keyword of it. On the way there, the
//! schema says only what survives the cut:
//! - `properties` are the agreed ones and no others; a place that leads on is an object, or an array where the path has
//!   `*`;
//! - `required` keeps an agreed property if a valid record cannot be without something to deliver in it;
//! - `maxItems` stays, since items keep their places, and so does `minItems` where no hole can stand for the array;
//! - everything else goes (`anyOf`, `oneOf`, `not`, `if`, `dependentRequired`, `dependentSchemas`, `uniqueItems`,
//!   `contains`, `minProperties`, …): it may rest on what is withheld, and would say something about it.
//!
//! A place's properties are those under its own `properties`, its `$ref` and its `allOf`; one that stands only in an
//! alternative is not in the schema. The result is complete in itself: what it refers to is copied under `$defs`.

mod bundle;

use serde_json::{Map, Value as Schema, json};

use self::bundle::{Bundle, Place};
use crate::domain::field::{FieldPath, Step};

/// Keywords that tell people about a place; they go with it.
const ANNOTATIONS: [&str; 2] = ["title", "description"];

/// A field that a schema has no place for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema has no field {field}")]
pub struct FieldNotInSchema {
    /// The field.
    pub field: FieldPath,
}

/// The view schema of `fields`. `resolve` finds the catalogue's other schemas by their `$id`.
pub fn view_schema<'s>(
    schema: &'s Schema,
    fields: &[FieldPath],
    resolve: &dyn Fn(&str) -> Option<&'s Schema>,
) -> Result<Schema, FieldNotInSchema> {
    let mut cutter = Cutter { bundle: Bundle::new(resolve) };
    let fields: Vec<&FieldPath> = fields.iter().collect();
    let root = Place { document: schema, schema };
    let mut view = Map::new();
    view.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    view.extend(cutter.part(&[root], &fields, 0)?.schema);
    // Nothing can be delivered of a record that is no object, so the empty object is what is sent.
    view.insert("type".to_owned(), json!("object"));
    let definitions = cutter.bundle.finish().ok_or_else(|| missing(&fields))?;
    if !definitions.is_empty() {
        view.insert("$defs".to_owned(), definitions.into());
    }
    Ok(view.into())
}

/// No single field is at fault where a definition is missing; the first stands for all.
fn missing(fields: &[&FieldPath]) -> FieldNotInSchema {
    let field = fields.first().map_or_else(
        || FieldPath::parse("/").expect("the path of the property with the empty name is a path"),
        |field| (*field).clone(),
    );
    FieldNotInSchema { field }
}

struct Cutter<'s, 'r> {
    bundle: Bundle<'s, 'r>,
}

/// The schema of a place on the way, and whether every valid record has something to deliver there.
struct Part {
    schema: Map<String, Schema>,
    certain: bool,
}

/// The schema of a property or of items, whichever way it ends.
struct Child {
    schema: Schema,
    certain: bool,
}

impl<'s> Cutter<'s, '_> {
    /// Cuts the place that obeys all of `places` to what `fields` select, whose first `depth` steps lead here.
    fn part(&mut self, places: &[Place<'s>], fields: &[&FieldPath], depth: usize) -> Result<Part, FieldNotInSchema> {
        let places = self.bundle.conjuncts(places).ok_or_else(|| missing(fields))?;
        let mut part = Part { schema: Map::new(), certain: false };
        for annotation in ANNOTATIONS {
            if let Some(text) = places.iter().find_map(|place| place.schema.get(annotation)) {
                part.schema.insert(annotation.to_owned(), text.clone());
            }
        }
        let (items, properties): (Vec<_>, Vec<_>) =
            fields.iter().copied().partition(|field| field.steps()[depth] == Step::AnyItem);
        let kinds = match (properties.is_empty(), items.is_empty()) {
            (_, true) => json!("object"),
            (true, false) => json!("array"),
            (false, false) => json!(["object", "array"]),
        };
        part.schema.insert("type".to_owned(), kinds);
        if !properties.is_empty() || items.is_empty() {
            self.properties(&mut part, &places, &properties, depth)?;
        }
        if !items.is_empty() {
            self.items(&mut part, &places, &items, depth)?;
        }
        Ok(part)
    }

    fn properties(
        &mut self,
        part: &mut Part,
        places: &[Place<'s>],
        fields: &[&FieldPath],
        depth: usize,
    ) -> Result<(), FieldNotInSchema> {
        let mut fields = fields.to_vec();
        fields.sort_unstable_by_key(|field| field.steps());
        let is_object = places.iter().any(|place| place.schema.get("type") == Some(&json!("object")));
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for group in fields.chunk_by(|a, b| a.steps()[depth] == b.steps()[depth]) {
            let Step::Property(name) = &group[0].steps()[depth] else { continue };
            let below: Vec<_> = places.iter().filter_map(|place| place.below("properties", Some(name))).collect();
            let child = self.child(&below, group, depth + 1)?;
            let demanded = places.iter().any(|place| place.requires(name));
            if is_object && demanded && child.certain {
                required.push(Schema::from(&**name));
            }
            properties.insert(name.to_string(), child.schema);
        }
        part.certain |= !required.is_empty();
        part.schema.insert("properties".to_owned(), properties.into());
        if !required.is_empty() {
            part.schema.insert("required".to_owned(), required.into());
        }
        part.schema.insert("additionalProperties".to_owned(), json!(false));
        Ok(())
    }

    fn items(
        &mut self,
        part: &mut Part,
        places: &[Place<'s>],
        fields: &[&FieldPath],
        depth: usize,
    ) -> Result<(), FieldNotInSchema> {
        let by_position = places.iter().any(|place| place.schema.get("prefixItems").is_some());
        if by_position {
            return Err(missing(fields));
        }
        let below: Vec<_> = places.iter().filter_map(|place| place.below("items", None)).collect();
        let child = self.child(&below, fields, depth + 1)?;
        let bound = |keyword: &'static str| places.iter().filter_map(move |place| place.schema.get(keyword)?.as_u64());
        let least = bound("minItems").max().filter(|least| *least > 0);
        let is_array = places.iter().any(|place| place.schema.get("type") == Some(&json!("array")));
        let certain = is_array && child.certain && least.is_some();
        part.certain |= certain;
        part.schema.insert("items".to_owned(), child.schema);
        // Where an array can be without anything to deliver, an empty one may stand for it.
        for (keyword, bound) in [("minItems", least.filter(|_| certain)), ("maxItems", bound("maxItems").min())] {
            if let Some(bound) = bound {
                part.schema.insert(keyword.to_owned(), bound.into());
            }
        }
        Ok(())
    }

    /// The schema of what lies below: whole where a field ends here, else cut further.
    fn child(&mut self, below: &[Place<'s>], fields: &[&FieldPath], depth: usize) -> Result<Child, FieldNotInSchema> {
        if below.is_empty() {
            return Err(missing(fields));
        }
        if fields.iter().all(|field| field.steps().len() > depth) {
            let part = self.part(below, fields, depth)?;
            return Ok(Child { schema: part.schema.into(), certain: part.certain });
        }
        let mut whole: Vec<Schema> = below.iter().map(|place| self.bundle.copy(*place)).collect();
        let schema = if whole.len() == 1 { whole.remove(0) } else { json!({ "allOf": whole }) };
        Ok(Child { schema, certain: true })
    }
}

#[cfg(test)]
mod tests;
