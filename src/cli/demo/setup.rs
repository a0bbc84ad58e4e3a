//! What the demo needs before the hub starts: a folder, a development CA, certificates, keys, catalogue, configuration.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use include_dir::{Dir, include_dir};

use super::{super::printed::path_word, ports::free_addresses};
use crate::{
    catalogue::Catalogue,
    config::{Config, LedgerIdentity, MasterKeyFile},
    domain::agency::SystemId,
    domain::environment::Environment,
    tls::{
        Existing,
        authority::{Authority, Validity},
        client::ClientFiles,
        system_clock,
    },
    vault::{Random as _, SystemRandom},
};

static CATALOGUE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/deploy/demo/catalogue");
static SCHEMAS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/schemas");
/// What the catalogue says of benefit besides, when benefit is on Kafka.
const BENEFIT_ON_KAFKA: &str = include_str!("../../../deploy/demo/kafka/benefit.toml");
const BENEFIT: &str = "agencies/benefit.toml";

/// The CA and every certificate of the demo.
const CERTIFICATE_TERM: Duration = Duration::from_hours(24 * 30);

/// Everything that the demo has laid out.
pub struct Place {
    /// Its folder.
    pub folder: PathBuf,
    /// The configuration's file.
    pub config_file: PathBuf,
    /// The configuration, loaded from it.
    pub config: Config,
    /// Where systems connect.
    pub address: SocketAddr,
    /// The ledger's verifier key (C2SP).
    pub verifier_key: String,
    /// Certificates of the catalogue's systems.
    certificates: BTreeMap<SystemId, ClientFiles>,
}

impl Place {
    /// Lays everything out in `folder`, which must be empty or not there.
    pub fn lay_out(folder: &Path) -> anyhow::Result<Self> {
        Self::lay_out_on(folder, None)
    }

    /// The same with benefit on Kafka, if brokers are named.
    pub fn lay_out_on(folder: &Path, bootstrap: Option<&str>) -> anyhow::Result<Self> {
        if folder.read_dir().is_ok_and(|mut inside| inside.next().is_some()) {
            anyhow::bail!("{} is not empty: name another folder with --data, or remove it", folder.display());
        }
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let folder = &folder.canonicalize()?;
        let (catalogue_dir, schemas_dir) = (folder.join("catalogue"), folder.join("schemas"));
        unpack(&CATALOGUE, &catalogue_dir)?;
        unpack(&SCHEMAS, &schemas_dir)?;
        if bootstrap.is_some() {
            write_benefit(&catalogue_dir, true)?;
        }
        let catalogue = load(&catalogue_dir, &schemas_dir)?;

        let keys = folder.join("keys");
        fs::create_dir_all(&keys)?;
        let now = system_clock()();
        let ca = Authority::create("Waybill demo", Validity::starting(now, CERTIFICATE_TERM))?;
        ca.save(&keys)?;
        let valid = || Validity::starting(now, CERTIFICATE_TERM);
        ca.issue_server(&["localhost", "127.0.0.1"], valid())?.save(&keys, "hub", Existing::Keep)?;
        let mut certificates = BTreeMap::new();
        for system in catalogue.systems() {
            let (agency, name) = system.id.as_str().split_once('/').unwrap_or((system.id.as_str(), ""));
            let stem = format!("{agency}-{name}");
            ca.issue_system(agency, name, valid())?.save(&keys, &stem, Existing::Keep)?;
            let files = ClientFiles {
                ca: keys.join("ca.pem"),
                certificate: keys.join(format!("{stem}.pem")),
                key: keys.join(format!("{stem}.key.pem")),
            };
            certificates.insert(system.id.clone(), files);
        }
        let mut random = [0; 64];
        SystemRandom.fill(&mut random);
        let (master, seed) = random.split_at(32);
        MasterKeyFile::write(&keys.join("master.key"), master.try_into().expect("half of 64 bytes is 32"))?;
        let seed: &[u8; 32] = seed.try_into().expect("half of 64 bytes is 32");
        let identity =
            LedgerIdentity::create(&keys.join("ledger.key"), "demo.waybill.invalid", Environment::Demo, seed)?;

        let [address, metrics] = free_addresses()?;
        let config_file = folder.join("waybill.toml");
        let kafka = bootstrap.map(kafka_text).unwrap_or_default();
        fs::write(&config_file, config_text(address, metrics) + &kafka)?;
        let config = Config::load(&config_file)?;
        Ok(Self {
            verifier_key: identity.verifier_key(),
            folder: folder.clone(),
            config_file,
            config,
            address,
            certificates,
        })
    }

    /// The certificates of a system.
    pub fn certificates(&self, system: &str) -> anyhow::Result<&ClientFiles> {
        let id = SystemId::new(system)?;
        self.certificates.get(&id).with_context(|| format!("the demo's catalogue has no system {system}"))
    }

    /// The catalogue as its folder has it now.
    pub fn catalogue(&self) -> anyhow::Result<Catalogue> {
        load(&self.config.paths.catalogue, &self.config.paths.schemas())
    }

    /// Rewrites what the catalogue says of benefit on Kafka: whether it receives there now. The hub takes it when it is
    /// published.
    pub fn let_benefit_receive(&self, receives: bool) -> anyhow::Result<()> {
        write_benefit(&self.config.paths.catalogue, receives)
    }

    /// What a shell needs to be told to call the hub as `system`.
    pub fn shell(&self, system: &str) -> anyhow::Result<String> {
        let files = self.certificates(system)?;
        Ok(format!(
            "export WAYBILL_HUB=https://localhost:{} WAYBILL_CA={} WAYBILL_CERT={} WAYBILL_KEY={}",
            self.address.port(),
            path_word(&files.ca),
            path_word(&files.certificate),
            path_word(&files.key)
        ))
    }
}

fn load(catalogue: &Path, schemas: &Path) -> anyhow::Result<Catalogue> {
    Catalogue::load(catalogue, schemas).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the demo's own catalogue: {}", lines.join("\n"))
    })
}

fn write_benefit(catalogue: &Path, receives: bool) -> anyhow::Result<()> {
    let without = CATALOGUE.get_file(BENEFIT).and_then(include_dir::File::contents_utf8);
    let mut text = without.with_context(|| format!("the demo's catalogue has no {BENEFIT}"))?.to_owned();
    for line in BENEFIT_ON_KAFKA.lines().filter(|line| receives || !line.starts_with("receives")) {
        text.push_str(line);
        text.push('\n');
    }
    Ok(fs::write(catalogue.join(BENEFIT), text)?)
}

fn unpack(from: &Dir<'_>, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    from.extract(to).with_context(|| to.display().to_string())
}

fn config_text(grpc: SocketAddr, metrics: SocketAddr) -> String {
    format!(
        r#"# The demo's hub. Paths are relative to this file.
environment = "demo"
hub = "demo.waybill.invalid"

[paths]
data = "data"
catalogue = "catalogue"
schemas = "schemas"

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
"#
    )
}

fn kafka_text(bootstrap: &str) -> String {
    let bootstrap = toml::Value::String(bootstrap.to_owned());
    format!(
        r"
[kafka]
bootstrap = {bootstrap}
plaintext = true
# One broker suffices for a demo.
topics = {{ partitions = 4, replication = 1, min_insync = 1 }}
"
    )
}
