//! The topics of an agency: five at most, called after it. Which of them it has follows from the catalogue.

use std::fmt;

use crate::domain::agency::AgencyId;

/// What a topic carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicKind {
    /// Submissions, written by the agency.
    In,
    /// What became of them, written by the hub.
    Outcomes,
    /// Where those are that nobody could read, written by the hub.
    Dead,
    /// Deliveries, written by the hub.
    Out,
    /// Answers to them, written by the agency.
    Acks,
}

impl TopicKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::In, Self::Outcomes, Self::Dead, Self::Out, Self::Acks];

    /// The word in the topic's name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Outcomes => "outcomes",
            Self::Dead => "dead",
            Self::Out => "out",
            Self::Acks => "acks",
        }
    }

    /// Whether the agency writes it and the hub reads it, and not the other way round.
    pub const fn is_inbound(self) -> bool {
        matches!(self, Self::In | Self::Acks)
    }
}

/// A topic's name: `waybill.<kind>.<agency>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic {
    /// What it carries.
    pub kind: TopicKind,
    /// Whose it is.
    pub agency: AgencyId,
}

impl Topic {
    /// An agency's topic of this kind.
    pub const fn new(kind: TopicKind, agency: AgencyId) -> Self {
        Self { kind, agency }
    }

    /// The topic of this name, if it is one of ours.
    pub fn parse(name: &str) -> Option<Self> {
        let (word, agency) = name.strip_prefix("waybill.")?.split_once('.')?;
        let kind = TopicKind::ALL.into_iter().find(|kind| kind.word() == word)?;
        Some(Self { kind, agency: AgencyId::new(agency).ok()? })
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waybill.{}.{}", self.kind.word(), self.agency)
    }
}

/// The consumer group of a hub.
pub fn group(hub: &str) -> String {
    format!("waybill.{hub}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topics_name_says_what_it_carries_and_whose_it_is() {
        for kind in TopicKind::ALL {
            let topic = Topic::new(kind, AgencyId::new("north.tax").unwrap());
            assert_eq!(Topic::parse(&topic.to_string()), Some(topic));
        }
        for other in ["waybill.in", "waybill.in.", "waybill.of.tax", "other.in.tax", "waybill.in.Tax", "in.tax"] {
            assert_eq!(Topic::parse(other), None, "{other}");
        }
    }
}
