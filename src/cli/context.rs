//! Who acts, in which case and why: the context options that every call about a person has. And the words of the command
//! line that several commands share: moments, idempotency keys.

use clap::ValueEnum;
use prost_types::Timestamp;
use uuid::Uuid;
use waybill_proto::v1;

use crate::domain::{idempotency::IdempotencyKey, time::Moment};

/// Travels with every call about a person.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Context")]
pub(super) struct ContextOptions {
    /// The official or process that acts; opaque to the hub
    #[arg(long, default_value = "", hide_default_value = true)]
    actor: String,
    /// The case that it belongs to; opaque to the hub
    #[arg(long, default_value = "", hide_default_value = true)]
    case: String,
    /// Why
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Reference to the representative through whom the person acts; opaque to the hub
    #[arg(long, value_name = "REFERENCE", requires = "authority")]
    representative: Option<String>,
    /// What the representative's authority rests on
    #[arg(long, value_enum, requires = "representative")]
    authority: Option<Authority>,
    /// When that authority ends (RFC 3339)
    #[arg(long, value_name = "MOMENT", requires = "representative")]
    authority_until: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Authority {
    Parent,
    Guardian,
    Attorney,
    Court,
}

impl ContextOptions {
    /// The context of a call in the name of `agency`; empty: the agency that runs the system.
    pub(super) fn context(&self, agency: String) -> v1::Context {
        let authority = match self.authority {
            None => v1::Authority::Unspecified,
            Some(Authority::Parent) => v1::Authority::Parent,
            Some(Authority::Guardian) => v1::Authority::Guardian,
            Some(Authority::Attorney) => v1::Authority::Attorney,
            Some(Authority::Court) => v1::Authority::Court,
        };
        v1::Context {
            on_behalf_of: agency,
            actor: self.actor.clone(),
            case_reference: self.case.clone(),
            reason: self.reason.clone(),
            acting_for: self.representative.clone().map(|representative| v1::Representation {
                representative,
                authority: authority.into(),
                until: self.authority_until.map(timestamp),
            }),
        }
    }
}

/// `--idempotency-key`.
#[derive(Debug, Default, clap::Args)]
pub(super) struct KeyOption {
    /// Repeats a call whose outcome was not seen: the same key with the same content is never executed twice [default: a
    /// new one]
    #[arg(long, value_name = "UUIDV7", value_parser = key)]
    idempotency_key: Option<String>,
}

impl KeyOption {
    /// Whether a key was given.
    pub(super) const fn is_given(&self) -> bool {
        self.idempotency_key.is_some()
    }

    /// The key that was given, or a new one.
    pub(super) fn or_new(&self) -> String {
        self.idempotency_key.clone().unwrap_or_else(new_key)
    }
}

fn key(text: &str) -> Result<String, String> {
    IdempotencyKey::parse(text).map(|key| key.to_string()).map_err(|error| error.to_string())
}

/// A key of this moment.
pub(super) fn new_key() -> String {
    Uuid::now_v7().to_string()
}

/// A moment for the wire.
pub(super) fn timestamp(moment: Moment) -> Timestamp {
    // Fits: a Moment's milliseconds are at most u64::MAX, so its seconds are below 2^63.
    Timestamp { seconds: moment.as_secs().cast_signed(), nanos: (moment.0 % 1000) as i32 * 1_000_000 }
}

/// A moment from the wire; `None` if it is not between 1970 and the end of the calendar.
pub(super) fn moment(timestamp: Timestamp) -> Option<Moment> {
    let seconds = u64::try_from(timestamp.seconds).ok()?;
    let millis = u64::try_from(timestamp.nanos).ok()? / 1_000_000;
    seconds.checked_mul(1000)?.checked_add(millis).map(Moment)
}

/// A moment from the wire, as RFC 3339.
pub(super) fn show(timestamp: Option<Timestamp>) -> Option<String> {
    timestamp.and_then(moment).map(|moment| moment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_survive_the_wire() {
        let noon = Moment(1_763_640_000_123);
        assert_eq!(moment(timestamp(noon)), Some(noon));
        assert_eq!(moment(Timestamp { seconds: -1, nanos: 0 }), None);
        assert_eq!(show(Some(timestamp(Moment(0)))).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(show(None), None);
    }

    #[test]
    fn a_new_key_is_one_that_the_hub_takes() {
        assert!(key(&new_key()).is_ok());
        assert!(key("00000000-0000-4000-8000-000000000000").is_err());
        assert_eq!(KeyOption { idempotency_key: Some("given".to_owned()) }.or_new(), "given");
    }

    #[test]
    fn a_representative_is_named_with_the_authority() {
        let options = ContextOptions {
            representative: Some("r-1".to_owned()),
            authority: Some(Authority::Court),
            ..ContextOptions::default()
        };
        let context = options.context("tax".to_owned());
        assert_eq!(context.on_behalf_of, "tax");
        assert_eq!(context.acting_for.unwrap().authority(), v1::Authority::Court);
    }
}
