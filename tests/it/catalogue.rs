//! The demo's catalogue over the shared schemas and their examples: every view of every valid record obeys its view
//! schema.

use std::{fs, path::Path};

use waybill::{
    catalogue::Catalogue,
    domain::view::Projection,
    exchange::parse::{RecordLimits, parse},
};

fn demo() -> Catalogue {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let loaded = Catalogue::load(&root.join("deploy/demo/catalogue"), &root.join("schemas"));
    loaded.unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The valid examples of a record type's version, by file name.
fn examples(record_type: &str, version: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{record_type}/{version}/valid"));
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

#[test]
fn every_view_of_every_valid_example_obeys_its_view_schema_and_withholds_the_rest() {
    let catalogue = demo();
    let limits = RecordLimits::default();
    for compiled in catalogue.agreements() {
        let record_type = catalogue.record_type(compiled.agreement.record_type.as_str()).unwrap();
        let mut withheld = 0;
        for version in record_type.versions() {
            for (name, bytes) in examples(record_type.id.as_str(), &version.version.to_string()) {
                let record = parse(&bytes, &limits).unwrap();
                assert!(version.validator.is_valid(&record), "{name}");
                let mut projection = Projection::default();
                compiled.view.project(&record, &mut projection).unwrap();
                let delivered = parse(projection.text().as_bytes(), &limits).unwrap();
                assert!(compiled.view_validator.is_valid(&delivered), "{} of {name}", compiled.agreement.id);
                withheld += projection.withheld().len();
            }
        }
        assert!(withheld > 0, "{} withholds something of some example", compiled.agreement.id);
    }
}
