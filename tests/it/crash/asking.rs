//! The story's requests: benefit asks, and a registry that is connected answers, or is not asked at all.

use tokio::sync::oneshot;
use waybill::{
    desk::{Answer, AnswerOutcome, CallError, ExplicitRequest, NoRecord, ProvidedRecord, RequestCall, RequestOutcome},
    domain::{subject::Identifier, time::Moment},
    exchange::submission::Peer,
};

use super::{
    core::{self, context},
    story::{CLAIMS, Teller},
};

/// What the provider has seen and was told.
#[derive(Debug, Default)]
pub struct Provided {
    /// The question that reached it, by its request.
    pub question: Option<String>,
    /// The entry of its answer.
    pub recorded: Option<u64>,
}

/// A request for somebody's income, as she asked for it.
pub fn income(key: &str, subject: Identifier) -> RequestCall {
    RequestCall {
        key: key.to_owned(),
        record_type: "tax/income-statement".into(),
        purpose: "income-assessment".into(),
        provider: String::new(),
        subject: vec![subject],
        explicit_request: Some(ExplicitRequest { asked_at: None, reference: "form 3".into() }),
        context: context(),
        deadline: None,
        traceparent: String::new(),
    }
}

/// The same person's e-mail address, which she must have consented to.
pub fn contact(key: &str, subject: Identifier) -> RequestCall {
    let (record_type, purpose) = ("identity/contact".into(), "optional-reminders".into());
    RequestCall { record_type, purpose, explicit_request: None, ..income(key, subject) }
}

/// The first citizen's income.
pub fn her_income(as_of: Moment) -> Answer {
    let records = core::people().citizen(0).unwrap().records();
    let income = records.into_iter().find(|one| one.record_type == "tax/income-statement").unwrap();
    let mut given = core::submission(&income);
    given.record.as_of = Some(as_of);
    Answer::Record(ProvidedRecord { schema_version: "1.0".into(), payload: given.payload, record: given.record })
}

pub const NO_SUCH_RECORD: Answer = Answer::None(NoRecord::NoSuchRecord);

/// The entries of a question and of its answer.
pub fn entries(outcome: &RequestOutcome) -> [u64; 2] {
    let answer = match &outcome.answer {
        AnswerOutcome::Evidence(evidence) => &evidence.receipt,
        AnswerOutcome::NoRecord { receipt, .. } => receipt,
    };
    [outcome.asked.index, answer.index]
}

impl Teller<'_> {
    /// Benefit asks; the provider is connected until the request has its outcome, and gives this answer if it is asked.
    pub async fn ask(
        &self,
        provider: Peer<'_>,
        call: RequestCall,
        answer: Answer,
    ) -> (Provided, Result<RequestOutcome, CallError>) {
        let desk = &self.core.desk;
        let mut provided = Provided::default();
        let (provider, mut link) = match desk.provide(provider, Some((context(), Vec::new()))).await {
            Ok(open) => open,
            Err(error) => return (provided, Err(error)),
        };
        let (ends, end) = oneshot::channel::<()>();
        let asking = async {
            let outcome = desk.request(CLAIMS.peer, call).await;
            drop(ends);
            outcome
        };
        let providing = async {
            let question = tokio::select! {
                question = link.questions.recv() => question,
                _ = end => link.questions.try_recv().ok(),
            };
            let Some(question) = question else { return };
            let request = provided.question.insert(question.request.to_string());
            let told = desk.answer(&provider, request, answer, context()).await;
            provided.recorded = told.ok().map(|receipt| receipt.index);
        };
        let (outcome, ()) = tokio::join!(asking, providing);
        (provided, outcome)
    }
}
