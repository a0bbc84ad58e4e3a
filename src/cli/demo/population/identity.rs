//! What the identity agency holds of a citizen: person, address, contact, civil status.

use super::draws::{Draw, draws};
use super::{Citizen, Peculiarity, Relative, kin, places};
use jiff::{ToSpan, civil::Date, civil::date};
use serde_json::{Value, json};

/// The day after which moves happen; the population's present, since nothing here reads a clock.
const PRESENT: Date = date(2026, 1, 1);

impl Citizen {
    /// The `identity/person` record.
    pub fn person(&self) -> Value {
        let mut record = json!({
            "subject": self.subject(),
            "dateOfBirth": self.born,
            "gender": self.name.gender,
            "citizenship": ["ZZ"],
            "residency": ["ZZ"],
        });
        self.name.write(&mut record);
        match self.peculiarity {
            Some(Peculiarity::SeveralNationalities) => record["citizenship"] = json!(["ZZ", "PT", "BR"]),
            Some(Peculiarity::Stateless) => record["citizenship"] = json!([]),
            Some(Peculiarity::AbroadWithoutPostcode) => {
                record["residency"] = json!([self.address()["address"]["adminUnitL1"]]);
            }
            Some(Peculiarity::Deceased) => {
                let mut rng = self.draws(Draw::Contact);
                record["dateOfDeath"] = json!(format!("2025-{:02}-{:02}", rng.u8(1..=12), rng.u8(1..=28)));
                record["placeOfDeath"] = json!({ "geographicName": places::town(&mut rng), "adminUnitL1": "ZZ" });
            }
            _ => {}
        }
        if let Some(guardian) = self.guardianship() {
            record["guardian"] = json!([guardian]);
        }
        record
    }

    /// The `identity/address` record as it is before any move.
    pub fn address(&self) -> Value {
        self.moved(0)
    }

    /// The `identity/address` record after the `n`-th move: another address in the country, with the one before.
    /// Whoever shared a home moves alone.
    pub fn moved(&self, n: u32) -> Value {
        let mut record = self.home(n);
        record["subject"] = self.subject();
        record["addressType"] = json!("main");
        if n > 0 {
            let day = PRESENT.saturating_add(i64::from(n).min(1_000_000).days());
            record["validFrom"] = json!(day.to_string());
            record["registeredOn"] = json!(day.to_string());
            let reasons = ["work", "study", "family", "housing", "other"];
            record["reasonForMove"] = json!(reasons[n as usize % reasons.len()]);
            if let Some(before) = self.home(n - 1).get("address") {
                record["previousAddress"] = before.clone();
            }
        } else if let Some(spouse) = &self.spouse {
            record["movedWith"] = json!([{ "nationalNumber": spouse.national_number, "fullName": spouse.name,
                "relation": "spouse" }]);
        }
        record
    }

    /// Where the person lives after `n` moves, and since when for the first home.
    fn home(&self, n: u32) -> Value {
        let home = if n == 0 { kin::home_of(self.seed, self.index) } else { self.index };
        let mut rng = draws(self.seed, home, Draw::Address(n));
        let since = format!("{}-{:02}-01", rng.u16(2005..=2024), rng.u8(1..=12));
        // A child moved in when it was born; whoever was born on a date not fully known was so long before.
        let since = since.max(self.born.clone());
        match self.peculiarity {
            Some(Peculiarity::NoFixedAddress) if n == 0 => {
                let centre = format!("Day centre, Quay Street 1, {}", places::town(&mut rng));
                json!({ "noFixedAddress": true, "contactPoint": centre, "validFrom": since })
            }
            Some(Peculiarity::AbroadWithoutPostcode) if n == 0 => {
                json!({ "address": places::without_postcode(&mut rng), "validFrom": since })
            }
            _ => {
                let place = places::domestic(&mut rng);
                let rooms = rng.u8(1..=6);
                json!({
                    "address": place.address,
                    "geometry": place.geometry,
                    "validFrom": since,
                    "registeredOn": since,
                    "dwelling": {
                        "kind": if rooms > 4 { "house" } else { "flat" },
                        "roomCount": rooms,
                        "occupantCount": 1 + u8::from(self.spouse.is_some()) + rng.u8(0..=2),
                        "landlordName": "Harbour Homes Cooperative",
                    },
                })
            }
        }
    }

    /// The `identity/contact` record. Addresses end in `.example` and numbers begin with a country code that is not
    /// assigned, so that nothing sent there arrives.
    pub fn contact(&self) -> Value {
        let mut rng = self.draws(Draw::Contact);
        let language = ["en", "fr", "de", "pt", "mt"][rng.usize(..5)];
        let mut record = json!({
            "subject": self.subject(),
            "preferredChannel": "post",
            "preferredLanguage": language,
            "confirmedOn": format!("2025-{:02}-{:02}", rng.u8(1..=12), rng.u8(1..=28)),
        });
        if self.peculiarity == Some(Peculiarity::NoFixedAddress) {
            record["preferredChannel"] = json!("counter");
            return record;
        }
        record["telephone"] = json!(format!("+9990{:08}", rng.u32(0..100_000_000)));
        // The demo's first citizen has an e-mail address; some do without.
        if self.index == 0 || rng.u8(0..10) > 0 {
            record["email"] = json!(format!("citizen.{}@post.example", self.index));
            record["preferredChannel"] = json!("email");
        }
        if rng.u8(0..20) == 0 {
            record["accessibilityNeed"] = json!(["large-print"]);
        }
        if let Some(kin) = self.spouse.as_ref().or(self.guardian.as_ref()) {
            record["emergencyContact"] = json!([{ "fullName": kin.name, "relation": "family" }]);
        }
        record
    }

    /// The `identity/civil-status` record.
    pub fn civil_status(&self) -> Value {
        let mut record = json!({ "subject": self.subject(), "civilStatus": "single" });
        if let Some(spouse) = &self.spouse {
            // Drawn for the pair, so that both say the same.
            let mut rng = draws(self.seed, self.index & !1, Draw::Marriage);
            let majority = self.birth_year().max(spouse.birth_year()) + 18;
            let year = rng.u16(majority..=majority.max(2024));
            record["civilStatus"] = json!("married");
            record["validFrom"] = json!(format!("{year}-{:02}-{:02}", rng.u8(1..=12), rng.u8(1..=28)));
            record["certificateNumber"] = json!(format!("M/{year}/{:05}", rng.u32(0..100_000)));
            record["placeOfEvent"] = json!({ "geographicName": places::town(&mut rng), "adminUnitL1": "ZZ" });
            record["spouse"] = spouse.with_birth();
        }
        record
    }

    fn birth_year(&self) -> u16 {
        year(&self.born)
    }

    /// Who acts for a minor, until the eighteenth birthday.
    pub(super) fn guardianship(&self) -> Option<Value> {
        let guardian = self.guardian.as_ref()?;
        let majority = self.born.parse::<Date>().ok()?.saturating_add(18.years()).yesterday().ok()?;
        Some(json!({
            "nationalNumber": guardian.national_number,
            "fullName": guardian.name,
            "authority": "parent",
            "validUntil": majority.to_string(),
        }))
    }
}

fn year(partial_date: &str) -> u16 {
    partial_date.get(..4).and_then(|year| year.parse().ok()).expect("a birth is drawn with a year of four digits")
}

impl Relative {
    fn birth_year(&self) -> u16 {
        year(&self.born)
    }

    /// As the `spouse` and `child` definitions have it.
    pub(super) fn with_birth(&self) -> Value {
        json!({ "nationalNumber": self.national_number, "fullName": self.name, "dateOfBirth": self.born })
    }
}
