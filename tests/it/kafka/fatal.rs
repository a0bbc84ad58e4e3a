//! A producer that can no longer keep its promises, or may not write, is made anew, and what it had not reported is written
//! by the next: no delivery loses an attempt by it. The library's own mock cluster plays the brokers here, since real ones
//! do not err when they are told to.

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
/// The hub may not write, and again not.
const DENIED: [RDKafkaRespErr; 6] = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 6];
/// A batch is too large for its topic, though no message is.
const TOO_LARGE: [RDKafkaRespErr; 6] = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 6];
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
    loses_nothing(&LOST_COUNT, "OutOfOrderSequenceNumber").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_may_not_write_for_a_while_gives_no_delivery_up_for_it() {
    loses_nothing(&DENIED, "the producer is made anew").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_messages_in_a_batch_that_is_too_large_are_neither_given_up_nor_left_untold() {
    loses_nothing(&TOO_LARGE, "the producer is made anew").await;
}

async fn loses_nothing(errors: &[RDKafkaRespErr], said: &str) {
    let cluster = cluster();
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", cluster.bootstrap_servers());
    let hub = Hub::lay_out("warn", "");
    put_on(&cluster.bootstrap_servers(), &hub, "plaintext = true", "[limits]\ndelivery_attempts_max = 1\n");
    let (people, producer) = (Population::generate(1, EVENTS), client.create::<FutureProducer>().unwrap());
    let send = async |citizen: usize| {
        let record = people.citizen(citizen).unwrap().moved_record(1);
        Event::of(&record, &citizen.to_string()).send(&producer, "waybill.in.identity").await;
    };
    for citizen in 0..EVENTS / 2 {
        send(citizen).await;
    }
    // The first requests of the hub's producers.
    cluster.request_errors(RDKafkaApiKey::Produce, errors);
    let served = hub.start();
    let told = |topic: &'static str, header: &'static str, count: usize| {
        let client = client.clone();
        tokio::task::spawn_blocking(move || read(client, topic, |read| differing(read, header) >= count))
    };
    told("waybill.outcomes.identity", "ce_eventid", EVENTS / 2).await.unwrap();
    told("waybill.out.benefit", "ce_id", EVENTS / 2).await.unwrap();
    until("a producer was lost", async || hub.log().contains(said)).await;
    for citizen in EVENTS / 2..EVENTS {
        send(citizen).await;
    }
    told("waybill.outcomes.identity", "ce_eventid", EVENTS).await.unwrap();
    let deliveries = told("waybill.out.benefit", "ce_id", EVENTS).await.unwrap();
    assert_eq!(differing(&deliveries, "ce_id"), EVENTS, "each transfer once, after de-duplication");
    assert_comes_to(&hub.place, served, 1 + 3 * EVENTS).await;
}
