//! From a certificate to the name of a system. Not whether to trust it: webpki has verified the chain by then.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use crate::domain::agency::SAN_BYTES_MAX;

/// Bytes of one certificate of a peer, at most. A P-256 certificate has about 600, RSA-4096 about 2,000.
pub(super) const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Certificates that a peer may send, its own included.
pub(super) const CHAIN_CERTIFICATES_MAX: usize = 4;

/// The organisation in the subject of every development CA, and so in the issuer of all that it issues.
pub(super) const DEVELOPMENT_ORGANISATION: &str = "Waybill development CA";

/// Why a certificate names no system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The peer sent none.
    #[error("no certificate")]
    NoCertificate,
    /// A certificate is over the bound.
    #[error("certificate of {bytes} bytes; at most {CERTIFICATE_BYTES_MAX} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The peer sent too many certificates.
    #[error("chain of {certificates} certificates; at most {CHAIN_CERTIFICATES_MAX} are read")]
    ChainTooLong {
        /// How many it sent.
        certificates: usize,
    },
    /// Not a certificate, or one whose names can't be read.
    #[error("the certificate or its subject alternative names are malformed")]
    Malformed,
    /// No URI among the subject alternative names. The CN is never looked at.
    #[error("the certificate has no URI in its subject alternative names; exactly one must name the system")]
    NoUri,
    /// More than one URI among the subject alternative names.
    #[error("the certificate has {uris} URIs in its subject alternative names; exactly one must name the system")]
    SeveralUris {
        /// How many.
        uris: usize,
    },
    /// The URI is empty, too long, or has characters that no URI has.
    #[error("the URI in the certificate is not 1 to {SAN_BYTES_MAX} printable ASCII characters")]
    UnusableUri,
}

/// Bounds on what a peer may make us parse; checked before anything else.
pub(super) fn check_bounds(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Result<(), IdentityError> {
    let certificates = 1 + intermediates.len();
    if certificates > CHAIN_CERTIFICATES_MAX {
        return Err(IdentityError::ChainTooLong { certificates });
    }
    match std::iter::once(end_entity).chain(intermediates).find(|one| one.len() > CERTIFICATE_BYTES_MAX) {
        Some(large) => Err(IdentityError::TooLarge { bytes: large.len() }),
        None => Ok(()),
    }
}

/// The one URI among the certificate's subject alternative names: the name of a system.
pub fn san_uri(certificate: &CertificateDer<'_>) -> Result<Arc<str>, IdentityError> {
    let certificate = parse(certificate)?;
    let names = certificate.subject_alternative_name().map_err(|_| IdentityError::Malformed)?;
    let mut uris = Vec::new();
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            // It may be a second URI in bytes that are not text; so it counts against the certificate.
            GeneralName::Invalid(..) => return Err(IdentityError::Malformed),
            _ => {}
        }
    }
    match uris[..] {
        [] => Err(IdentityError::NoUri),
        [uri] if is_usable(uri) => Ok(uri.into()),
        [_] => Err(IdentityError::UnusableUri),
        _ => Err(IdentityError::SeveralUris { uris: uris.len() }),
    }
}

/// The CN of a certificate, if it has one. Kafka's brokers know a client by it; here nobody is named by it.
pub(super) fn common_name(certificate: &CertificateDer<'_>) -> Result<Option<String>, IdentityError> {
    let certificate = parse(certificate)?;
    let name = certificate.subject().iter_common_name().next();
    Ok(name.and_then(|name| name.as_str().ok()).map(str::to_owned))
}

/// Printable ASCII only, so that the name can stand in a log line as it is.
pub(super) fn is_usable(uri: &str) -> bool {
    (1..=SAN_BYTES_MAX).contains(&uri.len()) && uri.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The last second of validity of each certificate, earliest first.
pub(super) fn expiries(chain: &[CertificateDer<'_>]) -> Result<Vec<UnixTime>, IdentityError> {
    let mut expiries = Vec::with_capacity(chain.len());
    for certificate in chain {
        expiries.push(unix_time(parse(certificate)?.validity().not_after));
    }
    expiries.sort_unstable();
    Ok(expiries)
}

/// Whether this is a development CA's certificate, or one that it issued. Production refuses both.
pub fn is_development_ca(certificate: &CertificateDer<'_>) -> bool {
    let marked = |name: &X509Name<'_>| {
        name.iter_organization().any(|part| part.as_str().is_ok_and(|part| part == DEVELOPMENT_ORGANISATION))
    };
    parse(certificate).is_ok_and(|one| marked(one.subject()) || marked(one.issuer()))
}

/// The whole input must be one certificate.
pub(super) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
    match X509Certificate::from_der(certificate) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(IdentityError::Malformed),
    }
}

/// A time before 1970 is taken as 1970: it is past either way.
pub(super) fn unix_time(time: ASN1Time) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0)))
}
