//! Audit: what is searched is found, by those whom it concerns, page by page while the ledger grows; and each reading is
//! itself an entry.

use std::{collections::BTreeSet, time::Duration};

use waybill::{domain::time::Clock as _, ledger::Attribute};
use waybill_proto::v1;

use super::calls::{Call, Recipient};
use crate::scene::{Scene, context, refusal_in, said, timestamp};

const HUB: &str = "hub/dpo";

fn indices(entries: &[v1::EntryView]) -> Vec<u64> {
    entries.iter().map(|entry| entry.index).collect()
}

/// The words that an entry says under an attribute.
fn word(entry: &v1::EntryView, attribute: Attribute) -> String {
    said(entry, attribute).trim_matches('"').to_owned()
}

/// Whether an agency takes part in what an entry says. A call that is refused before the other agency hears of it concerns
/// the caller's alone.
fn takes_part(one: &v1::EntryView, agency: &str) -> bool {
    let parties = [Attribute::Source, Attribute::Recipient].map(|of| word(one, of));
    let refused = one.kind.replace('-', "_") == "refusal";
    word(one, Attribute::OnBehalfOf) == agency
        || word(one, Attribute::System).starts_with(&format!("{agency}/"))
        || !refused && parties.iter().any(|party| party == agency)
}

/// Something of everything: transfers, refusals, consents, deliveries that ended, requests.
async fn eventful() -> Scene {
    let scene = Scene::new().await;
    for citizen in 0..4 {
        for record_type in ["identity/person", "identity/address", "identity/contact", "identity/civil-status"] {
            scene.push(scene.record(citizen, record_type)).await.unwrap();
        }
    }
    let consent = scene.granted(scene.grant(0, "identity-contact-to-benefit")).await.consent_id;
    scene.push(scene.record(0, "identity/contact")).await.unwrap();
    scene.withdrawn(scene.withdrawal(0, &consent)).await;
    let mut benefit = Recipient::connect(&scene, "benefit/claims").await;
    for _ in 0..3 {
        let delivery = benefit.next().await;
        benefit.acknowledge(&delivery).await;
    }
    let request = scene.request(1, "identity/contact", "optional-reminders");
    Call::Request(request).fails(&scene, "benefit/claims").await;
    let bad = v1::Submission { payload: "{}".into(), ..scene.record(0, "identity/address") };
    scene.push(bad).await.unwrap_err();
    drop(benefit);
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_exactly_what_says_the_word() {
    let scene = eventful().await;
    // Readings are entries too; what is compared was there before the first of them.
    let size = scene.size();
    let old = |entries: Vec<v1::EntryView>| entries.into_iter().filter(|one| one.index < size).collect::<Vec<_>>();
    let all = old(scene.found(HUB, v1::SearchRequest::default()).await);
    assert_eq!(indices(&all), (0..size).rev().collect::<Vec<_>>(), "everything, newest first");

    for kind in
        ["transfer", "refusal", "refusal_of_submission", "refusal_of_recipient", "consent_granted", "consent_withdrawn"]
    {
        let kind = kind.replace('_', if all.iter().any(|one| one.kind.contains('-')) { "-" } else { "_" });
        let found = old(scene.found(HUB, v1::SearchRequest { kind: kind.clone(), ..Default::default() }).await);
        let expected: Vec<_> = all.iter().filter(|one| one.kind == kind).map(|one| one.index).collect();
        assert!(!expected.is_empty(), "{kind}");
        assert_eq!(indices(&found), expected, "{kind}");
    }
    for (purpose, attribute) in [("joint-assessment", Attribute::Purpose), ("optional-reminders", Attribute::Purpose)] {
        let found = old(scene.found(HUB, v1::SearchRequest { purpose: purpose.into(), ..Default::default() }).await);
        let expected: Vec<_> = all.iter().filter(|one| word(one, attribute) == purpose).map(|one| one.index).collect();
        assert!(!expected.is_empty(), "{purpose}");
        assert_eq!(indices(&found), expected, "{purpose}");
    }
    for outcome in ["consent.missing", "record.invalid"] {
        let found = old(scene.found(HUB, v1::SearchRequest { outcome: outcome.into(), ..Default::default() }).await);
        let says = |one: &&v1::EntryView| word(one, Attribute::Outcome) == outcome;
        let expected: Vec<_> = all.iter().filter(says).map(|one| one.index).collect();
        assert!(!expected.is_empty(), "{outcome}");
        assert_eq!(indices(&found), expected, "{outcome}");
    }
    for agency in ["benefit", "identity", "tax"] {
        let found = old(scene.found(HUB, v1::SearchRequest { agency: agency.into(), ..Default::default() }).await);
        let expected: Vec<_> = all.iter().filter(|one| takes_part(one, agency)).map(|one| one.index).collect();
        assert!(!expected.is_empty() && expected.len() < all.len(), "{agency}");
        assert_eq!(indices(&found), expected, "{agency}");
    }
    let record_type = "identity/civil-status";
    let search = v1::SearchRequest { record_type: record_type.into(), kind: "transfer".into(), ..Default::default() };
    let found = old(scene.found(HUB, search).await);
    assert_eq!(found.len(), 4, "words are joined by and");
    assert!(found.iter().all(|one| word(one, Attribute::RecordType) == record_type && one.kind == "transfer"));
    let nothing = scene.found(HUB, v1::SearchRequest { kind: "gossip".into(), ..Default::default() }).await;
    assert!(nothing.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_for_a_person_finds_what_is_about_her_and_nobody_else() {
    let scene = eventful().await;
    let mut seen = BTreeSet::new();
    for citizen in 0..4 {
        let kind = String::from("transfer");
        let found =
            scene.found(HUB, v1::SearchRequest { subject: scene.subject(citizen), kind, ..Default::default() }).await;
        let expected = if citizen == 0 { 6 } else { 5 }; // person and address twice, civil status once; contact with consent
        assert_eq!(found.len(), expected, "citizen {citizen}");
        assert!(found.iter().all(|one| seen.insert(one.index)), "an entry is about one person");
    }
    let unknown = scene
        .found(HUB, v1::SearchRequest { subject: scene.subject(99), kind: "transfer".into(), ..Default::default() });
    assert!(unknown.await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_from_and_until_a_moment_takes_the_first_and_leaves_the_last() {
    let scene = Scene::new().await;
    let mut moments = Vec::new();
    let mut at = Vec::new();
    for citizen in 0..3 {
        scene.clock.advance(Duration::from_mins(1));
        moments.push(scene.clock.now());
        let outcome = scene.push(scene.record(citizen, "identity/civil-status")).await.unwrap();
        at.push(outcome.recipients[0].receipt.as_ref().unwrap().index);
    }
    let second = |place: usize| waybill::domain::time::Moment::from_secs(moments[place].as_secs());
    for (from, until, expected) in [
        (None, None, vec![at[2], at[1], at[0]]),
        (Some(second(1)), None, vec![at[2], at[1]]),
        (None, Some(second(1)), vec![at[0]]),
        (Some(second(1)), Some(second(2)), vec![at[1]]),
        (Some(second(2)), Some(second(1)), vec![]),
    ] {
        let (from, until) = (from.and_then(timestamp), until.and_then(timestamp));
        let search = v1::SearchRequest { kind: "transfer".into(), from, until, ..Default::default() };
        assert_eq!(indices(&scene.found(HUB, search).await), expected, "{from:?} {until:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_stay_as_they_are_while_the_ledger_grows() {
    let scene = Scene::new().await;
    for citizen in 0..10 {
        scene.push(scene.record(citizen, "identity/address")).await.unwrap();
    }
    let mut ledger = scene.ledger(HUB).await;
    let mut search = v1::SearchRequest {
        idempotency_key: scene.key(),
        context: context(),
        kind: "transfer".into(),
        page_size: 3,
        ..Default::default()
    };
    let before = indices(&scene.found(HUB, v1::SearchRequest { kind: "transfer".into(), ..Default::default() }).await);
    assert_eq!(before.len(), 20);
    let mut paged = Vec::new();
    let mut more = 10..;
    loop {
        let page = ledger.search(search.clone()).await.unwrap().into_inner();
        assert!(page.entries.len() <= 3);
        paged.extend(indices(&page.entries));
        if page.next_page_token.is_empty() {
            break;
        }
        scene.push(scene.record(more.next().unwrap(), "identity/address")).await.unwrap();
        search.page_token = page.next_page_token;
        search.idempotency_key = scene.key();
    }
    assert_eq!(paged, before, "each once, newest first, and nothing that came meanwhile");

    for token in ["x", "-1", "007", &"0".repeat(1_000_000)] {
        let foreign = v1::SearchRequest { page_token: token.into(), idempotency_key: scene.key(), ..search.clone() };
        assert_eq!(refusal_in(&ledger.search(foreign).await.unwrap_err()).code, "call.malformed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_s_officer_sees_exactly_the_entries_that_its_agency_takes_part_in() {
    let scene = eventful().await;
    let size = scene.size();
    let all = scene.found(HUB, v1::SearchRequest::default()).await;
    for agency in ["identity", "benefit", "tax"] {
        let officer = format!("{agency}/dpo");
        let of = |agency: &str| {
            let takes_part = |one: &&v1::EntryView| one.index < size && takes_part(one, agency);
            all.iter().filter(takes_part).map(|one| one.index).collect::<Vec<u64>>()
        };
        let expected = of(agency);
        let found = scene.found(&officer, v1::SearchRequest::default()).await;
        let found: Vec<u64> = indices(&found).into_iter().filter(|index| *index < size).collect();
        assert!(!expected.is_empty());
        let odd: Vec<_> =
            all.iter().filter(|one| found.contains(&one.index) != expected.contains(&one.index)).collect();
        assert!(odd.is_empty(), "{agency}: {odd:?}");
        assert_eq!(found, expected, "{agency}");
        let asking = |index| {
            let (idempotency_key, context) = (scene.key(), context());
            Call::GetEntry(v1::GetEntryRequest { idempotency_key, index, context })
        };
        for entry in all.iter().filter(|one| one.index < size) {
            // What is in the clear is everybody's.
            let public = entry.receipt.as_ref().unwrap().entry[0] == 2;
            let read = asking(entry.index).make(&scene, &officer).await.map_err(|failed| failed.code());
            let may = public || expected.contains(&entry.index);
            assert_eq!(read, if may { Ok(()) } else { Err("entry.unknown".into()) }, "{agency}: {}", entry.index);
        }
        // Naming another agency narrows the search; it does not widen it.
        for other in ["identity", "benefit", "tax"] {
            let search = v1::SearchRequest { agency: other.into(), ..Default::default() };
            let narrowed = indices(&scene.found(&officer, search).await);
            let narrowed: Vec<u64> = narrowed.into_iter().filter(|index| *index < size).collect();
            let both: Vec<u64> = of(other).into_iter().filter(|index| expected.contains(index)).collect();
            assert_eq!(narrowed, both, "{agency} and {other}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reading_is_an_entry_that_says_who_looked_for_what() {
    let scene = Scene::new().await;
    scene.push(scene.record(0, "identity/address")).await.unwrap();
    let size = scene.size();
    let search = v1::SearchRequest {
        idempotency_key: scene.key(),
        subject: scene.subject(0),
        kind: "transfer".into(),
        context: context(),
        ..Default::default()
    };
    let found = scene.ledger("tax/dpo").await.search(search.clone()).await.unwrap().into_inner();
    let read = found.read.unwrap();
    assert_eq!((read.index, scene.size()), (size, size + 1));
    scene.verify(&read, None);
    let again = scene.ledger("tax/dpo").await.search(search).await.unwrap().into_inner();
    assert_eq!((again.read.unwrap().index, scene.size()), (size, size + 1), "a repeat is the same reading");
    assert_eq!(indices(&again.entries), indices(&found.entries));

    let about = v1::SearchRequest { subject: scene.subject(0), kind: "audit_read".into(), ..Default::default() };
    let readings = scene.found(HUB, about).await;
    let entry = readings.iter().find(|one| one.index == size).expect("the person's entries tell who read about her");
    assert_eq!((word(entry, Attribute::Actor), word(entry, Attribute::Case)), ("clerk 7".into(), "case 1".into()));
    assert_eq!((word(entry, Attribute::Reason), word(entry, Attribute::System)), ("a test".into(), "tax/dpo".into()));
    let searched = said(entry, Attribute::WhatWasSearched);
    assert!(searched.contains("one person") && searched.contains("transfer"), "{searched}");
    assert!(!searched.contains(&scene.subject(0)[0].value), "nobody is named");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_must_say_who_in_which_case_and_why() {
    let scene = Scene::new().await;
    let lacking = |strip: fn(&mut v1::Context)| {
        let mut whole = context().unwrap();
        strip(&mut whole);
        Some(whole)
    };
    let contexts = [
        None,
        lacking(|context| context.actor.clear()),
        lacking(|context| context.case_reference.clear()),
        lacking(|context| context.reason.clear()),
    ];
    for context in contexts {
        let idempotency_key = scene.key();
        let search = v1::SearchRequest { idempotency_key, context: context.clone(), ..Default::default() };
        assert_eq!(Call::Search(search).fails(&scene, "tax/dpo").await.code(), "context.missing");
        let entry = Call::GetEntry(v1::GetEntryRequest { idempotency_key: scene.key(), index: 0, context });
        let first = entry.fails(&scene, "tax/dpo").await.refusal().unwrap();
        let again = entry.fails(&scene, "tax/dpo").await.refusal().unwrap();
        assert_eq!((first.code.as_str(), first.receipt), ("context.missing", again.receipt));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_about_somebody_unknown_is_found_once_she_is_known() {
    let scene = Scene::new().await;
    let request = scene.request(5, "identity/contact", "optional-reminders");
    let refused = Call::Request(request).fails(&scene, "benefit/claims").await.refusal().unwrap();
    let asked = Call::ListConsents(v1::ListRequest {
        idempotency_key: scene.key(),
        subject: scene.subject(5),
        context: crate::scene::for_agency("tax"),
    });
    asked.fails(&scene, "benefit/portal").await;
    let search = || v1::SearchRequest { subject: scene.subject(5), ..Default::default() };
    let index = refused.receipt.unwrap().index;
    assert!(indices(&scene.found("benefit/dpo", search()).await).contains(&index), "under her number");
    let idempotency_key = scene.key();
    let reading = v1::SearchRequest { idempotency_key, context: context(), ..search() };
    Call::Search(reading.clone()).make(&scene, "benefit/dpo").await.unwrap();

    scene.push(scene.record(5, "identity/address")).await.unwrap();
    let found = scene.found("benefit/dpo", search()).await;
    let found = indices(&found);
    assert!(found.contains(&index), "and under the person");
    assert!(found.len() > 1, "beside what came since");
    // She became known in between; the reading is still the same one.
    Call::Search(reading).make(&scene, "benefit/dpo").await.unwrap();
}
