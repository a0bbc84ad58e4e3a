//! Tests of view schemas: what stays and what goes, and that every projection of a valid record obeys its view schema.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::{
    catalogue::validator::RecordValidator,
    domain::{
        arbitrary,
        view::{Projection, View},
    },
};

fn paths(fields: &[&str]) -> Vec<FieldPath> {
    fields.iter().map(|field| FieldPath::parse(field).unwrap()).collect()
}

fn cut(schema: &Json, fields: &[&str]) -> Json {
    let mut view = view_schema(schema, &paths(fields), &|_| None).unwrap();
    assert_eq!(view["$schema"], "https://json-schema.org/draft/2020-12/schema");
    view.as_object_mut().unwrap().remove("$schema");
    view
}

fn refused(schema: &Json, field: &str) {
    let error = view_schema(schema, &paths(&[field]), &|_| None).unwrap_err();
    assert_eq!(error, FieldNotInSchema { field: FieldPath::parse(field).unwrap() });
}

#[test]
fn a_view_has_the_agreed_properties_and_what_is_required_of_them() {
    let schema = json!({
        "title": "Person",
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 9, "x-waybill-sensitivity": "ordinary"},
            "tax": {"title": "Tax", "type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]},
            "kind": {"enum": ["x"]},
        },
        "required": ["kind", "name", "tax"],
        "additionalProperties": false,
        "if": {"properties": {"kind": {"const": "x"}}},
        "then": {"required": ["tax"]},
        "anyOf": [{"required": ["kind"]}, {"required": ["name"]}],
        "minProperties": 3,
    });
    assert_eq!(
        cut(&schema, &["/name", "/tax/b"]),
        json!({
            "title": "Person",
            "type": "object",
            "properties": {
                "name": {"type": "string", "maxLength": 9, "x-waybill-sensitivity": "ordinary"},
                "tax": {"title": "Tax", "type": "object", "properties": {"b": {}}, "additionalProperties": false},
            },
            "required": ["name"],
            "additionalProperties": false,
        })
    );
    assert_eq!(cut(&schema, &["/tax/a"])["required"], json!(["tax"]));
}

#[test]
fn items_keep_their_places_and_so_the_array_its_bounds() {
    let schema = json!({"type": "object", "required": ["names"], "properties": {"names": {
        "type": "array", "minItems": 1, "maxItems": 4, "uniqueItems": true, "contains": {"required": ["family"]},
        "items": {"type": "object", "required": ["given"], "properties": {"given": {"minLength": 1}, "family": {}}},
    }}});
    assert_eq!(
        cut(&schema, &["/names/*/given"]),
        json!({"type": "object", "required": ["names"], "additionalProperties": false, "properties": {"names": {
            "type": "array", "minItems": 1, "maxItems": 4,
            "items": {"type": "object", "required": ["given"], "additionalProperties": false,
                "properties": {"given": {"minLength": 1}}},
        }}})
    );
    // Whole items keep every keyword of theirs; whole arrays keep their own too.
    assert_eq!(cut(&schema, &["/names"])["properties"]["names"], schema["properties"]["names"]);
}

#[test]
fn references_are_followed_on_the_way_and_copied_at_the_end() {
    let other = json!({
        "$id": "https://waybill.invalid/other",
        "$defs": {"line": {"maxLength": 3}, "code": {"anyOf": [{"$ref": "#/$defs/line"}, {"type": "null"}]}},
    });
    let schema = json!({
        "$id": "https://waybill.invalid/this",
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a", "description": "An a."}},
        "$defs": {
            "a": {"type": "object", "properties": {
                "line": {"$ref": "#/$defs/line", "maxLength": 5},
                "code": {"$ref": "https://waybill.invalid/other#/$defs/code"},
                "more": {"items": {"$ref": "#/$defs/a"}},
            }},
            "line": {"type": "string"},
            "unused": {},
        },
    });
    let resolve = |id: &str| (id == "https://waybill.invalid/other").then_some(&other);
    let view = view_schema(&schema, &paths(&["/a/line", "/a/code", "/a/more"]), &resolve).unwrap();
    assert_eq!(view["properties"]["a"]["description"], "An a.");
    assert_eq!(view["properties"]["a"]["properties"]["line"], json!({"$ref": "#/$defs/line", "maxLength": 5}));
    assert_eq!(view["properties"]["a"]["properties"]["code"], json!({"$ref": "#/$defs/code"}));
    assert_eq!(view["$defs"]["line"], json!({"type": "string"}));
    assert_eq!(view["$defs"]["code"], json!({"anyOf": [{"$ref": "#/$defs/line-2"}, {"type": "null"}]}));
    assert_eq!(view["$defs"]["line-2"], json!({"maxLength": 3}));
    let mut whole = schema["$defs"]["a"].clone();
    whole["properties"]["code"] = json!({"$ref": "#/$defs/code"});
    assert_eq!(view["$defs"]["a"], whole);
    assert_eq!(view["$defs"].as_object().unwrap().len(), 4);
    RecordValidator::compile(&view, []).expect("the view is complete in itself");
}

#[test]
fn references_are_followed_so_far() {
    let chained = |count: usize| {
        let next = |step: usize| json!({"$ref": format!("#/$defs/c{step}")});
        let mut schema = next(1);
        for step in 1..count {
            schema["$defs"][format!("c{step}")] = next(step + 1);
        }
        schema["$defs"][format!("c{count}")] = json!({"properties": {"a": {"type": "boolean"}}});
        schema
    };
    assert_eq!(cut(&chained(63), &["/a"])["properties"], json!({"a": {"type": "boolean"}}));
    refused(&chained(64), "/a");
}

#[test]
fn a_field_that_the_schema_lacks_is_refused() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "object", "properties": {"b": {"type": "string"}}},
        "tuple": {"prefixItems": [{}], "items": {}},
        "broken": {"$ref": "#/$defs/none"},
        "circle": {"$ref": "#/properties/circle"},
        "map": {"additionalProperties": {}},
    }, "oneOf": [{"properties": {"only-here": {}}}, {}]});
    for field in [
        "/b",
        "/a/c",
        "/a/b/c",
        "/a/*",
        "/tuple/*",
        "/broken/x",
        "/circle/x",
        "/map/x",
        "/only-here",
        "/a/title",
        "/properties",
    ] {
        refused(&schema, field);
    }
    refused(&schema, "/broken");
}

#[test]
fn a_withheld_property_does_not_obey_the_view() {
    let schema = json!({"type": "object", "properties": {"a": {}, "b": {}}});
    let view = RecordValidator::compile(&cut(&schema, &["/a"]), []).unwrap();
    assert!(view.is_valid(&arbitrary::value(&json!({"a": 1}))));
    assert!(!view.is_valid(&arbitrary::value(&json!({"a": 1, "b": 1}))));
}

/// A schema as the catalogue has them, in the terms from which a valid record can be made.
#[derive(Debug, Clone)]
enum Shape {
    Text,
    Number,
    Array { item: Box<Shape>, least: usize, or_null: bool },
    Object { properties: Vec<(String, Shape, bool)>, or_null: bool, by_reference: bool },
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![Just(Shape::Text), Just(Shape::Number)].prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            1 => (inner.clone(), 0..3_usize, any::<bool>())
                .prop_map(|(item, least, or_null)| Shape::Array { item: Box::new(item), least, or_null }),
            2 => (prop::collection::btree_map("[a-d]", (inner, any::<bool>()), 1..5), any::<bool>(), any::<bool>()).prop_map(
                |(properties, or_null, by_reference)| Shape::Object {
                    properties: properties.into_iter().map(|(name, (shape, must))| (name, shape, must)).collect(),
                    or_null,
                    by_reference,
                }
            ),
        ]
    })
}

fn root() -> impl Strategy<Value = Shape> {
    prop::collection::btree_map("[a-d]", (shape(), any::<bool>()), 1..5).prop_map(|properties| Shape::Object {
        properties: properties.into_iter().map(|(name, (shape, must))| (name, shape, must)).collect(),
        or_null: false,
        by_reference: false,
    })
}

/// Never, or now and then.
fn sometimes(may: bool) -> impl Strategy<Value = bool> {
    (0..3).prop_map(move |n| may && n == 0)
}

impl Shape {
    fn schema(&self, definitions: &mut Map<String, Json>) -> Json {
        match self {
            Self::Text => json!({"type": "string", "maxLength": 3}),
            Self::Number => json!({"type": "integer", "minimum": 0}),
            Self::Array { item, least, or_null } => json!({
                "type": if *or_null { json!(["array", "null"]) } else { json!("array") },
                "items": item.schema(definitions), "minItems": least, "maxItems": least + 2,
            }),
            Self::Object { properties, or_null, by_reference } => {
                let required: Vec<_> = properties.iter().filter(|(.., must)| *must).map(|(name, ..)| name).collect();
                let mut schema = json!({
                    "type": if *or_null { json!(["object", "null"]) } else { json!("object") },
                    "required": required, "additionalProperties": false, "minProperties": required.len(),
                });
                let schemas: Map<_, _> =
                    properties.iter().map(|(name, shape, _)| (name.clone(), shape.schema(definitions))).collect();
                schema["properties"] = schemas.into();
                if !by_reference {
                    return schema;
                }
                let name = format!("d{}", definitions.len());
                definitions.insert(name.clone(), schema);
                json!({"allOf": [{"$ref": format!("#/$defs/{name}")}], "title": "By reference"})
            }
        }
    }

    fn record(&self) -> BoxedStrategy<Json> {
        match self {
            Self::Text => "[a-z]{0,3}".prop_map(Json::from).boxed(),
            Self::Number => (0..9).prop_map(Json::from).boxed(),
            Self::Array { item, least, or_null } => {
                (sometimes(*or_null), prop::collection::vec(item.record(), *least..=least + 2))
                    .prop_map(|(is_null, items)| if is_null { Json::Null } else { items.into() })
                    .boxed()
            }
            Self::Object { properties, or_null, .. } => {
                let members: Vec<_> = properties
                    .iter()
                    .map(|(name, shape, must)| (sometimes(!*must), Just(name.clone()), shape.record()))
                    .collect();
                (sometimes(*or_null), members)
                    .prop_map(|(is_null, members)| {
                        let present = members.into_iter().filter(|(is_absent, ..)| !is_absent);
                        let object = present.map(|(_, name, value)| (name, value)).collect();
                        if is_null { Json::Null } else { Json::Object(object) }
                    })
                    .boxed()
            }
        }
    }

    /// Every field that could be agreed.
    fn fields(&self, at: &str, found: &mut Vec<String>) {
        match self {
            Self::Text | Self::Number => {}
            Self::Array { item, .. } => {
                found.push(format!("{at}/*"));
                item.fields(&format!("{at}/*"), found);
            }
            Self::Object { properties, .. } => {
                for (name, shape, _) in properties {
                    found.push(format!("{at}/{name}"));
                    shape.fields(&format!("{at}/{name}"), found);
                }
            }
        }
    }
}

fn scene() -> impl Strategy<Value = (Json, Vec<String>, Vec<Json>)> {
    root().prop_flat_map(|shape| {
        let (mut definitions, mut fields) = (Map::new(), Vec::new());
        let mut schema = shape.schema(&mut definitions);
        schema["$defs"] = definitions.into();
        shape.fields("", &mut fields);
        let most = fields.len().min(6);
        (Just(schema), prop::sample::subsequence(fields, 1..=most), prop::collection::vec(shape.record(), 6))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_projection_of_a_valid_record_obeys_the_view_schema((schema, fields, records) in scene()) {
        let fields: Vec<_> = fields.iter().map(|field| FieldPath::parse(field).unwrap()).collect();
        let validator = RecordValidator::compile(&schema, []).unwrap();
        let view_schema = view_schema(&schema, &fields, &|_| None).unwrap();
        let view_validator = RecordValidator::compile(&view_schema, []).unwrap();
        let (view, mut out) = (View::compile(&fields), Projection::default());
        for record in records {
            let record = arbitrary::value(&record);
            prop_assert!(validator.is_valid(&record));
            view.project(&record, &mut out).unwrap();
            let delivered = arbitrary::value(&serde_json::from_str(out.text()).unwrap());
            prop_assert_eq!(view_validator.violations(&delivered, 9), [], "{} {}", out.text(), view_schema);
        }
    }
}
