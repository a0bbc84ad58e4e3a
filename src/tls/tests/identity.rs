//! Which certificates name a system, and that no bytes can make the reading of them panic.

use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::scene::{for_a_day, new_ca};
use crate::domain::agency::SAN_BYTES_MAX;
use crate::tls::identity::{
    CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX, IdentityError, check_bounds, expiries, is_development_ca, san_uri,
};

fn with_uris(uris: &[&str]) -> CertificateDer<'static> {
    let issued = new_ca("scene").issue_client("tax.registry", uris, for_a_day()).unwrap();
    CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap()
}

#[test]
fn exactly_one_uri_names_a_system_and_the_cn_never_does() {
    assert_eq!(&*san_uri(&with_uris(&["urn:waybill:system:tax:registry"])).unwrap(), "urn:waybill:system:tax:registry");
    assert_eq!(san_uri(&with_uris(&[])), Err(IdentityError::NoUri));
    assert_eq!(san_uri(&with_uris(&["urn:a", "urn:b"])), Err(IdentityError::SeveralUris { uris: 2 }));
}

#[test]
fn a_uri_is_as_long_as_its_bound_and_no_longer() {
    let longest = format!("urn:{}", "a".repeat(SAN_BYTES_MAX - 4));
    let certificate = with_uris(&[&longest]);
    assert_eq!(&*san_uri(&certificate).unwrap(), longest);
    let longer = format!("{longest}a");
    assert!(new_ca("scene").issue_client("x", &[&longer], for_a_day()).is_err());
    let mut other = CertificateParams::default();
    other.subject_alt_names = vec![SanType::URI(longer.try_into().unwrap())];
    let of_another_ca = other.self_signed(&KeyPair::generate().unwrap()).unwrap();
    assert_eq!(san_uri(of_another_ca.der()), Err(IdentityError::UnusableUri));
    // What no tool of ours would issue: the URI's first byte made a line feed.
    let mut bytes = certificate.to_vec();
    let place = bytes.windows(8).position(|window| window == b"urn:aaaa").unwrap();
    bytes[place] = b'\n';
    assert_eq!(san_uri(&bytes.clone().into()), Err(IdentityError::UnusableUri));
    // Nor one that is not text: it is not taken for "no URI".
    bytes[place] = 0xff;
    assert_eq!(san_uri(&bytes.into()), Err(IdentityError::Malformed));
}

#[test]
fn a_chain_is_as_large_as_its_bounds_and_no_larger() {
    let of_bytes = |bytes| CertificateDer::from(vec![0; bytes]);
    let small = of_bytes(1);
    let most = vec![small.clone(); CHAIN_CERTIFICATES_MAX - 1];
    assert_eq!(check_bounds(&of_bytes(CERTIFICATE_BYTES_MAX), &most), Ok(()));
    let bytes = CERTIFICATE_BYTES_MAX + 1;
    assert_eq!(check_bounds(&small, &[of_bytes(bytes)]), Err(IdentityError::TooLarge { bytes }));
    let certificates = CHAIN_CERTIFICATES_MAX + 1;
    let more = vec![small.clone(); CHAIN_CERTIFICATES_MAX];
    assert_eq!(check_bounds(&small, &more), Err(IdentityError::ChainTooLong { certificates }));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let certificate = CertificateDer::from(bytes);
        let _ = (san_uri(&certificate), expiries(std::slice::from_ref(&certificate)), is_development_ca(&certificate));
    }

    #[test]
    fn nor_does_a_certificate_with_bytes_changed(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        static GOOD: std::sync::LazyLock<CertificateDer<'static>> = std::sync::LazyLock::new(|| with_uris(&["urn:a"]));
        let mut bytes = GOOD.to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let certificate = CertificateDer::from(bytes);
        let _ = (san_uri(&certificate), expiries(std::slice::from_ref(&certificate)), is_development_ca(&certificate));
    }
}
