//! What was decided about each row of a file, kept beside it (`FILE.waybill`), so that a run can be broken off anywhere and
//! go on. Holds no content of any record: random numbers, row numbers and hashes.
//!
//! The file is lines of JSON: a header, then a line for each row that was decided. It is not synced: a line that is lost is
//! a row that is sent again under the same idempotency key, which the hub executes once.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufRead as _, BufReader, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    cli::exit::Failure,
    domain::time::{Clock as _, Moment, SystemClock},
};

const FORMAT: &str = "waybill-submit/1";
/// Keys of neighbouring rows lie a millisecond apart, back from the run's begin: the hub keeps keys by the second, and
/// takes none of the future. Beyond ten minutes they begin again, so that the window in which a run can go on is not cut.
const SPREAD_MS: u64 = 600_000;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    begun: Moment,
    seed: Uuid,
    options: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    row: u64,
    id: String,
    outcome: Decided,
}

/// What the hub decided about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Decided {
    Recorded,
    Refused,
}

/// What is known of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Known {
    pub(super) recorded: bool,
    /// How often it was refused.
    pub(super) refused: u32,
}

/// The file, open and locked.
pub(super) struct State {
    header: Header,
    known: HashMap<RowId, Known>,
    file: File,
    /// Whether there was a run before.
    pub(super) resumed: bool,
    /// Whether it had the same options.
    pub(super) same_options: bool,
}

impl Drop for State {
    fn drop(&mut self) {
        // Not only closed: a process that is just being started may have a copy of it for a moment.
        let _ = self.file.unlock();
    }
}

/// Names a row of this run: its number and its line, so that a row that was corrected is another row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RowId([u8; 16]);

impl State {
    /// Where the state of `rows` is kept.
    pub(super) fn path(rows: &Path) -> PathBuf {
        let mut name = rows.as_os_str().to_owned();
        name.push(".waybill");
        name.into()
    }

    /// The state of rows that come once and are not kept: it goes with the run.
    pub(super) fn unkept() -> Result<Self, Failure> {
        let header = Header {
            format: FORMAT.to_owned(),
            begun: SystemClock.now(),
            seed: Uuid::new_v4(),
            options: String::new(),
        };
        let file = tempfile::tempfile().map_err(Failure::fault)?;
        Ok(Self { header, known: HashMap::new(), file, resumed: false, same_options: true })
    }

    /// Opens the state of `rows`, or begins one. `options` is all that the command line says about the rows: a run goes on
    /// only with the same, unless it sends refused rows again.
    pub(super) fn open(rows: &Path, options: &str, others_allowed: bool) -> Result<Self, Failure> {
        let path = Self::path(rows);
        let failed = |error: io::Error| Failure::Fault(format!("{}: {error}", path.display()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Failure::Usage(format!("{}: another run is using it", path.display())),
            TryLockError::Error(error) => failed(error),
        })?;
        let options = hex::encode(hash(&[options.as_bytes()]));
        let Some((header, known, end)) = read(&file).map_err(failed)? else {
            let header = Header { format: FORMAT.to_owned(), begun: SystemClock.now(), seed: Uuid::new_v4(), options };
            file.set_len(0).map_err(failed)?;
            file.rewind().map_err(failed)?;
            write_line(&mut file, &header).map_err(failed)?;
            return Ok(Self { header, known: HashMap::new(), file, resumed: false, same_options: true });
        };
        if header.format != FORMAT {
            return Err(Failure::Usage(format!("{}: not of the format {FORMAT}", path.display())));
        }
        let same_options = header.options == options;
        if !same_options && !others_allowed {
            return Err(Failure::Usage(format!(
                "{}: the run was begun with other options. Give the same ones to go on; or move that file away to submit \
                 every row anew, also those that were recorded",
                path.display()
            )));
        }
        // A line that a crash tore is as if it had not been written.
        file.set_len(end).map_err(failed)?;
        file.seek(io::SeekFrom::Start(end)).map_err(failed)?;
        Ok(Self { header, known, file, resumed: true, same_options })
    }

    /// When the first run began.
    pub(super) fn begun(&self) -> Moment {
        self.header.begun
    }

    /// Names a row.
    pub(super) fn id(&self, row: u64, line: &[u8]) -> RowId {
        RowId(hash(&[self.header.seed.as_bytes(), &row.to_be_bytes(), line]))
    }

    /// What is known of a row.
    pub(super) fn known(&self, id: RowId) -> Known {
        self.known.get(&id).copied().unwrap_or_default()
    }

    /// The idempotency key of a row that was refused `refused` times before: always the same for the same submission.
    pub(super) fn key(&self, row: u64, id: RowId, refused: u32, submission: &[u8]) -> String {
        let time = self.header.begun.0.saturating_sub(row % SPREAD_MS);
        let random = hash(&[self.header.seed.as_bytes(), &id.0, &refused.to_be_bytes(), submission]);
        let mut bytes = random;
        bytes[..6].copy_from_slice(&time.to_be_bytes()[2..]);
        // RFC 9562 §5.7: version 7, variant 0b10.
        bytes[6] = bytes[6] & 0x0f | 0x70;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid::from_bytes(bytes).to_string()
    }

    /// Keeps what was decided about a row.
    pub(super) fn decide(&mut self, row: u64, id: RowId, outcome: Decided) -> Result<(), Failure> {
        let known = self.known.entry(id).or_default();
        match outcome {
            Decided::Recorded => known.recorded = true,
            Decided::Refused => known.refused += 1,
        }
        write_line(&mut self.file, &Line { row, id: hex::encode(id.0), outcome }).map_err(Failure::fault)
    }
}

/// Header, rows, and where the last whole line ends; nothing if there is no whole header.
#[allow(clippy::type_complexity, reason = "read once, by the function above")]
fn read(file: &File) -> io::Result<Option<(Header, HashMap<RowId, Known>, u64)>> {
    let torn = |_| io::Error::new(io::ErrorKind::InvalidData, "not the state of a submission");
    let mut lines = BufReader::new(file);
    let mut text = String::new();
    let mut end = lines.read_line(&mut text)? as u64;
    if !text.ends_with('\n') {
        return Ok(None);
    }
    let header: Header = serde_json::from_str(&text).map_err(torn)?;
    let mut known: HashMap<RowId, Known> = HashMap::new();
    loop {
        text.clear();
        let length = lines.read_line(&mut text)? as u64;
        if !text.ends_with('\n') {
            return Ok(Some((header, known, end)));
        }
        end += length;
        let line: Line = serde_json::from_str(&text).map_err(torn)?;
        let mut id = [0; 16];
        hex::decode_to_slice(&line.id, &mut id).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let row = known.entry(RowId(id)).or_default();
        match line.outcome {
            Decided::Recorded => row.recorded = true,
            Decided::Refused => row.refused += 1,
        }
    }
}

fn write_line(file: &mut File, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    file.write_all(text.as_bytes())
}

/// The first 16 bytes of SHA-256 over the parts, each after its length.
fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut head = [0; 16];
    head.copy_from_slice(&context.finish().as_ref()[..16]);
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::idempotency::IdempotencyKey;

    fn rows() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let rows = folder.path().join("rows.ndjson");
        (folder, rows)
    }

    fn open(rows: &Path) -> State {
        State::open(rows, "options", false).unwrap()
    }

    #[test]
    fn a_run_that_goes_on_knows_what_was_decided_and_has_the_same_keys() {
        let (_folder, rows) = rows();
        let mut state = open(&rows);
        assert!(!state.resumed);
        let (one, two) = (state.id(1, b"one"), state.id(2, b"two"));
        let key = state.key(2, two, 0, b"submission");
        state.decide(1, one, Decided::Recorded).unwrap();
        state.decide(2, two, Decided::Refused).unwrap();
        drop(state);

        let state = open(&rows);
        assert!(state.resumed);
        assert_eq!(state.known(one), Known { recorded: true, refused: 0 });
        assert_eq!(state.known(two), Known { recorded: false, refused: 1 });
        assert_eq!(state.known(state.id(2, b"two, corrected")), Known::default());
        assert_eq!(state.key(2, two, 0, b"submission"), key);
        assert_ne!(state.key(2, two, 1, b"submission"), key, "a row that is sent again is another call");
        assert_ne!(state.key(2, two, 0, b"other content"), key);
    }

    #[test]
    fn keys_are_of_version_7_and_not_of_the_future() {
        let (_folder, rows) = rows();
        let state = open(&rows);
        for row in [1, 599_999, 600_000, u64::MAX] {
            let key = IdempotencyKey::parse(&state.key(row, state.id(row, b"x"), 0, b"x")).unwrap();
            assert!(key.moment() <= state.begun());
            assert!(state.begun().since(key.moment()).as_millis() < u128::from(SPREAD_MS));
        }
    }

    #[test]
    fn a_torn_line_is_as_if_it_had_not_been_written() {
        let (_folder, rows) = rows();
        let mut state = open(&rows);
        let ids: Vec<RowId> = (0..3).map(|row| state.id(row, b"line")).collect();
        for (row, id) in ids.iter().enumerate() {
            state.decide(row as u64, *id, Decided::Recorded).unwrap();
        }
        drop(state);
        let path = State::path(&rows);
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..60 {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let mut state = open(&rows);
            assert!(state.known(ids[1]).recorded);
            assert!(!state.known(ids[2]).recorded);
            state.decide(2, ids[2], Decided::Recorded).unwrap();
            drop(state);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_torn_header_is_begun_again() {
        let (_folder, rows) = rows();
        std::fs::write(State::path(&rows), "{\"format\":\"wayb").unwrap();
        assert!(!open(&rows).resumed);
        assert!(open(&rows).resumed);
    }

    #[test]
    fn other_options_do_not_go_on_by_accident() {
        let (_folder, rows) = rows();
        drop(open(&rows));
        assert!(matches!(State::open(&rows, "others", false), Err(Failure::Usage(_))));
        assert!(State::open(&rows, "others", true).is_ok());
    }

    #[test]
    fn two_runs_at_once_are_refused() {
        let (_folder, rows) = rows();
        let _first = open(&rows);
        assert!(matches!(State::open(&rows, "options", false), Err(Failure::Usage(_))));
    }

    #[test]
    fn a_file_that_is_no_state_is_left_alone() {
        let (_folder, rows) = rows();
        std::fs::write(State::path(&rows), "precious\n").unwrap();
        assert!(State::open(&rows, "options", true).is_err());
        assert_eq!(std::fs::read(State::path(&rows)).unwrap(), b"precious\n");
    }
}
