//! An answer that holds no record: a provider's, or that nobody answered.

use super::{
    CallError, Desk,
    answer::{AnswerOutcome, Proposed, Settled, unknown},
    call::Stop,
    decide::transfer_statement,
    providers::NoRecord,
    request::{Permission, Permitted},
    sealing::About,
    submit::DECIDE_ATTEMPTS_MAX,
};
use crate::{
    exchange::authenticate::Caller,
    ledger::{Attribute, Kind},
    sequencer::Proposal,
    store::{Owner, SystemKey},
};

impl Desk {
    /// Records a provider's answer that holds no record. It says something of the person, too: it is permitted again.
    pub(super) async fn record_no_record(
        &self,
        permission: &Permission<'_>,
        provider: &Caller,
        answer: NoRecord,
    ) -> Result<Settled, Stop> {
        for _ in 0..DECIDE_ATTEMPTS_MAX {
            let mut owner = unknown(&permission.identifiers);
            let permitted = self.permit_now(permission, &mut owner).await?;
            let proposed = self.propose_no_record(permission, Some(provider), answer, owner, permitted);
            if let Some(settled) = proposed.await? {
                return Ok(settled);
            }
        }
        Err(CallError::Unavailable("the person's facts keep changing; try again".into()).into())
    }

    /// Records that nobody answered, which says nothing of the person.
    pub(super) async fn record_unavailable(&self, permission: &Permission<'_>) -> Result<Settled, CallError> {
        let owner = self.owner(&permission.identifiers).await?;
        let nothing = Permitted { consent: None, expects: Vec::new() };
        let settled = self.propose_no_record(permission, None, NoRecord::ProviderUnavailable, owner, nothing).await?;
        settled.ok_or_else(|| CallError::Fault("a proposal without expectations went stale".into()))
    }

    /// Proposes an answer without a record; `None` when what it rests on has changed.
    async fn propose_no_record(
        &self,
        permission: &Permission<'_>,
        provider: Option<&Caller>,
        answer: NoRecord,
        owner: Owner,
        Permitted { consent, expects }: Permitted,
    ) -> Result<Option<Settled>, CallError> {
        let Permission { compiled, request, .. } = permission;
        let agreement = &compiled.agreement;
        let id = self.new_id();
        let kind = Kind::AnswerWithoutRecord;
        let mut statement = transfer_statement(kind, id, compiled);
        statement.string(Attribute::Outcome, answer.as_str());
        statement.string(Attribute::Answer, answer.as_str());
        statement.string(Attribute::RequestId, &request.to_string());
        statement.list(Attribute::RefersTo, [request.to_string().as_str()]);
        if let NoRecord::NotAvailableUntil(Some(until)) = answer {
            statement.moment(Attribute::ValidFrom, until);
        }
        if let Some(consent) = consent {
            statement.id(Attribute::ConsentId, consent);
        }
        if let Some(provider) = provider {
            statement.string(Attribute::System, provider.system.as_str());
            statement.context(&provider.context);
        }
        let about = About {
            outcome: answer.as_str(),
            agencies: &[&agreement.source, &agreement.recipient],
            agreement: Some(agreement),
            ids: &[*request],
            ..About::new(kind, id, owner)
        };
        let sealed = self.seal(about, &statement).await?;
        let key = Some(permission.answer_key);
        // It waits in the line of who asked, as the question did.
        let system = Some(SystemKey::from(&permission.caller.system));
        let proposal = Proposal { key, system, expects, entries: vec![sealed.entry.clone()], ..Proposal::default() };
        Ok(match self.propose_answer(proposal, &sealed).await? {
            Proposed::Receipt(receipt) => {
                Some(Settled { outcome: AnswerOutcome::NoRecord { answer: Some(answer), receipt }, own: true })
            }
            Proposed::Known(known) => {
                Some(Settled { outcome: self.known_answer(known, &permission.identifiers).await?, own: false })
            }
            Proposed::Stale => None,
        })
    }
}
