//! Acknowledged, rejected, given up, replayed, cancelled: each end is an entry, written once.

use waybill::{
    desk::{CallError, SearchCall, TransferState, WithdrawCall},
    domain::{refusal::RefusalCode, transfer::DeliveryState},
    drivers::Outcome,
    ledger::Attribute,
};

use super::scene::{DPO, IDENTITY, OPERATOR, PORTAL, Scene, TAX, context, key, opened, verify};

async fn state(scene: &Scene, transfer: &str) -> Option<TransferState> {
    scene.core.desk.get_transfer(TAX, transfer, context()).await.unwrap().state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_carries_a_receipt_that_verifies_and_its_acknowledgement_is_an_entry() {
    let scene = Scene::new().await;
    let mut tax = scene.connect("tax", 10);
    let [_, transfer] = scene.move_citizen(0, 1).await;
    let delivered = tax.one().await;
    let content = &delivered.content;
    assert_eq!((content.id, delivered.attempt, content.replayed), (transfer, 1, false));
    assert_eq!((content.source.as_str(), content.purpose.as_str()), ("identity", "taxpayer-register"));
    assert_eq!((content.record_type.as_str(), content.schema_version.as_str()), ("identity/address", "1.0"));
    assert_eq!(content.traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert!(content.keep_for.is_some() && content.record.revision == Some(2) && content.pseudonym.len() == 32);
    let receipt = content.receipt.clone().open().await.unwrap();
    verify(&receipt, Some(&content.payload));
    let shown = opened(&receipt);
    let hidden = [Attribute::Actor, Attribute::Case, Attribute::Reason, Attribute::System, Attribute::Withheld];
    assert!(hidden.iter().all(|attribute| !shown.contains(&attribute.number().to_string())), "{shown:?}");
    assert!(shown.iter().any(|name| name.starts_with("/address")), "{shown:?}");

    assert_eq!(state(&scene, &transfer.to_string()).await, Some(TransferState::Delivery(DeliveryState::Claimed)));
    tax.say(transfer, Outcome::Acknowledged).await;
    tax.say(transfer, Outcome::Acknowledged).await;
    let entries = scene.entries("delivery_acknowledged", 1).await;
    let trail = entries[0].trail.as_ref().unwrap();
    assert_eq!(trail.list(Attribute::RefersTo), [transfer.to_string()]);
    let text = |attribute| trail.text(attribute).unwrap();
    assert_eq!((text(Attribute::Source), text(Attribute::Recipient)), ("identity".into(), "tax".into()));
    assert_eq!((text(Attribute::System), text(Attribute::Outcome)), ("tax/registry".into(), "acknowledged".into()));
    assert_eq!(trail.number(Attribute::Attempts), Some(1));
    verify(&entries[0].receipt, None);
    assert_eq!(state(&scene, &transfer.to_string()).await, Some(TransferState::Delivery(DeliveryState::Acknowledged)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_is_an_entry_and_the_next_of_the_same_person_follows() {
    let scene = Scene::new().await;
    let mut tax = scene.connect("tax", 10);
    let [_, first] = scene.move_citizen(0, 1).await;
    let [_, second] = scene.move_citizen(0, 2).await;
    assert_eq!(tax.one().await.content.id, first);
    tax.say(first, Outcome::Rejected).await;
    assert_eq!(tax.one().await.content.id, second);
    let entries = scene.entries("delivery_rejected", 1).await;
    assert_eq!(entries[0].trail.as_ref().unwrap().text(Attribute::Outcome).unwrap(), "rejected: unprocessable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_listed_replayed_once_and_delivered_with_its_old_index() {
    let scene = Scene::new().await;
    let mut tax = scene.connect("tax", 10);
    let [_, transfer] = scene.move_citizen(0, 1).await;
    let mut index = 0;
    for attempt in 1..=2 {
        let delivered = tax.one().await;
        index = delivered.content.index;
        assert_eq!(delivered.attempt, attempt);
        tax.say(transfer, Outcome::Failed).await;
    }
    scene.entries("delivery_dead_lettered", 1).await;
    let desk = &scene.core.desk;
    let page = desk.dead_letters(OPERATOR, "", 0, "").await.unwrap();
    assert_eq!((page.letters.len(), page.next_page.as_str()), (1, ""));
    assert_eq!((page.letters[0].id, page.letters[0].index, page.letters[0].attempts), (transfer, index, 2));

    let key = key();
    let receipt = desk.replay(OPERATOR, &key, &transfer.to_string(), context()).await.unwrap();
    let again = desk.replay(OPERATOR, &key, &transfer.to_string(), context()).await.unwrap();
    assert_eq!((receipt.index, &receipt.entry), (again.index, &again.entry));
    let other = desk.replay(OPERATOR, &super::scene::key(), &transfer.to_string(), context()).await;
    assert!(
        matches!(other, Err(CallError::Refused(refused)) if refused.refusal.code == RefusalCode::DeadLetterUnknown)
    );
    let delivered = tax.one().await;
    assert_eq!((delivered.content.index, delivered.attempt, delivered.content.replayed), (index, 1, true));
    tax.say(transfer, Outcome::Acknowledged).await;
    scene.entries("delivery_acknowledged", 1).await;
    assert!(desk.dead_letters(OPERATOR, "tax", 0, "").await.unwrap().letters.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_come_in_pages_that_leave_out_none() {
    let scene = Scene::new().await;
    let (mut tax, mut benefit) = (scene.connect("tax", 10), scene.connect("benefit", 10));
    let mut ids = Vec::new();
    for citizen in 0..3 {
        let [to_benefit, to_tax] = scene.move_citizen(citizen, 1).await;
        for (link, id) in [(&mut benefit, to_benefit), (&mut tax, to_tax)] {
            for _ in 0..2 {
                assert_eq!(link.one().await.content.id, id);
                link.say(id, Outcome::Failed).await;
            }
            ids.push(id);
        }
    }
    scene.entries("delivery_dead_lettered", 6).await;
    let (mut got, mut token) = (Vec::new(), String::new());
    loop {
        let page = scene.core.desk.dead_letters(OPERATOR, "", 2, &token).await.unwrap();
        assert!(page.letters.len() <= 2);
        got.extend(page.letters.into_iter().map(|letter| letter.id));
        token = page.next_page;
        if token.is_empty() {
            break;
        }
    }
    ids.sort_unstable();
    got.sort_unstable();
    assert_eq!(got, ids);
    let refused = scene.core.desk.dead_letters(IDENTITY, "", 0, "").await.unwrap_err();
    assert!(matches!(refused, CallError::Refused(refused) if refused.refusal.code == RefusalCode::RoleMissing));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_claimed_and_unanswered_is_delivered_again_after_a_restart() {
    let scene = Scene::new().await;
    let mut tax = scene.connect("tax", 10);
    let [_, transfer] = scene.move_citizen(0, 1).await;
    assert_eq!(tax.one().await.content.id, transfer);
    drop(tax);
    let scene = scene.restart().await;
    let mut tax = scene.connect("tax", 10);
    let again = tax.one().await;
    assert_eq!((again.content.id, again.attempt), (transfer, 1));
    verify(&again.content.receipt.open().await.unwrap(), Some(&again.content.payload));
    tax.say(transfer, Outcome::Acknowledged).await;
    scene.entries("delivery_acknowledged", 1).await;
    drop(tax);
    let scene = scene.restart().await;
    let mut tax = scene.connect("tax", 10);
    let [_, next] = scene.move_citizen(1, 1).await;
    assert_eq!(tax.one().await.content.id, next, "what was acknowledged does not come again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_of_which_one_keepers_key_is_damaged_goes_its_way_and_its_entries_open() {
    let scene = Scene::new().await;
    let mut transfers = Vec::new();
    for citizen in 0..3 {
        let [_, transfer] = scene.move_citizen(citizen, 1).await;
        transfers.push(transfer);
    }
    scene.damage_first_keeper(transfers[1]).await;
    let scene = scene.restart().await;
    let mut tax = scene.connect("tax", 10);
    let mut got = 0;
    while got < 3 {
        got += tax.next().await.len();
    }
    for transfer in &transfers {
        tax.say(*transfer, Outcome::Acknowledged).await;
    }
    let entries = scene.entries("delivery_acknowledged", 3).await;
    let told: Vec<_> = entries.iter().map(|entry| entry.trail.as_ref().unwrap().list(Attribute::RefersTo)).collect();
    assert_eq!(told.concat(), [2, 1, 0].map(|nth| transfers[nth].to_string()));
    assert!(state(&scene, &transfers[1].to_string()).await.is_some(), "and its state is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_is_withdrawn_though_a_transfer_under_it_is_damaged_and_the_others_are_found() {
    let scene = Scene::new().await;
    let consent = scene.grant_contact(0).await;
    let transfer = scene.push_contact(0).await;
    let damaged = scene.record_damaged(transfer, false).await;
    let withdraw = WithdrawCall { key: key(), consent, subject: vec![scene.identifier(0)], context: context() };
    let withdrawn = scene.core.desk.withdraw(PORTAL, withdraw).await.unwrap();
    assert_eq!((withdrawn.cancelled.len(), withdrawn.may_have_been_received.len()), (1, 0), "{withdrawn:?}");
    let search = SearchCall { subject: vec![scene.identifier(0)], key: key(), ..SearchCall::default() };
    let found = scene.core.desk.search(DPO, search, context()).await.unwrap().entries;
    let indices: Vec<_> = found.iter().map(|entry| entry.index).collect();
    assert!(indices.contains(&(damaged - 1)) && !indices.contains(&damaged), "it is left out: {indices:?}");
    assert!(indices.contains(&withdrawn.receipt.index), "and what came after it is there");

    let consent = scene.grant_contact(1).await;
    let transfer = scene.push_contact(1).await;
    scene.record_damaged(transfer, true).await;
    let withdraw = WithdrawCall { key: key(), consent, subject: vec![scene.identifier(1)], context: context() };
    let refused = scene.core.desk.withdraw(PORTAL, withdraw).await.unwrap_err();
    assert!(matches!(refused, CallError::Damaged(_)), "it may yet be handed over: {refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_after_the_claim_stops_every_further_attempt_and_a_late_answer_is_recorded() {
    let scene = Scene::new().await;
    let consent = scene.grant_contact(0).await;
    let mut benefit = scene.connect("benefit", 10);
    let address = benefit.one().await.content.id;
    benefit.say(address, Outcome::Acknowledged).await;
    let transfer = scene.push_contact(0).await;
    assert_eq!(benefit.one().await.content.id, transfer);
    let withdraw = WithdrawCall { key: key(), consent, subject: vec![scene.identifier(0)], context: context() };
    let withdrawn = scene.core.desk.withdraw(PORTAL, withdraw).await.unwrap();
    assert_eq!((withdrawn.cancelled.len(), withdrawn.may_have_been_received.len()), (0, 1), "{withdrawn:?}");
    benefit.say(transfer, Outcome::Failed).await;
    let [other, _] = scene.move_citizen(0, 1).await;
    assert_eq!(benefit.one().await.content.id, other, "the cancelled one is not sent again, and its successor passes");
    benefit.say(transfer, Outcome::Acknowledged).await;
    let entries = scene.entries("delivery_acknowledged", 2).await;
    assert_eq!(entries[0].trail.as_ref().unwrap().list(Attribute::RefersTo), [transfer.to_string()]);
}
