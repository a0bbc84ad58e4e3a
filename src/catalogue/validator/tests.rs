//! Tests of the validator: that it decides as jsonschema does on serde_json, what it tells of faults, what it refuses
//! to compile.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::domain::arbitrary;

fn compiled(schema: &Json) -> RecordValidator {
    RecordValidator::compile(schema, []).expect("the schema compiles")
}

fn faults(schema: &Json, record: &Json) -> Vec<(String, &'static str)> {
    let (validator, record) = (compiled(schema), arbitrary::value(record));
    let faults = validator.violations(&record, 100);
    assert_eq!(validator.is_valid(&record), faults.is_empty());
    faults.into_iter().map(|fault| (fault.pointer, fault.keyword)).collect()
}

fn fault(pointer: &str, keyword: &'static str) -> (String, &'static str) {
    (pointer.to_owned(), keyword)
}

#[test]
fn each_fault_is_told_by_place_and_keyword() {
    let schema = json!({
        "type": "object",
        "properties": {
            "names": {"type": "array", "items": {"type": "string", "maxLength": 3}, "uniqueItems": true},
            "kind": {"enum": ["a", {"b": [1]}]},
            "year": {"type": "integer", "minimum": 1900, "multipleOf": 2},
        },
        "required": ["kind"],
        "additionalProperties": false,
    });
    assert_eq!(faults(&schema, &json!({"kind": {"b": [1]}, "year": 1900, "names": ["a", "b"]})), []);
    assert_eq!(faults(&schema, &json!({})), [fault("/kind", "required")]);
    assert_eq!(faults(&schema, &json!({"kind": "c"})), [fault("/kind", "enum")]);
    assert_eq!(
        faults(&schema, &json!({"kind": "a", "names": ["ok", "long", 1]})),
        [fault("/names/1", "maxLength"), fault("/names/2", "type"),]
    );
    assert_eq!(faults(&schema, &json!({"kind": "a", "names": ["x", "y", "x"]})), [fault("/names", "uniqueItems")]);
    assert_eq!(
        faults(&schema, &json!({"kind": "a", "year": 1899})),
        [fault("/year", "minimum"), fault("/year", "multipleOf"),]
    );
    assert_eq!(faults(&schema, &json!({"kind": "a", "19880412": 1})), [fault("", "additionalProperties")]);
}

#[test]
fn a_name_that_the_schema_lacks_is_masked_even_one_that_looks_like_an_index() {
    let schema = json!({
        "properties": {"known": {"items": {"type": "string"}}},
        "additionalProperties": {"properties": {"a/b": {"type": "string"}}},
    });
    assert_eq!(faults(&schema, &json!({"ZZ-1234": {"a/b": 1}})), [fault("/*unknown*/a~1b", "type")]);
    assert_eq!(faults(&schema, &json!({"19880412": {"a/b": 1}})), [fault("/*unknown*/a~1b", "type")]);
    assert_eq!(faults(&schema, &json!({"known": ["x", 1]})), [fault("/known/1", "type")]);
}

#[test]
fn what_is_required_and_missing_is_named_if_the_schema_has_such_a_property() {
    let schema = json!({
        "properties": {
            "a/b": {"type": "string"},
            "inner": {"properties": {"x": {}, "y": {}}, "required": ["x", "y"]},
        },
        "required": ["a/b", "nowhere"],
        "additionalProperties": {"required": ["inner"]},
    });
    let both = [fault("/a~1b", "required"), fault("", "required")];
    assert_eq!(faults(&schema, &json!({})), both, "a name that stands under no `properties` is not told");
    let some = json!({"a/b": "", "nowhere": {"inner": 1}, "inner": {"y": 1}, "19880412": {}});
    let told = faults(&schema, &some);
    assert_eq!(told.len(), 2);
    assert!(told.contains(&fault("/inner/x", "required")), "{told:?}");
    assert!(told.contains(&fault("/*unknown*/inner", "required")), "{told:?}");
}

#[test]
fn faults_are_cut_at_the_cap() {
    let (validator, record) = (compiled(&json!({"items": {"type": "string"}})), arbitrary::value(&json!(vec![1; 50])));
    assert_eq!(validator.violations(&record, 49).len(), 49);
    assert_eq!(validator.violations(&record, 50).len(), 50);
    assert_eq!(validator.violations(&record, 51).len(), 50);
}

#[test]
fn the_errors_of_the_library_hold_no_value_of_the_record() {
    const CANARY: &str = "Canary-4711";
    let schema = json!({"properties": {
        "a": {"enum": ["x"]}, "b": {"const": 1}, "c": {"pattern": "^x"}, "d": {"maxLength": 1}, "e": {"type": "integer"},
        "f": {"anyOf": [{"type": "null"}, {"minLength": 99}]}, "g": {"not": {}}, "h": {"format": "date"},
        "i": {"contains": {"type": "null"}}, "j": {"uniqueItems": true}, "k": false, "l": {"oneOf": [{}, {}]},
    }});
    let mut record = json!({});
    for name in "abcdefghkl".chars() {
        record[name.to_string()] = json!(CANARY);
    }
    record["i"] = json!([CANARY]);
    record["j"] = json!([CANARY, CANARY]);
    let record = arbitrary::value(&record);
    let validator = compiled(&schema);
    let errors: Vec<_> = validator.validator.iter_errors(&record).collect();
    assert_eq!(errors.len(), 12);
    assert!(!format!("{errors:?}").contains(CANARY));
    assert!(!errors.iter().any(|error| error.to_string().contains(CANARY)));
}

#[test]
fn a_reference_leads_to_the_catalogue_or_nowhere() {
    let other = json!({"$id": "https://waybill.invalid/other", "$defs": {"code": {"type": "string", "maxLength": 2}}});
    let schema = json!({"properties": {"code": {"$ref": "https://waybill.invalid/other#/$defs/code"}}});
    let validator = RecordValidator::compile(&schema, [("https://waybill.invalid/other", &other)]).unwrap();
    assert!(validator.is_valid(&arbitrary::value(&json!({"code": "ab"}))));
    assert!(!validator.is_valid(&arbitrary::value(&json!({"code": "abc"}))));
    for nowhere in ["https://waybill.invalid/elsewhere", "http://127.0.0.1:9/x", "file:///etc/hostname", "#/$defs/none"]
    {
        assert!(RecordValidator::compile(&json!({"$ref": nowhere}), []).is_err(), "{nowhere}");
    }
}

#[test]
fn what_could_cost_without_bound_or_would_not_be_checked_does_not_compile() {
    for (schema, why) in [
        (json!({"pattern": "^(?=a)a"}), "a look-ahead needs a backtracking engine"),
        (json!({"pattern": "(a)\\1"}), "so does a back-reference"),
        (json!({"pattern": "("}), "no pattern at all"),
        (json!({"format": "telephone"}), "an unknown format is never checked"),
        (json!({"type": "text"}), "no such type"),
        (json!({"minLength": -1}), "against the meta-schema"),
    ] {
        assert!(RecordValidator::compile(&schema, []).is_err(), "{why}");
    }
    let error = RecordValidator::compile(&json!({"properties": {"a": {"type": "text"}}}), []).unwrap_err();
    assert_eq!(error.pointer, "/properties/a/type");
}

#[test]
fn one_validator_serves_all_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&compiled(&json!({})));
}

#[test]
fn formats_are_asserted() {
    let schema = json!({"properties": {"day": {"format": "date"}, "mail": {"format": "email"}}});
    assert_eq!(faults(&schema, &json!({"day": "2024-02-29", "mail": "a@b.example"})), []);
    assert_eq!(faults(&schema, &json!({"day": "2023-02-29"})), [fault("/day", "format")]);
    assert_eq!(faults(&schema, &json!({"mail": "nobody"})), [fault("/mail", "format")]);
}

/// Schemas of every keyword that a record can break, over the names of [`arbitrary::json`].
fn schema() -> impl Strategy<Value = Json> {
    let number = -3_i64..3;
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "boolean", "integer", "number", "string", "array", "object"])
            .prop_map(|name| json!({"type": name})),
        arbitrary::json().prop_map(|value| json!({"const": value})),
        prop::collection::vec(arbitrary::scalar(), 1..4).prop_map(|values| json!({"enum": values})),
        (number.clone(), number.clone()).prop_map(|(a, b)| json!({"minimum": a, "exclusiveMaximum": b})),
        number.prop_map(|n| json!({"multipleOf": n.abs() + 1})),
        (0..3, 0..5).prop_map(|(a, b)| json!({"minLength": a, "maxLength": b})),
        (0..3, 0..5).prop_map(|(a, b)| json!({"minItems": a, "maxItems": b, "uniqueItems": true})),
        (0..3, 0..5).prop_map(|(a, b)| json!({"minProperties": a, "maxProperties": b})),
        prop::sample::select(vec!["^[a-c]*$", "a", "\\s", "é"]).prop_map(|pattern| json!({"pattern": pattern})),
        prop::collection::vec(arbitrary::name(), 1..4).prop_map(|mut names| {
            names.sort();
            names.dedup();
            json!({"required": names})
        }),
        any::<bool>().prop_map(Json::Bool),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let some = || prop::collection::vec(inner.clone(), 1..4);
        let properties = || prop::collection::btree_map(arbitrary::name(), inner.clone(), 0..20);
        prop_oneof![
            3 => properties().prop_map(|schemas| json!({"properties": schemas})),
            2 => properties().prop_map(|schemas| json!({"properties": schemas, "additionalProperties": false})),
            2 => (properties(), arbitrary::name()).prop_map(|(schemas, name)| json!(
                {"properties": schemas, "additionalProperties": false, "required": [name]}
            )),
            1 => (properties(), inner.clone()).prop_map(|(a, b)| json!({"properties": a, "additionalProperties": b})),
            2 => inner.clone().prop_map(|schema| json!({"items": schema})),
            1 => inner.clone().prop_map(|schema| json!({"contains": schema})),
            1 => inner.clone().prop_map(|schema| json!({"propertyNames": schema})),
            1 => inner.clone().prop_map(|schema| json!({"not": schema})),
            1 => some().prop_map(|schemas| json!({"anyOf": schemas})),
            1 => some().prop_map(|schemas| json!({"oneOf": schemas})),
            1 => some().prop_map(|schemas| json!({"allOf": schemas, "unevaluatedProperties": false})),
            1 => (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| json!({"if": a, "then": b, "else": c})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_record_is_judged_as_jsonschema_judges_it_on_serde_json(schema in schema(), record in arbitrary::json()) {
        let reference = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .unwrap();
        let (validator, value) = (compiled(&schema), arbitrary::value(&record));
        prop_assert_eq!(validator.is_valid(&value), reference.is_valid(&record));
        let keywords = |faults: Vec<&'static str>| { let mut faults = faults; faults.sort_unstable(); faults };
        let ours = validator.violations(&value, usize::MAX).iter().map(|fault| fault.keyword).collect();
        let theirs = reference.iter_errors(&record).map(|error| keyword(error.kind())).collect();
        prop_assert_eq!(keywords(ours), keywords(theirs));
    }
}
