//! The power goes while an hour ends: at each sync of the chore that seals what is late again and overwrites the hour's
//! key. The hub starts again on what is left and the chore runs again. What had not ended can still be handed over and
//! opened; what had ended opens no more once the chore has finished.

use std::{cell::RefCell, fs, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use waybill::{
    app::{Core, retire_payloads},
    desk::{ReceiptDetail, SubmitOutcome},
    domain::{
        time::{Clock as _, Moment, SystemClock},
        transfer::TransferId,
    },
    drivers::{Outbound, Outcome},
    store::{SlotNumber, Store as _, embedded::EmbeddedStore},
};

use super::{
    core,
    disk::{Disk, Synced, run_on},
    story::{CLAIMS, Recipient, TAX, Teller, relay, replay, to},
};

/// Tells the test that it is the process in which the power goes, and where.
const FOLDER: &str = "WAYBILL_TEST_HOUR";
/// Syncs of the chore at least: the new hour's key; deliveries of two recipients and a dead letter, sealed again; the old
/// key, and the rows that speak of it.
const SYNCS_MIN: usize = 6;
/// Longer than any dead letter is looked at here.
const TERM: Duration = Duration::from_hours(1_000);

/// What the process that loses its power leaves for the one that looks.
#[derive(Serialize, Deserialize)]
struct Left {
    /// When the chore runs: the hour is over by then.
    now: u64,
    /// The key of the hour.
    epoch: u64,
    /// Entries of deliveries that have ended.
    ended: Vec<u64>,
    /// Transfers that have not: to tax, and to benefit.
    open: [Vec<Uuid>; 2],
    /// A dead letter of benefit's.
    dead: Uuid,
}

/// Ends the hour.
async fn retire(core: &Core, now: u64) -> Result<usize, String> {
    let (store, desk) = (core.store.clone(), core.desk.clone());
    let retired = tokio::task::spawn_blocking(move || retire_payloads(&store, &desk, Moment(now), TERM));
    retired.await.unwrap().map_err(|error| error.to_string())
}

async fn epoch_of(core: &Core, index: u64) -> SlotNumber {
    let stored = core.store.entries(index, 1).await.unwrap().remove(0);
    stored.routing.payload.unwrap().epoch
}

async fn push(core: &Core, citizen: usize) -> SubmitOutcome {
    core.desk.submit(core::IDENTITY, core::address(citizen, 1), ReceiptDetail::Index).await.unwrap()
}

/// Of four people's addresses, two reach both recipients, but that benefit gives one of them up; two wait. Then the hour
/// ends until the power goes.
async fn until_the_power_goes(folder: &Path) {
    let fault = fs::read_to_string(folder.join("fault")).unwrap();
    let (nth, synced) = serde_json::from_str::<(usize, bool)>(&fault).unwrap();
    let options = core::options(folder);
    fs::create_dir_all(&options.path).unwrap();
    EmbeddedStore::create(&options).unwrap();
    let disk = Disk::known(&options.path, &folder.join("disk"));
    let core = core::start(options).await.unwrap();
    let relay = relay(&core);
    let teller = Teller { core: &core, relay: &relay, power_goes: &|_| false };
    let (lost, taken) = (push(&core, 0).await, push(&core, 1).await);
    let dead = to("benefit", &lost);
    for outcome in [&lost, &taken] {
        teller.deliver(&TAX, to("tax", outcome), |_| Outcome::Acknowledged).await.unwrap();
        let claims = |one: &Outbound| if one.content.id == dead { Outcome::Failed } else { Outcome::Acknowledged };
        teller.deliver(&CLAIMS, to("benefit", outcome), claims).await.unwrap();
    }
    let waiting = [push(&core, 2).await, push(&core, 3).await];
    relay.drain().await;
    let index_of = |outcome: &SubmitOutcome, agency: &str| {
        outcome.recipients.iter().find(|one| one.recipient == agency).unwrap().receipt.index
    };
    let left = Left {
        now: SystemClock.now().after(Duration::from_hours(2)).0,
        epoch: epoch_of(&core, index_of(&lost, "tax")).await.0,
        ended: vec![index_of(&lost, "tax"), index_of(&taken, "tax"), index_of(&taken, "benefit")],
        open: ["tax", "benefit"].map(|agency| waiting.iter().map(|outcome| to(agency, outcome).0).collect()),
        dead: dead.0,
    };
    fs::write(folder.join("left.json"), serde_json::to_vec(&left).unwrap()).unwrap();
    disk.fail(nth, "*", if synced { Synced::Kept } else { Synced::Lost });
    let retired = retire(&core, left.now).await;
    // (The power may also go after the chore, while the store writes for itself.)
    assert!(retired.is_ok() || disk.is_cut(), "{retired:?}");
}

/// They are handed over and open: each holds the address of one of those who were waited for.
async fn are_received(core: &Core, recipient: &Recipient, transfers: &[Uuid], at: &str) {
    let relay = relay(core);
    relay.resume().await.unwrap();
    let teller = Teller { core, relay: &relay, power_goes: &|_| false };
    let received = RefCell::new(Vec::new());
    for transfer in transfers {
        let whole = |one: &Outbound| {
            received.borrow_mut().push(one.content.id.0);
            let record: serde_json::Value = serde_json::from_slice(&one.content.payload).unwrap();
            assert!(record["subject"]["nationalNumber"].is_string(), "{at}: it is not whole");
            Outcome::Acknowledged
        };
        let delivered = teller.deliver(recipient, TransferId(*transfer), whole).await;
        delivered.unwrap_or_else(|stopped| panic!("{at}: {transfer} was not received: {stopped:?}"));
    }
    let received = received.into_inner();
    assert!(transfers.iter().all(|transfer| received.contains(transfer)), "{at}: {received:?} of {transfers:?}");
    relay.drain().await;
}

/// Starts on what is left, hands one recipient its deliveries, ends the hour again, hands the other its own.
async fn the_hour_ends_all_the_same(folder: &Path, left: &Left, at: &str) {
    let core = core::start(core::options(folder)).await.unwrap_or_else(|error| panic!("{at}: {error:#}"));
    are_received(&core, &TAX, &left.open[0], at).await;
    retire(&core, left.now).await.unwrap_or_else(|error| panic!("{at}: {error}"));
    assert_eq!(retire(&core, left.now).await, Ok(0), "{at}: the hour has ended");
    let key = core.store.slot_key(SlotNumber(left.epoch)).await.unwrap();
    assert!(key.is_none(), "{at}: its key is there");
    for index in &left.ended {
        let key = core.store.slot_key(epoch_of(&core, *index).await).await.unwrap();
        assert!(key.is_none(), "{at}: entry {index} opens still");
    }
    are_received(&core, &CLAIMS, &left.open[1], at).await;
    replay(&core, &core::key(), TransferId(left.dead)).await.unwrap();
    are_received(&core, &CLAIMS, &[left.dead], at).await;
    core::ends_whole(&core, folder, at).await;
}

/// Plays both parts: without a folder it starts itself with one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_the_power_goes_an_hour_ends() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return until_the_power_goes(Path::new(&folder)).await;
    }
    for synced in [Synced::Lost, Synced::Kept] {
        for nth in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            let at = format!("the {nth}. sync is {synced:?}");
            let fault = serde_json::to_vec(&(nth, synced == Synced::Kept)).unwrap();
            fs::write(folder.join("fault"), fault).unwrap();
            let disk = Disk::new(&folder.join("data"), &folder.join("disk"));
            let ran = run_on(&disk, "crash::hour::wherever_the_power_goes_an_hour_ends", (FOLDER, folder));
            assert!(ran.status.success(), "{at}: {}", String::from_utf8_lossy(&ran.stdout));
            disk.lay_out(&folder.join("left/data"));
            let left = serde_json::from_slice(&fs::read(folder.join("left.json")).unwrap()).unwrap();
            the_hour_ends_all_the_same(&folder.join("left"), &left, &at).await;
            if !disk.is_cut() {
                assert!(nth > SYNCS_MIN, "only {} syncs", nth - 1);
                break;
            }
        }
    }
}
