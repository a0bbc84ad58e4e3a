//! Why a call is made and for whom: travels with every call that names a person, sealed and committed like the record.

use std::fmt;

use super::{agency::AgencyId, time::Moment};

/// The longest actor, case or reason, in bytes.
pub const CONTEXT_TEXT_BYTES_MAX: usize = 512;

/// The context of a call. Texts are opaque to the hub and print as `…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    /// The responsible agency.
    pub on_behalf_of: AgencyId,
    /// The official or process that acts; only the agency can resolve it. Empty when not given.
    pub actor: String,
    /// The case it belongs to. Empty when not given.
    pub case: String,
    /// Why. Empty when not given.
    pub reason: String,
    /// The representative through whom the subject acts, if one does.
    pub acting_for: Option<Representation>,
}

/// A representative's authority and its end.
#[derive(Clone, PartialEq, Eq)]
pub struct Representation {
    /// Opaque reference to the representative.
    pub representative: String,
    /// What the authority rests on.
    pub authority: Authority,
    /// When it ends, if it does; a minor's majority at the latest.
    pub until: Option<Moment>,
}

/// What a representative's authority rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// A parent, for a minor.
    Parent,
    /// A guardian.
    Guardian,
    /// An attorney under a power of attorney.
    Attorney,
    /// A court's order.
    Court,
}

impl Authority {
    /// The word used in entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Guardian => "guardian",
            Self::Attorney => "attorney",
            Self::Court => "court",
        }
    }
}

/// What an agreement or a call may demand of its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContextItem {
    /// Who acts.
    Actor,
    /// Which case.
    Case,
    /// Why.
    Reason,
    /// Through which representative.
    ActingFor,
}

impl ContextItem {
    /// The word in a catalogue.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Case => "case",
            Self::Reason => "reason",
            Self::ActingFor => "acting-for",
        }
    }

    /// Where it stands in a call (RFC 6901).
    pub const fn pointer(self) -> &'static str {
        match self {
            Self::Actor => "/context/actor",
            Self::Case => "/context/case_reference",
            Self::Reason => "/context/reason",
            Self::ActingFor => "/context/acting_for",
        }
    }
}

impl Context {
    /// A context that names only the responsible agency.
    pub const fn of(on_behalf_of: AgencyId) -> Self {
        Self { on_behalf_of, actor: String::new(), case: String::new(), reason: String::new(), acting_for: None }
    }

    /// Whether the context has `item`.
    pub const fn has(&self, item: ContextItem) -> bool {
        match item {
            ContextItem::Actor => !self.actor.is_empty(),
            ContextItem::Case => !self.case.is_empty(),
            ContextItem::Reason => !self.reason.is_empty(),
            ContextItem::ActingFor => self.acting_for.is_some(),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context(on behalf of {}, …)", self.on_behalf_of)
    }
}

impl fmt::Debug for Representation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Representation({}, …)", self.authority.as_str())
    }
}
