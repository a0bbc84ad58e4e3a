//! Where the hub listens: the agencies' gRPC port, and the metrics' port, which is for this machine only.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

use super::error::Fault;

/// `[grpc]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    /// Address and port; always mTLS.
    pub listen: SocketAddr,
}

/// `[metrics]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Address and port; plain HTTP without authentication.
    pub listen: SocketAddr,
    /// Whether that may be off loopback. Metrics name no person, but tell how much each agency exchanges.
    pub allow_off_loopback: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)), allow_off_loopback: false }
    }
}

impl Metrics {
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.listen.ip().is_loopback() || self.allow_off_loopback {
            return Ok(());
        }
        let message = format!(
            "metrics on {} can be read from other machines by anybody: listen on 127.0.0.1, or set allow_off_loopback = true",
            self.listen
        );
        Err(Fault { table: "metrics", key: "listen", message })
    }
}
