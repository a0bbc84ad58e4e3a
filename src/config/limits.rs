//! Every bound of the hub in one table: name, unit, default, least, most, meaning. Bounds of formats are constants
//! beside the format.

use std::{fmt, time::Duration};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

use super::error::Fault;
use crate::domain::quota;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitRow {
    /// As written in `[limits]`; the unit comes last, before `min` or `max`.
    pub name: &'static str,
    /// What is counted.
    pub unit: &'static str,
    /// When nothing is written.
    pub default: u64,
    /// The least that is taken.
    pub min: u64,
    /// The most that is taken.
    pub max: u64,
    /// What it bounds.
    pub doc: &'static str,
}

/// A number of the table as the type that its unit has in Rust.
macro_rules! unit {
    (type count) => {
        usize
    };
    (type bytes) => {
        usize
    };
    (type per_s) => {
        u32
    };
    (type ms) => {
        Duration
    };
    (type s) => {
        Duration
    };
    (name count) => {
        ""
    };
    (name bytes) => {
        "bytes"
    };
    (name per_s) => {
        "a second"
    };
    (name ms) => {
        "ms"
    };
    (name s) => {
        "s"
    };
    // Every row's most fits: a test compares them.
    (from count $number:expr) => {
        $number as usize
    };
    (from bytes $number:expr) => {
        $number as usize
    };
    (from per_s $number:expr) => {
        $number as u32
    };
    (from ms $number:expr) => {
        Duration::from_millis($number)
    };
    (from s $number:expr) => {
        Duration::from_secs($number)
    };
}

macro_rules! limits {
    ($($name:ident: $unit:ident = $default:literal in $min:literal..=$max:expr, $doc:literal;)*) => {
        /// `[limits]`. Times are [`Duration`]s; their names say in which unit they are written.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits { $(#[doc = $doc] pub $name: unit!(type $unit),)* }

        impl Limits {
            /// The table.
            pub const ROWS: &[LimitRow] = &[$(LimitRow {
                name: stringify!($name), unit: unit!(name $unit), default: $default, min: $min, max: $max, doc: $doc,
            }),*];

            const NAMES: &[&str] = &[$(stringify!($name)),*];

            fn set(&mut self, name: &str, number: u64) {
                match name {
                    $(stringify!($name) => self.$name = unit!(from $unit number),)*
                    _ => unreachable!("only names of ROWS are set: they were looked up there"),
                }
            }
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: unit!(from $unit $default),)* }
            }
        }
    };
}

limits! {
    // A record
    record_bytes_max: bytes = 262_144 in 1_024..=16_777_216, "A record's JSON.";
    record_depth_max: count = 32 in 4..=64, "Objects and arrays in each other in a record.";
    record_values_max: count = 10_000 in 16..=1_000_000, "Values in a record, containers included.";
    record_string_bytes_max: bytes = 65_536 in 64..=16_777_216, "One string of a record, names included.";
    violations_max: count = 20 in 1..=1_000, "Faults that are told of one record.";
    evidence_bytes_max: bytes = 65_536 in 0..=1_048_576, "Evidence of a consent.";
    // Calls and streams
    grpc_message_bytes_max: bytes = 4_194_304 in 65_536..=67_108_864, "One gRPC message, either way.";
    stream_window_max: count = 1_024 in 1..=65_536, "Submissions of one stream that have no outcome yet.";
    provide_answers_max: count = 256 in 1..=65_536, "Answers of one provider's stream that are being recorded.";
    receive_credit_max: count = 4_096 in 1..=65_536, "Deliveries that a recipient may have unanswered.";
    search_page_max: count = 500 in 1..=10_000, "Entries on one page of a search.";
    request_s_max: s = 30 in 1..=3_600, "Deadline of a request for evidence.";
    idempotency_back_s_max: s = 604_800 in 3_600..=7_776_000, "Age of an idempotency key (7 days).";
    idempotency_ahead_s_max: s = 300 in 1..=3_600, "How far an idempotency key may be ahead of the hub's clock.";
    // Fairness
    rate_per_s_max: per_s = 100_000 in 1..=quota::RATE_PER_S_MAX, "Calls of one system.";
    rate_burst_max: count = 100_000 in 1..=quota::RATE_BURST_MAX, "Calls of one system at once, above the rate.";
    refusals_per_s_max: per_s = 20 in 1..=quota::REFUSALS_PER_S_MAX, "Refusals of one system; above it, RESOURCE_EXHAUSTED without an entry.";
    refusals_burst_max: count = 200 in 1..=quota::REFUSALS_BURST_MAX, "Refusals of one system at once, above the rate.";
    in_flight_per_system_max: count = 4_096 in 1..=quota::IN_FLIGHT_MAX, "Calls and stream items of one system that are not answered.";
    // The sequencer
    queue_per_system_max: count = 1_024 in 1..=1_000_000, "Decisions of one system that wait for a commit.";
    queue_total_max: count = 8_192 in 1..=1_000_000, "Decisions of all systems that wait for a commit.";
    batch_entries_max: count = 512 in 1..=65_536, "Entries in one commit.";
    batch_bytes_max: bytes = 4_194_304 in 65_536..=268_435_456, "Bytes of one commit. One decision may be larger.";
    batch_wait_ms_max: ms = 2 in 0..=100, "From one commit's begin to the next's while many call: how long more of them are awaited.";
    clock_behind_ms_max: ms = 5_000 in 100..=600_000, "How far the clock may be behind the ledger's head; beyond it the hub does not serve.";
    clock_jump_s_max: s = 60 in 10..=604_800, "How far the clock may jump ahead of the time that has passed; beyond it the hub does not serve.";
    // Deliveries
    delivery_ms_max: ms = 30_000 in 100..=3_600_000, "Time for a recipient to answer a delivery.";
    delivery_attempts_max: count = 8 in 1..=1_000, "Attempts before a delivery is a dead letter.";
    backoff_ms_min: ms = 1_000 in 1..=60_000, "Longest wait after the first failed attempt; it doubles with each, and at least half of it is waited.";
    backoff_ms_max: ms = 60_000 in 1..=3_600_000, "The longest wait between two attempts.";
    dead_letter_s_max: s = 2_592_000 in 3_600..=31_536_000, "Term of a dead letter: how long it is kept and can be replayed (30 days).";
    // Kafka
    kafka_window_max: count = 1_024 in 1..=65_536, "Records of one Kafka partition that are read and whose outcome is not yet told.";
    kafka_window_bytes_max: bytes = 16_777_216 in 65_536..=1_073_741_824, "Bytes of one Kafka partition that are read and whose outcome is not yet told; from here on nothing more of it is fetched.";
    kafka_in_flight_max: count = 8_192 in 1..=1_000_000, "Deliveries to one recipient on Kafka that are not reported, or not answered where that is agreed.";
    kafka_answer_s_max: s = 86_400 in 60..=2_592_000, "Time for a delivery on Kafka to be reported, or answered where that is agreed.";
    // Connections
    connections_max: count = 1_024 in 1..=1_000_000, "Connections.";
    connections_per_system_max: count = 64 in 1..=65_536, "Connections of one system.";
    handshakes_max: count = 128 in 1..=65_536, "TLS handshakes at once.";
    handshake_ms_max: ms = 5_000 in 100..=60_000, "Time for a TLS handshake.";
    first_bytes_ms_max: ms = 10_000 in 100..=60_000, "Time from a handshake to the end of the peer's HTTP/2 preface.";
    silent_s_max: s = 30 in 1..=3_600, "Silence of a connection before it is pinged.";
    ping_s_max: s = 10 in 1..=600, "Time to answer a ping; then the connection is closed.";
    idle_s_max: s = 600 in 1..=86_400, "Time without an open call, after which a connection is closed.";
    http2_streams_max: count = 256 in 1..=65_536, "Calls of one connection at once.";
    http2_stream_window_bytes_max: bytes = 524_288 in 65_535..=2_147_483_647, "Bytes that one call may send ahead of being read.";
    http2_connection_window_bytes_max: bytes = 2_097_152 in 65_535..=2_147_483_647, "Bytes that one connection may send ahead, over all its calls.";
    http2_frame_bytes_max: bytes = 65_536 in 16_384..=16_777_215, "One HTTP/2 frame.";
    http2_header_bytes_max: bytes = 16_384 in 1_024..=1_048_576, "Headers of one call, as HTTP/2 counts them.";
    http2_pending_resets_max: count = 32 in 1..=65_536, "Calls opened and reset before they were taken up; beyond it the connection is closed.";
    http2_local_resets_max: count = 256 in 1..=65_536, "Calls that the hub reset for the client's errors; beyond it the connection is closed.";
    drain_s_max: s = 30 in 1..=3_600, "Time for what is in flight when the hub stops.";
}

impl Limits {
    /// The table for people, in Markdown.
    pub fn markdown() -> String {
        let row = |row: &LimitRow| {
            let [default, min, max] = [row.default, row.min, row.max].map(grouped);
            format!("| `{}` | {default} | {min} | {max} | {} | {} |\n", row.name, row.unit, row.doc)
        };
        let mut table = String::from("| name | default | from | to | unit | bounds |\n|---|--:|--:|--:|---|---|\n");
        table.extend(Self::ROWS.iter().map(row));
        table
    }

    /// What must hold between limits.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let fault = |key: &'static str, message: &str| Err(Fault { table: "limits", key, message: message.to_owned() });
        // A record travels with its context and identifiers: 64 KiB for those.
        if self.grpc_message_bytes_max < self.record_bytes_max + 65_536 {
            return fault(
                "grpc_message_bytes_max",
                "grpc_message_bytes_max must be at least record_bytes_max + 65,536",
            );
        }
        if self.record_string_bytes_max > self.record_bytes_max {
            return fault("record_string_bytes_max", "record_string_bytes_max must be at most record_bytes_max");
        }
        if self.queue_per_system_max > self.queue_total_max {
            return fault("queue_per_system_max", "queue_per_system_max must be at most queue_total_max");
        }
        if self.refusals_per_s_max > self.rate_per_s_max / 10 {
            return fault(
                "refusals_per_s_max",
                "refusals_per_s_max must be at most a tenth of rate_per_s_max: nobody may fill the ledger with refusals",
            );
        }
        if self.connections_per_system_max > self.connections_max {
            return fault("connections_per_system_max", "connections_per_system_max must be at most connections_max");
        }
        if self.http2_stream_window_bytes_max > self.http2_connection_window_bytes_max {
            return fault(
                "http2_stream_window_bytes_max",
                "http2_stream_window_bytes_max must be at most http2_connection_window_bytes_max",
            );
        }
        if self.backoff_ms_min > self.backoff_ms_max {
            return fault("backoff_ms_min", "backoff_ms_min must be at most backoff_ms_max");
        }
        Ok(())
    }
}

/// `262,144`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl<'de> serde::Deserialize<'de> for Limits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Limits", Self::NAMES, Table)
    }
}

struct Table;

impl<'de> Visitor<'de> for Table {
    type Value = Limits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of limits")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Limits, A::Error> {
        let mut limits = Limits::default();
        while let Some(row) = entries.next_key_seed(Name)? {
            let number = entries.next_value_seed(Number(row))?;
            limits.set(row.name, number);
        }
        Ok(limits)
    }
}

/// Reads a name as its row, so that the error is at the name.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = &'static LimitRow;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let name = <String as serde::Deserialize>::deserialize(deserializer)?;
        let row = Limits::ROWS.iter().find(|row| row.name == name);
        row.ok_or_else(|| D::Error::custom(format!("unknown limit `{name}`; src/config/README.md lists them")))
    }
}

/// Reads a number within its row's bounds.
struct Number(&'static LimitRow);

impl<'de> DeserializeSeed<'de> for Number {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        let LimitRow { name, unit, min, max, .. } = self.0;
        let number = <i64 as serde::Deserialize>::deserialize(deserializer)?;
        u64::try_from(number).ok().filter(|number| (min..=max).contains(&number)).ok_or_else(|| {
            let blank = if unit.is_empty() { "" } else { " " };
            let (min, max) = (grouped(*min), grouped(*max));
            D::Error::custom(format!("`{name}` is {number}, but goes from {min} to {max}{blank}{unit}"))
        })
    }
}
