//! Trace context travels with a record to whom it is delivered: the record's own, or else that of the call.

use std::collections::BTreeMap;

use tonic::Request;
use waybill_proto::v1::{self, numbered_outcome::Result as Decided};

use super::calls::Recipient;
use crate::scene::Scene;

const OWN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OF_CALL: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn traced<T>(message: T, traceparent: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    request
}

/// A record that tax alone hears of, with a trace context of its own or none.
fn record(scene: &Scene, citizen: usize, own: &str) -> v1::Submission {
    v1::Submission { traceparent: own.into(), ..scene.record(citizen, "identity/civil-status") }
}

fn transfer(outcome: v1::Outcome) -> String {
    let [to_tax] = <[_; 1]>::try_from(outcome.recipients).unwrap();
    to_tax.transfer_id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_context_travels_with_a_record_to_its_delivery() {
    let scene = Scene::new().await;
    let mut identity = scene.exchange("identity/registry").await;
    let mut expected = BTreeMap::new();
    // Alone: its own, that of the call, its own before that of the call; what is malformed in the call is passed over.
    for (citizen, own, of_call, travels) in
        [(0, OWN, None, OWN), (1, "", Some(OF_CALL), OF_CALL), (2, OWN, Some(OF_CALL), OWN), (3, "", Some("x"), "")]
    {
        let message = v1::SubmitRequest { submission: Some(record(&scene, citizen, own)) };
        let request = of_call.map_or_else(|| Request::new(message.clone()), |of_call| traced(message.clone(), of_call));
        let outcome = identity.submit(request).await.unwrap().into_inner().outcome.unwrap();
        expected.insert(transfer(outcome), travels);
    }
    // In a stream: that of the stream, unless it has its own.
    let numbered =
        |number: u64, own| v1::NumberedSubmission { number, submission: Some(record(&scene, number as usize, own)) };
    let message = v1::SubmitStreamRequest {
        receipt_detail: v1::ReceiptDetail::Index.into(),
        submissions: vec![numbered(4, ""), numbered(5, OWN)],
    };
    let request = traced(tokio_stream::once(message), OF_CALL);
    let mut outcomes = identity.submit_stream(request).await.unwrap().into_inner();
    while let Some(response) = outcomes.message().await.unwrap() {
        for outcome in response.outcomes {
            let travels = if outcome.number == 4 { OF_CALL } else { OWN };
            let Some(Decided::Outcome(decided)) = outcome.result else { panic!("{outcome:?}") };
            expected.insert(transfer(decided), travels);
        }
    }
    assert_eq!(expected.len(), 6);

    let mut tax = Recipient::connect(&scene, "tax/registry").await;
    let mut delivered = BTreeMap::new();
    while delivered.len() < expected.len() {
        let delivery = tax.next().await;
        tax.acknowledge(&delivery).await;
        delivered.insert(delivery.transfer_id, delivery.traceparent);
    }
    let delivered: BTreeMap<_, _> = delivered.iter().map(|(id, traceparent)| (id.clone(), &**traceparent)).collect();
    assert_eq!(delivered, expected);
}
