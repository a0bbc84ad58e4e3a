//! The scene: a scripted hub, the relay, and drivers that do as they are told.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::hub::{Hub, id, recipient};
use crate::{
    domain::agency::SystemId,
    drivers::{LinkTerms, OrderRule, Outbound, Outcome, Port, Report, Reporter},
    relay::{Backoff, Registry, RelayLimits},
    vault::Random,
};

pub(super) const WITHIN: Duration = Duration::from_secs(30);

/// Random bytes that are not: every wait is the shortest.
struct Zeros;

impl Random for Zeros {
    fn fill(&self, out: &mut [u8]) {
        out.fill(0);
    }
}

pub(super) struct Scene {
    pub hub: Arc<Hub>,
    pub registry: Arc<Registry>,
}

/// A driver that holds what it gets until it is told what to say.
pub(super) struct Driver {
    pub port: Port,
    pub reporter: Reporter,
}

pub(super) fn limits() -> RelayLimits {
    RelayLimits {
        attempts_max: 3,
        backoff: Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(10) },
        report_within: WITHIN,
        credit_max: 4096,
        held_max: 16_384,
    }
}

pub(super) fn system(name: &str) -> SystemId {
    SystemId::new(&format!("tax/{name}")).unwrap()
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with(limits())
    }

    pub(super) fn with(limits: RelayLimits) -> Self {
        Self::over(Arc::new(Hub::new()), limits)
    }

    /// The same hub after a restart.
    pub(super) fn over(hub: Arc<Hub>, limits: RelayLimits) -> Self {
        let registry = Registry::over(Arc::clone(&hub) as _, limits, Arc::new(Zeros));
        Self { hub, registry }
    }

    pub(super) fn connect(&self, credit: usize) -> Driver {
        self.connect_as("one", credit, OrderRule::OneUnacknowledged)
    }

    pub(super) fn connect_as(&self, name: &str, credit: usize, order: OrderRule) -> Driver {
        let terms = LinkTerms { system: system(name), credit, order, report_within: WITHIN };
        let port = self.registry.connect(&recipient(), &terms).unwrap();
        let reporter = port.reporter();
        Driver { port, reporter }
    }

    /// Lets everything happen that can happen without time passing.
    pub(super) async fn quiet(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

impl Driver {
    /// Everything that comes without time passing: index and attempt.
    pub(super) async fn get(&mut self) -> Vec<(u64, u32)> {
        self.get_whole().await.iter().map(|one| (one.content.index, one.attempt)).collect()
    }

    pub(super) async fn get_whole(&mut self) -> Vec<Outbound> {
        let mut got = Vec::new();
        while let Ok(Some(batch)) = tokio::time::timeout(Duration::from_millis(1), self.port.next()).await {
            got.extend(batch);
        }
        got
    }

    /// Waits for the next delivery; says which, and after how long.
    pub(super) async fn wait(&mut self) -> (u64, u32, Duration) {
        let start = Instant::now();
        let batch = self.port.next().await.unwrap();
        let [one] = &batch[..] else { panic!("one delivery was expected, {} came", batch.len()) };
        (one.content.index, one.attempt, start.elapsed())
    }

    pub(super) async fn say(&self, indices: &[u64], outcome: Outcome) {
        let reports = indices.iter().map(|index| Report { transfer: id(*index), outcome }).collect();
        self.reporter.report(reports).await;
    }

    pub(super) async fn acknowledge(&self, indices: &[u64]) {
        self.say(indices, Outcome::Acknowledged).await;
    }
}
