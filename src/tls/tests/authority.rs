//! The development CA: what it makes can be kept and used, and can't be mistaken for a real one.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::scene::{DAY, START, Scene, at, for_a_day, new_ca};
use crate::tls::authority::{Authority, AuthorityError, Serial, Validity, system_uri};
use crate::tls::{Existing, is_development_ca};

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn a_saved_ca_is_taken_up_again_and_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let ca = new_ca("scene");
    ca.save(folder.path()).unwrap();
    let key_mode = std::fs::metadata(folder.path().join("ca.key.pem")).unwrap().permissions().mode();
    assert_eq!(key_mode & 0o777, 0o600);
    assert!(matches!(new_ca("other").save(folder.path()), Err(AuthorityError::File(_))));

    let opened = Authority::open(folder.path()).unwrap();
    assert_eq!(opened.certificate_pem(), ca.certificate_pem());
    let list = ca.revoke(None, &[], for_a_day()).unwrap();
    opened.revoke(Some(&list), &[], for_a_day()).unwrap();
}

#[test]
fn a_ca_with_the_key_of_another_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    new_ca("one").save(one.path()).unwrap();
    new_ca("other").save(other.path()).unwrap();
    std::fs::copy(other.path().join("ca.key.pem"), one.path().join("ca.key.pem")).unwrap();
    assert!(matches!(Authority::open(one.path()), Err(AuthorityError::Foreign { .. })));
}

#[test]
fn a_development_ca_and_all_that_it_issues_are_marked_and_no_other_ca_is() {
    let ca = new_ca("scene");
    assert!(is_development_ca(&der(ca.certificate_pem())));
    assert!(is_development_ca(&der(&ca.issue_server(&["localhost"], for_a_day()).unwrap().certificate_pem)));
    assert!(is_development_ca(&der(&ca.issue_system("tax", "registry", for_a_day()).unwrap().certificate_pem)));

    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let real = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    assert!(!is_development_ca(real.der()));
}

#[test]
fn names_that_could_be_read_in_two_ways_are_refused() {
    assert_eq!(system_uri("tax", "registry-2").unwrap(), "urn:waybill:system:tax:registry-2");
    assert_eq!(system_uri("north.tax", "registry").unwrap(), "urn:waybill:system:north.tax:registry");
    let longest = "a".repeat(64);
    assert!(system_uri(&longest, "registry").is_ok());
    for bad in ["", "Tax", "tax:registry", "tax/registry", "täx", "tax registry", &"a".repeat(65)] {
        assert!(system_uri(bad, "registry").is_err(), "{bad}");
        assert!(system_uri("tax", bad).is_err(), "{bad}");
    }
    let ca = new_ca("scene");
    for bad in ["", "a b", "-", "host:7443"] {
        assert!(matches!(ca.issue_server(&[bad], for_a_day()), Err(AuthorityError::Name { .. })), "{bad}");
    }
    assert!(matches!(ca.issue_server(&[], for_a_day()), Err(AuthorityError::Name { .. })));
}

#[test]
fn nothing_outlives_the_ca() {
    let ca = new_ca("scene");
    let end = START + 30 * DAY.as_secs();
    let until = |seconds| Validity::between(at(START), at(seconds)).unwrap();
    assert!(ca.issue_system("tax", "registry", until(end)).is_ok());
    assert!(matches!(ca.issue_system("tax", "registry", until(end + 1)), Err(AuthorityError::Validity)));
}

#[test]
fn a_validity_is_never_empty_and_never_beyond_what_x509_can_write() {
    assert!(Validity::between(at(START), at(START)).is_ok());
    assert!(Validity::between(at(START), at(START - 1)).is_err());
    assert!(Validity::between(at(START), at(u64::MAX)).is_err());
    let endless = Validity::starting(at(u64::MAX), Duration::MAX);
    Authority::create("endless", endless).unwrap().issue_system("tax", "registry", endless).unwrap();
}

#[test]
fn a_new_edition_of_the_revocation_list_keeps_what_the_last_one_revoked() {
    let scene = Scene::new();
    let serials: Vec<Serial> = ["tax", "benefit"].iter().map(|agency| scene.system(agency).1).collect();
    let first = scene.ca.revoke(None, &serials[..1], for_a_day()).unwrap();
    let second = scene.ca.revoke(Some(&first), &serials, for_a_day()).unwrap();
    let der = rustls_pki_types::CertificateRevocationListDer::from_pem_slice(second.as_bytes()).unwrap();
    let list = crate::tls::revocation::parse_list(&der).unwrap();
    assert_eq!(list.crl_number().unwrap().to_string(), "2");
    let listed: Vec<String> =
        list.iter_revoked_certificates().map(|one| hex::encode(one.serial().to_bytes_be())).collect();
    assert_eq!(listed, serials.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert!(matches!(new_ca("scene").revoke(Some(&second), &[], for_a_day()), Err(AuthorityError::Foreign { .. })));
}

#[test]
fn a_certificates_serial_can_be_read_back_from_it() {
    let ca = new_ca("scene");
    let issued = ca.issue_system("tax", "registry", for_a_day()).unwrap();
    assert_eq!(ca.serial_of(&der(&issued.certificate_pem)).unwrap(), issued.serial);
    let of_another = new_ca("scene").serial_of(&der(&issued.certificate_pem));
    assert!(matches!(of_another, Err(AuthorityError::OfAnother)), "{of_another:?}");
    let folder = tempfile::tempdir().unwrap();
    let (_, key) = issued.save(folder.path(), "tax", Existing::Keep).unwrap();
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_keys_bytes_are_in_no_debug_output() {
    let ca = new_ca("scene");
    let folder = tempfile::tempdir().unwrap();
    ca.save(folder.path()).unwrap();
    let key = std::fs::read_to_string(folder.path().join("ca.key.pem")).unwrap();
    let line = key.lines().nth(1).unwrap();
    assert!(!format!("{ca:?}").contains(line));
    let issued = ca.issue_system("tax", "registry", for_a_day()).unwrap();
    let line = issued.key_pem.lines().nth(1).unwrap();
    assert!(!format!("{issued:?}").contains(line));
}
