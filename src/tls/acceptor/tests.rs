//! Who is not let in, and the reason that the hub's log gives; what happens when accept itself fails.

use std::collections::VecDeque;

use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_stream::StreamExt;

use super::*;
use crate::tls::authority::Issued;
use crate::tls::provider;
use crate::tls::tests::scene::{CLOSED_WITHIN, Scene, for_a_day, new_ca, shake};

/// Lets one client knock, and returns what the hub decided.
async fn knock(scene: &Scene, config: Arc<ClientConfig>) -> Result<PeerIo, Refused> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = tokio::spawn(shake(config, port));
    let (tcp, remote) = listener.accept().await.unwrap();
    let outcome = shake_hands(tcp, remote, &scene.state, scene.state.current()).await;
    // The client may still wait for the hub's word, or have had enough of it.
    client.abort();
    outcome
}

async fn refusal(scene: &Scene, config: Arc<ClientConfig>) -> String {
    let refused = knock(scene, config).await.unwrap_err();
    assert_eq!(refused.outcome(), "failed");
    assert_eq!(scene.state.connection_count(), 0);
    refused.to_string()
}

fn anonymous(scene: &Scene) -> ClientConfig {
    let ca = CertificateDer::from_pem_file(scene.path("ca.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca).unwrap();
    let time = Arc::new(crate::tls::ClockProvider(scene.clock()));
    let mut config = ClientConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config
}

/// Sends its certificate even if the hub's hints say that it won't be trusted.
fn obstinate(scene: &Scene, issued: &Issued, copies: usize) -> Arc<ClientConfig> {
    let mut config = anonymous(scene);
    let certificate = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let own = rustls::sign::CertifiedKey::from_der(vec![certificate; copies], key, &provider()).unwrap();
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(own));
    Arc::new(config)
}

#[tokio::test]
async fn without_a_certificate() {
    let scene = Scene::new();
    let reason = refusal(&scene, Arc::new(anonymous(&scene))).await;
    assert_eq!(reason, "handshake: peer sent no certificates");
}

#[tokio::test]
async fn with_a_certificate_of_another_ca() {
    let scene = Scene::new();
    let stranger = new_ca("other").issue_system("tax", "registry", for_a_day()).unwrap();
    let reason = refusal(&scene, obstinate(&scene, &stranger, 1)).await;
    assert!(reason.contains("UnknownIssuer"), "{reason}");
}

#[tokio::test]
async fn with_a_certificate_of_another_ca_of_the_same_name() {
    let scene = Scene::new();
    let forged = new_ca("scene").issue_system("tax", "registry", for_a_day()).unwrap();
    let reason = refusal(&scene, obstinate(&scene, &forged, 1)).await;
    assert!(reason.contains("invalid peer certificate"), "{reason}");
}

#[tokio::test]
async fn with_a_certificate_that_is_the_hubs_own_kind() {
    let scene = Scene::new();
    let server = scene.ca.issue_server(&["localhost"], for_a_day()).unwrap();
    let reason = refusal(&scene, obstinate(&scene, &server, 1)).await;
    assert!(reason.contains("extended key usage"), "{reason}");
}

#[tokio::test]
async fn with_two_uris_or_with_a_cn_alone() {
    let scene = Scene::new();
    for (uris, words) in [(&["urn:a", "urn:b"][..], "2 URIs"), (&[][..], "no URI")] {
        let issued = scene.ca.issue_client("tax.registry", uris, for_a_day()).unwrap();
        let reason = refusal(&scene, obstinate(&scene, &issued, 1)).await;
        assert!(reason.contains(words) && reason.contains("exactly one must name the system"), "{reason}");
    }
}

#[tokio::test]
async fn with_a_chain_over_the_bound() {
    let scene = Scene::new();
    let issued = scene.ca.issue_system("tax", "registry", for_a_day()).unwrap();
    let reason = refusal(&scene, obstinate(&scene, &issued, 5)).await;
    assert!(reason.contains("chain of 5 certificates"), "{reason}");
    knock(&scene, obstinate(&scene, &issued, 4)).await.unwrap();
}

#[tokio::test]
async fn without_http2() {
    let scene = Scene::new();
    let mut config = (*scene.system("tax").0.config()).clone();
    config.alpn_protocols.clear();
    let reason = refusal(&scene, Arc::new(config.clone())).await;
    assert!(reason.contains("does not speak HTTP/2"), "{reason}");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    refusal(&scene, Arc::new(config)).await;
}

#[tokio::test]
async fn with_tls_1_2() {
    let scene = Scene::new();
    let (_incoming, port) = scene.listen().await;
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // A ClientHello as TLS 1.2 has it (RFC 5246, 7.4.1.2): without the extension that names later versions.
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    // No session; ECDHE-ECDSA-AES128-GCM-SHA256; no compression; extensions: P-256 only, its signature with SHA-256.
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 16, 0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3]);
    let length = u8::try_from(hello.len()).unwrap();
    tcp.write_all(&[22, 3, 1, 0, length + 4, 1, 0, 0, length]).await.unwrap();
    tcp.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    timeout(CLOSED_WITHIN, tcp.read_to_end(&mut answer)).await.unwrap().unwrap();
    // One record: a fatal alert, protocol_version (RFC 8446, 6.2).
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 70]);
}

#[tokio::test]
async fn a_handshake_that_began_before_a_reload_is_held_against_the_new_lists() {
    let scene = Scene::new();
    let (tax, serial) = scene.system("tax");
    let old = scene.state.current();
    scene.revoke(&serial);
    scene.state.reload().unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = tokio::spawn(shake(tax.config(), port));
    let (tcp, remote) = listener.accept().await.unwrap();
    let mut io = shake_hands(tcp, remote, &scene.state, old).await.unwrap();
    let _client = client.await.unwrap().unwrap();
    let error = timeout(CLOSED_WITHIN, io.read_u8()).await.expect("not closed").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
}

/// Fails as told, then accepts.
struct Failing(VecDeque<io::Error>, TcpListener);

impl Accept for Failing {
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        match self.0.pop_front() {
            Some(error) => Err(error),
            None => self.1.accept().await,
        }
    }
}

#[tokio::test]
async fn an_accept_that_fails_is_tried_again() {
    const EMFILE: i32 = 24;
    let scene = Scene::new();
    let errors = [io::Error::from_raw_os_error(EMFILE), io::ErrorKind::ConnectionAborted.into()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut incoming = Incoming::from_accept(Failing(errors.into(), listener), scene.state.clone());
    let (client, io) = tokio::join!(shake(scene.system("tax").0.config(), port), incoming.next());
    client.unwrap();
    assert_eq!(&*io.unwrap().unwrap().peer().san_uri, "urn:waybill:system:tax:registry");
}

/// Always out of descriptors; counts how often it was asked.
struct Exhausted(Arc<std::sync::atomic::AtomicUsize>);

impl Accept for Exhausted {
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Err(io::Error::from_raw_os_error(24))
    }
}

#[tokio::test(start_paused = true)]
async fn without_descriptors_accept_is_tried_ever_more_slowly() {
    let scene = Scene::new();
    let tries = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let _incoming = Incoming::from_accept(Exhausted(tries.clone()), scene.state.clone());
    tokio::time::advance(Duration::from_millis(1)).await;
    // 10, 20, 40 … 640 ms, then every second: over a minute about 66 tries, on a clock that is the test's own.
    sleep(Duration::from_mins(1)).await;
    let tries = tries.load(std::sync::atomic::Ordering::SeqCst);
    assert!((60..70).contains(&tries), "{tries}");
}
