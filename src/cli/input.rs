//! Reads what must not stand on a command line: records, identifiers, evidence, from a file or standard input. Not what
//! it means.

use std::{
    convert::Infallible,
    fs::File,
    io::{self, IsTerminal as _, Read},
    path::PathBuf,
    str::FromStr,
};

use super::{exit::Failure, output::aside};

/// A file, or standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Written `-`.
    Stdin,
    /// A path.
    File(PathBuf),
}

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "-" { Self::Stdin } else { Self::File(text.into()) })
    }
}

impl Source {
    /// All of it, at most `max` bytes. `what` names it to a person whose terminal is standard input.
    pub(super) fn read(&self, what: &str, max: u64) -> Result<Vec<u8>, Failure> {
        let read = |from: &mut dyn Read| {
            let mut content = Vec::new();
            from.take(max + 1).read_to_end(&mut content).map(|_| content)
        };
        let (content, name) = match self {
            Self::Stdin => {
                if io::stdin().is_terminal() {
                    aside(&format!("Reading {what} from standard input; end with Ctrl-D."));
                }
                (read(&mut io::stdin().lock()), "standard input".to_owned())
            }
            Self::File(path) => (File::open(path).and_then(|mut file| read(&mut file)), path.display().to_string()),
        };
        let content = content.map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        if content.len() as u64 > max {
            return Err(Failure::Usage(format!("{name}: {what} of more than {max} bytes")));
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_standard_input_and_all_else_a_file() {
        assert_eq!("-".parse(), Ok(Source::Stdin));
        assert_eq!("./-".parse(), Ok(Source::File("./-".into())));
    }

    #[test]
    fn a_file_is_read_up_to_the_bound_and_refused_beyond_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.json");
        std::fs::write(&path, b"12345").unwrap();
        let source = Source::File(path);
        assert_eq!(source.read("a record", 5).unwrap(), b"12345");
        assert!(matches!(source.read("a record", 4), Err(Failure::Usage(_))));
        assert!(matches!(Source::File("no/such".into()).read("x", 1), Err(Failure::Usage(_))));
    }
}
