//! PEM files: bounded reads, and writes that are whole or not there. Not what the certificates in them mean.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// Bytes of one PEM file at most: a revocation list of about 20,000 certificates. webpki hashes the list anew for each
/// peer that it judges (measured, debug build: 0.4 ms without, 1.0 ms with a list this long), and a reload must have
/// judged every live connection within 5 s.
pub(super) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a PEM file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system said no.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file is larger than any certificate file should be.
    #[error("{path}: larger than {FILE_BYTES_MAX} bytes")]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not PEM.
    #[error("{path}: not readable as PEM: {reason}")]
    NotPem {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file is PEM, but what it should hold is not in it.
    #[error("{path}: holds no {what}")]
    Missing {
        /// Which file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
}

/// What a write does when the file is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Fail with `AlreadyExists`, and leave the file as it is.
    Keep,
    /// Put the new content in its place, in one step.
    Replace,
}

/// Writes a secret, readable by its owner only: a new file is synced, then renamed into place.
pub fn write_private(path: &Path, content: &[u8], existing: Existing) -> Result<(), FileError> {
    write(path, content, existing, 0o600)
}

/// Writes a file that anyone may read: a new file is synced, then renamed into place.
pub fn write_public(path: &Path, content: &[u8], existing: Existing) -> Result<(), FileError> {
    write(path, content, existing, 0o644)
}

fn write(path: &Path, content: &[u8], existing: Existing, mode: u32) -> Result<(), FileError> {
    let temporary = temporary_beside(path).map_err(|source| io_error(path, source))?;
    let written = (|| {
        // The mode is set at creation: the content is never readable to others, not even for a moment.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        match existing {
            Existing::Replace => fs::rename(&temporary, path)?,
            // A link fails where the name is taken; a rename would replace it.
            Existing::Keep => {
                fs::hard_link(&temporary, path)?;
                fs::remove_file(&temporary)?;
            }
        }
        sync_folder_of(path)
    })();
    written.map_err(|source| {
        // Best effort: the error that matters is the one above.
        let _ = fs::remove_file(&temporary);
        io_error(path, source)
    })
}

fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut unique = [0; 8];
    rand::fill(&mut unique).map_err(|_| io::Error::other("no randomness"))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", hex::encode(unique)));
    Ok(path.with_file_name(temporary))
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The file's bytes, wiped from memory when dropped, since they may be a key.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = File::open(path).map_err(|source| io_error(path, source))?;
    let mut content = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(|source| io_error(path, source))?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    Ok(content)
}

/// Every certificate of the file, at least one.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    read_all(path, "CERTIFICATE")
}

/// Every revocation list of the file, at least one.
pub(super) fn read_crls(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, FileError> {
    read_all(path, "X509 CRL")
}

fn read_all<T: PemObject>(path: &Path, what: &'static str) -> Result<Vec<T>, FileError> {
    let content = read(path)?;
    let items = T::pem_slice_iter(&content).collect::<Result<Vec<_>, _>>().map_err(|error| not_pem(path, &error))?;
    if items.is_empty() {
        return Err(FileError::Missing { path: path.to_owned(), what });
    }
    Ok(items)
}

/// The file's private key (PKCS#8, PKCS#1 or SEC1).
pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let content = read(path)?;
    PrivateKeyDer::from_pem_slice(&content).map_err(|error| match error {
        pem::Error::NoItemsFound => FileError::Missing { path: path.to_owned(), what: "PRIVATE KEY" },
        other => not_pem(path, &other),
    })
}

fn io_error(path: &Path, source: io::Error) -> FileError {
    FileError::Io { path: path.to_owned(), source }
}

/// The parser's own messages quote lines of the file, which may be of a key; so they are not passed on.
fn not_pem(path: &Path, error: &pem::Error) -> FileError {
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section starts wrongly",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "no PEM sections",
    };
    FileError::NotPem { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_file_is_readable_by_its_owner_only_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.key.pem");
        write_private(&path, b"secret", Existing::Keep).unwrap();
        write_private(&path, b"secret two", Existing::Replace).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(*read(&path).unwrap(), b"secret two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_key_is_kept_where_that_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.key.pem");
        write_private(&path, b"first", Existing::Keep).unwrap();
        let error = write_private(&path, b"second", Existing::Keep).unwrap_err();
        assert!(matches!(&error, FileError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists));
        assert_eq!(*read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_without_its_section_is_refused_without_quoting_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        write_public(&path, b"-----BEGIN PRIVATE KEY-----\nmarked*value\n", Existing::Keep).unwrap();
        for error in [read_certificates(&path).unwrap_err(), read_key(&path).unwrap_err()] {
            assert!(!format!("{error} {error:?}").contains("marked"), "{error:?}");
        }
    }

    #[test]
    fn a_file_over_the_bound_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.pem");
        File::create(&path).unwrap().set_len(FILE_BYTES_MAX).unwrap();
        assert!(read(&path).is_ok());
        OpenOptions::new().write(true).open(&path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(matches!(read(&path), Err(FileError::TooLarge { .. })));
    }
}
