//! Consent: what it opens, and that taking it back closes it at once, whatever is under way.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, task::JoinSet};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use waybill::{
    domain::{
        refusal::RefusalCode,
        time::{Clock as _, Moment},
    },
    ledger::Attribute,
};
use waybill_proto::v1::{self, request_response::Answer};

use super::calls::{Call, Recipient, provide_always};
use crate::scene::{Scene, detail, refusal_in, said, timestamp};

const PUSH: &str = "identity-contact-to-benefit";
const PULL: &str = "benefit-asks-contact";

/// Pushes a citizen's contact data; says the decision, as the hub's officer reads it, and its id.
async fn push_contact(scene: &Scene, citizen: usize) -> (v1::EntryView, String) {
    let outcome = scene.push(scene.record(citizen, "identity/contact")).await.unwrap();
    let [decision] = <[_; 1]>::try_from(outcome.recipients).unwrap();
    assert!(decision.refusal.is_none(), "the source is not told what lies in the person");
    (scene.entry(decision.receipt.unwrap().index).await, decision.transfer_id)
}

async fn ask(scene: &Scene, request: v1::RequestRequest) -> Result<v1::RequestResponse, Status> {
    scene.exchange("benefit/claims").await.request(request).await.map(tonic::Response::into_inner)
}

fn ids(reached: &[v1::Reached]) -> BTreeSet<&str> {
    reached.iter().map(|one| one.transfer_id.as_str()).collect()
}

/// `transfer`, or the code of the refusal.
fn decided(entry: &v1::EntryView) -> String {
    let code = said(entry, Attribute::RefusalCode);
    if code.is_empty() { entry.kind.clone() } else { code.trim_matches('"').to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_had_claimed_when_it_was_taken_back_never_leaves() {
    let scene = Scene::new().await;
    assert_eq!(decided(&push_contact(&scene, 0).await.0), "consent.missing");
    let consent = scene.granted(scene.grant(0, PUSH)).await.consent_id;
    let (first, first_id) = push_contact(&scene, 0).await;
    let (second, second_id) = push_contact(&scene, 0).await;
    assert_eq!((decided(&first), decided(&second)), ("transfer".into(), "transfer".into()));

    let withdrawal = scene.withdrawal(0, &consent);
    let withdrawn = scene.withdrawn(withdrawal.clone()).await;
    assert_eq!(ids(&withdrawn.cancelled), [&*first_id, &*second_id].into());
    assert!(withdrawn.may_have_been_received.is_empty());
    scene.verify(withdrawn.receipt.as_ref().unwrap(), None);
    let again = scene.withdrawn(withdrawal).await;
    assert_eq!(again.receipt.unwrap().index, withdrawn.receipt.unwrap().index);
    assert_eq!((ids(&again.cancelled), again.may_have_been_received.len()), (ids(&withdrawn.cancelled), 0));
    let entry = scene.entry(first.index).await;
    assert_eq!(entry.delivery, "cancelled");

    assert_eq!(decided(&push_contact(&scene, 0).await.0), "consent.withdrawn");
    // What rests on a law goes on, and is all that arrives.
    let address = scene.push(scene.record(0, "identity/address")).await.unwrap();
    let mut benefit = Recipient::connect(&scene, "benefit/claims").await;
    let delivery = benefit.next().await;
    assert_eq!(delivery.transfer_id, address.recipients[0].transfer_id);
    benefit.acknowledge(&delivery).await;
    let marker = scene.push(scene.record(1, "identity/address")).await.unwrap();
    assert_eq!(benefit.next().await.transfer_id, marker.recipients[0].transfer_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_recipient_had_claimed_is_named_and_never_sent_again() {
    let scene = Scene::new().await;
    scene.push(scene.record(1, "identity/address")).await.unwrap();
    let mut benefit = Recipient::connect(&scene, "benefit/claims").await;
    let before = benefit.next().await;
    benefit.acknowledge(&before).await;
    let consent = scene.granted(scene.grant(0, PUSH)).await.consent_id;
    let (_, claimed) = push_contact(&scene, 0).await;
    assert_eq!(benefit.next().await.transfer_id, claimed);
    let (_, waiting) = push_contact(&scene, 0).await;

    let withdrawn = scene.withdrawn(scene.withdrawal(0, &consent)).await;
    assert!(ids(&withdrawn.may_have_been_received).contains(&*claimed));
    let named: BTreeSet<&str> =
        ids(&withdrawn.cancelled).union(&ids(&withdrawn.may_have_been_received)).copied().collect();
    assert_eq!(named, [&*claimed, &*waiting].into(), "everything that rested on it is named once");
    drop(benefit);
    let mut benefit = Recipient::connect(&scene, "benefit/claims").await;
    let marker = scene.push(scene.record(2, "identity/address")).await.unwrap();
    assert_eq!(benefit.next().await.transfer_id, marker.recipients[0].transfer_id, "neither comes again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_refused_once_its_consent_is_withdrawn_while_one_on_another_basis_goes_on() {
    let scene = Scene::new().await;
    let records = scene.citizen(0).records();
    let record = |of: &str| records.iter().find(|record| record.record_type == of).unwrap();
    provide_always(&scene, "identity/registry", scene.submission(record("identity/contact"))).await;
    provide_always(&scene, "tax/registry", scene.submission(record("tax/income-statement"))).await;
    scene.push(scene.record(0, "identity/address")).await.unwrap();
    let contact = || scene.request(0, "identity/contact", "optional-reminders");
    let income = || scene.request(0, "tax/income-statement", "income-assessment");

    let refused = ask(&scene, contact()).await.unwrap_err();
    assert_eq!((refused.code(), refusal_in(&refused).code), (Code::FailedPrecondition, "consent.missing".into()));
    let consent = scene.granted(scene.grant(0, PULL)).await.consent_id;
    let asked = contact();
    let Some(Answer::Evidence(evidence)) = ask(&scene, asked.clone()).await.unwrap().answer else {
        panic!("no record")
    };
    let withdrawn = scene.withdrawn(scene.withdrawal(0, &consent)).await;
    let [gone] = &withdrawn.may_have_been_received[..] else { panic!("{withdrawn:?}") };
    assert_eq!((&gone.transfer_id, gone.state()), (&evidence.transfer_id, v1::DeliveryState::Answered));
    assert!(withdrawn.cancelled.is_empty());

    let refused = ask(&scene, contact()).await.unwrap_err();
    assert_eq!((refused.code(), refusal_in(&refused).code), (Code::FailedPrecondition, "consent.withdrawn".into()));
    let again = ask(&scene, asked).await.unwrap_err();
    assert_eq!(again.get_details_error_info().unwrap().reason, "evidence.not-kept");
    let Some(Answer::Evidence(same)) = detail::<v1::RequestResponse>(&again, "RequestResponse").unwrap().answer else {
        panic!("{again:?}")
    };
    assert_eq!(same.receipt.unwrap().index, evidence.receipt.unwrap().index, "a repeat gets the same entries");
    assert!(!evidence.payload.is_empty() && same.payload.is_empty(), "and the record leaves no more");
    let Some(Answer::Evidence(_)) = ask(&scene, income()).await.unwrap().answer else { panic!("no income") };
    let withdrawal = Call::Withdraw(scene.withdrawal(0, &consent));
    assert_eq!(withdrawal.fails(&scene, "identity/portal").await.code(), "consent.withdrawn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_begins_and_ends_by_itself() {
    let scene = Scene::new().await;
    let hour = Duration::from_hours(1);
    let now = scene.clock.now();
    let grant = v1::GrantRequest {
        valid_from: timestamp(now.after(hour)),
        valid_until: timestamp(now.after(2 * hour)),
        ..scene.grant(0, PUSH)
    };
    let consent = scene.granted(grant).await.consent_id;
    let state = async || {
        let get = v1::GetRequest {
            idempotency_key: scene.key(),
            consent_id: consent.clone(),
            subject: scene.subject(0),
            context: crate::scene::context(),
        };
        scene.consents("identity/portal").await.get(get).await.unwrap().into_inner().consent.unwrap().state()
    };
    for (expected, decision) in [
        (v1::ConsentState::Future, "consent.missing"),
        (v1::ConsentState::Active, "transfer"),
        (v1::ConsentState::Expired, "consent.expired"),
    ] {
        assert_eq!(state().await, expected);
        assert_eq!(decided(&push_contact(&scene, 0).await.0), decision);
        scene.clock.advance(hour);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_a_representative_gave_ends_with_the_authority() {
    let scene = Scene::new().await;
    let hour = Duration::from_hours(1);
    let now = scene.clock.now();
    let given = |authority: v1::Authority, until: Option<Moment>, valid_until: Option<Moment>| {
        let representative = "guardian 5".to_owned();
        let until = until.and_then(timestamp);
        let acting_for = Some(v1::Representation { representative, authority: authority.into(), until });
        let context = crate::scene::context().map(|context| v1::Context { acting_for, ..context });
        let valid_until = valid_until.and_then(timestamp);
        v1::GrantRequest { valid_until, context, ..scene.grant(0, PUSH) }
    };
    let unended = scene.consents("benefit/portal").await.grant(given(v1::Authority::Parent, None, None)).await;
    let refused = unended.unwrap_err().get_details_bad_request().unwrap();
    assert_eq!(refused.field_violations[0].field, "/context/acting_for/until", "a child comes of age");
    scene.granted(given(v1::Authority::Attorney, None, Some(now.after(hour)))).await;
    scene.granted(given(v1::Authority::Parent, Some(now.after(2 * hour)), Some(now.after(5 * hour)))).await;
    let (entry, _) = push_contact(&scene, 0).await;
    assert_eq!(decided(&entry), "transfer");
    for decision in ["transfer", "consent.expired"] {
        scene.clock.advance(hour);
        assert_eq!(decided(&push_contact(&scene, 0).await.0), decision);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_is_given_anew_opens_again() {
    let scene = Scene::new().await;
    let consent = scene.granted(scene.grant(0, PUSH)).await.consent_id;
    scene.withdrawn(scene.withdrawal(0, &consent)).await;
    assert_eq!(decided(&push_contact(&scene, 0).await.0), "consent.withdrawn");
    let anew = scene.granted(scene.grant(0, PUSH)).await.consent_id;
    let (entry, _) = push_contact(&scene, 0).await;
    assert_eq!((decided(&entry), said(&entry, Attribute::ConsentId)), ("transfer".into(), format!("\"{anew}\"")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_names_the_other_consents_that_still_allow_the_same() {
    let scene = Scene::new().await;
    let ended = v1::GrantRequest {
        valid_until: timestamp(scene.clock.now().after(Duration::from_secs(60))),
        ..scene.grant(0, PUSH)
    };
    scene.granted(ended).await;
    scene.granted(scene.grant(0, PULL)).await;
    let first = scene.granted(scene.grant(0, PUSH)).await.consent_id;
    let second = scene.granted(scene.grant(0, PUSH)).await.consent_id;
    scene.clock.advance(Duration::from_secs(60));
    let withdrawal = scene.withdrawal(0, &first);
    assert_eq!(scene.withdrawn(withdrawal.clone()).await.still_given, [second.as_str()]);
    assert_eq!(scene.withdrawn(withdrawal).await.still_given, [second.as_str()], "a repeat is told the same");
    assert_eq!(decided(&push_contact(&scene, 0).await.0), "transfer");
    assert!(scene.withdrawn(scene.withdrawal(0, &second)).await.still_given.is_empty());
    assert_eq!(decided(&push_contact(&scene, 0).await.0), "consent.withdrawn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_under_another_agreement_or_of_another_person_does_not_help() {
    let scene = Scene::new().await;
    scene.granted(scene.grant(0, PULL)).await;
    scene.granted(scene.grant(1, PUSH)).await;
    assert_eq!(decided(&push_contact(&scene, 0).await.0), "consent.missing");
    let refused = ask(&scene, scene.request(1, "identity/contact", "optional-reminders")).await.unwrap_err();
    assert_eq!(refusal_in(&refused).code, "consent.missing");
    assert_eq!(decided(&push_contact(&scene, 1).await.0), "transfer");
}

/// Publishes the push agreement at another revision, with one more field or without it; says whether that was done.
async fn revise(scene: &Scene, revision: u32, consent_since: u32, more: bool) -> Result<bool, tonic::Status> {
    let file = scene.catalogue().join("agreements/identity-contact-to-benefit.toml");
    let text = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/demo/catalogue/agreements/identity-contact-to-benefit.toml"
    ));
    let revised = format!("revision = {revision}\nconsent_since_revision = {consent_since}");
    let mut text = text.unwrap().replace("revision = 1", &revised);
    if more {
        text = text.replace("\"/email\",", "\"/email\", \"/mobile\",");
    }
    fs::write(file, text).unwrap();
    let publish = v1::PublishCatalogueRequest { idempotency_key: scene.key() };
    Ok(scene.operator("hub/operator").await.publish_catalogue(publish).await?.into_inner().changed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_covers_later_revisions_as_the_agreement_says_and_never_fields_that_were_added() {
    let scene = Scene::new().await;
    scene.granted(scene.grant(0, PUSH)).await;
    assert!(revise(&scene, 2, 1, false).await.unwrap());
    assert_eq!(decided(&push_contact(&scene, 0).await.0), "transfer", "revision 2 shows what 1 showed");
    for (revision, since) in [(2, 1), (3, 1), (3, 2)] {
        let refused = refusal_in(&revise(&scene, revision, since, true).await.unwrap_err());
        assert_eq!(refused.code, "catalogue.refused", "revision {revision} would show more to consents since {since}");
    }
    assert_eq!(decided(&push_contact(&scene, 0).await.0), "transfer", "revision 2 is in force");
    assert!(revise(&scene, 3, 3, true).await.unwrap());
    assert_eq!(decided(&push_contact(&scene, 0).await.0), "consent.missing", "revision 3 shows more");
    for (revision, refused) in [(2, true), (4, true), (3, false)] {
        let grant = Call::Grant(v1::GrantRequest { agreement_revision: revision, ..scene.grant(0, PUSH) });
        let granted = grant.make(&scene, "benefit/portal").await.map_err(|failed| failed.code());
        assert_eq!(granted, if refused { Err("call.malformed".to_owned()) } else { Ok(()) }, "{revision}");
    }
    assert_eq!(decided(&push_contact(&scene, 0).await.0), "transfer");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rests_on_a_law_cannot_be_consented_to() {
    let scene = Scene::new().await;
    for agreement in ["identity-address-to-tax", "benefit-asks-income"] {
        let failed = Call::Grant(scene.grant(0, agreement)).fails(&scene, "benefit/portal").await;
        assert_eq!(failed.code(), RefusalCode::CallMalformed.code());
    }
}

/// Submissions under way at once.
const AT_ONCE: usize = 200;
/// How many have been answered when the consent is taken back.
const ANSWERED: usize = 40;
/// Nobody goes on for ever, so that a withdrawal that never comes through fails the test and does not hang it.
const EACH_MAX: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_transfer_rests_on_a_consent_after_its_withdrawal_however_many_keep_coming() {
    let scene = Arc::new(Scene::new().await);
    let consent = scene.granted(scene.grant(0, PUSH)).await.consent_id;
    let (answered, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let closed = Arc::new(AtomicBool::new(false));
    let mut submits = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (scene, answered, enough, closed) = (scene.clone(), answered.clone(), enough.clone(), closed.clone());
        submits.spawn(async move {
            let mut indices = Vec::new();
            // Each goes on until the consent is gone, and then once more.
            for _ in 0..EACH_MAX {
                let last = closed.load(Ordering::SeqCst);
                let outcome = scene.push(scene.record(0, "identity/contact")).await.unwrap();
                indices.push(outcome.recipients[0].receipt.as_ref().unwrap().index);
                if answered.fetch_add(1, Ordering::SeqCst) + 1 == ANSWERED {
                    enough.notify_one();
                }
                if last {
                    break;
                }
            }
            indices
        });
    }
    enough.notified().await;
    let withdrawal = scene.withdrawal(0, &consent);
    let withdrawn = scene.consents("benefit/portal").await.withdraw(withdrawal).await.unwrap().into_inner();
    closed.store(true, Ordering::SeqCst);
    let mut submitted: BTreeSet<u64> = BTreeSet::new();
    while let Some(indices) = submits.join_next().await {
        for index in indices.unwrap() {
            assert!(submitted.insert(index), "each has an entry of its own");
        }
    }
    let end = withdrawn.receipt.unwrap().index;

    let search =
        v1::SearchRequest { subject: scene.subject(0), agency: "identity".into(), ..v1::SearchRequest::default() };
    let decisions = scene.found("hub/dpo", search).await;
    let decisions: Vec<_> = decisions.into_iter().filter(|entry| submitted.contains(&entry.index)).collect();
    assert_eq!(decisions.len(), submitted.len());
    let mut transfers = BTreeSet::new();
    for entry in &decisions {
        if entry.index < end {
            assert_eq!(decided(entry), "transfer");
            assert_eq!(said(entry, Attribute::ConsentId), format!("\"{consent}\""));
            transfers.insert(said(entry, Attribute::TransferId).trim_matches('"').to_owned());
        } else {
            assert_eq!(decided(entry), "consent.withdrawn", "entry {} after {end}", entry.index);
        }
    }
    println!("{} of {} before the withdrawal", transfers.len(), submitted.len());
    assert!(transfers.len() >= ANSWERED && transfers.len() < submitted.len());
    let cancelled: BTreeSet<String> = ids(&withdrawn.cancelled).into_iter().map(str::to_owned).collect();
    assert_eq!(cancelled, transfers, "all that was under way is cancelled, since no recipient was there");
    assert!(withdrawn.may_have_been_received.is_empty());
}
