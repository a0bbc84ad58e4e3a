//! The demo's catalogue, as it lies in the repository, over the shared schemas.

use std::path::Path;

use crate::{
    catalogue::{
        Catalogue, Fault, RecordType,
        schema::{COST_MAX, cost},
    },
    domain::agency::Role,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn demo() -> Catalogue {
    let loaded = Catalogue::load(&root().join("deploy/demo/catalogue"), &root().join("schemas"));
    loaded.unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn the_demo_catalogue_loads_clean() {
    let catalogue = demo();
    let names: Vec<_> = catalogue.systems().map(|system| system.id.to_string()).collect();
    assert_eq!(
        names,
        [
            "benefit/claims",
            "benefit/dpo",
            "benefit/portal",
            "hub/dpo",
            "hub/operator",
            "identity/dpo",
            "identity/portal",
            "identity/registry",
            "tax/dpo",
            "tax/registry"
        ]
    );
    for system in catalogue.systems() {
        let (agency, name) = system.id.as_str().split_once('/').unwrap();
        assert_eq!(system.san, format!("urn:waybill:system:{agency}:{name}"));
    }
    assert!(catalogue.system_by_san("urn:waybill:system:hub:dpo").unwrap().has(Role::AuditHub));
    assert_eq!(catalogue.record_types().count(), 8);
    assert_eq!(catalogue.agreements().count(), 10);
}

#[test]
fn an_address_goes_to_tax_and_to_benefit_and_each_sees_less_than_all() {
    let catalogue = demo();
    let (source, record_type) = ("identity".parse().unwrap(), "identity/address".parse().unwrap());
    let found = catalogue.agreements_for_push(&source, &record_type, 1);
    let to: Vec<_> = found.iter().map(|found| found.agreement.recipient.as_str()).collect();
    assert_eq!(to, ["benefit", "tax"]);
    assert_ne!(found[0].agreement.fields, found[1].agreement.fields);
}

#[test]
fn every_schema_of_the_demo_is_far_below_the_cost_bound() {
    for version in demo().record_types().flat_map(RecordType::versions) {
        let cost = cost(&version.schema);
        assert!(cost < COST_MAX / 4, "{} costs {cost}", version.digest);
    }
}

#[test]
fn a_folder_that_is_not_there_or_holds_what_does_not_belong_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let schemas = root().join("schemas");
    let missing = Catalogue::load(&folder.path().join("none"), &schemas).unwrap_err();
    assert!(matches!(missing[0].fault, Fault::Unreadable { .. }), "{missing:?}");
    std::fs::create_dir(folder.path().join("agencies")).unwrap();
    for (name, text) in [("purposes.toml", ""), ("record-types.toml", ""), ("agencies/a.tml", ""), ("README.md", "")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let stray = Catalogue::load(folder.path(), &schemas).unwrap_err();
    assert_eq!(stray.len(), 1, "{stray:?}");
    assert!(stray[0].file.ends_with("agencies/a.tml") && matches!(stray[0].fault, Fault::FileUnexpected {}));
}
