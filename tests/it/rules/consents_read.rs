//! Consents as those who collect them read them, which is an entry each time; and what an entry says of their evidence.

use tonic::Code;
use waybill::ledger::Attribute;
use waybill_proto::v1;

use crate::scene::{Scene, refusal_in, said};

const PUSH: &str = "identity-contact-to-benefit";

#[tokio::test(flavor = "multi_thread")]
async fn reading_consents_is_an_entry() {
    let scene = Scene::new().await;
    let consent = scene.granted(scene.grant(0, PUSH)).await.consent_id;
    let context = crate::scene::context();
    // A front desk of another agency than the one that collected it: a person may take it back there too.
    let mut identity = scene.consents("identity/portal").await;
    let list = v1::ListRequest { idempotency_key: scene.key(), subject: scene.subject(0), context: context.clone() };
    let get = v1::GetRequest {
        idempotency_key: scene.key(),
        consent_id: consent.clone(),
        subject: scene.subject(0),
        context,
    };
    let listed = identity.list(list.clone()).await.unwrap().into_inner();
    let got = identity.get(get.clone()).await.unwrap().into_inner();
    assert_eq!(listed.consents, [got.consent.unwrap()]);
    assert_eq!(listed.consents[0].consent_id, consent);
    let none = identity
        .list(v1::ListRequest { idempotency_key: scene.key(), subject: scene.subject(5), ..list })
        .await
        .unwrap()
        .into_inner();
    assert!(none.consents.is_empty());

    let about = v1::SearchRequest { kind: "audit_read".into(), ..Default::default() };
    let readings = scene.found("hub/dpo", v1::SearchRequest { subject: scene.subject(0), ..about.clone() }).await;
    for (read, searched) in [(listed.read.unwrap(), "all"), (got.read.unwrap(), "one")] {
        scene.verify(&read, None);
        let entry = readings.iter().find(|entry| entry.index == read.index).expect("it is among the person's entries");
        assert_eq!(said(entry, Attribute::System), "\"identity/portal\"");
        let what: serde_json::Value = serde_json::from_str(&said(entry, Attribute::WhatWasSearched)).unwrap();
        let what: serde_json::Value = serde_json::from_str(what.as_str().unwrap()).unwrap();
        assert_eq!(what, serde_json::json!({ "about": "one person", "consents": searched }));
    }
    let read = none.read.unwrap();
    let readings = scene.found("hub/dpo", v1::SearchRequest { subject: scene.subject(5), ..about }).await;
    assert!(readings.iter().any(|entry| entry.index == read.index), "also where there was nothing to be seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_of_consents_that_is_repeated_has_one_entry_and_shows_nothing_newer() {
    let scene = Scene::new().await;
    let consent = scene.granted(scene.grant(0, PUSH)).await.consent_id;
    let list =
        v1::ListRequest { idempotency_key: scene.key(), subject: scene.subject(0), context: crate::scene::context() };
    let mut portal = scene.consents("benefit/portal").await;
    let first = portal.list(list.clone()).await.unwrap().into_inner();
    assert_eq!(first.consents.len(), 1);
    scene.granted(scene.grant(0, PUSH)).await;
    scene.withdrawn(scene.withdrawal(0, &consent)).await;
    let size = scene.size();
    let again = portal.list(list.clone()).await.unwrap().into_inner();
    assert_eq!(again.read.unwrap().index, first.read.unwrap().index);
    let [same] = &again.consents[..] else { panic!("{:?}", again.consents) };
    assert_eq!((&same.consent_id, same.state()), (&consent, v1::ConsentState::Withdrawn), "as it stands now");
    assert_eq!(scene.size(), size, "nothing was added");
    let other = v1::ListRequest { subject: scene.subject(1), ..list.clone() };
    assert_eq!(portal.list(other).await.unwrap_err().code(), Code::AlreadyExists);
    let one = v1::GetRequest {
        idempotency_key: list.idempotency_key.clone(),
        consent_id: consent,
        subject: list.subject,
        context: list.context,
    };
    assert_eq!(portal.get(one).await.unwrap_err().code(), Code::AlreadyExists, "another kind of reading");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_nobody_could_read_is_refused_alike_when_it_is_repeated() {
    let scene = Scene::new().await;
    let subject = vec![v1::Identifier { scheme: String::new(), value: "1".into() }];
    let bad = v1::ListRequest { idempotency_key: scene.key(), subject, context: crate::scene::context() };
    let mut portal = scene.consents("benefit/portal").await;
    let first = refusal_in(&portal.list(bad.clone()).await.unwrap_err());
    let size = scene.size();
    let again = refusal_in(&portal.list(bad.clone()).await.unwrap_err());
    assert_eq!((&again.code, again.receipt.unwrap().index), (&first.code, first.receipt.unwrap().index));
    assert_eq!(scene.size(), size);
    let good = v1::ListRequest { subject: scene.subject(0), ..bad };
    assert_eq!(portal.list(good).await.unwrap_err().code(), Code::AlreadyExists, "the key is taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_evidence_lets_nobody_guess_it() {
    let scene = Scene::new().await;
    let mut commitments = Vec::new();
    for _ in 0..2 {
        let granted = scene.granted(scene.grant(0, PUSH)).await;
        let entry = scene.entry(granted.receipt.unwrap().index).await;
        let evidence: serde_json::Value = serde_json::from_str(&said(&entry, Attribute::Evidence)).unwrap();
        assert_eq!(evidence["media_type"], "text/plain");
        assert_eq!(evidence.as_object().unwrap().len(), 2, "{evidence}");
        commitments.push(evidence["commitment"].as_str().unwrap().to_owned());
    }
    assert!(commitments.iter().all(|one| one.len() == 64));
    assert_ne!(commitments[0], commitments[1], "of the same evidence");
}
