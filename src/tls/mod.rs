//! Mutual TLS: who is at the other end, and for how long that stays true. Not what the peer may do (`exchange`).
//!
//! TLS 1.3 only. A peer is named by the one URI in its certificate's subject alternative names, never by its CN. No
//! session is ever resumed, since resumption would let a revoked certificate back in. Files are reloaded whole or not
//! at all, and every live connection answers to the newest anchors, revocation lists and clock.
//!
//! - [`TlsFiles`], [`TlsState`]: what is trusted now; `reload()` swaps it; `watch_expiry()` runs beside the server.
//! - [`Incoming`]: the stream of authenticated connections that tonic serves; [`PeerInfo`] says whose each is.
//! - [`client`]: the other side, for the CLI, the demo and tests. [`authority`]: the development CA.

pub mod authority;
pub mod client;

mod acceptor;
mod connections;
mod files;
mod identity;
mod pem;
mod revocation;
mod server;
mod state;
#[cfg(test)]
mod tests;

pub use acceptor::Incoming;
pub use connections::{PeerInfo, PeerIo};
pub use files::{LoadError, TlsFiles, refuse_development_files};
pub use identity::{IdentityError, is_development_ca, san_uri};
pub use pem::{Existing, FileError, write_private, write_public};
pub use revocation::RevocationError;
pub use state::{Reloaded, ServerTls, TlsState};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

/// Tells the time that certificates are judged by. Injected, so that expiry can be tested without waiting.
pub type Clock = Arc<dyn Fn() -> UnixTime + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(UnixTime::now)
}

/// The bounds that one listener keeps; their defaults are in the table of limits.
#[derive(Debug, Clone)]
pub struct TlsLimits {
    /// Handshakes under way at once; further connections wait in the kernel's backlog.
    pub handshakes_max: usize,
    /// A handshake that takes longer is dropped.
    pub handshake_timeout: Duration,
    /// A peer that says nothing for so long after its handshake is dropped; later silence is for HTTP/2's pings.
    pub first_bytes_timeout: Duration,
    /// Open connections in all; one more is closed right after its handshake.
    pub connections_max: usize,
    /// Open connections of one system; one more is closed right after its handshake.
    pub connections_per_system_max: usize,
}

/// The ALPN name of HTTP/2 (RFC 9113, 3.1), the only protocol spoken here.
const ALPN_H2: &[u8] = b"h2";

/// Both sides prefer the hybrid key exchange: a recording of today's records must not open to a later quantum computer.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..default_provider()
    })
}

/// A [`Clock`] in the form that rustls asks for.
struct ClockProvider(Clock);

impl fmt::Debug for ClockProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockProvider")
    }
}

impl TimeProvider for ClockProvider {
    fn current_time(&self) -> Option<UnixTime> {
        Some((self.0)())
    }
}

/// RFC 3339 in UTC, for messages; the bare seconds where the calendar ends.
fn show_time(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| format!("{} s after 1970", time.as_secs()), |time| time.to_string())
}
