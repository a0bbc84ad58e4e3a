//! Whether a hub with another ledger reads in the group: each would take half of what is written, and neither would know
//! the other's repeats. A member's client id names its ledger.
//!
//! This sees who is there now, if the brokers say so: one that is down keeps them from it, and then it is asked again
//! later. Whoever was there before is seen by what the group has consumed (`assignment.rs`).

use std::{panic::AssertUnwindSafe, time::Duration};

use rdkafka::{
    client::{Client, ClientContext},
    error::KafkaError,
    groups::{GroupInfo, GroupMemberInfo},
};

/// How long the brokers may take to say who is in a group. A member reads nothing meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(2);
const PREFIX: &str = "waybill-in.";

/// How a member calls itself.
pub(super) fn client_id(ledger: &str, number: usize) -> String {
    format!("{PREFIX}{ledger}.{number}")
}

/// The client id of a member of the group that reads for another ledger.
pub(super) fn find(
    client: &Client<impl ClientContext>,
    group: &str,
    ledger: &str,
) -> Result<Option<String>, KafkaError> {
    let listed = client.fetch_group_list(Some(group), ANSWER_MAX)?;
    // The library panics on a client id that is not UTF-8: that is no hub's.
    let id =
        |member: &GroupMemberInfo| std::panic::catch_unwind(AssertUnwindSafe(|| member.client_id().to_owned())).ok();
    let members = listed.groups().iter().flat_map(GroupInfo::members);
    Ok(members.filter_map(id).find(|id| is_stranger(id, ledger)))
}

/// Members that are no hub's (a console, a test) change no store.
fn is_stranger(client_id: &str, ledger: &str) -> bool {
    let of_hub = client_id.strip_prefix(PREFIX);
    of_hub.is_some_and(|rest| rest.rsplit_once('.').is_none_or(|(other, _)| other != ledger))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_of_another_ledger_is_a_stranger_and_nobody_else() {
        assert!(!is_stranger(&client_id("a.b", 0), "a.b"));
        assert!(!is_stranger(&client_id("a", 12), "a"));
        assert!(is_stranger(&client_id("b", 0), "a"));
        assert!(is_stranger(&client_id("a.b", 0), "a"));
        for other in ["rdkafka", "", "waybill-in", "waybill-outcomes"] {
            assert!(!is_stranger(other, "a"), "{other}");
        }
    }
}
