//! What may follow a published catalogue.

use super::scene::{SCHEMA, Scene, schema};
use crate::{
    catalogue::{Digest, SCHEMA_NAMES_BYTES_MAX},
    ledger::{Attribute, Entry, Kind, PublicAttributes},
};

/// So many versions of one schema, with names of one length.
fn versions(count: usize) -> Scene {
    let mut scene = Scene::new();
    let text = schema().to_string();
    scene.remove(SCHEMA);
    for minor in 1000..1000 + count {
        scene.put(&format!("d/r/1.{minor}.json"), &text);
    }
    scene
}

#[test]
fn a_catalogue_has_no_more_schemas_than_the_entry_of_its_publication_can_name() {
    let digest = Digest::of_json(&"1".into()).to_string();
    let most = SCHEMA_NAMES_BYTES_MAX / (format!("\"d/r/1.1000\":\"{digest}\",").len());
    let catalogue = versions(most).load().unwrap();
    let problems = versions(most + 1).problems();
    assert!(problems[0].starts_with("record-types.toml: the names and digests of all schemas take"), "{problems:?}");

    // What fits for the catalogue fits into the ledger, with room for all else that the entry says.
    let names = |(name, digest): (String, Digest)| (name, serde_json::Value::from(digest.to_string()));
    let schemas: serde_json::Map<_, _> = catalogue.schema_digests().into_iter().map(names).collect();
    let attributes = PublicAttributes::from([
        (Attribute::Kind.number(), Kind::CataloguePublished.number().into()),
        (Attribute::Schemas.number(), schemas.into()),
        (Attribute::System.number(), "x".repeat(1000).into()),
    ]);
    Entry::Public { time: u64::MAX, attributes }.encode().unwrap();
}

#[test]
fn a_published_schema_is_never_changed() {
    let published = Scene::new().load().unwrap().schema_digests();
    assert_eq!(published.keys().collect::<Vec<_>>(), ["d/r/1.0"]);
    assert_eq!(Scene::new().load().unwrap().compatible_with(&published), Ok(()));
    let changed = Scene::new().schema(|schema| schema["description"] = "Clearer".into()).load().unwrap();
    let problems = changed.compatible_with(&published).unwrap_err();
    let expected =
        format!("{SCHEMA}: `d/r/1.0` was published with digest {} and is not the same now", published["d/r/1.0"]);
    assert!(problems[0].to_string().starts_with(&expected), "{problems:?}");
}

#[test]
fn a_new_version_may_come_and_an_old_one_be_retired() {
    let published = Scene::new().load().unwrap().schema_digests();
    let next = Scene::new().put("d/r/1.1.json", &schema().to_string()).load().unwrap();
    assert_eq!(next.compatible_with(&published), Ok(()));
    let retired = Scene::new().remove(SCHEMA).put("d/r/1.1.json", &schema().to_string()).load().unwrap();
    assert_eq!(retired.compatible_with(&published), Ok(()));
}
