//! The fault table of commit and relay: at each step of each commit of a small story, and at each hand-over, the power goes.
//! The hub starts again on what was synced by then, and every call is given again.
//!
//! What was written and not synced is lost, whatever the file: a sync that is missing anywhere shows here.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use waybill::{
    app::Core,
    desk::{EntryView, SearchCall},
    exchange::submission::Peer,
    ledger::Attribute,
    store::{
        StoreError,
        embedded::{CommitHook, EmbeddedStore},
    },
};

use super::{
    core::{self, context, key},
    disk::{Disk, Synced, run_on},
    story::{
        Answered, COMMITS_MIN, ENTRIES, HAND_OVERS, HandedOver, Story, Teller, WITH_ENTRIES_MIN, WITH_SLOTS_MIN, relay,
    },
};

const DPO: Peer<'static> = Peer::San("urn:waybill:system:hub:dpo");
/// Tells the test that it is the process in which the power goes, and where its row lies.
const ROW: &str = "WAYBILL_TEST_ROW";

/// A step at which the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    /// New key slots become durable.
    Slots(How),
    /// A commit's rows become durable.
    Rows(How),
    /// A commit's batch becomes durable.
    Batch(How),
    /// A delivery goes to its recipient.
    HandOver(HandedOver),
}

/// How far what was to become durable has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum How {
    /// Nothing was written.
    Unwritten,
    /// It was written, and not synced.
    Unsynced,
    /// It was synced: it took effect, and that is not reported.
    Unreported,
}

/// A row of the table: the power goes at the `nth` such step of the story.
#[derive(Serialize, Deserialize)]
struct Row {
    story: Story,
    step: Step,
    nth: usize,
}

/// Turns the power off at the row's step.
struct Power {
    disk: Disk,
    step: Step,
    nth: usize,
    reached: AtomicUsize,
}

impl Power {
    fn new(disk: Disk, step: Step, nth: usize) -> Self {
        // The disk itself counts syncs.
        let synced = match step {
            Step::Slots(how) => Some(("keys/slots", how)),
            Step::Rows(how) => Some((".vol", how)),
            Step::Batch(how) => Some((".jnl", how)),
            Step::HandOver(_) => None,
        };
        match synced {
            Some((file, How::Unsynced)) => disk.fail(nth, file, Synced::Lost),
            Some((file, How::Unreported)) => disk.fail(nth, file, Synced::Kept),
            Some((_, How::Unwritten)) | None => {}
        }
        Self { disk, step, nth, reached: AtomicUsize::new(0) }
    }

    /// Whether the power goes, now that this step is reached.
    fn goes(&self, step: Step) -> bool {
        let goes = step == self.step && self.reached.fetch_add(1, Ordering::SeqCst) + 1 == self.nth;
        if goes {
            self.disk.cut();
        }
        goes
    }

    fn fails(&self, step: Step) -> Result<(), StoreError> {
        if self.goes(step) { Err(StoreError::Fatal("the power went".into())) } else { Ok(()) }
    }
}

impl CommitHook for Power {
    fn before_slots_sync(&self) -> Result<(), StoreError> {
        self.fails(Step::Slots(How::Unwritten))
    }
    fn before_rows(&self) -> Result<(), StoreError> {
        self.fails(Step::Rows(How::Unwritten))
    }
    fn before_batch(&self) -> Result<(), StoreError> {
        self.fails(Step::Batch(How::Unwritten))
    }
}

/// Tells the story until the power goes, and leaves what was answered.
async fn until_the_power_goes(folder: &Path) {
    let row: Row = serde_json::from_slice(&fs::read(folder.join("row")).unwrap()).unwrap();
    let mut options = core::options(folder);
    fs::create_dir_all(&options.path).unwrap();
    EmbeddedStore::create(&options).unwrap();
    let power = Arc::new(Power::new(Disk::known(&options.path, &folder.join("disk")), row.step, row.nth));
    options.hook = Arc::clone(&power) as _;
    let mut answered = Vec::new();
    if let Ok(core) = core::start(options).await {
        let power_goes = |handed_over| power.goes(Step::HandOver(handed_over));
        let teller = Teller { core: &core, relay: &relay(&core), power_goes: &power_goes };
        let told = row.story.tell(&teller, &mut answered).await;
        // (The power may also go after the last answer, while the store writes for itself.)
        assert!(told.is_ok() || power.disk.is_cut(), "{told:?}");
    }
    fs::write(folder.join("answered"), serde_json::to_vec(&answered).unwrap()).unwrap();
}

/// Starts on what the disk held, gives every call again, twice, and verifies everything.
async fn tell_again(story: &Story, folder: &Path, answered: &[Answered], at: &str) {
    let core = core::start(core::options(folder)).await.unwrap_or_else(|error| panic!("{at}: {error:#}"));
    let held = core.sequencer.newest().snapshot.size();
    assert!(answered.iter().all(|one| one.size <= held), "{at}: {answered:?} was told, {held} are held");
    let mut recorded = answered.iter().filter_map(|one| one.recorded);
    assert!(recorded.all(|index| index < held), "{at}: {answered:?} was told, {held} are held");
    let questions: Vec<_> = answered.iter().filter_map(|one| one.question.as_ref()).collect();
    if !questions.is_empty() {
        let asked = asked(&core).await;
        assert!(questions.iter().all(|one| asked.contains(one)), "{at}: {questions:?} were seen, {asked:?} are held");
    }
    let relay = relay(&core);
    relay.resume().await.unwrap();
    let teller = Teller { core: &core, relay: &relay, power_goes: &|_| false };
    let mut again = Vec::new();
    story.tell(&teller, &mut again).await.unwrap_or_else(|stopped| panic!("{at}: {stopped:?}"));
    let again = entries(&again);
    assert!(again.starts_with(&entries(answered)), "{at}: {answered:?} was told, now it is {again:?}");
    for one in &again {
        let there = one.iter().filter(|index| **index < held).count();
        assert!(there == 0 || there == one.len(), "{at}: a part of {one:?} was held, up to {held}");
    }
    let mut repeated = Vec::new();
    story.tell(&teller, &mut repeated).await.unwrap();
    assert_eq!(entries(&repeated), again, "{at}");
    assert_eq!(counts(&core).await, BTreeMap::from(ENTRIES), "{at}");
    relay.drain().await;
    core::ends_whole(&core, folder, at).await;
}

/// The requests that the ledger holds.
async fn asked(core: &Core) -> Vec<String> {
    let call = SearchCall { key: key(), kind: "request_asked".into(), ..SearchCall::default() };
    let found = core.desk.search(DPO, call, context()).await.unwrap().entries;
    let id = |entry: EntryView| entry.trail.unwrap().text(Attribute::RequestId).unwrap();
    found.into_iter().map(id).collect()
}

fn entries(answered: &[Answered]) -> Vec<Vec<u64>> {
    answered.iter().map(|one| one.entries.clone()).collect()
}

/// How many entries there are of each kind.
async fn counts(core: &Core) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for (kind, _) in ENTRIES {
        let call = SearchCall { key: key(), kind: kind.into(), ..SearchCall::default() };
        counts.insert(kind, core.desk.search(DPO, call, context()).await.unwrap().entries.len());
    }
    counts
}

/// Every row of that step. Says how many they are.
async fn table(step: Step) -> usize {
    for nth in 1.. {
        let row = Row { story: Story::new(), step, nth };
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let at = format!("{step:?} for the {nth}. time");
        fs::write(folder.join("row"), serde_json::to_vec(&row).unwrap()).unwrap();
        let disk = Disk::new(&folder.join("data"), &folder.join("disk"));
        let ran = run_on(&disk, "crash::faults::without_a_fault_the_story_can_be_told_again", (ROW, folder));
        assert!(ran.status.success(), "{at}: {}", String::from_utf8_lossy(&ran.stdout));
        if !disk.is_cut() {
            return nth - 1;
        }
        disk.lay_out(&folder.join("left/data"));
        let answered: Vec<Answered> = serde_json::from_slice(&fs::read(folder.join("answered")).unwrap()).unwrap();
        tell_again(&row.story, &folder.join("left"), &answered, &at).await;
    }
    unreachable!("the story ends")
}

/// Plays both parts: the story in which nothing fails, and the process in which the power goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_fault_the_story_can_be_told_again() {
    if let Some(folder) = std::env::var_os(ROW) {
        return until_the_power_goes(Path::new(&folder)).await;
    }
    tell_again(&Story::new(), tempfile::tempdir().unwrap().path(), &[], "without a fault").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_key_slots_are_written() {
    let rows = table(Step::Slots(How::Unwritten)).await;
    assert!(rows >= COMMITS_MIN, "{rows} rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_key_slots_are_written_and_not_synced() {
    let rows = table(Step::Slots(How::Unsynced)).await;
    assert!(rows >= WITH_SLOTS_MIN, "{rows} rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_key_slots_are_synced_and_nobody_is_told() {
    let rows = table(Step::Slots(How::Unreported)).await;
    assert!(rows >= WITH_SLOTS_MIN, "{rows} rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_rows_are_written() {
    let rows = table(Step::Rows(How::Unwritten)).await;
    assert!(rows >= COMMITS_MIN, "{rows} rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_rows_are_written_and_not_synced() {
    let rows = table(Step::Rows(How::Unsynced)).await;
    assert!(rows >= WITH_ENTRIES_MIN, "{rows} rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_rows_are_synced_and_nobody_is_told() {
    let rows = table(Step::Rows(How::Unreported)).await;
    assert!(rows >= WITH_ENTRIES_MIN, "{rows} rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_the_batch_is_written() {
    let rows = table(Step::Batch(How::Unwritten)).await;
    assert!(rows >= COMMITS_MIN, "{rows} rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_batch_is_written_and_not_synced() {
    let rows = table(Step::Batch(How::Unsynced)).await;
    assert!(rows >= COMMITS_MIN, "{rows} rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_batch_is_synced_and_nobody_is_told() {
    let rows = table(Step::Batch(How::Unreported)).await;
    assert!(rows >= COMMITS_MIN, "{rows} rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_delivery_is_claimed_and_has_not_left() {
    assert_eq!(table(Step::HandOver(HandedOver::Not)).await, HAND_OVERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_delivery_was_received_and_not_answered() {
    assert_eq!(table(Step::HandOver(HandedOver::Unanswered)).await, HAND_OVERS);
}
