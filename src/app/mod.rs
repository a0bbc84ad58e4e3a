//! The composition root: puts the parts together. The only module that names concrete adapters (which store, which driver,
//! which way in).

mod chores;
mod core;
mod exercise;
mod kafka;
mod telemetry;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use self::{
    chores::retire_payloads,
    core::{Core, Surroundings, desk_limits, sequencer_bounds, store_options},
    exercise::{falsify_copy, verify_data},
    kafka::kafka_out_limits,
    telemetry::start_logging,
};
use crate::{
    catalogue::Catalogue,
    config::{Config, LedgerIdentity, Limits, MasterKeyFile},
    desk::LoadCatalogue,
    domain::environment::Environment,
    ingress::grpc::{GrpcLimits, GrpcParts, GrpcServer},
    relay::{Backoff, Registry, RelayLimits},
    sequencer::{Condition, Signing},
    tls::{Incoming, TlsFiles, TlsLimits, TlsState, system_clock},
};

/// A running hub.
pub struct Hub {
    core: Core,
    relay: Arc<Registry>,
    tls: Arc<TlsState>,
    load: LoadCatalogue,
    address: SocketAddr,
    stopping: CancellationToken,
    serving: JoinHandle<()>,
    chores: Vec<JoinHandle<()>>,
    kafka: kafka::KafkaEnds,
    drain_max: Duration,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Reads the catalogue that the configuration names.
fn loader(config: &Config) -> LoadCatalogue {
    let (catalogue, schemas) = (config.paths.catalogue.clone(), config.paths.schemas());
    Arc::new(move || {
        Catalogue::load(&catalogue, &schemas).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        })
    })
}

impl Hub {
    /// Starts a hub: no call is taken before everything that it needs has been read and checked, and all that can fail to
    /// start has started.
    pub async fn start(config: Config, surroundings: Surroundings) -> anyhow::Result<Self> {
        let identity = LedgerIdentity::read(&config.keys.ledger)?;
        let origin = identity.origin()?;
        if origin.environment() != Some(config.environment.as_str()) || origin.hub() != Some(config.hub.as_str()) {
            bail!(
                "{} is the key of {origin}, not of a ledger of {} in environment {}",
                config.keys.ledger.display(),
                config.hub.as_str(),
                config.environment
            );
        }
        let signer = identity.signer(&config.keys.ledger)?;
        let verifier = signer.verifier().clone();
        let ledger = origin.ledger().unwrap_or_default().to_owned();
        let master = Arc::new(MasterKeyFile::read(&config.keys.master)?);
        let load = loader(&config);
        let catalogue = load().map_err(anyhow::Error::msg).context("the catalogue")?;
        let tls = tls_state(&config)?;

        let mut options = store_options(&config, origin.as_str(), master);
        options.hook = Arc::clone(&surroundings.commits);
        let random = Arc::clone(&surroundings.random);
        let hook = Arc::clone(&surroundings.kafka);
        let core = Core::start(options, Signing { origin, signer }, catalogue, &config.limits, surroundings).await?;
        let relay = Registry::new(Arc::clone(&core.desk), relay_limits(&config.limits), random);
        relay.resume().await.map_err(|error| anyhow::anyhow!("deliveries cannot be resumed: {error}"))?;

        let listener = TcpListener::bind(config.grpc.listen).await;
        let listener = listener.with_context(|| format!("listening on {}", config.grpc.listen))?;
        let address = listener.local_addr()?;
        let stopping = CancellationToken::new();
        let parts = GrpcParts {
            desk: Arc::clone(&core.desk),
            relay: Arc::clone(&relay),
            verifier,
            load: Arc::clone(&load),
            limits: grpc_limits(&config.limits),
        };
        let kafka = kafka::KafkaEnds::start(&config, &ledger, &core, &relay, hook)?;
        let incoming = Incoming::start(listener, Arc::clone(&tls));
        let stop = stopping.clone();
        let serving = tokio::spawn(GrpcServer::new(parts).serve(incoming, stop));
        let chores = vec![
            tokio::spawn(Arc::clone(&tls).watch_expiry()),
            tokio::spawn(chores::tell_memory(core.store.clone(), stopping.clone())),
            tokio::spawn(chores::forget_calls(
                core.store.clone(),
                core.sequencer.clone(),
                config.limits.idempotency_back_s_max,
                stopping.clone(),
            )),
            tokio::spawn(chores::retire(
                core.store.clone(),
                Arc::clone(&core.desk),
                core.sequencer.clone(),
                config.limits.dead_letter_s_max,
                stopping.clone(),
            )),
        ];
        let drain_max = config.limits.drain_s_max;
        tracing::info!(environment = %config.environment, %address, "serving");
        Ok(Self { core, relay, tls, load, address, stopping, serving, chores, kafka, drain_max })
    }

    /// Where systems connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Store, sequencer, desk.
    pub const fn core(&self) -> &Core {
        &self.core
    }

    /// Reads certificates, revocation lists, trust anchors and the catalogue again. Each is replaced whole, or kept.
    pub async fn reload(&self) -> anyhow::Result<()> {
        let tls = Arc::clone(&self.tls);
        let reloaded = tokio::task::spawn_blocking(move || tls.reload()).await?;
        match reloaded {
            Ok(now) => tracing::info!(closed = now.closed, kept = now.kept, "certificates were read again"),
            Err(error) => tracing::error!(%error, "certificates are kept as they were"),
        }
        let load = Arc::clone(&self.load);
        match tokio::task::spawn_blocking(move || load()).await? {
            Ok(catalogue) => {
                let published = self.core.desk.publish(Arc::new(catalogue)).await?;
                let changed = published.receipt.is_some();
                tracing::info!(digest = %published.digest, changed, "the catalogue was read again");
            }
            Err(problems) => tracing::error!(%problems, "the catalogue is kept as it was"),
        }
        Ok(())
    }

    /// Waits until the hub can't go on: the store has failed for good, or the listener has ended.
    pub async fn failed(&mut self) -> anyhow::Error {
        let mut condition = self.core.sequencer.condition();
        let store = condition.wait_for(|now| matches!(now, Condition::Failed(_)));
        tokio::select! {
            conflict = self.kafka.conflict() => anyhow::anyhow!("{conflict}"),
            failed = store => match failed.as_deref() {
                Ok(Condition::Failed(why)) => anyhow::anyhow!("{why}"),
                _ => anyhow::anyhow!("the sequencer has ended"),
            },
            ended = &mut self.serving => match ended {
                Ok(()) => anyhow::anyhow!("the listener has ended"),
                Err(error) => error.into(),
            },
        }
    }

    /// Takes no more calls, finishes what is under way, and stops.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stopping.cancel();
        self.kafka.stop(self.drain_max).await;
        self.relay.drain().await;
        let served = tokio::time::timeout(self.drain_max + Duration::from_secs(5), self.serving).await;
        self.core.sequencer.drain().await;
        for chore in self.chores {
            chore.abort();
        }
        Ok(served.unwrap_or(Ok(()))?)
    }
}

/// `waybill serve`: runs a hub until it is told to stop (SIGTERM, SIGINT) or cannot go on. SIGHUP reloads.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    start_logging(&config.log);
    telemetry::start_metrics(&config.metrics)?;
    let (mut hangup, mut terminate, mut interrupt) =
        (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hub = Hub::start(config, Surroundings::default()).await?;
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                if let Err(error) = hub.reload().await {
                    tracing::error!(%error, "not reloaded");
                }
            }
            _ = terminate.recv() => return hub.stop().await,
            _ = interrupt.recv() => return hub.stop().await,
            error = hub.failed() => return Err(error.context("the hub stops; start it again, and it recovers")),
        }
    }
}

fn tls_state(config: &Config) -> anyhow::Result<Arc<TlsState>> {
    let files = TlsFiles {
        certificate: config.tls.certificate.clone(),
        key: config.tls.key.clone(),
        client_ca: config.tls.client_ca.clone(),
        crls: config.tls.crls.clone(),
        refuse_development_ca: config.environment == Environment::Production,
    };
    TlsState::load(files, tls_limits(&config.limits), system_clock()).context(
        "[tls] of the configuration (`waybill keys ca` and `waybill keys server` make certificates for trials)",
    )
}

/// The bounds of connections, from the table of limits.
pub const fn tls_limits(limits: &Limits) -> TlsLimits {
    TlsLimits {
        handshakes_max: limits.handshakes_max,
        handshake_timeout: limits.handshake_ms_max,
        first_bytes_timeout: limits.first_bytes_ms_max,
        connections_max: limits.connections_max,
        connections_per_system_max: limits.connections_per_system_max,
    }
}

/// The bounds of the gRPC listener, from the table of limits.
pub fn grpc_limits(limits: &Limits) -> GrpcLimits {
    // The table's most fits.
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    GrpcLimits {
        grpc_message_bytes_max: limits.grpc_message_bytes_max,
        // A request may wait for its whole deadline; what is beyond that is a fault.
        grpc_call_timeout: limits.request_s_max + Duration::from_secs(10),
        drain_max: limits.drain_s_max,
        stream_window_max: limits.stream_window_max,
        provide_answers_max: limits.provide_answers_max,
        http2_streams_max: number(limits.http2_streams_max),
        http2_stream_window_bytes: number(limits.http2_stream_window_bytes_max),
        http2_connection_window_bytes: number(limits.http2_connection_window_bytes_max),
        http2_frame_bytes_max: number(limits.http2_frame_bytes_max),
        http2_header_bytes_max: number(limits.http2_header_bytes_max),
        http2_keepalive_interval: limits.silent_s_max,
        http2_keepalive_timeout: limits.ping_s_max,
        idle_max: limits.idle_s_max,
        http2_pending_resets_max: limits.http2_pending_resets_max,
        http2_local_resets_max: limits.http2_local_resets_max,
    }
}

/// The bounds of the relay, from the table of limits.
pub fn relay_limits(limits: &Limits) -> RelayLimits {
    RelayLimits {
        credit_max: limits.receive_credit_max,
        report_within: limits.delivery_ms_max,
        attempts_max: u32::try_from(limits.delivery_attempts_max).unwrap_or(u32::MAX),
        backoff: Backoff { first: limits.backoff_ms_min, longest: limits.backoff_ms_max },
        held_max: 4 * limits.receive_credit_max.max(limits.kafka_in_flight_max),
    }
}
