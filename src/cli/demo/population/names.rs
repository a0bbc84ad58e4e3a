//! Names: of many languages, put together by chance, and borne by nobody in particular.

use super::Peculiarity;
use fastrand::Rng;
use serde_json::{Value, json};

/// A person's name, in the parts that it has.
#[derive(Clone, Default)]
pub(super) struct Name {
    pub(super) full: String,
    given: Option<String>,
    family: Option<String>,
    patronymic: Option<String>,
    birth: Option<String>,
    others: Vec<Value>,
    /// As the register has it; drawn with the name, since most names are of one.
    pub(super) gender: &'static str,
}

impl Name {
    /// A name as the peculiarity asks for it.
    pub(super) fn draw(peculiarity: Option<Peculiarity>, index: usize, rng: &mut Rng) -> Self {
        // The person whom the demo is about is spoken of as "she".
        let female = index == 0 || rng.bool();
        let ordinary = Self::ordinary(female, rng);
        match peculiarity {
            Some(Peculiarity::SeveralScripts) => Self::in_scripts(&SCRIPTS[rng.usize(..SCRIPTS.len())]),
            Some(Peculiarity::Mononym) => {
                let name = MONONYMS[rng.usize(..MONONYMS.len())].to_owned();
                Self { full: name.clone(), given: Some(name), gender: "not-stated", ..Self::default() }
            }
            Some(Peculiarity::NameOf200Characters) => {
                Self { full: LONG.to_owned(), gender: "female", ..Self::default() }
            }
            Some(Peculiarity::ApostropheAndHyphen) => Self::of(rng, &MARKED),
            Some(Peculiarity::NoFamilyName) => {
                let mut name = Self::of(rng, &PATRONYMICS);
                name.patronymic = name.family.take();
                name
            }
            Some(Peculiarity::ChangedName) => ordinary.changed(female, rng),
            _ => ordinary,
        }
    }

    fn ordinary(female: bool, rng: &mut Rng) -> Self {
        let given = if female { FEMALE[rng.usize(..FEMALE.len())] } else { MALE[rng.usize(..MALE.len())] };
        let family = FAMILY[rng.usize(..FAMILY.len())];
        Self::of_two(given, family, if female { "female" } else { "male" })
    }

    fn of_two(given: &str, family: &str, gender: &'static str) -> Self {
        let (given, family) = (given.to_owned(), family.to_owned());
        let full = format!("{given} {family}");
        Self { full, given: Some(given), family: Some(family), gender, ..Self::default() }
    }

    fn of(rng: &mut Rng, pool: &[(&str, &str, &'static str)]) -> Self {
        let (given, second, gender) = pool[rng.usize(..pool.len())];
        Self::of_two(given, second, gender)
    }

    fn in_scripts(row: &InScripts) -> Self {
        let latin = format!("{} {}", row.latin.0, row.latin.1);
        Self {
            full: row.full.to_owned(),
            given: Some(row.given.to_owned()),
            family: Some(row.family.to_owned()),
            others: vec![
                json!({ "kind": "transliteration", "script": "Latn", "fullName": latin,
                        "givenName": row.latin.0, "familyName": row.latin.1 }),
                json!({ "kind": "transliteration", "script": row.other.0, "fullName": row.other.1 }),
            ],
            gender: "female",
            ..Self::default()
        }
    }

    /// This name, with the one before it.
    fn changed(mut self, female: bool, rng: &mut Rng) -> Self {
        let before = Self::ordinary(female, rng);
        let year = rng.u16(2006..=2020);
        self.others.push(json!({ "kind": "former", "script": "Latn", "fullName": before.full,
            "givenName": before.given, "familyName": before.family, "validUntil": format!("{year}-05") }));
        self.birth = before.family;
        self
    }

    /// This given name with the other's family name.
    pub(super) fn child_of(&self, parent: &Self) -> Self {
        let given = self.given.as_deref().unwrap_or(&self.full);
        parent.family.as_deref().map_or_else(|| self.clone(), |family| Self::of_two(given, family, self.gender))
    }

    /// The name's properties, put into an `identity/person`.
    pub(super) fn write(&self, record: &mut Value) {
        record["fullName"] = json!(self.full);
        let parts = [
            ("givenName", &self.given),
            ("familyName", &self.family),
            ("patronymicName", &self.patronymic),
            ("birthName", &self.birth),
        ];
        for (property, part) in parts {
            if let Some(part) = part {
                record[property] = json!(part);
            }
        }
        if !self.others.is_empty() {
            record["alternativeName"] = json!(self.others);
        }
    }
}

/// One name in three scripts.
struct InScripts {
    full: &'static str,
    given: &'static str,
    family: &'static str,
    /// Given name, family name.
    latin: (&'static str, &'static str),
    /// ISO 15924 code, full name.
    other: (&'static str, &'static str),
}

const SCRIPTS: [InScripts; 6] = [
    InScripts {
        full: "Ελένη Παπαδοπούλου",
        given: "Ελένη",
        family: "Παπαδοπούλου",
        latin: ("Eleni", "Papadopoulou"),
        other: ("Cyrl", "Элени Пападопулу"),
    },
    InScripts {
        full: "Олена Шевченко",
        given: "Олена",
        family: "Шевченко",
        latin: ("Olena", "Shevchenko"),
        other: ("Grek", "Ολένα Σεφτσένκο"),
    },
    InScripts {
        full: "ليلى حداد",
        given: "ليلى",
        family: "حداد",
        latin: ("Layla", "Haddad"),
        other: ("Hebr", "לילא חדאד"),
    },
    InScripts {
        full: "ნინო ბერიძე",
        given: "ნინო",
        family: "ბერიძე",
        latin: ("Nino", "Beridze"),
        other: ("Cyrl", "Нино Беридзе"),
    },
    InScripts {
        full: "王小雨",
        given: "小雨",
        family: "王",
        latin: ("Xiaoyu", "Wang"),
        other: ("Bopo", "ㄨㄤˊ ㄒㄧㄠˇ ㄩˇ"),
    },
    InScripts {
        full: "प्रिया शर्मा",
        given: "प्रिया",
        family: "शर्मा",
        latin: ("Priya", "Sharma"),
        other: ("Beng", "প্রিয়া শর্মা"),
    },
];

const MONONYMS: [&str; 4] = ["Suharni", "Wiranti", "Tenzin", "Thuzar"];

const PATRONYMICS: [(&str, &str, &str); 4] = [
    ("Sigrún", "Einarsdóttir", "female"),
    ("Tesfaye", "Bekele", "male"),
    ("Þórður", "Arnarson", "male"),
    ("Hiwot", "Alemu", "female"),
];

const MARKED: [(&str, &str, &str); 4] = [
    ("Máire-Áine", "O’Brien-D'Souza", "female"),
    ("Jean-Loup", "N'Diaye-Lefèvre", "male"),
    ("Anne-Sofie", "van ’t Hoff-D'Angelo", "female"),
    ("Abd-al-Qādir", "Sa'īd-O'Hara", "male"),
];

/// Exactly 200 characters, and no borders between given and family names that a register could rely on.
const LONG: &str = "Maximiliana Theodora Wilhelmina Philippa Konstantina Alexandrina Seraphina Marguerite Leopoldina \
    Bernadette Apollonia Clementina Euphrosyne Genevieve Henrietta Isabella von Hohenfels zu Altenburg-Moos";

#[rustfmt::skip]
const FEMALE: [&str; 40] = [
    "Ada", "Agnieszka", "Aino", "Amélie", "Anneli", "Beatriz", "Birgitta", "Chloé", "Dagný", "Daniela",
    "Elif", "Emilia", "Fatima", "Freya", "Giulia", "Hana", "Ilse", "Ines", "Jana", "Katarína",
    "Kirsten", "Léa", "Liis", "Lucía", "Maja", "Marta", "Mirjam", "Naledi", "Noor", "Oksana",
    "Petra", "Rasa", "Saoirse", "Signe", "Sofía", "Thandiwe", "Valentina", "Yasemin", "Zofia", "Žaneta",
];

#[rustfmt::skip]
const MALE: [&str; 40] = [
    "Adam", "Aleksi", "Andrej", "Anton", "Bartosz", "Bjørn", "Cem", "Davide", "Diego", "Emil",
    "Fionn", "František", "Gaël", "Håkon", "Hugo", "Idris", "Ivan", "Jakob", "João", "Jonas",
    "Kofi", "Kristjan", "Lars", "Luca", "Marek", "Mateo", "Mihai", "Nils", "Oisín", "Omar",
    "Pau", "Rafael", "Sami", "Sipho", "Søren", "Tomáš", "Uroš", "Viktor", "Yannis", "Zoltán",
];

#[rustfmt::skip]
const FAMILY: [&str; 60] = [
    "Achterberg", "Almeida", "Andersen", "Arslan", "Bakker", "Balogh", "Baumann", "Bernardi", "Björk", "Bonnet",
    "Castillo", "Černý", "Claes", "Costa", "Dahl", "Demir", "Dubois", "Dvořák", "Eriksen", "Esposito",
    "Fischer", "Fontaine", "Gallo", "García", "Grünwald", "Haas", "Halonen", "Horvat", "Ilves", "Jansen",
    "Jovanović", "Kallas", "Kask", "Kowalczyk", "Krüger", "Lindqvist", "Lopes", "Mäkinen", "Marchetti", "Mbeki",
    "Mensah", "Moreau", "Müller", "Nagy", "Novák", "Okafor", "Ozols", "Pereira", "Petrauskas", "Popescu",
    "Quinn", "Rossi", "Ruiz", "Schäfer", "Silva", "Szabó", "Tamm", "Vella", "Wójcik", "Zamora",
];
