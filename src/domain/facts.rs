//! Facts about a subject — consents, restrictions, interests — and what they allow. Read as one snapshot, checked again
//! in the commit.

use super::{
    agency::AgencyId,
    agreement::{Agreement, AgreementId, Demand, Scope},
    record::RecordTypeId,
    refusal::RefusalCode,
    time::Moment,
    transfer::TransferId,
};

/// The most facts one subject can have.
pub const FACTS_MAX: usize = 1000;

/// One fact: (subject, agency, scope, from, until); the subject is whose [`Facts`] it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its own id: of the consent, restriction or interest.
    pub id: TransferId,
    /// Consent: the recipient. Restriction: who placed it. Interest: whose it is.
    pub agency: AgencyId,
    /// What it covers.
    pub scope: FactScope,
    /// When it begins.
    pub from: Moment,
    /// When it ends by itself (exclusive), if it does.
    pub until: Option<Moment>,
    /// When it was withdrawn, lifted or ended, if it was.
    pub ended: Option<Moment>,
}

/// What a fact covers, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactScope {
    /// Consent to what this revision of the agreement showed.
    Consent {
        /// The agreement.
        agreement: AgreementId,
        /// The revision that was shown.
        revision: u32,
    },
    /// Nothing moves; or nothing of these record types (empty: of any).
    Restriction {
        /// The record types.
        record_types: Vec<RecordTypeId>,
    },
    /// The agency has a reason to be told; of these record types (empty: of any).
    Interest {
        /// The record types.
        record_types: Vec<RecordTypeId>,
    },
}

/// All facts about one subject, at one version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Rises by one with each change; what the commit compares.
    pub version: u64,
    /// The facts, in the order recorded.
    pub rows: Vec<Fact>,
}

/// What a permission rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ground {
    /// The consent, where the agreement demands one.
    pub consent: Option<TransferId>,
    /// The first moment at which a fact that it rests on ends by itself.
    pub until: Option<Moment>,
}

impl Fact {
    /// Whether the fact holds.
    pub fn holds(&self, at: Moment) -> bool {
        self.from <= at && !self.is_over(at)
    }

    /// Whether the fact was ended, or has ended by itself.
    pub fn is_over(&self, at: Moment) -> bool {
        self.ended.is_some() || self.until.is_some_and(|until| until <= at)
    }
}

fn covers(types: &[RecordTypeId], record_type: &RecordTypeId) -> bool {
    types.is_empty() || types.contains(record_type)
}

impl Facts {
    /// Adds a fact, and raises the version. Where there are [`FACTS_MAX`], the oldest that was ended makes room, or else the
    /// oldest that has ended by itself before `at`: the ledger keeps what it was. `false` when each of them still counts.
    pub fn add(&mut self, fact: Fact, at: Moment) -> bool {
        if self.rows.len() >= FACTS_MAX {
            let ended = self.rows.iter().position(|fact| fact.ended.is_some());
            let over = || self.rows.iter().position(|fact| fact.is_over(at));
            let Some(over) = ended.or_else(over) else { return false };
            self.rows.remove(over);
        }
        self.rows.push(fact);
        self.version += 1;
        true
    }

    /// Whether `agreement` may carry a record about this subject at `at`, and on what ground.
    ///
    /// Restrictions come first: whoever may not know of one learns nothing else either.
    pub fn permit(&self, agreement: &Agreement, at: Moment) -> Result<Ground, RefusalCode> {
        if self.rows.iter().any(|fact| fact.holds(at) && fact.restricts(&agreement.record_type)) {
            return Err(RefusalCode::NotAvailable);
        }
        let mut ground = Ground::default();
        if agreement.scope == Scope::RegisteredInterest {
            let interest = self.rows.iter().find(|fact| fact.holds(at) && fact.interests(agreement));
            let fact = interest.ok_or(RefusalCode::InterestMissing)?;
            ground.until = fact.until;
        }
        if agreement.demand == Demand::Consent {
            let fact = self.consent(agreement, at)?;
            ground.consent = Some(fact.id);
            ground.until = [ground.until, fact.until].into_iter().flatten().min();
        }
        Ok(ground)
    }

    /// The consent that covers `agreement`, or why there is none.
    fn consent(&self, agreement: &Agreement, at: Moment) -> Result<&Fact, RefusalCode> {
        let mut consents = self.rows.iter().rev().filter(|fact| fact.consents(agreement));
        let newest = consents.clone().next().ok_or(RefusalCode::ConsentMissing)?;
        match consents.find(|fact| fact.holds(at)) {
            Some(fact) => Ok(fact),
            None if newest.ended.is_some() => Err(RefusalCode::ConsentWithdrawn),
            None if newest.until.is_some_and(|until| until <= at) => Err(RefusalCode::ConsentExpired),
            None => Err(RefusalCode::ConsentMissing),
        }
    }
}

impl Fact {
    fn restricts(&self, record_type: &RecordTypeId) -> bool {
        matches!(&self.scope, FactScope::Restriction { record_types } if covers(record_types, record_type))
    }

    fn interests(&self, agreement: &Agreement) -> bool {
        self.agency == agreement.recipient
            && matches!(&self.scope, FactScope::Interest { record_types: types }
                if covers(types, &agreement.record_type))
    }

    /// Whether it is a consent to a revision that covers this one.
    pub fn consents(&self, wanted: &Agreement) -> bool {
        matches!(&self.scope, FactScope::Consent { agreement, revision }
            if *agreement == wanted.id && (wanted.consent_since_revision..=wanted.revision).contains(revision))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fact with this number, which ends then.
    fn until(number: u8, until: Option<u64>) -> Fact {
        Fact {
            id: TransferId::new(Moment(number.into()), [number; 10]),
            agency: AgencyId::new("benefit").unwrap(),
            scope: FactScope::Interest { record_types: Vec::new() },
            from: Moment(0),
            until: until.map(Moment),
            ended: None,
        }
    }

    #[test]
    fn where_facts_are_full_the_oldest_that_is_over_makes_room() {
        let mut facts = Facts::default();
        assert!((0..FACTS_MAX).all(|_| facts.add(until(1, None), Moment(0))));
        assert_eq!((facts.rows.len(), facts.version), (FACTS_MAX, FACTS_MAX as u64));
        assert!(!facts.add(until(2, None), Moment(9)), "each of them holds");
        assert_eq!(facts.version, FACTS_MAX as u64);

        facts.rows[3] = until(3, Some(10));
        facts.rows[5] = Fact { ended: Some(Moment(5)), ..until(5, None) };
        assert!(facts.add(until(6, None), Moment(9)), "one was ended");
        assert!(!facts.add(until(7, None), Moment(9)), "the other one has not ended yet");
        assert!(facts.add(until(8, None), Moment(10)));
        let ids: Vec<TransferId> = facts.rows.iter().rev().take(2).map(|fact| fact.id).collect();
        assert_eq!((facts.rows.len(), ids), (FACTS_MAX, vec![until(8, None).id, until(6, None).id]));
        assert!(facts.rows.iter().all(|fact| fact.ended.is_none() && fact.until.is_none()));
    }
}
