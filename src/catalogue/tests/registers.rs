//! Each way to get purposes and record types wrong.

use super::scene::{PURPOSES, RECORD_TYPES, SCHEMA, Scene, after};

#[test]
fn both_registers_must_be_there() {
    assert_eq!(Scene::new().remove(PURPOSES).problems(), ["purposes.toml: the catalogue has no such file"]);
    assert_eq!(Scene::new().remove(RECORD_TYPES).problems(), ["record-types.toml: the catalogue has no such file"]);
}

#[test]
fn a_purpose_stands_once_and_is_what_agreements_name() {
    assert_eq!(
        after(PURPOSES, "id = \"wish\"", "id = \"work\""),
        ["agreements/pull.toml:9: no purpose `wish` in purposes.toml", "purposes.toml:5: a second purpose `work`"]
    );
}

#[test]
fn a_record_type_stands_once() {
    let text = "[[record_type]]\nid = \"d/r\"\nauthority = \"a\"\n".repeat(2);
    assert_eq!(Scene::new().put(RECORD_TYPES, &text).problems(), ["record-types.toml:5: a second record type `d/r`"]);
}

#[test]
fn the_authoritative_agency_exists() {
    assert_eq!(
        after(RECORD_TYPES, "authority = \"a\"", "authority = \"z\""),
        [
            "agreements/pull.toml:5: `a` is not the authoritative agency of `d/r` (that is `z`) and receives no copies that it may pass on",
            "agreements/push.toml:5: `a` is not the authoritative agency of `d/r` (that is `z`) and receives no copies that it may pass on",
            "record-types.toml:3: no agency `z` in the catalogue"
        ]
    );
}

#[test]
fn a_record_type_without_a_schema_is_refused() {
    assert_eq!(Scene::new().remove(SCHEMA).problems(), ["record-types.toml:2: no schema for `d/r`"]);
}

#[test]
fn an_agreement_about_an_unknown_record_type_is_refused() {
    assert_eq!(
        after("agreements/push.toml", "record_type = \"d/r\"", "record_type = \"d/x\""),
        ["agreements/push.toml:7: no record type `d/x` in record-types.toml"]
    );
}

#[test]
fn schemas_of_record_types_that_are_not_listed_are_not_part_of_the_catalogue() {
    let mut scene = Scene::new();
    let digest = scene.load().unwrap().digest();
    assert_eq!(scene.put("x/y/1.0.json", "{}").load().unwrap().digest(), digest);
}
