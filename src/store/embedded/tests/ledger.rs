//! Entries, payloads, tiles, head and search: what was committed is read back, from memory and from the folder alike.

use futures_util::FutureExt;

use super::scene::{BENEFIT, NOON, Scene, TAX, checkpoint, entry};
use crate::{
    domain::time::Moment,
    ledger::{FullTile, TILE_BYTES, TileId},
    store::{Commit, Expect, Query, Store, StoreError, embedded::index::CHUNK_ENTRIES},
    vault::Term,
};

type Break = fn(&mut Commit);

fn terms(terms: &[u64]) -> Query {
    Query { terms: terms.iter().map(|term| Term(*term)).collect(), limit: 1000, ..Query::default() }
}

async fn check_entries(scene: &Scene) {
    let stored = scene.store().entries(1, 3).await.unwrap();
    assert_eq!(stored.len(), 3, "of five entries, three from the second on");
    for (index, stored) in (1..).zip(stored) {
        let recipient = (index != 3).then_some(TAX);
        let expected = entry(index, &[index], recipient);
        assert_eq!((stored.index, &stored.entry, &stored.trail), (index, &expected.entry, &expected.trail));
        assert_eq!(stored.routing, expected.routing);
        let payload = recipient.map(|_| expected.payload);
        assert_eq!(scene.store().payload(index).await.unwrap(), payload, "an entry without one has none");
    }
    assert_eq!(scene.store().entries(4, 100).await.unwrap().len(), 1);
    assert_eq!(scene.store().entries(5, 100).await.unwrap().len(), 0);
    assert_eq!(scene.store().payload(5).await.unwrap(), None);
}

#[tokio::test]
async fn entries_are_read_back_as_they_were_written() {
    let mut scene = Scene::new();
    scene.commit(|c| c.entry(&[0], Some(TAX)).entry(&[1], Some(TAX))).await.unwrap();
    scene.commit(|c| c.entry(&[2], Some(TAX)).entry(&[3], None)).await.unwrap();
    scene.commit(|c| c.entry(&[4], None)).await.unwrap();
    check_entries(&scene).await;
    scene.reopen();
    check_entries(&scene).await;
}

#[tokio::test]
async fn the_head_is_that_of_the_newest_entry() {
    let mut scene = Scene::new();
    assert_eq!(scene.head().await, crate::store::Head::default());
    scene.commit_terms(&[1, 2]).await;
    scene.commit_terms(&[3]).await;
    scene.commit(|c| c.claim(TAX, 3)).await.unwrap();
    for _ in 0..2 {
        let head = scene.head().await;
        assert_eq!((head.size, head.time, head.checkpoint), (3, Moment(NOON.0 + 1000), checkpoint("hub/test/one", 3)));
        scene.reopen();
    }
}

#[tokio::test]
async fn tiles_are_kept_by_level_and_index() {
    let mut scene = Scene::new();
    let tile = |fill: u8| FullTile::from_bytes(vec![fill; TILE_BYTES]).unwrap();
    let ids = [(0, 0), (0, 1), (1, 0), (2, 0), (0, 255)].map(|(level, index)| TileId { level, index });
    let guard = scene.store().lock_head(&[], &[]).await.unwrap();
    let mut commit = super::scene::Builder::after(guard.head()).entry(&[1], None).done();
    commit.tiles = ids.iter().zip(1..).map(|(id, fill)| (*id, tile(fill))).collect();
    guard.commit(commit).await.unwrap();
    scene.reopen();
    for (id, fill) in ids.iter().zip(1..) {
        assert_eq!(scene.store().tile(*id).await.unwrap(), Some(tile(fill)));
    }
    for (level, index) in [(1, 1), (0, 2), (7, u64::MAX), (9, 0), (255, 0)] {
        assert_eq!(scene.store().tile(TileId { level, index }).await.unwrap(), None);
    }
}

#[tokio::test]
async fn nobody_else_takes_the_head_until_it_is_let_go() {
    let scene = Scene::new();
    let guard = scene.store().lock_head(&[], &[]).await.unwrap();
    let mut second = scene.store().lock_head(&[], &[]);
    assert!((&mut second).now_or_never().is_none());
    drop(guard);
    assert_eq!(second.await.unwrap().head().size, 0, "and letting go without a commit changes nothing");
}

#[tokio::test]
async fn a_commit_that_breaks_the_contract_changes_nothing_and_the_next_one_goes_through() {
    let scene = Scene::new();
    scene.commit_terms(&[1, 2]).await;
    let breaks: [(&str, Break); 7] = [
        ("time", |c| c.time = NOON.before(std::time::Duration::from_secs(1))),
        ("checkpoint's size", |c| c.checkpoint = checkpoint("hub/test/one", 9)),
        ("checkpoint's origin", |c| c.checkpoint = checkpoint("hub/test/two", 3)),
        ("checkpoint missing", |c| c.checkpoint = bytes::Bytes::new()),
        ("empty entry", |c| c.entries[0].entry = bytes::Bytes::new()),
        ("entry too long", |c| c.entries[0].entry = vec![0; 65_536].into()),
        ("checkpoint without entry", |c| c.entries.clear()),
    ];
    for (name, break_it) in breaks {
        let guard = scene.store().lock_head(&[], &[]).await.unwrap();
        let mut commit = super::scene::Builder::after(guard.head()).entry(&[3], None).done();
        break_it(&mut commit);
        let result = guard.commit(commit).await;
        assert!(matches!(result, Err(StoreError::Invalid(_))), "{name}: {result:?}");
        assert_eq!(scene.head().await.size, 2);
    }
    scene.commit_terms(&[3]).await;
    assert_eq!(scene.head().await.size, 3);
}

#[tokio::test]
async fn a_search_finds_what_has_all_terms_newest_first() {
    let mut scene = Scene::new();
    for round in 0..5 {
        scene.commit(|c| c.entry(&[1, 100 + round], None).entry(&[2, 1, 1], None).entry(&[2], None)).await.unwrap();
    }
    for _ in 0..2 {
        let store = scene.store();
        assert_eq!(store.search(&terms(&[2, 1])).await.unwrap(), [13, 10, 7, 4, 1]);
        assert_eq!(store.search(&terms(&[103, 1])).await.unwrap(), [9]);
        assert_eq!(store.search(&terms(&[103, 2])).await.unwrap(), [0; 0]);
        assert_eq!(store.search(&terms(&[])).await.unwrap().len(), 15, "without terms: every entry");
        let page = Query { limit: 2, before: Some(10), ..terms(&[2, 1]) };
        assert_eq!(store.search(&page).await.unwrap(), [7, 4]);
        let second = |n: u64| Some(Moment(NOON.0 + 1000 * n));
        let between = Query { from: second(1), until: second(3), ..terms(&[2, 1]) };
        assert_eq!(store.search(&between).await.unwrap(), [7, 4]);
        let late = Query { from: second(9), ..terms(&[2]) };
        assert_eq!(store.search(&late).await.unwrap(), [0; 0]);
        scene.reopen();
    }
}

#[tokio::test]
async fn a_search_goes_on_from_memory_into_the_flushed_chunks() {
    let mut scene = Scene::new();
    let entries = CHUNK_ENTRIES * 3 + CHUNK_ENTRIES / 2;
    let mut next = 0;
    while next < entries {
        let upto = entries.min(next + 37);
        let add = |c: super::scene::Builder, index: u64| {
            let recipient = index.is_multiple_of(50).then_some(BENEFIT);
            c.entry(&[index % 2, 10 + index % 29, index << 50], recipient)
        };
        scene.commit(|c| (next..upto).fold(c, add)).await.unwrap();
        next = upto;
    }
    scene.flush_index();
    let expected: Vec<u64> = (0..entries).rev().filter(|index| index % 29 == 5 && index % 2 == 1).collect();
    for _ in 0..2 {
        assert_eq!(scene.store().inner.index.tail_first(), CHUNK_ENTRIES * 3);
        assert_eq!(scene.store().search(&terms(&[15, 1])).await.unwrap(), expected);
        let page = Query { before: Some(expected[3]), limit: 4, ..terms(&[1, 15]) };
        assert_eq!(scene.store().search(&page).await.unwrap(), expected[4..8]);

        let deliveries = scene.store().inner.index.deliveries(BENEFIT, 51, entries, usize::MAX).unwrap();
        assert_eq!(deliveries, (100..entries).step_by(50).collect::<Vec<_>>());
        assert_eq!(scene.store().inner.index.deliveries(BENEFIT, 51, entries, 3).unwrap(), [100, 150, 200]);

        let quiet = |since| Expect::Quiet { term: Term(15), since };
        let last = expected.iter().max().copied().unwrap();
        let newest = (0..entries).rev().find(|index| index % 29 == 5).unwrap().max(last);
        let expects = [quiet(0), quiet(newest), quiet(newest + 1)];
        let guard = scene.store().lock_head(&expects.each_ref(), &[]).await.unwrap();
        assert_eq!(expects.each_ref().map(|expect| guard.holds(expect)), [false, false, true]);
        drop(guard);
        scene.reopen();
    }
}

#[tokio::test]
async fn an_entry_that_is_kept_does_not_keep_its_commit_in_memory() {
    for recent_bytes in [1, 1 << 20] {
        let scene = Scene::with(|options| options.memory.recent_bytes = recent_bytes);
        scene.commit(|c| c.entry(&[1], Some(TAX)).entry(&[2], Some(TAX))).await.unwrap();
        scene.commit_terms(&[3]).await;
        let stored = scene.store().entries(0, 2).await.unwrap();
        assert!(stored.iter().all(|one| one.entry.is_unique() && one.trail.is_unique()));
        let pending = scene.store().pending(TAX, 0, 9).await.unwrap();
        assert_eq!(pending.items.len(), 2);
        assert!(pending.items.iter().all(|item| item.payload.is_unique() && item.entry.trail.is_unique()));
        assert!(scene.store().payload(1).await.unwrap().unwrap().is_unique());
    }
}
