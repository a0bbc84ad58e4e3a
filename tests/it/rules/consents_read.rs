//! Consents as those who collect them read them, which is an entry each time; and what an entry says of their evidence.

use tonic::Code;
use waybill::ledger::Attribute;
use waybill_proto::v1;

use crate::scene::{Scene, said};

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
async fn a_reading_of_consents_that_is_repeated_has_one_entry_and_shows_what_is_so_now() {
    let scene = Scene::new().await;
    let list =
        v1::ListRequest { idempotency_key: scene.key(), subject: scene.subject(0), context: crate::scene::context() };
    let mut portal = scene.consents("benefit/portal").await;
    let first = portal.list(list.clone()).await.unwrap().into_inner();
    assert!(first.consents.is_empty());
    scene.granted(scene.grant(0, PUSH)).await;
    let size = scene.size();
    let again = portal.list(list.clone()).await.unwrap().into_inner();
    assert_eq!((again.read.unwrap().index, again.consents.len()), (first.read.unwrap().index, 1));
    assert_eq!(scene.size(), size, "nothing was added");
    let other = v1::ListRequest { subject: scene.subject(1), ..list.clone() };
    assert_eq!(portal.list(other).await.unwrap_err().code(), Code::AlreadyExists);
    let one = v1::GetRequest {
        idempotency_key: list.idempotency_key,
        consent_id: again.consents[0].consent_id.clone(),
        subject: list.subject,
        context: list.context,
    };
    assert_eq!(portal.get(one).await.unwrap_err().code(), Code::AlreadyExists, "another kind of reading");
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
