//! The catalogue as it is shown: to a system what concerns the agencies that it acts for, to whoever audits or operates
//! the hub all of it.

use waybill_proto::v1;

use crate::scene::{Agreed, Scene, Setup};

/// An agency that hears from identity alone.
const ARCHIVE: &str = r#"
title = "Archive"
public_authority = true
refusal_trail = "2y"
[[system]]
name = "store"
san = "urn:waybill:system:archive:store"
roles = ["receive"]
"#;
const TO_ARCHIVE: Agreed<'static> = Agreed {
    revision: 4,
    direction: "push",
    source: "identity",
    recipient: "archive",
    record_type: "identity/person",
    purpose: "taxpayer-register",
    fields: &["/subject/nationalNumber", "/fullName"],
};

/// Every agreement, with those who take part.
const AGREEMENTS: [(&str, [&str; 2]); 11] = [
    ("benefit-asks-contact", ["benefit", "identity"]),
    ("benefit-asks-income", ["benefit", "tax"]),
    ("benefit-award-to-tax", ["benefit", "tax"]),
    ("identity-address-to-benefit", ["benefit", "identity"]),
    ("identity-address-to-tax", ["identity", "tax"]),
    ("identity-civil-status-to-tax", ["identity", "tax"]),
    ("identity-contact-to-benefit", ["benefit", "identity"]),
    ("identity-person-to-archive", ["archive", "identity"]),
    ("identity-person-to-benefit", ["benefit", "identity"]),
    ("identity-person-to-tax", ["identity", "tax"]),
    ("tax-residency-to-benefit", ["benefit", "tax"]),
];

async fn scene() -> Scene {
    let catalogue = vec![
        ("agencies/archive.toml", ARCHIVE.trim_start().into()),
        ("agreements/identity-person-to-archive.toml", TO_ARCHIVE.file()),
    ];
    Scene::with(Setup { catalogue, ..Setup::default() }).await
}

async fn shown(scene: &Scene, system: &str) -> v1::ShowCatalogueResponse {
    scene.operator(system).await.show_catalogue(v1::ShowCatalogueRequest {}).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_shown_as_far_as_it_concerns_those_whom_a_system_acts_for() {
    let scene = scene().await;
    // Whose partners are whose: tax and benefit have nothing to do with the archive, and nobody with the hub.
    for (system, partners) in [
        ("tax/registry", &["benefit", "identity", "tax"][..]),
        ("tax/dpo", &["benefit", "identity", "tax"]),
        ("benefit/portal", &["benefit", "identity", "tax"]),
        ("identity/registry", &["archive", "benefit", "identity", "tax"]),
        ("archive/store", &["archive", "identity"]),
        ("hub/operator", &["archive", "benefit", "hub", "identity", "tax"]),
        ("hub/dpo", &["archive", "benefit", "hub", "identity", "tax"]),
    ] {
        let catalogue = shown(&scene, system).await;
        let (own, _) = system.split_once('/').unwrap();
        let concerns = |(_, parties): &&(&str, [&str; 2])| own == "hub" || parties.contains(&own);
        let expected: Vec<&str> = AGREEMENTS.iter().filter(concerns).map(|(id, _)| *id).collect();
        let mut agreements: Vec<&str> = catalogue.agreements.iter().map(|one| one.id.as_str()).collect();
        agreements.sort_unstable();
        assert_eq!(agreements, expected, "{system}");
        let mut agencies: Vec<&str> = catalogue.agencies.iter().map(|one| one.id.as_str()).collect();
        agencies.sort_unstable();
        assert_eq!(agencies, partners, "{system}");
        assert_eq!(catalogue.digest, scene.core().desk.catalogue().digest().to_string(), "{system}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_is_shown_as_it_was_made_and_an_agency_with_its_systems() {
    let scene = scene().await;
    let v1::ShowCatalogueResponse { agencies, agreements, .. } = shown(&scene, "archive/store").await;
    let archive = agencies.into_iter().find(|one| one.id == "archive").unwrap();
    assert_eq!((archive.title.as_str(), archive.systems), ("Archive", vec!["archive/store".to_owned()]));
    let [made] = <[_; 1]>::try_from(agreements).unwrap();
    assert_eq!((made.source.as_str(), made.recipient.as_str(), made.revision), ("identity", "archive", 4));
    assert_eq!((made.direction.as_str(), made.demand.as_str()), ("push", "nothing"));
    assert_eq!((made.record_type.as_str(), made.schema_major), ("identity/person", 1));
    assert_eq!((made.title.as_str(), made.purpose.as_str()), ("A test's", "taxpayer-register"));
    assert_eq!((made.basis.as_str(), made.law.as_str()), ("6(1)(c)", "Reports Act (invented), s. 1"));
    assert_eq!(made.fields, ["/fullName", "/subject/nationalNumber"]);
    assert_eq!((made.valid_from.unwrap().seconds, made.valid_until), (1_767_225_600, None));
    let view: serde_json::Value = serde_json::from_str(&made.view_schema).unwrap();
    let mut properties: Vec<&String> = view["properties"].as_object().unwrap().keys().collect();
    properties.sort_unstable();
    assert_eq!(properties, ["fullName", "subject"]);
}
