//! The server's rustls configuration, and the check that a peer's chain must pass. Not when it is swapped (`state`).

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::files::Checked;
use super::identity::{IdentityError, check_bounds, san_uri};
use super::{ALPN_H2, Clock, ClockProvider, provider};

/// webpki's check of the chain, then exactly one URI. It serves the handshake and every later look alike.
#[derive(Debug)]
pub(super) struct PeerVerifier {
    webpki: Arc<dyn ClientCertVerifier>,
}

impl PeerVerifier {
    /// Lists are asked for the whole chain; a chain whose status no list tells is refused. An overdue list still
    /// answers: it is refused when loaded, but shutting everyone out at the minute it falls due would turn one late
    /// file into an outage.
    fn new(checked: &Checked) -> Result<Self, String> {
        let webpki = WebPkiClientVerifier::builder_with_provider(checked.roots.clone(), provider())
            .with_crls(checked.crls.iter().cloned())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { webpki })
    }

    /// Judges a chain that a live connection came with.
    pub(super) fn verify_chain(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), rustls::Error> {
        let (end_entity, intermediates) = chain.split_first().ok_or_else(|| refuse(IdentityError::NoCertificate))?;
        self.verify_client_cert(end_entity, intermediates, now).map(|_| ())
    }
}

fn refuse(error: IdentityError) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

/// The reverse of [`refuse`], for messages.
pub(super) fn identity_error(error: &rustls::Error) -> Option<IdentityError> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => other.0.downcast_ref().cloned(),
        _ => None,
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        check_bounds(end_entity, intermediates).map_err(refuse)?;
        let verified = self.webpki.verify_client_cert(end_entity, intermediates, now)?;
        // Only now: our own parser sees nothing that a trusted CA has not signed.
        san_uri(end_entity).map_err(refuse)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// TLS 1.3, client certificates required, HTTP/2, no resumption of any kind.
pub(super) fn server_config(
    checked: &Checked,
    clock: &Clock,
) -> Result<(Arc<ServerConfig>, Arc<PeerVerifier>), String> {
    let verifier = Arc::new(PeerVerifier::new(checked)?);
    let time = Arc::new(ClockProvider(clock.clone()));
    let mut config = ServerConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(verifier.clone())
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(checked.own.clone())));
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    // A resumed session skips the certificates, and with them the revocation lists.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok((Arc::new(config), verifier))
}
