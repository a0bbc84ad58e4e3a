//! That every published schema keeps the rules of `schemas/README.md`, holds its valid examples, and refuses each
//! invalid one for the one fault that it was made for.

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

const TYPES: [&str; 8] = [
    "identity/person",
    "identity/address",
    "identity/contact",
    "identity/civil-status",
    "tax/income-statement",
    "tax/residency",
    "benefit/claim",
    "benefit/award",
];

struct Schema {
    /// `<domain>/<name>/<major>.<minor>`.
    name: String,
    /// Where the examples are.
    folder: PathBuf,
    body: Value,
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn schemas() -> Vec<Schema> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let files = WalkDir::new(&root).min_depth(3).max_depth(3).sort_by_file_name();
    let files = files.into_iter().map(|entry| entry.unwrap().into_path()).filter(|path| path.is_file());
    let schema = |path: PathBuf| {
        let folder = path.with_extension("");
        let name = folder.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        Schema { name, folder, body: read(&path) }
    };
    files.map(schema).collect()
}

fn compiled(schema: &Schema) -> Validator {
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    options.build(&schema.body).unwrap_or_else(|e| panic!("{}: {e}", schema.name))
}

fn examples(schema: &Schema, kind: &str) -> BTreeMap<String, Value> {
    let files = WalkDir::new(schema.folder.join(kind)).min_depth(1).into_iter().map(|entry| entry.unwrap().into_path());
    let examples = files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), read(&path)));
    examples.filter(|(name, _)| name != "expected.json").collect()
}

fn faults(validator: &Validator, record: &Value) -> Vec<(String, String)> {
    let place = |e: jsonschema::ValidationError<'_>| (e.instance_path().to_string(), e.kind().keyword().to_owned());
    validator.iter_errors(record).map(place).collect()
}

#[test]
fn the_shared_record_types_are_there() {
    let names: BTreeSet<_> = schemas().into_iter().map(|schema| schema.name).collect();
    for name in TYPES {
        assert!(names.contains(&format!("{name}/1.0")), "{name}");
    }
}

#[test]
fn every_valid_example_is_valid() {
    for schema in schemas() {
        let (validator, examples) = (compiled(&schema), examples(&schema, "valid"));
        assert!(examples.len() >= 3 && examples.contains_key("typical.json"), "{}: too few examples", schema.name);
        for (file, record) in examples {
            assert_eq!(faults(&validator, &record), [], "{}/valid/{file}", schema.name);
        }
    }
}

#[test]
fn every_invalid_example_has_the_one_fault_that_it_was_made_for() {
    for schema in schemas() {
        let (validator, examples) = (compiled(&schema), examples(&schema, "invalid"));
        let expected = read(&schema.folder.join("invalid/expected.json"));
        assert!(examples.len() >= 3, "{}: too few invalid examples", schema.name);
        let listed: BTreeSet<_> = expected.as_object().unwrap().keys().collect();
        assert_eq!(examples.keys().collect::<BTreeSet<_>>(), listed, "{}/invalid/expected.json", schema.name);
        for (file, record) in &examples {
            let text = |property: &str| expected[file][property].as_str().unwrap().to_owned();
            let fault = (text("pointer"), text("keyword"));
            assert_eq!(faults(&validator, record), [fault], "{}/invalid/{file}", schema.name);
        }
    }
}

#[test]
fn the_typical_income_statement_is_the_two_kilobytes_of_thirty_fields_that_are_measured() {
    let schemas = schemas();
    let schema = schemas.iter().find(|schema| schema.name == "tax/income-statement/1.0").unwrap();
    let record = &examples(schema, "valid")["typical.json"];
    assert_eq!(leaves(record), 30);
    assert!((1950..=2150).contains(&record.to_string().len()));
}

fn leaves(value: &Value) -> usize {
    match value {
        Value::Object(members) => members.values().map(leaves).sum(),
        Value::Array(items) => items.iter().map(leaves).sum(),
        _ => 1,
    }
}

#[test]
fn a_definition_of_one_name_reads_the_same_in_every_schema() {
    let mut seen: BTreeMap<String, (String, Value)> = BTreeMap::new();
    for schema in schemas() {
        for (name, body) in schema.body["$defs"].as_object().unwrap() {
            let (first, same) = seen.entry(name.clone()).or_insert_with(|| (schema.name.clone(), body.clone()));
            assert_eq!(same, body, "$defs/{name} in {first} and {}", schema.name);
        }
    }
}

#[test]
fn every_schema_keeps_the_rules() {
    for schema in schemas() {
        let id = format!("https://waybill.invalid/schemas/{}", schema.name);
        assert_eq!(schema.body["$id"], id.as_str());
        assert_eq!(schema.body["$schema"], "https://json-schema.org/draft/2020-12/schema");
        jsonschema::meta::validate(&schema.body).unwrap_or_else(|e| panic!("{id}: {e}"));
        let mut rules = Rules { schema: &schema, mains: Vec::new(), used: BTreeSet::new() };
        rules.node(&schema.body, "", &mut Vec::new());
        let schemes: BTreeSet<_> = rules.mains.iter().map(|(_, scheme)| scheme).collect();
        assert!(!schemes.is_empty() && schemes.len() == rules.mains.len(), "{id}: one place for each main scheme");
        for (pointer, _) in &rules.mains {
            assert!(pointer.starts_with("/subject/"), "{id}{pointer}: role main outside /subject");
        }
        let defined: BTreeSet<_> = schema.body["$defs"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(defined, rules.used, "{id}: definitions and their uses");
    }
}

const KEYWORDS: [&str; 19] = [
    "title",
    "description",
    "x-waybill-sensitivity",
    "x-waybill-identifier",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "maxItems",
    "enum",
    "const",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "anyOf",
    "$ref",
];
const SENSITIVITIES: [&str; 4] = ["ordinary", "sensitive", "special", "criminal"];
const SCHEMES: [&str; 4] = ["national-number", "tax-number", "eidas", "case-number"];
const ROLES: [&str; 5] = ["main", "spouse", "child", "guardian", "household-member"];
/// 2^53 - 1: what every JSON reader keeps as written.
const SAFE: i64 = 9_007_199_254_740_991;

/// A walk along the instance, definitions followed, as minimisation does it.
struct Rules<'a> {
    schema: &'a Schema,
    /// Instance pointer and scheme of each identifier of the main subject.
    mains: Vec<(String, String)>,
    used: BTreeSet<String>,
}

impl Rules<'_> {
    /// Checks a subschema and what is below; returns the highest sensitivity found below.
    fn node(&mut self, node: &Value, at: &str, open: &mut Vec<String>) -> usize {
        let place = format!("{} at '{at}'", self.schema.name);
        let node = node.as_object().unwrap_or_else(|| panic!("{place}: not an object"));
        for keyword in node.keys() {
            let at_root = at.is_empty() && ["$schema", "$id", "$defs"].contains(&keyword.as_str());
            assert!(at_root || KEYWORDS.contains(&keyword.as_str()), "{place}: keyword {keyword}");
        }
        let below = match node.get("$ref") {
            Some(target) => self.definition(target.as_str().unwrap(), at, open),
            None => 0,
        };
        match node.get("type").map(|kind| kind.as_str().unwrap_or_else(|| panic!("{place}: one type"))) {
            Some("object") => self.object(node, at, &place, open),
            Some("array") => {
                assert!(node["maxItems"].is_u64(), "{place}: maxItems");
                self.node(&node["items"], &format!("{at}/*"), open)
            }
            Some("string") => {
                assert!(node.contains_key("enum") || node["maxLength"].is_u64(), "{place}: maxLength");
                if let Some(pattern) = node.get("pattern").and_then(Value::as_str) {
                    assert!(pattern.starts_with('^') && pattern.ends_with('$'), "{place}: pattern not anchored");
                    assert!(!pattern.contains("\\p"), "{place}: pattern with \\p");
                }
                0
            }
            Some("integer") => {
                let bound = |name: &str| node[name].as_i64().unwrap_or_else(|| panic!("{place}: {name}"));
                assert!(-SAFE <= bound("minimum") && bound("maximum") <= SAFE, "{place}: bounds");
                0
            }
            Some("boolean") => 0,
            None if node.contains_key("$ref") => below,
            other => panic!("{place}: type {other:?}"),
        }
    }

    fn definition(&mut self, target: &str, at: &str, open: &mut Vec<String>) -> usize {
        let name = target.strip_prefix("#/$defs/").unwrap_or_else(|| panic!("{target} leads out of the file"));
        assert!(!open.iter().any(|n| n == name), "{}: {name} refers back to itself", self.schema.name);
        self.used.insert(name.to_owned());
        let schema = self.schema;
        let body = &schema.body["$defs"][name];
        self.words(body, name);
        open.push(name.to_owned());
        let below = self.node(body, at, open);
        open.pop();
        below
    }

    fn object(&mut self, node: &Map<String, Value>, at: &str, place: &str, open: &mut Vec<String>) -> usize {
        assert_eq!(node["additionalProperties"], false, "{place}: open");
        let properties = node["properties"].as_object().unwrap();
        let branches = node.get("anyOf").and_then(Value::as_array).into_iter().flatten();
        let branches = branches.inspect(|b| assert_eq!(b.as_object().unwrap().len(), 1, "{place}: anyOf of required"));
        let required = node.get("required").into_iter().chain(branches.map(|branch| &branch["required"]));
        for name in required.flat_map(|names| names.as_array().unwrap()) {
            assert!(properties.contains_key(name.as_str().unwrap()), "{place}: required {name}");
        }
        properties.iter().map(|(name, property)| self.property(property, &format!("{at}/{name}"), open)).max().unwrap()
    }

    fn property(&mut self, property: &Value, at: &str, open: &mut Vec<String>) -> usize {
        self.words(property, at);
        let below = self.node(property, at, open);
        let own = property["x-waybill-sensitivity"].as_str();
        let own = own.and_then(|own| SENSITIVITIES.iter().position(|s| *s == own));
        let own = own.unwrap_or_else(|| panic!("{} at '{at}': sensitivity", self.schema.name));
        let place = format!("{} at '{at}'", self.schema.name);
        assert!(own >= below, "{place}: less sensitive than what it holds");
        if let Some(identifier) = property.get("x-waybill-identifier") {
            let word = |name: &str| identifier[name].as_str().unwrap_or_else(|| panic!("{place}: {name}"));
            assert!(SCHEMES.contains(&word("scheme")) && ROLES.contains(&word("role")), "{place}: identifier");
            if word("role") == "main" {
                self.mains.push((at.to_owned(), word("scheme").to_owned()));
            }
        }
        own
    }

    fn words(&self, node: &Value, at: &str) {
        for word in ["title", "description"] {
            assert!(node[word].as_str().is_some_and(|w| !w.is_empty()), "{}: {at}: {word}", self.schema.name);
        }
    }
}
