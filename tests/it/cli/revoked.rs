//! A certificate is revoked as the operator's page says, while its system's stream is open.

use std::process::Command;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use waybill::cli::demo::{
    population::Population,
    systems::{System, submission},
};
use waybill_proto::v1;

use crate::crash::scene::{PATIENCE, Scene, connect};

/// What it says.
fn waybill(args: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_waybill")).args(args).output().unwrap();
    assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_system_loses_its_open_stream_at_the_signal_and_nobody_else_does() {
    let scene = Scene::lay_out("warn", "[store]\nreserve_bytes = 0\n");
    let keys = scene.place.folder.join("keys");
    let file = |name: &str| keys.join(name).display().to_string();
    let (ca, list) = (keys.display().to_string(), file("ca.crl.pem"));
    let told = waybill(&["keys", "revoke", "--ca", &ca]);
    // The hub reads the list again at a signal, but not which lists there are.
    assert!(told.contains("if the hub was started with this list") && told.contains("start the hub again"), "{told}");
    scene.configure(|text| text.replace("client_ca =", &format!("crls = [\"{list}\"]\nclient_ca =")));
    let hub = scene.start();

    let mut streams = Vec::new();
    for system in ["benefit/claims", "tax/registry"] {
        let (asked, out) = mpsc::channel(1);
        let open = v1::receive_request::Message::Open(v1::ReceiveOpen { on_behalf_of: String::new(), credit: 1 });
        asked.send(v1::ReceiveRequest { message: Some(open) }).await.unwrap();
        let connected = connect(&scene.place, system).await;
        let mut said = connected.exchange.clone().receive(ReceiverStream::new(out)).await.unwrap().into_inner();
        assert!(said.message().await.unwrap().is_some(), "{system} is connected");
        streams.push((asked, said));
    }
    waybill(&["keys", "revoke", "--ca", &ca, &file("benefit-claims.pem")]);
    hub.signal("HUP");

    let (_, benefit) = &mut streams[0];
    let ended = tokio::time::timeout(PATIENCE, benefit.message()).await;
    assert!(!matches!(ended.expect("the stream ends"), Ok(Some(_))));
    // The other goes on: it is still told what comes.
    let identity = connect(&scene.place, "identity/registry").await;
    let people = Population::generate(1, 20);
    let record = people.citizen(0).unwrap().moved_record(1);
    let pushed = submission(&record, v1::Change::Changed, "a test");
    identity.exchange.clone().submit(v1::SubmitRequest { submission: Some(pushed) }).await.unwrap();
    let (_, tax) = &mut streams[1];
    let told = tokio::time::timeout(PATIENCE, tax.message()).await.expect("it is told");
    assert!(matches!(
        told,
        Ok(Some(v1::ReceiveResponse { message: Some(v1::receive_response::Message::Deliveries(_)) }))
    ));
    // In TLS 1.3 a client learns with its first call that its certificate was not taken.
    if let Ok(again) = System::connect(&scene.place, "benefit/claims").await {
        let call = again.ledger.clone().get_checkpoint(v1::GetCheckpointRequest::default()).await;
        assert!(call.is_err(), "it does not come back");
    }
}
