//! What the benefit agency holds of a citizen: a claim, as made.

use super::draws::Draw;
use super::tax::amount;
use super::{Citizen, Peculiarity, Record};
use serde_json::{Value, json};

impl Citizen {
    /// The `benefit/claim` record. The claimant asks that the evidence of income be fetched, and brings none.
    pub fn benefit_claim(&self) -> Value {
        let mut rng = self.draws(Draw::Claim);
        let members = 1 + u8::from(self.spouse.is_some()) + rng.u8(0..=2);
        let mut record = json!({
            "subject": self.subject(),
            "claimNumber": format!("HA-2026-{:08}", self.index),
            "benefitType": "housing-allowance",
            "status": "submitted",
            "claimedOn": format!("2026-01-{:02}", rng.u8(2..=28)),
            "claimedFrom": "2026-02-01",
            "channel": "online",
            "household": { "memberCount": members },
            "currency": "EUR",
            "declaredMonthlyIncome": amount(rng.i64(80_000..500_000)),
            "housing": {
                "tenure": "rented",
                "monthlyRent": amount(rng.i64(40_000..160_000)),
                "monthlyHeating": amount(rng.i64(4_000..20_000)),
            },
            "payment": { "iban": format!("ZZ00{:018}", self.index), "holderName": self.name.full },
            "evidenceWanted": ["tax/income-statement"],
        });
        if let Some(spouse) = &self.spouse {
            record["household"]["partner"] = spouse.with_birth();
        }
        if let Some(guardian) = self.guardianship() {
            record["representative"] = json!([guardian]);
        }
        match self.peculiarity {
            Some(Peculiarity::NoFixedAddress) => record["housing"] = json!({ "tenure": "none" }),
            Some(Peculiarity::Deceased) => record["status"] = json!("withdrawn"),
            _ => {}
        }
        record
    }

    /// The `benefit/award` record: what was decided on the claim.
    pub fn awarded(&self) -> Record {
        let record_type = "benefit/award";
        let claim = self.benefit_claim();
        let body = json!({
            "subject": claim["subject"],
            "awardNumber": format!("HB-2026-{:08}", self.index),
            "claimNumber": claim["claimNumber"],
            "benefitType": claim["benefitType"],
            "decision": "granted",
            "decidedOn": "2026-02-16",
            "validFrom": claim["claimedFrom"],
            "amount": "312.00",
            "currency": claim["currency"],
            "interval": "monthly",
            "payment": claim["payment"],
            "legalReference": "Act on Social Benefits (invented), s. 12",
            "explanation": "The rent is above what the household's income can bear.",
        });
        Record { record_type, id: self.record_id(record_type), revision: 1, body }
    }
}
