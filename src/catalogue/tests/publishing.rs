//! What may follow a published catalogue.

use std::fmt::Write as _;

use serde_json::json;

use super::scene::{PULL, PURPOSES, PUSH, SCHEMA, Scene, schema};
use crate::{
    catalogue::{Digest, PUBLICATION_BYTES_MAX, Publication},
    ledger::{Attribute, Entry, Kind, PublicAttributes},
};

/// So many versions of one schema, with names of one length, and nobody who consents.
fn versions(count: usize) -> Scene {
    let mut scene = Scene::new();
    let text = schema().to_string();
    scene.remove(SCHEMA).remove(PULL);
    for minor in 1000..1000 + count {
        scene.put(&format!("d/r/1.{minor}.json"), &text);
    }
    scene
}

#[test]
fn a_catalogue_says_no_more_than_the_entry_of_its_publication_can_hold() {
    let digest = Digest::of_json(&"1".into()).to_string();
    let agreements = json!(versions(1).load().unwrap().publication().given).to_string();
    let room = PUBLICATION_BYTES_MAX - "{}{}".len() - agreements.len();
    let most = room / (format!("\"d/r/1.1000\":\"{digest}\",").len());
    let publication = versions(most).load().unwrap().publication();
    let problems = versions(most + 1).problems();
    assert!(problems[0].starts_with("record-types.toml: the digests of all schemas"), "{problems:?}");

    // What fits for the catalogue fits into the ledger, with room for all else that the entry says.
    let attributes = PublicAttributes::from([
        (Attribute::Kind.number(), Kind::CataloguePublished.number().into()),
        (Attribute::Schemas.number(), json!(publication.schemas)),
        (Attribute::Shown.number(), json!(publication.shown)),
        (Attribute::Given.number(), json!(publication.given)),
        (Attribute::System.number(), "x".repeat(1000).into()),
    ]);
    Entry::Public { time: u64::MAX, attributes }.encode().unwrap();
}

#[test]
fn a_published_schema_is_never_changed() {
    let published = Scene::new().load().unwrap().publication();
    assert_eq!(published.schemas.keys().collect::<Vec<_>>(), ["d/r/1.0"]);
    assert_eq!(Scene::new().load().unwrap().may_follow(&published), Ok(()));
    let changed = Scene::new().schema(|schema| schema["description"] = "Clearer".into()).load().unwrap();
    let problems = changed.may_follow(&published).unwrap_err();
    let digest = published.schemas["d/r/1.0"];
    let expected = format!("{SCHEMA}: `d/r/1.0` was published with digest {digest} and is not the same now");
    assert!(problems[0].to_string().starts_with(&expected), "{problems:?}");
}

#[test]
fn a_new_version_may_come_and_an_old_one_be_retired() {
    let published = Scene::new().load().unwrap().publication();
    let next = Scene::new().put("d/r/1.1.json", &schema().to_string()).load().unwrap();
    assert_eq!(next.may_follow(&published), Ok(()));
    let retired = Scene::new().remove(SCHEMA).put("d/r/1.1.json", &schema().to_string()).load().unwrap();
    assert_eq!(retired.may_follow(&published), Ok(()));
    assert_eq!(retired.publication_after(published).schemas.len(), 2, "it must be the same when it comes back");
}

/// The pull, which demands consent, at this revision, which takes consents since that one, with one more edit.
fn revision(revision: u32, since: u32, from: &str, to: &str) -> Scene {
    let mut scene = Scene::new();
    scene.edit(PULL, "revision = 1", &format!("revision = {revision}\nconsent_since_revision = {since}"));
    scene.edit(PULL, from, to);
    scene
}

/// What keeps the scene from following: each problem's first line, without its file.
fn kept_from(scene: &Scene, published: &Publication) -> String {
    let problems = scene.load().unwrap().may_follow(published).err().unwrap_or_default();
    problems.iter().fold(String::new(), |mut text, problem| {
        let all = problem.to_string();
        let line = all.lines().next().unwrap().strip_prefix(&format!("{PULL}:3: ")).unwrap();
        writeln!(text, "{line}").unwrap();
        text
    })
}

const SAME: (&str, &str) = ("What b asks a", "What b asks a");

#[test]
fn a_consent_covers_a_later_revision_only_if_that_shows_no_more() {
    let published = Scene::new().load().unwrap().publication();
    let less = revision(2, 1, "fields = [\"/subject\", \"/count\"]", "fields = [\"/subject/number\"]");
    for fits in [revision(2, 1, SAME.0, SAME.1), less, revision(2, 2, "\"/count\"", "\"/count\", \"/names\"")] {
        assert_eq!(kept_from(&fits, &published), "");
    }
    let fields = revision(2, 1, "\"/count\"", "\"/count\", \"/names/*/given\"");
    let onward = revision(2, 1, "recipient = \"b\"", "recipient = \"b\"\nonward = true");
    let mut purpose = revision(2, 1, "purpose = \"wish\"", "purpose = \"other\"");
    purpose.edit(PURPOSES, "id = \"wish\"", "id = \"other\"");
    for (scene, more) in [
        (fields, "it did not show `/names/*/given`"),
        (onward, "it did not show that copies may be passed on"),
        (purpose, "it showed d/r 1 from a to b for wish"),
    ] {
        let expected = format!("a consent to revision 1 does not cover this one: {more}\n");
        assert_eq!(kept_from(&scene, &published), expected);
    }
}

#[test]
fn what_a_revision_showed_is_never_changed_not_even_by_a_schema_that_grows() {
    let published = Scene::new().load().unwrap().publication();
    let more = revision(1, 1, "\"/count\"", "\"/count\", \"/names\"");
    let changed = "revision 1 was published before, and what it showed to those who consent has changed: ";
    assert_eq!(kept_from(&more, &published), format!("{changed}it did not show `/names/*/child`\n"));
    let less = revision(1, 1, "\"/subject\", \"/count\"", "\"/subject\"");
    assert_eq!(kept_from(&less, &published), format!("{changed}it showed more\n"));

    // `/subject` is agreed, so a property that a minor version adds below it would be shown, too.
    let mut grown = schema();
    grown["$defs"]["subject"]["properties"]["place"] =
        json!({"type": "string", "maxLength": 9, "x-waybill-sensitivity": "ordinary"});
    let mut scene = revision(1, 1, SAME.0, SAME.1);
    scene.put("d/r/1.1.json", &grown.to_string());
    assert_eq!(kept_from(&scene, &published), format!("{changed}it did not show `/subject/place`\n"));
    let mut raised = revision(2, 2, SAME.0, SAME.1);
    raised.put("d/r/1.1.json", &grown.to_string());
    assert_eq!(kept_from(&raised, &published), "");
}

#[test]
fn a_revision_whose_consents_have_ended_covers_nothing_any_more() {
    let first = Scene::new().load().unwrap().publication();
    let second = revision(2, 2, SAME.0, SAME.1).load().unwrap().publication_after(first.clone());
    let third = |since| revision(3, since, SAME.0, SAME.1);
    let unknown = "what revision 1 showed is not known: it was not published here, or its consents had ended\n";
    assert_eq!(kept_from(&third(1), &second), unknown);
    assert_eq!(kept_from(&third(1), &Publication::default()), unknown);
    assert_eq!(kept_from(&third(2), &second), "");
    assert_eq!(kept_from(&third(1), &first), "");
    let still = revision(2, 1, SAME.0, SAME.1).load().unwrap().publication_after(first.clone());
    assert_eq!(kept_from(&third(1), &still), "", "consents to the first hold under the second, too");

    let again = revision(1, 1, "\"/count\"", "\"/count\", \"/names\"");
    let old = "revision 1 comes before revision 2, which was published, and what it showed is not known any more\n";
    assert_eq!(kept_from(&again, &second), old, "those who consented to the first would be taken to have seen this");
    assert_eq!(kept_from(&revision(1, 1, SAME.0, SAME.1), &still), "", "what is known may come back");

    // Of an agreement that is retired, what was shown stays known; also when another one follows.
    let retired = Scene::new().remove(PULL).load().unwrap().publication_after(second);
    assert_eq!(kept_from(&third(1), &retired), unknown);
    assert_eq!(kept_from(&third(2), &retired), "");
}

/// The push, which demands nothing, at this revision and with these fields; and the schema's next version, if it is there.
fn pushed(revision: u32, fields: &str, next: Option<&str>) -> Scene {
    let mut scene = Scene::new();
    scene.remove(PULL).edit(PUSH, "revision = 2", &format!("revision = {revision}"));
    scene.edit(PUSH, "[\"/subject/number\", \"/names/*/given\"]", fields);
    if let Some(place) = next {
        let mut grown = schema();
        let added = json!({"type": "string", "maxLength": 9, "x-waybill-sensitivity": "sensitive"});
        let (object, name) = place.rsplit_once('/').unwrap();
        grown.pointer_mut(object).unwrap()[name] = added;
        scene.put("d/r/1.1.json", &grown.to_string());
    }
    scene
}

/// What keeps the scene from following: each problem's first line.
fn told(scene: &Scene, published: &Publication) -> Vec<String> {
    let problems = scene.load().unwrap().may_follow(published).err().unwrap_or_default();
    problems.iter().map(|problem| problem.to_string().lines().next().unwrap().to_owned()).collect()
}

#[test]
fn a_property_that_comes_below_a_named_object_reaches_nobody_until_the_revision_is_raised() {
    let (whole, place) = ("[\"/subject\"]", "/$defs/subject/properties/place");
    let published = pushed(2, whole, None).load().unwrap().publication();
    let changed = format!("{PUSH}:3: revision 2 was published before, and what it gives has changed: ");
    assert_eq!(told(&pushed(2, whole, None), &published), [""; 0]);
    let grown = format!("{changed}a new version of the schema adds `/subject/place`");
    assert_eq!(told(&pushed(2, whole, Some(place)), &published), [grown]);
    assert_eq!(told(&pushed(3, whole, Some(place)), &published), [""; 0]);
    assert_eq!(told(&pushed(2, whole, Some("/properties/place")), &published), [""; 0], "it is not named");
    let other = format!("{changed}it names other parties, another purpose, other fields or other terms");
    assert_eq!(told(&pushed(2, "[\"/count\"]", None), &published), [other]);
    assert_eq!(told(&pushed(2, whole, Some(place)), &Publication::default()), [""; 0], "an older hub left nothing");
}

#[test]
fn the_terms_that_both_agencies_agreed_on_are_changed_by_a_new_revision_only() {
    let push = |changes: &[(&str, &str)]| {
        let mut scene = pushed(2, "[\"/count\"]", None);
        for (before, after) in changes {
            scene.edit(PUSH, before, after);
        }
        scene
    };
    let published = push(&[]).load().unwrap().publication();
    for change in [
        ("scope = { all = \"everybody\" }", "scope = \"registered-interest\""),
        ("law = \"Act, s. 1\"", "law = \"Act, s. 2\""),
        ("article = \"6(1)(e)\"", "article = \"6(1)(c)\""),
        ("at_recipient = \"5y\"", "at_recipient = \"6y\""),
        ("demand = \"nothing\"", "demand = \"nothing\"\ncontext = [\"case\"]"),
    ] {
        let other = format!("{PUSH}:3: revision 2 was published before, and what it gives has changed: ");
        let problems = told(&push(&[change]), &published);
        assert!(problems.len() == 1 && problems[0].starts_with(&other), "{change:?}: {problems:?}");
        assert_eq!(told(&push(&[change, ("revision = 2", "revision = 3")]), &published), [""; 0], "{change:?}");
    }
    for change in [("trail = \"10y\"", "trail = \"9y\""), ("title = \"Push\"", "title = \"Pushed\"")] {
        assert_eq!(told(&push(&[change]), &published), [""; 0], "what the hub keeps, and how it is called, may change");
    }
}

#[test]
fn a_revision_number_means_one_thing_also_after_an_agreement_was_retired() {
    let (some, more) = ("[\"/count\"]", "[\"/count\", \"/names\"]");
    let first = pushed(2, some, None).load().unwrap().publication();
    let second = pushed(3, more, None).load().unwrap().publication_after(first);
    let retired = Scene::new().remove(PULL).remove(PUSH).load().unwrap().publication_after(second.clone());
    for published in [&second, &retired] {
        let old = format!("{PUSH}:3: revision 2 comes before revision 3, which was published");
        assert_eq!(told(&pushed(2, more, None), published), [old]);
        assert_eq!(told(&pushed(3, some, None), published).len(), 1);
        assert_eq!(told(&pushed(3, more, None), published), [""; 0]);
        assert_eq!(told(&pushed(4, some, None), published), [""; 0]);
    }
}

#[test]
fn what_a_publication_leaves_reads_the_same_from_its_entry() {
    let Publication { schemas, shown, given } = Scene::new().load().unwrap().publication();
    assert_eq!(serde_json::from_value::<std::collections::BTreeMap<_, _>>(json!(schemas)).unwrap(), schemas);
    assert_eq!(serde_json::from_value::<std::collections::BTreeMap<_, _>>(json!(shown)).unwrap(), shown);
    assert_eq!(shown.len(), 1, "only what is consented to");
    assert_eq!(serde_json::from_value::<std::collections::BTreeMap<_, _>>(json!(given)).unwrap(), given);
    assert_eq!(given.len(), 1, "and the digest of what else is agreed");
}
