//! What may follow a published catalogue.

use super::scene::{SCHEMA, Scene, schema};

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
