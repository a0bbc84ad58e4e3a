//! What a recipient on Kafka must remember, since a delivery may come more than once (`deploy/kafka/README.md`): the
//! transfers that it has taken, and of each record (agreement, record id) the highest ledger index. Pure.

use std::collections::{HashMap, HashSet};

/// A record as it comes: the agreement, which says from whom, of which type and for what, and the source's own id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordName {
    /// The agreement.
    pub agreement: String,
    /// The record's id.
    pub id: String,
}

/// What is to be done with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It is new.
    Take,
    /// Its transfer was there before.
    Repeat,
    /// A newer one of the same record was there before: a dead letter that was replayed.
    Overtaken,
}

/// How often each happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that were judged.
    pub read: usize,
    /// Of them: new.
    pub taken: usize,
    /// Of them: dropped as a transfer that was known.
    pub repeated: usize,
    /// Of them: dropped as older than what was held.
    pub overtaken: usize,
}

/// The recipient's memory.
#[derive(Debug, Default)]
pub struct Books {
    transfers: HashSet<String>,
    /// The highest ledger index of each record.
    newest: HashMap<RecordName, u64>,
    counts: Counts,
}

impl Books {
    /// Judges one delivery, and remembers it.
    pub fn judge(&mut self, transfer: &str, record: RecordName, index: u64) -> Judgement {
        self.counts.read += 1;
        if !self.transfers.insert(transfer.to_owned()) {
            self.counts.repeated += 1;
            return Judgement::Repeat;
        }
        let newest = self.newest.entry(record).or_insert(index);
        if index < *newest {
            self.counts.overtaken += 1;
            return Judgement::Overtaken;
        }
        *newest = index;
        self.counts.taken += 1;
        Judgement::Take
    }

    /// How often each happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> RecordName {
        RecordName { agreement: "identity-address-to-benefit".into(), id: id.into() }
    }

    #[test]
    fn a_transfer_is_taken_once_and_nothing_older_than_what_is_held() {
        let mut books = Books::default();
        assert_eq!(books.judge("a", record("1"), 10), Judgement::Take);
        assert_eq!(books.judge("a", record("1"), 10), Judgement::Repeat);
        assert_eq!(books.judge("c", record("1"), 12), Judgement::Take);
        assert_eq!(books.judge("b", record("1"), 11), Judgement::Overtaken);
        assert_eq!(books.judge("b", record("1"), 11), Judgement::Repeat);
        assert_eq!(books.judge("d", record("2"), 9), Judgement::Take, "another record has an order of its own");
        let elsewhere = RecordName { agreement: "identity-address-to-benefit-audit".into(), id: "1".into() };
        assert_eq!(books.judge("f", elsewhere, 8), Judgement::Take, "and so has each agreement's view of one");
        assert_eq!(
            books.judge("e", record("1"), 13),
            Judgement::Take,
            "what was dropped does not hold up what follows"
        );
        assert_eq!(books.counts(), Counts { read: 8, taken: 5, repeated: 2, overtaken: 1 });
    }
}
