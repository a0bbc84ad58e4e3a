//! The hub is killed under load, again and again, and the power goes with it or stays: what was acknowledged is there,
//! provable and delivered, and once.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
    sync::Arc,
};

use futures_util::{StreamExt as _, stream};
use tokio::task::JoinSet;
use waybill::{
    app::verify_data,
    cli::demo::{
        setup::Place,
        systems::{Inbox, receive},
    },
    ledger::{Checkpoint, Hash, Note, VerifierKey, leaf_hash, verify_inclusion},
};
use waybill_proto::v1;

use super::{
    disk::Disk,
    load::Load,
    scene::{Scene, Served, connect, copy_folder, until},
};

const CALLERS: usize = 12;
const STREAMS: usize = 2;
/// Answers between a start and the next kill, by turns: also right after the start, while deliveries are resumed.
const BETWEEN: [usize; 5] = [200, 1, 350, 40, 120];
const RECIPIENTS: [(&str, &str); 2] = [("tax", "tax/registry"), ("benefit", "benefit/claims")];
/// Proofs asked for at once.
const PROVING: usize = 16;

fn kills() -> usize {
    std::env::var("WAYBILL_KILLS").map_or(5, |text| text.parse().expect("WAYBILL_KILLS is a number"))
}

/// What goes down, again and again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Down {
    /// The process: what it has written is left.
    Process,
    /// The power: what was synced is left.
    Power,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_killed_under_load_loses_nothing_it_acknowledged_and_does_nothing_twice() {
    goes_down(Down::Process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_power_goes_under_load_nothing_acknowledged_is_lost_and_nothing_happens_twice() {
    goes_down(Down::Power).await;
}

/// Starts the hub for the `nth` time, on a disk that can lose power.
fn start_on_disk(scene: &Scene, nth: usize) -> (Served, Disk) {
    let disk = Disk::new(&scene.place.config.paths.data, &scene.beside(&format!("disk-{nth}")));
    let variables = disk.environment().map(|(name, value)| format!("{name}={}", value.to_str().unwrap()));
    let command: Vec<&str> = ["env"].into_iter().chain(variables.iter().map(String::as_str)).collect();
    (scene.start_under(&command), disk)
}

/// Leaves of the data folder what was synced.
fn lose_power(disk: &Disk, data: &Path, left: &Path) {
    disk.lay_out(left);
    fs::remove_dir_all(data).unwrap();
    fs::rename(left, data).unwrap();
}

async fn goes_down(what: Down) {
    let scene = Scene::lay_out("warn", "[store]\nreserve_bytes = 0\n");
    let start = |nth| match what {
        Down::Process => (scene.start(), None),
        Down::Power => {
            let (hub, disk) = start_on_disk(&scene, nth);
            (hub, Some(disk))
        }
    };
    let (mut hub, mut disk) = start(0);
    let key: VerifierKey = scene.place.verifier_key.parse().unwrap();
    let data = scene.place.config.paths.data.clone();
    let copy = scene.beside("copy");
    let load = Load::new(Arc::clone(&scene.place));
    let mut clients = JoinSet::new();
    (0..CALLERS).for_each(|_| drop(clients.spawn(Arc::clone(&load).call())));
    (0..STREAMS).for_each(|_| drop(clients.spawn(Arc::clone(&load).stream())));
    let inboxes: Vec<_> = RECIPIENTS.iter().map(|(_, system)| recipient(Arc::clone(&scene.place), system)).collect();

    for kill in 0..kills() {
        load.reach(load.answered() + BETWEEN[kill % BETWEEN.len()]).await;
        hub.kill();
        if let Some(disk) = &disk {
            lose_power(disk, &data, &scene.beside("left"));
        }
        copy_folder(&data, &copy);
        // A copy: the verifier opens the store, and the hub is to find it as the kill left it.
        let report = verify_data(&copy, std::slice::from_ref(&key), |_| ()).unwrap();
        assert!(report.fault.is_none(), "after kill {kill}: {report:?}");
        fs::remove_dir_all(&copy).unwrap();
        (hub, disk) = start(kill + 1);
    }
    load.finish();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    println!("{} kills, {} submissions acknowledged", kills(), load.answered());

    load.repeat().await;
    assert_each_has_its_own_entries(&load);
    let ledger_size = assert_delivered_once(&load, &inboxes).await;
    assert_proven(&load, &key).await;
    assert!(hub.stop().await.success());
    let report = verify_data(&data, &[key], |_| ()).unwrap();
    assert!(report.fault.is_none() && report.size == ledger_size, "{report:?}, expected {ledger_size} entries");
}

/// A recipient that comes back whenever it is cut off, and acknowledges all that it gets.
fn recipient(place: Arc<Place>, system: &'static str) -> Arc<Inbox> {
    let inbox = Arc::new(Inbox::default());
    let mine = Arc::clone(&inbox);
    tokio::spawn(async move {
        loop {
            let system = connect(&place, system).await;
            if let Ok(receiving) = receive(&system, Arc::clone(&mine)).await {
                receiving.await.unwrap();
            }
        }
    });
    inbox
}

fn assert_each_has_its_own_entries(load: &Load) {
    let mut indices = HashSet::new();
    for (_, answer) in load.answers() {
        for (index, _) in answer.entries {
            assert!(indices.insert(index), "entry {index} answers two keys");
        }
    }
}

/// Every acknowledged transfer has arrived, and nothing else has: a submission that was recorded twice would have
/// arrived twice. Returns how many entries the ledger must have: the catalogue, the decisions, the acknowledgements.
async fn assert_delivered_once(load: &Load, inboxes: &[Arc<Inbox>]) -> u64 {
    let mut wanted: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    let mut size = 1;
    for (_, answer) in load.answers() {
        size += answer.entries.len() as u64 + answer.transfers.len() as u64;
        for (to, id) in answer.transfers {
            assert!(wanted.entry(to).or_default().insert(id), "a transfer answers two keys");
        }
    }
    for ((agency, _), inbox) in RECIPIENTS.iter().zip(inboxes) {
        let wanted = &wanted[*agency];
        until(&format!("{agency} receives everything"), async || inbox.count() >= wanted.len()).await;
        for id in wanted {
            inbox.transfer(id).await.unwrap();
        }
        assert_eq!(inbox.count(), wanted.len(), "{agency} received what nobody was told of");
    }
    size
}

/// Every entry that a client was told of is in the newest tree, at its index.
async fn assert_proven(load: &Load, key: &VerifierKey) {
    let ledger = load.connect().await.ledger;
    let newest = ledger.clone().get_checkpoint(v1::GetCheckpointRequest {}).await.unwrap().into_inner().checkpoint;
    let newest = Checkpoint::verify(&Note::parse(&newest).unwrap(), std::slice::from_ref(key)).unwrap();
    let entries = load.answers().into_iter().flat_map(|(_, answer)| answer.entries);
    stream::iter(entries)
        .for_each_concurrent(PROVING, |(index, entry)| {
            let (mut ledger, newest) = (ledger.clone(), &newest);
            async move {
                let request = v1::GetInclusionProofRequest { index, size: newest.size };
                let proven = ledger.get_inclusion_proof(request).await.unwrap().into_inner();
                let proof: Vec<Hash> =
                    proven.inclusion_proof.iter().map(|one| Hash::from_slice(one).unwrap()).collect();
                verify_inclusion(index, newest.size, &leaf_hash(&entry), &proof, &newest.root).unwrap();
            }
        })
        .await;
}
