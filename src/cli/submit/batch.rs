//! A file of rows, pushed over one stream: windowed, one outcome a row, tried again where the hub was busy, resumable
//! (`state.rs`). Never more rows in memory than the hub's window.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader},
    time::Duration,
};

use indicatif::ProgressBar;
use prost::Message as _;
use serde_json::json;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use waybill_proto::v1::{self, numbered_outcome::Result as Answer};

use super::{
    Submit, outcome_json,
    rows::{self, Row},
    state::{Decided, RowId, State},
    tally::Tally,
};
use crate::cli::{
    exit::{Exit, Failure},
    input::Source,
    output::{self, Out},
    receipt,
    refused::{Busy, Refused},
};

/// Rows in one message.
const MESSAGE_ROWS_MAX: usize = 64;
/// Bytes of records in one message; a single larger one goes alone.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// How often a row is sent before it is left to the next run.
const ATTEMPTS_MAX: u32 = 20;
/// The least wait before a row is sent again.
const WAIT_MIN: Duration = Duration::from_millis(50);

/// A row under way.
struct Flight {
    id: RowId,
    submission: v1::Submission,
    attempts: u32,
}

struct Batch<'a> {
    submit: &'a Submit,
    state: State,
    lines: Box<dyn BufRead + Send>,
    row: u64,
    ended: bool,
    in_flight: HashMap<u64, Flight>,
    /// To be sent again, and when.
    again: Vec<(Instant, u64, Flight)>,
    /// Read, and no room for it in the message before.
    held: Option<(u64, Flight)>,
    tally: Tally,
    bar: ProgressBar,
}

/// The rows, their length where it is known, what was decided about them, and what they are called.
fn open(submit: &Submit) -> Result<(Box<dyn BufRead + Send>, u64, State, String), Failure> {
    let Source::File(path) = &submit.file else {
        return Ok((Box::new(BufReader::new(io::stdin())), 0, State::unkept()?, "standard input".to_owned()));
    };
    let shown = path.display().to_string();
    let failed = |error: io::Error| Failure::Usage(format!("{shown}: {error}"));
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let options = format!("{:?} {:?} {:?} {:?}", submit.record, submit.only, submit.context, submit.hub.on_behalf_of);
    let state = State::open(path, &options, submit.retry_refused)?;
    Ok((Box::new(BufReader::with_capacity(1 << 16, file)), length, state, shown))
}

/// Submits the rows.
pub(super) async fn run(submit: &Submit, out: &mut Out) -> Result<Exit, Failure> {
    let (lines, length, state, shown) = open(submit)?;
    let hub = submit.hub.connect(out).await?;
    if state.resumed {
        out.say(&format!("going on with the run that was begun {}", state.begun()))?;
    }
    let mut batch = Batch {
        submit,
        state,
        lines,
        row: 0,
        ended: false,
        in_flight: HashMap::new(),
        again: Vec::new(),
        held: None,
        tally: Tally::default(),
        bar: output::progress(length, output::BYTES),
    };
    let (sender, receiver) = mpsc::channel(1);
    let first = v1::SubmitStreamRequest { receipt_detail: v1::ReceiptDetail::Index.into(), submissions: Vec::new() };
    // There is room for one, and nothing was sent before.
    let _ = sender.try_send(first);
    let mut answers = hub.exchange().submit_stream(ReceiverStream::new(receiver)).await?.into_inner();
    let broken = batch.exchange(sender, &mut answers, out).await.err();
    batch.tally.undecided += batch.in_flight.len() + batch.again.len() + usize::from(batch.held.is_some());
    batch.bar.finish_and_clear();
    let tally = &batch.tally;
    out.show(|| tally.to_json(), || tally.sentence(&shown, matches!(submit.file, Source::File(_))))?;
    broken.map_or(Ok(tally.exit()), Err)
}

impl Batch<'_> {
    /// Sends and receives until every row has an outcome.
    async fn exchange(
        &mut self,
        sender: mpsc::Sender<v1::SubmitStreamRequest>,
        answers: &mut tonic::Streaming<v1::SubmitStreamResponse>,
        out: &mut Out,
    ) -> Result<(), Failure> {
        let ended = || {
            let message = "the hub ended the stream".to_owned();
            Failure::Busy(Box::new(Busy { message, ..Busy::default() }))
        };
        let window = answers.message().await?.ok_or_else(ended)?.window.max(1) as usize;
        let mut message = Vec::new();
        loop {
            if message.is_empty() {
                message = self.next_message(window, out)?;
            }
            if message.is_empty() && self.in_flight.is_empty() && self.again.is_empty() {
                return Ok(());
            }
            let due = self.again.iter().map(|(due, ..)| *due).min();
            // Sending must never keep us from reading: else hub and client could wait for each other.
            tokio::select! {
                permit = sender.reserve(), if !message.is_empty() => {
                    let submissions = std::mem::take(&mut message);
                    permit.map_err(|_| ended())?.send(v1::SubmitStreamRequest { receipt_detail: 0, submissions });
                }
                answer = answers.message() => {
                    for outcome in answer?.ok_or_else(ended)?.outcomes {
                        self.settle(outcome, out)?;
                    }
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)),
                    if due.is_some() && message.is_empty() && self.in_flight.len() < window => {}
            }
        }
    }

    /// The next rows that the window has room for, those first that are due again.
    fn next_message(&mut self, window: usize, out: &mut Out) -> Result<Vec<v1::NumberedSubmission>, Failure> {
        let (mut message, mut bytes) = (Vec::new(), 0);
        let now = Instant::now();
        while message.len() < MESSAGE_ROWS_MAX && self.in_flight.len() < window {
            let due = self.again.iter().position(|(due, ..)| *due <= now);
            let (row, mut flight) = match (due, self.held.take()) {
                (Some(position), held) => {
                    self.held = held;
                    let (_, row, flight) = self.again.swap_remove(position);
                    (row, flight)
                }
                (None, Some(held)) => held,
                // While a row waits, no later one overtakes it: it may be an earlier revision of the same record.
                (None, None) if !self.again.is_empty() => break,
                (None, None) => match self.next_row(out)? {
                    Some(next) => next,
                    None => break,
                },
            };
            let length = flight.submission.payload.len();
            if !message.is_empty() && bytes + length > MESSAGE_BYTES_MAX {
                if self.held.is_none() {
                    self.held = Some((row, flight));
                } else {
                    self.again.push((now, row, flight));
                }
                break;
            }
            bytes += length;
            flight.attempts += 1;
            message.push(v1::NumberedSubmission { number: row, submission: Some(flight.submission.clone()) });
            self.in_flight.insert(row, flight);
        }
        Ok(message)
    }

    /// The next row that is to be sent.
    fn next_row(&mut self, out: &mut Out) -> Result<Option<(u64, Flight)>, Failure> {
        let mut line = Vec::new();
        while !self.ended {
            line.clear();
            let length = self.lines.read_until(b'\n', &mut line).map_err(Failure::fault)?;
            self.bar.inc(length as u64);
            self.ended = length == 0;
            self.row += 1;
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let id = self.state.id(self.row, text);
            let known = self.state.known(id);
            if known.recorded {
                self.tally.recorded_before += 1;
                continue;
            }
            if known.refused > 0 && !self.submit.retry_refused {
                self.tally.refused_before += 1;
                continue;
            }
            if known.refused == 0 && !self.state.same_options {
                // It may be under way since the run before, as something else than these options say.
                self.tally.left += 1;
                continue;
            }
            match self.flight(id, known.refused, text) {
                Ok(flight) => return Ok(Some((self.row, flight))),
                Err(why) => {
                    self.tally.unreadable += 1;
                    let row = self.row;
                    let object = || json!({ "row": row, "outcome": "unreadable", "message": why });
                    let bar = &self.bar;
                    bar.suspend(|| out.show(object, || format!("row {row}  unreadable: {why}")))?;
                }
            }
        }
        Ok(None)
    }

    fn flight(&self, id: RowId, refused: u32, line: &[u8]) -> Result<Flight, String> {
        let Row { options, payload } = rows::parse(line, &self.submit.record)?;
        let mut submission = self.submit.submission(&options, payload, String::new())?;
        submission.idempotency_key = self.state.key(self.row, id, refused, &submission.encode_to_vec());
        Ok(Flight { id, submission, attempts: 0 })
    }

    /// Says and keeps what became of a row.
    fn settle(&mut self, outcome: v1::NumberedOutcome, out: &mut Out) -> Result<(), Failure> {
        let row = outcome.number;
        let Some(flight) = self.in_flight.remove(&row) else {
            return Err(Failure::Fault(format!("the hub tells of row {row}, which was not sent")));
        };
        match outcome.result {
            Some(Answer::Outcome(outcome)) => {
                self.tally.recorded += 1;
                self.tally.partly += usize::from(super::verdict(&outcome) != Exit::Ok);
                self.say(out, row, "recorded", &outcome_json(&outcome), &recorded(&outcome))?;
                self.state.decide(row, flight.id, Decided::Recorded)
            }
            // The hub has forgotten what this key did, so nobody may say that it was refused.
            Some(Answer::Refusal(refusal)) if refusal.code == "key.too-old" => {
                self.tally.undecided += 1;
                let refused = Refused::from(refusal);
                self.say(out, row, "undecided", &json!({ "refused": refused.to_json() }), &refused.to_string())
            }
            Some(Answer::Refusal(refusal)) => {
                self.tally.refused += 1;
                let refused = Refused::from(refusal);
                self.say(out, row, "refused", &json!({ "refused": refused.to_json() }), &refused.to_string())?;
                self.state.decide(row, flight.id, Decided::Refused)
            }
            Some(Answer::Busy(busy)) if is_retryable(&busy) && flight.attempts < ATTEMPTS_MAX => {
                let wait = Duration::from_millis(busy.retry_after_ms).max(WAIT_MIN);
                self.again.push((Instant::now() + wait, row, flight));
                Ok(())
            }
            Some(Answer::Busy(busy)) => {
                self.tally.undecided += 1;
                self.say(out, row, "undecided", &json!({ "message": busy.message }), &busy.message)
            }
            None => Err(Failure::Fault(format!("the hub tells nothing about row {row}"))),
        }
    }

    fn say(
        &self,
        out: &mut Out,
        row: u64,
        outcome: &str,
        object: &serde_json::Value,
        text: &str,
    ) -> Result<(), Failure> {
        let machine = || {
            let mut line = json!({ "row": row, "outcome": outcome });
            if let (Some(line), Some(more)) = (line.as_object_mut(), object.as_object()) {
                line.extend(more.clone());
            }
            line
        };
        let person = || {
            if text.starts_with(outcome) {
                format!("row {row}  {text}")
            } else {
                format!("row {row}  {outcome}: {text}")
            }
        };
        self.bar.suspend(|| out.show(machine, person))
    }
}

/// A fault of the hub does not go away by waiting a little.
fn is_retryable(busy: &v1::Busy) -> bool {
    tonic::Code::from(busy.code.cast_signed()) != tonic::Code::Internal
}

fn recorded(outcome: &v1::Outcome) -> String {
    let one = |one: &v1::RecipientOutcome| {
        let at = receipt::at(one.receipt.as_ref());
        match &one.refusal {
            None => format!("{}{at}", one.recipient),
            Some(refusal) => format!("{} refused: {}{at}", one.recipient, refusal.code),
        }
    };
    let recipients: Vec<String> = outcome.recipients.iter().map(one).collect();
    format!("recorded: {}", if recipients.is_empty() { "no recipient".to_owned() } else { recipients.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_hub_is_not_waited_for() {
        let busy = |code: tonic::Code| v1::Busy { code: code as u32, ..v1::Busy::default() };
        assert!(is_retryable(&busy(tonic::Code::ResourceExhausted)));
        assert!(!is_retryable(&busy(tonic::Code::Internal)));
    }
}
