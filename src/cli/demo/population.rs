//! The demo's people: a synthetic population, the same for the same seed, as records of the shared types. It reads no
//! clock and no file, sends nothing, and names nobody who lives.
//!
//! A citizen is a function of (seed, index), so a population of any size costs no memory. In each hundred, the indices
//! 3 to 19 carry one [`Peculiarity`] each; all others are ordinary, and from the twentieth on some are married.

mod benefit;
mod draws;
mod identity;
mod kin;
mod names;
mod numbers;
mod places;
mod tax;
#[cfg(test)]
mod tests;

use draws::{Draw, draws};
use fastrand::Rng;
pub use kin::Peculiarity;
use names::Name;
use serde_json::{Value, json};

/// The types of the records that each citizen has, all in version [`SCHEMA_VERSION`], in the order of
/// [`Citizen::records`].
pub const RECORD_TYPES: [&str; 7] = [
    "identity/person",
    "identity/address",
    "identity/contact",
    "identity/civil-status",
    "tax/income-statement",
    "tax/residency",
    "benefit/claim",
];

/// The schema version of every record made here.
pub const SCHEMA_VERSION: &str = "1.0";

/// A number of citizens, drawn from a seed.
#[derive(Clone, Copy, Debug)]
pub struct Population {
    seed: u64,
    citizens: usize,
}

impl Population {
    /// The population of `citizens` people that belongs to `seed`. A larger one of the same seed begins with a smaller.
    pub fn generate(seed: u64, citizens: usize) -> Self {
        Self { seed, citizens }
    }

    /// How many citizens there are.
    pub fn len(&self) -> usize {
        self.citizens
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.citizens == 0
    }

    /// The citizen at `index`, if the population is that large.
    pub fn citizen(&self, index: usize) -> Option<Citizen> {
        (index < self.citizens).then(|| Citizen::draw(self.seed, index))
    }

    /// Everybody, by index.
    pub fn citizens(&self) -> impl Iterator<Item = Citizen> + use<> {
        let seed = self.seed;
        (0..self.citizens).map(move |index| Citizen::draw(seed, index))
    }

    /// Every citizen's records, citizen by citizen.
    pub fn records(&self) -> impl Iterator<Item = Record> + use<> {
        self.citizens().flat_map(|citizen| citizen.records())
    }

    /// The first citizen with that peculiarity; with 20 citizens or more, there is one for each.
    pub fn with(&self, peculiarity: Peculiarity) -> Option<Citizen> {
        self.citizen(kin::first(peculiarity)?)
    }
}

/// A record as a source would submit it.
#[derive(Clone, PartialEq)]
pub struct Record {
    /// Such as `identity/address`.
    pub record_type: &'static str,
    /// The source's own number for the record, opaque; the same in all its revisions.
    pub id: String,
    /// Counted from 1.
    pub revision: u64,
    /// Valid under the type's schema in [`SCHEMA_VERSION`].
    pub body: Value,
}

/// One synthetic person. Not `Debug`: what is written for one of these would be written for a real one.
#[derive(Clone)]
pub struct Citizen {
    seed: u64,
    index: usize,
    peculiarity: Option<Peculiarity>,
    national_number: Option<String>,
    tax_number: String,
    name: Name,
    /// At the precision that is known.
    born: String,
    spouse: Option<Box<Relative>>,
    guardian: Option<Box<Relative>>,
}

/// What one citizen's record says of another.
#[derive(Clone)]
struct Relative {
    national_number: String,
    name: String,
    born: String,
}

impl Citizen {
    fn draw(seed: u64, index: usize) -> Self {
        let mut citizen = Self::alone(seed, index);
        if let Some(spouse) = kin::spouse_of(seed, index) {
            citizen.spouse = Some(Box::new(Self::alone(seed, spouse).as_relative()));
        }
        if citizen.peculiarity == Some(Peculiarity::Minor) {
            let guardian = Self::alone(seed, kin::guardian_of(index));
            citizen.name = citizen.name.child_of(&guardian.name);
            citizen.guardian = Some(Box::new(guardian.as_relative()));
        }
        citizen
    }

    /// The person without relatives.
    fn alone(seed: u64, index: usize) -> Self {
        let peculiarity = kin::at(index);
        let mut rng = draws(seed, kin::twin_of(index), Draw::Person);
        let name = Name::draw(peculiarity, index, &mut rng);
        let born = birth(peculiarity, &mut rng);
        let registered = peculiarity != Some(Peculiarity::TaxNumberOnly);
        Self {
            seed,
            index,
            peculiarity,
            national_number: registered.then(|| numbers::national(seed, index)),
            tax_number: numbers::tax(seed, index),
            name,
            born,
            spouse: None,
            guardian: None,
        }
    }

    /// Relatives are ordinary citizens, so they have a national number.
    fn as_relative(&self) -> Relative {
        Relative {
            national_number: numbers::national(self.seed, self.index),
            name: self.name.full.clone(),
            born: self.born.clone(),
        }
    }

    /// The place in the population.
    pub fn index(&self) -> usize {
        self.index
    }

    /// What is unusual, if anything is.
    pub fn peculiarity(&self) -> Option<Peculiarity> {
        self.peculiarity
    }

    /// The whole name.
    pub fn full_name(&self) -> &str {
        &self.name.full
    }

    /// The national number, once there is one.
    pub fn national_number(&self) -> Option<&str> {
        self.national_number.as_deref()
    }

    /// The tax number.
    pub fn tax_number(&self) -> &str {
        &self.tax_number
    }

    /// A number that the person is known by, with its scheme: the national one, else the tax number.
    pub fn identifier(&self) -> (&'static str, &str) {
        self.national_number().map_or(("tax-number", self.tax_number()), |number| ("national-number", number))
    }

    /// The person's records at their first revision, one of each of [`RECORD_TYPES`].
    pub fn records(&self) -> [Record; RECORD_TYPES.len()] {
        let bodies = [
            self.person(),
            self.address(),
            self.contact(),
            self.civil_status(),
            self.income_statement(),
            self.tax_residency(),
            self.benefit_claim(),
        ];
        let mut bodies = bodies.into_iter();
        RECORD_TYPES.map(|record_type| Record {
            record_type,
            id: self.record_id(record_type),
            revision: 1,
            body: bodies.next().expect("one body is made above for each record type"),
        })
    }

    /// The address record after the `n`-th move, as the revision that follows.
    pub fn moved_record(&self, n: u32) -> Record {
        let record_type = "identity/address";
        Record { record_type, id: self.record_id(record_type), revision: 1 + u64::from(n), body: self.moved(n) }
    }

    /// The source's number for this person's record of that type.
    pub fn record_id(&self, record_type: &str) -> String {
        let place = RECORD_TYPES.iter().position(|t| *t == record_type).unwrap_or(RECORD_TYPES.len());
        format!("{:016x}", self.draws(Draw::RecordId(place as u32)).u64(..))
    }

    /// `/subject`, the same in every record.
    fn subject(&self) -> Value {
        let mut subject = json!({ "taxNumber": self.tax_number });
        if let Some(number) = &self.national_number {
            subject["nationalNumber"] = json!(number);
        }
        subject
    }

    fn draws(&self, purpose: Draw) -> Rng {
        draws(self.seed, self.index, purpose)
    }
}

fn birth(peculiarity: Option<Peculiarity>, rng: &mut Rng) -> String {
    let year = if peculiarity == Some(Peculiarity::Minor) { rng.u16(2012..=2022) } else { rng.u16(1938..=2004) };
    let (month, day) = (rng.u8(1..=12), rng.u8(1..=28));
    match peculiarity {
        Some(Peculiarity::BirthYearOnly) => format!("{year}"),
        Some(Peculiarity::BirthYearAndMonth) => format!("{year}-{month:02}"),
        _ => format!("{year}-{month:02}-{day:02}"),
    }
}
