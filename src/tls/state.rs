//! What is trusted now: loaded, swapped whole, and held against every live connection. Not the accepting (`acceptor`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::connections::Connections;
use super::files::{LoadError, TlsFiles};
use super::server::{PeerVerifier, server_config};
use super::{Clock, TlsLimits};

/// How often ends of validity are looked for; well within the 5 s in which an ended connection must be closed.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// One whole configuration: never changed, only replaced.
pub struct ServerTls {
    generation: u64,
    config: Arc<ServerConfig>,
    verifier: Arc<PeerVerifier>,
}

impl ServerTls {
    fn load(files: &TlsFiles, clock: &Clock, generation: u64) -> Result<Self, LoadError> {
        let checked = files.load(clock())?;
        let (config, verifier) = server_config(&checked, clock)
            .map_err(|reason| LoadError::Refused { path: files.client_ca.clone(), reason })?;
        Ok(Self { generation, config, verifier })
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Counts the successful loads, from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// What a reload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloaded {
    /// The new configuration's number.
    pub generation: u64,
    /// Live connections that no longer pass, and are closed.
    pub closed: usize,
    /// Live connections that still pass.
    pub kept: usize,
}

/// The TLS side of one listener.
pub struct TlsState {
    files: TlsFiles,
    clock: Clock,
    limits: TlsLimits,
    current: ArcSwap<ServerTls>,
    connections: Arc<Connections>,
    /// Reloads come one after the other, so that an older read can't replace a newer one.
    reloading: Mutex<()>,
}

impl fmt::Debug for TlsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsState").field("files", &self.files).field("current", &self.current).finish_non_exhaustive()
    }
}

impl TlsState {
    /// Loads and checks the files. Blocks on them.
    pub fn load(files: TlsFiles, limits: TlsLimits, clock: Clock) -> Result<Arc<Self>, LoadError> {
        let current = ServerTls::load(&files, &clock, 1)?;
        let connections = Connections::new(&limits);
        let current = ArcSwap::from_pointee(current);
        Ok(Arc::new(Self { files, clock, limits, current, connections, reloading: Mutex::new(()) }))
    }

    /// Reads the files again. If all is well the new configuration takes effect at once, and every live connection
    /// that it would not let in is closed; else nothing changes. Blocks on the files and on up to 1 ms for each
    /// connection, so call it where blocking is allowed.
    pub fn reload(&self) -> Result<Reloaded, LoadError> {
        let _one_at_a_time = self.reloading.lock();
        let generation = self.current.load().generation + 1;
        self.current.store(Arc::new(ServerTls::load(&self.files, &self.clock, generation)?));
        // After the store: a connection that registers now sees the new configuration (`recheck_if_newer`).
        let live = self.connections.all();
        let closed = self.close_rejected(&live);
        Ok(Reloaded { generation, closed, kept: live.len() - closed })
    }

    /// Runs until dropped: closes connections whose certificates end, within a second or two of it.
    pub async fn watch_expiry(self: Arc<Self>) {
        let mut ticks = interval(EXPIRY_CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let state = self.clone();
            // Certificates made together end together: thousands may be due in one second. It fails only at shutdown.
            let _ = spawn_blocking(move || state.close_expired()).await;
        }
    }

    /// Verifies again each connection of which a certificate has ended since the last call; returns how many it closed.
    pub fn close_expired(&self) -> usize {
        self.close_rejected(&self.connections.take_expired((self.clock)()))
    }

    /// The configuration in use.
    pub fn current(&self) -> Arc<ServerTls> {
        self.current.load_full()
    }

    /// Open connections.
    pub fn connection_count(&self) -> usize {
        self.connections.count()
    }

    pub(super) fn limits(&self) -> &TlsLimits {
        &self.limits
    }

    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// For a connection just registered, whose handshake ran under `generation`: a reload in between listed the live
    /// connections before this one was among them. Either that list held it, or this sees the newer configuration.
    pub(super) fn recheck_if_newer(&self, generation: u64, id: u64, chain: &Arc<[CertificateDer<'static>]>) {
        if self.current.load().generation != generation {
            self.close_rejected(&[(id, chain.clone())]);
        }
    }

    fn close_rejected(&self, connections: &[(u64, Arc<[CertificateDer<'static>]>)]) -> usize {
        let current = self.current.load();
        let now = (self.clock)();
        let mut closed = 0;
        for (connection, chain) in connections {
            if let Err(reason) = current.verifier.verify_chain(chain, now)
                && let Some(system) = self.connections.close(*connection)
            {
                closed += 1;
                metrics::counter!("waybill_tls_connections_closed_total").increment(1);
                tracing::info!(%system, connection, %reason, "connection closed: its certificate no longer passes");
            }
        }
        closed
    }
}
