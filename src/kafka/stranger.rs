//! Whether a hub with another ledger reads in a group of this hub's: each would take half of what is written, and neither
//! would know what the other had. A member's client id names its ledger.
//!
//! This sees who is there now, if the brokers say so: one that is down keeps them from it, and then it is asked again
//! later. Who was there before is seen of submissions by what the group has consumed (`ingress/kafka/assignment.rs`).

use std::{panic::AssertUnwindSafe, time::Duration};

use rdkafka::{
    client::{Client, ClientContext},
    error::KafkaError,
    groups::{GroupInfo, GroupMemberInfo},
};

use super::{Conflicts, TopicKind};

/// How long the brokers may take to say who is in a group. A member reads nothing meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// A hub's group: what is read in it, and for which ledger.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// What is read.
    pub kind: TopicKind,
    /// The ledger's id.
    pub ledger: String,
}

impl Group {
    /// How a member calls itself.
    pub fn client_id(&self, number: usize) -> String {
        format!("{}{}.{number}", self.prefix(), self.ledger)
    }

    fn prefix(&self) -> String {
        format!("waybill-{}.", self.kind.word())
    }

    /// Whether no hub with another ledger reads in the group; `None` where the brokers do not say. To be asked before
    /// joining, when those are seen that were there, and after it: two that come at once then see each other. Waits for
    /// the brokers.
    pub fn is_ours(&self, client: &Client<impl ClientContext>, conflicts: &Conflicts) -> Option<bool> {
        let Self { name: group, .. } = self;
        let other = self.stranger(client);
        let other =
            other.inspect_err(|error| tracing::warn!(%error, group, "the brokers do not say who is in the group"));
        let other = other.ok()?;
        if let Some(other) = &other {
            conflicts.found(format!(
                "{other}, of another hub with a ledger of its own, reads in the group {group}: stop that hub, or give this \
                 one another name"
            ));
        }
        Some(other.is_none())
    }

    /// The client id of a member that reads for another ledger.
    fn stranger(&self, client: &Client<impl ClientContext>) -> Result<Option<String>, KafkaError> {
        let listed = client.fetch_group_list(Some(&self.name), ANSWER_MAX)?;
        // The library panics on a client id that is not UTF-8: that is no hub's.
        let id = |member: &GroupMemberInfo| {
            std::panic::catch_unwind(AssertUnwindSafe(|| member.client_id().to_owned())).ok()
        };
        let members = listed.groups().iter().flat_map(GroupInfo::members);
        Ok(members.filter_map(id).find(|id| self.is_strange(id)))
    }

    /// Members that are no hub's (a console, a test) change no store.
    fn is_strange(&self, client_id: &str) -> bool {
        let of_hub = client_id.strip_prefix(&self.prefix());
        of_hub.is_some_and(|rest| rest.rsplit_once('.').is_none_or(|(other, _)| other != self.ledger))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: TopicKind, ledger: &str) -> Group {
        Group { name: "group".into(), kind, ledger: ledger.into() }
    }

    #[test]
    fn a_hub_of_another_ledger_is_a_stranger_and_nobody_else() {
        for kind in [TopicKind::In, TopicKind::Acks] {
            let id = |ledger, number| of(kind, ledger).client_id(number);
            assert!(!of(kind, "a.b").is_strange(&id("a.b", 0)));
            assert!(!of(kind, "a").is_strange(&id("a", 12)));
            assert!(of(kind, "a").is_strange(&id("b", 0)));
            assert!(of(kind, "a").is_strange(&id("a.b", 0)));
            for other in ["rdkafka", "", "waybill-in", "waybill-acks", "waybill-outcomes"] {
                assert!(!of(kind, "a").is_strange(other), "{other}");
            }
        }
    }
}
