//! OperatorService: dead letters and the catalogue. Never what a record says.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use waybill_proto::v1::{self, operator_service_server::OperatorService};

use super::{detached::Detached, peer, read, status, write};
use crate::{
    catalogue::{Catalogue, CompiledAgreement, System},
    desk::{CallError, Desk, LoadCatalogue},
    domain::agreement::{Demand, Direction},
    exchange::submission::{CallContext, ContextRest},
};

/// The service.
pub(super) struct Operator {
    pub desk: Arc<Desk>,
    pub load: LoadCatalogue,
    pub detached: Detached,
}

impl Operator {
    /// Runs a call that does more than its commit: once that is made, the rest must follow, whoever has hung up.
    async fn whole<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, CallError>> + Send + 'static,
    ) -> Result<T, Status> {
        let done = self.detached.run(call).await;
        let stopped = || Err(CallError::Unavailable("the hub stops; give the command again under the same key".into()));
        done.unwrap_or_else(stopped).map_err(status::of_error)
    }
}

#[tonic::async_trait]
impl OperatorService for Operator {
    async fn list_dead_letters(
        &self,
        request: Request<v1::ListDeadLettersRequest>,
    ) -> Result<Response<v1::ListDeadLettersResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let v1::ListDeadLettersRequest { recipient, page_size, page_token } = request.into_inner();
        let page = self.desk.dead_letters(peer.peer(), &recipient, page_size, &page_token).await;
        let page = page.map_err(status::of_error)?;
        let letter = |letter: crate::desk::DeadLetterView| v1::DeadLetter {
            transfer_id: letter.id.to_string(),
            ledger_index: letter.index,
            recipient: letter.recipient.to_string(),
            attempts: letter.attempts,
            since: Some(write::timestamp(letter.since)),
        };
        let dead_letters = page.letters.into_iter().map(letter).collect();
        Ok(Response::new(v1::ListDeadLettersResponse { dead_letters, next_page_token: page.next_page }))
    }

    async fn replay_dead_letter(
        &self,
        request: Request<v1::ReplayDeadLetterRequest>,
    ) -> Result<Response<v1::ReplayDeadLetterResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let v1::ReplayDeadLetterRequest { idempotency_key, transfer_id, reason } = request.into_inner();
        let rest = Box::new(ContextRest { reason, ..ContextRest::default() });
        let context = CallContext { on_behalf_of: None, rest };
        let desk = Arc::clone(&self.desk);
        let replay = async move { desk.replay(peer.peer(), &idempotency_key, &transfer_id, context).await };
        let receipt = Some(write::receipt(self.whole(replay).await?));
        Ok(Response::new(v1::ReplayDeadLetterResponse { receipt }))
    }

    async fn show_catalogue(
        &self,
        request: Request<v1::ShowCatalogueRequest>,
    ) -> Result<Response<v1::ShowCatalogueResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let (catalogue, system) = self.desk.known_system(peer.peer()).await.map_err(status::of_error)?;
        Ok(Response::new(shown(&catalogue, &system)))
    }

    async fn publish_catalogue(
        &self,
        request: Request<v1::PublishCatalogueRequest>,
    ) -> Result<Response<v1::PublishCatalogueResponse>, Status> {
        let peer = peer::name(request.extensions())?;
        let key = request.into_inner().idempotency_key;
        let context = read::agency(String::new());
        let (desk, load) = (Arc::clone(&self.desk), Arc::clone(&self.load));
        let publish = async move { desk.publish_for(peer.peer(), &key, context, load).await };
        let published = self.whole(publish).await?;
        Ok(Response::new(v1::PublishCatalogueResponse {
            digest: published.digest.to_string(),
            changed: published.receipt.is_some(),
            receipt: published.receipt.map(write::receipt),
        }))
    }
}

/// The catalogue as far as it concerns the agencies that `system` acts for; whoever audits or operates the hub sees all.
fn shown(catalogue: &Catalogue, system: &System) -> v1::ShowCatalogueResponse {
    use crate::domain::agency::Role;
    let all = system.has(Role::AuditHub) || system.has(Role::Operate);
    let concerns = |known: &&Arc<CompiledAgreement>| {
        all || system.may_act_for(&known.agreement.source) || system.may_act_for(&known.agreement.recipient)
    };
    let agreements: Vec<&Arc<CompiledAgreement>> = catalogue.agreements().filter(concerns).collect();
    let agencies = catalogue.agencies().filter(|agency| {
        let takes_part = |known: &&Arc<CompiledAgreement>| {
            known.agreement.source == agency.id || known.agreement.recipient == agency.id
        };
        all || system.may_act_for(&agency.id) || agreements.iter().any(takes_part)
    });
    let agencies = agencies.map(|agency| v1::AgencySummary {
        id: agency.id.to_string(),
        title: agency.title.clone(),
        systems: catalogue.systems().filter(|one| one.id.agency() == agency.id).map(|one| one.id.to_string()).collect(),
    });
    let mut record_types: Vec<String> = catalogue.record_types().map(|known| known.id.to_string()).collect();
    record_types.sort();
    v1::ShowCatalogueResponse {
        digest: catalogue.digest().to_string(),
        agencies: agencies.collect(),
        agreements: agreements.into_iter().map(|known| summary(known)).collect(),
        record_types,
    }
}

fn summary(known: &CompiledAgreement) -> v1::AgreementSummary {
    let agreement = &known.agreement;
    let direction = match agreement.direction {
        Direction::Push => "push",
        Direction::Pull => "pull",
    };
    let demand = match agreement.demand {
        Demand::Nothing => "nothing",
        Demand::ExplicitRequest => "explicit-request",
        Demand::Consent => "consent",
    };
    v1::AgreementSummary {
        id: agreement.id.to_string(),
        revision: agreement.revision,
        title: known.title.clone(),
        direction: direction.into(),
        source: agreement.source.to_string(),
        recipient: agreement.recipient.to_string(),
        record_type: agreement.record_type.to_string(),
        schema_major: agreement.schema_major.into(),
        purpose: agreement.purpose.to_string(),
        basis: agreement.basis.article.as_str().into(),
        law: agreement.basis.law.clone().unwrap_or_default(),
        demand: demand.into(),
        fields: agreement.fields.iter().map(ToString::to_string).collect(),
        view_schema: known.view_schema.to_string(),
        valid_from: Some(write::timestamp(agreement.valid_from)),
        valid_until: agreement.valid_until.map(write::timestamp),
        context: agreement.context.iter().map(|item| item.as_str().to_owned()).collect(),
    }
}
