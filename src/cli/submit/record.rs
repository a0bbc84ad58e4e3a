//! What a record is, apart from its content: its type and identity at its source, from options or from a row.

use clap::ValueEnum;
use serde::Deserialize;
use waybill_proto::v1;

use crate::{
    cli::context::timestamp,
    domain::{
        record::{RecordTypeId, SchemaVersion},
        time::Moment,
    },
};

/// The options of a record; in a file of rows, what a row leaves out.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Record")]
pub(super) struct RecordOptions {
    /// Record type, e.g. identity/address
    #[arg(long, value_name = "DOMAIN/NAME")]
    pub(super) record_type: Option<RecordTypeId>,
    /// Version of its schema, e.g. 1.0
    #[arg(long, value_name = "MAJOR.MINOR", alias = "version")]
    pub(super) schema_version: Option<SchemaVersion>,
    /// The record's own id at its source; opaque to the hub
    #[arg(long, value_name = "ID")]
    pub(super) record_id: Option<String>,
    /// The source's revision, from 1; without it the order of arrival counts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) revision: Option<u64>,
    /// What happened to the record
    #[arg(long, value_enum)]
    pub(super) change: Option<Change>,
    /// When the content was true (RFC 3339)
    #[arg(long, value_name = "MOMENT")]
    pub(super) as_of: Option<Moment>,
    /// Which revision a correction or recall is about
    #[arg(long, value_name = "N")]
    pub(super) corrects_revision: Option<u64>,
    /// The transfer that the record is a copy of; without it the record originates here
    #[arg(long, value_name = "TRANSFER-ID")]
    pub(super) copy_of: Option<String>,
}

/// What happened to a record at its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Change {
    /// The first revision
    New,
    /// The facts changed
    Changed,
    /// An earlier revision was wrong
    Corrected,
    /// What it describes has ended
    Ended,
    /// It should never have been sent
    Recalled,
}

impl From<Change> for v1::Change {
    fn from(change: Change) -> Self {
        match change {
            Change::New => Self::New,
            Change::Changed => Self::Changed,
            Change::Corrected => Self::Corrected,
            Change::Ended => Self::Ended,
            Change::Recalled => Self::Recalled,
        }
    }
}

impl RecordOptions {
    /// Record type and schema version.
    pub(super) fn schema(&self) -> Result<(String, String), String> {
        let record_type = self.record_type.as_ref().ok_or("say the record type (--record-type DOMAIN/NAME)")?;
        let version = self.schema_version.ok_or("say the schema's version (--schema-version MAJOR.MINOR)")?;
        Ok((record_type.to_string(), version.to_string()))
    }

    /// The record's identity at its source.
    pub(super) fn identity(&self) -> Result<v1::RecordIdentity, String> {
        let record_id = self.record_id.clone().filter(|id| !id.is_empty());
        let change = self.change.ok_or("say what happened to the record (--change new, changed, …)")?;
        Ok(v1::RecordIdentity {
            record_id: record_id.ok_or("say the record's id at its source (--record-id ID)")?,
            revision: self.revision,
            as_of: self.as_of.map(timestamp),
            change: v1::Change::from(change).into(),
            corrects_revision: self.corrects_revision,
            copy_of_transfer_id: self.copy_of.clone().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_said_is_asked_for() {
        let mut options = RecordOptions::default();
        assert!(options.schema().unwrap_err().contains("--record-type"));
        options.record_type = Some("identity/address".parse().unwrap());
        assert!(options.schema().unwrap_err().contains("--schema-version"));
        options.schema_version = Some("1.0".parse().unwrap());
        assert_eq!(options.schema(), Ok(("identity/address".to_owned(), "1.0".to_owned())));
        assert!(options.identity().unwrap_err().contains("--change"));
        options.change = Some(Change::Corrected);
        assert!(options.identity().unwrap_err().contains("--record-id"));
        options.record_id = Some("r-1".to_owned());
        assert_eq!(options.identity().unwrap().change(), v1::Change::Corrected);
    }
}
