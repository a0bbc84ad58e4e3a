//! What a run needs on disk: catalogue, development CA, certificates, keys and configurations, in a folder of its own.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use waybill::{
    config::{LedgerIdentity, MasterKeyFile},
    domain::environment::Environment,
    tls::{
        Existing, TlsFiles,
        authority::{Authority, Validity},
        client::ClientFiles,
        system_clock,
    },
    vault::{Random as _, SystemRandom},
};

const HUB: &str = "bench.waybill.invalid";
const TERM: Duration = Duration::from_hours(24 * 7);
/// Who submits, who only piles up, and who takes deliveries.
const SYSTEMS: [(&str, &str); 4] =
    [("tax", "registry"), ("archive", "archive"), ("benefit", "claims"), ("pension", "claims")];

/// Where everything lies, and where the servers listen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scene {
    folder: PathBuf,
    /// The hub that is compared with the echo.
    pub hub: SocketAddr,
    /// The echo.
    pub echo: SocketAddr,
    /// The hub that grows.
    pub growing: SocketAddr,
    /// Where the first hub's metrics are read.
    pub metrics: SocketAddr,
    /// How many people records are about.
    pub people: u64,
}

/// Which hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hub {
    /// Compared with the echo.
    Compared,
    /// Grows, with the smallest cache of blocks.
    Growing,
}

impl Scene {
    /// Lays everything out in `folder`.
    pub fn lay_out(folder: &Path, people: u64) -> anyhow::Result<Self> {
        let [hub, echo, growing, metrics, growing_metrics] = free_addresses()?;
        let keys = folder.join("keys");
        fs::create_dir_all(&keys)?;
        let now = system_clock()();
        let valid = || Validity::starting(now, TERM);
        let ca = Authority::create("Waybill bench", valid())?;
        ca.save(&keys)?;
        ca.issue_server(&["localhost", "127.0.0.1"], valid())?.save(&keys, "hub", Existing::Keep)?;
        for (agency, system) in SYSTEMS {
            ca.issue_system(agency, system, valid())?.save(&keys, agency, Existing::Keep)?;
        }
        let mut random = [0; 64];
        SystemRandom.fill(&mut random);
        let (master, seed) = random.split_first_chunk().context("64 bytes begin with 32")?;
        MasterKeyFile::write(&keys.join("master.key"), master)?;
        LedgerIdentity::create(
            &keys.join("ledger.key"),
            HUB,
            Environment::Test,
            seed.first_chunk().context("32 follow")?,
        )?;

        let scene = Self { folder: folder.to_owned(), hub, echo, growing, metrics, people };
        fs::write(scene.config(Hub::Compared), config("data", hub, metrics, ""))?;
        // A cache that is full from the beginning does not look like growth.
        fs::write(
            scene.config(Hub::Growing),
            config("data-growing", growing, growing_metrics, "[store]\ncache_bytes = 16777216\n"),
        )?;
        fs::write(scene.file(), serde_json::to_vec(&scene)?)?;
        Ok(scene)
    }

    /// Reads what [`Self::lay_out`] has laid out.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(file)?)?)
    }

    /// The file that says where everything is.
    pub fn file(&self) -> PathBuf {
        self.folder.join("scene.json")
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A hub's configuration.
    pub fn config(&self, hub: Hub) -> PathBuf {
        self.folder.join(match hub {
            Hub::Compared => "waybill.toml",
            Hub::Growing => "growing.toml",
        })
    }

    /// The certificates of an agency's system.
    pub fn client(&self, agency: &str) -> ClientFiles {
        let file = |name: String| self.folder.join("keys").join(name);
        ClientFiles {
            ca: file("ca.pem".into()),
            certificate: file(format!("{agency}.pem")),
            key: file(format!("{agency}.key.pem")),
        }
    }

    /// The certificates of the servers.
    pub fn server(&self) -> TlsFiles {
        let file = |name: &str| self.folder.join("keys").join(name);
        TlsFiles { certificate: file("hub.pem"), key: file("hub.key.pem"), client_ca: file("ca.pem"), crls: Vec::new() }
    }
}

/// The catalogue's folder, in the sources.
pub fn catalogue() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("catalogue")
}

/// The schemas' folder, in the sources.
pub fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

/// Addresses that are free now, all of them different.
fn free_addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let listeners: Vec<_> = (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    let addresses: Vec<_> = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    addresses.try_into().map_err(|_| anyhow::anyhow!("as many addresses as listeners"))
}

fn config(data: &str, grpc: SocketAddr, metrics: SocketAddr, rest: &str) -> String {
    let (catalogue, schemas) = (catalogue(), schemas());
    format!(
        r#"environment = "test"
hub = "{HUB}"

[paths]
data = "{data}"
catalogue = "{}"
schemas = "{}"

[grpc]
listen = "{grpc}"

[tls]
certificate = "keys/hub.pem"
key = "keys/hub.key.pem"
client_ca = "keys/ca.pem"

[keys]
master = "keys/master.key"
ledger = "keys/ledger.key"

[metrics]
listen = "{metrics}"

[log]
filter = "warn"

{rest}"#,
        catalogue.display(),
        schemas.display()
    )
}
