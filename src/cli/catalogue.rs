//! `waybill catalogue`: what the hub decides under, and publishing a changed one.

use serde_json::{Value, json};
use waybill_proto::v1;

use super::{
    context::{KeyOption, show},
    exit::{Exit, Failure},
    hub::HubOptions,
    output::Out,
    receipt, wire,
};
use crate::domain::agreement::AgreementId;

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Catalogue {
    /// Show the catalogue in force, as far as it concerns the agencies of this system
    Show(Box<Show>),
    /// Let the hub load its catalogue folder again, and publish it if it changed
    Publish(Box<Publish>),
}

impl Catalogue {
    pub(super) async fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self {
            Self::Show(command) => command.run(out).await,
            Self::Publish(command) => command.run(out).await,
        }
        .map(|()| Exit::Ok)
    }
}

/// `catalogue show`.
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Print the JSON Schema that every delivery under this agreement validates against
    #[arg(long, value_name = "AGREEMENT")]
    view_schema: Option<AgreementId>,
    #[command(flatten)]
    hub: HubOptions,
}

impl Show {
    async fn run(self, out: &mut Out) -> Result<(), Failure> {
        let hub = if self.view_schema.is_some() { self.hub.dial().await? } else { self.hub.connect(out).await? };
        let shown = hub.operator().show_catalogue(v1::ShowCatalogueRequest {}).await?.into_inner();
        let Some(wanted) = self.view_schema else {
            return out.show(|| catalogue_json(&shown), || catalogue_text(&shown));
        };
        let agreement = shown.agreements.iter().find(|agreement| agreement.id == wanted.as_str());
        let agreement = agreement.ok_or_else(|| Failure::Usage(format!("the hub shows no agreement {wanted}")))?;
        let schema = agreement.view_schema.as_bytes();
        out.show(|| wire::record(schema), || wire::pretty(schema))
    }
}

/// `catalogue publish`.
#[derive(Debug, clap::Args)]
pub(super) struct Publish {
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    hub: HubOptions,
}

impl Publish {
    async fn run(self, out: &mut Out) -> Result<(), Failure> {
        let idempotency_key = self.key.or_new();
        let hub = self.hub.connect(out).await?;
        let request = v1::PublishCatalogueRequest { idempotency_key: idempotency_key.clone() };
        let published = hub.operator().publish_catalogue(request).await;
        let published = published.map_err(|status| super::undecided(status, &idempotency_key))?.into_inner();
        out.show(
            || {
                wire::merged(
                    json!({ "digest": published.digest, "changed": published.changed }),
                    receipt::to_json(published.receipt.as_ref(), None),
                )
            },
            || {
                if published.changed {
                    format!("published: {}{}", published.digest, receipt::at(published.receipt.as_ref()))
                } else {
                    format!("nothing changed: {} is in force already", published.digest)
                }
            },
        )
    }
}

fn catalogue_json(shown: &v1::ShowCatalogueResponse) -> Value {
    let agency =
        |agency: &v1::AgencySummary| json!({ "id": agency.id, "title": agency.title, "systems": agency.systems });
    let agreement = |agreement: &v1::AgreementSummary| {
        json!({
            "id": agreement.id,
            "revision": agreement.revision,
            "title": agreement.title,
            "direction": agreement.direction,
            "source": agreement.source,
            "recipient": agreement.recipient,
            "record_type": agreement.record_type,
            "schema_major": agreement.schema_major,
            "purpose": agreement.purpose,
            "basis": agreement.basis,
            "law": agreement.law,
            "demand": agreement.demand,
            "context": agreement.context,
            "fields": agreement.fields,
            "view_schema": wire::record(agreement.view_schema.as_bytes()),
            "valid_from": show(agreement.valid_from),
            "valid_until": show(agreement.valid_until),
        })
    };
    json!({
        "digest": shown.digest,
        "agencies": shown.agencies.iter().map(agency).collect::<Vec<_>>(),
        "agreements": shown.agreements.iter().map(agreement).collect::<Vec<_>>(),
        "record_types": shown.record_types,
    })
}

fn catalogue_text(shown: &v1::ShowCatalogueResponse) -> String {
    let mut lines = vec![format!("catalogue {}", shown.digest), String::new(), "agencies".to_owned()];
    let width = shown.agencies.iter().map(|agency| agency.id.len()).max().unwrap_or_default();
    for agency in &shown.agencies {
        let systems = if agency.systems.is_empty() {
            String::new()
        } else {
            format!(" (systems: {})", agency.systems.join(", "))
        };
        lines.push(format!("  {:width$}  {}{systems}", agency.id, agency.title));
    }
    lines.extend([String::new(), "record types".to_owned(), format!("  {}", shown.record_types.join(", "))]);
    lines.extend([String::new(), "agreements".to_owned()]);
    lines.extend(shown.agreements.iter().map(agreement_text));
    lines.join("\n")
}

fn agreement_text(agreement: &v1::AgreementSummary) -> String {
    let v1::AgreementSummary { id, revision, title, source, recipient, record_type, schema_major, .. } = agreement;
    let moves = match agreement.direction.as_str() {
        "push" => format!("{source} sends {record_type} {schema_major} to {recipient}"),
        _ => format!("{recipient} may ask {source} for {record_type} {schema_major}"),
    };
    let law = if agreement.law.is_empty() { String::new() } else { format!(", {}", agreement.law) };
    let demand = match agreement.demand.as_str() {
        "" | "nothing" => "nothing more is asked of the citizen".to_owned(),
        "explicit-request" => "the citizen must have asked for it".to_owned(),
        "consent" => "the citizen must have consented".to_owned(),
        other => format!("demands {other}"),
    };
    let valid = match (show(agreement.valid_from), show(agreement.valid_until)) {
        (Some(from), Some(until)) => format!("\n    in force from {from} until {until}"),
        (Some(from), None) => format!("\n    in force from {from}"),
        _ => String::new(),
    };
    let context = match agreement.context.as_slice() {
        [] => String::new(),
        items => format!("\n    each call says: {}", items.join(", ")),
    };
    format!(
        "  {id} (revision {revision}): {title}\n    {moves} for {}\n    basis: Art. {}{law}; {demand}{context}\n    fields: \
         {}{valid}",
        agreement.purpose,
        agreement.basis,
        agreement.fields.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agreement_is_told_in_sentences() {
        let mut agreement = v1::AgreementSummary {
            id: "address-to-tax".to_owned(),
            revision: 1,
            title: "Addresses".to_owned(),
            direction: "push".to_owned(),
            source: "identity".to_owned(),
            recipient: "tax".to_owned(),
            record_type: "identity/address".to_owned(),
            schema_major: 1,
            purpose: "tax-assessment".to_owned(),
            basis: "6(1)(c)".to_owned(),
            law: "Tax Act § 5".to_owned(),
            demand: "nothing".to_owned(),
            fields: vec!["/city".to_owned(), "/street".to_owned()],
            ..v1::AgreementSummary::default()
        };
        assert_eq!(
            agreement_text(&agreement),
            "  address-to-tax (revision 1): Addresses\n    identity sends identity/address 1 to tax for \
             tax-assessment\n    basis: Art. 6(1)(c), Tax Act § 5; nothing more is asked of the citizen\n    fields: \
             /city /street"
        );
        agreement.direction = "pull".to_owned();
        agreement.demand = "consent".to_owned();
        agreement.context = vec!["actor".to_owned(), "acting-for".to_owned()];
        let text = agreement_text(&agreement);
        assert!(text.contains("tax may ask identity for") && text.contains("must have consented"), "{text}");
        assert!(text.contains("\n    each call says: actor, acting-for\n    fields:"), "{text}");
    }
}
