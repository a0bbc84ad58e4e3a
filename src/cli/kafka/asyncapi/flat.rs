//! A schema that stands alone: without its name and dialect, and with what it refers to in the place of each reference,
//! since in a document of many a reference is to the document, and in draft 7 it hides what stands beside it. It holds and
//! refuses the same as before.

use serde_json::{Map, Value, json};

/// Keywords that hold nothing and refuse nothing: what stands at a place is said of it, not what it refers to.
const ANNOTATIONS: [&str; 6] =
    ["title", "description", "examples", "$comment", "x-waybill-sensitivity", "x-waybill-identifier"];
/// Those that look at each other, so that two schemas that have them are two.
const OF_OBJECTS: [&str; 2] = ["properties", "additionalProperties"];

/// The schema flat. Schemas of a catalogue refer without circles.
pub(super) fn flat(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else { return schema.clone() };
    let mut definitions = Map::new();
    if let Some(named) = members.get("$defs").and_then(Value::as_object) {
        definitions.clone_from(named);
    }
    let mut members = members.clone();
    members.retain(|name, _| !matches!(name.as_str(), "$id" | "$schema" | "$defs"));
    inlined(&Value::Object(members), &definitions)
}

fn inlined(schema: &Value, definitions: &Map<String, Value>) -> Value {
    let Some(members) = schema.as_object() else { return schema.clone() };
    let inner = |value: &Value| inlined(value, definitions);
    let mut own = Map::new();
    for (name, value) in members {
        let value = match (name.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                properties.iter().map(|(name, value)| (name.clone(), inner(value))).collect()
            }
            ("allOf" | "anyOf", Value::Array(schemas)) => schemas.iter().map(inner).collect(),
            ("items" | "additionalProperties", schema) => inner(schema),
            (_, other) => other.clone(),
        };
        own.insert(name.clone(), value);
    }
    let named = members.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"));
    match named.and_then(|name| definitions.get(name)).map(inner) {
        Some(Value::Object(definition)) => {
            own.remove("$ref");
            Value::Object(both(definition, own))
        }
        _ => Value::Object(own),
    }
}

/// What obeys a definition and also what stands beside the reference to it.
fn both(mut definition: Map<String, Value>, beside: Map<String, Value>) -> Map<String, Value> {
    let has_objects = |schema: &Map<String, Value>| OF_OBJECTS.iter().any(|name| schema.contains_key(*name));
    let apart = has_objects(&definition) && has_objects(&beside);
    let mut rest = Map::new();
    for (name, value) in beside {
        let of_objects = OF_OBJECTS.contains(&name.as_str());
        let merged = match definition.get(&name) {
            _ if ANNOTATIONS.contains(&name.as_str()) => Some(value.clone()),
            _ if of_objects && apart => None,
            None => Some(value.clone()),
            Some(known) => tighter(&name, known, &value),
        };
        match merged {
            Some(merged) => definition.insert(name, merged),
            None => rest.insert(name, value),
        };
    }
    if !rest.is_empty() {
        match definition.get_mut("allOf") {
            Some(Value::Array(all)) => all.push(rest.into()),
            _ => drop(definition.insert("allOf".to_owned(), json!([rest]))),
        }
    }
    definition
}

/// One value of a keyword that says as much as both, if there is one.
fn tighter(keyword: &str, a: &Value, b: &Value) -> Option<Value> {
    let (x, y) = (a.as_i64(), b.as_i64());
    match (keyword, x, y) {
        _ if a == b => Some(a.clone()),
        ("maxLength" | "maxItems" | "maximum", Some(x), Some(y)) => Some(x.min(y).into()),
        ("minLength" | "minItems" | "minimum", Some(x), Some(y)) => Some(x.max(y).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use jsonschema::PatternOptions;

    use super::*;

    #[test]
    fn what_stands_beside_a_reference_is_said_too() {
        let schema = json!({
            "$id": "x",
            "properties": {
                "shorter": { "$ref": "#/$defs/line", "maxLength": 5, "title": "Shorter" },
                "longer": { "$ref": "#/$defs/line", "maxLength": 50, "minLength": 2 },
                "both": { "$ref": "#/$defs/line", "pattern": "^b" },
                "person": { "$ref": "#/$defs/person", "required": ["name"] },
                "closed": { "$ref": "#/$defs/person", "properties": {}, "additionalProperties": false },
                "$defs": { "const": { "$ref": "a value" } },
            },
            "$defs": {
                "line": { "type": "string", "maxLength": 9, "title": "Line", "pattern": "^a" },
                "person": {
                    "type": "object", "properties": { "name": { "$ref": "#/$defs/line" } }, "additionalProperties": false,
                },
            },
        });
        let line =
            |max: u64, title: &str| json!({ "type": "string", "maxLength": max, "title": title, "pattern": "^a" });
        let with = |mut schema: Value, name: &str, value: Value| {
            schema[name] = value;
            schema
        };
        let person = json!({
            "type": "object", "properties": { "name": line(9, "Line") }, "additionalProperties": false,
        });
        let closed = json!([{ "properties": {}, "additionalProperties": false }]);
        assert_eq!(
            flat(&schema),
            json!({
                "properties": {
                    "shorter": line(5, "Shorter"),
                    "longer": with(line(9, "Line"), "minLength", json!(2)),
                    "both": with(line(9, "Line"), "allOf", json!([{ "pattern": "^b" }])),
                    "person": with(person.clone(), "required", json!(["name"])),
                    "closed": with(person, "allOf", closed),
                    "$defs": { "const": { "$ref": "a value" } },
                },
            })
        );
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn read(path: &Path) -> Value {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    /// A schema's records, each with whether it is valid.
    fn examples(schema: &Path) -> Vec<(PathBuf, bool)> {
        let of = |kind: &str, valid: bool| {
            let found = files(&schema.with_extension("").join(kind)).into_iter();
            found.filter(|path| !path.ends_with("expected.json")).map(|path| (path, valid)).collect::<Vec<_>>()
        };
        [of("valid", true), of("invalid", false)].concat()
    }

    #[test]
    fn the_shared_schemas_hold_and_refuse_the_same_when_they_are_flat() {
        let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let folders = |folder: &PathBuf| files(folder).into_iter().filter(|path| path.is_dir()).collect::<Vec<_>>();
        let types = folders(&schemas).iter().flat_map(folders).collect::<Vec<_>>();
        let versions = types.iter().flat_map(|folder| files(folder)).filter(|path| path.is_file());
        let mut told = (0, 0);
        for version in versions {
            let options = jsonschema::draft7::options().with_pattern_options(PatternOptions::regex());
            let validator = options.build(&flat(&read(&version))).unwrap();
            for (path, valid) in examples(&version) {
                assert_eq!(validator.is_valid(&read(&path)), valid, "{}", path.display());
                *(if valid { &mut told.0 } else { &mut told.1 }) += 1;
            }
        }
        assert!(told.0 > 20 && told.1 > 20, "{told:?}");
    }
}
