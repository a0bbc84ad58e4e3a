//! Who may receive deliveries: the recipient's own systems, and those that act for it.

use crate::{
    desk::{CallError, Desk, call::Stop, refuse::Trace},
    domain::agency::{AgencyId, Role, SystemId},
    exchange::{
        address::malformed,
        authenticate::{self, Caller},
        submission::{CallContext, Peer},
    },
    ledger::Kind,
};

/// A system that receives, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The acting system.
    pub system: SystemId,
    /// The recipient.
    pub agency: AgencyId,
}

impl Desk {
    /// Admits `peer` as a receiver for the agency named, or its own. `None`: its first message named none, since it was
    /// not the opening one. A refusal is an entry.
    pub async fn open_receiver(&self, peer: Peer<'_>, opening: Option<CallContext>) -> Result<Receiver, CallError> {
        let catalogue = self.catalogue();
        let admitted = self.admit(&catalogue, peer)?;
        let mut trace = Trace::new(Kind::Refusal, self.new_id());
        trace.system = authenticate::system(&catalogue, peer).ok().map(|system| system.id.clone());
        let result = match opening {
            None => Err(Stop::Refusal(malformed("/open", "required"))),
            Some(context) => {
                let caller = authenticate::caller(&catalogue, peer, Role::Receive, context).map_err(Stop::Refusal);
                caller.map(|Caller { system, context }| Receiver { system, agency: context.on_behalf_of.clone() })
            }
        };
        self.settle(&admitted, trace, result).await
    }

    /// Whether the catalogue in force still lets `receiver` receive.
    pub fn may_receive(&self, receiver: &Receiver) -> bool {
        let catalogue = self.catalogue();
        let system = catalogue.system(&receiver.system);
        system.is_some_and(|system| system.has(Role::Receive) && system.may_act_for(&receiver.agency))
    }
}
