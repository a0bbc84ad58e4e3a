//! A CloudEvent's attributes and data, in whichever of the two modes it came. What they must be is asked in `read.rs`.

use std::borrow::Cow;

use bytes::Bytes;
use rdkafka::message::{BorrowedHeaders, Headers as _};
use sonic_rs::{JsonValueTrait as _, LazyValue, Value};

use crate::kafka::{PREFIX, Reason};

/// Attributes of one event at most: our own are fewer.
const ATTRIBUTES_MAX: usize = 64;
/// The longest attribute, in bytes. None that we know may be longer.
pub(super) const ATTRIBUTE_BYTES_MAX: usize = 1024;
/// What the media type of an event in structured mode begins with.
const STRUCTURED: &str = "application/cloudevents";

/// Why nobody can read an event: which part, as if the event were in structured mode, and what it is not.
pub(super) const fn unreadable(pointer: &'static str, keyword: &'static str) -> Reason {
    Reason { pointer, keyword }
}

/// An event's attributes by their names in the specification, and its data.
#[derive(Debug, Default)]
pub(super) struct Attributes<'a> {
    named: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub data: Bytes,
}

impl<'a> Attributes<'a> {
    /// Reads headers and value.
    pub(super) fn read(headers: Option<&'a BorrowedHeaders>, value: &'a [u8]) -> Result<Self, Reason> {
        // The library panics on a header whose name is not UTF-8; here that is one more event that nobody can read.
        let own = std::panic::AssertUnwindSafe(|| headers.map(collect).unwrap_or_default());
        let headers = std::panic::catch_unwind(own).map_err(|_| unreadable("", "format"))?;
        let content_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let content_type = match content_type {
            Some((_, value)) => text(value)?,
            None => "",
        };
        if content_type.to_ascii_lowercase().starts_with(STRUCTURED) {
            return Self::structured(content_type, value);
        }
        let mut read = Self { named: Vec::with_capacity(headers.len() + 1), data: Bytes::copy_from_slice(value) };
        for (name, value) in &headers {
            if let Some(name) = name.strip_prefix(PREFIX) {
                read.add(Cow::Borrowed(name), Cow::Borrowed(text(value)?))?;
            }
        }
        if !content_type.is_empty() {
            read.add(Cow::Borrowed("datacontenttype"), Cow::Borrowed(content_type))?;
        }
        Ok(read)
    }

    fn structured(content_type: &str, value: &'a [u8]) -> Result<Self, Reason> {
        let format = content_type.split(';').next().unwrap_or_default().trim();
        if !format.eq_ignore_ascii_case("application/cloudevents+json") {
            return Err(unreadable("/datacontenttype", "enum"));
        }
        let mut read = Self::default();
        let mut has_data = false;
        for member in sonic_rs::to_object_iter(value) {
            let (name, member) = member.map_err(|_| unreadable("", "format"))?;
            match &*name {
                "data" | "data_base64" if has_data => return Err(unreadable("/data", "uniqueItems")),
                "data" => {
                    read.data = Bytes::copy_from_slice(member.as_raw_str().as_bytes());
                    has_data = true;
                }
                "data_base64" => {
                    use base64::Engine as _;
                    let text = member.as_str().ok_or(unreadable("/data_base64", "type"))?;
                    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
                    read.data = decoded.map_err(|_| unreadable("/data_base64", "contentEncoding"))?.into();
                    has_data = true;
                }
                _ => read.add(Cow::Owned(name.to_string()), Cow::Owned(simple(&member)?))?,
            }
        }
        Ok(read)
    }

    fn add(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), Reason> {
        if self.named.len() >= ATTRIBUTES_MAX {
            return Err(unreadable("", "maxProperties"));
        }
        if value.len() > ATTRIBUTE_BYTES_MAX {
            return Err(unreadable("", "maxLength"));
        }
        if self.get(&name).is_some() {
            return Err(unreadable("", "uniqueItems"));
        }
        self.named.push((name, value));
        Ok(())
    }

    /// An attribute, if it is there and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.named.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| &**value).filter(|value| !value.is_empty())
    }

    /// What names and values take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.named.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// An attribute as owned text; empty when it is not there.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }
}

fn collect(headers: &BorrowedHeaders) -> Vec<(&str, &[u8])> {
    headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect()
}

fn text(value: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(value).map_err(|_| unreadable("", "format"))
}

/// An attribute's value: a string, a number or a truth value, as text.
fn simple(member: &LazyValue<'_>) -> Result<String, Reason> {
    let value: Value = sonic_rs::from_str(member.as_raw_str()).map_err(|_| unreadable("", "format"))?;
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_null() => Ok(String::new()),
        None if value.is_number() || value.is_boolean() => Ok(member.as_raw_str().to_owned()),
        None => Err(unreadable("", "type")),
    }
}
