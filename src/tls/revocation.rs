//! Checks revocation lists before they are trusted to answer. Not the check of a peer against them: webpki does that.
//!
//! webpki asks the first list whose issuer fits, refuses a peer whose issuer has no list once there is any, and finds
//! a bad signature only then. So that a mistake shows when it is made, not as every system refused: exactly one
//! list for each trust anchor (or none at all), signed by it, and not overdue when loaded.

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use x509_parser::oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::identity::{parse, unix_time};
use super::show_time;

/// Why a set of revocation lists can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// Not a revocation list.
    #[error("malformed")]
    Malformed,
    /// No trust anchor has the name of the list's issuer.
    #[error("issued by {issuer}, which is no trust anchor")]
    UnknownIssuer {
        /// The issuer's distinguished name.
        issuer: String,
    },
    /// The trust anchor did not sign it, or with an algorithm that is not accepted.
    #[error("not signed by the trust anchor {issuer}")]
    BadSignature {
        /// The issuer's distinguished name.
        issuer: String,
    },
    /// Its next edition should be there by now.
    #[error("list of {issuer} overdue since {since}")]
    Overdue {
        /// The issuer's distinguished name.
        issuer: String,
        /// When the next edition was due.
        since: String,
    },
    /// Its time has not come.
    #[error("list of {issuer} is dated {from}, in the future")]
    NotYetValid {
        /// The issuer's distinguished name.
        issuer: String,
        /// Its date.
        from: String,
    },
    /// Only one list of an issuer would be asked.
    #[error("a second list of {issuer}")]
    Duplicate {
        /// The issuer's distinguished name.
        issuer: String,
    },
    /// There are lists, but none of this anchor, so each of its systems would be refused.
    #[error("there are revocation lists, but none of the trust anchor {anchor}")]
    NoList {
        /// The anchor's distinguished name.
        anchor: String,
    },
}

/// Checks the whole set. On error, the index of the list, if it is one's.
pub(super) fn check(
    lists: &[CertificateRevocationListDer<'_>],
    anchors: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), (Option<usize>, RevocationError)> {
    let mut issuers: Vec<Vec<u8>> = Vec::with_capacity(lists.len());
    for (index, der) in lists.iter().enumerate() {
        let blame = |error| (Some(index), error);
        let list = parse_list(der).map_err(blame)?;
        check_one(&list, anchors, now).map_err(blame)?;
        let issuer = list.issuer();
        if issuers.iter().any(|seen| seen == issuer.as_raw()) {
            return Err(blame(RevocationError::Duplicate { issuer: issuer.to_string() }));
        }
        issuers.push(issuer.as_raw().to_vec());
    }
    if issuers.is_empty() {
        return Ok(());
    }
    for anchor in anchors.iter().filter_map(|anchor| parse(anchor).ok()) {
        if !issuers.iter().any(|issuer| issuer == anchor.subject().as_raw()) {
            return Err((None, RevocationError::NoList { anchor: anchor.subject().to_string() }));
        }
    }
    Ok(())
}

fn check_one(
    list: &CertificateRevocationList<'_>,
    anchors: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), RevocationError> {
    let issuer = list.issuer().to_string();
    let mut named = false;
    // Two anchors of one name (a CA with a new key) can't both have signed it: then webpki would refuse the other's
    // systems. So each must fit.
    for anchor in anchors.iter().filter_map(|anchor| parse(anchor).ok()) {
        if anchor.subject().as_raw() == list.issuer().as_raw() {
            named = true;
            let algorithm = &list.signature_algorithm.algorithm;
            let sha1 = *algorithm == OID_PKCS1_SHA1WITHRSA || *algorithm == OID_SHA1_WITH_RSA;
            if sha1 || list.verify_signature(anchor.public_key()).is_err() {
                return Err(RevocationError::BadSignature { issuer });
            }
        }
    }
    if !named {
        return Err(RevocationError::UnknownIssuer { issuer });
    }
    let from = unix_time(list.last_update());
    if from > now {
        return Err(RevocationError::NotYetValid { issuer, from: show_time(from) });
    }
    match list.next_update().map(unix_time) {
        Some(due) if due < now => Err(RevocationError::Overdue { issuer, since: show_time(due) }),
        _ => Ok(()),
    }
}

/// The whole input must be one revocation list.
pub(super) fn parse_list<'a>(
    der: &'a CertificateRevocationListDer<'_>,
) -> Result<CertificateRevocationList<'a>, RevocationError> {
    match CertificateRevocationList::from_der(der) {
        Ok(([], list)) => Ok(list),
        _ => Err(RevocationError::Malformed),
    }
}
