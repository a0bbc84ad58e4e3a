//! `waybill dead-letters`: deliveries that were given up, and handing them over again. For operators; shows no content.

use serde_json::json;
use waybill_proto::v1;

use super::{
    context::{KeyOption, show},
    exit::{Exit, Failure},
    hub::HubOptions,
    output::{Out, count},
    receipt, wire,
};
use crate::domain::agency::AgencyId;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub(super) enum DeadLetters {
    /// List deliveries that were given up
    List(Box<List>),
    /// Hand one over again; it carries its old index
    Replay(Box<Replay>),
}

impl DeadLetters {
    pub(super) async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self {
            Self::List(command) => command.run(out).await,
            Self::Replay(command) => command.run(out).await,
        }
        .map(|()| Exit::Ok)
    }
}

/// `dead-letters list`.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Of this agency [default: of all]
    #[arg(long, value_name = "AGENCY")]
    recipient: Option<AgencyId>,
    #[command(flatten)]
    hub: HubOptions,
}

impl List {
    async fn run(self, out: &mut Out) -> Result<(), Failure> {
        let hub = self.hub.connect(out).await?;
        let mut operator = hub.operator();
        let (mut page_token, mut found) = (String::new(), 0);
        loop {
            let recipient = self.recipient.as_ref().map(ToString::to_string).unwrap_or_default();
            let request = v1::ListDeadLettersRequest { recipient, page_size: 0, page_token };
            let page = operator.list_dead_letters(request).await?.into_inner();
            found += page.dead_letters.len();
            for letter in &page.dead_letters {
                out.show(
                    || {
                        json!({
                            "transfer_id": letter.transfer_id,
                            "ledger_index": letter.ledger_index,
                            "recipient": letter.recipient,
                            "attempts": letter.attempts,
                            "since": show(letter.since),
                        })
                    },
                    || sentence(letter),
                )?;
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        if found == 0 {
            return out.say("no delivery was given up");
        }
        out.say(&replayed_by(&self.hub.again()))
    }
}

/// How one is handed over again, by who reaches the hub with these options.
fn replayed_by(options: &str) -> String {
    format!("  next: waybill dead-letters replay TRANSFER-ID --reason …{options}")
}

fn sentence(letter: &v1::DeadLetter) -> String {
    let v1::DeadLetter { transfer_id, ledger_index, recipient, attempts, .. } = letter;
    let since = show(letter.since).map_or_else(String::new, |moment| format!(" at {moment}"));
    let attempts = count(*attempts as usize, "attempt");
    format!("transfer {transfer_id} to {recipient} was given up{since} after {attempts} (ledger index {ledger_index})")
}

/// `dead-letters replay`.
#[derive(Debug, clap::Args)]
pub(super) struct Replay {
    /// The transfer
    #[arg(value_name = "TRANSFER-ID")]
    transfer: String,
    /// Why it is handed over again; it is recorded
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    hub: HubOptions,
}

impl Replay {
    async fn run(self, out: &mut Out) -> Result<(), Failure> {
        let idempotency_key = self.key.or_new();
        let request = v1::ReplayDeadLetterRequest {
            idempotency_key: idempotency_key.clone(),
            transfer_id: self.transfer.clone(),
            reason: self.reason,
        };
        let hub = self.hub.connect(out).await?;
        let replayed = hub.operator().replay_dead_letter(request).await;
        let receipt = replayed.map_err(|status| super::undecided(status, &idempotency_key))?.into_inner().receipt;
        out.show(
            || wire::merged(json!({ "transfer_id": self.transfer }), receipt::to_json(receipt.as_ref(), None)),
            || format!("transfer {} is handed over again{}", self.transfer, receipt::at(receipt.as_ref())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_a_sentence_without_content() {
        let letter = v1::DeadLetter {
            transfer_id: "t-1".to_owned(),
            ledger_index: 4,
            recipient: "tax".to_owned(),
            attempts: 8,
            since: None,
        };
        assert_eq!(sentence(&letter), "transfer t-1 to tax was given up after 8 attempts (ledger index 4)");
    }
}
