//! Tars that are not archives of images: to a file, which appears when it is complete, or to standard output.

use std::io::{self, BufWriter, Write};

use layerlift_archive::{Error as ArchiveError, write_file_with};
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
