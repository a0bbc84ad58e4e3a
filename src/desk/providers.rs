//! The providers' open streams, and the questions that wait for their answers. A provider connects to the hub; the hub
//! never connects to an agency.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{CallError, Receipt};
use crate::domain::{
    agency::{AgencyId, SystemId},
    context::Context,
    record::{RecordIdentity, RecordTypeId},
    subject::Identifier,
    time::Moment,
    transfer::TransferId,
};

/// Questions that a provider's stream can hold before it is passed over.
const QUESTIONS_MAX: usize = 256;

/// A question about a person; it is recorded before it is sent.
#[derive(Debug, Clone)]
pub struct Question {
    /// The request's id.
    pub request: TransferId,
    /// Who asks.
    pub requester: AgencyId,
    /// Under which agreement.
    pub agreement: String,
    /// What for.
    pub purpose: String,
    /// What is wanted.
    pub record_type: RecordTypeId,
    /// Which major version.
    pub schema_major: u16,
    /// About whom.
    pub subject: Vec<Identifier>,
    /// Whether the person asked for it.
    pub explicitly_requested: bool,
    /// When the answer is no longer of use.
    pub deadline: Moment,
    /// W3C trace context.
    pub traceparent: String,
}

/// Why an answer holds no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRecord {
    /// No such person.
    NoSuchPerson,
    /// Several people match.
    SeveralMatches,
    /// No such record.
    NoSuchRecord,
    /// Not available until a time.
    NotAvailableUntil(Option<Moment>),
    /// The provider declines.
    Declined,
    /// The provider was away, or did not answer in time.
    ProviderUnavailable,
}

impl NoRecord {
    /// The word used in entries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchPerson => "no-such-person",
            Self::SeveralMatches => "several-matches",
            Self::NoSuchRecord => "no-such-record",
            Self::NotAvailableUntil(_) => "not-available-until",
            Self::Declined => "declined",
            Self::ProviderUnavailable => "provider-unavailable",
        }
    }

    /// The answer with this word.
    pub fn from_word(word: &str, until: Option<Moment>) -> Option<Self> {
        let all = [
            Self::NoSuchPerson,
            Self::SeveralMatches,
            Self::NoSuchRecord,
            Self::NotAvailableUntil(until),
            Self::Declined,
            Self::ProviderUnavailable,
        ];
        all.into_iter().find(|answer| answer.as_str() == word)
    }
}

/// A record that answers a question.
#[derive(Debug, Clone)]
pub struct ProvidedRecord {
    /// The schema version that it says it obeys.
    pub schema_version: String,
    /// JSON.
    pub payload: Bytes,
    /// Its identity at the source.
    pub record: RecordIdentity,
}

/// What a provider answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A record.
    Record(ProvidedRecord),
    /// None.
    None(NoRecord),
}

/// An answer with who gave it.
#[derive(Debug)]
pub(super) struct Answered {
    pub answer: Answer,
    pub system: SystemId,
    pub context: Arc<Context>,
    /// Tells the provider what became of it.
    pub told: oneshot::Sender<Result<Receipt, CallError>>,
}

#[derive(Debug)]
struct Link {
    number: u64,
    system: SystemId,
    agency: AgencyId,
    record_types: Vec<RecordTypeId>,
    questions: mpsc::Sender<Question>,
}

#[derive(Debug)]
struct Waiting {
    provider: AgencyId,
    question: Question,
    /// The stream that it was handed to; `None` while none of the provider's is open that could take it.
    link: Option<u64>,
    /// Taken by the first answer; the question is under way until that is recorded.
    reply: Option<oneshot::Sender<Answered>>,
}

/// The same question is being asked by another call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnderWay;

impl Link {
    fn fits(&self, provider: &AgencyId, question: &Question) -> bool {
        self.agency == *provider && (self.record_types.is_empty() || self.record_types.contains(&question.record_type))
    }
}

/// Open streams of providers, and questions that wait.
#[derive(Debug, Default)]
pub struct Providers(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// The least recently asked first.
    links: Vec<Link>,
    waiting: HashMap<TransferId, Waiting>,
    /// Those of them whose stream is gone; they may have been answered since.
    lost: VecDeque<TransferId>,
    number: u64,
}

/// A provider's open stream; it is closed by dropping it.
#[derive(Debug)]
pub struct ProvideLink {
    /// Questions for this provider.
    pub questions: mpsc::Receiver<Question>,
    number: u64,
    providers: Arc<Providers>,
}

impl Drop for ProvideLink {
    fn drop(&mut self) {
        self.providers.0.lock().lose(self.number);
    }
}

/// A question on its way; dropping it forgets the question.
#[derive(Debug)]
pub(super) struct Asked {
    pub answer: oneshot::Receiver<Answered>,
    request: TransferId,
    providers: Arc<Providers>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.providers.0.lock().waiting.remove(&self.request);
    }
}

impl Providers {
    /// Registers a stream of `system` for `agency`; `record_types` empty: all of the agency's. Questions that were handed to
    /// a stream that is gone come to this one.
    pub(super) fn open(
        self: &Arc<Self>,
        system: SystemId,
        agency: AgencyId,
        record_types: Vec<RecordTypeId>,
    ) -> ProvideLink {
        let mut table = self.0.lock();
        table.number += 1;
        let number = table.number;
        let (sender, questions) = mpsc::channel(QUESTIONS_MAX);
        table.links.push(Link { number, system, agency, record_types, questions: sender });
        table.hand_over_again(usize::MAX);
        ProvideLink { questions, number, providers: Arc::clone(self) }
    }

    /// Hands `question` to a stream of `provider`, the least recently asked first, of a system that still `may` provide;
    /// `None` when none can take it.
    pub(super) fn ask(
        self: &Arc<Self>,
        provider: &AgencyId,
        question: Question,
        may: impl Fn(&SystemId, &AgencyId) -> bool,
    ) -> Result<Option<Asked>, UnderWay> {
        let request = question.request;
        let mut table = self.0.lock();
        if table.waiting.contains_key(&request) {
            return Err(UnderWay);
        }
        table.hand_over_again(1);
        let Some(link) = table.hand_over(provider, &question, may) else { return Ok(None) };
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { provider: provider.clone(), question, link: Some(link), reply: Some(reply) };
        table.waiting.insert(request, waiting);
        Ok(Some(Asked { answer, request, providers: Arc::clone(self) }))
    }

    /// Takes the question that `provider` answers; `None` when it is not open, or was not asked of it.
    pub(super) fn take(&self, request: TransferId, provider: &AgencyId) -> Option<oneshot::Sender<Answered>> {
        let mut table = self.0.lock();
        let waiting = table.waiting.get_mut(&request)?;
        let reply = if waiting.provider == *provider { waiting.reply.take() } else { None };
        // Who answers has room for more.
        table.hand_over_again(1);
        reply
    }

    /// Whether a question waits for the answer of `provider`.
    pub(super) fn is_open(&self, request: TransferId, provider: &AgencyId) -> bool {
        let table = self.0.lock();
        table.waiting.get(&request).is_some_and(|waiting| waiting.provider == *provider && waiting.reply.is_some())
    }
}

impl Table {
    /// The stream that took the question.
    fn hand_over(
        &mut self,
        provider: &AgencyId,
        question: &Question,
        may: impl Fn(&SystemId, &AgencyId) -> bool,
    ) -> Option<u64> {
        for position in 0..self.links.len() {
            let link = &self.links[position];
            let fits = link.fits(provider, question) && may(&link.system, &link.agency);
            if fits && link.questions.try_send(question.clone()).is_ok() {
                let asked = self.links.remove(position);
                let number = asked.number;
                self.links.push(asked);
                return Some(number);
            }
        }
        None
    }

    /// A stream is gone: what it was asked and has not answered goes to another, or waits for one.
    fn lose(&mut self, number: u64) {
        self.links.retain(|link| link.number != number);
        for (request, waiting) in &mut self.waiting {
            if waiting.link == Some(number) {
                waiting.link = None;
                self.lost.push_back(*request);
            }
        }
        self.hand_over_again(usize::MAX);
    }

    /// Hands over what waits for a stream, until that has failed for so many. Whether the system still may provide is asked
    /// before it leaves.
    fn hand_over_again(&mut self, failures_max: usize) {
        let mut failures = 0;
        for _ in 0..self.lost.len() {
            if failures >= failures_max {
                return;
            }
            let Some(request) = self.lost.pop_front() else { return };
            let Some(waiting) = self.waiting.get(&request).filter(|waiting| waiting.reply.is_some()) else { continue };
            let (provider, question) = (waiting.provider.clone(), waiting.question.clone());
            let link = self.hand_over(&provider, &question, |_, _| true);
            match self.waiting.get_mut(&request) {
                Some(waiting) if link.is_some() => waiting.link = link,
                _ => {
                    failures += 1;
                    self.lost.push_back(request);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
