//! Any history: whatever is proposed, by whom and with which restarts in between, each prefix of the ledger verifies,
//! and its roots are those of RFC 9162's own definition.

use proptest::prelude::*;

use super::{
    restart::{verify_all, verify_continues},
    scene::{A, B, C, Says as _, Scene, identifier, key, person, subject},
};
use crate::{
    ledger::{Hash, leaf_hash, node_hash},
    sequencer::{Bounds, Proposal, Recorded, SequencerError},
    store::{Expect, Store, SystemKey},
    vault::Term,
};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Happens {
    /// These are proposed while the writer is busy, and so share batches.
    Together(Vec<Wish>),
    Restart,
}

/// A proposal in a form that shrinks well.
#[derive(Debug, Clone)]
struct Wish {
    system: SystemKey,
    number: u64,
    entries: u64,
    key: Option<(u16, u8)>,
    /// Whose facts it rests on and changes.
    subject: Option<u8>,
    quiet: bool,
}

fn wish() -> impl Strategy<Value = Wish> {
    let system = prop::sample::select(vec![A, B, C]);
    let key = prop::option::weighted(0.5, (0_u16..6, 0_u8..2));
    (system, 0_u64..20, 1_u64..40, key, prop::option::weighted(0.3, 0_u8..3), prop::bool::weighted(0.1)).prop_map(
        |(system, number, entries, key, subject, quiet)| Wish { system, number, entries, key, subject, quiet },
    )
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        9 => prop::collection::vec(wish(), 1..12).prop_map(Happens::Together),
        1 => Just(Happens::Restart),
    ]
}

fn proposal(scene: &Scene, wish: &Wish) -> Proposal {
    let mut proposal = person(wish.number).of(wish.system).entries(wish.entries);
    if let Some((number, content)) = wish.key {
        proposal = proposal.keyed(key(number), content);
    }
    if let Some(number) = wish.subject {
        let whom = subject(number);
        proposal = match scene.store.subject(whom).unwrap() {
            None => proposal
                .link(whom, identifier(number))
                .expecting(Expect::Newcomer { identifier: identifier(number), subject: whom }),
            Some(known) => {
                let version = known.facts.version;
                proposal.facts(whom, version + 1).expecting(Expect::Facts { subject: whom, version })
            }
        };
    }
    if wish.quiet {
        proposal = proposal.expecting(Expect::Quiet { term: Term(wish.number), since: 0 });
    }
    proposal
}

/// MTH of RFC 9162 §2.1.1, as it stands there.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

async fn play(history: Vec<Happens>) {
    let mut scene = Scene::with(Bounds { batch_entries_max: 64, ..Bounds::default() }, |_| {}).await;
    let mut commits = Vec::new();
    for step in history {
        match step {
            Happens::Restart => scene = scene.restart().await,
            Happens::Together(wishes) => {
                let held = scene.hold().await;
                let mut calls = Vec::new();
                for wish in &wishes {
                    calls.push(scene.call(proposal(&scene, wish)));
                }
                scene.let_go();
                commits.push(super::scene::committed(held.await).1);
                for call in calls {
                    match call.await {
                        Ok(Recorded::Committed { first, commit }) => {
                            assert!(first < commit.snapshot.size());
                            commits.push(commit);
                        }
                        Ok(Recorded::Repeat(known)) => {
                            assert!(known.first + u64::from(known.count) <= scene.size().await);
                        }
                        Err(SequencerError::Stale | SequencerError::KeyReused) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }
    let newest = scene.sequencer.newest();
    verify_all(&scene.store, &newest).await;
    let entries = scene.store.entries(0, usize::MAX >> 1).await.unwrap();
    let leaves: Vec<Hash> = entries.iter().map(|stored| leaf_hash(&stored.entry)).collect();
    commits.sort_by_key(|commit| commit.snapshot.size());
    commits.dedup_by_key(|commit| commit.snapshot.size());
    for commit in &commits {
        assert_eq!(commit.snapshot.root(), root(&leaves[..commit.snapshot.size() as usize]));
        verify_continues(&scene.store, commit, &newest).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_prefix_of_any_history_verifies(history in prop::collection::vec(happens(), 1..10)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(play(history));
    }
}
