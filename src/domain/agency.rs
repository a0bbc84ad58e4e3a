//! Agencies, their systems, and what a system may do. Who they are in a given country is the catalogue's matter.

use serde::{Deserialize, Serialize};

pub use super::slug::InvalidName;
use super::slug::name_type;

name_type!(
    /// A public body that is responsible for what is done in its name, e.g. `tax`.
    AgencyId, parts: 1
);
name_type!(
    /// A technical system of an agency, `<agency>/<system>`, e.g. `tax/registry`; one certificate names one system.
    SystemId, parts: 2
);

/// The longest URI that names a system in its certificate, in bytes.
pub const SAN_BYTES_MAX: usize = 255;

impl SystemId {
    /// The agency that runs the system. It need not be the one that it acts for.
    pub fn agency(&self) -> AgencyId {
        let (agency, _) = self.as_str().split_once('/').expect("a SystemId has two parts: checked when it was parsed");
        AgencyId::new(agency).expect("each part of a SystemId is a name: checked when it was parsed")
    }

    /// `<agency>.<system>`: what Kafka's brokers take from its certificate as its name.
    pub fn dotted(&self) -> String {
        self.as_str().replace('/', ".")
    }
}

/// A compact, stable number for an agency in stored rows: the first eight bytes of SHA-256 of its name.
///
/// `waybill check` refuses a catalogue in which two agencies share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgencyKey(pub u64);

/// A compact, stable number for a system in stored rows, as [`AgencyKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemKey(pub u64);

impl From<&SystemId> for SystemKey {
    fn from(system: &SystemId) -> Self {
        Self(system.0.key())
    }
}

impl AgencyId {
    /// The agency's key in stored rows.
    pub fn key(&self) -> AgencyKey {
        AgencyKey(self.0.key())
    }
}

/// What a system may do, for each agency that it may act for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Push records.
    Submit,
    /// Answer requests over the Provide stream.
    Provide,
    /// Ask for evidence.
    Request,
    /// Receive deliveries.
    Receive,
    /// Record and withdraw what citizens consented to.
    CollectConsent,
    /// Read the entries in which its own agency takes part.
    AuditOwnAgency,
    /// Read every entry.
    AuditHub,
    /// Dead letters and the catalogue; never the content of records.
    Operate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_belongs_to_the_agency_it_is_named_after() {
        assert_eq!(SystemId::new("tax/registry").unwrap().agency(), AgencyId::new("tax").unwrap());
        assert_eq!(SystemId::new("tax"), Err(InvalidName));
        assert_eq!(SystemId::new("tax/a/b"), Err(InvalidName));
    }
}
