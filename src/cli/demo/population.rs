//! The demo's people: a synthetic population, the same for the same seed, as records of the shared types. It reads no
//! clock and no file, sends nothing, and names nobody who lives.
//!
//! A citizen is a function of (seed, index), so a population of any size costs no memory. In each hundred, the indices
//! 3 to 19 carry one [`Peculiarity`] each; all others are ordinary, and from the twentieth on some are married.

mod benefit;
mod identity;
mod names;
mod numbers;
mod places;
mod tax;
#[cfg(test)]
mod tests;

use fastrand::Rng;
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

/// The cycle after which the peculiarities come again.
const BLOCK: usize = 100;
/// Where the peculiarities begin in each block; before it come ordinary adults, the first of whom the demo is about.
const FIRST_PECULIAR: usize = 3;
/// The guardian of a block's minor, as an index into the block: an ordinary adult.
const GUARDIAN: usize = 1;

/// What makes a citizen one whom careless software fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peculiarity {
    /// The register's name is not in Latin script; transliterations stand beside it.
    SeveralScripts,
    /// One name is all there is.
    Mononym,
    /// A full name of exactly 200 characters.
    NameOf200Characters,
    /// Apostrophes, straight and curly, and hyphens.
    ApostropheAndHyphen,
    /// A given name and a patronymic, and no family name.
    NoFamilyName,
    /// Born in a known year; month and day are not known.
    BirthYearOnly,
    /// Born in a known month; the day is not known.
    BirthYearAndMonth,
    /// Three nationalities.
    SeveralNationalities,
    /// No nationality, and the register knows that.
    Stateless,
    /// Nowhere to write to but a day centre.
    NoFixedAddress,
    /// Lives in a country that has no postcodes.
    AbroadWithoutPostcode,
    /// A child, with a guardian who is another citizen of the population.
    Minor,
    /// Died last year.
    Deceased,
    /// Bears another name than before.
    ChangedName,
    /// One of two with the same name, birth date and home; comes in pairs of neighbouring indices.
    Twin,
    /// Known to the tax administration, and not yet to the population register.
    TaxNumberOnly,
}

/// What the indices from [`FIRST_PECULIAR`] on are, in each block.
const PECULIARITIES: [Peculiarity; 17] = [
    Peculiarity::SeveralScripts,
    Peculiarity::Mononym,
    Peculiarity::NameOf200Characters,
    Peculiarity::ApostropheAndHyphen,
    Peculiarity::NoFamilyName,
    Peculiarity::BirthYearOnly,
    Peculiarity::BirthYearAndMonth,
    Peculiarity::SeveralNationalities,
    Peculiarity::Stateless,
    Peculiarity::NoFixedAddress,
    Peculiarity::AbroadWithoutPostcode,
    Peculiarity::Minor,
    Peculiarity::Deceased,
    Peculiarity::ChangedName,
    Peculiarity::Twin,
    Peculiarity::Twin,
    Peculiarity::TaxNumberOnly,
];

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
        let place = PECULIARITIES.iter().position(|p| *p == peculiarity)?;
        self.citizen(FIRST_PECULIAR + place)
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
        if let Some(spouse) = spouse_of(seed, index) {
            citizen.spouse = Some(Box::new(Self::alone(seed, spouse).as_relative()));
        }
        if citizen.peculiarity == Some(Peculiarity::Minor) {
            let guardian = Self::alone(seed, guardian_of(index));
            citizen.name = citizen.name.child_of(&guardian.name);
            citizen.guardian = Some(Box::new(guardian.as_relative()));
        }
        citizen
    }

    /// The person without relatives.
    fn alone(seed: u64, index: usize) -> Self {
        let peculiarity = peculiarity_of(index);
        let mut rng = draws(seed, twin_of(index), Draw::Person);
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

/// What a stream of draws is for; each has its own, so that a change to one record leaves the others as they were.
#[derive(Clone, Copy)]
enum Draw {
    Person,
    Marriage,
    /// Which move.
    Address(u32),
    Contact,
    Income,
    Claim,
    /// Which record type.
    RecordId(u32),
}

fn draws(seed: u64, index: usize, purpose: Draw) -> Rng {
    let (kind, number) = match purpose {
        Draw::Person => (1, 0),
        Draw::Marriage => (2, 0),
        Draw::Address(n) => (3, n),
        Draw::Contact => (4, 0),
        Draw::Income => (5, 0),
        Draw::Claim => (6, 0),
        Draw::RecordId(n) => (7, n),
    };
    // Two odd constants spread neighbouring indices and purposes over the whole seed.
    let place = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let purpose = ((kind << 32) | u64::from(number)).wrapping_mul(0xD1B5_4A32_D192_ED03);
    Rng::with_seed(Rng::with_seed(seed ^ place).u64(..) ^ purpose)
}

fn peculiarity_of(index: usize) -> Option<Peculiarity> {
    (index % BLOCK).checked_sub(FIRST_PECULIAR).and_then(|place| PECULIARITIES.get(place)).copied()
}

/// The index that the draws of a person come from: the elder twin's for both.
fn twin_of(index: usize) -> usize {
    let younger = index > 0 && [index - 1, index].map(peculiarity_of) == [Some(Peculiarity::Twin); 2];
    if younger { index - 1 } else { index }
}

fn guardian_of(index: usize) -> usize {
    index - index % BLOCK + GUARDIAN
}

/// Two in five of the ordinary pairs (even, odd) of a block are married.
fn spouse_of(seed: u64, index: usize) -> Option<usize> {
    let ordinary = index % BLOCK >= FIRST_PECULIAR + PECULIARITIES.len();
    let married = ordinary && draws(seed, index & !1, Draw::Marriage).u8(0..5) < 2;
    married.then_some(index ^ 1)
}

/// Whose home somebody lives in: the first spouse's, the elder twin's, the guardian's, one's own.
fn home_of(seed: u64, index: usize) -> usize {
    if spouse_of(seed, index).is_some() {
        index & !1
    } else if peculiarity_of(index) == Some(Peculiarity::Minor) {
        guardian_of(index)
    } else {
        twin_of(index)
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
