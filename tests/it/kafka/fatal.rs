//! A producer that can no longer keep its promises is made anew, and what it had not reported is written by the next. The
//! library's own mock cluster plays the brokers here, since real ones do not err when they are told to.

use std::collections::BTreeSet;

use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{DefaultProducerContext, FutureProducer},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use waybill::cli::demo::population::Population;

use super::{
    load::assert_comes_to,
    scene::{Event, Read, put_on, read},
};
use crate::crash::scene::{Scene as Hub, until};

/// Of what is written next, one request after the other: the brokers have lost count, and order cannot be kept.
const LOST_COUNT: [RDKafkaRespErr; 2] = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER; 2];
const EVENTS: usize = 20;

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    for agency in ["identity", "benefit"] {
        for kind in ["in", "outcomes", "dead", "out", "acks"] {
            cluster.create_topic(&format!("waybill.{kind}.{agency}"), 1, 1).unwrap();
        }
    }
    cluster
}

fn differing(read: &[Read], header: &str) -> usize {
    read.iter().map(|one| one.header(header)).collect::<BTreeSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_fails_for_good_is_made_anew_and_nothing_is_lost_or_done_twice() {
    let cluster = cluster();
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", cluster.bootstrap_servers());
    let hub = Hub::lay_out("warn", "");
    put_on(&cluster.bootstrap_servers(), &hub, "plaintext = true", "");
    let (people, producer) = (Population::generate(1, EVENTS), client.create::<FutureProducer>().unwrap());
    let send = async |citizen: usize| {
        let record = people.citizen(citizen).unwrap().moved_record(1);
        Event::of(&record, &citizen.to_string()).send(&producer, "waybill.in.identity").await;
    };
    for citizen in 0..EVENTS / 2 {
        send(citizen).await;
    }
    // The first requests of the hub's producers.
    cluster.request_errors(RDKafkaApiKey::Produce, &LOST_COUNT);
    let served = hub.start();
    let told = |topic: &'static str, header: &'static str, count: usize| {
        let client = client.clone();
        tokio::task::spawn_blocking(move || read(client, topic, |read| differing(read, header) >= count))
    };
    told("waybill.outcomes.identity", "ce_eventid", EVENTS / 2).await.unwrap();
    told("waybill.out.benefit", "ce_id", EVENTS / 2).await.unwrap();
    until("a producer was lost", async || hub.log().contains("OutOfOrderSequenceNumber")).await;
    for citizen in EVENTS / 2..EVENTS {
        send(citizen).await;
    }
    told("waybill.outcomes.identity", "ce_eventid", EVENTS).await.unwrap();
    let deliveries = told("waybill.out.benefit", "ce_id", EVENTS).await.unwrap();
    assert_eq!(differing(&deliveries, "ce_id"), EVENTS, "each transfer once, after de-duplication");
    assert_comes_to(&hub.place, served, 1 + 3 * EVENTS).await;
}
