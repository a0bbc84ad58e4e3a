//! Starts the scene's hub, and starts it again.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;
use waybill::{
    app::{Hub, Surroundings},
    config::{Config, Limits},
    domain::time::ManualClock,
    vault::Random,
};

use super::Scene;

const CONFIG: &str = r#"
environment = "test"
hub = "hub.test"
[paths]
data = "data"
catalogue = "catalogue"
schemas = "schemas"
[grpc]
listen = "127.0.0.1:0"
[tls]
certificate = "hub.pem"
key = "hub.key.pem"
client_ca = "ca.pem"
[keys]
master = "master.key"
ledger = "ledger.key"
[store]
reserve_bytes = 0
"#;

/// On what lies in `place`.
pub(super) async fn start(
    place: &Path,
    limits: &Limits,
    clock: &Arc<ManualClock>,
    random: &Arc<dyn Random>,
) -> anyhow::Result<Hub> {
    let mut config = Config::parse(CONFIG, "the scene's", place).unwrap();
    config.limits = limits.clone();
    let (clock, random) = (Arc::clone(clock) as _, Arc::clone(random));
    Hub::start(config, Surroundings { clock, random, ..Surroundings::default() }).await
}

impl Scene {
    /// Stops the hub and starts it again on the same folder, under the same limits. Whoever was connected is not any more.
    pub async fn restart(self) -> Self {
        let Self { hub, limits, clock, random, people, verifier, ca, folder, .. } = self;
        hub.stop().await.unwrap();
        let begun = Instant::now();
        // What is under way holds the store for a moment longer.
        let hub = loop {
            match start(folder.path(), &limits, &clock, &random).await {
                Ok(hub) => break hub,
                Err(error) if begun.elapsed() > Duration::from_secs(20) => panic!("{error:#}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        Self { hub, limits, clock, random, people, verifier, ca, channels: Mutex::default(), folder }
    }
}
