//! What the store says of the memory that it holds.

use super::scene::{BENEFIT, NOON, SYSTEM, Scene, identifier, key, subject};
use crate::{
    domain::{agency::AgencyKey, time::Moment},
    store::{Class, Owner, Store as _},
};

/// A dozen commits: each has a page to itself.
const RECENT_BYTES: usize = 100_000;
const BLOCK_BYTES: u64 = 1 << 20;

fn scene() -> Scene {
    Scene::with(|options| {
        options.memory.recent_bytes = RECENT_BYTES;
        options.memory.block_bytes = BLOCK_BYTES;
        options.memory.known_keys = 100;
        options.memory.subjects = 20;
        options.memory.slots = 20;
    })
}

#[tokio::test]
async fn the_newest_commits_are_counted_up_to_their_bound() {
    let scene = scene();
    assert_eq!(scene.store().held().recent, 0);
    let mut held = vec![0];
    for _ in 0..100 {
        scene.commit(|c| c.entry(&[1], Some(BENEFIT)).entry(&[2], Some(BENEFIT))).await.unwrap();
        held.push(scene.store().held().recent);
    }
    let one = held[1];
    assert!(one > 100 && held[2] > held[1] && held[3] > held[2], "each adds to it: {held:?}");
    let most = *held.iter().max().unwrap();
    assert!(most <= RECENT_BYTES as u64 && most + 2 * one > RECENT_BYTES as u64, "full, and not more: {held:?}");
}

#[tokio::test]
async fn known_calls_are_counted_while_they_are_held() {
    let scene = scene();
    let calls: Vec<_> = (0..600_u16).map(|n| key(Moment(NOON.0 + 10 * u64::from(n)), n)).collect();
    let mut held = Vec::new();
    for some in calls.chunks(50) {
        scene.commit(|c| some.iter().fold(c, |c, call| c.entry(&[1], None).call(*call))).await.unwrap();
        for call in some {
            assert!(scene.store().known(SYSTEM, *call).await.unwrap().is_some());
        }
        held.push(scene.store().held().known_keys);
    }
    // 56 bytes each, in seconds of a hundred; a table is up to twice as large.
    assert!(held[0] >= 50 * 56 && held[1] > held[0], "{held:?}");
    assert!(held.iter().all(|held| *held <= 3 * 100 * 2 * 57), "old seconds make room: {held:?}");
    scene.store().forget_before(Moment(NOON.0 + 60_000), 1_000).unwrap();
    assert!(scene.store().held().known_keys < held[0], "what is forgotten is not held");
}

#[tokio::test]
async fn people_and_key_slots_are_counted_up_to_their_bounds() {
    let scene = scene();
    let before = scene.store().held();
    let mut held = Vec::new();
    for n in 0..150_u8 {
        scene.commit(|c| c.link(subject(n), &[identifier(n)])).await.unwrap();
        scene.store().slots(Owner::Subject(subject(n)), &[(AgencyKey(7), Class::Trail)]).await.unwrap();
        held.push(scene.store().held());
    }
    assert!(held[9].people > before.people && held[9].slots > before.slots, "{before:?} {:?}", held[9]);
    // Several bounds' worth of them: what is held stands still long before.
    let (half, all) = (held[74], held[149]);
    assert!(all.people <= 2 * half.people && all.slots <= 2 * half.slots, "{half:?} {all:?}");
    // Of a person an id, an identifier, their places and what both point to; of a slot three keys and its owner's list.
    assert!(all.people <= 20 * 2 * 300 && all.slots <= 20 * 2 * 500, "{all:?}");
}

#[tokio::test]
async fn what_is_written_is_buffered_and_blocks_that_are_read_are_cached_up_to_their_bound() {
    let scene = scene();
    let before = scene.store().held();
    for n in 0..50 {
        scene.commit(|c| c.link(subject(n), &[identifier(n)])).await.unwrap();
    }
    let written = scene.store().held();
    assert!(written.write_buffers > before.write_buffers, "{before:?} {written:?}");
    scene.store().inner.keyspaces.subjects.rotate_memtable_and_wait().unwrap();
    // A commit lets go of the snapshot that still has what was flushed.
    scene.commit(|c| c.link(subject(50), &[identifier(50)])).await.unwrap();
    for n in 0..50 {
        scene.store().subject(subject(n)).unwrap().unwrap();
    }
    let read = scene.store().held();
    assert!(read.write_buffers < written.write_buffers, "it has been flushed: {written:?} {read:?}");
    assert!(read.blocks > written.blocks && read.blocks <= BLOCK_BYTES, "{written:?} {read:?}");
}
