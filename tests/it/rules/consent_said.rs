//! What a recorded consent says: who gave it, upon which notice, from when and until when.

use std::time::Duration;

use serde_json::{Value, json};
use waybill::{domain::time::Moment, ledger::Attribute};
use waybill_proto::v1;

use super::calls::Call;
use crate::scene::{Scene, context, said, timestamp};

const PUSH: &str = "identity-contact-to-benefit";

fn json_of(entry: &v1::EntryView, attribute: Attribute) -> Value {
    let text = said(entry, attribute);
    if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}

/// What the entry of a recorded consent says of its validity: from, until.
fn validity(entry: &v1::EntryView) -> [Value; 2] {
    [Attribute::ValidFrom, Attribute::ValidUntil].map(|attribute| json_of(entry, attribute))
}

async fn recorded(scene: &Scene, grant: v1::GrantRequest) -> (v1::EntryView, String) {
    let granted = scene.granted(grant).await;
    let entry = scene.entry(granted.receipt.unwrap().index).await;
    assert_eq!(entry.kind, "consent_granted");
    (entry, granted.consent_id)
}

fn whole_seconds(moment: Moment) -> Moment {
    Moment::from_secs(moment.as_secs())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_consent_says_who_gave_it_upon_which_notice_and_for_how_long() {
    let scene = Scene::new().await;
    let from = whole_seconds(scene.now()).after(Duration::from_hours(1));
    let until = from.after(Duration::from_hours(24));
    let notice = Some(v1::Notice { version: "2026-3".into(), language: "nl-BE".into() });
    let grant = scene.grant(0, PUSH);
    let grant = v1::GrantRequest { valid_from: timestamp(from), valid_until: timestamp(until), notice, ..grant };
    let (entry, id) = recorded(&scene, grant).await;
    assert_eq!(json_of(&entry, Attribute::Grantor), "subject");
    assert_eq!(json_of(&entry, Attribute::ActingFor), Value::Null);
    assert_eq!(json_of(&entry, Attribute::Notice), json!({ "language": "nl-BE", "version": "2026-3" }));
    assert_eq!(validity(&entry), [json!(from.to_string()), json!(until.to_string())]);
    assert_eq!(json_of(&entry, Attribute::ConsentId), json!(id));
    let agreed = [Attribute::Agreement, Attribute::AgreementRevision].map(|attribute| json_of(&entry, attribute));
    assert_eq!(agreed, [json!(PUSH), json!(1)]);
    assert_eq!(json_of(&entry, Attribute::Evidence)["media_type"], "text/plain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_without_moments_or_evidence_begins_at_once_and_says_no_end() {
    let scene = Scene::new().await;
    let now = scene.now();
    let (entry, _) = recorded(&scene, v1::GrantRequest { evidence: None, ..scene.grant(0, PUSH) }).await;
    assert_eq!(validity(&entry), [json!(now.to_string()), Value::Null]);
    assert_eq!(json_of(&entry, Attribute::Evidence), Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_a_representative_gave_says_so_and_ends_with_the_authority() {
    let scene = Scene::new().await;
    let until = whole_seconds(scene.now()).after(Duration::from_hours(2));
    let acting_for = Some(v1::Representation {
        representative: "guardian 5".into(),
        authority: v1::Authority::Guardian.into(),
        until: timestamp(until),
    });
    let context = context().map(|context| v1::Context { acting_for, ..context });
    let valid_until = timestamp(until.after(Duration::from_hours(1)));
    let (entry, _) = recorded(&scene, v1::GrantRequest { valid_until, context, ..scene.grant(0, PUSH) }).await;
    assert_eq!(json_of(&entry, Attribute::Grantor), "representative");
    let who = json!({ "authority": "guardian", "representative": "guardian 5", "until": until.to_string() });
    assert_eq!(json_of(&entry, Attribute::ActingFor), who);
    assert_eq!(validity(&entry)[1], json!(until.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_upon_no_notice_or_that_is_over_is_refused_at_the_place_that_says_so() {
    let scene = Scene::new().await;
    let past = timestamp(whole_seconds(scene.now()).before(Duration::from_secs(1)));
    let notice = |version: &str, language: &str| {
        let notice = v1::Notice { version: version.into(), language: language.into() };
        v1::GrantRequest { notice: Some(notice), ..scene.grant(0, PUSH) }
    };
    let by_guardian = v1::GrantRequest {
        context: context().map(|context| {
            let authority = v1::Authority::Guardian.into();
            let acting_for = v1::Representation { representative: "guardian 5".into(), authority, until: past };
            v1::Context { acting_for: Some(acting_for), ..context }
        }),
        ..scene.grant(0, PUSH)
    };
    for (grant, pointer, keyword) in [
        (v1::GrantRequest { notice: None, ..scene.grant(0, PUSH) }, "/notice/version", "required"),
        (notice("", "en"), "/notice/version", "required"),
        (notice("1", ""), "/notice/language", "required"),
        (v1::GrantRequest { valid_until: past, ..scene.grant(0, PUSH) }, "/valid_until", "minimum"),
        (by_guardian, "/context/acting_for/until", "minimum"),
    ] {
        let refused = Call::Grant(grant).fails(&scene, "benefit/portal").await.refusal().unwrap();
        let faults: Vec<_> = refused.violations.iter().map(|one| (&*one.pointer, &*one.keyword)).collect();
        assert_eq!((&*refused.code, faults), ("call.malformed", vec![(pointer, keyword)]));
    }
}
