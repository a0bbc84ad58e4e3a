//! The Receive stream and GetTransfer over gRPC, on connections in memory whose peer is given.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::mpsc,
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint, server::Connected},
};
use waybill::{
    app::grpc_limits,
    config::Limits,
    ingress::grpc::{GrpcParts, GrpcServer},
    tls::PeerInfo,
};
use waybill_proto::v1::{
    self, exchange_service_client::ExchangeServiceClient, receive_request::Message as Said,
    receive_response::Message as Told,
};

use super::scene::{Scene, verifier};

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection in memory that says who its peer is.
struct Wire {
    stream: DuplexStream,
    peer: PeerInfo,
}

impl Connected for Wire {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The hub's listener.
struct Listener {
    connections: mpsc::UnboundedSender<std::io::Result<Wire>>,
    _stopping: DropGuard,
}

impl Listener {
    fn of(scene: &Scene) -> Self {
        let (connections, incoming) = mpsc::unbounded_channel();
        let stopping = CancellationToken::new();
        let server = GrpcServer::new(GrpcParts {
            desk: Arc::clone(&scene.core.desk),
            relay: Arc::clone(&scene.relay),
            load: Arc::new(|| Err("this scene's catalogue does not change".into())),
            verifier: verifier(),
            limits: grpc_limits(&Limits::default()),
        });
        tokio::spawn(server.serve(UnboundedReceiverStream::new(incoming), stopping.clone()));
        Self { connections, _stopping: stopping.drop_guard() }
    }

    async fn client(&self, system: &str) -> ExchangeServiceClient<Channel> {
        let peer = PeerInfo {
            san_uri: format!("urn:waybill:system:{system}").into(),
            connection: 1,
            remote: ([127, 0, 0, 1], 1).into(),
        };
        let connections = self.connections.clone();
        let connect = move |_| {
            let (client, stream) = tokio::io::duplex(1 << 16);
            let sent = connections.send(Ok(Wire { stream, peer: peer.clone() }));
            async move { sent.map(|()| TokioIo::new(client)).map_err(std::io::Error::other) }
        };
        let channel = Endpoint::from_static("http://hub.test").connect_with_connector(tower::service_fn(connect)).await;
        ExchangeServiceClient::new(channel.unwrap())
    }
}

/// An open Receive stream.
struct Stream {
    say: mpsc::UnboundedSender<v1::ReceiveRequest>,
    told: Streaming<v1::ReceiveResponse>,
}

impl Stream {
    async fn begin(client: &mut ExchangeServiceClient<Channel>, first: Said) -> Result<Self, Status> {
        let (say, said) = mpsc::unbounded_channel();
        say.send(v1::ReceiveRequest { message: Some(first) }).unwrap();
        let told = client.receive(UnboundedReceiverStream::new(said)).await?.into_inner();
        Ok(Self { say, told })
    }

    async fn open(
        client: &mut ExchangeServiceClient<Channel>,
        on_behalf_of: &str,
        credit: u32,
    ) -> Result<Self, Status> {
        Self::begin(client, Said::Open(v1::ReceiveOpen { on_behalf_of: on_behalf_of.into(), credit })).await
    }

    async fn next(&mut self) -> Result<Option<Told>, Status> {
        let message = tokio::time::timeout(PATIENCE, self.told.message()).await.expect("a message comes in time")?;
        Ok(message.map(|message| message.message.expect("a message says something")))
    }

    async fn ready(&mut self) -> u32 {
        match self.next().await {
            Ok(Some(Told::Ready(ready))) => ready.credit,
            other => panic!("{other:?}"),
        }
    }

    async fn deliveries(&mut self) -> Vec<v1::Delivery> {
        match self.next().await {
            Ok(Some(Told::Deliveries(v1::Deliveries { deliveries }))) => deliveries,
            other => panic!("{other:?}"),
        }
    }

    fn answer(&self, transfer_ids: &[&str], answer: v1::delivery_answer::Answer) {
        let transfer_ids = transfer_ids.iter().map(|&id| id.to_owned()).collect();
        let answer = v1::DeliveryAnswer { transfer_ids, answer: Some(answer) };
        let _ = self.say.send(v1::ReceiveRequest { message: Some(Said::Answer(answer)) });
    }
}

const ACKNOWLEDGED: v1::delivery_answer::Answer = v1::delivery_answer::Answer::Acknowledged(v1::Acknowledged {});

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_receives_acknowledges_and_sees_how_it_stands() {
    let scene = Scene::new().await;
    let listener = Listener::of(&scene);
    let mut tax = listener.client("tax:registry").await;
    let mut stream = Stream::open(&mut tax, "", 3).await.unwrap();
    assert_eq!(stream.ready().await, 3);
    let mut ids = Vec::new();
    for citizen in 0..2 {
        ids.push(scene.move_citizen(citizen, 1).await[1].to_string());
    }
    let mut got = Vec::new();
    while got.len() < 2 {
        got.extend(stream.deliveries().await);
    }
    assert_eq!(got.iter().map(|delivery| delivery.transfer_id.clone()).collect::<Vec<_>>(), ids);
    let receipt = got[0].receipt.as_ref().unwrap();
    assert!(!receipt.checkpoint.is_empty() && !receipt.openings.is_empty() && receipt.index == got[0].ledger_index);
    assert_eq!((got[0].attempt, got[0].replayed, got[0].source.as_str()), (1, false, "identity"));
    stream.answer(&[&ids[0], &ids[1]], ACKNOWLEDGED);
    scene.entries("delivery_acknowledged", 2).await;
    let asked = v1::GetTransferRequest { transfer_id: ids[0].clone(), context: None };
    let transfer = tax.get_transfer(asked.clone()).await.unwrap().into_inner();
    assert_eq!(transfer.state(), v1::DeliveryState::Acknowledged);
    let mut identity = listener.client("identity:registry").await;
    let transfer = identity.get_transfer(asked.clone()).await.unwrap().into_inner();
    assert_eq!(transfer.state(), v1::DeliveryState::Unspecified);
    let mut benefit = listener.client("benefit:claims").await;
    assert_eq!(benefit.get_transfer(asked).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_is_granted_up_to_the_bound_and_not_beyond() {
    let scene = Scene::new().await;
    let listener = Listener::of(&scene);
    let mut tax = listener.client("tax:registry").await;
    for (asked, granted) in [(4095, 4095), (4096, 4096), (4097, 4096), (0, 4096)] {
        assert_eq!(Stream::open(&mut tax, "", asked).await.unwrap().ready().await, granted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_receives_for_an_agency_it_may_not_act_for_or_without_the_role() {
    let scene = Scene::new().await;
    let listener = Listener::of(&scene);
    for (system, agency, code) in [
        ("tax:registry", "benefit", Code::PermissionDenied),
        ("benefit:claims", "tax", Code::PermissionDenied),
        ("identity:registry", "tax", Code::PermissionDenied),
        ("tax:dpo", "", Code::PermissionDenied),
        ("nobody:at-all", "tax", Code::Unauthenticated),
    ] {
        let mut client = listener.client(system).await;
        let refused = Stream::open(&mut client, agency, 1).await.err().expect("it is refused");
        assert_eq!(refused.code(), code, "{system} for {agency}");
    }
    scene.entries("refusal", 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_stream_is_taken_up_by_the_next_and_try_again_brings_it_again() {
    let scene = Scene::new().await;
    let listener = Listener::of(&scene);
    let mut tax = listener.client("tax:registry").await;
    let mut stream = Stream::open(&mut tax, "tax", 10).await.unwrap();
    stream.ready().await;
    let [_, transfer] = scene.move_citizen(0, 1).await;
    assert_eq!(stream.deliveries().await[0].transfer_id, transfer.to_string());
    drop(stream);
    let mut stream = Stream::open(&mut tax, "tax", 10).await.unwrap();
    stream.ready().await;
    let again = stream.deliveries().await;
    assert_eq!((again[0].transfer_id.clone(), again[0].attempt), (transfer.to_string(), 2));
    stream.answer(&[&transfer.to_string()], ACKNOWLEDGED);
    scene.entries("delivery_acknowledged", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_ends_the_stream_and_says_why() {
    let scene = Scene::new().await;
    let listener = Listener::of(&scene);
    let mut tax = listener.client("tax:registry").await;
    let unspecified = v1::delivery_answer::Answer::Rejected(v1::Rejected { reason: 0 });
    let id = uuid::Uuid::now_v7().to_string();
    for (ids, answer) in [(["no id"], ACKNOWLEDGED), ([id.as_str()], unspecified)] {
        let mut stream = Stream::open(&mut tax, "", 10).await.unwrap();
        stream.ready().await;
        stream.answer(&ids, answer);
        assert_eq!(stream.next().await.unwrap_err().code(), Code::InvalidArgument);
    }
    let answer = v1::DeliveryAnswer { transfer_ids: vec![], answer: None };
    let refused = Stream::begin(&mut tax, Said::Answer(answer)).await.err().expect("the first message is `open`");
    assert_eq!(refused.code(), Code::InvalidArgument);
    scene.entries("refusal", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_stops_closes_the_stream_and_says_to_connect_again() {
    let scene = Scene::new().await;
    let listener = Listener::of(&scene);
    let mut tax = listener.client("tax:registry").await;
    let mut stream = Stream::open(&mut tax, "", 10).await.unwrap();
    stream.ready().await;
    scene.relay.drain().await;
    assert_eq!(stream.next().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(Stream::open(&mut tax, "", 10).await.err().unwrap().code(), Code::Unavailable);
}
