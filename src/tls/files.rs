//! The hub's certificate files: read, then checked as a whole before any of it is used. Not the swap (`state`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use super::identity::{IdentityError, is_development_ca, parse, unix_time};
use super::pem::{FileError, read_certificates, read_crls, read_key};
use super::revocation::{self, RevocationError};
use super::{provider, show_time};

/// Where the hub's certificates are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The hub's own certificate, then the intermediates that lead to its root.
    pub certificate: PathBuf,
    /// The private key of `certificate`.
    pub key: PathBuf,
    /// The CAs whose systems are let in. Each is a trust anchor: an intermediate may stand here without its root.
    pub client_ca: PathBuf,
    /// Revocation lists: none, or exactly one for each certificate in `client_ca`.
    pub crls: Vec<PathBuf>,
    /// Whether a development CA, and what it issued, is refused: in production.
    pub refuse_development_ca: bool,
}

/// Why the files can't be used. The configuration in use stays.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A certificate can't be parsed.
    #[error("{path}: certificate {index}: {source}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Which certificate of it, from 1.
        index: usize,
        /// What is wrong.
        source: IdentityError,
    },
    /// A certificate is past its end.
    #[error("{path}: certificate {index} expired at {at}")]
    Expired {
        /// Which file.
        path: PathBuf,
        /// Which certificate of it, from 1.
        index: usize,
        /// The end of its validity.
        at: String,
    },
    /// A certificate's time has not come.
    #[error("{path}: certificate {index} is valid only from {from}")]
    NotYetValid {
        /// Which file.
        path: PathBuf,
        /// Which certificate of it, from 1.
        index: usize,
        /// The beginning of its validity.
        from: String,
    },
    /// The key is not the certificate's, or of a kind that can't be used.
    #[error("{key}: not a usable key of {certificate}: {source}")]
    Key {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// A trust anchor that is no CA certificate.
    #[error("{path}: certificate {index} is not a CA's")]
    NotCa {
        /// Which file.
        path: PathBuf,
        /// Which certificate of it, from 1.
        index: usize,
    },
    /// A development CA, or a certificate that one issued, where none may be.
    #[error("{path}: certificate {index} is a development CA's, which environment = production refuses")]
    DevelopmentCa {
        /// Which file.
        path: PathBuf,
        /// Which certificate of it, from 1.
        index: usize,
    },
    /// A revocation list, or the set of them, is not usable.
    #[error("{path}: revocation list: {source}")]
    Revocation {
        /// Which file; of a fault of the set, the anchors' file.
        path: PathBuf,
        /// What is wrong.
        source: RevocationError,
    },
    /// rustls refused what passed our own checks.
    #[error("{path}: {reason}")]
    Refused {
        /// Which file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}

/// What the files hold, checked.
pub(super) struct Checked {
    pub(super) own: Arc<CertifiedKey>,
    pub(super) roots: Arc<RootCertStore>,
    pub(super) crls: Vec<CertificateRevocationListDer<'static>>,
}

impl TlsFiles {
    /// Reads and checks everything. Blocks.
    pub(super) fn load(&self, now: UnixTime) -> Result<Checked, LoadError> {
        let chain = read_certificates(&self.certificate)?;
        check_validity(&self.certificate, &chain, now)?;
        let anchors = read_certificates(&self.client_ca)?;
        check_validity(&self.client_ca, &anchors, now)?;
        let roots = Arc::new(trust(&self.client_ca, &anchors)?);
        let crls = self.load_crls(&anchors, now)?;
        if self.refuse_development_ca {
            refuse_development(&self.certificate, &chain)?;
            refuse_development(&self.client_ca, &anchors)?;
        }
        let key = read_key(&self.key)?;
        let own = CertifiedKey::from_der(chain, key, &provider()).map_err(|source| LoadError::Key {
            key: self.key.clone(),
            certificate: self.certificate.clone(),
            source,
        })?;
        Ok(Checked { own: Arc::new(own), roots, crls })
    }

    fn load_crls(
        &self,
        anchors: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, LoadError> {
        let mut lists = Vec::new();
        let mut origins: Vec<&PathBuf> = Vec::new();
        for path in &self.crls {
            let read = read_crls(path)?;
            origins.resize(origins.len() + read.len(), path);
            lists.extend(read);
        }
        match revocation::check(&lists, anchors, now) {
            Ok(()) => Ok(lists),
            Err((index, source)) => {
                let path = index.map_or(&self.client_ca, |index| origins[index]).clone();
                Err(LoadError::Revocation { path, source })
            }
        }
    }
}

/// Refuses files with certificates of a development CA, or of what one issued. Blocks.
pub fn refuse_development_files<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<(), LoadError> {
    paths.into_iter().try_for_each(|path| refuse_development(path, &read_certificates(path)?))
}

fn refuse_development(path: &Path, certificates: &[CertificateDer<'_>]) -> Result<(), LoadError> {
    match certificates.iter().position(is_development_ca) {
        Some(at) => Err(LoadError::DevelopmentCa { path: path.to_owned(), index: at + 1 }),
        None => Ok(()),
    }
}

/// Every certificate of the file must be within its validity.
fn check_validity(path: &Path, certificates: &[CertificateDer<'_>], now: UnixTime) -> Result<(), LoadError> {
    for (index, certificate) in (1..).zip(certificates) {
        let path = || path.to_owned();
        let parsed = parse(certificate).map_err(|source| LoadError::Certificate { path: path(), index, source })?;
        let (from, until) = (unix_time(parsed.validity().not_before), unix_time(parsed.validity().not_after));
        if now < from {
            return Err(LoadError::NotYetValid { path: path(), index, from: show_time(from) });
        }
        if until < now {
            return Err(LoadError::Expired { path: path(), index, at: show_time(until) });
        }
    }
    Ok(())
}

/// webpki takes any certificate as an anchor; a system's own certificate there would be a mistake.
pub(super) fn trust(path: &Path, anchors: &[CertificateDer<'static>]) -> Result<RootCertStore, LoadError> {
    let mut roots = RootCertStore::empty();
    for (index, anchor) in (1..).zip(anchors) {
        let path = || path.to_owned();
        let parsed = parse(anchor).map_err(|source| LoadError::Certificate { path: path(), index, source })?;
        if !parsed.is_ca() {
            return Err(LoadError::NotCa { path: path(), index });
        }
        roots.add(anchor.clone()).map_err(|error| LoadError::Refused { path: path(), reason: error.to_string() })?;
    }
    Ok(roots)
}
