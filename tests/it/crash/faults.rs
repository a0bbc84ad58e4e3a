//! The fault table of commit and relay: each step of each commit of a small story fails, or fails although it took
//! effect; the hub starts again on what the disk then held, and every call is given again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use waybill::{
    app::{Core, verify_data},
    desk::{CallError, GrantCall, ReceiptDetail, SearchCall, SubmitOutcome, TransferState, WithdrawCall},
    domain::{
        agency::{AgencyId, SystemId},
        subject::Identifier,
        transfer::DeliveryState,
    },
    drivers::{LinkTerms, OrderRule, Outcome, Report},
    exchange::submission::{Peer, Submission},
    relay::{Registry, RelayLimits},
    store::{StoreError, embedded::CommitHook},
    vault::SystemRandom,
};

use super::{
    core::{self, IDENTITY, context, key},
    scene::{copy_folder, until},
};

const PORTAL: Peer<'static> = Peer::San("urn:waybill:system:benefit:portal");
const TAX: Peer<'static> = Peer::San("urn:waybill:system:tax:registry");
const DPO: Peer<'static> = Peer::San("urn:waybill:system:hub:dpo");
/// Kinds of entries that the story makes.
const KINDS: [&str; 6] = [
    "transfer",
    "delivery_acknowledged",
    "consent_granted",
    "consent_withdrawn",
    "delivery_cancelled",
    "catalogue_published",
];
/// Calls of the story.
const CALLS: usize = 5;

/// Where a commit can fail. What fails before the next step has changed nothing more; what fails after one took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The key slots are neither written nor synced.
    BeforeSlots,
    /// The key slots are synced, whether or not that was reported; the batch is not written.
    BeforeBatch,
    /// The batch is synced, and that is not reported.
    AfterBatch,
}

/// Fails once, at one step of the `nth` commit, and keeps what the disk holds at that moment.
struct Fault {
    step: Step,
    nth: usize,
    data: PathBuf,
    kept: PathBuf,
    commits: AtomicUsize,
    fired: AtomicBool,
}

impl Fault {
    fn reach(&self, step: Step) -> Result<(), StoreError> {
        let commits = self.commits.fetch_add(usize::from(step == Step::BeforeSlots), Ordering::SeqCst);
        let now = commits + usize::from(step == Step::BeforeSlots);
        if (step, now) != (self.step, self.nth) {
            return Ok(());
        }
        copy_folder(&self.data, &self.kept);
        self.fired.store(true, Ordering::SeqCst);
        Err(StoreError::Fatal("the test's disk fails".into()))
    }
}

impl CommitHook for Fault {
    fn before_slots_sync(&self) -> Result<(), StoreError> {
        self.reach(Step::BeforeSlots)
    }
    fn before_batch(&self) -> Result<(), StoreError> {
        self.reach(Step::BeforeBatch)
    }
    fn after_batch(&self) -> Result<(), StoreError> {
        self.reach(Step::AfterBatch)
    }
}

/// The calls of the story, each under one key.
struct Story {
    address: Submission,
    contact: Submission,
    grant: String,
    withdraw: String,
    subject: Identifier,
}

impl Story {
    fn new() -> Self {
        let she = core::people().citizen(0).unwrap();
        let contact = she.records().into_iter().find(|one| one.record_type == "identity/contact").unwrap();
        let subject = Identifier::new("national-number", she.national_number().unwrap()).unwrap();
        Self {
            address: core::address(0, 1),
            contact: core::submission(&contact),
            grant: key(),
            withdraw: key(),
            subject,
        }
    }

    /// Gives one call after the other, until one fails. `answered`: the entries that each was told of.
    async fn play(&self, core: &Core, relay: &Registry, answered: &mut Vec<Vec<u64>>) -> Result<(), CallError> {
        let desk = &core.desk;
        let address = desk.submit(IDENTITY, self.address.clone(), ReceiptDetail::Index).await?;
        answered.push(indices(&address));
        let to_tax = address.recipients.iter().find(|one| one.recipient == "tax").unwrap();
        deliver(core, relay, &to_tax.id.to_string()).await?;
        answered.push(Vec::new());
        let granted = desk.grant(PORTAL, self.grant()).await?;
        answered.push(vec![granted.receipt.index]);
        let contact = desk.submit(IDENTITY, self.contact.clone(), ReceiptDetail::Index).await?;
        answered.push(indices(&contact));
        let withdraw = WithdrawCall {
            key: self.withdraw.clone(),
            consent: granted.id.to_string(),
            subject: vec![self.subject.clone()],
            context: context(),
        };
        let withdrawn = desk.withdraw(PORTAL, withdraw).await?;
        assert_eq!(withdrawn.cancelled.len(), 1, "{withdrawn:?}");
        answered.push(vec![withdrawn.receipt.index]);
        Ok(())
    }

    fn grant(&self) -> GrantCall {
        GrantCall {
            key: self.grant.clone(),
            subject: vec![self.subject.clone()],
            agreement: "identity-contact-to-benefit".into(),
            revision: 1,
            from: None,
            until: None,
            notice_version: "1".into(),
            notice_language: "en".into(),
            evidence_media_type: "text/plain".into(),
            evidence: b"signed".to_vec().into(),
            context: context(),
        }
    }
}

fn indices(outcome: &SubmitOutcome) -> Vec<u64> {
    outcome.recipients.iter().map(|one| one.receipt.index).collect()
}

/// Tax takes whatever comes, until `transfer` is acknowledged for good.
async fn deliver(core: &Core, relay: &Registry, transfer: &str) -> Result<(), CallError> {
    let terms = LinkTerms {
        system: SystemId::new("tax/registry").unwrap(),
        credit: 16,
        order: OrderRule::OneUnacknowledged,
        report_within: Duration::from_secs(30),
    };
    let mut port = relay.connect(&AgencyId::new("tax").unwrap(), &terms).unwrap();
    let receiving = tokio::spawn(async move {
        while let Some(batch) = port.next().await {
            let report = |id| Report { transfer: id, outcome: Outcome::Acknowledged };
            port.reporter().report(batch.iter().map(|one| report(one.content.id)).collect()).await;
        }
    });
    let mut ended = Ok(());
    until("tax has acknowledged", async || match core.desk.get_transfer(TAX, transfer, context()).await {
        Ok(view) => view.state == Some(TransferState::Delivery(DeliveryState::Acknowledged)),
        Err(error) => {
            ended = Err(error);
            true
        }
    })
    .await;
    receiving.abort();
    ended
}

fn relay(core: &Core) -> Arc<Registry> {
    Registry::new(Arc::clone(&core.desk), RelayLimits::default(), Arc::new(SystemRandom))
}

/// How many entries there are of each kind.
async fn counts(core: &Core) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for kind in KINDS {
        let call = SearchCall { key: key(), kind: kind.into(), ..SearchCall::default() };
        counts.insert(kind, core.desk.search(DPO, call, context()).await.unwrap().entries.len());
    }
    counts
}

/// The story, with the fault; whether it fired, and what was answered before it did.
async fn until_fault(story: &Story, folder: &Path, step: Step, nth: usize) -> (bool, Vec<Vec<u64>>) {
    let mut options = core::options(folder);
    let (data, kept) = (options.path.clone(), folder.join("kept/data"));
    let (commits, fired) = (AtomicUsize::new(0), AtomicBool::new(false));
    let fault = Arc::new(Fault { step, nth, data, kept, commits, fired });
    options.hook = Arc::clone(&fault) as _;
    let mut answered = Vec::new();
    if let Ok(core) = core::start(options).await {
        let told = story.play(&core, &relay(&core), &mut answered).await;
        assert_eq!(told.is_err(), fault.fired.load(Ordering::SeqCst), "{told:?}");
    }
    (fault.fired.load(Ordering::SeqCst), answered)
}

/// Starts on what the disk held, gives every call again, twice, and verifies everything.
async fn after_restart(story: &Story, folder: &Path, answered: &[Vec<u64>], at: &str) -> BTreeMap<&'static str, usize> {
    let core = core::start(core::options(&folder.join("kept"))).await.unwrap();
    let held = core.sequencer.newest().snapshot.size();
    let relay = relay(&core);
    relay.resume().await.unwrap();
    let mut again = Vec::new();
    story.play(&core, &relay, &mut again).await.unwrap();
    assert_eq!(again.len(), CALLS);
    assert!(again.starts_with(answered), "{at}: {answered:?} was answered, now it is {again:?}");
    assert!(answered.iter().flatten().all(|index| *index < held), "{at}: {answered:?} was answered, {held} are held");
    for one in &again {
        let there = one.iter().filter(|index| **index < held).count();
        assert!(there == 0 || there == one.len(), "{at}: a part of {one:?} was held, up to {held}");
    }
    let mut repeated = Vec::new();
    story.play(&core, &relay, &mut repeated).await.unwrap();
    assert_eq!(repeated, again, "{at}");
    let counts = counts(&core).await;
    relay.drain().await;
    core.sequencer.drain().await;
    let copy = folder.join("copy");
    copy_folder(&folder.join("kept/data"), &copy);
    let report = verify_data(&copy, &[core::verifier()], |_| ()).unwrap();
    assert!(report.fault.is_none(), "{at}: {report:?}");
    assert_eq!(report.size, core.sequencer.newest().snapshot.size(), "{at}");
    counts
}

async fn table(step: Step) {
    let wanted = BTreeMap::from(KINDS.map(|kind| (kind, if kind == "transfer" { 3 } else { 1 })));
    for nth in 1.. {
        let (story, folder) = (Story::new(), tempfile::tempdir().unwrap());
        let at = format!("{step:?} of commit {nth}");
        let (fired, answered) = until_fault(&story, folder.path(), step, nth).await;
        if !fired {
            // The catalogue, two pushes, claim and acknowledgement, consent and withdrawal.
            assert!(nth > 7, "the story has fewer commits than it should");
            return;
        }
        let counts = after_restart(&story, folder.path(), &answered, &at).await;
        assert_eq!(counts, wanted, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_key_slots_fail_a_restart_finds_what_was_answered_and_no_part_of_the_rest() {
    table(Step::BeforeSlots).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_batch_fails_a_restart_finds_what_was_answered_and_no_part_of_the_rest() {
    table(Step::BeforeBatch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_batch_takes_effect_and_fails_a_restart_finds_it_and_a_repeat_adds_nothing() {
    table(Step::AfterBatch).await;
}
