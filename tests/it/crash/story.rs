//! A small story in which each kind of commit happens once or more: what is sent, consented, withdrawn, cancelled, answered,
//! given up and replayed; what is asked, answered with a record and without, and refused. It can be told again from any
//! point, under the same keys, and ends the same.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use waybill::{
    app::{Core, relay_limits},
    config::Limits,
    desk::{CallError, GrantCall, ReceiptDetail, SubmitOutcome, TransferState, WithdrawCall},
    domain::{
        agency::{AgencyId, SystemId},
        refusal::RefusalCode,
        subject::Identifier,
        time::{Clock as _, Moment, SystemClock},
        transfer::{DeliveryState, TransferId},
    },
    drivers::{LinkTerms, OrderRule, Outbound, Outcome, Report},
    exchange::submission::{Peer, Submission},
    relay::{Backoff, Registry, RelayLimits},
    vault::SystemRandom,
};

use super::{
    asking::{self, NO_SUCH_RECORD, Provided},
    core::{self, IDENTITY, context, key},
    scene::until,
};

const PORTAL: Peer<'static> = Peer::San("urn:waybill:system:benefit:portal");
const OPERATOR: Peer<'static> = Peer::San("urn:waybill:system:hub:operator");

/// Entries of each kind that the story makes, however often it is told.
pub const ENTRIES: [(&str, usize); 12] = [
    ("catalogue_published", 1),
    ("transfer", 5),
    ("delivery_acknowledged", 2),
    ("consent_granted", 1),
    ("consent_withdrawn", 1),
    ("delivery_cancelled", 1),
    ("delivery_rejected", 1),
    ("delivery_dead_lettered", 1),
    ("delivery_replayed", 1),
    ("request_asked", 2),
    ("answer_without_record", 1),
    ("refusal", 1),
];
/// Its commits at least: the catalogue, three pushes, consent and withdrawal, a replay; claims and ends of four
/// hand-overs; two questions, their answers, and a request that is refused.
pub const COMMITS_MIN: usize = 7 + 4 + 4 + 5;
/// Of those, the ones with entries at least: all but the claims.
pub const WITH_ENTRIES_MIN: usize = COMMITS_MIN - 4;
/// Of those, the ones that bring new key slots at least: of two people, and of a consent's evidence.
pub const WITH_SLOTS_MIN: usize = 3;
/// How often something is handed over.
pub const HAND_OVERS: usize = 4;

/// What the story is told with: the same every time.
#[derive(Debug, Serialize, Deserialize)]
pub struct Story {
    keys: [String; 9],
    as_of: u64,
}

/// What was told of one step.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answered {
    /// The entries of a call; of a delivery none.
    pub entries: Vec<u64>,
    /// How many entries the ledger was said to have then.
    pub size: u64,
    /// The question that a provider saw, if it was asked one.
    pub question: Option<String>,
    /// The entry of what the provider answered, as it was told.
    pub recorded: Option<u64>,
}

/// How far a hand-over has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandedOver {
    /// It is claimed, and has not reached the recipient.
    Not,
    /// The recipient has it, and has not answered.
    Unanswered,
}

/// With whom the story is told.
pub struct Teller<'a> {
    pub core: &'a Core,
    pub relay: &'a Registry,
    /// Asked at each hand-over whether the power goes now.
    pub power_goes: &'a (dyn Fn(HandedOver) -> bool + Send + Sync),
}

/// Where the story stops.
#[derive(Debug)]
#[expect(dead_code, reason = "what it holds is printed")]
pub enum Stopped {
    Call(CallError),
    PowerGone,
}

impl From<CallError> for Stopped {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// A system that takes deliveries.
pub struct Recipient {
    pub peer: Peer<'static>,
    agency: &'static str,
    system: &'static str,
}

pub const TAX: Recipient =
    Recipient { peer: Peer::San("urn:waybill:system:tax:registry"), agency: "tax", system: "tax/registry" };
pub const CLAIMS: Recipient =
    Recipient { peer: Peer::San("urn:waybill:system:benefit:claims"), agency: "benefit", system: "benefit/claims" };

impl Story {
    pub fn new() -> Self {
        Self { keys: std::array::from_fn(|_| key()), as_of: SystemClock.now().0 }
    }

    /// Tells it, until something fails.
    pub async fn tell(&self, teller: &Teller<'_>, answered: &mut Vec<Answered>) -> Result<(), Stopped> {
        let desk = &teller.core.desk;
        let mut note = |entries| answered.push(teller.answered(entries));
        let [address, contact, grant, withdraw, letter, replay, ..] = &self.keys;
        let address = self.submit(teller, address, core::address(0, 1)).await?;
        note(indices(&address));
        teller.deliver(&TAX, to("tax", &address), |_| Outcome::Acknowledged).await?;
        note(Vec::new());
        let granted = desk.grant(PORTAL, grant_call(grant)).await?;
        note(vec![granted.receipt.index]);
        let contact = self.submit(teller, contact, contact_record()).await?;
        note(indices(&contact));
        let subject = vec![subject()];
        let withdraw =
            WithdrawCall { key: withdraw.clone(), consent: granted.id.to_string(), subject, context: context() };
        let withdrawn = desk.withdraw(PORTAL, withdraw).await?;
        assert_eq!(withdrawn.cancelled.len(), 1, "{withdrawn:?}");
        note(vec![withdrawn.receipt.index]);

        let rejected = to("benefit", &address);
        // What is not rejected fails at its first hand-over, and is taken when it is replayed.
        let claims = |one: &Outbound| match one.content.replayed {
            _ if one.content.id == rejected => Outcome::Rejected,
            false => Outcome::Failed,
            true => Outcome::Acknowledged,
        };
        teller.deliver(&CLAIMS, rejected, claims).await?;
        note(Vec::new());
        let only = Submission { only: vec!["benefit".into()], ..core::address(1, 1) };
        let letter = self.submit(teller, letter, only).await?;
        note(indices(&letter));
        teller.deliver(&CLAIMS, to("benefit", &letter), claims).await?;
        note(Vec::new());
        let letter = to("benefit", &letter);
        note(vec![self::replay(teller.core, replay, letter).await?]);
        teller.deliver(&CLAIMS, letter, claims).await?;
        note(Vec::new());
        self.tell_of_requests(teller, answered).await
    }

    /// Benefit asks for her income twice, and for what she has not allowed it to ask for.
    async fn tell_of_requests(&self, teller: &Teller<'_>, answered: &mut Vec<Answered>) -> Result<(), Stopped> {
        let [.., with_record, without, refused] = &self.keys;
        for (key, answer) in [(with_record, asking::her_income(Moment(self.as_of))), (without, NO_SUCH_RECORD)] {
            let (Provided { question, recorded }, outcome) =
                teller.ask(TAX.peer, asking::income(key, subject()), answer).await;
            // What the provider saw counts, whatever became of the request.
            answered.push(Answered { question, recorded, ..teller.answered(Vec::new()) });
            // Two commits: the question can be there without its answer.
            answered.extend(asking::entries(&outcome?).map(|entry| teller.answered(vec![entry])));
        }
        let contact = asking::contact(refused, subject());
        let (provided, outcome) = teller.ask(IDENTITY, contact, NO_SUCH_RECORD).await;
        assert_eq!(provided.question, None, "nobody is asked");
        match outcome {
            Err(CallError::Refused(refused)) => {
                assert_eq!(refused.refusal.code, RefusalCode::ConsentMissing);
                answered.push(teller.answered(vec![refused.receipt.index]));
                Ok(())
            }
            Err(error) => Err(error.into()),
            Ok(answered) => panic!("{answered:?}"),
        }
    }

    async fn submit(&self, teller: &Teller<'_>, key: &str, mut made: Submission) -> Result<SubmitOutcome, CallError> {
        made.key = key.to_owned().into();
        made.record.as_of = Some(Moment(self.as_of));
        teller.core.desk.submit(IDENTITY, made, ReceiptDetail::Index).await
    }
}

fn subject() -> Identifier {
    Identifier::new("national-number", core::people().citizen(0).unwrap().national_number().unwrap()).unwrap()
}

fn contact_record() -> Submission {
    let records = core::people().citizen(0).unwrap().records();
    core::submission(&records.into_iter().find(|one| one.record_type == "identity/contact").unwrap())
}

fn grant_call(key: &str) -> GrantCall {
    GrantCall {
        key: key.to_owned(),
        subject: vec![subject()],
        agreement: "identity-contact-to-benefit".into(),
        revision: 1,
        from: None,
        until: None,
        notice_version: "1".into(),
        notice_language: "en".into(),
        evidence_media_type: "text/plain".into(),
        evidence: b"signed".to_vec().into(),
        context: context(),
    }
}

fn indices(outcome: &SubmitOutcome) -> Vec<u64> {
    outcome.recipients.iter().map(|one| one.receipt.index).collect()
}

/// The transfer to that agency.
pub fn to(agency: &str, outcome: &SubmitOutcome) -> TransferId {
    outcome.recipients.iter().find(|one| one.recipient == agency).unwrap().id
}

/// An operator has a dead letter handed over again; the entry that says so.
pub async fn replay(core: &Core, key: &str, letter: TransferId) -> Result<u64, CallError> {
    Ok(core.desk.replay(OPERATOR, key, &letter.to_string(), context()).await?.index)
}

/// Gives up what fails once.
pub fn relay(core: &Core) -> Arc<Registry> {
    let backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(1) };
    let limits = RelayLimits { attempts_max: 1, backoff, ..relay_limits(&Limits::default()) };
    Registry::new(Arc::clone(&core.desk), limits, Arc::new(SystemRandom))
}

impl Teller<'_> {
    /// That these are the entries of a call, as it was answered now.
    fn answered(&self, entries: Vec<u64>) -> Answered {
        let size = self.core.sequencer.newest().snapshot.size();
        Answered { entries, size, question: None, recorded: None }
    }

    /// The recipient takes what comes and answers it, until `transfer` has ended.
    pub async fn deliver(
        &self,
        to: &Recipient,
        transfer: TransferId,
        answer: impl Fn(&Outbound) -> Outcome,
    ) -> Result<(), Stopped> {
        let has_ended = |state| !matches!(state, DeliveryState::Due | DeliveryState::Claimed);
        if has_ended(self.state(to, transfer).await?) {
            return Ok(());
        }
        let terms = LinkTerms {
            system: SystemId::new(to.system).unwrap(),
            credit: 16,
            order: OrderRule::OneUnacknowledged,
            report_within: Duration::from_secs(30),
        };
        let mut port = self.relay.connect(&AgencyId::new(to.agency).unwrap(), &terms).unwrap();
        self.reaches(to, transfer, |state| state != DeliveryState::Due).await?;
        if (self.power_goes)(HandedOver::Not) {
            return Err(Stopped::PowerGone);
        }
        let receiving = async {
            while let Some(batch) = port.next().await {
                if (self.power_goes)(HandedOver::Unanswered) {
                    return Stopped::PowerGone;
                }
                let report = |one: &Outbound| Report { transfer: one.content.id, outcome: answer(one) };
                port.reporter().report(batch.iter().map(report).collect()).await;
            }
            // The store has failed; the state's reader is told so.
            std::future::pending().await
        };
        tokio::select! {
            stopped = receiving => Err(stopped),
            ended = self.reaches(to, transfer, has_ended) => Ok(ended?),
        }
    }

    async fn reaches(
        &self,
        to: &Recipient,
        transfer: TransferId,
        wanted: impl Fn(DeliveryState) -> bool,
    ) -> Result<(), CallError> {
        let mut read = Ok(());
        until("a delivery goes on", async || match self.state(to, transfer).await {
            Ok(state) => wanted(state),
            Err(error) => {
                read = Err(error);
                true
            }
        })
        .await;
        read
    }

    async fn state(&self, to: &Recipient, transfer: TransferId) -> Result<DeliveryState, CallError> {
        let view = self.core.desk.get_transfer(to.peer, &transfer.to_string(), context()).await?;
        let Some(TransferState::Delivery(state)) = view.state else { panic!("{view:?}") };
        Ok(state)
    }
}
