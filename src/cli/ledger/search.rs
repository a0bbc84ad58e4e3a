//! `waybill ledger search`: the officer's question. Each page that is read is an entry of its own.

use clap::builder::PossibleValuesParser;
use serde_json::json;
use waybill_proto::v1;

use super::sentence;
use crate::{
    cli::{
        context::{ContextOptions, new_key, timestamp},
        exit::{Exit, Failure},
        hub::HubOptions,
        input::Source,
        output::{Out, count},
        receipt, subject,
    },
    domain::time::Moment,
    ledger::Kind,
};

/// Entries on a page when the hub chooses.
const PAGE_DEFAULT: u64 = 50;

/// `ledger search`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Search {
    /// About whom: a file, or `-` for standard input, as for `request` [default: anybody]
    #[arg(long, value_name = "FILE")]
    subject: Option<Source>,
    /// An agency that takes part
    #[arg(long, default_value = "", hide_default_value = true)]
    agency: String,
    /// A purpose
    #[arg(long, default_value = "", hide_default_value = true)]
    purpose: String,
    /// A record type
    #[arg(long, default_value = "", hide_default_value = true)]
    record_type: String,
    /// An outcome or refusal code, e.g. consent.withdrawn
    #[arg(long, default_value = "", hide_default_value = true)]
    outcome: String,
    /// What happened
    #[arg(long, value_parser = PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.name())))]
    kind: Option<String>,
    /// Entries of this moment or later (RFC 3339)
    #[arg(long, value_name = "MOMENT")]
    from: Option<Moment>,
    /// Entries before this moment (RFC 3339)
    #[arg(long, value_name = "MOMENT")]
    until: Option<Moment>,
    /// At most so many entries, newest first
    #[arg(long, value_name = "N", default_value_t = PAGE_DEFAULT, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// All entries
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Entries on a page; each page that is read is recorded [default: the hub's choice]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    page_size: u32,
    #[command(flatten)]
    context: ContextOptions,
    #[command(flatten)]
    hub: HubOptions,
}

impl Search {
    pub(super) async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let subject = self.subject.as_ref().map(subject::read).transpose()?.unwrap_or_default();
        let hub = self.hub.connect(out).await?;
        let mut ledger = hub.ledger();
        let mut left = if self.all { u64::MAX } else { self.limit };
        let (mut page_token, mut found, mut read) = (String::new(), 0, None);
        loop {
            let request = self.page(subject.clone(), left, page_token);
            let page = ledger.search(request).await?.into_inner();
            read = page.read.or(read);
            for entry in page.entries.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                out.show(|| sentence::object(entry), || sentence::text(entry))?;
                left -= 1;
                found += 1;
            }
            page_token = page.next_page_token;
            if page_token.is_empty() || left == 0 {
                break;
            }
        }
        let more = !page_token.is_empty();
        let index = read.as_ref().map(|read| read.index);
        out.show(
            || json!({ "found": found, "more": more, "read_ledger_index": index }),
            || {
                let more = if more { "; there are more: --limit N or --all" } else { "" };
                let found = if found == 1 { "1 entry".to_owned() } else { count(found, "entrie") };
                format!("{found}{more}. This search is recorded, too{}.", receipt::at(read.as_ref()))
            },
        )?;
        Ok(Exit::Ok)
    }

    fn page(&self, subject: Vec<v1::Identifier>, left: u64, page_token: String) -> v1::SearchRequest {
        let page_size = match self.page_size {
            0 if left < PAGE_DEFAULT => left as u32,
            size => size,
        };
        v1::SearchRequest {
            idempotency_key: new_key(),
            context: Some(self.context.context(self.hub.agency())),
            subject,
            agency: self.agency.clone(),
            purpose: self.purpose.clone(),
            record_type: self.record_type.clone(),
            outcome: self.outcome.clone(),
            kind: self.kind.clone().unwrap_or_default(),
            from: self.from.map(timestamp),
            until: self.until.map(timestamp),
            page_size,
            page_token,
        }
    }
}
