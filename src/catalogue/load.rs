//! From files to a catalogue: read all, check all, and only then digest and compile.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use ahash::HashMap;

use crate::domain::{agreement::Direction, record::RecordTypeId};

use super::{
    Catalogue, PUBLICATION_BYTES_MAX,
    agencies::{self, AgencyDraft},
    agreement_rules::Scene,
    agreements::{self, AgreementDraft},
    compiled::{self, CompiledAgreement, PushRoute, RecordType},
    digest::{self, Digest},
    files::Sources,
    kafka,
    problem::{Fault, Place, Problem, Problems},
    registers::{self, Purpose, RecordTypeDraft},
    schema::{self, Schemas},
    schema_name,
};

pub(super) fn from_folders(folder: &Path, schemas: &Path) -> Result<Catalogue, Vec<Problem>> {
    let problems = Problems::default();
    let sources = Sources::read(folder, schemas, &problems);
    from_sources(&sources, problems)
}

pub(super) fn from_sources(sources: &Sources, problems: Problems) -> Result<Catalogue, Vec<Problem>> {
    let drafts = Drafts::read(sources, &problems);
    // What could not be read would make each reference to it look wrong.
    if !problems.has_syntax_errors() {
        drafts.check(&problems);
    }
    problems.into_result()?;
    let catalogue = drafts.compile()?;
    let bytes = catalogue.publication().bytes();
    if bytes > PUBLICATION_BYTES_MAX {
        let problems = Problems::default();
        let file: Arc<str> = Path::new(&sources.folder).join("record-types.toml").display().to_string().into();
        let fault = Fault::PublicationTooLarge { bytes: bytes.to_string(), max: PUBLICATION_BYTES_MAX.to_string() };
        problems.add(&file, Place::File, fault);
        problems.into_result()?;
    }
    Ok(catalogue)
}

/// All that the files say.
struct Drafts {
    agencies: Vec<AgencyDraft>,
    purposes: Vec<Purpose>,
    record_types: BTreeMap<RecordTypeId, RecordTypeDraft>,
    schemas: Schemas,
    agreements: Vec<AgreementDraft>,
}

impl Drafts {
    fn read(sources: &Sources, problems: &Problems) -> Self {
        let (mut agencies, mut agreements) = (Vec::new(), Vec::new());
        let (mut purposes, mut record_types) = (None, None);
        for file in &sources.catalogue {
            match file.path.as_str() {
                "purposes.toml" => purposes = Some(registers::read_purposes(file, problems)),
                "record-types.toml" => record_types = Some(registers::read_record_types(file, problems)),
                path if path.starts_with("agencies/") => agencies.extend(agencies::read(file, problems)),
                path if path.starts_with("agreements/") => agreements.extend(agreements::read(file, problems)),
                _ => problems.add(&file.shown, Place::File, Fault::FileUnexpected {}),
            }
        }
        for (name, missing) in [("purposes.toml", purposes.is_none()), ("record-types.toml", record_types.is_none())] {
            if missing {
                let file: Arc<str> = Path::new(&sources.folder).join(name).display().to_string().into();
                problems.add(&file, Place::File, Fault::FileMissing {});
            }
        }
        let record_types = record_types.unwrap_or_default();
        let wanted: BTreeSet<&RecordTypeId> = record_types.keys().collect();
        let schemas = schema::read(&sources.schemas, &wanted, problems);
        // The order of files must not show anywhere: not in the digest, not in which of two is called the second.
        agencies.sort_by(|a, b| a.agency.id.cmp(&b.agency.id));
        agreements.sort_by(|a, b| a.id.cmp(&b.id));
        Self { agencies, purposes: purposes.unwrap_or_default(), record_types, schemas, agreements }
    }

    fn check(&self, problems: &Problems) {
        agencies::check(&self.agencies, problems);
        kafka::check(&self.agencies, &self.schemas, problems);
        let known: BTreeMap<_, _> = self.agencies.iter().map(|draft| (&draft.agency.id, draft)).collect();
        for draft in self.record_types.values() {
            if !known.contains_key(&draft.authority.value) {
                let fault = Fault::AgencyUnknown { agency: draft.authority.value.to_string() };
                problems.at(&draft.authority.spot, fault);
            }
            if !self.schemas.contains_key(&draft.id) {
                problems.at(&draft.spot, Fault::SchemaMissing { record_type: draft.id.to_string() });
            }
        }
        let scene = Scene {
            agencies: known,
            purposes: self.purposes.iter().map(|purpose| (&purpose.id, purpose)).collect(),
            record_types: &self.record_types,
            schemas: &self.schemas,
            agreements: &self.agreements,
            problems,
        };
        scene.check();
    }

    fn compile(self) -> Result<Catalogue, Vec<Problem>> {
        let problems = Problems::default();
        let content =
            digest::content(&self.agencies, &self.purposes, &self.record_types, &self.schemas, &self.agreements);
        let digest = Digest::of_json(&content);
        let compile = |draft| compiled::agreement(draft, &self.schemas, digest, &problems).map(Arc::new);
        let agreements: Vec<Arc<CompiledAgreement>> = self.agreements.iter().filter_map(compile).collect();
        let compile = |draft| compiled::record_type(draft, &self.schemas, &problems);
        let mut record_types: HashMap<RecordTypeId, RecordType> =
            self.record_types.values().map(compile).map(|known| (known.id.clone(), known)).collect();
        problems.into_result()?;
        for agreement in &agreements {
            if let Some(record_type) = record_types.get_mut(&agreement.agreement.record_type) {
                route(record_type, agreement);
            }
        }
        let schema_files = self.schemas.iter().flat_map(|(record_type, versions)| {
            versions.iter().map(|(version, draft)| (schema_name(record_type, *version), Arc::clone(&draft.file)))
        });
        let schema_files = schema_files.collect();
        let revision_spots =
            self.agreements.iter().map(|draft| (draft.id.clone(), draft.revision.spot.clone())).collect();
        let (mut agencies, mut systems) = (BTreeMap::new(), BTreeMap::new());
        for AgencyDraft { agency, systems: drafts, .. } in self.agencies {
            agencies.insert(agency.id.clone(), agency);
            systems.extend(drafts.into_iter().map(|draft| (draft.system.id.clone(), Arc::new(draft.system))));
        }
        Ok(Catalogue {
            digest,
            agencies,
            purposes: self.purposes.into_iter().map(|purpose| (purpose.id.clone(), purpose)).collect(),
            by_san: systems.values().map(|system| (system.san.clone(), Arc::clone(system))).collect(),
            systems,
            record_types,
            agreements: agreements.into_iter().map(|known| (known.agreement.id.clone(), known)).collect(),
            schema_files,
            revision_spots,
        })
    }
}

/// Puts an agreement where those who push or pull its record type look for it.
fn route(record_type: &mut RecordType, compiled: &Arc<CompiledAgreement>) {
    let agreed = &compiled.agreement;
    if agreed.direction != Direction::Push {
        return record_type.pull.push(Arc::clone(compiled));
    }
    let routes = &mut record_type.push;
    let known = routes.iter().position(|route| route.major == agreed.schema_major && route.source == agreed.source);
    let index = known.unwrap_or_else(|| {
        routes.push(PushRoute { source: agreed.source.clone(), major: agreed.schema_major, agreements: Vec::new() });
        routes.len() - 1
    });
    routes[index].agreements.push(Arc::clone(compiled));
}
