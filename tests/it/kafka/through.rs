//! From topic to topic: what an agency writes is decided, recorded, told and delivered.

use super::scene::{Event, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn a_record_goes_from_topic_to_topic_through_the_ledger() {
    let scene = Scene::new().await;
    let hub = scene.start();
    let producer = scene.producer();
    let citizen = scene.people.citizen(1).unwrap();
    let record = citizen.records().into_iter().find(|record| record.record_type == "identity/address").unwrap();
    Event::of(&record, "event 1").send(&producer, "waybill.in.identity").await;

    let outcome = scene.read_some("waybill.outcomes.identity", 1).await.remove(0);
    assert_eq!((outcome.header("ce_type"), outcome.header("ce_outcome")), ("waybill.outcome.v1", "recorded"));
    assert_eq!(outcome.header("ce_eventid"), "event 1");
    let said = outcome.json();
    assert_eq!(said["event"]["source"], "urn:registry");
    let recipients = said["recipients"].as_array().unwrap();
    let benefit = recipients.iter().find(|one| one["recipient"] == "benefit").unwrap();

    let delivery = scene.read_some("waybill.out.benefit", 1).await.remove(0);
    assert_eq!(delivery.header("ce_id"), benefit["transferId"]);
    assert_eq!(delivery.header("ce_index"), benefit["index"].to_string());
    assert_eq!(delivery.header("ce_dataschema"), "identity/address/1.0");
    assert_eq!(delivery.header("ce_purpose"), "benefit-administration");
    assert_eq!(delivery.key, delivery.header("ce_partitionkey"));
    let number = citizen.national_number().unwrap();
    assert!(!delivery.key.contains(number) && delivery.json().is_object());
    assert!(hub.stop().await.success());
}
