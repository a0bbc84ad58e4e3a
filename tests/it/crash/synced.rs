//! The real binary under a system-call tracer: no acknowledgement is written before its commit is on the disk, and a disk
//! that takes nothing more stops it.

use std::{collections::HashMap, fs};

use waybill::cli::demo::{
    population::Population,
    systems::{context, identifiers, new_key, submission},
};
use waybill_proto::v1;

use super::scene::{Scene, until};

/// Calls, one at a time, of which each fourth goes over the second connection.
const CALLS: usize = 24;
/// Calls before those: the hub may read a connection's first call together with the end of its handshake.
const FIRST_CALLS: usize = 4;
/// Whatever is shorter is no call and no answer to one, but a frame that keeps the connection going. Calls carry a
/// record or evidence of more, answers a receipt.
const BYTES_MIN: usize = 400;
const CALLS_TRACED: &str = "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,fdatasync,fsync";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledgement_precedes_the_sync_of_its_commit() {
    let traced = std::process::Command::new("strace").arg("-V").output();
    assert!(traced.is_ok_and(|ran| ran.status.success()), "strace is missing: tests/run installs it");
    let scene = Scene::lay_out("warn", "[store]\nreserve_bytes = 0\n");
    let trace = scene.beside("trace");
    // -D: the hub, not its tracer, is our child. -y: descriptors with what they are of.
    let hub =
        scene.start_under(&["strace", "-D", "-f", "-y", "-s", "0", "-e", CALLS_TRACED, "-o", trace.to_str().unwrap()]);
    call(&scene).await;
    hub.kill();
    // Of whichever thread: the tracer writes in order, so what came before is there.
    let ended = "+++ killed by SIGKILL +++";
    until("the trace is complete", async || fs::read_to_string(&trace).unwrap().contains(ended)).await;
    let text = fs::read_to_string(&trace).unwrap();
    assert_eq!(synced_first(&text, is_slots), Ok(true), "new keys are on the disk before what they seal");
    assert_eq!(synced_first(&text, is_volume), Ok(true), "rows are on the disk before what says where they lie");
    let answers = answers(&text);
    assert!(answers.len() >= CALLS, "only {} answers are in the trace", answers.len());
    // Before those calls come the answers of the handshakes, and of the first calls.
    for (number, answer) in answers[answers.len() - CALLS..].iter().enumerate() {
        assert_eq!(*answer, Progress::Synced, "call {number} of {CALLS}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_fails_stops_the_hub_and_what_was_acknowledged_before_is_there() {
    let scene = Scene::lay_out("warn", "[store]\nreserve_bytes = 0\n");
    let trace = scene.beside("trace");
    // Counted for each thread: from the sequencer's 20th on, the disk takes nothing more.
    let failing = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=20+"];
    let hub = scene.start_under(&[&["strace", "-D", "-f", "-o", trace.to_str().unwrap()][..], &failing].concat());
    let identity = scene.connect("identity/registry").await;
    let mut acknowledged = Vec::new();
    for citizen in Population::generate(1, 60).citizens() {
        let pushed = submission(&citizen.moved_record(1), v1::Change::Changed, "trace");
        let request = v1::SubmitRequest { submission: Some(pushed) };
        match identity.exchange.clone().submit(request.clone()).await {
            Ok(answer) => acknowledged.push((request, answer.into_inner())),
            Err(_) => break,
        }
    }
    assert!((1..60).contains(&acknowledged.len()), "{} calls were answered", acknowledged.len());
    assert_eq!(hub.ended().await.code(), Some(1), "{}", scene.log());

    let _hub = scene.start();
    let identity = scene.connect("identity/registry").await;
    for (request, answer) in acknowledged {
        let again = identity.exchange.clone().submit(request).await.unwrap().into_inner();
        let index = |answer: &v1::SubmitResponse| {
            let recipients = &answer.outcome.as_ref().unwrap().recipients;
            recipients.iter().map(|one| one.receipt.as_ref().unwrap().index).collect::<Vec<_>>()
        };
        assert_eq!(index(&again), index(&answer), "it is there, and a repeat finds it");
    }
}

/// Pushes addresses, and grants consents in between: one call at a time, over one connection each.
async fn call(scene: &Scene) {
    let mut identity = scene.connect("identity/registry").await;
    let mut portal = scene.connect("benefit/portal").await;
    let people = Population::generate(1, FIRST_CALLS + CALLS);
    for (number, citizen) in people.citizens().enumerate() {
        if number % 4 == 3 {
            let grant = v1::GrantRequest {
                idempotency_key: new_key(),
                subject: identifiers(&citizen),
                agreement: "identity-contact-to-benefit".into(),
                agreement_revision: 1,
                notice: Some(v1::Notice { version: "1".into(), language: "en".into() }),
                evidence: Some(v1::grant_request::Evidence {
                    media_type: "text/plain".into(),
                    content: vec![b'x'; 2 * BYTES_MIN].into(),
                }),
                context: context("portal", "case", "trace"),
                ..v1::GrantRequest::default()
            };
            portal.consent.grant(grant).await.unwrap();
        } else {
            let mut pushed = submission(&citizen.moved_record(1), v1::Change::Changed, "trace");
            pushed.context = context("registry", "case", &"x".repeat(BYTES_MIN));
            let request = v1::SubmitRequest { submission: Some(pushed) };
            identity.exchange.submit(request).await.unwrap();
        }
    }
}

/// How far the hub had come with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It was read.
    Read,
    /// After that, the journal was written.
    Written,
    /// After that, a sync of the journal began.
    Syncing,
    /// That sync ended well.
    Synced,
}

/// How far the hub had come when it began to write each answer; calls come one at a time.
fn answers(trace: &str) -> Vec<Progress> {
    let mut answers = Vec::new();
    let mut under_way: HashMap<&str, Call<'_>> = HashMap::new();
    let mut progress = None;
    for line in trace.lines() {
        let (thread, event) = line.split_once(' ').unwrap_or((line, ""));
        let event = event.trim_start();
        if let Some(call) = Call::begun(event) {
            // An answer is on its way from the moment at which its write begins.
            if call.is_answer()
                && let Some(now) = progress.take()
            {
                answers.push(now);
            }
            if call.is_sync() && progress == Some(Progress::Written) {
                progress = Some(Progress::Syncing);
            }
            under_way.insert(thread, call);
        }
        let Some(returned) = returned(event) else { continue };
        let Some(call) = under_way.remove(thread) else { continue };
        if call.is_read() && returned >= BYTES_MIN && progress.is_none() {
            progress = Some(Progress::Read);
        } else if call.is_journal_write() && progress == Some(Progress::Read) {
            progress = Some(Progress::Written);
        } else if call.is_sync() && progress == Some(Progress::Syncing) {
            progress = Some(Progress::Synced);
        }
    }
    answers
}

/// Whether every write to such a file was synced before the journal was next written: a commit must not outlive the keys
/// of what it holds, nor its rows. `Ok(false)` when none was written at all; else the line that came too early.
fn synced_first(trace: &str, is_such: fn(&str) -> bool) -> Result<bool, String> {
    let (mut written, mut unsynced) = (false, false);
    let mut under_way: HashMap<&str, Call<'_>> = HashMap::new();
    for line in trace.lines() {
        let (thread, event) = line.split_once(' ').unwrap_or((line, ""));
        let event = event.trim_start();
        if let Some(call) = Call::begun(event) {
            if call.is_journal_write() && unsynced {
                return Err(line.to_owned());
            }
            if is_such(call.of) && call.writes() {
                (written, unsynced) = (true, true);
            }
            under_way.insert(thread, call);
        }
        let Some(returned) = returned(event) else { continue };
        let ended = under_way.remove(thread).is_some_and(|call| is_such(call.of) && call.syncs());
        unsynced &= !(ended && returned == 0);
    }
    Ok(written)
}

fn is_slots(file: &str) -> bool {
    file.ends_with("/keys/slots")
}

fn is_volume(file: &str) -> bool {
    has_extension(file, "vol")
}

fn has_extension(file: &str, wanted: &str) -> bool {
    std::path::Path::new(file).extension().is_some_and(|extension| extension == wanted)
}

/// A system call as it begins.
struct Call<'a> {
    name: &'a str,
    /// What its descriptor is of.
    of: &'a str,
    rest: &'a str,
}

impl<'a> Call<'a> {
    /// `name(3<what it is of>, …`.
    fn begun(event: &'a str) -> Option<Self> {
        let (name, rest) = event.split_once('(')?;
        let (_, rest) = rest.split_once('<')?;
        let (of, rest) = rest.split_once('>')?;
        (!name.contains(' ')).then_some(Self { name, of, rest })
    }

    fn is_socket(&self) -> bool {
        self.of.starts_with("socket:") || self.of.starts_with("TCP")
    }

    fn is_read(&self) -> bool {
        self.is_socket() && matches!(self.name, "read" | "readv" | "recvfrom" | "recvmsg")
    }

    /// A write that is too long for anything else: the longest length among its arguments is what it sends.
    fn is_answer(&self) -> bool {
        let sends = self.is_socket() && matches!(self.name, "write" | "writev" | "sendto" | "sendmsg");
        let numbers = self.rest.split(|c: char| !c.is_ascii_digit()).filter_map(|text| text.parse::<usize>().ok());
        sends && numbers.max().unwrap_or_default() >= BYTES_MIN
    }

    fn is_journal(&self) -> bool {
        has_extension(self.of, "jnl")
    }

    fn writes(&self) -> bool {
        matches!(self.name, "write" | "writev" | "pwrite64")
    }

    fn syncs(&self) -> bool {
        matches!(self.name, "fdatasync" | "fsync")
    }

    fn is_journal_write(&self) -> bool {
        self.is_journal() && self.writes()
    }

    fn is_sync(&self) -> bool {
        self.is_journal() && self.syncs()
    }
}

/// What a call that ends with this line returned, if it ended well.
fn returned(event: &str) -> Option<usize> {
    event.rsplit_once(" = ")?.1.split(' ').next()?.parse().ok()
}

#[test]
fn a_trace_in_which_the_answer_comes_too_early_is_seen_through() {
    let line = |text: &str| format!("7 {text}\n");
    let read = line("recvfrom(9<socket:[5]>, \"\"..., 8192, 0, NULL, NULL) = 2048");
    let write = line("write(4</data/db/0.jnl>, \"\"..., 3000) = 3000");
    let sync = line("fdatasync(4</data/db/0.jnl>) = 0");
    let begun = line("fdatasync(4</data/db/0.jnl> <unfinished ...>");
    let failed = line("fdatasync(4</data/db/0.jnl>) = -1 EIO (Input/output error)");
    let answer = line("sendto(9<socket:[5]>, \"\"..., 1200, MSG_NOSIGNAL, NULL, 0) = 1200").replace('7', "8");
    let ended = line("<... fdatasync resumed>) = 0");
    let judged = |parts: &[&String]| {
        let text: String = parts.iter().map(|part| part.as_str()).collect();
        answers(&text)
    };
    assert_eq!(judged(&[&read, &write, &sync, &answer]), [Progress::Synced]);
    assert_eq!(judged(&[&read, &write, &begun, &ended, &answer]), [Progress::Synced]);
    assert_eq!(judged(&[&read, &write, &begun, &answer, &ended]), [Progress::Syncing]);
    assert_eq!(judged(&[&read, &write, &failed, &answer]), [Progress::Syncing]);
    assert_eq!(judged(&[&sync, &read, &write, &answer, &sync]), [Progress::Written]);
    assert_eq!(judged(&[&read, &sync, &answer]), [Progress::Read]);

    let slot = line("pwrite64(5</data/keys/slots>, \"\"..., 64, 128) = 64");
    let kept = line("fdatasync(5</data/keys/slots>) = 0");
    let lost = line("fdatasync(5</data/keys/slots>) = -1 EIO (Input/output error)");
    let first = |parts: &[&String]| synced_first(&parts.iter().map(|part| part.as_str()).collect::<String>(), is_slots);
    assert_eq!(first(&[&read, &slot, &kept, &write, &sync]), Ok(true));
    assert_eq!(first(&[&read, &write, &sync]), Ok(false));
    for early in [[&slot, &write, &kept, &sync], [&slot, &lost, &write, &sync], [&kept, &slot, &write, &kept]] {
        assert!(first(&early).is_err(), "the journal came first");
    }
}
