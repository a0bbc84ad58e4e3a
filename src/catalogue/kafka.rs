//! How an agency uses Kafka: what `[kafka]` in `agencies/<agency>.toml` may say. Which topics there are follows from it
//! and is written in `crate::kafka`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    agencies::{AgencyDraft, role_word},
    problem::{At, Fault, Problems},
    reader::TableReader,
    schema::Schemas,
};
use crate::domain::{
    agency::{AgencyId, Role, SystemId},
    record::{RecordTypeId, SchemaVersion},
};

/// How an agency uses Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kafka {
    /// The system whose word is what stands on the agency's inbound topic; `None`: nothing is read from it.
    pub submits: Option<SystemId>,
    /// The system that receives the agency's deliveries from its topic, and whose word is what it answers; `None`:
    /// nothing is delivered there.
    pub receives: Option<SystemId>,
    /// Whether outcomes carry whole receipts, with proof, or only the entries' places.
    pub receipts: bool,
    /// What the ids of the agency's schema registry stand for (Confluent wire format).
    pub schemas: BTreeMap<u32, (RecordTypeId, SchemaVersion)>,
}

/// What one file says, and where.
#[derive(Debug)]
pub(super) struct KafkaDraft {
    submits: Option<At<SystemId>>,
    receives: Option<At<SystemId>>,
    receipts: bool,
    schemas: Vec<At<(u32, RecordTypeId, SchemaVersion)>>,
}

pub(super) fn read(mut table: TableReader<'_>, problems: &Problems) -> KafkaDraft {
    let submits = table.optional("submits");
    let receives = table.optional("receives");
    let receipts = table.optional("receipts").is_some_and(|found: At<bool>| found.value);
    let mut schemas = Vec::new();
    if let Some(found) = table.optional::<BTreeMap<String, String>>("schemas") {
        for (id, name) in found.value {
            match schema(&id, &name) {
                Some(value) => schemas.push(At { spot: found.spot.clone(), value }),
                None => problems.at(&found.spot, Fault::KafkaSchemaMalformed { id, name }),
            }
        }
    }
    table.finish();
    KafkaDraft { submits, receives, receipts, schemas }
}

/// `17 = "identity/address/1.0"`.
fn schema(id: &str, name: &str) -> Option<(u32, RecordTypeId, SchemaVersion)> {
    let (record_type, version) = name.rsplit_once('/')?;
    Some((id.parse().ok()?, RecordTypeId::new(record_type).ok()?, version.parse().ok()?))
}

impl KafkaDraft {
    pub(super) fn to_kafka(&self) -> Kafka {
        let system = |found: &Option<At<SystemId>>| found.as_ref().map(|found| found.value.clone());
        let schemas = self.schemas.iter().map(|found| {
            let (id, record_type, version) = &found.value;
            (*id, (record_type.clone(), *version))
        });
        Kafka {
            submits: system(&self.submits),
            receives: system(&self.receives),
            receipts: self.receipts,
            schemas: schemas.collect(),
        }
    }

    fn check(&self, agency: &AgencyId, drafts: &[AgencyDraft], schemas: &Schemas, problems: &Problems) {
        for (named, role) in [(&self.submits, Role::Submit), (&self.receives, Role::Receive)] {
            let Some(At { spot, value: id }) = named else { continue };
            let systems = drafts.iter().flat_map(|draft| &draft.systems).map(|draft| &draft.system);
            let fault = match systems.into_iter().find(|system| system.id == *id) {
                None => Fault::KafkaSystemUnknown { system: id.to_string() },
                Some(system) if !system.may_act_for(agency) => {
                    Fault::KafkaNotActingFor { system: id.to_string(), agency: agency.to_string() }
                }
                Some(system) if !system.has(role) => {
                    Fault::KafkaRoleMissing { system: id.to_string(), role: role_word(role) }
                }
                Some(_) => continue,
            };
            problems.at(spot, fault);
        }
        for At { spot, value: (_, record_type, version) } in &self.schemas {
            if !schemas.get(record_type).is_some_and(|versions| versions.contains_key(version)) {
                problems.at(spot, Fault::KafkaSchemaUnknown { schema: format!("{record_type}/{version}") });
            }
        }
    }
}

/// What must hold between Kafka, systems and schemas.
pub(super) fn check(drafts: &[AgencyDraft], schemas: &Schemas, problems: &Problems) {
    for draft in drafts {
        if let Some(kafka) = &draft.kafka {
            kafka.check(&draft.agency.id, drafts, schemas, problems);
        }
    }
}

/// What the digest says of it.
pub(super) fn content(kafka: &Kafka) -> Value {
    let schemas: BTreeMap<String, String> = kafka
        .schemas
        .iter()
        .map(|(id, (record_type, version))| (id.to_string(), format!("{record_type}/{version}")))
        .collect();
    json!({
        "submits": kafka.submits,
        "receives": kafka.receives,
        "receipts": kafka.receipts,
        "schemas": schemas,
    })
}
