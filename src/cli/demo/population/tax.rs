//! What the tax agency holds of a citizen: the income statement of the last year (about 2 KB and 30 fields, which is
//! what the figures in the README are measured with) and the residency for tax.

use super::draws::Draw;
use super::{Citizen, Peculiarity};
use fastrand::Rng;
use serde_json::{Value, json};

/// The year before the population's present.
const TAX_YEAR: u16 = 2025;

impl Citizen {
    /// The `tax/income-statement` record.
    pub fn income_statement(&self) -> Value {
        let mut rng = self.draws(Draw::Income);
        let wage = if self.peculiarity == Some(Peculiarity::Minor) { 0 } else { rng.i64(1_400_000..9_000_000) };
        let figures = Figures::draw(wage, &mut rng);
        let office = ["Lindmark North", "Osterby", "Porto Fermo", "Hoogwaard"][rng.usize(..4)];
        let mut record = json!({
            "subject": self.subject(),
            "statementNumber": format!("IS-{TAX_YEAR}-{:08}", self.index),
            "taxYear": TAX_YEAR,
            "status": if rng.u8(0..8) > 0 { "final" } else { "provisional" },
            "issuedOn": format!("2026-{:02}-{:02}", rng.u8(2..=9), rng.u8(1..=28)),
            "issuingAuthority": format!("Tax office {office}"),
            "fullName": self.name.full,
            "dateOfBirth": self.born,
            "residency": "ZZ",
            "currency": "EUR",
            "explanation": explanation(&mut rng),
            "remedy": REMEDY,
        });
        figures.write(&mut record);
        if wage > 0 {
            let employer = EMPLOYERS[rng.usize(..EMPLOYERS.len())];
            record["employer"] = json!([{
                "name": employer,
                "identifier": format!("ZZB-{:08}", rng.u32(0..100_000_000)),
                "grossIncome": amount(wage),
                "taxWithheld": amount(figures.withheld),
            }]);
        }
        record
    }

    /// The `tax/residency` record.
    pub fn tax_residency(&self) -> Value {
        let mut record = json!({
            "subject": self.subject(),
            "taxYear": TAX_YEAR,
            "residencyStatus": "resident",
            "residence": [{ "country": "ZZ", "basis": "domicile", "dayCount": 365 }],
        });
        let address = self.address();
        if let Some(domicile) = address.get("address") {
            record["domicile"] = domicile.clone();
        }
        if self.peculiarity == Some(Peculiarity::AbroadWithoutPostcode) {
            record["residencyStatus"] = json!("departed");
            record["residence"] =
                json!([{ "country": address["address"]["adminUnitL1"], "basis": "habitual-abode", "dayCount": 340 }]);
        }
        record
    }
}

/// The year's amounts, in cents.
struct Figures {
    employment: i64,
    self_employment: i64,
    rental: i64,
    capital: i64,
    social_security: i64,
    health_insurance: i64,
    work_expense: i64,
    withheld: i64,
}

impl Figures {
    fn draw(wage: i64, rng: &mut Rng) -> Self {
        let works = i64::from(wage > 0);
        Self {
            employment: wage,
            self_employment: works * rng.i64(-80_000..400_000),
            rental: works * rng.i64(0..600_000),
            capital: rng.i64(0..90_000),
            social_security: wage / 10,
            health_insurance: wage / 14,
            work_expense: works * 123_000,
            withheld: wage / 100 * rng.i64(14..22),
        }
    }

    fn write(&self, record: &mut Value) {
        let total = self.employment + self.self_employment + self.rental + self.capital;
        let deducted = self.social_security + self.health_insurance + self.work_expense;
        let taxable = (total - deducted).max(0);
        // A fifth of what lies above the basic allowance: simple, and nobody's real tariff.
        let tax = (taxable - 1_200_000).max(0) / 5;
        record["income"] = json!({
            "employment": amount(self.employment),
            "selfEmployment": amount(self.self_employment),
            "rental": amount(self.rental),
            "capital": amount(self.capital),
            "total": amount(total),
        });
        record["deduction"] = json!({
            "socialSecurity": amount(self.social_security),
            "healthInsurance": amount(self.health_insurance),
            "workExpense": amount(self.work_expense),
            "total": amount(deducted),
        });
        record["tax"] = json!({
            "taxableIncome": amount(taxable),
            "incomeTax": amount(tax),
            "withheld": amount(self.withheld),
            "balance": amount(tax - self.withheld),
        });
    }
}

/// Cents as a decimal string.
pub(super) fn amount(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    let magnitude = cents.unsigned_abs();
    format!("{sign}{}.{:02}", magnitude / 100, magnitude % 100)
}

fn explanation(rng: &mut Rng) -> String {
    let expenses = [
        "Work expenses were accepted at the flat rate, because the receipts sent in were lower than it. ",
        "Work expenses were accepted as declared; the receipts that you have sent in were sufficient. ",
        "Work expenses were accepted at the flat rate, since no receipts were sent in with the return. ",
    ];
    format!("{}{}{}", EXPLANATION[0], expenses[rng.usize(..expenses.len())], EXPLANATION[1])
}

const EXPLANATION: [&str; 2] = [
    "Your income for the tax year 2025 was taken from the statement of your employer and from what you declared \
     yourself. ",
    "Rent received was reduced by the costs that you have shown. Social security and health insurance were taken over \
     as reported by the funds. The difference between the tax assessed and the tax already withheld is settled with \
     the account that you have named. Nothing else was changed in what you declared. Should your circumstances have \
     altered during the year, by a move, a marriage or a new employer, and should that not be in the figures above, \
     please tell us within six months.",
];

const REMEDY: &str = "You may object to this statement within one month of receiving it, in writing or at the counter of \
     the tax office that issued it. An objection is free of charge and does not put off payment. Say what you think is \
     wrong and add what shows it. If you do not agree with the answer, you may go to the tax court within one month \
     after that. The tax office keeps what you send in for ten years and gives it to other authorities only where an \
     act says so. No time limit runs while an answer of the tax office is overdue.";

const EMPLOYERS: [&str; 8] = [
    "Northern Ferries Cooperative",
    "Lakeland Timber and Sons",
    "Delta Waterworks",
    "Porto Fermo General Hospital",
    "Upper Vale School District",
    "Fjordlys Seafood",
    "Brodník Machine Works",
    "Outer Isles Wind",
];
