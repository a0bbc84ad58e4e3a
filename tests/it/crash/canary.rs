//! Marked personal values go through every path; then nothing of them is in logs, metrics, errors, ledger entries, file
//! names, or in the data folder's bytes. The paths themselves: `paths.rs`.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{paths, scene::Scene};

/// A value that occurs nowhere by chance; what is marked begins with it and goes on with the name of its place.
pub struct Canary(String);

impl Canary {
    pub fn new() -> Self {
        Self(format!("zq{:016x}", fastrand::u64(..)))
    }

    /// The marked value for a place. Such as every register takes for a number.
    pub fn of(&self, place: &str) -> String {
        format!("{}{place}", self.0)
    }

    /// Where in `text` the canary is, in any case or as hexadecimal or base64, with what follows it.
    fn find(&self, text: &str) -> Option<String> {
        let folded = text.to_ascii_lowercase();
        let shown = |text: &str, at: usize| text[at..].chars().take(80).collect();
        for form in [self.0.clone(), hex::encode(&self.0)] {
            if let Some(at) = folded.find(&form) {
                return Some(shown(&folded, at));
            }
        }
        self.base64().iter().find_map(|form| text.find(form).map(|at| shown(text, at)))
    }

    /// What is the same in the base64 of any text with the canary in it, for each of the three ways in which it can lie
    /// in it. Its letters need neither `+` nor `/`, so it is the same in both alphabets.
    fn base64(&self) -> [String; 3] {
        [0, 1, 2].map(|before| {
            let text = STANDARD_NO_PAD.encode([&vec![b' '; before], self.0.as_bytes()].concat());
            // The characters at both ends depend on the neighbours too.
            let (from, until) = ((before * 8).div_ceil(6), (before + self.0.len()) * 8 / 6);
            text[from..until].to_owned()
        })
    }

    pub fn assert_absent(&self, place: &str, text: &str) {
        if let Some(found) = self.find(text) {
            panic!("{place} holds a personal value: {found}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_personal_value_is_left_in_logs_metrics_errors_entries_file_names_or_stored_bytes() {
    let canary = Canary::new();
    let more = "[limits]\ndelivery_attempts_max = 1\n[store]\nreserve_bytes = 0\n";
    let scene = Scene::lay_out("trace", more);
    let hub = scene.start();
    let told = paths::walk(&scene, &canary).await;
    let metrics = metrics(&scene).await;
    let stages = ["authenticate", "address", "validate", "facts", "permit", "minimise", "seal"];
    for stage in stages {
        assert!(metrics.contains(&format!("waybill_stage_seconds_count{{stage=\"{stage}\"}}")), "{stage}: {metrics}");
    }
    for step in ["lock", "decide", "sign", "slots", "rows", "batch", "publish"] {
        assert!(
            metrics.contains(&format!("waybill_commit_step_seconds_count{{step=\"{step}\"}}")),
            "{step}: {metrics}"
        );
    }
    for kind in ["transfer", "refusal", "consent_granted"] {
        assert!(metrics.contains(&format!("waybill_entries_total{{kind=\"{kind}\"}}")), "{kind}: {metrics}");
    }
    canary.assert_absent("the metrics page", &metrics);
    told.errors.iter().for_each(|error| canary.assert_absent("an error", error));
    for entry in &told.entries {
        canary.assert_absent("an entry", &String::from_utf8_lossy(entry));
    }
    let running = stored(&scene.place.folder, &canary);
    assert!(hub.stop().await.success());
    let stopped = stored(&scene.place.folder, &canary);
    canary.assert_absent("the log", &scene.log());
    assert!(scene.log().contains("TRACE"), "the log has everything");
    // The search itself is sound: the entries, which are in the clear, are found by it.
    for stored in [running, stopped] {
        let found = told.entries.iter().filter(|entry| stored.windows(entry.len()).any(|bytes| bytes == **entry));
        assert!(found.count() > 0, "not even an entry is found in the data folder");
    }
}

/// Looks through every file of the hub and its name. Returns the bytes of those that hold entries.
pub fn stored(folder: &Path, canary: &Canary) -> Vec<u8> {
    let mut volumes = Vec::new();
    for file in walkdir::WalkDir::new(folder) {
        let file = file.unwrap();
        let name = file.path().display().to_string();
        canary.assert_absent("a file's name", &name);
        // What was compacted in this moment is gone, and in another file.
        let Ok(mut bytes) = fs::read(file.path()) else { continue };
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        canary.assert_absent(&name, &String::from_utf8_lossy(&bytes));
        if file.path().extension().is_some_and(|extension| extension == "vol") {
            volumes.extend(bytes);
        }
    }
    volumes
}

/// What the hub counts.
pub async fn metrics(scene: &Scene) -> String {
    let mut page = TcpStream::connect(scene.place.config.metrics.listen).await.unwrap();
    page.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    page.read_to_string(&mut text).await.unwrap();
    text
}

#[test]
fn a_canary_is_found_in_each_disguise() {
    let canary = Canary::new();
    let value = canary.of("name");
    assert!(canary.find("nothing here").is_none());
    for before in ["", "1", "12", "123"] {
        let text = format!("{before}{value} and more");
        assert!(canary.find(&text).is_some());
        assert!(canary.find(&text.to_ascii_uppercase()).is_some());
        assert!(canary.find(&hex::encode(&text)).is_some());
        assert!(canary.find(&hex::encode_upper(&text)).is_some());
        assert!(canary.find(&STANDARD_NO_PAD.encode(&text)).is_some());
    }
}
