//! The development CA: makes keys and certificates for the demo, tests and trials. Production brings its own CA and
//! refuses this one, which is marked (`is_development_ca`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use zeroize::Zeroizing;

use super::identity::{DEVELOPMENT_ORGANISATION, is_usable, parse, unix_time};
use super::pem::{Existing, FileError, read, write_private, write_public};
use super::revocation::parse_list;

/// Bytes of a name in a certificate, at most (X.520, `ub-common-name`).
pub const NAME_BYTES_MAX: usize = 64;
/// The CN of every server certificate. Nobody looks at it: clients compare the DNS names and IP addresses.
const SERVER_COMMON_NAME: &str = "Waybill server";
/// The CN of every broker's certificate: whom other brokers take it for.
const BROKER_COMMON_NAME: &str = "waybill.broker";
/// Bytes of a serial number that we draw; RFC 5280, 4.1.2.2 allows 20.
const SERIAL_BYTES: usize = 16;

/// Why the authority could not do it.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A name that can't stand in a certificate or an address.
    #[error("{name:?} is not a usable {what}")]
    Name {
        /// What it should be.
        what: &'static str,
        /// What was given.
        name: String,
    },
    /// The validity is empty, or ends after the CA's own.
    #[error("the validity is empty, or reaches beyond the CA's own")]
    Validity,
    /// A stored certificate or list is not what it should be.
    #[error("not the {what} of this authority")]
    Foreign {
        /// What it should be.
        what: &'static str,
    },
    /// Another CA issued it, whatever names stand in it.
    #[error("was not issued by this CA")]
    OfAnother,
    /// A CA does not revoke itself: whoever trusts it takes it off the trusted ones.
    #[error("is this CA's own certificate; to end it, take it out of the files of trusted CAs")]
    Own,
    /// The key or certificate could not be made.
    #[error("certificate not made: {0}")]
    Made(#[from] rcgen::Error),
    /// The system gave no random bytes.
    #[error("no randomness")]
    NoRandomness,
}

/// The last second that X.509 can write: the end of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// From when to when, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Since 1970; at most `until`.
    from: Duration,
    /// Since 1970; at most [`LAST_SECOND`].
    until: Duration,
}

impl Validity {
    /// From the first second to the last.
    pub fn between(from: UnixTime, until: UnixTime) -> Result<Self, AuthorityError> {
        if until < from || until.as_secs() > LAST_SECOND {
            return Err(AuthorityError::Validity);
        }
        Ok(Self { from: Duration::from_secs(from.as_secs()), until: Duration::from_secs(until.as_secs()) })
    }

    /// From a little before `now` (clocks differ), for `duration`.
    pub fn starting(now: UnixTime, duration: Duration) -> Self {
        const SKEW_SECONDS: u64 = 300;
        let until = now.as_secs().saturating_add(duration.as_secs()).min(LAST_SECOND);
        let from = now.as_secs().saturating_sub(SKEW_SECONDS).min(until);
        Self { from: Duration::from_secs(from), until: Duration::from_secs(until) }
    }
}

/// A certificate's number with its CA: the name by which it is revoked. Shown in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    fn random() -> Result<Self, AuthorityError> {
        let mut bytes = [0; SERIAL_BYTES];
        rand::fill(&mut bytes).map_err(|_| AuthorityError::NoRandomness)?;
        // Positive, and without a leading zero, so that it is encoded as it stands.
        bytes[0] = bytes[0] & 0x7f | 0x40;
        Ok(Self(bytes.to_vec()))
    }
}

impl std::fmt::Display for Serial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key (PKCS#8); wiped from memory when dropped.
    pub key_pem: Zeroizing<String>,
    /// Its number.
    pub serial: Serial,
}

impl Issued {
    /// Writes `<stem>.pem` and `<stem>.key.pem` (readable by the owner only) into the folder; returns both paths.
    pub fn save(&self, folder: &Path, stem: &str, existing: Existing) -> Result<(PathBuf, PathBuf), AuthorityError> {
        let (certificate, key) = (folder.join(format!("{stem}.pem")), folder.join(format!("{stem}.key.pem")));
        // The key first: without it the certificate is of no use.
        write_private(&key, self.key_pem.as_bytes(), existing)?;
        write_public(&certificate, self.certificate_pem.as_bytes(), existing)?;
        Ok((certificate, key))
    }
}

/// A development CA with its key.
#[derive(Debug)]
pub struct Authority {
    certificate_pem: String,
    /// Its last second, since 1970.
    until: Duration,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new CA. `name` becomes its CN; its organisation is the mark.
    pub fn create(name: &str, validity: Validity) -> Result<Self, AuthorityError> {
        check_name("CA name", name, is_printable)?;
        let mut params = blank(name, validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(SerialNumber::from(Serial::random()?.0));
        let key = KeyPair::generate()?;
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { certificate_pem, until: validity.until, issuer: Issuer::new(params, key) })
    }

    /// Takes up a CA that was saved.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let foreign = || AuthorityError::Foreign { what: "certificate and key" };
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|_| foreign())?;
        let parsed = parse(&certificate).map_err(|_| foreign())?;
        let key = KeyPair::from_pem(key_pem)?;
        if !parsed.is_ca() || parsed.public_key().subject_public_key.data != rcgen::PublicKeyData::der_bytes(&key) {
            return Err(foreign());
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        let until = Duration::from_secs(unix_time(parsed.validity().not_after).as_secs());
        Ok(Self { certificate_pem: certificate_pem.to_owned(), until, issuer })
    }

    /// Writes `ca.pem` and `ca.key.pem` into the folder; never over a CA that is there.
    pub fn save(&self, folder: &Path) -> Result<(), AuthorityError> {
        let key = Zeroizing::new(self.issuer.key().serialize_pem());
        write_private(&folder.join("ca.key.pem"), key.as_bytes(), Existing::Keep)?;
        write_public(&folder.join("ca.pem"), self.certificate_pem.as_bytes(), Existing::Keep)?;
        Ok(())
    }

    /// Reads what [`Authority::save`] wrote.
    pub fn open(folder: &Path) -> Result<Self, AuthorityError> {
        let text = |name| -> Result<Zeroizing<String>, AuthorityError> {
            let bytes = read(&folder.join(name))?;
            let text = std::str::from_utf8(&bytes).map_err(|_| AuthorityError::Foreign { what: "PEM file" })?;
            Ok(Zeroizing::new(text.to_owned()))
        };
        Self::from_pem(&text("ca.pem")?, &text("ca.key.pem")?)
    }

    /// The CA's certificate: what servers and clients trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A server's certificate for these DNS names and IP addresses, at least one.
    pub fn issue_server(&self, names: &[&str], validity: Validity) -> Result<Issued, AuthorityError> {
        let uses = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue_named(SERVER_COMMON_NAME, names, uses, validity)
    }

    /// A Kafka broker's certificate: a server's, by which it is also known to other brokers.
    pub fn issue_broker(&self, names: &[&str], validity: Validity) -> Result<Issued, AuthorityError> {
        let uses = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue_named(BROKER_COMMON_NAME, names, uses, validity)
    }

    fn issue_named(
        &self,
        common_name: &str,
        names: &[&str],
        uses: Vec<ExtendedKeyUsagePurpose>,
        validity: Validity,
    ) -> Result<Issued, AuthorityError> {
        if names.is_empty() {
            return Err(AuthorityError::Name { what: "server name", name: String::new() });
        }
        let mut params = blank(common_name, validity);
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(dns_name(name)?.try_into()?),
            });
        }
        params.extended_key_usages = uses;
        self.issue(params, validity)
    }

    /// A system's certificate: the URI [`system_uri`], and the CN `<agency>.<system>`, which Kafka takes as principal.
    pub fn issue_system(&self, agency: &str, system: &str, validity: Validity) -> Result<Issued, AuthorityError> {
        self.issue_client(&*format!("{agency}.{system}"), &[&system_uri(agency, system)?], validity)
    }

    /// A client's certificate with any CN or none, and any URIs; the hub accepts it only with exactly one.
    pub fn issue_client<'n>(
        &self,
        common_name: impl Into<Option<&'n str>>,
        uris: &[&str],
        validity: Validity,
    ) -> Result<Issued, AuthorityError> {
        let common_name = common_name.into();
        common_name.map_or(Ok(()), |name| check_name("common name", name, is_printable))?;
        let mut params = blank(common_name, validity);
        for uri in uris {
            if !is_usable(uri) {
                return Err(AuthorityError::Name { what: "URI", name: (*uri).to_owned() });
            }
            params.subject_alt_names.push(SanType::URI((*uri).try_into()?));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, validity)
    }

    fn issue(&self, mut params: CertificateParams, validity: Validity) -> Result<Issued, AuthorityError> {
        // webpki does not look at an anchor's own end, so what it issued must not outlive it.
        if validity.until > self.until {
            return Err(AuthorityError::Validity);
        }
        let serial = Serial::random()?;
        params.serial_number = Some(SerialNumber::from(serial.0.clone()));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { certificate_pem, key_pem: Zeroizing::new(key.serialize_pem()), serial })
    }

    /// The number of a certificate that this CA issued, by its signature.
    pub fn serial_of(&self, certificate: &CertificateDer<'_>) -> Result<Serial, AuthorityError> {
        let own = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes());
        let own = own.map_err(|_| AuthorityError::Foreign { what: "certificate" })?;
        if own.as_ref() == certificate.as_ref() {
            return Err(AuthorityError::Own);
        }
        let own = parse(&own).map_err(|_| AuthorityError::Foreign { what: "certificate" })?;
        let other = parse(certificate).map_err(|_| AuthorityError::OfAnother)?;
        let named = other.issuer().as_raw() == own.subject().as_raw();
        if !named || other.verify_signature(Some(own.public_key())).is_err() {
            return Err(AuthorityError::OfAnother);
        }
        Ok(Serial(other.tbs_certificate.serial.to_bytes_be()))
    }

    /// A revocation list (PEM): what `previous` lists, and `revoked` from `validity.from` on. The next edition is due
    /// at `validity.until`. Without `previous` and `revoked`, an empty first edition.
    pub fn revoke(
        &self,
        previous: Option<&str>,
        revoked: &[Serial],
        validity: Validity,
    ) -> Result<String, AuthorityError> {
        let (mut number, mut entries) = previous.map_or(Ok((0, Vec::new())), |list| self.read_list(list))?;
        number += 1;
        let date = date_time_ymd(1970, 1, 1) + validity.from;
        for serial in revoked {
            let serial_number = SerialNumber::from(serial.0.clone());
            if !entries.iter().any(|entry| entry.serial_number == serial_number) {
                let revocation_time = date;
                entries.push(RevokedCertParams {
                    serial_number,
                    revocation_time,
                    reason_code: None,
                    invalidity_date: None,
                });
            }
        }
        let list = CertificateRevocationListParams {
            this_update: date,
            next_update: date_time_ymd(1970, 1, 1) + validity.until,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: entries,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }

    /// The number and entries of an earlier edition, once its signature shows that it is ours.
    fn read_list(&self, list_pem: &str) -> Result<(u64, Vec<RevokedCertParams>), AuthorityError> {
        let foreign = || AuthorityError::Foreign { what: "revocation list" };
        let own = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).map_err(|_| foreign())?;
        let own = parse(&own).map_err(|_| foreign())?;
        let der = CertificateRevocationListDer::from_pem_slice(list_pem.as_bytes()).map_err(|_| foreign())?;
        let list = parse_list(&der).map_err(|_| foreign())?;
        list.verify_signature(own.public_key()).map_err(|_| foreign())?;
        let number = list.crl_number().and_then(|number| u64::try_from(number).ok()).ok_or_else(foreign)?;
        let entries = list.iter_revoked_certificates().map(|entry| RevokedCertParams {
            serial_number: SerialNumber::from(entry.serial().to_bytes_be()),
            revocation_time: date_time_ymd(1970, 1, 1)
                + Duration::from_secs(unix_time(entry.revocation_date).as_secs()),
            reason_code: None,
            invalidity_date: None,
        });
        Ok((number, entries.collect()))
    }
}

/// The URI that names a system in its certificate: `urn:waybill:system:<agency>:<system>`.
pub fn system_uri(agency: &str, system: &str) -> Result<String, AuthorityError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    check_name("agency name", agency, plain)?;
    check_name("system name", system, plain)?;
    Ok(format!("urn:waybill:system:{agency}:{system}"))
}

fn dns_name(name: &str) -> Result<&str, AuthorityError> {
    match rustls_pki_types::DnsName::try_from(name) {
        Ok(_) => Ok(name),
        Err(_) => Err(AuthorityError::Name { what: "server name", name: name.to_owned() }),
    }
}

fn check_name(what: &'static str, name: &str, allowed: impl Fn(u8) -> bool) -> Result<(), AuthorityError> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(AuthorityError::Name { what, name: name.to_owned() })
}

fn is_printable(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte == b' '
}

/// Subject and validity; the rest is the caller's.
fn blank<'n>(common_name: impl Into<Option<&'n str>>, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, DEVELOPMENT_ORGANISATION);
    if let Some(common_name) = common_name.into() {
        params.distinguished_name.push(DnType::CommonName, common_name);
    }
    params.not_before = date_time_ymd(1970, 1, 1) + validity.from;
    params.not_after = date_time_ymd(1970, 1, 1) + validity.until;
    params
}
