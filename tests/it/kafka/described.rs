//! The AsyncAPI document describes the messages as they are: what the hub writes has the headers that stand in it and no
//! others, and of what it reads it takes what the document allows and nothing that lacks what the document demands.

use std::{collections::HashMap, process::Command};

use serde_json::{Value, json};

use super::scene::{Event, Read, Scene};

/// The headers of a channel's messages.
fn described(document: &Value, channel: &str) -> Vec<Value> {
    let messages = document["channels"][channel]["messages"].as_object().unwrap_or_else(|| panic!("{channel}"));
    messages.values().map(|message| message["headers"].clone()).collect()
}

fn fits(headers: &HashMap<String, String>, schema: &Value) -> bool {
    let named = schema["properties"].as_object().unwrap();
    headers.keys().all(|name| named.contains_key(name)) && jsonschema::is_valid(schema, &json!(headers))
}

fn fits_any(read: &Read, schemas: &[Value]) -> bool {
    schemas.iter().any(|schema| fits(&read.headers, schema))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_and_read_is_what_the_document_says() {
    let scene = Scene::new().await;
    let hub = scene.start();
    let asked = Command::new(env!("CARGO_BIN_EXE_waybill"))
        .args(["kafka", "asyncapi", "--config"])
        .arg(&scene.hub.place.config_file)
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let document: Value = serde_json::from_slice(&asked.stdout).unwrap();

    let citizen = scene.people.citizen(1).unwrap();
    let record = citizen.records().into_iter().find(|record| record.record_type == "identity/address").unwrap();
    let producer = scene.producer();
    Event::of(&record, "event 1").send(&producer, "waybill.in.identity").await;
    for (topic, channel) in [
        ("waybill.in.identity", "in-identity"),
        ("waybill.outcomes.identity", "outcomes-identity"),
        ("waybill.out.benefit", "out-benefit"),
    ] {
        let read = scene.read_some(topic, 1).await.remove(0);
        let known = described(&document, channel);
        assert!(fits_any(&read, &known), "{channel}: {:?} of {known:?}", read.headers);
    }

    // Of the submission, whatever the document demands.
    let address = json!({ "const": "identity/address/1.0", "type": "string" });
    let is_address = |schema: &Value| schema["properties"]["ce_dataschema"] == address;
    let schema = described(&document, "in-identity").into_iter().find(is_address).unwrap();
    let demanded = schema["required"].as_array().unwrap();
    for name in demanded {
        let name = name.as_str().unwrap();
        Event::of(&record, &format!("without {name}")).without(name).send(&producer, "waybill.in.identity").await;
    }
    // Without the record's id, or what an agreement demands of the context, it can be read, and is refused.
    let refused = ["ce_subject", "ce_actor", "ce_casereference", "ce_reason"];
    let refused = demanded.iter().filter(|name| refused.contains(&name.as_str().unwrap())).count();
    let told = scene.read_some("waybill.dead.identity", demanded.len() - refused).await;
    let known = described(&document, "dead-identity");
    assert!(told.iter().all(|letter| fits_any(letter, &known)), "{known:?}");
    let outcomes = scene.read_some("waybill.outcomes.identity", 1 + refused).await;
    let recorded = outcomes.iter().filter(|one| one.header("ce_outcome") == "recorded");
    assert_eq!(recorded.count(), 1, "{demanded:?}");
    assert!(hub.stop().await.success());
}
