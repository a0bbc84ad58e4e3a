//! The catalogue: agencies, schemas, agreements and purposes, loaded, checked as a whole, digested, compiled once.
//! It decides nothing.
//!
//! | question | file |
//! |---|---|
//! | which files are there? | [`files`] |
//! | what may an agency, an agreement, a register say? | [`agencies`], [`kafka`], [`agreements`], [`registers`] |
//! | may an agreement stand? | `agreement_rules` |
//! | which schemas are allowed, and what do they cost? | [`schema`] |
//! | what is wrong, and what to do? | [`problem`] |
//! | what is digested? | [`digest`] |
//! | what may follow what was published? | [`publication`] |
//! | what does the exchange get? | [`compiled`], [`Catalogue`] |
//!
//! `README.md` beside this file is for those who write catalogues.

pub mod agencies;
mod agreement_rules;
pub mod agreements;
pub mod compiled;
pub mod digest;
pub mod files;
mod humane;
pub mod kafka;
mod load;
pub mod problem;
pub mod publication;
mod reader;
pub mod registers;
pub mod schema;
#[cfg(test)]
mod tests;
pub mod validator;
pub mod view_schema;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use ahash::HashMap;

use crate::domain::{
    agency::{AgencyId, SystemId},
    agreement::{AgreementId, PurposeId},
    record::{RecordTypeId, SchemaVersion},
    time::Moment,
};

pub use self::{
    agencies::{Agency, Quotas, System},
    agreement_rules::AGREEMENT_FIELDS_MAX,
    agreements::Signature,
    compiled::{CompiledAgreement, Constants, RecordType, RecordVersion},
    digest::Digest,
    files::{SourceFile, Sources},
    kafka::Kafka,
    problem::{Fault, Place, Problem},
    publication::{PUBLICATION_BYTES_MAX, Publication},
    registers::Purpose,
    schema::{Fields, IdentifierField, Sensitivity},
};

/// A catalogue that has passed every check. It never changes; another one takes its place.
#[derive(Debug)]
pub struct Catalogue {
    digest: Digest,
    agencies: BTreeMap<AgencyId, Agency>,
    purposes: BTreeMap<PurposeId, Purpose>,
    systems: BTreeMap<SystemId, Arc<System>>,
    by_san: HashMap<String, Arc<System>>,
    record_types: HashMap<RecordTypeId, RecordType>,
    agreements: BTreeMap<AgreementId, Arc<CompiledAgreement>>,
    schema_files: BTreeMap<String, Arc<str>>,
    revision_spots: BTreeMap<AgreementId, problem::Spot>,
}

impl Catalogue {
    /// Reads and checks a catalogue's folder and its schemas' folder. All problems are found, not the first.
    pub fn load(folder: &Path, schemas: &Path) -> Result<Self, Vec<Problem>> {
        load::from_folders(folder, schemas)
    }

    /// The same for texts that were read already.
    pub fn from_sources(sources: &Sources) -> Result<Self, Vec<Problem>> {
        load::from_sources(sources, problem::Problems::default())
    }

    /// Names all that the catalogue says; independent of layout and order.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// All agencies, by name.
    pub fn agencies(&self) -> impl Iterator<Item = &Agency> {
        self.agencies.values()
    }

    /// One agency.
    pub fn agency(&self, id: &AgencyId) -> Option<&Agency> {
        self.agencies.get(id)
    }

    /// All purposes, by name.
    pub fn purposes(&self) -> impl Iterator<Item = &Purpose> {
        self.purposes.values()
    }

    /// One purpose.
    pub fn purpose(&self, id: &PurposeId) -> Option<&Purpose> {
        self.purposes.get(id)
    }

    /// All systems, by name.
    pub fn systems(&self) -> impl Iterator<Item = &Arc<System>> {
        self.systems.values()
    }

    /// One system.
    pub fn system(&self, id: &SystemId) -> Option<&Arc<System>> {
        self.systems.get(id)
    }

    /// The system that a certificate names.
    pub fn system_by_san(&self, san: &str) -> Option<&Arc<System>> {
        self.by_san.get(san)
    }

    /// All record types, in no order.
    pub fn record_types(&self) -> impl Iterator<Item = &RecordType> {
        self.record_types.values()
    }

    /// One record type, by its name.
    pub fn record_type(&self, name: &str) -> Option<&RecordType> {
        self.record_types.get(name)
    }

    /// All agreements, by name, in force or not.
    pub fn agreements(&self) -> impl Iterator<Item = &Arc<CompiledAgreement>> {
        self.agreements.values()
    }

    /// One agreement.
    pub fn agreement(&self, id: &AgreementId) -> Option<&Arc<CompiledAgreement>> {
        self.agreements.get(id)
    }

    /// The agreements by which `source` pushes such records, by name. All that are in force apply: at any moment
    /// that is
    /// one for each recipient and purpose. The caller asks [`crate::domain::agreement::Agreement::in_force`].
    pub fn agreements_for_push(
        &self,
        source: &AgencyId,
        record_type: &RecordTypeId,
        major: u16,
    ) -> &[Arc<CompiledAgreement>] {
        let routes = self.record_types.get(record_type).map_or(&[][..], |known| &known.push);
        let route = routes.iter().find(|route| route.major == major && route.source == *source);
        route.map_or(&[], |route| &route.agreements)
    }

    /// The agreement in force at `at` by which `requester` may ask for such records for `purpose`.
    ///
    /// Without a `provider` it is the authoritative agency, or else the only one that there is; where several could be
    /// asked, none is. Of several major versions it is the newest.
    pub fn agreement_for_pull(
        &self,
        requester: &AgencyId,
        record_type: &RecordTypeId,
        purpose: &PurposeId,
        provider: Option<&AgencyId>,
        at: Moment,
    ) -> Option<&Arc<CompiledAgreement>> {
        let record_type = self.record_types.get(record_type)?;
        let fits = |known: &&Arc<CompiledAgreement>| {
            let agreed = &known.agreement;
            agreed.recipient == *requester && agreed.purpose == *purpose && agreed.in_force(at)
        };
        let fits: Vec<&Arc<CompiledAgreement>> = record_type.pull.iter().filter(fits).collect();
        let first = &fits.first()?.agreement.source;
        let authority = &record_type.authority;
        let source = match provider {
            Some(provider) => provider,
            None if fits.iter().any(|known| known.agreement.source == *authority) => authority,
            None if fits.iter().all(|known| known.agreement.source == *first) => first,
            None => return None,
        };
        fits.into_iter()
            .filter(|known| known.agreement.source == *source)
            .max_by_key(|known| known.agreement.schema_major)
    }
}

fn schema_name(record_type: &RecordTypeId, version: SchemaVersion) -> String {
    format!("{record_type}/{version}")
}
