//! `waybill consent`: what a citizen allowed and took back. Needs a system that collects consent.

use std::path::PathBuf;

use serde_json::{Value, json};
use waybill_proto::v1;

use super::{
    context::{ContextOptions, KeyOption, show, timestamp},
    exit::{Exit, Failure},
    hub::HubOptions,
    input::Source,
    output::Out,
    printed::word,
    receipt,
    subject::SubjectOption,
    wire,
};
use crate::domain::{agreement::AgreementId, time::Moment};

/// The most that a hub can be set to take.
const EVIDENCE_BYTES_MAX: u64 = 1 << 20;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Consent {
    /// Record a consent to what one revision of an agreement shows
    Grant(Box<Grant>),
    /// Take a consent back; tells what was stopped and what had already left
    Withdraw(Box<Withdraw>),
    /// Show one consent
    Get(Box<Get>),
    /// Show all consents of a person
    List(Box<List>),
}

impl Consent {
    pub(super) async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self {
            Self::Grant(command) => command.run(out).await,
            Self::Withdraw(command) => command.run(out).await,
            Self::Get(command) => command.run(out).await,
            Self::List(command) => command.run(out).await,
        }
        .map(|()| Exit::Ok)
    }
}

/// `consent grant`.
#[derive(Debug, clap::Args)]
pub(super) struct Grant {
    /// The agreement that was shown
    #[arg(long)]
    agreement: AgreementId,
    /// The revision that was shown
    #[arg(long, value_name = "N")]
    revision: u32,
    /// Version of the privacy notice that was shown
    #[arg(long, value_name = "VERSION")]
    notice: String,
    /// Language of that notice (BCP 47)
    #[arg(long, value_name = "TAG")]
    language: String,
    /// When it begins (RFC 3339) [default: now]
    #[arg(long, value_name = "MOMENT")]
    from: Option<Moment>,
    /// When it ends (RFC 3339) [default: when withdrawn]
    #[arg(long, value_name = "MOMENT")]
    until: Option<Moment>,
    /// How it was given: a file, which the hub seals
    #[arg(long, value_name = "FILE", requires = "evidence_type")]
    evidence: Option<PathBuf>,
    /// Media type of the evidence
    #[arg(long, value_name = "TYPE", requires = "evidence")]
    evidence_type: Option<String>,
    /// Save the receipt
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    #[command(flatten)]
    subject: SubjectOption,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    context: ContextOptions,
    #[command(flatten)]
    hub: HubOptions,
}

impl Grant {
    async fn run(self, out: &mut Out) -> Result<(), Failure> {
        let evidence = match &self.evidence {
            None => None,
            Some(path) => Some(v1::grant_request::Evidence {
                media_type: self.evidence_type.clone().unwrap_or_default(),
                content: Source::File(path.clone()).read("evidence", EVIDENCE_BYTES_MAX)?.into(),
            }),
        };
        let request = v1::GrantRequest {
            idempotency_key: self.key.or_new(),
            subject: self.subject.read()?,
            agreement: self.agreement.to_string(),
            agreement_revision: self.revision,
            valid_from: self.from.map(timestamp),
            valid_until: self.until.map(timestamp),
            notice: Some(v1::Notice { version: self.notice.clone(), language: self.language.clone() }),
            evidence,
            context: Some(self.context.context(self.hub.agency())),
        };
        let key = request.idempotency_key.clone();
        let hub = self.hub.connect(out).await?;
        let granted = hub.consent().grant(request).await.map_err(|status| super::undecided(status, &key))?;
        let granted = granted.into_inner();
        let id = &granted.consent_id;
        out.show(
            || wire::merged(json!({ "consent_id": id }), receipt::to_json(granted.receipt.as_ref(), None)),
            || {
                let at = receipt::at(granted.receipt.as_ref());
                let withdrawal = withdrawn_by(id, &self.hub, &self.subject);
                format!("consent {id} recorded{at}\n  it can be taken back at any time: {withdrawal}")
            },
        )?;
        save(self.receipt.as_ref(), granted.receipt.as_ref(), out)
    }
}

/// `consent withdraw`.
#[derive(Debug, clap::Args)]
pub(super) struct Withdraw {
    /// The consent
    #[arg(value_name = "CONSENT-ID")]
    consent: String,
    /// Save the receipt
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    #[command(flatten)]
    subject: SubjectOption,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    context: ContextOptions,
    #[command(flatten)]
    hub: HubOptions,
}

impl Withdraw {
    async fn run(self, out: &mut Out) -> Result<(), Failure> {
        let request = v1::WithdrawRequest {
            idempotency_key: self.key.or_new(),
            consent_id: self.consent.clone(),
            subject: self.subject.read()?,
            context: Some(self.context.context(self.hub.agency())),
        };
        let key = request.idempotency_key.clone();
        let hub = self.hub.connect(out).await?;
        let withdrawn = hub.consent().withdraw(request).await.map_err(|status| not_withdrawn(status, &key))?;
        let withdrawn = withdrawn.into_inner();
        let other = |id: &str| withdrawn_by(id, &self.hub, &self.subject);
        out.show(|| withdrawn_json(&withdrawn), || withdrawn_text(&withdrawn, other))?;
        save(self.receipt.as_ref(), withdrawn.receipt.as_ref(), out)
    }
}

/// `consent get`.
#[derive(Debug, clap::Args)]
pub(super) struct Get {
    /// The consent
    #[arg(value_name = "CONSENT-ID")]
    consent: String,
    #[command(flatten)]
    subject: SubjectOption,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    context: ContextOptions,
    #[command(flatten)]
    hub: HubOptions,
}

impl Get {
    async fn run(self, out: &mut Out) -> Result<(), Failure> {
        let request = v1::GetRequest {
            idempotency_key: self.key.or_new(),
            consent_id: self.consent.clone(),
            subject: self.subject.read()?,
            context: Some(self.context.context(self.hub.agency())),
        };
        let hub = self.hub.connect(out).await?;
        let got = hub.consent().get(request).await?.into_inner();
        let consent = got.consent.ok_or_else(|| Failure::fault("the hub sent no consent"))?;
        out.show(|| consent_json(&consent), || consent_text(&consent))?;
        out.say(&recorded(got.read.as_ref()))
    }
}

/// `consent list`.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    subject: SubjectOption,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    context: ContextOptions,
    #[command(flatten)]
    hub: HubOptions,
}

impl List {
    async fn run(self, out: &mut Out) -> Result<(), Failure> {
        let request = v1::ListRequest {
            idempotency_key: self.key.or_new(),
            subject: self.subject.read()?,
            context: Some(self.context.context(self.hub.agency())),
        };
        let hub = self.hub.connect(out).await?;
        let v1::ListResponse { consents, read } = hub.consent().list(request).await?.into_inner();
        if consents.is_empty() {
            out.say("this person has given no consent")?;
        }
        consents.iter().try_for_each(|consent| out.show(|| consent_json(consent), || consent_text(consent)))?;
        out.say(&recorded(read.as_ref()))
    }
}

/// A hub says of this code that the same call may succeed later, since a new consent may come before another transfer.
/// A withdrawal names one consent, and that has ended.
fn not_withdrawn(status: tonic::Status, key: &str) -> Failure {
    let mut failure = super::undecided(status, key);
    if let Failure::Refused(refused) = &mut failure
        && refused.code == "consent.withdrawn"
    {
        refused.retryable = false;
    }
    failure
}

/// Where it stands that this was read.
fn recorded(read: Option<&v1::Receipt>) -> String {
    format!("this reading is recorded{}", receipt::at(read))
}

fn save(path: Option<&PathBuf>, receipt: Option<&v1::Receipt>, out: &mut Out) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let receipt = receipt.ok_or_else(|| Failure::fault("no receipt saved: the hub sent none"))?;
    receipt::save(path, receipt, None, out)
}

fn withdrawn_json(withdrawn: &v1::WithdrawResponse) -> Value {
    let reached = |one: &v1::Reached| {
        json!({
            "transfer_id": one.transfer_id,
            "ledger_index": one.ledger_index,
            "recipient": one.recipient,
            "record_type": one.record_type,
            "state": wire::delivery(one.state()),
            "transferred_at": show(one.transferred_at),
        })
    };
    let all = |list: &[v1::Reached]| list.iter().map(reached).collect::<Vec<_>>();
    wire::merged(
        json!({
            "cancelled": all(&withdrawn.cancelled),
            "may_have_been_received": all(&withdrawn.may_have_been_received),
            "still_given": withdrawn.still_given,
        }),
        receipt::to_json(withdrawn.receipt.as_ref(), None),
    )
}

/// The command that withdraws a consent of the same person, at the same hub.
fn withdrawn_by(id: &str, hub: &HubOptions, subject: &SubjectOption) -> String {
    format!("waybill consent withdraw {}{}{}", word(id), subject.again(), hub.again())
}

/// What became of a withdrawal; `other` is the command that withdraws another consent.
fn withdrawn_text(withdrawn: &v1::WithdrawResponse, other: impl Fn(&str) -> String) -> String {
    let mut lines = vec![format!("consent withdrawn{}", receipt::at(withdrawn.receipt.as_ref()))];
    for (title, none, list) in [
        ("stopped before it left:", "nothing was on its way", &withdrawn.cancelled),
        ("may have been received, and is never sent again:", "nothing had left", &withdrawn.may_have_been_received),
    ] {
        lines.push(format!("  {}", if list.is_empty() { none } else { title }));
        for one in list {
            let when = show(one.transferred_at).map_or_else(String::new, |moment| format!(" of {moment}"));
            let (what, whom, index) = (&one.record_type, &one.recipient, one.ledger_index);
            lines.push(format!("    {what} to {whom}{when} (ledger index {index}, {})", wire::delivery(one.state())));
        }
    }
    for id in &withdrawn.still_given {
        lines.push(format!("  the same is still allowed by another consent\n  next: {}", other(id)));
    }
    lines.join("\n")
}

fn consent_json(consent: &v1::Consent) -> Value {
    json!({
        "consent_id": consent.consent_id,
        "state": state(consent.state()),
        "agreement": consent.agreement,
        "agreement_revision": consent.agreement_revision,
        "source": consent.source,
        "recipient": consent.recipient,
        "purpose": consent.purpose,
        "valid_from": show(consent.valid_from),
        "valid_until": show(consent.valid_until),
        "withdrawn_at": show(consent.withdrawn_at),
        "ledger_index": consent.ledger_index,
    })
}

fn consent_text(consent: &v1::Consent) -> String {
    let v1::Consent { consent_id, agreement, agreement_revision, source, recipient, purpose, ledger_index, .. } =
        consent;
    let when = [
        show(consent.valid_from).map(|from| format!(" from {from}")),
        show(consent.valid_until).map(|until| format!(" until {until}")),
        show(consent.withdrawn_at).map(|withdrawn| format!(", withdrawn {withdrawn}")),
    ];
    let when: String = when.into_iter().flatten().collect();
    format!(
        "consent {consent_id}: {}{when}\n  {source} may give {recipient} what agreement {agreement} (revision \
         {agreement_revision}) names, for {purpose} (ledger index {ledger_index})",
        state(consent.state())
    )
}

const fn state(state: v1::ConsentState) -> &'static str {
    match state {
        v1::ConsentState::Unspecified => "unknown",
        v1::ConsentState::Future => "begins later",
        v1::ConsentState::Active => "active",
        v1::ConsentState::Withdrawn => "withdrawn",
        v1::ConsentState::Expired => "expired",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawal_tells_what_was_stopped_and_what_had_left() {
        let reached = |recipient: &str, state: v1::DeliveryState| v1::Reached {
            transfer_id: "t-1".to_owned(),
            ledger_index: 8,
            recipient: recipient.to_owned(),
            record_type: "identity/contact".to_owned(),
            state: state.into(),
            transferred_at: Some(timestamp(Moment(0))),
        };
        let other = |id: &str| format!("waybill consent withdraw {id}");
        let mut withdrawn = v1::WithdrawResponse {
            receipt: Some(v1::Receipt { index: 9, ..v1::Receipt::default() }),
            cancelled: vec![reached("benefit", v1::DeliveryState::Cancelled)],
            may_have_been_received: Vec::new(),
            still_given: Vec::new(),
        };
        assert_eq!(
            withdrawn_text(&withdrawn, other),
            "consent withdrawn (ledger index 9)\n  stopped before it left:\n    identity/contact to benefit of \
             1970-01-01T00:00:00Z (ledger index 8, cancelled)\n  nothing had left"
        );
        withdrawn.may_have_been_received.append(&mut withdrawn.cancelled);
        withdrawn.still_given.push("c2".to_owned());
        assert_eq!(withdrawn_json(&withdrawn)["may_have_been_received"][0]["recipient"], "benefit");
        assert_eq!(withdrawn_json(&withdrawn)["still_given"][0], "c2");
        assert!(withdrawn_text(&withdrawn, other).ends_with("next: waybill consent withdraw c2"));
        assert!(withdrawn_text(&withdrawn, other).contains("nothing was on its way"));
    }

    #[test]
    fn a_consent_is_a_sentence() {
        let consent = v1::Consent {
            consent_id: "c-1".to_owned(),
            agreement: "contact".to_owned(),
            agreement_revision: 2,
            source: "identity".to_owned(),
            recipient: "benefit".to_owned(),
            purpose: "reminders".to_owned(),
            valid_from: Some(timestamp(Moment(0))),
            withdrawn_at: Some(timestamp(Moment(1000))),
            ledger_index: 3,
            state: v1::ConsentState::Withdrawn.into(),
            ..v1::Consent::default()
        };
        assert_eq!(
            consent_text(&consent),
            "consent c-1: withdrawn from 1970-01-01T00:00:00Z, withdrawn 1970-01-01T00:00:01Z\n  identity may give \
             benefit what agreement contact (revision 2) names, for reminders (ledger index 3)"
        );
        assert_eq!(consent_json(&consent)["valid_until"], Value::Null);
    }
}
