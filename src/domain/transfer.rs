//! One record, one source, one recipient, one agreement; and what became of its delivery.

use std::fmt;

use uuid::Uuid;

use super::time::Moment;

/// A transfer's (or any other decision's) own id: a UUIDv7 made by the hub. What is sealed is bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub Uuid);

impl TransferId {
    /// An id for `moment` from ten random bytes (RFC 9562 §5.7).
    pub fn new(moment: Moment, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(moment.0, &random).into_uuid())
    }

    /// The moment that it names; `None` if it is no UUIDv7, and so none of the hub's.
    pub fn moment(&self) -> Option<Moment> {
        (self.0.get_version_num() == 7).then(|| Moment((self.0.as_u128() >> 80) as u64))
    }

    /// The sixteen bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for TransferId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// No recipient has claimed it.
    Due,
    /// Handed over, or about to be; not yet answered. It may have been received.
    Claimed,
    /// The recipient has it.
    Acknowledged,
    /// The recipient refused it.
    Rejected,
    /// Given up after the bounded number of attempts; kept and replayable.
    DeadLettered,
    /// Ended by a withdrawal or restriction.
    Cancelled,
}

impl DeliveryState {
    /// The word used in CLI and entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Claimed => "claimed",
            Self::Acknowledged => "acknowledged",
            Self::Rejected => "rejected",
            Self::DeadLettered => "dead-lettered",
            Self::Cancelled => "cancelled",
        }
    }
}
