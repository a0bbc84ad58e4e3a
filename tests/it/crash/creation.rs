//! The power goes while a store is created: at each sync of it. What is left is a store, none, or what says itself that
//! it is to be removed.

use std::{fs, path::Path};

use waybill::store::{
    StoreError,
    embedded::{EmbeddedOptions, EmbeddedStore},
};

use super::{
    core,
    disk::{Disk, Synced, run_on},
};

/// Tells the test that it is the process in which the power goes, and where.
const FOLDER: &str = "WAYBILL_TEST_CREATION";
/// Syncs of a creation at least: key slots, volumes and their folders, the database and its own.
const SYNCS_MIN: usize = 5;

fn options(folder: &Path) -> EmbeddedOptions {
    let options = core::options(folder);
    fs::create_dir_all(&options.path).unwrap();
    options
}

/// What is left by a creation is opened, made, or removed as it is told and then made.
fn starts(folder: &Path, at: &str) {
    let options = options(folder);
    if EmbeddedStore::exists(&options.path) {
        match EmbeddedStore::open(options.clone()) {
            Ok(_) => return,
            Err(StoreError::Foreign(why)) => {
                assert!(why.contains("creation was interrupted"), "{at}: {why}");
                for left in ["db", "commits", "index", "keys/slots"] {
                    let left = options.path.join(left);
                    // Not all of them are there.
                    let _ = if left.is_dir() { fs::remove_dir_all(left) } else { fs::remove_file(left) };
                }
            }
            Err(error) => panic!("{at}: {error}"),
        }
    }
    EmbeddedStore::create(&options).unwrap_or_else(|error| panic!("{at}: {error}"));
    EmbeddedStore::open(options).unwrap_or_else(|error| panic!("{at}: {error}"));
}

/// Plays both parts: without a folder it starts itself with one.
#[test]
fn wherever_the_power_goes_a_store_can_be_made() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let made = EmbeddedStore::create(&options(Path::new(&folder)));
        return drop(made); // the power may have gone
    }
    for synced in [Synced::Lost, Synced::Kept] {
        for nth in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            let at = format!("the {nth}. sync is {synced:?}");
            let disk = Disk::new(&options(folder).path, &folder.join("disk"));
            disk.fail(nth, "*", synced);
            let ran = run_on(&disk, "crash::creation::wherever_the_power_goes_a_store_can_be_made", (FOLDER, folder));
            assert!(ran.status.success(), "{at}: {}", String::from_utf8_lossy(&ran.stdout));
            if !disk.is_cut() {
                assert!(nth > SYNCS_MIN, "only {nth} syncs");
                break;
            }
            let left = folder.join("left");
            disk.lay_out(&options(&left).path);
            starts(&left, &at);
        }
    }
}
