//! The scene of the TLS tests: a CA, a hub on loopback that echoes, clients, and a clock that only the test moves.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls_pki_types::{ServerName, UnixTime};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::StreamExt;

use crate::tls::authority::{Authority, Issued, Serial, Validity};
use crate::tls::client::{ClientFiles, ClientTls};
use crate::tls::{Clock, Existing, Incoming, PeerIo, TlsFiles, TlsLimits, TlsState, write_public};

/// Where the tests' clock starts: in 2027.
pub(in crate::tls) const START: u64 = 1_800_000_000;
/// How soon a connection that no longer passes must be closed.
pub(in crate::tls) const CLOSED_WITHIN: Duration = Duration::from_secs(5);
pub(in crate::tls) const DAY: Duration = Duration::from_hours(24);

pub(in crate::tls) type Client = BufReader<TlsStream<TcpStream>>;

pub(in crate::tls) struct Scene {
    pub(in crate::tls) folder: TempDir,
    pub(in crate::tls) ca: Authority,
    pub(in crate::tls) seconds: Arc<AtomicU64>,
    pub(in crate::tls) state: Arc<TlsState>,
}

pub(in crate::tls) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

pub(in crate::tls) fn for_a_day() -> Validity {
    Validity::starting(at(START), DAY)
}

pub(in crate::tls) fn new_ca(name: &str) -> Authority {
    Authority::create(name, Validity::starting(at(START), 30 * DAY)).unwrap()
}

/// More than any test needs.
pub(in crate::tls) fn limits() -> TlsLimits {
    TlsLimits {
        handshakes_max: 256,
        handshake_timeout: Duration::from_secs(10),
        first_bytes_timeout: Duration::from_secs(10),
        connections_max: 4096,
        connections_per_system_max: 64,
    }
}

impl Scene {
    pub(in crate::tls) fn new() -> Self {
        Self::with(limits())
    }

    /// A hub with an empty revocation list.
    pub(in crate::tls) fn with(limits: TlsLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = new_ca("scene");
        ca.save(folder.path()).unwrap();
        let server = ca.issue_server(&["localhost", "127.0.0.1"], for_a_day()).unwrap();
        server.save(folder.path(), "hub", Existing::Replace).unwrap();
        let list = ca.revoke(None, &[], for_a_day()).unwrap();
        write_public(&folder.path().join("crl.pem"), list.as_bytes(), Existing::Replace).unwrap();
        let seconds = Arc::new(AtomicU64::new(START));
        let state = TlsState::load(files(&folder), limits, clock(&seconds)).unwrap();
        Self { folder, ca, seconds, state }
    }

    pub(in crate::tls) fn clock(&self) -> Clock {
        clock(&self.seconds)
    }

    pub(in crate::tls) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file in place of another, as an operator would.
    pub(in crate::tls) fn put(&self, name: &str, content: &str) {
        write_public(&self.path(name), content.as_bytes(), Existing::Replace).unwrap();
    }

    pub(in crate::tls) fn revoke(&self, serial: &Serial) {
        let previous = fs::read_to_string(self.path("crl.pem")).unwrap();
        let list = self.ca.revoke(Some(&previous), std::slice::from_ref(serial), for_a_day()).unwrap();
        self.put("crl.pem", &list);
    }

    /// A system of the scene's CA, valid for a day.
    pub(in crate::tls) fn system(&self, agency: &str) -> (ClientTls, Serial) {
        let issued = self.ca.issue_system(agency, "registry", for_a_day()).unwrap();
        (self.client(&issued), issued.serial)
    }

    pub(in crate::tls) fn client(&self, issued: &Issued) -> ClientTls {
        let stem = issued.serial.to_string();
        let (certificate, key) = issued.save(self.folder.path(), &stem, Existing::Replace).unwrap();
        ClientTls::load(&ClientFiles { ca: self.path("ca.pem"), certificate, key }, &self.clock()).unwrap()
    }

    /// Serves each connection: a line with its system's name, then everything back. Returns the port.
    pub(in crate::tls) async fn serve(&self) -> (u16, JoinHandle<()>) {
        let (mut incoming, port) = self.listen().await;
        let serving = tokio::spawn(async move {
            while let Some(io) = incoming.next().await {
                tokio::spawn(echo(io.unwrap()));
            }
        });
        (port, serving)
    }

    pub(in crate::tls) async fn listen(&self) -> (Incoming, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (Incoming::start(listener, self.state.clone()), port)
    }
}

async fn echo(mut io: PeerIo) -> std::io::Result<()> {
    let greeting = format!("{}\n", io.peer().san_uri);
    io.write_all(greeting.as_bytes()).await?;
    io.flush().await?;
    let mut buffer = [0; 1024];
    loop {
        let read = io.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        io.write_all(&buffer[..read]).await?;
        io.flush().await?;
    }
}

fn files(folder: &TempDir) -> TlsFiles {
    let path = |name| folder.path().join(name);
    TlsFiles {
        certificate: path("hub.pem"),
        key: path("hub.key.pem"),
        client_ca: path("ca.pem"),
        crls: vec![path("crl.pem")],
        refuse_development_ca: false,
    }
}

fn clock(seconds: &Arc<AtomicU64>) -> Clock {
    let seconds = seconds.clone();
    Arc::new(move || at(seconds.load(Ordering::SeqCst)))
}

pub(in crate::tls) async fn shake(
    config: Arc<rustls::ClientConfig>,
    port: u16,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), tcp).await
}

/// Connects and waits for the greeting: only then has the hub let us in. Returns the name that it knows us by.
pub(in crate::tls) async fn dial(config: Arc<rustls::ClientConfig>, port: u16) -> std::io::Result<(String, Client)> {
    let mut client = BufReader::new(shake(config, port).await?);
    let mut line = String::new();
    match client.read_line(&mut line).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok((line.trim_end().to_owned(), client)),
    }
}

/// Sends and gets back the same bytes.
pub(in crate::tls) async fn round_trip(client: &mut Client) -> std::io::Result<()> {
    client.write_all(b"ping").await?;
    client.flush().await?;
    let mut answer = [0; 4];
    client.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"ping");
    Ok(())
}

/// Waits until the hub has closed the connection.
pub(in crate::tls) async fn closed(client: &mut Client) {
    let mut rest = Vec::new();
    // An error and an orderly end are both a close.
    let _ = timeout(CLOSED_WITHIN, client.read_to_end(&mut rest)).await.expect("not closed in time");
    assert!(rest.is_empty());
}
