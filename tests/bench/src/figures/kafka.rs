//! `kafka_out` and `kafka_through`: the outbox drained to Kafka, and records from Kafka to Kafka, over what librdkafka's
//! own producer reaches with the same settings and messages of the same size.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use waybill::cli::demo::kafka::OwnBroker;

use super::{Bar, Figure, Stage, median};
use crate::{
    load::{Job, Outcome, To},
    processes::{Process, metric},
    scene::Hub,
};

/// Of which part of the records time and CPU are taken. Of a drained outbox neither the hub's start nor the last few; of
/// those that go through all, since the hub may have decided most before the first are delivered.
const DRAINED: (f64, f64) = (0.1, 0.9);
const THROUGH: (f64, f64) = (0.0, 1.0);
/// Hub CPU that a record from Kafka to Kafka may cost.
const THROUGH_US_MAX: f64 = 60.0;
/// How often it is looked how far the hub is: each look costs it a page of metrics.
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_mins(3);

/// The hub's side of a round.
struct Drained {
    rate: f64,
    hub_us: f64,
}

pub(super) fn measure(stage: &mut Stage, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<Figure>> {
    let broker = OwnBroker::start()?;
    let bootstrap = broker.bootstrap().to_owned();
    stage.scene.lay_out_kafka(&bootstrap)?;
    stage.client.run(&Job::Topics { bootstrap: bootstrap.clone() })?;
    let hub = Process::hub(&stage.scene, Hub::BeforeKafka)?;
    stage.client.run(&Job::Everybody { to: To::Kafka })?;
    hub.stop()?;
    // What was piled up for the recipient by then is not measured, but brings the first delivery.
    drain(stage, stage.plan.people)?;
    let mut figures = Vec::new();
    if wanted("kafka_out") {
        figures.push(out(stage, &bootstrap)?);
    }
    if wanted("kafka_through") {
        figures.push(through(stage, &bootstrap)?);
    }
    Ok(figures)
}

fn out(stage: &mut Stage, bootstrap: &str) -> anyhow::Result<Figure> {
    let records = stage.plan.kafka;
    let (mut rounds, mut hub_us) = (Vec::new(), Vec::new());
    for _ in 0..stage.plan.rounds {
        let hub = Process::hub(&stage.scene, Hub::BeforeKafka)?;
        stage.client.run(&Job::Fill { to: To::Kafka, records })?;
        hub.stop()?;
        let drained = drain(stage, records)?;
        let bare = stage.client.run(&Job::Copies { bootstrap: bootstrap.to_owned(), records })?;
        tell("out", &drained, &bare);
        rounds.push((drained.rate, bare.rate()));
        hub_us.push(drained.hub_us);
    }
    Ok(Figure::of("kafka_out", Bar::AtLeast(0.5), &rounds).with("hub_us", median(&hub_us)))
}

fn through(stage: &mut Stage, bootstrap: &str) -> anyhow::Result<Figure> {
    let records = stage.plan.kafka;
    let (mut rounds, mut hub_us) = (Vec::new(), Vec::new());
    let hub = Process::hub(&stage.scene, Hub::Kafka)?;
    // The first turn warms its caches.
    for round in 0..=stage.plan.rounds {
        // The bare producer writes, undisturbed, what the hub then reads.
        if round > 0 {
            hub.signal("STOP")?;
        }
        let bare = stage.client.run(&Job::Submissions { bootstrap: bootstrap.to_owned(), records })?;
        let before = records * round as u64;
        if round > 0 {
            hub.signal("CONT")?;
        }
        let drained = measured(stage, &hub, (before, records), THROUGH)?;
        tell("through", &drained, &bare);
        if round > 0 {
            rounds.push((drained.rate, bare.rate()));
            hub_us.push(drained.hub_us);
        }
    }
    hub.stop()?;
    let hub_us = median(&hub_us);
    let figure = Figure::of("kafka_through", Bar::AtLeast(0.17), &rounds);
    Ok(figure.with("hub_us", hub_us).missed_if(hub_us > THROUGH_US_MAX))
}

fn tell(what: &str, drained: &Drained, bare: &Outcome) {
    let (Drained { rate, hub_us }, bytes) = (drained, bare.answer_bytes);
    eprintln!("{what}: {rate:.0}/s, hub {hub_us:.1} us; bare {:.0}/s of {bytes} bytes", bare.rate());
}

/// Starts the hub on Kafka, measures while the brokers report so many deliveries, and stops it.
fn drain(stage: &Stage, records: u64) -> anyhow::Result<Drained> {
    let hub = Process::hub(&stage.scene, Hub::Kafka)?;
    let drained = measured(stage, &hub, (0, records), DRAINED)?;
    hub.stop()?;
    Ok(drained)
}

/// Measures while the brokers report so many deliveries more than there were before, on a part of them.
fn measured(
    stage: &Stage,
    hub: &Process,
    (before, records): (u64, u64),
    (begin, end): (f64, f64),
) -> anyhow::Result<Drained> {
    let reach = |part: f64| reach(stage.scene.kafka_metrics, before as f64 + records as f64 * part);
    let begin = reach(begin)?;
    let cpu_before = hub.cpu_s()?;
    let end = reach(end)?;
    let cpu_s = hub.cpu_s()? - cpu_before;
    reach(1.0)?;
    let count = end.1 - begin.1;
    Ok(Drained { rate: count / (end.0 - begin.0).as_secs_f64(), hub_us: cpu_s * 1e6 / count })
}

/// Waits until so many deliveries were acknowledged; says when, and how many they were by then.
fn reach(metrics: SocketAddr, wanted: f64) -> anyhow::Result<(Instant, f64)> {
    let started = Instant::now();
    loop {
        // Neither the page nor the count is there from the beginning.
        let now = metric(metrics, "waybill_deliveries_acknowledged_total{recipient=\"archive\"} ").unwrap_or(0.0);
        if now >= wanted {
            return Ok((Instant::now(), now));
        }
        anyhow::ensure!(started.elapsed() < PATIENCE, "only {now} of {wanted} deliveries have arrived");
        #[expect(clippy::disallowed_methods, reason = "this program waits for others")]
        std::thread::sleep(LOOK);
    }
}
