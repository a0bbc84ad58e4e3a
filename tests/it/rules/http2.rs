//! The bounds of a connection, seen by a peer that writes HTTP/2 (RFC 9113) by hand over mutual TLS.

use std::{collections::HashMap, time::Duration};

use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use waybill::config::Limits;

use crate::scene::Scene;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
/// A type that nobody knows: such a frame is passed over.
const UNKNOWN: u8 = 0xfa;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const NO_ERROR: u32 = 0;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Takes no message before it has one: a call of it that sends nothing stays open.
const OPEN: &str = "/waybill.v1.ExchangeService/Receive";

#[derive(Debug)]
struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// The number at `place` of its payload.
    fn number(&self, place: usize) -> u32 {
        u32::from_be_bytes(self.payload[place..place + 4].try_into().unwrap())
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A call's headers (RFC 7541, literals that are not indexed), and how HTTP/2 counts their size. Without a path they are
/// no request.
fn headers(path: Option<&str>, padding: usize) -> (Vec<u8>, usize) {
    let (mut block, mut size) = (vec![0x83, 0x87], 7 + 4 + 32 + 7 + 5 + 32); // :method POST, :scheme https
    let mut literal = |name: &str, value: &str| {
        block.push(0);
        for text in [name, value] {
            if text.len() < 127 {
                block.push(text.len() as u8);
            } else {
                block.push(127);
                let mut rest = text.len() - 127;
                while rest >= 128 {
                    block.push((rest % 128 + 128) as u8);
                    rest /= 128;
                }
                block.push(rest as u8);
            }
            block.extend(text.bytes());
        }
        size += name.len() + value.len() + 32;
    };
    if let Some(path) = path {
        literal(":path", path);
    }
    literal(":authority", "localhost");
    literal("content-type", "application/grpc");
    literal("te", "trailers");
    literal("x-padding", &"x".repeat(padding));
    (block, size)
}

/// A peer that answers pings, unless it is told not to.
pub struct Wire {
    io: TlsStream<TcpStream>,
    pongs: bool,
}

impl Wire {
    pub async fn connect(scene: &Scene) -> Self {
        let tcp = TcpStream::connect(("localhost", scene.hub.address().port())).await.unwrap();
        let connector = TlsConnector::from(scene.tls("benefit/claims").config());
        let mut io = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
        io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut wire = Self { io, pongs: true };
        wire.send(&frame(SETTINGS, 0, 0, &[])).await;
        wire
    }

    /// All at once: in one record of TLS, if it fits.
    async fn send(&mut self, frames: &[u8]) {
        self.io.write_all(frames).await.unwrap();
        self.io.flush().await.unwrap();
    }

    async fn call(&mut self, stream: u32) {
        self.send(&frame(HEADERS, END_HEADERS, stream, &headers(Some(OPEN), 0).0)).await;
    }

    /// The next frame that is not a ping; nothing when the hub has closed the connection.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.io.read_exact(&mut head).await.ok()?;
            let [a, b, c, kind, flags, stream @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.io.read_exact(&mut payload).await.ok()?;
            if kind != PING || flags == ACK {
                return Some(Frame { kind, stream: u32::from_be_bytes(stream), payload });
            }
            if self.pongs && self.io.write_all(&frame(PING, ACK, 0, &payload)).await.is_err() {
                return None;
            }
        }
    }

    /// The next frame of this type, others passed over.
    async fn wait_for(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("closed before a frame of type {kind}"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Whether the connection is well: a ping is answered. Else the reason that the hub gives for its end.
    pub async fn verdict(&mut self) -> Result<(), u32> {
        let _ = self.io.write_all(&frame(PING, 0, 0, b"are you?")).await; // it may have been closed
        loop {
            match self.next().await {
                Some(frame) if frame.kind == PING => return Ok(()),
                Some(frame) if frame.kind == GOAWAY => return Err(frame.number(4)),
                Some(_) => {}
                None => panic!("closed without a reason"),
            }
        }
    }

    /// Whether it stays open for so long.
    async fn lasts(&mut self, time: Duration) -> bool {
        timeout(time, async { while self.next().await.is_some() {} }).await.is_err()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_the_bounds_of_the_configuration() {
    let limits = Limits {
        http2_streams_max: 5,
        http2_stream_window_bytes_max: 70_000,
        http2_connection_window_bytes_max: 100_000,
        http2_frame_bytes_max: 20_000,
        http2_header_bytes_max: 5_000,
        ..Limits::default()
    };
    let scene = Scene::with_limits(limits).await;
    let mut wire = Wire::connect(&scene).await;
    let settings = wire.wait_for(SETTINGS).await;
    let pairs = settings.payload.chunks(6).map(|pair| (pair[1], u32::from_be_bytes(pair[2..].try_into().unwrap())));
    let told: HashMap<u8, u32> = pairs.collect();
    // MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE
    assert_eq!([3, 4, 5, 6].map(|id| told[&id]), [5, 70_000, 20_000, 5_000]);
    let window = wire.wait_for(WINDOW_UPDATE).await;
    assert_eq!((window.stream, 65_535 + window.number(0)), (0, 100_000), "of the connection");

    wire.send(&frame(UNKNOWN, 0, 0, &vec![0; 20_000])).await;
    assert_eq!(wire.verdict().await, Ok(()));
    for stream in [1, 3, 5, 7, 9] {
        wire.call(stream).await;
    }
    assert_eq!(wire.verdict().await, Ok(()), "five calls are open");
    wire.call(11).await;
    let refused = wire.wait_for(RST_STREAM).await;
    assert_eq!((refused.stream, refused.number(0)), (11, REFUSED_STREAM));
    wire.send(&frame(UNKNOWN, 0, 0, &vec![0; 20_001])).await;
    assert_eq!(wire.verdict().await, Err(FRAME_SIZE_ERROR));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_taken_up_to_their_bound() {
    let scene = Scene::with_limits(Limits { http2_header_bytes_max: 5_000, ..Limits::default() }).await;
    let mut wire = Wire::connect(&scene).await;
    let bare = headers(Some("/nowhere"), 0).1;
    for (stream, size, taken) in [(1, 4_999, true), (3, 5_001, false)] {
        let (block, counted) = headers(Some("/nowhere"), size - bare);
        assert_eq!(counted, size);
        wire.send(&frame(HEADERS, END_HEADERS, stream, &block)).await;
        let answer = wire.wait_for(HEADERS).await;
        // 200 is the first of its block when the call was looked at; else it says 431.
        assert_eq!((answer.stream, answer.payload[0] == 0x88), (stream, taken), "{size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_makes_calls_only_to_have_them_reset_is_sent_away() {
    let limits = Limits { http2_pending_resets_max: 4, http2_local_resets_max: 4, ..Limits::default() };
    let scene = Scene::with_limits(limits).await;
    let streams = |count: u32| (0..count).map(|number| 2 * number + 1);
    let reset_by_peer = |stream| {
        let opened = frame(HEADERS, END_HEADERS, stream, &headers(Some(OPEN), 0).0);
        [opened, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
    };
    let reset_by_hub = |stream| frame(HEADERS, END_HEADERS, stream, &headers(None, 0).0);
    for (count, verdict) in [(4, Ok(())), (5, Err(ENHANCE_YOUR_CALM))] {
        let mut wire = Wire::connect(&scene).await;
        wire.send(&streams(count).flat_map(reset_by_peer).collect::<Vec<u8>>()).await;
        assert_eq!(wire.verdict().await, verdict, "{count} that the peer took back");
        let mut wire = Wire::connect(&scene).await;
        wire.send(&streams(count).flat_map(reset_by_hub).collect::<Vec<u8>>()).await;
        assert_eq!(wire.verdict().await, verdict, "{count} that were none");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_leaves_pings_unanswered_is_closed_and_one_that_answers_them_is_not() {
    let limits =
        Limits { silent_s_max: Duration::from_secs(1), ping_s_max: Duration::from_secs(4), ..Limits::default() };
    let scene = Scene::with_limits(limits).await;
    let mut well = Wire::connect(&scene).await;
    let mut gone = Wire::connect(&scene).await;
    gone.pongs = false;
    let begun = Instant::now();
    let (lasts, closed) = tokio::join!(well.lasts(Duration::from_secs(7)), async {
        while gone.next().await.is_some() {}
        begun.elapsed()
    });
    assert!(lasts, "it answers");
    let defaults = Limits::default();
    assert!(
        closed >= Duration::from_millis(4900) && closed < defaults.silent_s_max + defaults.ping_s_max,
        "{closed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_calls_is_closed_in_order_and_one_with_an_open_call_is_not() {
    const IDLE: Duration = Duration::from_secs(2);
    let scene = Scene::with_limits(Limits { idle_s_max: IDLE, ..Limits::default() }).await;
    let as_long = |begun: Instant| (IDLE..Limits::default().idle_s_max).contains(&begun.elapsed());
    let begun = Instant::now();
    let mut idle = Wire::connect(&scene).await;
    let mut calling = Wire::connect(&scene).await;
    calling.call(1).await;
    assert_eq!(idle.wait_for(GOAWAY).await.number(4), NO_ERROR);
    while idle.next().await.is_some() {}
    assert!(as_long(begun), "{:?}", begun.elapsed());

    assert!(calling.lasts(Duration::from_secs(3)).await, "a call is open");
    let ended = Instant::now();
    calling.send(&frame(RST_STREAM, 0, 1, &8u32.to_be_bytes())).await;
    assert_eq!(calling.wait_for(GOAWAY).await.number(4), NO_ERROR);
    assert!(as_long(ended), "its idleness begins with the end of its last call: {:?}", ended.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_does_not_notice_that_its_idle_connection_was_closed() {
    let scene = Scene::with_limits(Limits { idle_s_max: Duration::from_secs(1), ..Limits::default() }).await;
    for _ in 0..3 {
        scene.push(scene.record(0, "identity/address")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
}
