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
mod tests {
    use super::*;

    fn agency(name: &str) -> AgencyId {
        AgencyId::new(name).unwrap()
    }

    fn system(name: &str) -> SystemId {
        SystemId::new(&format!("{name}/registry")).unwrap()
    }

    const fn anybody(_: &SystemId, _: &AgencyId) -> bool {
        true
    }

    fn question(byte: u8) -> Question {
        Question {
            request: TransferId(uuid::Uuid::from_bytes([byte; 16])),
            requester: agency("benefit"),
            agreement: String::new(),
            purpose: String::new(),
            record_type: RecordTypeId::new("tax/income-statement").unwrap(),
            schema_major: 1,
            subject: Vec::new(),
            explicitly_requested: true,
            deadline: Moment(0),
            traceparent: String::new(),
        }
    }

    #[test]
    fn a_question_reaches_a_stream_of_its_provider_and_of_no_other() {
        let providers = Arc::new(Providers::default());
        let mut tax = providers.open(system("tax"), agency("tax"), Vec::new());
        let mut identity = providers.open(system("identity"), agency("identity"), Vec::new());
        let asked = providers.ask(&agency("tax"), question(1), anybody).unwrap();
        assert!(asked.is_some());
        assert!(tax.questions.try_recv().is_ok());
        assert!(identity.questions.try_recv().is_err());
    }

    #[test]
    fn nobody_is_asked_when_the_stream_is_closed_or_provides_something_else() {
        let providers = Arc::new(Providers::default());
        drop(providers.open(system("tax"), agency("tax"), Vec::new()));
        let _other = providers.open(system("tax"), agency("tax"), vec![RecordTypeId::new("tax/residency").unwrap()]);
        assert!(providers.ask(&agency("tax"), question(1), anybody).unwrap().is_none());
        assert!(providers.0.lock().waiting.is_empty(), "a question that nobody can answer does not wait");
    }

    #[test]
    fn a_system_that_may_no_longer_provide_is_passed_over() {
        let providers = Arc::new(Providers::default());
        let mut tax = providers.open(system("tax"), agency("tax"), Vec::new());
        assert!(providers.ask(&agency("tax"), question(1), |_, _| false).unwrap().is_none());
        assert!(tax.questions.try_recv().is_err() && providers.0.lock().waiting.is_empty());
        let asked = providers.ask(&agency("tax"), question(1), |one, _| *one == system("tax")).unwrap();
        assert!(asked.is_some() && tax.questions.try_recv().is_ok());
    }

    #[test]
    fn only_the_provider_that_was_asked_can_answer_and_only_once() {
        let providers = Arc::new(Providers::default());
        let _tax = providers.open(system("tax"), agency("tax"), Vec::new());
        let _asked = providers.ask(&agency("tax"), question(1), anybody).unwrap();
        let request = question(1).request;
        assert!(providers.take(request, &agency("identity")).is_none());
        assert!(providers.take(request, &agency("tax")).is_some());
        assert!(providers.take(request, &agency("tax")).is_none());
    }

    #[test]
    fn a_question_that_is_under_way_is_not_asked_again_until_its_answer_is_recorded() {
        let providers = Arc::new(Providers::default());
        let mut tax = providers.open(system("tax"), agency("tax"), Vec::new());
        let asked = providers.ask(&agency("tax"), question(1), anybody).unwrap();
        let again = || providers.ask(&agency("tax"), question(1), anybody).map(|asked| asked.is_some());
        assert_eq!(again(), Err(UnderWay));
        assert!(providers.take(question(1).request, &agency("tax")).is_some());
        assert_eq!(again(), Err(UnderWay), "its answer is being recorded");
        drop(asked);
        assert_eq!(again(), Ok(true));
        assert!(tax.questions.try_recv().is_ok() && tax.questions.try_recv().is_ok());
        assert!(tax.questions.try_recv().is_err(), "it was asked twice");
    }

    #[test]
    fn a_question_of_a_stream_that_is_gone_goes_to_another_or_to_the_next_that_opens() {
        let providers = Arc::new(Providers::default());
        let (first, mut second) = {
            let open = || providers.open(system("tax"), agency("tax"), Vec::new());
            (open(), open())
        };
        let _asked = providers.ask(&agency("tax"), question(1), anybody).unwrap().unwrap();
        drop(first);
        assert_eq!(second.questions.try_recv().unwrap().request, question(1).request);
        drop(second);
        let _other = providers.open(system("identity"), agency("identity"), Vec::new());
        let elsewhere = vec![RecordTypeId::new("tax/residency").unwrap()];
        let mut elsewhere = providers.open(system("tax"), agency("tax"), elsewhere);
        let mut third = providers.open(system("tax"), agency("tax"), Vec::new());
        assert!(elsewhere.questions.try_recv().is_err(), "it provides something else");
        assert_eq!(third.questions.try_recv().unwrap().request, question(1).request);
        assert!(providers.take(question(1).request, &agency("tax")).is_some());
        drop(third);
        let mut fourth = providers.open(system("tax"), agency("tax"), Vec::new());
        assert!(fourth.questions.try_recv().is_err(), "it is answered, and being recorded");
    }

    #[test]
    fn what_found_no_room_is_handed_over_as_soon_as_there_is_some() {
        let providers = Arc::new(Providers::default());
        let first = providers.open(system("tax"), agency("tax"), Vec::new());
        let numbered = |number: u16| {
            let mut bytes = [0; 16];
            bytes[..2].copy_from_slice(&number.to_be_bytes());
            Question { request: TransferId(uuid::Uuid::from_bytes(bytes)), ..question(0) }
        };
        let ask = |number| providers.ask(&agency("tax"), numbered(number), anybody).unwrap().unwrap();
        let lost = ask(0);
        let mut second = providers.open(system("tax"), agency("tax"), Vec::new());
        let full: Vec<_> = (1..=2 * QUESTIONS_MAX as u16)
            .map_while(|number| providers.ask(&agency("tax"), numbered(number), anybody).unwrap())
            .collect();
        assert_eq!(full.len(), 2 * QUESTIONS_MAX - 1, "both queues are full");
        drop(first);
        while second.questions.try_recv().is_ok() {}
        assert!(providers.take(full[0].request, &agency("tax")).is_some());
        let again: Vec<_> = std::iter::from_fn(|| second.questions.try_recv().ok()).collect();
        assert!(again.iter().any(|question| question.request == lost.request), "an answer says that there is room");
        assert!(
            again.iter().all(|question| question.request != full[0].request),
            "what is answered does not come again"
        );
    }
}
