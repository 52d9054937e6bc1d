//! Outputs that are not archives of images: a tar in a file, which appears when it is complete, or on
//! standard output; or a directory with the files themselves.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layerlift_archive::{
    Error as ArchiveError, FileEntry, FileSink, NotKept, Observer, Plain, UnpackedDir, ZeroWrite,
    write_file_with,
};
use layerlift_store::{Error as StoreError, Fault, Faults};

use crate::destination::Destination;
use crate::error::Error;
use crate::progress::Progress;
use crate::report::Reporter;
use crate::signals::{Guard, cancelled};
use crate::status::Status;

/// Refuses now what would fail after all the work.
pub(crate) fn check(destination: &Destination) -> Result<(), Error> {
    match destination {
        Destination::Dir(path) => Err(Error::TarOnly(path.clone())),
        destination => destination.check_tar(),
    }
}

/// Writes what `tar` writes; returns how many bytes these were.
pub(crate) fn write(
    destination: &Destination,
    progress: &Progress<'_>,
    tar: impl FnOnce(&mut dyn ZeroWrite) -> Result<(), StoreError>,
) -> Result<u64, Error> {
    let file = match destination {
        Destination::File(path) => Some(path),
        _ => None,
    };
    let mut len = 0;
    let write = |out: &mut dyn ZeroWrite| {
        let mut out = Stoppable { out, failed: None, progress, len: 0 };
        let written = tar(&mut out);
        len = out.len;
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
            write_file_with(path, write)?;
        }
        _ => {
            let mut out = Plain(BufWriter::with_capacity(256 << 10, io::stdout().lock()));
            write(&mut out)?;
            out.flush().map_err(|source| failed(None, source))?;
        }
    }
    Ok(len)
}

/// Reports what happened to files while they were read.
pub(crate) fn report(faults: Option<Faults>, reporter: &Reporter) -> Status {
    let found = faults.map(Faults::into_found).unwrap_or_default();
    for fault in &found {
        reporter.error(&match fault {
            Fault::Changed(path) => layerlift_export::Error::FileChanged { path: path.clone() }.into(),
            Fault::LeftOut(error) => Error::FileLeftOut(error.clone()),
            Fault::ZerosInstead(error) => Error::ZerosInstead(error.clone()),
            _ => continue,
        });
    }
    if found.is_empty() { Status::Done } else { Status::Incomplete }
}

/// An output that refused bytes: a file, or standard output.
fn failed(file: Option<&PathBuf>, source: io::Error) -> Error {
    let source = Arc::new(source);
    Error::Archive(match file {
        Some(path) => ArchiveError::Output { action: "write", path: path.clone(), source },
        None => ArchiveError::Stream(source),
    })
}

/// Zeros that are written before the program looks whether a signal has come.
const ZEROS_AT_ONCE: u64 = 256 << 20;

/// Ends with an error once a signal has come, and remembers why the output failed.
struct Stoppable<'a> {
    out: &'a mut dyn ZeroWrite,
    failed: Option<io::Error>,
    progress: &'a dyn Observer,
    len: u64,
}

impl Write for Stoppable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.go_on()?;
        let written = self.out.write(bytes);
        let written = self.noted(written)?;
        self.advance(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.noted(flushed)
    }
}

impl ZeroWrite for Stoppable<'_> {
    fn write_zeros(&mut self, mut len: u64) -> io::Result<()> {
        while len > 0 {
            self.go_on()?;
            let piece = len.min(ZEROS_AT_ONCE);
            let written = self.out.write_zeros(piece);
            self.noted(written)?;
            self.advance(piece);
            len -= piece;
        }
        Ok(())
    }
}

impl Stoppable<'_> {
    fn go_on(&self) -> io::Result<()> {
        if cancelled() { Err(io::Error::other("interrupted")) } else { Ok(()) }
    }

    fn advance(&mut self, bytes: u64) {
        self.len += bytes;
        self.progress.advance(bytes);
    }

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

/// Writes files into a directory that is new or empty; returns how many bytes their contents have.
pub(crate) fn write_dir(
    path: &Path,
    progress: &Progress<'_>,
    files: impl FnOnce(&mut dyn FileSink) -> Result<(), Error>,
) -> Result<(u64, NotKept), Error> {
    let _guard = Guard::new();
    let mut sink = StoppableFiles { dir: UnpackedDir::create(path)?, progress, len: 0 };
    files(&mut sink)?;
    Ok((sink.len, sink.dir.finish()?))
}

/// The same for files.
struct StoppableFiles<'a> {
    dir: UnpackedDir,
    progress: &'a dyn Observer,
    len: u64,
}

impl StoppableFiles<'_> {
    fn go_on(&mut self) -> Result<&mut UnpackedDir, ArchiveError> {
        if cancelled() { Err(ArchiveError::Cancelled) } else { Ok(&mut self.dir) }
    }

    fn advance(&mut self, bytes: u64) {
        self.len += bytes;
        self.progress.advance(bytes);
    }
}

impl FileSink for StoppableFiles<'_> {
    fn entry(&mut self, entry: &FileEntry<'_>) -> Result<(), ArchiveError> {
        self.go_on()?.entry(entry)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.go_on()?.data(bytes)?;
        self.advance(bytes.len() as u64);
        Ok(())
    }

    fn hole(&mut self, len: u64) -> Result<(), ArchiveError> {
        self.go_on()?.hole(len)?;
        self.advance(len);
        Ok(())
    }
}
