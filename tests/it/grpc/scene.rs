//! The scene: a hub on loopback with the demo's catalogue, and agency systems with certificates of its CA.

use std::{path::Path, sync::Arc, time::Duration};

use rustls_pki_types::UnixTime;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use waybill::{
    app::{Core, Surroundings, grpc_limits, relay_limits, tls_limits},
    catalogue::Catalogue,
    cli::demo::population::{Population, Record},
    config::Limits,
    domain::environment::Environment,
    ingress::grpc::{GrpcLimits, GrpcParts, GrpcServer},
    ledger::{Origin, SignerKey, VerifierKey},
    relay::Registry,
    sequencer::Signing,
    store::embedded::EmbeddedOptions,
    tls::{
        Existing, Incoming, TlsFiles, TlsState,
        authority::{Authority, Validity},
        client::{ClientFiles, ClientTls, connect, endpoint},
        system_clock,
    },
    vault::{MasterKey, SystemRandom},
};
use waybill_proto::v1;

const DAY: Duration = Duration::from_hours(24);

pub struct Hub {
    pub core: Core,
    pub people: Population,
    pub verifier: VerifierKey,
    pub stopping: CancellationToken,
    pub serving: JoinHandle<()>,
    address: String,
    ca: Authority,
    folder: TempDir,
}

impl Hub {
    pub async fn start() -> Self {
        Self::with(&Limits::default(), grpc_limits(&Limits::default())).await
    }

    pub async fn with(limits: &Limits, grpc: GrpcLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (core, verifier) = core(folder.path(), limits).await;
        let validity = Validity::starting(UnixTime::now(), DAY);
        let ca = Authority::create("test", Validity::starting(UnixTime::now(), 2 * DAY)).unwrap();
        ca.save(folder.path()).unwrap();
        let (certificate, key) =
            ca.issue_server(&["localhost"], validity).unwrap().save(folder.path(), "hub", Existing::Replace).unwrap();
        let client_ca = folder.path().join("ca.pem");
        let files = TlsFiles { certificate, key, client_ca, crls: Vec::new(), refuse_development_ca: false };
        let state = TlsState::load(files, tls_limits(&Limits::default()), system_clock()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let parts = GrpcParts {
            desk: Arc::clone(&core.desk),
            relay: Registry::new(Arc::clone(&core.desk), relay_limits(&Limits::default()), Arc::new(SystemRandom)),
            load: Arc::new(|| Err("this scene's catalogue does not change".into())),
            verifier: verifier.clone(),
            limits: grpc,
        };
        let stopping = CancellationToken::new();
        let serving = GrpcServer::new(parts).serve(Incoming::start(listener, state), stopping.clone());
        let serving = tokio::spawn(serving);
        let people = Population::generate(1, 120);
        Self { core, people, verifier, stopping, serving, address, ca, folder }
    }

    /// A connection as `agency/system`.
    pub async fn connect(&self, agency: &str, system: &str) -> Channel {
        let issued = self.ca.issue_system(agency, system, Validity::starting(UnixTime::now(), DAY)).unwrap();
        let stem = format!("{agency}-{system}");
        let (certificate, key) = issued.save(self.folder.path(), &stem, Existing::Replace).unwrap();
        let files = ClientFiles { ca: self.folder.path().join("ca.pem"), certificate, key };
        let tls = ClientTls::load(&files, &system_clock()).unwrap();
        connect(&endpoint(&self.address).unwrap(), &tls).await.unwrap()
    }

    /// Somebody's current address.
    pub fn address_of(&self, citizen: usize) -> v1::Submission {
        submission(&self.people.citizen(citizen).unwrap().moved_record(1))
    }
}

async fn core(folder: &Path, limits: &Limits) -> (Core, VerifierKey) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let catalogue = Catalogue::load(&root.join("deploy/demo/catalogue"), &root.join("schemas"));
    let catalogue = catalogue.unwrap_or_else(|problems| panic!("{problems:?}"));
    let origin = Origin::new("hub.test", "test", "1").unwrap();
    let signer = SignerKey::from_seed(origin.as_str(), &[1; 32]).unwrap();
    let verifier = signer.verifier().clone();
    let master = Arc::new(MasterKey::new([2; 32]));
    let mut options = EmbeddedOptions::new(folder.join("data"), Environment::Test, origin.as_str(), master);
    options.reserve_bytes = 0;
    let signing = Signing { origin, signer };
    let core = Core::start(options, signing, catalogue, limits, Surroundings::default()).await.unwrap();
    (core, verifier)
}

pub fn key() -> String {
    uuid::Uuid::now_v7().to_string()
}

#[allow(clippy::unnecessary_wraps, reason = "as the messages want it")]
pub fn context() -> Option<v1::Context> {
    Some(v1::Context {
        actor: "clerk 7".into(),
        case_reference: "case 1".into(),
        reason: "a test".into(),
        ..v1::Context::default()
    })
}

pub fn submission(record: &Record) -> v1::Submission {
    v1::Submission {
        idempotency_key: key(),
        record_type: record.record_type.to_owned(),
        schema_version: "1.0".into(),
        payload: record.body.to_string().into(),
        record: Some(v1::RecordIdentity {
            record_id: record.id.clone(),
            revision: Some(record.revision),
            as_of: Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 0 }),
            change: v1::Change::Changed.into(),
            corrects_revision: None,
            copy_of_transfer_id: String::new(),
        }),
        context: context(),
        only_recipients: Vec::new(),
        traceparent: String::new(),
    }
}
