//! A set of files that can't be used is refused as a whole, with the file and the reason.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::scene::{DAY, START, Scene, at, for_a_day, limits, new_ca};
use crate::tls::authority::Validity;
use crate::tls::{Clock, Existing, LoadError, TlsFiles, TlsState, refuse_development_files, write_public};

/// The reload's error, after the scene's files have been changed.
fn refusal(change: impl FnOnce(&Scene)) -> String {
    let scene = Scene::new();
    change(&scene);
    let error = scene.state.reload().unwrap_err().to_string();
    assert_eq!(scene.state.current().generation(), 1);
    error
}

fn past() -> Validity {
    Validity::between(at(START - 100), at(START - 1)).unwrap()
}

#[test]
fn certificates_must_be_there_readable_and_within_their_validity() {
    let missing = refusal(|scene| std::fs::remove_file(scene.path("hub.pem")).unwrap());
    assert!(missing.contains("hub.pem"), "{missing}");
    let empty = refusal(|scene| scene.put("ca.pem", ""));
    assert!(empty.contains("ca.pem: holds no CERTIFICATE"), "{empty}");
    let cut = refusal(|scene| scene.put("ca.pem", &scene.ca.certificate_pem()[..200]));
    assert!(cut.contains("ca.pem: not readable as PEM"), "{cut}");
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let garbage = refusal(|scene| scene.put("hub.pem", garbage));
    assert!(garbage.contains("hub.pem: certificate 1: ") && garbage.contains("malformed"), "{garbage}");
    let expired = refusal(|scene| {
        let issued = scene.ca.issue_server(&["localhost"], past()).unwrap();
        issued.save(scene.folder.path(), "hub", crate::tls::Existing::Replace).unwrap();
    });
    assert!(expired.contains("hub.pem: certificate 1 expired at 2027-01-15T07:59:59Z"), "{expired}");
    let early = refusal(|scene| {
        let later = Validity::between(at(START + 1), at(START + 10)).unwrap();
        let issued = scene.ca.issue_server(&["localhost"], later).unwrap();
        issued.save(scene.folder.path(), "hub", crate::tls::Existing::Replace).unwrap();
    });
    assert!(early.contains("valid only from 2027-01-15T08:00:01Z"), "{early}");
}

#[test]
fn a_trust_anchor_must_be_a_ca() {
    let error = refusal(|scene| {
        let system = scene.ca.issue_system("tax", "registry", for_a_day()).unwrap();
        scene.put("ca.pem", &format!("{}{}", scene.ca.certificate_pem(), system.certificate_pem));
    });
    assert!(error.contains("ca.pem: certificate 2 is not a CA's"), "{error}");
}

#[test]
fn the_key_must_be_the_certificates_own() {
    let error = refusal(|scene| {
        scene.put("hub.key.pem", &scene.ca.issue_server(&["localhost"], for_a_day()).unwrap().key_pem);
    });
    assert!(error.contains("hub.key.pem: not a usable key of") && error.contains("KeyMismatch"), "{error}");
    let none = refusal(|scene| scene.put("hub.key.pem", scene.ca.certificate_pem()));
    assert!(none.contains("hub.key.pem: holds no PRIVATE KEY"), "{none}");
}

#[test]
fn a_revocation_list_must_be_signed_by_a_trust_anchor() {
    let stranger = refusal(|scene| scene.put("crl.pem", &new_ca("other").revoke(None, &[], for_a_day()).unwrap()));
    assert!(stranger.contains("crl.pem: revocation list: issued by") && stranger.contains("other"), "{stranger}");
    // The same name, another key.
    let forged = refusal(|scene| scene.put("crl.pem", &new_ca("scene").revoke(None, &[], for_a_day()).unwrap()));
    assert!(forged.contains("crl.pem: revocation list: not signed by the trust anchor"), "{forged}");
}

#[test]
fn a_revocation_list_must_be_neither_overdue_nor_of_the_future() {
    let overdue = refusal(|scene| scene.put("crl.pem", &scene.ca.revoke(None, &[], past()).unwrap()));
    assert!(overdue.contains("overdue since 2027-01-15T07:59:59Z"), "{overdue}");
    let later = Validity::between(at(START + 1), at(START + 10)).unwrap();
    let later = refusal(|scene| scene.put("crl.pem", &scene.ca.revoke(None, &[], later).unwrap()));
    assert!(later.contains("in the future"), "{later}");
}

#[test]
fn there_is_one_revocation_list_for_each_trust_anchor_or_none_at_all() {
    let twice = refusal(|scene| {
        let list = scene.ca.revoke(None, &[], for_a_day()).unwrap();
        scene.put("crl.pem", &format!("{list}{list}"));
    });
    assert!(twice.contains("crl.pem: revocation list: a second list of"), "{twice}");
    let lacking = refusal(|scene| {
        scene.put("ca.pem", &format!("{}{}", scene.ca.certificate_pem(), new_ca("other").certificate_pem()));
    });
    assert!(lacking.contains("none of the trust anchor") && lacking.contains("other"), "{lacking}");

    let scene = Scene::new();
    let other = new_ca("other");
    scene.put("ca.pem", &format!("{}{}", scene.ca.certificate_pem(), other.certificate_pem()));
    let lists = [&scene.ca, &other].map(|ca| ca.revoke(None, &[], Validity::starting(at(START), 2 * DAY)).unwrap());
    scene.put("crl.pem", &lists.concat());
    scene.state.reload().unwrap();
}

#[test]
fn production_takes_no_development_ca_neither_at_first_nor_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let put = |name: &str, text: &str| write_public(&path(name), text.as_bytes(), Existing::Replace).unwrap();
    let own = |names: Vec<String>, is_ca| {
        let mut params = CertificateParams::new(names).unwrap();
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let (real, _) = own(Vec::new(), IsCa::Ca(BasicConstraints::Unconstrained));
    let (hub, key) = own(vec!["localhost".into()], IsCa::NoCa);
    let development = new_ca("trial");
    let issued = development.issue_server(&["localhost"], for_a_day()).unwrap();
    let files = TlsFiles {
        certificate: path("hub.pem"),
        key: path("hub.key.pem"),
        client_ca: path("ca.pem"),
        crls: Vec::new(),
        refuse_development_ca: true,
    };
    put("ca.pem", &real);
    put("hub.pem", &hub);
    put("hub.key.pem", &key);
    let clock: Clock = Arc::new(|| at(START));
    let load = || TlsState::load(files.clone(), limits(), Arc::clone(&clock));
    let state = load().unwrap();

    put("ca.pem", &format!("{real}{}", development.certificate_pem()));
    let refused = |error: &LoadError, name: &str, at: usize| match error {
        LoadError::DevelopmentCa { path: of, index } => *of == path(name) && *index == at,
        _ => false,
    };
    assert!(refused(&state.reload().unwrap_err(), "ca.pem", 2));
    assert_eq!(state.current().generation(), 1, "what was in use stays");
    assert!(refused(&load().unwrap_err(), "ca.pem", 2));

    put("ca.pem", &real);
    put("hub.pem", &issued.certificate_pem);
    put("hub.key.pem", &issued.key_pem);
    assert!(refused(&state.reload().unwrap_err(), "hub.pem", 1));
    let files = TlsFiles { refuse_development_ca: false, ..files.clone() };
    TlsState::load(files, limits(), Arc::clone(&clock)).unwrap();

    // Of other connections' files the same is said.
    refuse_development_files([&path("ca.pem")]).unwrap();
    assert!(refused(&refuse_development_files([&path("ca.pem"), &path("hub.pem")]).unwrap_err(), "hub.pem", 1));
}
