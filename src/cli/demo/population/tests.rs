//! That the population is deterministic, peculiar where it says so, and valid under the published schemas.

use super::{Citizen, Peculiarity, Population, RECORD_TYPES, SCHEMA_VERSION, numbers};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const SEED: u64 = 20_260_101;

fn people(citizens: usize) -> Population {
    Population::generate(SEED, citizens)
}

fn validators() -> BTreeMap<&'static str, Validator> {
    RECORD_TYPES.into_iter().map(|record_type| (record_type, validator(record_type))).collect()
}

fn validator(record_type: &str) -> Validator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let file = folder.join(format!("{record_type}/{SCHEMA_VERSION}.json"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    options.build(&schema).unwrap()
}

fn assert_valid(validator: &Validator, body: &Value, what: &str) {
    let faults: Vec<_> = validator.iter_errors(body).map(|e| format!("{} {e}", e.instance_path())).collect();
    assert!(faults.is_empty(), "{what}: {faults:?}");
}

fn leaves(value: &Value) -> usize {
    match value {
        Value::Object(members) => members.values().map(leaves).sum(),
        Value::Array(items) => items.iter().map(leaves).sum(),
        _ => 1,
    }
}

#[test]
fn every_record_is_valid_under_its_published_schema() {
    let validators = validators();
    for seed in [SEED, 0, u64::MAX] {
        for record in Population::generate(seed, 300).records() {
            assert_valid(
                &validators[record.record_type],
                &record.body,
                &format!("seed {seed}, {}", record.record_type),
            );
        }
    }
}

#[test]
fn an_award_is_valid_and_has_a_number_of_its_own() {
    let validator = validator("benefit/award");
    for citizen in people(120).citizens() {
        let award = citizen.awarded();
        assert_valid(&validator, &award.body, &format!("the award of {}", citizen.index()));
        assert!(citizen.records().iter().all(|record| record.id != award.id));
    }
}

#[test]
fn each_citizen_has_one_record_of_each_type_about_that_citizen() {
    let records: Vec<_> = people(120).records().collect();
    assert_eq!(records.len(), 120 * RECORD_TYPES.len());
    let ids: BTreeSet<_> = records.iter().map(|record| &record.id).collect();
    assert_eq!(ids.len(), records.len(), "record ids repeat");
    for citizen in people(120).citizens() {
        for record in citizen.records() {
            let subject = &record.body["subject"];
            assert_eq!(subject["nationalNumber"].as_str(), citizen.national_number());
            assert_eq!(subject["taxNumber"].as_str(), Some(citizen.tax_number()));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_people_and_a_larger_population_begins_with_a_smaller() {
    let bodies = |seed, count| -> Vec<Value> {
        Population::generate(seed, count).records().take(40 * RECORD_TYPES.len()).map(|record| record.body).collect()
    };
    assert!(bodies(SEED, 40) == bodies(SEED, 1000));
    assert!(bodies(SEED, 40) != bodies(SEED + 1, 40));
    assert!(people(40).citizen(40).is_none());
}

#[test]
fn numbers_are_unique_carry_check_digits_and_belong_to_no_country() {
    let mut seen = BTreeSet::new();
    for citizen in people(5000).citizens() {
        let both = citizen.national_number().into_iter().chain([citizen.tax_number()]);
        for number in both.map(str::to_owned) {
            assert!(number.starts_with("ZZ") && number.len() == 13);
            assert_eq!(numbers::remainder(&number), 1, "check digits");
            assert!(seen.insert(number), "a number repeats");
        }
    }
    assert_eq!(numbers::remainder("ZZN0000001089"), 1);
    assert_ne!(numbers::remainder("ZZN0000001098"), 1, "digits that changed places are noticed");
}

#[test]
fn the_first_citizen_is_an_adult_with_a_fixed_address_and_an_email_address() {
    for seed in 0..50 {
        let first = Population::generate(seed, 1).citizen(0).unwrap();
        assert_eq!(first.peculiarity(), None);
        assert_eq!(first.identifier().0, "national-number");
        assert_eq!(first.person()["gender"], "female");
        assert!(first.contact()["email"].is_string());
        assert!(first.address()["address"].is_object());
    }
}

fn the(peculiarity: Peculiarity) -> Citizen {
    let citizen = people(20).with(peculiarity).expect("twenty citizens hold every peculiarity");
    assert_eq!(citizen.peculiarity(), Some(peculiarity));
    citizen
}

#[test]
fn names_are_as_they_are() {
    let scripts = the(Peculiarity::SeveralScripts).person();
    assert!(!scripts["fullName"].as_str().unwrap().is_ascii());
    assert_eq!(scripts["alternativeName"][0]["script"], "Latn");
    let mononym = the(Peculiarity::Mononym).person();
    assert!(mononym["fullName"] == mononym["givenName"] && mononym.get("familyName").is_none());
    assert_eq!(the(Peculiarity::NameOf200Characters).full_name().chars().count(), 200);
    let marked = the(Peculiarity::ApostropheAndHyphen);
    assert!(marked.full_name().contains('\'') && marked.full_name().contains('-'));
    let patronymic = the(Peculiarity::NoFamilyName).person();
    assert!(patronymic["patronymicName"].is_string() && patronymic.get("familyName").is_none());
    let changed = the(Peculiarity::ChangedName).person();
    assert_eq!(changed["alternativeName"][0]["kind"], "former");
    assert_eq!(changed["birthName"], changed["alternativeName"][0]["familyName"]);
}

#[test]
fn births_deaths_and_nationalities_are_as_they_are() {
    assert_eq!(the(Peculiarity::BirthYearOnly).person()["dateOfBirth"].as_str().unwrap().len(), 4);
    assert_eq!(the(Peculiarity::BirthYearAndMonth).person()["dateOfBirth"].as_str().unwrap().len(), 7);
    assert!(the(Peculiarity::Deceased).person()["dateOfDeath"].is_string());
    assert_eq!(the(Peculiarity::SeveralNationalities).person()["citizenship"].as_array().unwrap().len(), 3);
    assert_eq!(the(Peculiarity::Stateless).person()["citizenship"].as_array().unwrap().len(), 0);
}

#[test]
fn homes_are_as_they_are() {
    let without = the(Peculiarity::NoFixedAddress);
    assert_eq!(without.address()["noFixedAddress"], true);
    assert!(without.address().get("address").is_none() && without.moved(1).get("previousAddress").is_none());
    let abroad = the(Peculiarity::AbroadWithoutPostcode).address();
    assert!(abroad["address"].get("postCode").is_none() && abroad["address"]["adminUnitL1"] != "ZZ");
}

#[test]
fn a_minor_has_a_guardian_who_is_a_citizen_and_whose_authority_ends_at_majority() {
    let minor = the(Peculiarity::Minor).person();
    let guardian = people(20).citizen(super::kin::GUARDIAN).unwrap();
    assert_eq!(minor["guardian"][0]["nationalNumber"].as_str(), guardian.national_number());
    assert_eq!(minor["familyName"], guardian.person()["familyName"]);
    let year = |date: &Value| date.as_str().unwrap()[..4].parse::<u16>().unwrap();
    assert!(year(&minor["guardian"][0]["validUntil"]) - year(&minor["dateOfBirth"]) >= 17);
    assert_eq!(the(Peculiarity::Minor).benefit_claim()["representative"], minor["guardian"]);
}

#[test]
fn twins_differ_in_their_numbers_only() {
    let elder = the(Peculiarity::Twin);
    let younger = people(20).citizen(elder.index() + 1).unwrap();
    assert_eq!(younger.peculiarity(), Some(Peculiarity::Twin));
    assert_ne!(elder.national_number(), younger.national_number());
    let mut records = [elder, younger].map(|twin| [twin.person(), twin.address()]);
    for record in records.iter_mut().flatten() {
        record["subject"].take();
    }
    assert!(records[0] == records[1]);
}

#[test]
fn someone_is_known_by_a_tax_number_only() {
    let citizen = the(Peculiarity::TaxNumberOnly);
    assert_eq!(citizen.identifier(), ("tax-number", citizen.tax_number()));
    assert!(citizen.person()["subject"].get("nationalNumber").is_none());
}

#[test]
fn spouses_name_each_other_and_the_same_day() {
    let (mut couples, people) = (0, people(200));
    for citizen in people.citizens().filter(|citizen| citizen.spouse.is_some()) {
        let other = people.citizen(citizen.index() ^ 1).unwrap();
        let (mine, theirs) = (citizen.civil_status(), other.civil_status());
        assert_eq!(mine["spouse"]["nationalNumber"].as_str(), other.national_number());
        assert_eq!(mine["validFrom"], theirs["validFrom"]);
        assert_eq!(citizen.address()["address"], other.address()["address"]);
        couples += 1;
    }
    assert!(couples > 20, "only {couples} of 200 are married");
}

#[test]
fn each_move_leads_elsewhere_and_remembers_where_from() {
    let validators = validators();
    for citizen in people(25).citizens() {
        for n in 1..=4 {
            let (before, after) = (citizen.moved(n - 1), citizen.moved_record(n));
            assert_eq!(after.revision, u64::from(n) + 1);
            assert_eq!(after.id, citizen.record_id("identity/address"));
            let after = after.body;
            assert_valid(&validators["identity/address"], &after, "moved");
            assert_ne!(before.get("address"), after.get("address"));
            assert_eq!(before.get("address"), after.get("previousAddress"));
            assert!(before["validFrom"].as_str() < after["validFrom"].as_str());
        }
    }
    assert_valid(&validators["identity/address"], &people(1).citizen(0).unwrap().moved(u32::MAX), "the last move");
}

#[test]
fn an_ordinary_income_statement_has_thirty_fields_in_two_kilobytes() {
    for citizen in people(300).citizens().filter(|citizen| citizen.peculiarity().is_none()) {
        let statement = citizen.income_statement();
        assert_eq!(leaves(&statement), 30);
        let bytes = statement.to_string().len();
        assert!((1950..=2150).contains(&bytes), "{bytes} bytes");
    }
}
