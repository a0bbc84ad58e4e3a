//! Each way to get an agreement wrong.

use super::scene::{A, B, PULL, PURPOSES, PUSH, Scene, after};
use crate::catalogue::AGREEMENT_FIELDS_MAX;

#[test]
fn both_parties_exist_and_are_two() {
    assert_eq!(
        after(PUSH, "recipient = \"b\"", "recipient = \"x\""),
        ["agreements/push.toml:6: no agency `x` in the catalogue"]
    );
    let problems = after(PUSH, "recipient = \"b\"", "recipient = \"a\"");
    assert_eq!(problems, ["agreements/push.toml:6: source and recipient are both `a`"]);
}

#[test]
fn a_source_has_the_record_or_copies_that_it_may_pass_on() {
    let mut scene = Scene::new();
    let back =
        scene.text(PUSH).replace("source = \"a\"", "source = \"b\"").replace("recipient = \"b\"", "recipient = \"a\"");
    scene.put("agreements/back.toml", &back).edit(B, "\"receive\"]", "\"receive\", \"submit\"]");
    let expected = "agreements/back.toml:5: `b` is not the authoritative agency of `d/r` (that is `a`) and receives no copies that it may pass on";
    assert_eq!(scene.problems(), [expected]);
    scene.edit(PUSH, "valid_from", "onward = true\nvalid_from");
    assert_eq!(scene.problems(), Vec::<String>::new());
}

#[test]
fn revisions_count_from_one() {
    assert_eq!(after(PUSH, "revision = 2", "revision = 0"), ["agreements/push.toml:3: revision 0"]);
    assert_eq!(
        after(PUSH, "revision = 2", "revision = 2\nconsent_since_revision = 3"),
        ["agreements/push.toml:4: consent_since_revision 3 of revision 2"]
    );
    let catalogue = Scene::new().edit(PUSH, "revision = 2", "revision = 2\nconsent_since_revision = 1").load().unwrap();
    let agreement = &catalogue.agreement(&"push".parse().unwrap()).unwrap().agreement;
    assert_eq!((agreement.revision, agreement.consent_since_revision), (2, 1));
}

#[test]
fn an_agreement_ends_after_it_begins() {
    assert_eq!(
        after(PULL, "valid_until = 2030-01-01", "valid_until = 2026-01-01"),
        ["agreements/pull.toml:15: it ends before it begins"]
    );
}

#[test]
fn a_payloads_term_is_none_or_one_that_the_hub_keeps() {
    let written = |term: &str| after(PUSH, "payload = \"none\"", &format!("payload = \"{term}\""));
    assert_eq!(written("2h"), Vec::<String>::new());
    assert_eq!(
        written("7199s"),
        ["agreements/push.toml:18: a payload would have to go within less than two hours of its acknowledgement: \
          the hub does not promise that"]
    );
}

#[test]
fn two_agreements_on_the_same_never_hold_at_one_time() {
    let mut scene = Scene::new();
    let second = scene.text(PULL).replace("valid_from = 2026-01-01", "valid_from = 2029-12-31");
    scene.put("agreements/second.toml", &second.replace("valid_until = 2030-01-01\n", ""));
    let expected = "agreements/second.toml:1: it overlaps with agreement `pull`: same direction, agencies, record type, \
                    major version and purpose at the same time";
    assert_eq!(scene.problems(), [expected]);
    scene.edit("agreements/second.toml", "2029-12-31", "2030-01-01");
    assert_eq!(scene.problems(), Vec::<String>::new());
}

#[test]
fn fields_are_there_and_none_lies_in_another() {
    assert_eq!(
        after(PUSH, "\"/names/*/given\"", "\n\"/names/*/family\",\n\"/names/*/given\",\n\"/names\""),
        [
            "agreements/push.toml:13: `/names/*/family` lies in `/names`, which is named too",
            "agreements/push.toml:13: `d/r/1.0` has no field `/names/*/family`",
            "agreements/push.toml:14: `/names/*/given` lies in `/names`, which is named too",
        ]
    );
    assert_eq!(
        after(PUSH, "[\"/subject/number\", \"/names/*/given\"]", "[]"),
        ["agreements/push.toml:1: it names no field"]
    );
    assert_eq!(
        after(PUSH, "\"/subject/number\", ", "\"subject\", \"/names/*/given\", "),
        [
            "agreements/push.toml:12: `fields`: a field is a JSON Pointer and begins with '/'",
            "agreements/push.toml:12: `fields` lists /names/*/given twice"
        ]
    );
}

#[test]
fn an_agreement_names_at_most_256_fields() {
    let named = |count: usize| {
        let names: Vec<String> = (0..count).map(|index| format!("\"/p{index}\"")).collect();
        let mut scene = Scene::new();
        scene.schema(|schema| {
            for index in 0..count {
                schema["properties"][format!("p{index}")] =
                    serde_json::json!({"type": "boolean", "x-waybill-sensitivity": "ordinary"});
            }
        });
        scene.edit(PUSH, "\"/subject/number\", \"/names/*/given\"", &names.join(",")).problems()
    };
    assert_eq!(named(AGREEMENT_FIELDS_MAX), Vec::<String>::new());
    assert_eq!(named(AGREEMENT_FIELDS_MAX + 1), ["agreements/push.toml:1: it names 257 fields, more than 256"]);
}

#[test]
fn the_schema_has_the_major_version() {
    assert_eq!(
        after(PUSH, "schema_major = 1", "schema_major = 2"),
        ["agreements/push.toml:8: `d/r` has no schema of major version 2"]
    );
}

#[test]
fn consent_is_basis_demand_and_purpose_or_none_of_them() {
    assert_eq!(
        after(PULL, "demand = \"consent\"", "demand = \"nothing\""),
        ["agreements/pull.toml:10: the basis is consent, Art. 6(1)(a), but it is not demanded"]
    );
    let problems = after(PULL, "article = \"6(1)(a)\"", "article = \"6(1)(c)\"\nlaw = \"Act\"");
    assert_eq!(
        problems,
        [
            "agreements/pull.toml:9: `wish` is a purpose for consent, but the basis is Art. 6(1)(c)",
            "agreements/pull.toml:10: consent is demanded, but the basis is Art. 6(1)(c)"
        ]
    );
    assert_eq!(
        after(PURPOSES, "consent = true", "consent = false"),
        ["agreements/pull.toml:9: `wish` is not a purpose for consent"]
    );
}

#[test]
fn an_explicit_request_is_for_evidence_that_is_fetched() {
    assert_eq!(
        after(PUSH, "demand = \"nothing\"", "demand = \"explicit-request\""),
        ["agreements/push.toml:10: an explicit request is demanded of a push"]
    );
}

#[test]
fn legal_obligation_and_public_task_name_their_law() {
    assert_eq!(
        after(PUSH, "law = \"Act, s. 1\"\n", ""),
        ["agreements/push.toml:15: Art. 6(1)(e) needs the law that it rests on (Art. 6(3))"]
    );
    let mut scene = Scene::new();
    scene.edit(PUSH, "law = \"Act, s. 1\"\n", "").edit(PUSH, "6(1)(e)", "6(1)(c)");
    assert_eq!(scene.problems(), ["agreements/push.toml:15: Art. 6(1)(c) needs the law that it rests on (Art. 6(3))"]);
    scene.edit(PUSH, "6(1)(c)", "6(1)(d)");
    assert_eq!(scene.problems(), Vec::<String>::new());
}

#[test]
fn legitimate_interests_are_not_open_to_public_authorities() {
    let mut scene = Scene::new();
    scene.edit(PUSH, "6(1)(e)", "6(1)(f)").edit(A, "public_authority = true", "public_authority = false");
    assert_eq!(scene.problems(), ["agreements/push.toml:15: Art. 6(1)(f) is not open to `b`, a public authority"]);
    scene.edit(B, "public_authority = true", "public_authority = false");
    assert_eq!(scene.problems(), Vec::<String>::new());
}

#[test]
fn special_categories_need_their_ground() {
    let with = |field: &str, ground: &str| {
        let mut scene = Scene::new();
        scene.edit(PUSH, "\"/subject/number\"", field);
        if !ground.is_empty() {
            scene.edit(PUSH, "[retention]", &format!("special_ground = \"{ground}\"\n[retention]"));
        }
        scene.problems()
    };
    let special = "agreements/push.toml:12: `/health` is of a special category and needs a ground of Art. 9(2)";
    let criminal =
        "agreements/push.toml:12: `/offence` is about convictions or offences and needs Art. 10 as its ground";
    assert_eq!(with("\"/health\"", ""), [special]);
    assert_eq!(with("\"/health\"", "10"), [special]);
    assert_eq!(with("\"/health\"", "9(2)(b)"), Vec::<String>::new());
    assert_eq!(with("\"/offence\"", "9(2)(b)"), [criminal]);
    assert_eq!(with("\"/offence\", \"/health\"", "9(2)(b), 10"), Vec::<String>::new());
    assert_eq!(
        with("\"/health\"", "9(2)(z)")[1],
        "agreements/push.toml:17: `9(2)(z)` is no ground of Art. 9(2) or Art. 10"
    );
    assert_eq!(
        with("\"/health\"", "9(2)(a)"),
        ["agreements/push.toml:17: the ground is explicit consent, Art. 9(2)(a), but consent is not demanded"]
    );
}

#[test]
fn only_the_two_agencies_sign_each_once() {
    let sign = |agencies: &[&str]| {
        let mut scene = Scene::new();
        let signature = |agency: &&str| format!("[[signature]]\nagency = \"{agency}\"\nkey = \"k\"\nvalue = \"v\"\n");
        let text = scene.text(PUSH) + &agencies.iter().map(signature).collect::<String>();
        scene.put(PUSH, &text).clone()
    };
    assert_eq!(sign(&["c"]).problems(), ["agreements/push.toml:21: `c` signs, but is neither source nor recipient"]);
    assert_eq!(sign(&["a", "a"]).problems(), ["agreements/push.toml:25: `signature` lists a twice"]);
    let catalogue = sign(&["a", "b"]).load().unwrap();
    assert_eq!(catalogue.agreement(&"push".parse().unwrap()).unwrap().signatures.len(), 2);
}

#[test]
fn scope_gives_the_reason_for_all() {
    let problems = after(PUSH, "scope = { all = \"everybody\" }", "scope = { all = \"\" }");
    assert_eq!(problems, ["agreements/push.toml:11: `scope`: the text is empty"]);
}
