//! Idempotency keys (RFC 9562 UUIDv7) and the window in which they hold. What comes as an event has no such key: it gets
//! one of version 8 that is made of the event's name and of when it arrived first.

use std::time::Duration;

use uuid::Uuid;

use super::time::Moment;

/// A client's name for one call: a UUIDv7, whose own time says when the window for it ends. Of an event: a UUIDv8 of the
/// same layout, which no client can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(Uuid);

/// What is left of an event's keyed hash in its key: 74 bits. A collision, which nobody can aim at, is told by the
/// content and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTail(pub [u8; 10]);

/// Why a key is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Not a UUIDv7.
    #[error("an idempotency key is a UUID of version 7 (RFC 9562)")]
    NotV7,
    /// Older than the window: it is refused, never executed, since what it did may have been forgotten.
    #[error("the idempotency key is older than the window")]
    TooOld,
    /// Further ahead of the hub's clock than allowed.
    #[error("the idempotency key is ahead of the hub's clock")]
    TooNew,
}

/// How far back and ahead of the hub's clock a key's time may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Default 7 days.
    pub back: Duration,
    /// Default 5 minutes.
    pub ahead: Duration,
}

impl IdempotencyKey {
    /// Parses the text form.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        Uuid::try_parse(text).map_err(|_| InvalidKey::NotV7).and_then(Self::from_uuid)
    }

    /// Takes a UUID, if it is of version 7.
    pub fn from_uuid(uuid: Uuid) -> Result<Self, InvalidKey> {
        if uuid.get_version_num() == 7 { Ok(Self(uuid)) } else { Err(InvalidKey::NotV7) }
    }

    /// The key of an event whose name has this keyed hash and that arrived at this moment.
    pub fn of_event(hash: &[u8; 16], at: Moment) -> Self {
        let mut bytes = *hash;
        bytes[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Takes a stored key: of a call or of an event.
    pub fn from_stored(uuid: Uuid) -> Result<Self, InvalidKey> {
        if matches!(uuid.get_version_num(), 7 | 8) { Ok(Self(uuid)) } else { Err(InvalidKey::NotV7) }
    }

    /// Of an event, what it shares with each other key of the same event.
    pub fn event(self) -> Option<EventTail> {
        let mut tail = [0; 10];
        tail.copy_from_slice(&self.0.as_bytes()[6..]);
        (self.0.get_version_num() == 8).then_some(EventTail(tail))
    }

    /// The key's own time.
    pub fn moment(self) -> Moment {
        let bytes = self.0.as_bytes();
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&bytes[..6]);
        Moment(u64::from_be_bytes(millis))
    }

    /// The sixteen bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Whether the key may be used at `now`.
    pub fn check(self, now: Moment, window: Window) -> Result<(), InvalidKey> {
        if self.moment() < now.before(window.back) {
            Err(InvalidKey::TooOld)
        } else if self.moment() > now.after(window.ahead) {
            Err(InvalidKey::TooNew)
        } else {
            Ok(())
        }
    }
}

impl std::fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { back: Duration::from_hours(168), ahead: Duration::from_mins(5) };

    fn key_at(millis: u64) -> IdempotencyKey {
        let bytes: [u8; 8] = millis.to_be_bytes();
        let mut uuid = [0u8; 16];
        uuid[..6].copy_from_slice(&bytes[2..]);
        uuid[6] = 0x70;
        uuid[8] = 0x80;
        IdempotencyKey::from_uuid(Uuid::from_bytes(uuid)).unwrap()
    }

    #[test]
    fn a_key_holds_up_to_both_ends_of_the_window_and_not_beyond() {
        let now = Moment(1_800_000_000_000);
        assert_eq!(key_at(now.0 - 604_800_000).check(now, WINDOW), Ok(()));
        assert_eq!(key_at(now.0 - 604_800_001).check(now, WINDOW), Err(InvalidKey::TooOld));
        assert_eq!(key_at(now.0 + 300_000).check(now, WINDOW), Ok(()));
        assert_eq!(key_at(now.0 + 300_001).check(now, WINDOW), Err(InvalidKey::TooNew));
    }

    #[test]
    fn an_events_keys_differ_by_their_time_alone_and_cannot_be_written_by_a_client() {
        let (one, other) =
            (IdempotencyKey::of_event(&[9; 16], Moment(7)), IdempotencyKey::of_event(&[9; 16], Moment(8)));
        assert_eq!((one.moment(), other.moment()), (Moment(7), Moment(8)));
        assert!(one.event().is_some() && one.event() == other.event());
        assert_ne!(one.event(), IdempotencyKey::of_event(&[8; 16], Moment(7)).event());
        assert_eq!(IdempotencyKey::parse(&one.to_string()), Err(InvalidKey::NotV7));
        assert_eq!(key_at(7).event(), None);
    }

    #[test]
    fn only_version_7_is_a_key() {
        assert_eq!(IdempotencyKey::parse("00000000-0000-4000-8000-000000000000"), Err(InvalidKey::NotV7));
        assert_eq!(IdempotencyKey::parse("no uuid"), Err(InvalidKey::NotV7));
    }
}
