//! Puts the services together and serves them over authenticated connections, within bounds set on purpose.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    server::NamedService as _,
    service::Routes,
    transport::{Server, server::Connected},
};
use tonic_health::server::HealthReporter;
use waybill_proto::{
    FILE_DESCRIPTOR_SET,
    v1::{
        consent_service_server::ConsentServiceServer, exchange_service_server::ExchangeServiceServer,
        ledger_service_server::LedgerServiceServer, operator_service_server::OperatorServiceServer,
    },
};

use super::{
    GrpcLimits, connection, consent::Consents, detached::Detached, exchange::Exchange, health, ledger::Ledger,
    operator::Operator,
};
use crate::{
    desk::{Desk, LoadCatalogue},
    ledger::VerifierKey,
    relay::Registry,
};

/// What the gRPC ingress works with.
pub struct GrpcParts {
    /// Who decides.
    pub desk: Arc<Desk>,
    /// Where Receive streams connect.
    pub relay: Arc<Registry>,
    /// Reads the catalogue's folder again.
    pub load: LoadCatalogue,
    /// The key that checkpoints verify under.
    pub verifier: VerifierKey,
    /// Bounds.
    pub limits: GrpcLimits,
}

/// The gRPC ingress.
pub struct GrpcServer {
    parts: GrpcParts,
}

/// Everything that health speaks of: the hub as a whole, and each service.
const SERVICES: &[&str] = &[
    "",
    ExchangeServiceServer::<Exchange>::NAME,
    ConsentServiceServer::<Consents>::NAME,
    LedgerServiceServer::<Ledger>::NAME,
    OperatorServiceServer::<Operator>::NAME,
];

impl GrpcServer {
    /// Takes the parts.
    pub const fn new(parts: GrpcParts) -> Self {
        Self { parts }
    }

    /// Serves `incoming` (each connection says who its peer is, see [`crate::tls::PeerInfo`]) until `stopping`; then takes
    /// no more calls, ends the streams, and waits for what is under way, at most the time allowed for it (what is still
    /// open then ends with the runtime).
    pub async fn serve<IO>(
        self,
        incoming: impl Stream<Item = std::io::Result<IO>> + Send + Unpin,
        stopping: CancellationToken,
    ) where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let limits = self.parts.limits;
        let reporter = HealthReporter::new();
        let condition = self.parts.desk.sequencer().condition();
        let detached = Detached::default();
        let routes = self.routes(reporter.clone(), &stopping, &detached);
        let serving = serve_all(incoming, routes, &limits, &stopping);
        let reporting = health::report(reporter, SERVICES, condition, stopping.clone());
        let out_of_time = async {
            reporting.await; // until `stopping`
            tokio::time::sleep(limits.drain_max).await;
        };
        tokio::select! {
            () = serving => {}
            () = out_of_time => {
                tracing::warn!(drain_s_max = limits.drain_max.as_secs(), "calls were still under way when the hub stopped");
            }
        }
        detached.stop().await;
    }

    fn routes(self, reporter: HealthReporter, stopping: &CancellationToken, detached: &Detached) -> Routes {
        let GrpcParts { desk, relay, load, verifier, limits } = self.parts;
        let bytes_max = limits.grpc_message_bytes_max;
        let (stopping, detached) = (stopping.clone(), detached.clone());
        let operator = Operator { desk: Arc::clone(&desk), load, detached: detached.clone() };
        let exchange = Exchange { desk: Arc::clone(&desk), relay, limits, stopping, detached };
        let exchange = ExchangeServiceServer::new(exchange).max_decoding_message_size(bytes_max);
        let consents = Consents { desk: Arc::clone(&desk) };
        let consents = ConsentServiceServer::new(consents).max_decoding_message_size(bytes_max);
        let operator = OperatorServiceServer::new(operator).max_decoding_message_size(bytes_max);
        let ledger = LedgerServiceServer::new(Ledger { desk, verifier, message_bytes_max: bytes_max });
        let ledger = ledger.max_decoding_message_size(bytes_max);
        let health = tonic_health::server::HealthService::from_health_reporter(reporter);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .expect("the descriptors were compiled together with the services that they describe");
        Routes::default()
            .add_service(exchange)
            .add_service(consents)
            .add_service(ledger)
            .add_service(operator)
            .add_service(tonic_health::pb::health_server::HealthServer::new(health))
            .add_service(reflection)
            .prepare()
    }
}

/// Serves each connection on a task of its own, and returns when `stopping` and all of them have ended.
async fn serve_all<IO>(
    mut incoming: impl Stream<Item = std::io::Result<IO>> + Send + Unpin,
    routes: Routes,
    limits: &GrpcLimits,
    stopping: &CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let connections = TaskTracker::new();
    while let Some(Some(accepted)) = stopping.run_until_cancelled(incoming.next()).await {
        let Ok(io) = accepted else { continue }; // whoever accepts has logged it
        let serving = connection::serve(server(limits), routes.clone(), io, limits.idle_max, stopping.clone());
        connections.spawn(async move {
            if let Err(error) = serving.await {
                tracing::debug!(%error, "a connection was not served");
            }
        });
    }
    drop(incoming);
    connections.close();
    connections.wait().await;
}

/// HTTP/2 within its bounds. Peers are authenticated, so these are against faults and misuse rather than strangers.
fn server(limits: &GrpcLimits) -> Server {
    Server::builder()
        .timeout(limits.grpc_call_timeout)
        .max_concurrent_streams(limits.http2_streams_max)
        .initial_stream_window_size(limits.http2_stream_window_bytes)
        .initial_connection_window_size(limits.http2_connection_window_bytes)
        .max_frame_size(limits.http2_frame_bytes_max)
        .http2_max_header_list_size(limits.http2_header_bytes_max)
        .http2_keepalive_interval(Some(limits.http2_keepalive_interval))
        .http2_keepalive_timeout(Some(limits.http2_keepalive_timeout))
        .http2_max_pending_accept_reset_streams(Some(limits.http2_pending_resets_max))
        .http2_max_local_error_reset_streams(Some(limits.http2_local_resets_max))
}
