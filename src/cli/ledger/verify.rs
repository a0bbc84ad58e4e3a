//! `waybill ledger verify`: a receipt, or all of a data folder, without any hub. The exit code is the verdict.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    sentence::{Said, lines},
    verifier_keys,
};
use crate::{
    app,
    cli::{
        exit::{Exit, Failure},
        input::Source,
        output::{ENTRIES, Out, progress},
    },
    domain::time::Moment,
    ledger::{
        CheckpointError, Entry, LedgerReport, MAX_RECEIPT_BYTES, NoteError, Opening, Receipt, Verified, VerifierKey,
    },
};

/// `ledger verify`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Verify {
    /// A receipt (`-`: standard input), or the data folder of a hub that is stopped, better a copy of it
    #[arg(value_name = "RECEIPT|FOLDER")]
    path: Source,
    /// The ledger's verifier key, or a file that holds it; may be given again
    #[arg(long, value_name = "VERIFIERKEY", env = "WAYBILL_LEDGER_KEY", required = true)]
    key: Vec<String>,
    /// Show the values of the fields that the receipt opens, too
    #[arg(long)]
    show_fields: bool,
}

impl Verify {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        let keys = verifier_keys(&self.key)?;
        match &self.path {
            Source::File(path) if path.is_dir() => folder(path, &keys, out),
            source => self.receipt(source, &keys, out),
        }
    }

    fn receipt(&self, source: &Source, keys: &[VerifierKey], out: &mut Out) -> Result<Exit, Failure> {
        let bytes = source.read("a receipt", MAX_RECEIPT_BYTES as u64)?;
        let text = String::from_utf8(bytes).map_err(|_| Failure::unverified("the receipt is not UTF-8"))?;
        let receipt = Receipt::from_json(&text).map_err(Failure::unverified)?;
        let verified = receipt
            .verify(keys)
            .map_err(|error| Failure::Unverified(format!("the receipt does not verify: {error}")))?;
        let shown = |name: &str| self.show_fields || !name.starts_with('/');
        out.show(|| object(&receipt, &verified, shown), || sentence(&receipt, &verified, shown))?;
        Ok(Exit::Ok)
    }
}

fn said(receipt: &Receipt, verified: &Verified) -> Said {
    match &verified.entry {
        Entry::Public { attributes, .. } => Said::public(attributes),
        Entry::Person { .. } => Said::opened(&receipt.openings),
    }
}

fn object(receipt: &Receipt, verified: &Verified, shown: impl Fn(&str) -> bool) -> Value {
    let fields = receipt.openings.iter().filter(|opening| opening.name.starts_with('/'));
    let field = |opening: &Opening| {
        let value = serde_json::from_str(&opening.value).ok().filter(|_: &Value| shown(&opening.name));
        (opening.name.clone(), value.unwrap_or_default())
    };
    json!({
        "verified": true,
        "ledger_index": receipt.index,
        "origin": verified.origin.as_str(),
        "environment": verified.origin.environment(),
        "size": verified.size,
        "root": verified.root.to_string(),
        "time": Moment::from_secs(verified.entry.time()).to_string(),
        "attributes": said(receipt, verified).to_json(),
        "fields": fields.map(field).collect::<serde_json::Map<_, _>>(),
    })
}

fn sentence(receipt: &Receipt, verified: &Verified, shown: impl Fn(&str) -> bool) -> String {
    let (index, time) = (receipt.index, Moment::from_secs(verified.entry.time()));
    let mut text: Vec<String> =
        verified.origin.environment().map(|name| format!("environment: {name}")).into_iter().collect();
    text.push(format!(
        "verified: this entry stands at index {index} of the ledger {}, no later than its checkpoint over {} entries\n\
         #{index}  {time}",
        verified.origin, verified.size,
    ));
    let said = said(receipt, verified);
    let mut details = said.details();
    let fields: Vec<_> = receipt.openings.iter().filter(|opening| opening.name.starts_with('/')).collect();
    if !fields.is_empty() {
        let field = |opening: &&Opening| {
            if shown(&opening.name) { format!("{} = {}", opening.name, opening.value) } else { opening.name.clone() }
        };
        details
            .push(("opened", fields.iter().map(field).collect::<Vec<_>>().join(if shown("/") { ", " } else { " " })));
    }
    if let Some(list) = &receipt.commitments {
        let closed = list.len() - receipt.openings.len().min(list.len());
        details.push(("closed", format!("{closed} of {} items stay hidden in this receipt", list.len())));
    }
    text.push(format!("  {}{}", said.sentence(), lines(&details)));
    text.push("  It does not prove that the hub shows the same ledger to everybody.".to_owned());
    text.join("\n")
}

fn folder(path: &Path, keys: &[VerifierKey], out: &mut Out) -> Result<Exit, Failure> {
    let bar = progress(0, ENTRIES);
    let report = app::verify_data(path, keys, |entries| bar.set_position(entries));
    bar.finish_and_clear();
    let report = report.map_err(|error| {
        let of_the_signature = error.is::<CheckpointError>() || error.is::<NoteError>();
        let text = format!("{}: {error:#}", path.display());
        if of_the_signature { Failure::Unverified(text) } else { Failure::Fault(text) }
    })?;
    judge(path, &report, out)
}

fn judge(path: &Path, report: &LedgerReport, out: &mut Out) -> Result<Exit, Failure> {
    let LedgerReport { origin, size, root, fault } = report;
    if let Some(environment) = origin.environment() {
        out.say(&format!("environment: {environment}"))?;
    }
    out.show(
        || {
            let (fault, verified) = (fault.as_ref().map(ToString::to_string), fault.is_none());
            let (of, environment) = (origin.as_str(), origin.environment());
            let root = root.to_string();
            json!({
                "verified": verified, "origin": of, "environment": environment, "size": size, "root": root, "fault": fault,
            })
        },
        || match fault {
            None => format!("verified: {} entries of {}\n  root: {root}", size, path.display()),
            Some(fault) => format!(
                "NOT verified: {}: {fault}\n  the {size} entries before that are in order among themselves",
                path.display()
            ),
        },
    )?;
    Ok(if fault.is_none() { Exit::Ok } else { Exit::Unverified })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Fault, Hash};

    /// The example of the ledger's own page.
    fn example() -> (String, String) {
        let page = include_str!("../../ledger/README.md");
        let json = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
        let key = page.lines().find_map(|line| line.strip_prefix("verifier key ")).unwrap();
        (json.to_owned(), key.trim().to_owned())
    }

    fn verify(receipt: &str, key: &str) -> Result<Exit, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("receipt.json");
        std::fs::write(&path, receipt).unwrap();
        let verify = Verify { path: Source::File(path), key: vec![key.to_owned()], show_fields: false };
        verify.run(&mut Out::to(false, Box::new(std::io::sink())))
    }

    #[test]
    fn the_example_of_the_ledgers_page_verifies_and_a_changed_one_does_not() {
        let (receipt, key) = example();
        assert_eq!(verify(&receipt, &key).unwrap(), Exit::Ok);
        for (from, to) in [("index 1", "index 2"), ("Žilina", "Zilina"), ("waybill-receipt/1", "waybill-receipt/2")] {
            let changed = verify(&receipt.replacen(from, to, 1), &key).unwrap_err();
            assert_eq!(changed.exit(), Exit::Unverified, "{from}");
        }
        assert_eq!(verify(&receipt, "nonsense").unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn values_of_fields_are_shown_only_when_asked_for() {
        let (receipt, key) = example();
        let receipt = Receipt::from_json(&receipt).unwrap();
        let verified = receipt.verify(&verifier_keys(&[key]).unwrap()).unwrap();
        let text = sentence(&receipt, &verified, |name| !name.starts_with('/'));
        assert!(text.contains("/address/city") && !text.contains("Žilina"), "{text}");
        assert!(text.starts_with("environment: demo\nverified: this entry stands at index 1"), "{text}");
        assert!(text.contains("2 of 4 items stay hidden"), "{text}");
        assert!(sentence(&receipt, &verified, |_| true).contains("/address/city = \"Žilina\""));
        let hidden = object(&receipt, &verified, |name| !name.starts_with('/'));
        assert_eq!((&hidden["fields"]["/address/city"], &hidden["attributes"]["kind"]), (&Value::Null, &json!(1)));
    }

    #[test]
    fn a_folder_with_a_fault_does_not_pass() {
        let origin = || "hub.example/test/north".parse().unwrap();
        let report = |fault| LedgerReport { origin: origin(), size: 3, root: Hash::EMPTY_ROOT, fault };
        let mut out = Out::to(true, Box::new(std::io::sink()));
        assert_eq!(judge(Path::new("data"), &report(None), &mut out).unwrap(), Exit::Ok);
        let fault = Some(Fault::Time { index: 3 });
        assert_eq!(judge(Path::new("data"), &report(fault), &mut out).unwrap(), Exit::Unverified);
    }

    #[test]
    fn a_folder_that_holds_no_ledger_is_a_fault_and_not_a_verdict() {
        let folder = tempfile::tempdir().unwrap();
        let (_, key) = example();
        let verify = Verify { path: Source::File(folder.path().to_owned()), key: vec![key], show_fields: false };
        let failure = verify.run(&mut Out::to(true, Box::new(std::io::sink()))).unwrap_err();
        assert_eq!(failure.exit(), Exit::Fault, "{failure}");
    }
}
