//! Outputs that are not archives of images: a tar in a file, which appears when it is complete, or on
//! standard output; or a directory with the files themselves.

use std::io::{self, BufWriter, Write};

use std::path::Path;

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
    let write = |out: &mut dyn Write| match tar(&mut Stoppable(out)) {
        Err(_) if cancelled() => Err(ArchiveError::Cancelled.into()),
        written => written.map_err(Error::from),
    };
    match destination {
        Destination::File(path) => {
            let _guard = Guard::new();
            write_file_with(path, write)
        }
        _ => {
            let mut out = BufWriter::with_capacity(256 << 10, io::stdout().lock());
            write(&mut out)?;
            out.flush().map_err(Error::Stdout)
        }
    }
}

/// Ends with an error once a signal has come.
struct Stoppable<'a>(&'a mut dyn Write);

impl Write for Stoppable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
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
