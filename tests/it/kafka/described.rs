//! The AsyncAPI document describes the messages as they are: each header that is written or read stands in it, and what it
//! demands is there.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use super::scene::{Event, Read, Scene};

/// The document's headers of a channel's messages: all, and those that it demands.
fn described(document: &Value, channel: &str) -> Vec<(BTreeSet<String>, BTreeSet<String>)> {
    let messages = document["channels"][channel]["messages"].as_object().unwrap_or_else(|| panic!("{channel}"));
    let of = |message: &Value| {
        let headers = &message["headers"];
        let all = headers["properties"].as_object().unwrap().keys().cloned().collect();
        let demanded = headers["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        (all, demanded.collect())
    };
    messages.values().map(of).collect()
}

fn fits(read: &Read, (all, demanded): &(BTreeSet<String>, BTreeSet<String>)) -> bool {
    let names: BTreeSet<String> = read.headers.keys().cloned().collect();
    names.is_subset(all) && demanded.is_subset(&names)
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
    Event::of(&record, "event 1").send(&scene.producer(), "waybill.in.identity").await;
    for (topic, channel) in [
        ("waybill.in.identity", "in-identity"),
        ("waybill.outcomes.identity", "outcomes-identity"),
        ("waybill.out.benefit", "out-benefit"),
    ] {
        let read = scene.read_some(topic, 1).await.remove(0);
        let known = described(&document, channel);
        assert!(known.iter().any(|one| fits(&read, one)), "{channel}: {:?} of {known:?}", read.headers);
    }
    assert!(hub.stop().await.success());
}
