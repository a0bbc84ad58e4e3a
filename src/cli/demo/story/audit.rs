//! Step 6: the data-protection officer.

use std::{collections::HashSet, fs, path::Path};

use anyhow::Context as _;
use waybill_proto::v1;

use super::{Stage, check};
use crate::{
    cli::demo::{
        proof,
        say::Teller,
        systems::{System, context, identifiers, new_key},
    },
    cli::ledger::sentence,
    ledger::{Fault, VerifierKey},
};

/// Sentences that the demo prints; the rest is counted.
const SHOWN: usize = 8;

pub(super) async fn play(stage: &mut Stage, teller: Teller) -> anyhow::Result<()> {
    teller.title("6. The data-protection officer asks");
    let officer = System::connect(&stage.place, "hub/dpo").await?;
    let all = search(&officer, stage).await?;
    check(all.len() > SHOWN, "the hub's officer sees her history")?;
    teller.fact(&format!("about her the ledger has {} entries; of each kind the newest:", all.len()));
    let mut told = HashSet::new();
    for entry in all.iter().filter(|entry| told.insert(entry.kind.as_str())).take(SHOWN) {
        teller.detail(&sentence::text(entry).replace('\n', "\n      "));
    }

    let of_identity = System::connect(&stage.place, "identity/dpo").await?;
    let own = search(&of_identity, stage).await?;
    let foreign = |entry: &&v1::EntryView| {
        let says = |agency: &str| {
            let quoted = format!("\"{agency}\"");
            entry.attributes.iter().any(|said| [3, 4, 24].contains(&said.number) && said.value == quoted)
        };
        says("tax") && says("benefit") && !says("identity")
    };
    check(all.iter().any(|entry| foreign(&entry)), "tax answered benefit about her")?;
    check(!own.iter().any(|entry| foreign(&entry)), "identity's officer does not see what tax told benefit")?;
    // Some have come since: the search itself, late acknowledgements.
    let seen = own.iter().filter(|entry| all.iter().any(|one| one.index == entry.index)).count();
    teller.fact(&format!(
        "identity's own officer asks the same and sees {seen} of those {}: what tax told benefit is not there",
        all.len()
    ));

    let receipt = stage.receipt.clone().context("step 2 left no receipt")?;
    proof::verify(&receipt, None, &stage.place.verifier_key)?;
    teller.fact(&format!(
        "the receipt of step 2 (entry {}) verifies offline, with the ledger's public key alone",
        receipt.index
    ));
    tamper(stage, teller, receipt.index)
}

async fn search(officer: &System, stage: &Stage) -> anyhow::Result<Vec<v1::EntryView>> {
    let mut entries = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::SearchRequest {
            idempotency_key: new_key(),
            context: context("officer 3", "inspection 2026-9", "complaint of the person concerned"),
            subject: identifiers(&stage.she()?),
            page_size: 200,
            page_token,
            ..v1::SearchRequest::default()
        };
        let page = officer.ledger.clone().search(request).await?.into_inner();
        entries.extend(page.entries);
        if page.next_page_token.is_empty() {
            return Ok(entries);
        }
        page_token = page.next_page_token;
    }
}

/// Falsifies one entry in a copy of the hub's data and lets the verifier find it.
fn tamper(stage: &Stage, teller: Teller, index: u64) -> anyhow::Result<()> {
    let copy = stage.place.folder.join("copy-of-data");
    copy_folder(&stage.place.config.paths.data, &copy)?;
    let key: VerifierKey = stage.place.verifier_key.parse()?;
    let keys = [key];
    let sound = crate::app::verify_data(&copy, &keys, |_| ())?;
    check(sound.fault.is_none(), "the copy verifies before it is touched")?;
    teller.fact(&format!("a copy of the hub's data verifies: {} entries", sound.size));
    crate::app::falsify_copy(&copy, index)?;
    let falsified = crate::app::verify_data(&copy, &keys, |_| ())?;
    let fault = falsified.fault.context("the verifier did not notice that an entry was changed")?;
    teller.fact(&format!("somebody changes one bit of entry {index} in the copy; the verifier says: {fault}"));
    check(is_about(&fault, index), "the verifier says where")?;
    fs::remove_dir_all(&copy)?;
    Ok(())
}

/// Whether `fault` is the truth about a changed entry: that entry, where a full tile covers it; else (a ledger of few
/// entries has none) that the root is another, with a span that has the entry in it.
fn is_about(fault: &Fault, changed: u64) -> bool {
    match fault {
        Fault::Unreadable { index, .. }
        | Fault::Malformed { index, .. }
        | Fault::Time { index }
        | Fault::Leaf { index } => *index == changed,
        Fault::Root { unvouched, .. } => *unvouched <= changed,
        _ => false,
    }
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for inside in fs::read_dir(from)? {
        let inside = inside?;
        let target = to.join(inside.file_name());
        if inside.file_type()?.is_dir() {
            copy_folder(&inside.path(), &target)?;
        } else {
            fs::copy(inside.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Hash;

    #[test]
    fn a_fault_is_about_the_changed_entry_or_the_span_that_no_full_tile_covers() {
        let root = |unvouched| Fault::Root { expected: Hash::new([1; 32]), found: Hash::new([2; 32]), unvouched };
        assert!(is_about(&Fault::Leaf { index: 41 }, 41));
        assert!(!is_about(&Fault::Leaf { index: 4 }, 41), "another entry");
        assert!(is_about(&root(0), 41), "a ledger without a full tile");
        assert!(is_about(&root(256), 256));
        assert!(!is_about(&root(256), 41), "a full tile covers it");
        assert!(!is_about(&Fault::Truncated { found: 41, expected: 42 }, 41));
    }
}
