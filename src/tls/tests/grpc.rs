//! Real gRPC over the acceptor and the client connector: tonic's health service, with a stream that stays open.

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Server;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::scene::{CLOSED_WITHIN, Scene, for_a_day, new_ca};
use crate::tls::client::{ClientFiles, ClientTls, ConnectError, Misfit, connect, connect_and_hear, endpoint};
use crate::tls::{Existing, PeerInfo};

/// Serves health; a request that does not know its peer is refused.
async fn serve(scene: &Scene) -> (String, JoinHandle<()>) {
    let (incoming, port) = scene.listen().await;
    let (_reporter, health) = tonic_health::server::health_reporter();
    let known = |request: tonic::Request<()>| match request.extensions().get::<PeerInfo>() {
        Some(peer) if &*peer.san_uri == "urn:waybill:system:tax:registry" => Ok(request),
        _ => Err(tonic::Status::unauthenticated("unknown peer")),
    };
    let health = tonic::service::interceptor::InterceptedService::new(health, known);
    let serving = tokio::spawn(async move {
        Server::builder().add_service(health).serve_with_incoming(incoming).await.unwrap();
    });
    (format!("https://localhost:{port}"), serving)
}

#[tokio::test]
async fn a_call_goes_through_and_the_service_knows_whose_it_is() {
    let scene = Scene::new();
    let (address, _serving) = serve(&scene).await;
    let channel = connect(&endpoint(&address).unwrap(), &scene.system("tax").0).await.unwrap();
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();

    let by_ip = address.replace("localhost", "127.0.0.1");
    let other = connect(&endpoint(&by_ip).unwrap(), &scene.system("benefit").0).await.unwrap();
    let refused = HealthClient::new(other).check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_running_stream_ends_when_its_system_is_revoked() {
    let scene = Scene::new();
    let (address, _serving) = serve(&scene).await;
    let (tax, serial) = scene.system("tax");
    let channel = connect(&endpoint(&address).unwrap(), &tax).await.unwrap();
    let mut client = HealthClient::new(channel);
    let mut stream = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());

    scene.revoke(&serial);
    assert_eq!(scene.state.reload().unwrap().closed, 1);
    timeout(CLOSED_WITHIN, stream.message()).await.expect("the stream still runs").unwrap_err();
    let again = connect_and_hear(&endpoint(&address).unwrap(), &tax).await;
    let told = matches!(&again, Err(ConnectError::Failed { misfit: Some(Misfit::OwnCertificate), .. }));
    assert!(told, "it is told why: {again:?}");
    // The channel dials again by itself, in vain.
    client.check(HealthCheckRequest::default()).await.unwrap_err();
    let gone = async {
        while scene.state.connection_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(CLOSED_WITHIN, gone).await.unwrap();
}

#[tokio::test]
async fn a_hub_with_a_certificate_of_another_ca_or_for_another_name_is_not_spoken_to() {
    let scene = Scene::new();
    let (address, _serving) = serve(&scene).await;
    let (tax, _) = scene.system("tax");
    let reason = async |address: &str, tls: &ClientTls| match connect(&endpoint(address).unwrap(), tls).await {
        Err(ConnectError::Failed { reason, misfit, .. }) => (reason, misfit),
        other => panic!("{other:?}"),
    };
    let other = new_ca("other");
    scene.put("other.pem", other.certificate_pem());
    let issued = scene.ca.issue_system("tax", "registry", for_a_day()).unwrap();
    let (certificate, key) = issued.save(scene.folder.path(), "tax", Existing::Keep).unwrap();
    let files = ClientFiles { ca: scene.path("other.pem"), certificate, key };
    let distrusting = ClientTls::load(&files, &scene.clock()).unwrap();
    let (told, misfit) = reason(&address, &distrusting).await;
    assert!(told.contains("UnknownIssuer") && misfit == Some(Misfit::HubIssuer), "{told}");

    let elsewhere = scene.ca.issue_server(&["hub.example"], for_a_day()).unwrap();
    elsewhere.save(scene.folder.path(), "hub", Existing::Replace).unwrap();
    scene.state.reload().unwrap();
    let (told, misfit) = reason(&address, &tax).await;
    assert!(told.contains("not valid for name \"localhost\"") && misfit == Some(Misfit::HubName), "{told}");
}
