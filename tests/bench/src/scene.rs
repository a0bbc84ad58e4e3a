//! What a run needs on disk: catalogue, development CA, certificates, keys and configurations, in a folder of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use waybill::{
    cli::demo::ports::free_addresses,
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

/// What the catalogue says of those on Kafka.
const ON_KAFKA: [(&str, &str); 2] =
    [("tax", "submits = \"tax/registry\""), ("archive", "receives = \"archive/archive\"")];

/// Where everything lies, and where the servers listen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scene {
    folder: PathBuf,
    /// The hub that is compared with the echo.
    pub hub: SocketAddr,
    /// The echo.
    pub echo: SocketAddr,
    /// The hub that grows, and its metrics.
    pub growing: SocketAddr,
    pub growing_metrics: SocketAddr,
    /// Where the first hub's metrics are read.
    pub metrics: SocketAddr,
    /// The hub between Kafka and Kafka, and its metrics.
    pub kafka: SocketAddr,
    pub kafka_metrics: SocketAddr,
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
    /// Agencies submit and receive on Kafka.
    Kafka,
    /// The same, before it knows of Kafka: what it accepts for those agencies piles up.
    BeforeKafka,
}

impl Scene {
    /// Lays everything out in `folder`.
    pub fn lay_out(folder: &Path, people: u64) -> anyhow::Result<Self> {
        let [hub, echo, growing, metrics, growing_metrics, kafka, kafka_metrics] = free_addresses()?;
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

        let folder = folder.to_owned();
        let scene = Self { folder, hub, echo, growing, growing_metrics, metrics, kafka, kafka_metrics, people };
        fs::write(scene.config(Hub::Compared), config(&catalogue(), "data", hub, metrics, ""))?;
        // A small cache of blocks, which is full early.
        fs::write(
            scene.config(Hub::Growing),
            config(&catalogue(), "data-growing", growing, growing_metrics, "[store]\ncache_bytes = 16777216\n"),
        )?;
        fs::write(scene.file(), serde_json::to_vec(&scene)?)?;
        Ok(scene)
    }

    /// Lays out the hub between Kafka and Kafka, once it is known where that listens.
    pub fn lay_out_kafka(&self, bootstrap: &str) -> anyhow::Result<()> {
        let folder = self.folder.join("catalogue-kafka");
        copy(&catalogue(), &folder)?;
        for (agency, ends) in ON_KAFKA {
            let file = folder.join(format!("agencies/{agency}.toml"));
            let text = fs::read_to_string(&file)?;
            fs::write(&file, format!("{text}\n[kafka]\n{ends}\n"))?;
        }
        let kafka = format!("[kafka]\nbootstrap = \"{bootstrap}\"\nplaintext = true\n");
        for (hub, rest) in [(Hub::Kafka, kafka.as_str()), (Hub::BeforeKafka, "")] {
            let text = config(&folder, "data-kafka", self.kafka, self.kafka_metrics, rest);
            fs::write(self.config(hub), text)?;
        }
        Ok(())
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
            Hub::Kafka => "kafka.toml",
            Hub::BeforeKafka => "before-kafka.toml",
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
        let (certificate, key, client_ca) = (file("hub.pem"), file("hub.key.pem"), file("ca.pem"));
        TlsFiles { certificate, key, client_ca, crls: Vec::new(), refuse_development_ca: false }
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

/// Copies a folder with those in it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn config(catalogue: &Path, data: &str, grpc: SocketAddr, metrics: SocketAddr, rest: &str) -> String {
    let schemas = schemas();
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
