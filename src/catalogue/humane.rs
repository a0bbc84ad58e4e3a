//! Durations and dates as people write them in a catalogue: `10y`, `30d`, `none`, `2026-01-01`. Syntax only.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::domain::time::Moment;

/// The longest duration: a hundred years.
const DURATION_MAX: Duration = Duration::from_hours(100 * 365 * 24);
/// The longest text, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// A duration: a whole number and `y` (365 days), `d`, `h`, `min` or `s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Humane(pub(super) Duration);

/// A duration, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HumaneOrNone(pub(super) Option<Duration>);

/// A date (its midnight in UTC), or a date and time with its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct When(pub(super) Moment);

/// A text for people: not empty, no control characters but line ends, at most 4,096 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration is a whole number and y (365 days), d, h, min or s: 10y, 30d, 12h".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let seconds: u64 = match unit {
        "y" => 365 * 86_400,
        "d" => 86_400,
        "h" => 3_600,
        "min" => 60,
        "s" => 1,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let duration = number.checked_mul(seconds).map(Duration::from_secs).filter(|d| *d <= DURATION_MAX);
    match duration {
        None => Err("a duration is at most 100y".to_owned()),
        Some(Duration::ZERO) => Err("a duration of nothing is written `none`, where that is possible".to_owned()),
        Some(duration) => Ok(duration),
    }
}

impl<'de> Deserialize<'de> for Humane {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        duration(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for HumaneOrNone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "none" {
            return Ok(Self(None));
        }
        duration(&text).map(|duration| Self(Some(duration))).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = toml::value::Datetime::deserialize(deserializer)?;
        let text = match (written.date, written.time, written.offset) {
            (Some(date), None, None) => format!("{date}T00:00:00Z"),
            (Some(_), Some(_), Some(_)) => written.to_string(),
            _ => return Err(D::Error::custom("a moment is a date (2026-01-01), or a date and time with offset")),
        };
        let moment: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        let millis = u64::try_from(moment.as_millisecond());
        millis.map(|millis| Self(Moment(millis))).map_err(|_| D::Error::custom("a moment is not before 1970"))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let text = text.trim();
        if text.is_empty() {
            return Err(D::Error::custom("the text is empty"));
        }
        if text.len() > TEXT_BYTES_MAX {
            return Err(D::Error::custom(format!("the text is longer than {TEXT_BYTES_MAX} bytes")));
        }
        if text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(D::Error::custom("the text has control characters"));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_one_unit() {
        assert_eq!(duration("10y"), Ok(Duration::from_hours(10 * 365 * 24)));
        assert_eq!(duration("30d"), Ok(Duration::from_hours(720)));
        assert_eq!(duration("15min"), Ok(Duration::from_mins(15)));
        assert_eq!(duration("1s"), Ok(Duration::from_secs(1)));
        for bad in ["", "y", "10", "1 d", "-1d", "1.5d", "1m", "1y2d", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_hundred_years_is_the_longest() {
        assert_eq!(duration("100y"), Ok(DURATION_MAX));
        assert_eq!(duration("3153600000s"), Ok(DURATION_MAX));
        for beyond in ["101y", "36501d", "876001h", "52560001min", "3153600001s"] {
            assert!(duration(beyond).unwrap_err().contains("at most"), "{beyond}");
        }
        assert!(duration("0d").unwrap_err().contains("`none`"));
    }

    #[test]
    fn a_text_is_so_long_without_what_is_blank_around_it() {
        #[derive(Deserialize)]
        struct Doc {
            text: Text,
        }
        let read = |text: &str| toml::from_str::<Doc>(&format!("text = \"{text}\"")).map(|doc| doc.text.0.len());
        let longest = "é".repeat(2048);
        assert_eq!(read(&format!(" {longest} ")).unwrap(), 4096);
        let beyond = read(&format!("{longest}a")).unwrap_err();
        assert!(beyond.message().contains("the text is longer than 4096 bytes"), "{beyond}");
        assert!(read(" ").unwrap_err().message().contains("the text is empty"));
    }

    #[test]
    fn moments_are_dates_or_have_an_offset() {
        #[derive(Deserialize)]
        struct Doc {
            at: When,
        }
        let parse = |text: &str| toml::from_str::<Doc>(&format!("at = {text}")).map(|doc| doc.at.0.to_string());
        assert_eq!(parse("2026-01-01").unwrap(), "2026-01-01T00:00:00Z");
        assert_eq!(parse("2026-01-01T02:00:00+02:00").unwrap(), "2026-01-01T00:00:00Z");
        for bad in ["2026-01-01T00:00:00", "00:00:00", "1969-12-31", "\"2026-01-01\""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
