//! How many may knock at once, how long they may take, and how many are let in: bounds that hold before anything is said.
//! What is said then is `http2.rs`. Time itself is the subject of some, so they take a second or two.

use std::{
    io,
    time::{Duration, Instant},
};

use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use waybill::config::Limits;

use super::http2::Wire;
use crate::scene::Scene;

/// How HTTP/2 begins: the preface, and settings without any.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// How long a test looks on while nothing should happen.
const WHILE: Duration = Duration::from_millis(300);
/// A limit of time, far from its default, and far longer than a busy machine needs for what it bounds.
const LIMIT: Duration = Duration::from_secs(3);

async fn knock(scene: &Scene) -> TcpStream {
    TcpStream::connect(("localhost", scene.hub.address().port())).await.unwrap()
}

async fn shake(scene: &Scene, system: &str, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(scene.tls(system).config());
    connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await
}

/// Whether the hub speaks HTTP/2 with it.
async fn is_served(io: &mut TlsStream<TcpStream>) -> bool {
    let _ = io.write_all(HELLO).await; // it may have been closed
    io.read_exact(&mut [0; 9]).await.is_ok()
}

async fn let_in(scene: &Scene, system: &str) -> Option<TlsStream<TcpStream>> {
    let mut io = shake(scene, system, knock(scene).await).await.ok()?;
    is_served(&mut io).await.then_some(io)
}

/// How long it takes until the hub closes it, whatever it says before.
async fn closed_after(io: &mut (impl tokio::io::AsyncRead + Unpin), begun: Instant) -> Duration {
    let _ = io.read_to_end(&mut Vec::new()).await; // it may be reset
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_shake_hands_at_once_as_the_limit_says() {
    for handshakes_max in [1, 2] {
        let handshake_ms_max = Duration::from_secs(60);
        let scene = Scene::with_limits(Limits { handshakes_max, handshake_ms_max, ..Limits::default() }).await;
        let mut silent = Vec::new();
        for _ in 1..handshakes_max {
            silent.push(knock(&scene).await);
        }
        assert!(let_in(&scene, "tax/registry").await.is_some(), "there is a place beside {}", silent.len());
        silent.push(knock(&scene).await);
        let mut waits = Box::pin(let_in(&scene, "tax/registry"));
        assert!(timeout(WHILE, &mut waits).await.is_err(), "there is none beside {handshakes_max}");
        silent.pop();
        assert!(waits.await.is_some(), "one has left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_may_take_as_long_as_the_limit_says() {
    let scene = Scene::with_limits(Limits { handshake_ms_max: LIMIT, ..Limits::default() }).await;
    let begun = Instant::now();
    let (mut silent, slow) = (knock(&scene).await, knock(&scene).await);
    let slow = async {
        sleep(LIMIT / 4).await;
        is_served(&mut shake(&scene, "tax/registry", slow).await.unwrap()).await
    };
    let (closed, served) = tokio::join!(closed_after(&mut silent, begun), slow);
    assert!(closed >= LIMIT && closed < Limits::default().handshake_ms_max, "{closed:?}");
    assert!(served, "within the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_may_take_as_long_as_the_limit_says_until_it_speaks() {
    let scene = Scene::with_limits(Limits { first_bytes_ms_max: LIMIT, ..Limits::default() }).await;
    let mut spoke = Wire::connect(&scene).await;
    let begun = Instant::now();
    let mut silent = shake(&scene, "tax/registry", knock(&scene).await).await.unwrap();
    let mut slow = shake(&scene, "tax/registry", knock(&scene).await).await.unwrap();
    let slow = async {
        sleep(LIMIT / 4).await;
        is_served(&mut slow).await
    };
    let mut stopped = shake(&scene, "benefit/claims", knock(&scene).await).await.unwrap();
    stopped.write_all(&HELLO[..23]).await.unwrap();
    let (closed, left, served) =
        tokio::join!(closed_after(&mut silent, begun), closed_after(&mut stopped, begun), slow);
    for closed in [closed, left] {
        assert!(closed >= LIMIT && closed < Limits::default().first_bytes_ms_max, "{closed:?}");
    }
    assert!(served, "within the time");
    assert_eq!(spoke.verdict().await, Ok(()), "who has spoken may be silent for longer");
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_connections_are_let_in_as_the_limits_say() {
    let limits = Limits { connections_max: 3, connections_per_system_max: 2, ..Limits::default() };
    let scene = Scene::with_limits(limits).await;
    let first = let_in(&scene, "tax/registry").await;
    let second = let_in(&scene, "tax/registry").await;
    assert!(first.is_some() && second.is_some(), "two of one system");
    assert!(let_in(&scene, "tax/registry").await.is_none(), "a third of it");
    let other = let_in(&scene, "benefit/claims").await;
    assert!(other.is_some(), "three in all");
    assert!(let_in(&scene, "identity/registry").await.is_none(), "a fourth");
}
