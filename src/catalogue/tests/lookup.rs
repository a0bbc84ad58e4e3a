//! What the exchange asks of a catalogue.

use super::scene::{B, PULL, PUSH, Scene};
use crate::{
    catalogue::Catalogue,
    domain::{agency::Role, subject::IdentifierRole, time::Moment},
};

const IN_2027: Moment = Moment::from_secs(1_800_000_000);
const IN_2033: Moment = Moment::from_secs(2_000_000_000);

fn pull(catalogue: &Catalogue, provider: Option<&str>, at: Moment) -> Option<String> {
    let provider = provider.map(|name| name.parse().unwrap());
    let found = catalogue.agreement_for_pull(
        &"b".parse().unwrap(),
        &"d/r".parse().unwrap(),
        &"wish".parse().unwrap(),
        provider.as_ref(),
        at,
    );
    found.map(|found| found.agreement.id.to_string())
}

#[test]
fn a_system_is_found_by_its_san_and_knows_what_it_may_do() {
    let catalogue = Scene::new().load().unwrap();
    let system = catalogue.system_by_san("urn:b:main").unwrap();
    assert_eq!(system.id.as_str(), "b/main");
    assert!(system.may_act_for(&"a".parse().unwrap()) && system.has(Role::Receive) && !system.has(Role::Submit));
    assert!(catalogue.system_by_san("urn:b:other").is_none());
    // Without acts_for, a system acts for its own agency.
    let system = catalogue.system(&"a/main".parse().unwrap()).unwrap();
    assert!(system.may_act_for(&"a".parse().unwrap()) && !system.may_act_for(&"b".parse().unwrap()));
}

#[test]
fn a_push_finds_every_agreement_of_its_source_and_major_version() {
    let mut scene = Scene::new();
    let second = scene.text(PUSH).replace("purpose = \"work\"", "purpose = \"more\"");
    let purposes = scene.text(super::scene::PURPOSES) + "[[purpose]]\nid = \"more\"\ntitle = \"More\"\n";
    let catalogue = scene.put("agreements/also.toml", &second).put("purposes.toml", &purposes).load().unwrap();
    let found = |source: &str, major| {
        let found = catalogue.agreements_for_push(&source.parse().unwrap(), &"d/r".parse().unwrap(), major);
        found.iter().map(|found| found.agreement.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found("a", 1), ["also", "push"]);
    assert_eq!(found("a", 2), Vec::<String>::new());
    assert_eq!(found("b", 1), Vec::<String>::new());
}

#[test]
fn a_pull_finds_the_agreement_in_force() {
    let catalogue = Scene::new().load().unwrap();
    assert_eq!(pull(&catalogue, None, IN_2027).as_deref(), Some("pull"));
    assert_eq!(pull(&catalogue, Some("a"), IN_2027).as_deref(), Some("pull"));
    assert_eq!(pull(&catalogue, Some("b"), IN_2027), None);
    assert_eq!(pull(&catalogue, None, IN_2033), None);
}

#[test]
fn without_a_provider_the_authoritative_agency_is_asked() {
    let mut scene = Scene::new();
    let copy = scene.text(PULL).replace("source = \"a\"", "source = \"c\"");
    let to_c = scene
        .text(PUSH)
        .replace("recipient = \"b\"", "recipient = \"c\"")
        .replace("revision", "onward = true\nrevision");
    let c = scene.text(B).replace("urn:b", "urn:c").replace("[\"b\", \"a\"]", "[\"c\"]").replace("request", "provide");
    scene.put("agencies/c.toml", &c).put("agreements/copy.toml", &copy).put("agreements/to-c.toml", &to_c);
    let catalogue = scene.load().unwrap();
    assert_eq!(pull(&catalogue, None, IN_2027).as_deref(), Some("pull"));
    assert_eq!(pull(&catalogue, Some("c"), IN_2027).as_deref(), Some("copy"));
    let catalogue = scene.remove(PULL).load().unwrap();
    assert_eq!(pull(&catalogue, None, IN_2027).as_deref(), Some("copy"));
}

#[test]
fn a_version_knows_whom_its_records_identify() {
    let catalogue = Scene::new().load().unwrap();
    let record_type = catalogue.record_type("d/r").unwrap();
    assert!(record_type.links && record_type.authority.as_str() == "a");
    let version = record_type.version("1.0".parse().unwrap()).unwrap();
    let found: Vec<_> =
        version.identifiers.iter().map(|field| (field.path.as_str(), &*field.scheme, field.role)).collect();
    assert_eq!(
        found,
        [
            ("/names/*/child", "number", IdentifierRole::Other),
            ("/subject/number", "number", IdentifierRole::Main),
            ("/subject/other", "other", IdentifierRole::Main),
        ]
    );
}

#[test]
fn what_each_entry_says_alike_is_written_once_in_canonical_form() {
    let catalogue = Scene::new().load().unwrap();
    let constants = &catalogue.agreement(&"push".parse().unwrap()).unwrap().constants;
    assert_eq!(*constants.source, *"\"a\"");
    assert_eq!(*constants.agreement_revision, *"2");
    assert_eq!(*constants.basis, *r#"{"article":"6(1)(e)","law":"Act, s. 1"}"#);
    assert_eq!(*constants.record_type, *"\"d/r\"");
    assert_eq!(*constants.catalogue, *format!("\"{}\"", catalogue.digest()));
}
