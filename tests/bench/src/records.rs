//! What is submitted: income statements of 2 KB and 30 fields, one like the other but for whom they are about.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use uuid::Uuid;
use waybill::domain::time::{Clock as _, SystemClock};
use waybill_proto::v1;

const TYPICAL: &str = include_str!("../../../schemas/tax/income-statement/1.0/valid/typical.json");
/// The numbers in the typical record that stand for a person: a prefix, then digits that are replaced.
const NUMBERS: [&str; 2] = ["ZZN0000001089", "ZZT0000001086"];
const PREFIX_BYTES: usize = 3;
const DIGITS: usize = 10;

/// The recipients that `records` can be for.
pub const ACCEPTED: &[&str] = &["archive"];
/// Those who take deliveries.
pub const DELIVERED: &[&str] = &["benefit", "pension"];

/// Digits of a person in a record's id.
const ID_DIGITS: usize = 8;

/// Makes records.
#[derive(Debug, Clone)]
pub struct Records {
    template: Bytes,
    digits: [usize; 2],
}

/// Makes encoded submissions to the same recipients: one like the other, but for idempotency key, record id and whom they
/// are about.
#[derive(Debug, Clone)]
pub struct Submissions {
    template: Bytes,
    key: usize,
    id: usize,
    digits: [usize; 2],
}

impl Records {
    /// From the schema's own example, without the blanks between its tokens.
    pub fn new() -> anyhow::Result<Self> {
        let template = minified(TYPICAL);
        let place = |number: &str| {
            let place = template.find(number).map(|at| at + PREFIX_BYTES);
            place.ok_or_else(|| anyhow::anyhow!("the typical record has no {number}"))
        };
        let digits = [place(NUMBERS[0])?, place(NUMBERS[1])?];
        Ok(Self { template: template.into(), digits })
    }

    /// The record of one person.
    pub fn payload(&self, person: u64) -> Bytes {
        let mut record = BytesMut::from(&self.template[..]);
        for at in self.digits {
            put_digits(&mut record[at..at + DIGITS], person);
        }
        record.freeze()
    }

    /// Submissions of records to `recipients`.
    pub fn submissions(&self, recipients: &[&str]) -> anyhow::Result<Submissions> {
        let (key, id) = (Uuid::nil().to_string(), format!("IS-2025-{:0ID_DIGITS$}", 0));
        let submission = v1::Submission {
            idempotency_key: key.clone(),
            record_type: "tax/income-statement".into(),
            schema_version: "1.0".into(),
            payload: self.template.clone(),
            record: Some(v1::RecordIdentity {
                record_id: id.clone(),
                revision: None,
                as_of: None,
                change: v1::Change::Changed.into(),
                corrects_revision: None,
                copy_of_transfer_id: String::new(),
            }),
            context: Some(v1::Context {
                actor: "assessor-17".into(),
                reason: "yearly assessment".into(),
                ..v1::Context::default()
            }),
            only_recipients: recipients.iter().map(ToString::to_string).collect(),
            traceparent: String::new(),
        };
        let template = submission.encode_to_vec();
        let place = |of: &[u8]| {
            let place = template.windows(of.len()).position(|bytes| bytes == of);
            place.ok_or_else(|| anyhow::anyhow!("a submission lacks what is in it"))
        };
        let payload = place(&self.template)?;
        Ok(Submissions {
            key: place(key.as_bytes())?,
            id: place(id.as_bytes())? + id.len() - ID_DIGITS,
            digits: self.digits.map(|at| payload + at),
            template: template.into(),
        })
    }
}

impl Submissions {
    /// The submission of one person's record, under a new idempotency key.
    pub fn of(&self, person: u64) -> Bytes {
        let mut submission = BytesMut::from(&self.template[..]);
        new_key().hyphenated().encode_lower(&mut submission[self.key..]);
        put_digits(&mut submission[self.id..self.id + ID_DIGITS], person);
        for at in self.digits {
            put_digits(&mut submission[at..at + DIGITS], person);
        }
        submission.freeze()
    }
}

/// Writes a number with leading zeros.
fn put_digits(digits: &mut [u8], number: u64) {
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// A new idempotency key (UUIDv7). Its random part is a mixed count: keys of a run must differ, not be secret.
fn new_key() -> Uuid {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&mix(COUNT.fetch_add(1, Ordering::Relaxed)).to_le_bytes());
    uuid::Builder::from_unix_timestamp_millis(SystemClock.now().0, &random).into_uuid()
}

/// The finishing step of splitmix64: one to one, so that different counts stay different.
const fn mix(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// People in an order that looks random and is the same in each run.
#[derive(Debug, Clone)]
pub struct People {
    state: u64,
    count: u64,
}

impl People {
    /// `count` people; `seed` tells one caller's order from another's.
    pub const fn new(count: u64, seed: u64) -> Self {
        Self { state: seed, count }
    }

    /// The next person (splitmix64).
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state) % self.count
    }
}

/// JSON without the blanks between its tokens.
fn minified(json: &str) -> String {
    let (mut out, mut in_string, mut escaped) = (String::with_capacity(json.len()), false, false);
    for c in json.chars() {
        if in_string {
            in_string = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_two_kilobytes_long_and_says_whom_it_is_about() {
        let record = Records::new().unwrap().payload(42);
        assert_eq!(record.len(), 2046);
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        assert_eq!(record["subject"]["nationalNumber"], "ZZN0000000042");
        assert_eq!(record["subject"]["taxNumber"], "ZZT0000000042");
    }

    #[test]
    fn a_submission_made_ahead_reads_as_what_it_stands_for() {
        let records = Records::new().unwrap();
        let submissions = records.submissions(DELIVERED).unwrap();
        let read = |person| v1::Submission::decode(submissions.of(person)).unwrap();
        let (one, other) = (read(42), read(43));
        assert_eq!(one.payload, records.payload(42));
        assert_eq!(one.record.unwrap().record_id, "IS-2025-00000042");
        assert_eq!(one.only_recipients, DELIVERED);
        assert_eq!(other.record.unwrap().record_id, "IS-2025-00000043");
        let keys = [one.idempotency_key, other.idempotency_key].map(|key| Uuid::parse_str(&key).unwrap());
        assert!(keys[0] != keys[1] && keys.iter().all(|key| key.get_version_num() == 7));
    }
}
