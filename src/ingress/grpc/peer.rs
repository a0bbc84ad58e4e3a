//! Who calls: the system that the connection's certificate names. What it may do is the desk's to say.

use std::sync::Arc;

use tonic::{Extensions, Status};

use crate::{exchange::submission::PeerName, tls::PeerInfo};

/// The caller of a request. Without a certificate there is none: only a listener without TLS comes here.
pub(super) fn name(extensions: &Extensions) -> Result<PeerName, Status> {
    match extensions.get::<PeerInfo>() {
        Some(peer) => Ok(PeerName::San(Arc::clone(&peer.san_uri))),
        None => Err(Status::unauthenticated("the connection has no client certificate")),
    }
}
