//! The AsyncAPI 3 document of all topics, made from the catalogue: what an agency generates its client from.

mod flat;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use self::flat::flat;
use super::expected::{Expected, expected, received, submitted};
use crate::{
    catalogue::Catalogue,
    config::{Config, Topics},
    domain::{
        agreement::Agreement,
        context::{Authority, ContextItem},
        record::Change,
    },
    kafka::{ACK_TYPE, DEAD_TYPE, DELIVERY_TYPE, OUTCOME_TYPE, SUBMISSION_TYPE, TopicKind},
};

/// The words of `change`.
const CHANGES: [&str; 5] = [
    Change::New.as_str(),
    Change::Changed.as_str(),
    Change::Corrected.as_str(),
    Change::Ended.as_str(),
    Change::Recalled.as_str(),
];
/// Those of `actingauthority`.
const AUTHORITIES: [&str; 4] =
    [Authority::Parent.as_str(), Authority::Guardian.as_str(), Authority::Attorney.as_str(), Authority::Court.as_str()];
/// What becomes of a submission.
const OUTCOMES: [&str; 3] = ["recorded", "refused", "decided-before"];

/// The document.
pub(super) fn document(catalogue: &Catalogue, config: &Config) -> Value {
    let topics = config.kafka.as_ref().map_or_else(Topics::default, |kafka| kafka.topics.clone());
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for topic in expected(catalogue, &topics, config.limits.record_bytes_max) {
        let name = format!("{}-{}", topic.topic.kind.word(), topic.topic.agency);
        // The document is the hub's: it receives what agencies send.
        let action = if topic.topic.kind.is_inbound() { "receive" } else { "send" };
        operations
            .insert(name.clone(), json!({ "action": action, "channel": { "$ref": format!("#/channels/{name}") } }));
        channels.insert(name, channel(catalogue, &topic));
    }
    let mut servers = Map::new();
    if let Some(kafka) = &config.kafka {
        let protocol = if kafka.plaintext { "kafka" } else { "kafka-secure" };
        for (number, host) in (1..).zip(kafka.bootstrap.split(',')) {
            servers.insert(format!("broker-{number}"), json!({ "host": host.trim(), "protocol": protocol }));
        }
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": format!("Waybill hub {}", config.hub),
            "version": catalogue.digest().to_string(),
            "description": "CloudEvents 1.0 on Kafka. The hub writes binary mode and reads binary and structured mode.",
        },
        "defaultContentType": "application/json",
        "servers": servers,
        "channels": channels,
        "operations": operations,
    })
}

fn channel(catalogue: &Catalogue, topic: &Expected) -> Value {
    let agency = &topic.topic.agency;
    let mut messages = Map::new();
    match topic.topic.kind {
        TopicKind::In => {
            for compiled in submitted(catalogue, agency) {
                let record_type = &compiled.agreement.record_type;
                let Some(known) = catalogue.record_type(record_type.as_str()) else { continue };
                for version in known.versions().filter(|known| known.version.major == compiled.agreement.schema_major) {
                    let schema = format!("{record_type}/{}", version.version);
                    let alike = submitted(catalogue, agency).map(|known| &known.agreement).filter(|known| {
                        known.record_type == *record_type && known.schema_major == compiled.agreement.schema_major
                    });
                    let context: BTreeSet<ContextItem> = alike.flat_map(|known| known.context.clone()).collect();
                    let headers = submission_headers(&schema, &context);
                    messages.insert(plain(&schema), message(&schema, headers, &version.schema));
                }
            }
        }
        TopicKind::Out => {
            for compiled in received(catalogue, agency) {
                let agreed = &compiled.agreement;
                let mut delivery = message(&compiled.title, delivery_headers(agreed), &compiled.view_schema);
                let key = json!({ "type": "string", "description": "The recipient's own pseudonym of the person." });
                delivery["bindings"] = json!({ "kafka": { "key": key } });
                messages.insert(plain(agreed.id.as_str()), delivery);
            }
        }
        TopicKind::Outcomes => {
            let mut headers = headers(OUTCOME_TYPE, &[], &["ce_eventid", "ce_eventsource"], &[]);
            demand(&mut headers, "ce_outcome", one_of(&OUTCOMES));
            messages.insert("outcome".into(), message("What became of a submission", headers, &outcome()));
        }
        TopicKind::Dead => {
            // The event's only where it could be read, which was not its fault.
            let headers = headers(DEAD_TYPE, &[], &[], &["ce_eventsource", "ce_eventid"]);
            messages.insert("dead".into(), message("Where a message is that could not be taken", headers, &dead()));
        }
        TopicKind::Acks => {
            let mut answer = message("A recipient's answer to a delivery", Value::Null, &ack());
            answer["headers"] = json!({ "type": "object", "properties": { "ce_type": { "const": ACK_TYPE } } });
            messages.insert("ack".into(), answer);
        }
    }
    json!({
        "address": topic.name,
        "messages": messages,
        "bindings": { "kafka": { "topic": topic.name, "partitions": topic.partitions, "replicas": topic.replication } },
    })
}

/// A name that may stand in a reference.
fn plain(name: &str) -> String {
    name.replace(['/', '.'], "-")
}

fn message(title: &str, headers: Value, payload: &Value) -> Value {
    let payload = json!({ "schemaFormat": "application/schema+json;version=draft-07", "schema": flat(payload) });
    json!({ "title": title, "contentType": "application/json", "headers": headers, "payload": payload })
}

/// What a submission says beside its record, when agreements demand so much of its `context`. In the Confluent wire format
/// the data names the schema instead.
fn submission_headers(schema: &str, context: &BTreeSet<ContextItem>) -> Value {
    let texts = ["ce_actor", "ce_casereference", "ce_reason", "ce_onbehalfof", "ce_actingfor", "ce_onlyrecipients"];
    let mut headers = headers(SUBMISSION_TYPE, &[("ce_dataschema", schema)], &["ce_subject"], &texts);
    demand(&mut headers, "ce_change", one_of(&CHANGES));
    offer(&mut headers, "ce_actingauthority", one_of(&AUTHORITIES));
    offer(&mut headers, "ce_actinguntil", moment());
    headers["dependencies"] = json!({ "ce_actingfor": ["ce_actingauthority"] });
    for item in context {
        let name = match item {
            ContextItem::Actor => "ce_actor",
            ContextItem::Case => "ce_casereference",
            ContextItem::Reason => "ce_reason",
            ContextItem::ActingFor => "ce_actingfor",
        };
        demand(&mut headers, name, json!({ "type": "string", "minLength": 1 }));
    }
    offer_record(&mut headers);
    headers
}

/// What a delivery says beside its record.
fn delivery_headers(agreed: &Agreement) -> Value {
    let constants = [
        ("ce_agreement", agreed.id.as_str()),
        ("ce_agency", agreed.source.as_str()),
        ("ce_purpose", agreed.purpose.as_str()),
    ];
    let mut headers =
        headers(DELIVERY_TYPE, &constants, &["ce_subject", "ce_partitionkey", "ce_dataschema", "ce_basis"], &[]);
    demand(&mut headers, "ce_change", one_of(&CHANGES));
    demand(&mut headers, "ce_index", number());
    offer(&mut headers, "ce_keepseconds", number());
    offer(&mut headers, "ce_replayed", one_of(&["true"]));
    offer(&mut headers, "ce_answerrequired", one_of(&["true"]));
    offer_record(&mut headers);
    headers
}

/// What is said of a record where it applies.
fn offer_record(headers: &mut Value) {
    offer(headers, "ce_revision", positive());
    offer(headers, "ce_correctsrevision", positive());
    offer(headers, "ce_time", moment());
    offer(headers, "ce_copyof", json!({ "type": "string", "format": "uuid" }));
    offer(headers, "ce_traceparent", json!({ "type": "string" }));
}

/// Headers that each event has, those that these always have with one value and with any, and those that they may have.
fn headers(kind: &str, constants: &[(&str, &str)], demanded: &[&str], offered: &[&str]) -> Value {
    let mut headers = json!({ "type": "object", "required": [], "properties": {} });
    for (name, value) in [("ce_specversion", "1.0"), ("ce_type", kind)].iter().chain(constants) {
        demand(&mut headers, name, json!({ "type": "string", "const": value }));
    }
    for name in ["ce_id", "ce_source"].iter().chain(demanded) {
        demand(&mut headers, name, json!({ "type": "string" }));
    }
    for name in ["content-type"].iter().chain(offered) {
        offer(&mut headers, name, json!({ "type": "string" }));
    }
    headers
}

fn demand(headers: &mut Value, name: &str, schema: Value) {
    offer(headers, name, schema);
    headers["required"].as_array_mut().into_iter().for_each(|required| required.push(name.into()));
}

fn offer(headers: &mut Value, name: &str, schema: Value) {
    headers["properties"][name] = schema;
}

fn one_of(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

/// A header holds text: a number in decimal digits.
fn number() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]+$" })
}

fn positive() -> Value {
    json!({ "type": "string", "pattern": "^[1-9][0-9]*$" })
}

fn moment() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn outcome() -> Value {
    let refusal = json!({
        "type": "object",
        "required": ["code", "stage", "message"],
        "properties": {
            "code": { "type": "string" },
            "stage": { "type": "string" },
            "message": { "type": "string" },
            "violations": { "type": "array", "items": { "type": "object" } },
        },
    });
    json!({
        "type": "object",
        "required": ["event", "environment", "outcome"],
        "properties": {
            "event": {
                "type": "object",
                "required": ["source", "id"],
                "properties": { "source": { "type": "string" }, "id": { "type": "string" } },
            },
            "environment": { "enum": ["demo", "test", "production"] },
            "outcome": one_of(&OUTCOMES),
            "index": { "type": "integer" },
            "refusal": refusal,
            "receipt": { "type": "object" },
            "recipients": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["recipient", "agreement", "transferId", "index"],
                    "properties": {
                        "recipient": { "type": "string" },
                        "agreement": { "type": "string" },
                        "transferId": { "type": "string", "format": "uuid" },
                        "index": { "type": "integer" },
                        "refusal": refusal,
                        "receipt": { "type": "object" },
                    },
                },
            },
        },
    })
}

fn dead() -> Value {
    json!({
        "type": "object",
        "required": ["reason", "topic", "partition", "offset", "time"],
        "properties": {
            "reason": {
                "type": "object",
                "required": ["pointer", "keyword"],
                "properties": { "pointer": { "type": "string" }, "keyword": { "type": "string" } },
            },
            "topic": { "type": "string" },
            "partition": { "type": "integer" },
            "offset": { "type": "integer" },
            "time": { "type": "string", "format": "date-time" },
            "index": { "type": "integer" },
            "event": {
                "type": "object",
                "required": ["source", "id"],
                "properties": { "source": { "type": "string" }, "id": { "type": "string" } },
            },
        },
    })
}

fn ack() -> Value {
    json!({
        "type": "object",
        "required": ["transferId", "outcome"],
        "properties": {
            "transferId": { "type": "string", "format": "uuid" },
            "outcome": { "enum": ["acknowledged", "rejected", "failed"] },
        },
    })
}
