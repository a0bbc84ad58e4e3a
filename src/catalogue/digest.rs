//! The catalogue's digest: SHA-256 over one canonical JSON (RFC 8785) of all that its files say. Layout, comments
//! and order say nothing.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::domain::{agreement::Agreement, record::RecordTypeId};

use super::{
    agencies::{AgencyDraft, Quotas, role_word},
    agreements::AgreementDraft,
    kafka,
    registers::{Purpose, RecordTypeDraft},
    schema::Schemas,
};

/// The name of the form that is digested; another form is another name.
const FORM: &str = "waybill/catalogue/1";

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// Not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct InvalidDigest;

impl Digest {
    /// The digest of a JSON value's canonical form.
    pub fn of_json(value: &Value) -> Self {
        let bytes = canonical(value);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// The canonical form (RFC 8785).
pub(super) fn canonical(value: &Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).expect("a JSON value has a canonical form: its keys are strings")
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;
    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidDigest)?;
        Ok(Self(bytes))
    }
}

/// Everything that the files say, in one value.
pub(super) fn content(
    agencies: &[AgencyDraft],
    purposes: &[Purpose],
    record_types: &BTreeMap<RecordTypeId, RecordTypeDraft>,
    schemas: &Schemas,
    agreements: &[AgreementDraft],
) -> Value {
    let purpose = |known: &Purpose| json!({ "title": known.title, "consent": known.consent });
    let record_type = |known: &RecordTypeDraft| {
        let versions = schemas.get(&known.id).into_iter().flatten();
        let versions = by_name(versions.map(|(version, schema)| (version, json!(schema.digest.to_string()))));
        json!({ "authority": known.authority.value, "links": known.links, "schemas": versions })
    };
    json!({
        "form": FORM,
        "agencies": by_name(agencies.iter().map(|draft| (&draft.agency.id, agency(draft)))),
        "purposes": by_name(purposes.iter().map(|known| (&known.id, purpose(known)))),
        "record_types": by_name(record_types.iter().map(|(id, known)| (id, record_type(known)))),
        "agreements": by_name(agreements.iter().map(|draft| (&draft.id, agreement(draft)))),
    })
}

fn by_name<K: ToString>(entries: impl IntoIterator<Item = (K, Value)>) -> Map<String, Value> {
    entries.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

fn agency(draft: &AgencyDraft) -> Value {
    let systems = draft.systems.iter().map(|draft| {
        let system = &draft.system;
        let roles: Vec<String> = system.roles.iter().map(|role| role_word(*role)).collect();
        let content = json!({
            "san": system.san,
            "acts_for": system.acts_for,
            "roles": roles,
            "quotas": quotas(system.quotas),
        });
        (&system.id, content)
    });
    let mut content = json!({
        "title": draft.agency.title,
        "public_authority": draft.agency.public_authority,
        "refusal_trail": draft.agency.refusal_trail.as_secs(),
        "systems": by_name(systems),
    });
    if let Some(kafka) = &draft.agency.kafka {
        content["kafka"] = kafka::content(kafka);
    }
    content
}

fn quotas(quotas: Quotas) -> Value {
    json!({
        "rate_per_s": quotas.rate_per_s,
        "rate_burst": quotas.rate_burst,
        "refusals_per_s": quotas.refusals_per_s,
        "refusals_burst": quotas.refusals_burst,
        "in_flight_max": quotas.in_flight_max,
    })
}

fn agreement(draft: &AgreementDraft) -> Value {
    let agreed = draft.to_agreement();
    let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs());
    let mut signatures: Vec<Value> = draft
        .signatures
        .iter()
        .map(|found| json!({ "agency": found.value.agency, "key": found.value.key, "value": found.value.value }))
        .collect();
    signatures.sort_by_key(ToString::to_string);
    json!({
        "title": draft.title,
        "description": draft.description,
        "revision": agreed.revision,
        "consent_since_revision": agreed.consent_since_revision,
        "direction": agreed.direction,
        "source": agreed.source,
        "recipient": agreed.recipient,
        "record_type": agreed.record_type,
        "schema_major": agreed.schema_major,
        "purpose": agreed.purpose,
        "basis": basis(&agreed),
        "demand": agreed.demand,
        "scope": agreed.scope,
        "fields": agreed.fields,
        "onward": agreed.onward,
        "context": agreed.context,
        "answer_required": agreed.answer_required,
        "valid_from": agreed.valid_from.to_string(),
        "valid_until": agreed.valid_until.map(|until| until.to_string()),
        "retention": {
            "payload": seconds(agreed.retention.payload),
            "trail": agreed.retention.trail.as_secs(),
            "at_recipient": seconds(agreed.retention.at_recipient),
        },
        "signatures": signatures,
    })
}

/// The basis as entries and the digest have it; what is not given is left out.
pub(super) fn basis(agreement: &Agreement) -> Value {
    let mut basis = Map::new();
    basis.insert("article".to_owned(), json!(agreement.basis.article));
    if let Some(law) = &agreement.basis.law {
        basis.insert("law".to_owned(), json!(law));
    }
    if let Some(ground) = &agreement.basis.special_ground {
        basis.insert("special_ground".to_owned(), json!(ground));
    }
    Value::Object(basis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_the_canonical_form_and_round_trips_as_text() {
        let digest = Digest::of_json(&serde_json::from_str::<Value>("{\"b\": 1.0, \"a\": []}").unwrap());
        assert_eq!(digest, Digest::of_json(&json!({"a": [], "b": 1})));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("00".parse::<Digest>(), Err(InvalidDigest));
    }
}
