//! `waybill submit`: pushes one record, or a file of them (`batch.rs`).

mod batch;
mod record;
mod rows;
mod state;
mod tally;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use waybill_proto::v1;

use self::record::RecordOptions;
use super::{
    context::{ContextOptions, KeyOption},
    exit::{Exit, Failure},
    hub::HubOptions,
    input::Source,
    output::Out,
    receipt,
    refused::Refused,
};

/// The most that a hub can be set to take.
const RECORD_BYTES_MAX: u64 = 16 << 20;

/// `submit`.
#[derive(Debug, clap::Args)]
#[command(after_help = ROWS)]
pub(super) struct Submit {
    /// A record in JSON, or a file of rows (NAME.ndjson); `-` for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: Source,
    /// It is rows, whatever its name
    #[arg(long)]
    rows: bool,
    #[command(flatten)]
    record: RecordOptions,
    /// Only this agency of those that agreements name; may be given again
    #[arg(long, value_name = "AGENCY")]
    only: Vec<String>,
    /// Save the receipt: it proves that an entry about this submission stands in the ledger, and since when. What the
    /// entry says opens only for the recipient, and with `ledger entry` for the agency's officer. With several
    /// recipients, one file for each agreement (NAME.AGREEMENT.json)
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    #[command(flatten)]
    key: KeyOption,
    /// Of a file of rows: send those again that were refused, as new submissions
    #[arg(long)]
    retry_refused: bool,
    #[command(flatten)]
    context: ContextOptions,
    #[command(flatten)]
    hub: HubOptions,
}

const ROWS: &str = "\
A row of FILE.ndjson is an object on a line: {\"record_id\": …, \"revision\": …, \"change\": …, \"as_of\": …, \
\"record\": {…}}; also corrects_revision, copy_of, record_type, schema_version. What a row leaves out is taken from the \
options. What was decided about each row is kept beside the file (FILE.ndjson.waybill), so that the same command goes on \
where it ended; no row is executed twice. Of rows on standard input (--rows) nothing is kept.";

impl Submit {
    pub(super) async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let rows = self.rows || matches!(&self.file, Source::File(path) if is_batch(path));
        if !rows {
            return self.one(out).await;
        }
        if self.receipt.is_some() {
            return Err(Failure::usage("--receipt is for one record; `waybill ledger entry` has each receipt"));
        }
        if self.key.is_given() {
            return Err(Failure::usage("--idempotency-key is for one record; rows have keys of their own"));
        }
        batch::run(&self, out).await
    }

    async fn one(self, out: &mut Out) -> Result<Exit, Failure> {
        let payload = self.file.read("a record in JSON", RECORD_BYTES_MAX)?;
        let key = self.key.or_new();
        let submission = self.submission(&self.record, payload.into(), key.clone()).map_err(Failure::Usage)?;
        let hub = self.hub.connect(out).await?;
        let request = v1::SubmitRequest { submission: Some(submission) };
        let response = hub.exchange().submit(request).await.map_err(|status| super::undecided(status, &key))?;
        let outcome = response.into_inner().outcome.unwrap_or_default();
        out.show(|| outcome_json(&outcome), || outcome_text(&outcome))?;
        if let Some(path) = &self.receipt {
            save(path, &outcome, out)?;
        }
        Ok(verdict(&outcome))
    }

    /// A submission of `payload` as `record` says.
    fn submission(&self, record: &RecordOptions, payload: bytes::Bytes, key: String) -> Result<v1::Submission, String> {
        let (record_type, schema_version) = record.schema()?;
        Ok(v1::Submission {
            idempotency_key: key,
            record_type,
            schema_version,
            payload,
            record: Some(record.identity()?),
            context: Some(self.context.context(self.hub.agency())),
            only_recipients: self.only.clone(),
            traceparent: String::new(),
        })
    }
}

fn is_batch(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "ndjson" || extension == "jsonl")
}

/// Whether each recipient's decision was recorded without a refusal that the source is told.
fn verdict(outcome: &v1::Outcome) -> Exit {
    if outcome.recipients.iter().any(|one| one.refusal.is_some()) { Exit::Refused } else { Exit::Ok }
}

fn outcome_json(outcome: &v1::Outcome) -> Value {
    let recipient = |one: &v1::RecipientOutcome| {
        let mut value = receipt::to_json(one.receipt.as_ref(), None);
        if let Value::Object(members) = &mut value {
            members.insert("recipient".to_owned(), json!(one.recipient));
            members.insert("agreement".to_owned(), json!(one.agreement));
            members.insert("transfer_id".to_owned(), json!(one.transfer_id));
            let refusal = one.refusal.clone().map(|refusal| Refused::from(refusal).to_json());
            members.insert("refused".to_owned(), json!(refusal));
        }
        value
    };
    json!({ "recipients": outcome.recipients.iter().map(recipient).collect::<Vec<_>>() })
}

fn outcome_text(outcome: &v1::Outcome) -> String {
    if outcome.recipients.is_empty() {
        return "recorded; no agreement names a recipient".to_owned();
    }
    let width = outcome.recipients.iter().map(|one| one.recipient.len()).max().unwrap_or_default();
    let line = |one: &v1::RecipientOutcome| {
        let at = receipt::at(one.receipt.as_ref());
        match &one.refusal {
            None => format!("{:width$}  recorded{at}  transfer {}", one.recipient, one.transfer_id),
            Some(refusal) => format!("{:width$}  {}{at}", one.recipient, Refused::from(refusal.clone())),
        }
    };
    outcome.recipients.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn save(path: &Path, outcome: &v1::Outcome, out: &mut Out) -> Result<(), Failure> {
    let receipts: Vec<_> =
        outcome.recipients.iter().filter_map(|one| Some((&one.agreement, one.receipt.as_ref()?))).collect();
    match receipts[..] {
        [] => Err(Failure::fault("no receipt saved: the hub sent none")),
        [(_, receipt)] => receipt::save(path, receipt, None, out),
        _ => receipts
            .iter()
            .try_for_each(|(agreement, receipt)| receipt::save(&beside(path, agreement), receipt, None, out)),
    }
}

/// `receipt.json` and `to-tax` make `receipt.to-tax.json`.
fn beside(path: &Path, agreement: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map_or_else(String::new, |extension| format!(".{}", extension.to_string_lossy()));
    // An agreement's name is a slug in our catalogues; a hub that sends another must not choose the folder.
    path.with_file_name(format!("{stem}.{}{extension}", agreement.replace(['/', '\\'], "_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> v1::Outcome {
        let recipient = |recipient: &str, index, refusal| v1::RecipientOutcome {
            recipient: recipient.to_owned(),
            agreement: format!("identity-to-{recipient}"),
            transfer_id: "t-1".to_owned(),
            receipt: Some(v1::Receipt { index, ..v1::Receipt::default() }),
            refusal,
        };
        let refusal = v1::Refusal {
            code: "minimise.too-many-fields".to_owned(),
            message: "too many".to_owned(),
            ..v1::Refusal::default()
        };
        v1::Outcome { recipients: vec![recipient("benefit", 7, None), recipient("tax", 8, Some(refusal))] }
    }

    #[test]
    fn each_recipient_has_a_line_that_says_what_became_of_it() {
        assert_eq!(
            outcome_text(&outcome()),
            "benefit  recorded (ledger index 7)  transfer t-1\n\
             tax      refused: minimise.too-many-fields: too many (ledger index 8)"
        );
        let json = outcome_json(&outcome());
        assert_eq!(json["recipients"][0]["ledger_index"], 7);
        assert_eq!(json["recipients"][0]["refused"], Value::Null);
        assert_eq!(json["recipients"][1]["refused"]["code"], "minimise.too-many-fields");
    }

    #[test]
    fn one_refused_recipient_makes_the_exit_code_refused() {
        let mut outcome = outcome();
        assert_eq!(verdict(&outcome), Exit::Refused);
        outcome.recipients.pop();
        assert_eq!(verdict(&outcome), Exit::Ok);
    }

    #[test]
    fn a_file_of_rows_is_known_by_its_name() {
        assert!(is_batch(Path::new("a.ndjson")) && is_batch(Path::new("a.jsonl")) && !is_batch(Path::new("a.json")));
    }

    #[test]
    fn receipts_of_several_agreements_lie_side_by_side() {
        assert_eq!(beside(Path::new("x/r.json"), "to-tax"), Path::new("x/r.to-tax.json"));
        assert_eq!(beside(Path::new("r"), "../../etc"), Path::new("r..._.._etc"));
    }
}
