//! Each way to get an agency's file wrong.

use super::scene::{A, B, PUSH, Scene, after};
use crate::domain::{agency::SAN_BYTES_MAX, quota};

#[test]
fn the_scene_is_right() {
    assert_eq!(Scene::new().problems(), Vec::<String>::new());
}

#[test]
fn a_file_that_is_no_toml_is_named_with_its_line_and_nothing_else_is_said() {
    let problems = after(A, "public_authority = true", "public_authority = ");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("agencies/a.toml:2: "), "{problems:?}");
}

#[test]
fn unknown_missing_and_wrong_fields_are_all_reported_at_once() {
    let mut scene = Scene::new();
    scene.edit(A, "title = \"A\"", "titel = \"A\"").edit(A, "refusal_trail = \"2y\"", "refusal_trail = \"soon\"");
    scene.edit(
        A,
        "roles = [\"submit\", \"provide\", \"collect-consent\"]",
        "roles = [\"submit\", \"fly\", \"provide\", \"collect-consent\"]\ncolour = 1",
    );
    assert_eq!(
        scene.problems(),
        [
            "agencies/a.toml:1: `title` is missing",
            "agencies/a.toml:1: unknown field `titel`; known here: title, public_authority, refusal_trail, system, kafka",
            "agencies/a.toml:3: `refusal_trail`: a duration is a whole number and y (365 days), d, h, min or s: 10y, 30d, 12h",
            "agencies/a.toml:7: `roles`: unknown variant `fly`, expected one of `submit`, `provide`, `request`, `receive`, \
             `collect-consent`, `audit-own-agency`, `audit-hub`, `operate`",
            "agencies/a.toml:8: unknown field `colour`; known here: name, san, acts_for, roles, quotas",
        ]
    );
}

#[test]
fn two_systems_with_one_san_are_told_apart_by_nobody() {
    assert_eq!(after(B, "urn:b:main", "urn:a:main"), ["agencies/b.toml:6: `urn:a:main` already names a/main"]);
}

#[test]
fn a_san_is_a_uri() {
    assert_eq!(
        after(B, "urn:b:main", "b main"),
        ["agencies/b.toml:6: `b main` is not a URI that a certificate can carry"]
    );
    let longest = format!("urn:{}", "x".repeat(SAN_BYTES_MAX - 4));
    assert_eq!(after(B, "urn:b:main", &longest), Vec::<String>::new());
    let longer = format!("{longest}x");
    let told = format!("agencies/b.toml:6: `{longer}` is not a URI that a certificate can carry");
    assert_eq!(after(B, "urn:b:main", &longer), [told]);
}

#[test]
fn a_second_system_of_one_name_is_refused() {
    let second = "[[system]]\nname = \"main\"\nsan = \"urn:b:2\"\nroles = [\"receive\"]\n";
    let text = format!("{}{second}", Scene::new().text(B));
    assert_eq!(Scene::new().put(B, &text).problems(), ["agencies/b.toml:9: a second system `b/main`"]);
}

#[test]
fn two_systems_that_are_one_to_kafkas_brokers_are_refused() {
    let text = |system: &str, san: &str| {
        format!(
            "title = \"X\"\npublic_authority = true\nrefusal_trail = \"2y\"\n\
             [[system]]\nname = \"{system}\"\nsan = \"{san}\"\nroles = [\"receive\"]\n"
        )
    };
    let mut scene = Scene::new();
    scene.put("agencies/north.toml", &text("tax.registry", "urn:north:tax.registry"));
    assert_eq!(scene.problems(), Vec::<String>::new(), "a name may have dots");
    scene.put("agencies/north.tax.toml", &text("registry", "urn:north.tax:registry"));
    assert_eq!(
        scene.problems(),
        [
            "agencies/north.tax.toml:4: Kafka's brokers would know this system as `north.tax.registry`, and so they know \
          north/tax.registry"
        ]
    );
}

#[test]
fn a_system_acts_for_agencies_that_exist_each_named_once() {
    assert_eq!(after(B, "[\"b\", \"a\"]", "[\"b\",\n\"c\"]"), ["agencies/b.toml:8: no agency `c` in the catalogue"]);
    assert_eq!(after(B, "[\"b\", \"a\"]", "[\"b\", \"b\"]"), ["agencies/b.toml:7: `acts_for` lists b twice"]);
}

#[test]
fn a_system_without_a_role_can_do_nothing() {
    let extra = "[[system]]\nname = \"idle\"\nsan = \"urn:b:idle\"\nroles = []\n";
    let text = format!("{}{extra}", Scene::new().text(B));
    assert_eq!(
        Scene::new().put(B, &text).problems(),
        ["agencies/b.toml:9: `b/idle` has no role, so it can do nothing"]
    );
}

#[test]
fn a_quota_is_a_number_above_zero() {
    let text = format!("{}[system.quotas]\nrate_per_s = 0\nrate_burst = 10\n", Scene::new().text(B));
    let problems = Scene::new().put(B, &text).problems();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("agencies/b.toml:10: `rate_per_s`: invalid value"), "{problems:?}");
    let text = text.replace("rate_per_s = 0", "rate_per_s = 1");
    let catalogue = Scene::new().put(B, &text).load().unwrap();
    let quotas = catalogue.system_by_san("urn:b:main").unwrap().quotas;
    assert_eq!((quotas.rate_per_s, quotas.rate_burst, quotas.refusals_per_s), (Some(1), Some(10), None));
}

/// What is wrong with system b/main of these quotas; the first of them is on line 10.
fn with_quotas(quotas: &str) -> Vec<String> {
    let text = format!("{}[system.quotas]\n{quotas}\n", Scene::new().text(B));
    Scene::new().put(B, &text).problems()
}

#[test]
fn a_quota_goes_as_far_as_the_configured_limit_could_and_no_further() {
    for (name, most) in [
        ("rate_per_s", quota::RATE_PER_S_MAX),
        ("rate_burst", quota::RATE_BURST_MAX),
        ("refusals_per_s", quota::REFUSALS_PER_S_MAX),
        ("refusals_burst", quota::REFUSALS_BURST_MAX),
        ("in_flight_max", quota::IN_FLIGHT_MAX),
    ] {
        assert_eq!(with_quotas(&format!("{name} = {most}")), Vec::<String>::new());
        let more = most + 1;
        let told = format!("agencies/b.toml:10: `{name}`: {more} is more than {most}, the most that is taken");
        assert_eq!(with_quotas(&format!("{name} = {more}")), [told]);
    }
}

#[test]
fn a_systems_refusals_are_at_most_a_tenth_of_its_calls() {
    assert_eq!(with_quotas("rate_per_s = 100\nrefusals_per_s = 10"), Vec::<String>::new());
    assert_eq!(with_quotas("rate_per_s = 1\nrefusals_per_s = 1"), Vec::<String>::new(), "one is the least there is");
    assert_eq!(
        with_quotas("rate_per_s = 100\nrefusals_per_s = 11"),
        ["agencies/b.toml:11: 11 refusals a second of 100 calls are more than a tenth"]
    );
}

#[test]
fn an_agency_is_called_after_its_file() {
    let mut scene = Scene::new();
    let text = scene.text(B);
    let problems = scene.put("agencies/B.toml", &text).problems();
    assert!(problems[0].starts_with("agencies/B.toml: the file's name cannot be a name here"), "{problems:?}");
}

#[test]
fn a_file_that_belongs_nowhere_is_refused() {
    let problems = Scene::new().put("agencys/c.toml", "").problems();
    assert_eq!(problems, ["agencys/c.toml: a catalogue has no file of this name"]);
}

#[test]
fn an_agreement_whose_parties_lack_a_role_is_refused() {
    assert_eq!(
        after(A, "\"submit\", ", ""),
        ["agreements/push.toml:5: no system has the role `submit` and may act for `a`, so it can never be used"]
    );
    assert_eq!(
        after(B, "acts_for = [\"b\", \"a\"]", "acts_for = [\"a\"]"),
        [
            "agreements/pull.toml:6: no system has the role `request` and may act for `b`, so it can never be used",
            "agreements/push.toml:6: no system has the role `receive` and may act for `b`, so it can never be used"
        ]
    );
    assert_eq!(
        after(A, ", \"collect-consent\"", ""),
        ["agreements/pull.toml:10: it demands consent, but no system has the role `collect-consent`"]
    );
}

#[test]
fn every_problem_says_what_to_do() {
    let problems = Scene::new().edit(PUSH, "source = \"a\"", "source = \"x\"").load().unwrap_err();
    let text = problems[0].to_string();
    assert_eq!(
        text,
        "agreements/push.toml:5: no agency `x` in the catalogue\n  help: add agencies/<agency>.toml, or correct the name"
    );
}

#[test]
fn kafka_names_a_system_that_acts_for_the_agency_in_the_role() {
    let with = |more: &str| {
        let mut scene = Scene::new();
        let text = scene.text(A);
        scene.put(A, &format!("{text}\n[kafka]\n{more}\n"));
        scene
    };
    let plain = Scene::new().load().unwrap().digest();
    assert_ne!(with("submits = \"a/main\"").load().unwrap().digest(), plain);
    for (wrong, told) in [
        ("submits = \"a/nobody\"", "no system `a/nobody`"),
        ("receives = \"a/main\"", "`a/main` lacks the role `receive`"),
        ("submits = \"b/main\"", "`b/main` lacks the role `submit`"),
        ("schemas = { x = \"a/b/1.0\" }", "does not map a schema id"),
        ("schemas = { 1 = \"no/thing/1.0\" }", "no schema `no/thing/1.0`"),
        ("other = 1", "unknown field `other`"),
    ] {
        let problems = with(wrong).problems();
        assert!(problems.iter().any(|problem| problem.contains(told)), "{wrong}: {problems:?}");
    }
}
