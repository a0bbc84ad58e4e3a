//! Submit: receipts, refusals with their details, repeats.

use tonic::Code;
use tonic_types::StatusExt as _;
use waybill::ledger::{Checkpoint, Hash, Note, leaf_hash, verify_inclusion};
use waybill_proto::v1::{self, exchange_service_client::ExchangeServiceClient};

use super::scene::{Hub, key};

fn refusal_in(status: &tonic::Status) -> v1::Refusal {
    let whole: tonic_types::pb::Status = prost::Message::decode(status.details()).unwrap();
    let detail = whole.details.iter().find(|any| any.type_url == "type.googleapis.com/waybill.v1.Refusal").unwrap();
    prost::Message::decode(detail.value.as_slice()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_record_comes_back_with_a_receipt_that_verifies_offline() {
    let hub = Hub::start().await;
    let mut identity = ExchangeServiceClient::new(hub.connect("identity", "registry").await);
    let submission = hub.address_of(0);
    let request = v1::SubmitRequest { submission: Some(submission) };
    let outcome = identity.submit(request.clone()).await.unwrap().into_inner().outcome.unwrap();
    let recipients: Vec<_> = outcome.recipients.iter().map(|one| one.recipient.as_str()).collect();
    assert_eq!(recipients, ["benefit", "tax"]);
    for recipient in &outcome.recipients {
        let receipt = recipient.receipt.as_ref().unwrap();
        let note = Note::parse(&receipt.checkpoint).unwrap();
        let checkpoint = Checkpoint::verify(&note, std::slice::from_ref(&hub.verifier)).unwrap();
        let proof: Vec<Hash> = receipt.inclusion_proof.iter().map(|hash| Hash::from_slice(hash).unwrap()).collect();
        let leaf = leaf_hash(&receipt.entry);
        verify_inclusion(receipt.index, checkpoint.size, &leaf, &proof, &checkpoint.root).unwrap();
        assert_eq!((receipt.environment.as_str(), receipt.openings.len(), receipt.entry.len()), ("test", 0, 41));
    }
    let again = identity.submit(request).await.unwrap().into_inner().outcome.unwrap();
    let place = |outcome: &v1::Outcome| -> Vec<(String, u64)> {
        let of = |one: &v1::RecipientOutcome| (one.transfer_id.clone(), one.receipt.as_ref().unwrap().index);
        outcome.recipients.iter().map(of).collect()
    };
    assert_eq!(place(&again), place(&outcome));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_breaks_its_schema_is_refused_with_the_path_of_each_fault_and_an_entry() {
    let hub = Hub::start().await;
    let mut identity = ExchangeServiceClient::new(hub.connect("identity", "registry").await);
    let mut submission = hub.address_of(0);
    submission.payload = r#"{"addressee": {"nationalNumber": 12}}"#.into();
    let request = v1::SubmitRequest { submission: Some(submission) };
    let status = identity.submit(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("record.invalid", "waybill"));
    assert_eq!(info.metadata["stage"], "validate");
    let refusal = refusal_in(&status);
    let named: Vec<_> = refusal.violations.iter().map(|one| (one.pointer.clone(), one.keyword.clone())).collect();
    let bad = status.get_details_bad_request().unwrap();
    let told: Vec<_> = bad.field_violations.into_iter().map(|one| (one.field, one.description)).collect();
    assert!(!named.is_empty());
    assert_eq!(named, told);
    let receipt = refusal.receipt.unwrap();
    assert!(!receipt.openings.is_empty() && !receipt.checkpoint.is_empty());

    let again = identity.submit(request.clone()).await.unwrap_err();
    let repeated = refusal_in(&again);
    assert_eq!((repeated.receipt.unwrap().index, repeated.violations), (receipt.index, refusal.violations));
    let mut other = request;
    other.submission.as_mut().unwrap().payload = "{}".into();
    assert_eq!(identity.submit(other).await.unwrap_err().code(), Code::AlreadyExists);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_cannot_be_read_is_refused_as_an_entry_and_its_repeat_is_the_same_refusal() {
    let hub = Hub::start().await;
    let mut identity = ExchangeServiceClient::new(hub.connect("identity", "registry").await);
    let mut submission = hub.address_of(0);
    let record = submission.record.as_mut().unwrap();
    (record.change, record.copy_of_transfer_id) = (0, "no uuid".into());
    let request = v1::SubmitRequest { submission: Some(submission) };
    let status = identity.submit(request.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let refusal = refusal_in(&status);
    assert_eq!(refusal.code, "call.malformed");
    let faults: Vec<_> = refusal.violations.iter().map(|one| (one.pointer.as_str(), one.keyword.as_str())).collect();
    assert_eq!(faults, [("/record/copy_of_transfer_id", "format"), ("/record/change", "required")]);
    let again = refusal_in(&identity.submit(request.clone()).await.unwrap_err());
    assert_eq!(again.receipt.unwrap().index, refusal.receipt.unwrap().index);

    let mut mended = request;
    mended.submission.as_mut().unwrap().record = hub.address_of(0).record;
    assert_eq!(identity.submit(mended.clone()).await.unwrap_err().code(), Code::AlreadyExists);
    mended.submission.as_mut().unwrap().idempotency_key = key();
    identity.submit(mended).await.unwrap();
    assert_eq!(refusal_in(&identity.submit(v1::SubmitRequest::default()).await.unwrap_err()).code, "call.malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_is_the_certificate_and_nothing_else() {
    let hub = Hub::start().await;
    let request = || v1::SubmitRequest { submission: Some(hub.address_of(1)) };
    for (agency, system, code, reason) in [
        ("nobody", "knows", Code::Unauthenticated, "peer.unknown"),
        ("identity", "dpo", Code::PermissionDenied, "peer.role-missing"),
        ("tax", "registry", Code::FailedPrecondition, "agreement.missing"),
    ] {
        let mut client = ExchangeServiceClient::new(hub.connect(agency, system).await);
        let status = client.submit(request()).await.unwrap_err();
        assert_eq!((status.code(), refusal_in(&status).code.as_str()), (code, reason));
        assert!(refusal_in(&status).receipt.is_some());
    }
    let mut tax = ExchangeServiceClient::new(hub.connect("tax", "registry").await);
    let mut posing = request();
    posing.submission.as_mut().unwrap().context.as_mut().unwrap().on_behalf_of = "identity".into();
    let status = tax.submit(posing).await.unwrap_err();
    assert_eq!((status.code(), refusal_in(&status).code.as_str()), (Code::PermissionDenied, "peer.not-acting-for"));
}
