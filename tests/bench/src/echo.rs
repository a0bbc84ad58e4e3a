//! What the hub is compared with: bare tonic over the same mTLS and HTTP/2 settings, that answers with what it gets.

use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, Streaming, transport::Server};
use waybill::{
    app::{grpc_limits, tls_limits},
    config::Limits,
    tls::{Incoming, TlsState, system_clock},
};

use crate::scene::Scene;

#[expect(clippy::pedantic, reason = "generated")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/waybill.bench.Echo.rs"));
}
pub use generated::echo_client::EchoClient;
use generated::echo_server::{Echo, EchoServer};

/// Bytes.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Blob {
    /// What is carried.
    #[prost(bytes = "bytes", tag = "1")]
    pub body: Bytes,
}

#[derive(Debug)]
struct Echoing;

#[tonic::async_trait]
impl Echo for Echoing {
    async fn one(&self, request: Request<Blob>) -> Result<Response<Blob>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    type ManyStream = Streaming<Blob>;

    async fn many(&self, request: Request<Streaming<Blob>>) -> Result<Response<Self::ManyStream>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// Serves until the process is ended.
pub async fn serve(scene: &Scene) -> anyhow::Result<()> {
    let limits = Limits::default();
    let tls = TlsState::load(scene.server(), tls_limits(&limits), system_clock())?;
    let incoming = Incoming::start(TcpListener::bind(scene.echo).await?, Arc::clone(&tls));
    let limits = grpc_limits(&limits);
    Server::builder()
        .max_concurrent_streams(limits.http2_streams_max)
        .initial_stream_window_size(limits.http2_stream_window_bytes)
        .initial_connection_window_size(limits.http2_connection_window_bytes)
        .max_frame_size(limits.http2_frame_bytes_max)
        .http2_max_header_list_size(limits.http2_header_bytes_max)
        .add_service(EchoServer::new(Echoing))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
