//! Outputs that are not archives of images: a tar in a file, which appears when it is complete, or on
//! standard output; or a directory with the files themselves.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layerlift_archive::{Error as ArchiveError, FileEntry, FileSink, NotKept, UnpackedDir, write_file_with};
use layerlift_store::Error as StoreError;

use crate::destination::Destination;
use crate::error::Error;
use crate::signals::{Guard, cancelled};

/// Refuses now what would fail after all the work.
pub(crate) fn check(destination: &Destination) -> Result<(), Error> {
    match destination {
        Destination::Dir(path) => Err(Error::TarOnly(path.clone())),
        destination => destination.check_tar(),
    }
}

/// Writes what `tar` writes.
pub(crate) fn write(
    destination: &Destination,
    tar: impl FnOnce(&mut dyn Write) -> Result<(), StoreError>,
) -> Result<(), Error> {
    let file = match destination {
        Destination::File(path) => Some(path),
        _ => None,
    };
    let write = |out: &mut dyn Write| {
        let mut out = Stoppable { out, failed: None };
        let written = tar(&mut out);
        match (written, out.failed) {
            (Ok(()), _) => Ok(()),
            (Err(_), _) if cancelled() => Err(ArchiveError::Cancelled.into()),
            // What reads the store knows only the place that it reads.
            (Err(_), Some(source)) => Err(failed(file, source)),
            (Err(error), None) => Err(Error::from(error)),
        }
    };
    match destination {
        Destination::File(path) => {
            let _guard = Guard::new();
            write_file_with(path, write)
        }
        _ => {
            let mut out = BufWriter::with_capacity(256 << 10, io::stdout().lock());
            write(&mut out)?;
            out.flush().map_err(|source| failed(None, source))
        }
    }
}

/// An output that refused bytes: a file, or standard output.
fn failed(file: Option<&PathBuf>, source: io::Error) -> Error {
    let source = Arc::new(source);
    Error::Archive(match file {
        Some(path) => ArchiveError::Output { action: "write", path: path.clone(), source },
        None => ArchiveError::Stream(source),
    })
}

/// Ends with an error once a signal has come, and remembers why the output failed.
struct Stoppable<'a> {
    out: &'a mut dyn Write,
    failed: Option<io::Error>,
}

impl Write for Stoppable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        let written = self.out.write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.noted(flushed)
    }
}

impl Stoppable<'_> {
    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            // An interrupted call is repeated.
            if error.kind() != io::ErrorKind::Interrupted {
                let same = error.raw_os_error().map(io::Error::from_raw_os_error);
                self.failed = Some(same.unwrap_or_else(|| error.kind().into()));
            }
        })
    }
}

/// Writes files into a directory that is new or empty.
pub(crate) fn write_dir(
    path: &Path,
    files: impl FnOnce(&mut dyn FileSink) -> Result<(), Error>,
) -> Result<NotKept, Error> {
    let _guard = Guard::new();
    let mut sink = StoppableFiles(UnpackedDir::create(path)?);
    files(&mut sink)?;
    Ok(sink.0.finish()?)
}

/// The same for files.
struct StoppableFiles(UnpackedDir);

impl StoppableFiles {
    fn go_on(&mut self) -> Result<&mut UnpackedDir, ArchiveError> {
        if cancelled() { Err(ArchiveError::Cancelled) } else { Ok(&mut self.0) }
    }
}

impl FileSink for StoppableFiles {
    fn entry(&mut self, entry: &FileEntry<'_>) -> Result<(), ArchiveError> {
        self.go_on()?.entry(entry)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.go_on()?.data(bytes)
    }

    fn hole(&mut self, len: u64) -> Result<(), ArchiveError> {
        self.go_on()?.hole(len)
    }
}
