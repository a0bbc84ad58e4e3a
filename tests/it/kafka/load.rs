//! Load from an agency that keeps writing whatever happens, and what must be so when everything has come to rest.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use tokio::task::JoinHandle;
use waybill::{
    app::verify_data,
    cli::demo::{population::Population, setup::Place},
    ledger::VerifierKey,
};

use super::scene::{Event, Read, Scene};
use crate::crash::scene::Served;

/// An agency that writes until it is told to stop: each event twice now and then, as a client does that was not sure.
pub struct Load {
    written: Arc<AtomicUsize>,
    going: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

fn id(number: usize) -> String {
    format!("event {number}")
}

impl Load {
    pub fn start(scene: &Scene) -> Self {
        let (written, going) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
        let (count, goes, producer) = (Arc::clone(&written), Arc::clone(&going), scene.producer());
        let people = Population::generate(1, 300);
        let task = tokio::spawn(async move {
            while goes.load(Ordering::SeqCst) {
                let number = count.load(Ordering::SeqCst);
                let citizen = people.citizen(number % people.len()).unwrap();
                let record = citizen.moved_record(1 + (number / people.len()) as u32);
                let event = Event::of(&record, &id(number));
                event.send(&producer, "waybill.in.identity").await;
                if number % 17 == 0 {
                    event.send(&producer, "waybill.in.identity").await;
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { written, going, task }
    }

    pub fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    /// Waits until so many more are written.
    pub async fn more(&self, count: usize) {
        let wanted = self.written() + count;
        crate::crash::scene::until("the agency writes on", async || self.written() >= wanted).await;
    }

    /// Ends it; says how many events there are.
    pub async fn finish(self) -> usize {
        self.going.store(false, Ordering::SeqCst);
        self.task.await.unwrap();
        self.written.load(Ordering::SeqCst)
    }
}

/// What each event became, by its id: told as often as it may be, always the same.
pub fn outcomes<'r>(read: impl Iterator<Item = &'r Read>) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for outcome in read.filter(|one| one.header("ce_outcome") != "decided-before") {
        let recipients: Vec<Value> = outcome.json()["recipients"].as_array().unwrap().clone();
        let said = serde_json::to_string(&recipients).unwrap();
        found.entry(outcome.header("ce_eventid").to_owned()).or_default().insert(said);
    }
    found
}

/// Every event has one outcome and its entries once; each delivery arrived, and once after de-duplication; the ledger
/// holds nothing else.
pub async fn assert_once(scene: &Scene, hub: Served, events: usize) {
    let read = scene
        .read("waybill.outcomes.identity", move |read| {
            let told: BTreeSet<&str> = read.iter().map(|one| one.header("ce_eventid")).collect();
            told.len() >= events
        })
        .await;
    let outcomes = outcomes(read.iter());
    assert_eq!(outcomes.len(), events, "outcomes that say what became of an event");
    let (mut indices, mut transfers) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..events {
        let said = &outcomes[&id(number)];
        assert_eq!(said.len(), 1, "event {number} has one outcome, however often it is told: {said:?}");
        let recipients: Vec<Value> = serde_json::from_str(said.first().unwrap()).unwrap();
        for one in &recipients {
            assert!(indices.insert(one["index"].as_u64().unwrap()), "an entry answers two events");
            if one["recipient"] == "benefit" {
                transfers.insert(one["transferId"].as_str().unwrap().to_owned());
            }
        }
    }
    let wanted = transfers.len();
    let read = scene
        .read("waybill.out.benefit", move |read| {
            let arrived: BTreeSet<&str> = read.iter().map(|one| one.header("ce_id")).collect();
            arrived.len() >= wanted
        })
        .await;
    let arrived: BTreeSet<String> = read.iter().map(|one| one.header("ce_id").to_owned()).collect();
    assert_eq!(arrived, transfers, "what was delivered is what was told");
    assert_in_order(&read);
    println!("{events} events, {} deliveries for {wanted} transfers", read.len());

    assert_comes_to(&scene.hub.place, hub, 1 + indices.len() + wanted).await;
}

/// How many entries the hub's ledger has.
pub async fn ledger_size(place: &Place) -> usize {
    let system = crate::crash::scene::connect(place, "hub/dpo").await;
    let newest = system.ledger.clone().get_checkpoint(waybill_proto::v1::GetCheckpointRequest {}).await.unwrap();
    newest.into_inner().checkpoint.lines().nth(1).unwrap().parse().unwrap()
}

/// The ledger comes to so many entries, what was delivered being acknowledged, and has no more when the hub has ended.
pub async fn assert_comes_to(place: &Place, hub: Served, size: usize) {
    crate::crash::scene::until("each delivery is acknowledged", async || ledger_size(place).await >= size).await;
    assert!(hub.stop().await.success());
    let key: VerifierKey = place.verifier_key.parse().unwrap();
    let report = verify_data(&place.config.paths.data, &[key], |_| ()).unwrap();
    assert!(report.fault.is_none() && report.size == size as u64, "{report:?}, expected {size} entries");
}

/// Of one person, whatever comes for the first time comes in the ledger's order.
fn assert_in_order(read: &[Read]) {
    let mut highest: BTreeMap<&str, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut sorted: Vec<&Read> = read.iter().collect();
    sorted.sort_by_key(|one| (one.partition, one.offset));
    for one in sorted.into_iter().filter(|one| seen.insert(one.header("ce_id"))) {
        let index = one.header("ce_index").parse().unwrap();
        let before = highest.insert(&one.key, index);
        assert!(before.is_none_or(|before| before < index), "{before:?} before {index}");
    }
}
