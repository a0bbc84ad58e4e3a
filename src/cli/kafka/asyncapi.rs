//! The AsyncAPI 3 document of all topics, made from the catalogue: what an agency generates its client from.

use serde_json::{Map, Value, json};

use super::expected::{Expected, expected, received, submitted};
use crate::{
    catalogue::Catalogue,
    config::{Config, Topics},
    kafka::{ACK_TYPE, DEAD_TYPE, DELIVERY_TYPE, OUTCOME_TYPE, SUBMISSION_TYPE, TopicKind},
};

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
                    let name = plain(&schema);
                    let headers = headers(SUBMISSION_TYPE, &[("ce_dataschema", &schema)], &["ce_change", "ce_subject"]);
                    messages.insert(name, message(&schema, headers, &version.schema));
                }
            }
        }
        TopicKind::Out => {
            for compiled in received(catalogue, agency) {
                let agreed = &compiled.agreement;
                let constants = [("ce_agreement", agreed.id.as_str()), ("ce_purpose", agreed.purpose.as_str())];
                let headers = headers(DELIVERY_TYPE, &constants, &["ce_index", "ce_dataschema", "ce_basis"]);
                messages.insert(plain(agreed.id.as_str()), message(&compiled.title, headers, &compiled.view_schema));
            }
        }
        TopicKind::Outcomes => {
            let headers = headers(OUTCOME_TYPE, &[], &["ce_outcome", "ce_eventid", "ce_eventsource"]);
            messages.insert("outcome".into(), message("What became of a submission", headers, &outcome()));
        }
        TopicKind::Dead => {
            let mut headers = headers(DEAD_TYPE, &[], &[]);
            for name in ["ce_eventsource", "ce_eventid"] {
                // Only where the event could be read, which was not its fault.
                headers["properties"][name] = json!({ "type": "string" });
            }
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

/// A schema that stands alone: without its name and dialect, and with what it refers to in the place of each reference,
/// since in a document of many a reference is to the document. Schemas of a catalogue refer without circles.
fn flat(schema: &Value) -> Value {
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    let mut schema = inlined(schema, &definitions);
    if let Some(members) = schema.as_object_mut() {
        members.retain(|name, _| !matches!(name.as_str(), "$id" | "$schema" | "$defs"));
    }
    schema
}

fn inlined(value: &Value, definitions: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let named = members.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"));
            if let Some(found) = named.and_then(|name| definitions.get(name)) {
                return inlined(found, definitions);
            }
            let inner = members.iter().filter(|(name, _)| *name != "$defs");
            Value::Object(inner.map(|(name, value)| (name.clone(), inlined(value, definitions))).collect())
        }
        Value::Array(items) => items.iter().map(|item| inlined(item, definitions)).collect(),
        other => other.clone(),
    }
}

fn headers(kind: &str, constants: &[(&str, &str)], more: &[&str]) -> Value {
    let mut properties = Map::new();
    for (name, value) in [("ce_specversion", "1.0"), ("ce_type", kind)].iter().chain(constants) {
        properties.insert((*name).to_owned(), json!({ "type": "string", "const": value }));
    }
    for name in ["ce_id", "ce_source"].iter().chain(more) {
        properties.insert((*name).to_owned(), json!({ "type": "string" }));
    }
    let required: Vec<&String> = properties.keys().collect();
    json!({ "type": "object", "required": required, "properties": properties })
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
            "outcome": { "enum": ["recorded", "refused", "decided-before"] },
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
