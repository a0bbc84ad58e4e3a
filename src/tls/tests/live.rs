//! Connections that are open while what is trusted changes: they end when they should, and only then.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::scene::{CLOSED_WITHIN, START, Scene, at, closed, dial, for_a_day, limits, new_ca, round_trip, shake};
use crate::domain::agency::SAN_BYTES_MAX;
use crate::tls::authority::Validity;
use crate::tls::{LoadError, TlsLimits};

#[tokio::test]
async fn a_system_is_known_by_the_uri_of_its_certificate() {
    let scene = Scene::new();
    let (port, _serving) = scene.serve().await;
    let (name, mut client) = dial(scene.system("tax").0.config(), port).await.unwrap();
    assert_eq!(name, "urn:waybill:system:tax:registry");
    round_trip(&mut client).await.unwrap();
    assert_eq!(scene.state.connection_count(), 1);
}

#[tokio::test]
async fn the_longest_name_that_a_catalogue_may_give_a_system_shakes_hands() {
    let scene = Scene::new();
    let (port, _serving) = scene.serve().await;
    let longest = format!("urn:{}", "x".repeat(SAN_BYTES_MAX - 4));
    let issued = scene.ca.issue_client("tax.registry", &[&longest], for_a_day()).unwrap();
    let (name, _client) = dial(scene.client(&issued).config(), port).await.unwrap();
    assert_eq!(name, longest);
}

#[tokio::test]
async fn a_second_connection_shakes_hands_in_full_since_no_ticket_is_ever_sent() {
    let scene = Scene::new();
    let (port, _serving) = scene.serve().await;
    // A client that would resume if it could.
    let mut config = (*scene.system("tax").0.config()).clone();
    config.resumption = rustls::client::Resumption::in_memory_sessions(8);
    let config = std::sync::Arc::new(config);
    for _ in 0..2 {
        let (_, mut client) = dial(config.clone(), port).await.unwrap();
        round_trip(&mut client).await.unwrap();
        let session = client.get_ref().get_ref().1;
        assert_eq!(session.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(session.tls13_tickets_received(), 0);
        let group = session.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    }
}

#[tokio::test]
async fn a_revoked_system_is_cut_off_at_reload_and_the_others_stay() {
    let scene = Scene::new();
    let (port, _serving) = scene.serve().await;
    let (tax, tax_serial) = scene.system("tax");
    let (_, mut revoked) = dial(tax.config(), port).await.unwrap();
    let (_, mut other) = dial(scene.system("benefit").0.config(), port).await.unwrap();
    round_trip(&mut revoked).await.unwrap();

    scene.revoke(&tax_serial);
    let reloaded = scene.state.reload().unwrap();
    assert_eq!((reloaded.generation, reloaded.closed, reloaded.kept), (2, 1, 1));
    closed(&mut revoked).await;
    round_trip(&mut other).await.unwrap();
    assert!(dial(tax.config(), port).await.is_err());
}

#[tokio::test]
async fn a_writer_that_waits_for_a_peer_who_does_not_read_is_cut_off_too() {
    let scene = Scene::new();
    let (mut incoming, port) = scene.listen().await;
    let (tax, serial) = scene.system("tax");
    let _silent = shake(tax.config(), port).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(incoming.next().await.unwrap().unwrap());
    let (stuck, is_stuck) = tokio::sync::oneshot::channel();
    let writing = tokio::spawn(async move {
        // Until the socket's buffers are full.
        while let Ok(written) = timeout(Duration::from_millis(200), writer.write(&[0; 16_384])).await {
            written.unwrap();
        }
        stuck.send(()).unwrap();
        writer.write_all(&[0; 16_384]).await
    });
    // Another task waits for the peer to say something; closing must wake both.
    let reading = tokio::spawn(async move { reader.read_u8().await });
    is_stuck.await.unwrap();
    scene.revoke(&serial);
    scene.state.reload().unwrap();
    let ends = async { (writing.await.unwrap().unwrap_err().kind(), reading.await.unwrap().unwrap_err().kind()) };
    let aborted = std::io::ErrorKind::ConnectionAborted;
    assert_eq!(timeout(CLOSED_WITHIN, ends).await.unwrap(), (aborted, aborted));
    assert_eq!(scene.state.connection_count(), 0);
}

#[tokio::test]
async fn systems_of_a_ca_that_is_no_longer_trusted_are_cut_off() {
    let scene = Scene::new();
    let (port, _serving) = scene.serve().await;
    let (_, mut client) = dial(scene.system("tax").0.config(), port).await.unwrap();
    let other = new_ca("other");
    scene.put("ca.pem", other.certificate_pem());
    scene.put("crl.pem", &other.revoke(None, &[], for_a_day()).unwrap());
    assert_eq!(scene.state.reload().unwrap().closed, 1);
    closed(&mut client).await;
}

#[tokio::test]
async fn a_reload_that_fails_changes_nothing() {
    let scene = Scene::new();
    let (port, _serving) = scene.serve().await;
    let (tax, serial) = scene.system("tax");
    let (_, mut client) = dial(tax.config(), port).await.unwrap();
    // The revocation is good, but the key is another's: nothing of a bad set takes effect.
    scene.revoke(&serial);
    let other = scene.ca.issue_server(&["localhost"], for_a_day()).unwrap();
    scene.put("hub.key.pem", &other.key_pem);
    assert!(matches!(scene.state.reload(), Err(LoadError::Key { .. })));
    assert_eq!(scene.state.current().generation(), 1);
    round_trip(&mut client).await.unwrap();
    dial(tax.config(), port).await.unwrap();
}

#[tokio::test]
async fn a_reload_takes_up_the_hubs_new_certificate() {
    let scene = Scene::new();
    let (port, _serving) = scene.serve().await;
    let (tax, _) = scene.system("tax");
    let seen = async || {
        let (_, client) = dial(tax.config(), port).await.unwrap();
        client.get_ref().get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let before = seen().await;
    let renewed = scene.ca.issue_server(&["localhost"], for_a_day()).unwrap();
    renewed.save(scene.folder.path(), "hub", crate::tls::Existing::Replace).unwrap();
    assert_eq!(seen().await, before);
    scene.state.reload().unwrap();
    assert_ne!(seen().await, before);
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate_and_not_a_second_before() {
    let scene = Scene::new();
    let (port, _serving) = scene.serve().await;
    let short = Validity::between(at(START - 1), at(START + 3600)).unwrap();
    let issued = scene.ca.issue_system("tax", "registry", short).unwrap();
    let (_, mut expiring) = dial(scene.client(&issued).config(), port).await.unwrap();
    let (_, mut lasting) = dial(scene.system("benefit").0.config(), port).await.unwrap();

    scene.seconds.store(START + 3600, Ordering::SeqCst);
    assert_eq!(scene.state.close_expired(), 0);
    round_trip(&mut expiring).await.unwrap();

    let watching = tokio::spawn(scene.state.clone().watch_expiry());
    scene.seconds.store(START + 3601, Ordering::SeqCst);
    closed(&mut expiring).await;
    round_trip(&mut lasting).await.unwrap();
    watching.abort();
}

fn capped(connections_max: usize, connections_per_system_max: usize) -> Scene {
    Scene::with(TlsLimits { connections_max, connections_per_system_max, ..limits() })
}

#[tokio::test]
async fn a_system_may_have_as_many_connections_as_its_cap_and_no_more() {
    let scene = capped(10, 2);
    let (port, _serving) = scene.serve().await;
    let (tax, _) = scene.system("tax");
    let first = dial(tax.config(), port).await.unwrap();
    let (_, mut second) = dial(tax.config(), port).await.unwrap();
    assert!(dial(tax.config(), port).await.is_err());
    round_trip(&mut second).await.unwrap();
    dial(scene.system("benefit").0.config(), port).await.unwrap();

    // A place that is given back can be taken again; the hub hears of it when it reads the end.
    drop(first);
    let again = async {
        loop {
            if let Ok(client) = dial(tax.config(), port).await {
                return client;
            }
        }
    };
    timeout(CLOSED_WITHIN, again).await.unwrap();
}

#[tokio::test]
async fn all_systems_together_may_have_as_many_connections_as_the_hubs_cap() {
    let scene = capped(2, 2);
    let (port, _serving) = scene.serve().await;
    let _first = dial(scene.system("tax").0.config(), port).await.unwrap();
    let _second = dial(scene.system("benefit").0.config(), port).await.unwrap();
    assert!(dial(scene.system("identity").0.config(), port).await.is_err());
    assert_eq!(scene.state.connection_count(), 2);
}

#[tokio::test]
async fn a_silent_stranger_is_dropped_and_meanwhile_holds_no_more_than_one_handshake() {
    let handshake_timeout = Duration::from_secs(2);
    let scene = Scene::with(TlsLimits { handshakes_max: 1, handshake_timeout, ..limits() });
    let (port, _serving) = scene.serve().await;
    let (tax, _) = scene.system("tax");
    let started = std::time::Instant::now();
    let mut silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // Waits for the only place, which comes free when the stranger has been dropped.
    let (_, mut client) = timeout(CLOSED_WITHIN, dial(tax.config(), port)).await.unwrap().unwrap();
    assert!(started.elapsed() >= handshake_timeout);
    round_trip(&mut client).await.unwrap();
    let mut buffer = [0; 1];
    assert_eq!(timeout(CLOSED_WITHIN, silent.read(&mut buffer)).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_peer_that_says_nothing_after_its_handshake_is_dropped_and_one_that_has_spoken_is_not() {
    let first_bytes_timeout = Duration::from_secs(2);
    let scene = Scene::with(TlsLimits { first_bytes_timeout, ..limits() });
    let (port, _serving) = scene.serve().await;
    let mut silent = shake(scene.system("tax").0.config(), port).await.unwrap();
    let (_, mut talking) = dial(scene.system("benefit").0.config(), port).await.unwrap();
    // As long as HTTP/2's preface.
    for _ in 0..6 {
        round_trip(&mut talking).await.unwrap();
    }
    // What the hub has said before is read first; then comes the end, or the connection's reset.
    let mut said = Vec::new();
    let _ = timeout(CLOSED_WITHIN, silent.read_to_end(&mut said)).await.expect("not closed");
    round_trip(&mut talking).await.unwrap();
}

#[tokio::test]
async fn dropping_the_stream_of_connections_stops_the_listener() {
    let scene = Scene::new();
    let (incoming, port) = scene.listen().await;
    drop(incoming);
    let refused = async { while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {} };
    timeout(CLOSED_WITHIN, refused).await.unwrap();
}
