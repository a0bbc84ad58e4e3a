//! Step 5: ten thousand changes as one stream.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use waybill_proto::v1;

use super::Stage;
use crate::cli::demo::{
    say::Teller,
    systems::{System, leaves, submission},
};

/// Submissions in one message.
const CHUNK: usize = 32;
/// Submissions without outcome: the hub's default window, should it tell none.
const WINDOW: usize = 1024;

pub(super) async fn play(stage: &mut Stage, teller: Teller) -> anyhow::Result<()> {
    let changes = stage.changes;
    teller.title(&format!("5. {changes} people move"));
    let people = stage.people.len();
    let records: Vec<_> = (0..changes)
        .filter_map(|number| {
            let round = u32::try_from(number / people).ok()? + 3;
            Some(stage.people.citizen(number % people)?.moved_record(round))
        })
        .collect();
    stage.given_fields += records.iter().map(|record| leaves(&record.body)).sum::<u64>();
    let (mut to_tax, mut to_benefit) = (stage.tax_inbox.count(), stage.benefit_inbox.count());
    let bar = teller.bar(changes as u64, "changes");
    let mut waits = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    let started = Instant::now();
    let submissions = records.iter().map(|record| submission(record, v1::Change::Changed, "notice of a move"));
    push(&stage.identity, submissions, v1::ReceiptDetail::Index, |outcome, waited| {
        to_tax += outcome.recipients.iter().filter(|one| one.recipient == "tax").count();
        to_benefit += outcome.recipients.iter().filter(|one| one.recipient == "benefit").count();
        waits.saturating_record(waited.as_micros() as u64);
        bar.inc(1);
    })
    .await?;
    let accepted = started.elapsed();
    stage.tax_inbox.wait_for(to_tax).await?;
    stage.benefit_inbox.wait_for(to_benefit).await?;
    let delivered = started.elapsed();
    bar.finish_and_clear();
    let rate = |time: Duration| changes as f64 / time.as_secs_f64();
    teller.fact(&format!(
        "accepted, decided for two agencies each and written to the ledger: {:.0} a second",
        rate(accepted)
    ));
    teller.fact(&format!("delivered to both agencies: {:.0} a second", rate(delivered)));
    teller.detail(&format!(
        "from sending to outcome: half within {:.1} ms, 99 of 100 within {:.1} ms, with up to {WINDOW} under way",
        waits.value_at_quantile(0.5) as f64 / 1000.0,
        waits.value_at_quantile(0.99) as f64 / 1000.0
    ));
    Ok(())
}

/// Pushes submissions through one stream; `each` sees every outcome and how long it took.
pub(super) async fn push(
    system: &System,
    submissions: impl Iterator<Item = v1::Submission>,
    detail: v1::ReceiptDetail,
    mut each: impl FnMut(&v1::Outcome, Duration),
) -> anyhow::Result<()> {
    let (sender, out) = mpsc::channel(8);
    let first = v1::SubmitStreamRequest { receipt_detail: detail.into(), submissions: Vec::new() };
    sender.send(first).await?;
    let mut client = system.exchange.clone();
    let mut outcomes = client.submit_stream(ReceiverStream::new(out)).await?.into_inner();
    let window = outcomes.message().await?.map_or(WINDOW, |first| first.window as usize).min(WINDOW);

    let mut submissions = (0..).zip(submissions).peekable();
    let mut waiting: HashMap<u64, Instant> = HashMap::new();
    loop {
        while submissions.peek().is_some() && waiting.len() + CHUNK <= window {
            let chunk: Vec<v1::NumberedSubmission> = submissions
                .by_ref()
                .take(CHUNK)
                .map(|(number, submission)| v1::NumberedSubmission { number, submission: Some(submission) })
                .collect();
            waiting.extend(chunk.iter().map(|one| (one.number, Instant::now())));
            let message = v1::SubmitStreamRequest { receipt_detail: 0, submissions: chunk };
            sender.send(message).await.context("the hub has closed the stream")?;
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let message = outcomes.message().await?.context("the hub has closed the stream")?;
        for one in message.outcomes {
            let sent = waiting.remove(&one.number).context("an outcome came twice")?;
            match one.result {
                Some(v1::numbered_outcome::Result::Outcome(outcome)) => each(&outcome, sent.elapsed()),
                other => anyhow::bail!("submission {} had another outcome: {other:?}", one.number),
            }
        }
    }
}
