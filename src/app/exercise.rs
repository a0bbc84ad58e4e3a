//! A data folder without its hub: verifying it, and falsifying a copy to see the verifier find it.

use std::path::Path;

use crate::{
    ledger::{Checkpoint, LedgerReport, Note, VerifierKey, verify_ledger},
    store::embedded::LedgerCopy,
};

/// Verifies the ledger in a data folder (a copy, or of a hub that is stopped) without any key of the hub: every entry,
/// every tile, the newest checkpoint's signature and root.
pub fn verify_data(folder: &Path, keys: &[VerifierKey], progress: impl FnMut(u64)) -> anyhow::Result<LedgerReport> {
    let copy = LedgerCopy::open(folder)?;
    let head = copy.head()?;
    let text = String::from_utf8_lossy(&head.checkpoint);
    let checkpoint = Checkpoint::verify(&Note::parse(&text)?, keys)?;
    Ok(verify_ledger(copy.entries(), &copy, &checkpoint, progress))
}

/// Changes one bit of one entry in a copy of a data folder, for exercises in verifying.
pub fn falsify_copy(folder: &Path, index: u64) -> anyhow::Result<()> {
    Ok(LedgerCopy::open(folder)?.falsify(index)?)
}
