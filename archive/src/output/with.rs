//! A file whose length is not known in advance.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::file::target;
use super::temporary::{Draft, clear, folder, sync_folder};
use crate::Error;

/// Writes a file that appears under its name when it is complete. A device or a pipe is written to as it is.
///
/// An error of `write` leaves an existing file as it was.
pub fn write_file_with<E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    const BUFFER: usize = 256 << 10;
    let failed = |source: io::Error| Error::output("write", path)(source);
    let Some(target) = target(path)? else {
        let file = OpenOptions::new().write(true).open(path).map_err(Error::output("open", path))?;
        let mut out = BufWriter::with_capacity(BUFFER, file);
        write(&mut out)?;
        out.flush().map_err(failed)?;
        return Ok(());
    };
    clear(&folder(&target));
    let temporary = Draft::beside(&target)?;
    let mut out = BufWriter::with_capacity(BUFFER, temporary.as_file());
    write(&mut out)?;
    out.flush().map_err(failed)?;
    drop(out);
    temporary.persist(&target)?;
    sync_folder(&target);
    Ok(())
}
