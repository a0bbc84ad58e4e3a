//! Marked personal values go in and out over Kafka, well and badly; then nothing of them is where nobody looks after it:
//! metrics, logs, file names and stored bytes of the hub; keys and headers of what it writes; dead letters, and what it
//! tells of refusals. The marks, and where they are looked for: `crash/canary.rs`.

use std::collections::HashMap;

use rdkafka::producer::FutureProducer;
use serde_json::{Value, json};
use waybill::cli::demo::population::Record;

use super::{
    forms::{answer, ask_for_answers, structured},
    load::ledger_size,
    scene::{Event, Read, Scene},
};
use crate::crash::{
    canary::{Canary, metrics, stored},
    scene::until,
};

const IN: &str = "waybill.in.identity";
const ACKS: &str = "waybill.acks.benefit";

/// Attributes of an event that are none, each with what is wrong.
const UNREADABLE: [(&str, &str); 6] = [
    ("ce_type", "/type"),
    ("ce_change", "/change"),
    ("ce_revision", "/revision"),
    ("ce_copyof", "/copyof"),
    ("ce_time", "/time"),
    ("content-type", "/datacontenttype"),
];

struct Walk<'a> {
    scene: &'a Scene,
    canary: &'a Canary,
    producer: FutureProducer,
}

impl Walk<'_> {
    /// An address with marks in it.
    fn record(&self) -> Record {
        let mark = |place| json!(self.canary.of(place));
        let mut record = self.scene.people.citizen(1).unwrap().moved_record(1);
        record.id = self.canary.of("record");
        record.body["subject"] = json!({ "nationalNumber": mark("national"), "taxNumber": mark("tax") });
        record.body["address"]["fullAddress"] = mark("address");
        record
    }

    fn event(&self, id: &str) -> Event {
        let marked = |event: Event, name: &str| event.with(name, &self.canary.of(&name[3..]));
        ["ce_actor", "ce_casereference", "ce_reason"].into_iter().fold(Event::of(&self.record(), id), marked)
    }

    async fn send(&self, event: Event) {
        event.send(&self.producer, IN).await;
    }

    /// Two that are recorded, in both modes, and what comes out of them is answered: first so that nobody can read it.
    async fn well(&self) {
        self.send(self.event("binary")).await;
        self.send(structured(&self.event(""), "structured")).await;
        let out = self.scene.read_some("waybill.out.benefit", 2).await;
        for mut one in out {
            let payload = String::from_utf8(one.value.clone()).unwrap();
            assert!(payload.contains(&self.canary.of("address")), "the mark reaches who may see it: {payload}");
            // The record's id is the agencies' own.
            assert_eq!(one.headers.remove("ce_subject").unwrap(), self.canary.of("record"));
            self.absent("a delivery's key and headers", &one.key, &one.headers);
            answer(&self.canary.of("transfer"), "acknowledged").send(&self.producer, ACKS).await;
            answer(one.header("ce_id"), &self.canary.of("outcome")).send(&self.producer, ACKS).await;
            answer(one.header("ce_id"), "acknowledged").send(&self.producer, ACKS).await;
        }
        let dead = self.scene.read_some("waybill.dead.benefit", 4).await;
        dead.iter().for_each(|letter| self.is_silent(letter));
    }

    /// What is refused for its schema, its form, its bounds; how many that is.
    async fn badly(&self) -> usize {
        let (record, mark) = (self.record(), |place| self.canary.of(place));
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut body = record.body.clone();
            change(&mut body);
            body.to_string()
        };
        let payloads = [
            changed(&|body| body["address"]["fullAddress"] = json!([mark("inside")])),
            changed(&|body| body[mark("property")] = json!(mark("value"))),
            changed(&|body| body["subject"]["nationalNumber"] = json!(format!("- {}", mark("number")))),
            changed(&|body| body["address"]["fullAddress"] = json!(mark("long").repeat(4000))),
            format!("{{\"{0}\":1,\"{0}\":2}}", mark("twice")),
            mark("bare"),
        ];
        let mut refused = payloads.len();
        for (number, payload) in payloads.into_iter().enumerate() {
            self.send(Event { value: payload.into_bytes(), ..self.event(&format!("payload {number}")) }).await;
        }
        for name in ["ce_reason", "ce_subject", "ce_onlyrecipients", "ce_dataschema"] {
            self.send(self.event(name).with(name, &mark("long").repeat(40))).await;
            refused += 1;
        }
        refused
    }

    /// What nobody can read.
    async fn unreadably(&self) {
        for (name, _) in UNREADABLE {
            self.send(self.event(name).with(name, &self.canary.of("attribute"))).await;
        }
        let letters = self.scene.read_some("waybill.dead.identity", UNREADABLE.len()).await;
        let mut pointers: Vec<String> = Vec::new();
        for letter in letters {
            self.is_silent(&letter);
            pointers.push(letter.json()["reason"]["pointer"].as_str().unwrap().to_owned());
        }
        for (name, pointer) in UNREADABLE {
            assert!(pointers.iter().any(|told| told == pointer), "{name}: {pointers:?}");
        }
    }

    fn is_silent(&self, read: &Read) {
        self.absent("its key and headers", &read.key, &read.headers);
        self.canary.assert_absent("what is said", &String::from_utf8_lossy(&read.value));
    }

    fn absent(&self, place: &str, key: &str, headers: &HashMap<String, String>) {
        self.canary.assert_absent(place, &format!("{key} {headers:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_personal_value_is_left_where_kafka_is_the_way() {
    let (canary, scene) = (Canary::new(), Scene::new().await);
    scene.hub.configure(|text| text.replace("filter = \"warn\"", "filter = \"trace\""));
    ask_for_answers(&scene.hub);
    let hub = scene.start();
    let walk = Walk { scene: &scene, canary: &canary, producer: scene.producer() };
    walk.well().await;
    let refused = walk.badly().await;
    walk.unreadably().await;
    let outcomes = scene.read_some("waybill.outcomes.identity", 2 + refused).await;
    outcomes.iter().for_each(|outcome| walk.is_silent(outcome));
    assert_eq!(outcomes.iter().filter(|one| one.header("ce_outcome") == "refused").count(), refused);
    // The catalogue; what was decided, for benefit and tax; benefit's answers; what was refused, readable or not.
    let entries = 1 + 2 * 2 + 2 + refused + UNREADABLE.len();
    until("all is recorded", async || ledger_size(&scene.hub.place).await >= entries).await;
    canary.assert_absent("the metrics page", &metrics(&scene.hub).await);
    assert!(!stored(&scene.hub.place.folder, &canary).is_empty(), "nothing is stored");
    assert!(hub.stop().await.success());
    stored(&scene.hub.place.folder, &canary);
    canary.assert_absent("the log", &scene.hub.log());
    assert!(scene.hub.log().contains("TRACE"), "the log has everything");
}
