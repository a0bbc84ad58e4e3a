//! What the digest depends on, and what it does not.

use super::scene::{A, B, PULL, PUSH, SCHEMA, Scene, schema};

#[test]
fn layout_comments_and_order_do_not_change_the_digest() {
    let digest = Scene::new().load().unwrap().digest();
    let mut scene = Scene::new();
    scene.edit(PUSH, "revision = 2", "# A comment.\n   revision   =   0x2");
    scene.edit(
        PUSH,
        "[\"/subject/number\", \"/names/*/given\"]",
        "[\n  \"/names/*/given\",\n  \"/subject/number\",\n]",
    );
    scene.edit(A, "[\"submit\", \"provide\", \"collect-consent\"]", "[\"provide\", \"collect-consent\", \"submit\"]");
    scene.edit(PULL, "trail = \"10y\"\nat_recipient = \"none\"", "at_recipient = \"none\"\ntrail = \"3650d\"");
    scene.put(SCHEMA, &serde_json::to_string_pretty(&schema()).unwrap());
    scene.0.catalogue.reverse();
    assert_eq!(scene.load().unwrap().digest(), digest);
}

#[test]
fn whatever_a_reviewer_reads_changes_the_digest() {
    let digest = Scene::new().load().unwrap().digest();
    for (path, from, to) in [
        (A, "title = \"A\"", "title = \"AA\""),
        (A, "refusal_trail = \"2y\"", "refusal_trail = \"3y\""),
        (B, "urn:b:main", "urn:b:other"),
        (B, "[\"b\", \"a\"]", "[\"b\"]"),
        (PUSH, "description = \"What a sends to b\"", "description = \"Something\""),
        (PUSH, "revision = 2", "revision = 3"),
        (PUSH, "law = \"Act, s. 1\"", "law = \"Act, s. 2\""),
        (PUSH, "payload = \"none\"", "payload = \"1d\""),
        (PUSH, "\"/names/*/given\"", "\"/names\""),
        (PULL, "context = [\"case\"]", "context = [\"case\", \"reason\"]"),
        (PULL, "valid_until = 2030-01-01\n", ""),
    ] {
        let changed = Scene::new().edit(path, from, to).load().unwrap();
        assert_ne!(changed.digest(), digest, "{from} -> {to}");
    }
    let changed = Scene::new().schema(|schema| schema["title"] = "R".into()).load().unwrap();
    assert_ne!(changed.digest(), digest);
}
