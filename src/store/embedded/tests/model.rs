//! Random histories of commits and restarts, compared with a naive model of the contract after each step.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::scene::{BENEFIT, Builder, NOON, SYSTEM, Scene, TAX, facts, identifier, key, subject};
use crate::{
    domain::{
        agency::AgencyKey,
        idempotency::IdempotencyKey,
        subject::SubjectId,
        time::Moment,
        transfer::DeliveryState::{self, Acknowledged, Cancelled, Claimed, DeadLettered, Due, Rejected},
    },
    store::{Found, Query, Store},
    vault::Term,
};

const RECIPIENTS: [AgencyKey; 2] = [TAX, BENEFIT];

/// One step; the numbers are taken modulo what there is to choose from.
#[derive(Debug, Clone)]
enum Step {
    Commit { entries: Vec<(u8, u8)>, calls: bool, changes: Vec<(u8, u8)> },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let commit = (
        proptest::collection::vec((any::<u8>(), any::<u8>()), 0..40),
        any::<bool>(),
        proptest::collection::vec((any::<u8>(), any::<u8>()), 0..12),
    )
        .prop_map(|(entries, calls, changes)| Step::Commit { entries, calls, changes });
    proptest::collection::vec(prop_oneof![6 => commit, 1 => Just(Step::Reopen)], 1..24)
}

/// The contract in its plainest form.
#[derive(Default)]
struct Model {
    times: Vec<Moment>,
    terms: Vec<Vec<u64>>,
    deliveries: BTreeMap<u64, (AgencyKey, DeliveryState, bool)>,
    horizons: HashMap<AgencyKey, u64>,
    calls: HashMap<IdempotencyKey, u64>,
    versions: HashMap<SubjectId, u64>,
    links: HashMap<u8, SubjectId>,
}

impl Model {
    fn size(&self) -> u64 {
        self.times.len() as u64
    }

    /// Adds an entry to the commit and to the model.
    fn entry(&mut self, commit: Builder, time: Moment, (a, b): (u8, u8)) -> Builder {
        let terms = vec![u64::from(a % 5), 10 + u64::from(b % 7), (u64::from(a) << 56) | 3];
        let recipient = RECIPIENTS.get(usize::from(b % 4)).copied();
        if let Some(recipient) = recipient {
            self.deliveries.insert(self.size(), (recipient, Due, false));
        }
        let commit = commit.entry(&terms, recipient);
        self.times.push(time);
        self.terms.push(terms);
        commit
    }

    /// Adds a change to both: which one, and of what, the two numbers say.
    fn change(&mut self, commit: Builder, (what, which): (u8, u8)) -> Builder {
        let recipient = RECIPIENTS[usize::from(which % 2)];
        match what % 10 {
            0 | 1 => {
                let horizon = self.size() * u64::from(which) / 255;
                for (_, (own, state, _)) in self.deliveries.range_mut(..horizon) {
                    if *own == recipient && *state == Due {
                        *state = Claimed;
                    }
                }
                let before = self.horizons.entry(recipient).or_default();
                *before = horizon.max(*before);
                commit.claim(recipient, horizon)
            }
            2..=6 => {
                let end = [Acknowledged, Acknowledged, Rejected, DeadLettered, Cancelled][usize::from(what % 10 - 2)];
                let Some((index, (own, state, replayed))) = pick(&mut self.deliveries, which, |_| true) else {
                    return commit;
                };
                if *state != Acknowledged {
                    (*state, *replayed) = (end, false);
                }
                commit.settle(*own, index, end)
            }
            7 => {
                let dead = |state| state == DeadLettered;
                let Some((index, (own, state, replayed))) = pick(&mut self.deliveries, which, dead) else {
                    return commit;
                };
                (*state, *replayed) = (Due, true);
                commit.replay(*own, index)
            }
            8 => {
                let version = self.versions.entry(subject(which % 6)).or_default();
                *version += 1;
                commit.facts(subject(which % 6), facts(*version))
            }
            _ => {
                let (who, number) = (subject(which % 6), which % 9);
                self.versions.entry(who).or_default();
                self.links.insert(number, who);
                commit.link(who, &[identifier(number)])
            }
        }
    }

    fn matching(&self, terms: &[u64], from: u64, until: u64) -> Vec<u64> {
        let all = |index: &u64| terms.iter().all(|term| self.terms[*index as usize].contains(term));
        (from..until.min(self.size())).rev().filter(all).collect()
    }

    async fn compare(&self, scene: &Scene) {
        let store = scene.store();
        let head = store.head().await.unwrap();
        assert_eq!(head.size, self.size());
        for terms in [vec![], vec![1], vec![2, 13], vec![11, 4, 3], vec![(200 << 56) | 3]] {
            let query = Query { terms: terms.iter().map(|t| Term(*t)).collect(), limit: 10_000, ..Query::default() };
            assert_eq!(store.search(&query).await.unwrap(), self.matching(&terms, 0, u64::MAX));
            let (before, middle) = (self.size() * 3 / 4, self.times.get(self.times.len() / 3).copied());
            let from = middle.map_or(0, |middle| self.times.partition_point(|time| *time < middle) as u64);
            let part = Query { before: Some(before), from: middle, limit: 5, ..query };
            let expected: Vec<u64> = self.matching(&terms, from, before).into_iter().take(5).collect();
            assert_eq!(store.search(&part).await.unwrap(), expected);
        }
        for index in 0..=self.size() {
            let state = store.delivery(index).await.unwrap().map(|delivery| (delivery.recipient, delivery.state));
            assert_eq!(state, self.deliveries.get(&index).map(|(own, state, _)| (*own, *state)), "delivery {index}");
        }
        for recipient in RECIPIENTS {
            self.compare_recipient(scene, recipient).await;
        }
        for (call, first) in &self.calls {
            assert_eq!(store.known(SYSTEM, *call).await.unwrap().map(|known| known.first), Some(*first));
        }
        for number in 0..6 {
            let version = store.subject(subject(number)).unwrap().map(|subject| subject.facts.version);
            assert_eq!(version, self.versions.get(&subject(number)).copied());
        }
        for number in 0..9 {
            let found = match store.find_subject(&[identifier(number)]).await.unwrap() {
                Found::One { subject, .. } => Some((subject.id, subject.facts.version)),
                Found::Nobody => None,
                Found::Several => panic!("one identifier points to one person"),
            };
            assert_eq!(found, self.links.get(&number).map(|who| (*who, self.versions[who])));
        }
    }

    async fn compare_recipient(&self, scene: &Scene, recipient: AgencyKey) {
        let own = self.deliveries.iter().filter(|(_, (own, ..))| *own == recipient);
        let waiting = own.clone().filter(|(_, (_, state, _))| matches!(state, Due | Claimed));
        let expected: Vec<_> = waiting.map(|(index, (_, _, replayed))| (*index, *replayed)).collect();
        let (mut got, mut from) = (Vec::new(), 0);
        loop {
            let page = scene.store().pending(recipient, from, 7).await.unwrap();
            assert_eq!(page.horizon, self.horizons.get(&recipient).copied().unwrap_or_default());
            assert!(page.items.iter().all(|item| item.payload == format!("payload of {}", item.entry.index)));
            got.extend(page.items.iter().map(|item| (item.entry.index, item.replayed)));
            from = page.next;
            if page.items.len() < 7 {
                break;
            }
        }
        assert_eq!(got, expected);
        let dead: Vec<u64> = own.filter(|(_, (_, state, _))| *state == DeadLettered).map(|(index, _)| *index).collect();
        let letters = scene.store().dead_letters(recipient, 0, 10_000).await.unwrap();
        assert_eq!(letters.iter().map(|letter| letter.index).collect::<Vec<_>>(), dead);
    }
}

type Row = (AgencyKey, DeliveryState, bool);

fn pick(rows: &mut BTreeMap<u64, Row>, which: u8, of: impl Fn(DeliveryState) -> bool) -> Option<(u64, &mut Row)> {
    let fits: Vec<u64> = rows.iter().filter(|(_, (_, state, _))| of(*state)).map(|(index, _)| *index).collect();
    let index = *fits.get(usize::from(which) * fits.len() / 256)?;
    rows.get_mut(&index).map(|row| (index, row))
}

async fn run(steps: &[Step], recent_bytes: usize) {
    let mut scene = Scene::with(|options| {
        options.memory.recent_bytes = recent_bytes;
        options.memory.known_keys = 20;
        options.memory.subjects = 3;
    });
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Reopen => scene.reopen(),
            Step::Commit { entries, calls, changes } => {
                let guard = scene.store().lock_head(&[], &[]).await.unwrap();
                let mut commit = Builder::after(guard.head());
                let time = commit.commit.time;
                for entry in entries {
                    commit = model.entry(commit, time, *entry);
                    if *calls {
                        let first = model.size() - 1;
                        let call = key(Moment(NOON.0 + 400 * u64::from(entry.0)), first as u16);
                        model.calls.insert(call, first);
                        commit = commit.call(call);
                    }
                }
                for change in changes {
                    commit = model.change(commit, *change);
                }
                guard.commit(commit.done()).await.unwrap();
            }
        }
        model.compare(&scene).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_with_restarts_agrees_with_the_model(steps in steps(), recent in prop_oneof![Just(1), Just(20_000)]) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(&steps, recent));
    }
}
