//! Agencies and their systems: what `agencies/<agency>.toml` may say, and what must hold between them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use crate::domain::{
    agency::{AgencyId, AgencyKey, Role, SAN_BYTES_MAX, SystemId},
    quota,
};

use super::{
    files::SourceFile,
    humane::{Humane, Text},
    kafka::{self, Kafka, KafkaDraft},
    problem::{At, Fault, Place, Problems, Spot},
    reader::TableReader,
};

/// An agency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agency {
    /// Its name.
    pub id: AgencyId,
    /// What people call it.
    pub title: String,
    /// Whether it is a public authority, to which Art. 6(1)(f) is not open.
    pub public_authority: bool,
    /// How long the trail of calls that it made in vain is kept.
    pub refusal_trail: Duration,
    /// How it uses Kafka, if it does.
    pub kafka: Option<Kafka>,
}

/// A technical system of an agency: one certificate, one SAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Its name.
    pub id: SystemId,
    /// The agency that runs it.
    pub agency: AgencyId,
    /// The URI in its certificate.
    pub san: String,
    /// For whom it may act.
    pub acts_for: BTreeSet<AgencyId>,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// Where it differs from the configured limits.
    pub quotas: Quotas,
}

/// A system's own limits; `None` is the configured one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quotas {
    /// Calls a second.
    pub rate_per_s: Option<u32>,
    /// Calls at once above the rate.
    pub rate_burst: Option<u32>,
    /// Refusals a second.
    pub refusals_per_s: Option<u32>,
    /// Refusals at once above that.
    pub refusals_burst: Option<u32>,
    /// Calls accepted and not yet answered.
    pub in_flight_max: Option<u32>,
}

impl System {
    /// Whether it may act for `agency`.
    pub fn may_act_for(&self, agency: &AgencyId) -> bool {
        self.acts_for.contains(agency)
    }

    /// The agency of this name, if it may act for it.
    pub fn acting_for(&self, name: &str) -> Option<&AgencyId> {
        self.acts_for.get(name)
    }

    /// Whether it has `role`.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// What one file says.
#[derive(Debug)]
pub(super) struct AgencyDraft {
    pub(super) agency: Agency,
    pub(super) spot: Spot,
    pub(super) systems: Vec<SystemDraft>,
    pub(super) kafka: Option<KafkaDraft>,
}

/// A system and where its parts are written.
#[derive(Debug)]
pub(super) struct SystemDraft {
    pub(super) system: System,
    spot: Spot,
    san_spot: Spot,
    acts_for: Vec<At<AgencyId>>,
}

/// The name that a file gives to what is in it.
pub(super) fn file_name<T: std::str::FromStr<Err: std::fmt::Display>>(
    file: &SourceFile,
    problems: &Problems,
) -> Option<T> {
    let base = file.path.rsplit('/').next().unwrap_or_default();
    let stem = base.strip_suffix(".toml").unwrap_or(base);
    match stem.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            problems.add(&file.shown, Place::File, Fault::FileName { detail: format!("{error}") });
            None
        }
    }
}

pub(super) fn read(file: &SourceFile, problems: &Problems) -> Option<AgencyDraft> {
    let id: Option<AgencyId> = file_name(file, problems);
    let mut table = TableReader::parse(file, problems)?;
    let spot = table.spot().clone();
    let title = table.required::<Text>("title");
    let public_authority = table.required("public_authority");
    let refusal_trail = table.required::<Humane>("refusal_trail");
    let systems = table.tables("system");
    let id_for_systems = id.clone();
    let systems = systems.into_iter().filter_map(|system| read_system(id_for_systems.as_ref()?, system, problems));
    let systems = systems.collect();
    let kafka = table.optional_table("kafka").map(|table| kafka::read(table, problems));
    table.finish();
    // An agency whose other fields are wrong still exists: nobody else's reference to it dangles.
    let agency = Agency {
        id: id?,
        title: title.map(|title| title.value.0).unwrap_or_default(),
        public_authority: public_authority.is_none_or(|found| found.value),
        refusal_trail: refusal_trail.map(|trail| trail.value.0).unwrap_or_default(),
        kafka: kafka.as_ref().map(KafkaDraft::to_kafka),
    };
    Some(AgencyDraft { agency, spot, systems, kafka })
}

fn read_system(agency: &AgencyId, mut table: TableReader<'_>, problems: &Problems) -> Option<SystemDraft> {
    let spot = table.spot().clone();
    let name = table.required::<AgencyId>("name");
    let san = table.required::<String>("san");
    let acts_for = table.list::<AgencyId>("acts_for");
    let roles = table.list::<RoleName>("roles");
    let quotas = table.optional_table("quotas").map(|table| read_quotas(table, problems)).unwrap_or_default();
    table.finish();
    let (name, san) = (name?.value, san?);
    let id = SystemId::new(&format!("{agency}/{name}")).expect("two names that were parsed make a SystemId");
    if roles.is_empty() {
        problems.at(&spot, Fault::RolesMissing { system: id.to_string() });
    }
    let mut agencies: BTreeSet<AgencyId> = acts_for.iter().map(|named| named.value.clone()).collect();
    if agencies.is_empty() {
        agencies.insert(agency.clone());
    }
    let roles = roles.into_iter().map(|role| role.value.0).collect();
    let system = System { agency: id.agency(), id, san: san.value, acts_for: agencies, roles, quotas };
    Some(SystemDraft { system, spot, san_spot: san.spot, acts_for })
}

fn read_quotas(mut table: TableReader<'_>, problems: &Problems) -> Quotas {
    let mut quota = |name, most: u64| {
        let found = table.optional::<std::num::NonZeroU32>(name)?;
        let number = found.value.get();
        if u64::from(number) > most {
            let detail = format!("{number} is more than {most}, the most that is taken");
            problems.at(&found.spot, Fault::FieldInvalid { name: name.to_owned(), detail });
        }
        Some(At { spot: found.spot, value: number })
    };
    let rate = quota("rate_per_s", quota::RATE_PER_S_MAX);
    let rate_burst = quota("rate_burst", quota::RATE_BURST_MAX);
    let refusals = quota("refusals_per_s", quota::REFUSALS_PER_S_MAX);
    let refusals_burst = quota("refusals_burst", quota::REFUSALS_BURST_MAX);
    let in_flight = quota("in_flight_max", quota::IN_FLIGHT_MAX);
    table.finish();
    if let (Some(rate), Some(refusals)) = (&rate, &refusals)
        && refusals.value > quota::refusals_of(rate.value)
    {
        let rate = rate.value.to_string();
        problems.at(&refusals.spot, Fault::RefusalsOverRate { refusals: refusals.value.to_string(), rate });
    }
    let number = |found: Option<At<u32>>| found.map(|found| found.value);
    Quotas {
        rate_per_s: number(rate),
        rate_burst: number(rate_burst),
        refusals_per_s: number(refusals),
        refusals_burst: number(refusals_burst),
        in_flight_max: number(in_flight),
    }
}

/// A role that prints as it is written.
#[derive(PartialEq, serde::Deserialize)]
#[serde(transparent)]
struct RoleName(Role);

impl std::fmt::Display for RoleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&role_word(self.0))
    }
}

/// The word that the catalogue uses for a role.
pub(super) fn role_word(role: Role) -> String {
    match serde_json::to_value(role) {
        Ok(serde_json::Value::String(word)) => word,
        _ => format!("{role:?}"),
    }
}

/// What must hold between all agencies and systems.
pub(super) fn check(drafts: &[AgencyDraft], problems: &Problems) {
    let known: BTreeMap<&AgencyId, &AgencyDraft> = drafts.iter().map(|draft| (&draft.agency.id, draft)).collect();
    for (a, b) in shared_keys(drafts.iter().map(|draft| (&draft.agency.id, draft.agency.id.key()))) {
        let fault = Fault::AgencyKeyShared { agency: b.to_string(), other: a.to_string() };
        problems.at(&known[b].spot, fault);
    }
    let mut sans: HashMap<&str, &SystemId> = HashMap::new();
    let mut principals: HashMap<String, &SystemId> = HashMap::new();
    for draft in drafts.iter().flat_map(|draft| &draft.systems) {
        let System { id, san, .. } = &draft.system;
        match principals.get(&id.dotted()) {
            Some(other) if *other == id => problems.at(&draft.spot, Fault::SystemTwice { system: id.to_string() }),
            Some(other) => {
                problems.at(&draft.spot, Fault::PrincipalShared { name: id.dotted(), other: other.to_string() });
            }
            None => drop(principals.insert(id.dotted(), id)),
        }
        if !is_uri(san) {
            problems.at(&draft.san_spot, Fault::SanNotUri { san: san.clone() });
        }
        match sans.get(san.as_str()) {
            Some(other) => {
                problems.at(&draft.san_spot, Fault::SanShared { san: san.clone(), other: other.to_string() });
            }
            None => drop(sans.insert(san, id)),
        }
        for agency in draft.acts_for.iter().filter(|agency| !known.contains_key(&agency.value)) {
            problems.at(&agency.spot, Fault::AgencyUnknown { agency: agency.value.to_string() });
        }
    }
}

/// Pairs of agencies with one key; the first has it by name.
pub(super) fn shared_keys<'a>(
    agencies: impl IntoIterator<Item = (&'a AgencyId, AgencyKey)>,
) -> Vec<(&'a AgencyId, &'a AgencyId)> {
    let mut first: BTreeMap<AgencyKey, &AgencyId> = BTreeMap::new();
    let mut pairs = Vec::new();
    for (id, key) in agencies {
        match first.get(&key) {
            Some(other) => pairs.push((*other, id)),
            None => drop(first.insert(key, id)),
        }
    }
    pairs
}

/// A URI as RFC 3986 §3 has it, as far as a name needs: a scheme, then visible ASCII.
fn is_uri(san: &str) -> bool {
    let Some((scheme, rest)) = san.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        && !rest.is_empty()
        && san.len() <= SAN_BYTES_MAX
        && rest
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\\' | b'^' | b'`' | b'{'..=b'}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_agencies_with_one_key_are_found() {
        let (a, b, c) = (AgencyId::new("a").unwrap(), AgencyId::new("b").unwrap(), AgencyId::new("c").unwrap());
        let pairs = shared_keys([(&a, AgencyKey(1)), (&b, AgencyKey(2)), (&c, AgencyKey(1))]);
        assert_eq!(pairs, [(&a, &c)]);
    }

    #[test]
    fn a_san_is_a_uri_of_visible_ascii() {
        assert!(is_uri("urn:waybill:system:tax:registry") && is_uri("https://tax.example/hub"));
        for bad in ["tax", ":x", "urn:", "1urn:x", "urn:a b", "urn:é", "urn:{x}"] {
            assert!(!is_uri(bad), "{bad}");
        }
        assert!(is_uri(&format!("urn:{}", "x".repeat(SAN_BYTES_MAX - 4))));
        assert!(!is_uri(&format!("urn:{}", "x".repeat(SAN_BYTES_MAX - 3))));
    }
}
