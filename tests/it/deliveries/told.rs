//! Who learns what of a transfer.

use waybill::desk::TransferState;
use waybill::{
    desk::CallError,
    domain::{refusal::RefusalCode, transfer::DeliveryState},
    ledger::Kind,
};

use super::scene::{BENEFIT, IDENTITY, OPERATOR, Scene, TAX, context, opened, verify};

#[tokio::test(flavor = "multi_thread")]
async fn the_source_learns_that_it_is_recorded_and_the_recipient_how_it_stands() {
    let scene = Scene::new().await;
    let [_, transfer] = scene.move_citizen(0, 1).await;
    let desk = &scene.core.desk;
    let source = desk.get_transfer(IDENTITY, &transfer.to_string(), context()).await.unwrap();
    assert_eq!((source.state, source.recipient.as_str()), (None, "tax"));
    assert!(source.receipt.commitments.is_none() && opened(&source.receipt).is_empty());
    verify(&source.receipt, None);
    let recipient = desk.get_transfer(TAX, &transfer.to_string(), context()).await.unwrap();
    assert_eq!(recipient.state, Some(TransferState::Delivery(DeliveryState::Due)));
    assert!(!opened(&recipient.receipt).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_decision_looks_the_same_to_its_source_and_is_unknown_to_its_recipient() {
    let scene = Scene::new().await;
    let refused = scene.push_contact(0).await;
    let desk = &scene.core.desk;
    let source = desk.get_transfer(IDENTITY, &refused.to_string(), context()).await.unwrap();
    assert_eq!((source.state, source.recipient.as_str()), (None, "benefit"));
    assert!(source.receipt.commitments.is_none() && opened(&source.receipt).is_empty());
    let recipient = desk.get_transfer(BENEFIT, &refused.to_string(), context()).await.unwrap_err();
    assert!(matches!(recipient, CallError::Refused(refused) if refused.refusal.code == RefusalCode::TransferUnknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn others_and_unknown_ids_get_the_same_refusal_which_is_an_entry() {
    let scene = Scene::new().await;
    let [_, to_tax] = scene.move_citizen(0, 1).await;
    let desk = &scene.core.desk;
    let unknown = uuid::Uuid::now_v7().to_string();
    let calls = [(BENEFIT, to_tax.to_string()), (TAX, unknown), (TAX, "no id".to_owned())];
    for (peer, id) in &calls {
        let error = desk.get_transfer(*peer, id, context()).await.unwrap_err();
        let CallError::Refused(refused) = error else { panic!("{error}") };
        assert_eq!(refused.refusal.code, RefusalCode::TransferUnknown);
        verify(&refused.receipt, None);
    }
    scene.entries(Kind::Refusal.name(), calls.len()).await;
    let error = desk.get_transfer(OPERATOR, &to_tax.to_string(), context()).await.unwrap_err();
    assert!(matches!(error, CallError::Refused(refused) if refused.refusal.code == RefusalCode::RoleMissing));
}
