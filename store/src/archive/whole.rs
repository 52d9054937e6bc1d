//! Makes a tar seekable.
//!
//! Layers are read in parallel and more than once, which a compressed tar does not allow. So it is
//! decompressed into a temporary file without a name, which ends with the process; a pipe is copied there,
//! too. Decoders limit their memory themselves. Of the disk, some space is left to others.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layerlift_archive::{Compression, Concatenated, FileRange, ReadAt, TrailingBytes};

use crate::kind::OpenOptions;
use crate::{Error, Hint};

/// How much space is left free.
const REST: u64 = 64 << 20;
/// How many bytes are written before the free space is looked up again.
const LOOK: u64 = 64 << 20;

/// A file that can be read at any offset.
pub(super) struct Whole {
    pub(super) file: Arc<dyn ReadAt>,
    pub(super) len: u64,
    /// What is wrong with the compressed stream. The bytes before that are in the file.
    pub(super) damage: Option<String>,
    /// Whether something follows the compressed stream that belongs neither to it nor to its padding.
    pub(super) trailing: bool,
    /// Whether it was compressed.
    pub(super) unpacked: bool,
}

pub(super) fn open(
    file: File,
    len: u64,
    seekable: bool,
    path: &Path,
    options: &OpenOptions,
) -> Result<Whole, Error> {
    let read = |error| Error::io("read", path, error);
    let mut first = Vec::new();
    (&file).take(6).read_to_end(&mut first).map_err(read)?;
    check(&first, path)?;
    let compression = Compression::detect(&first);
    if seekable && compression == Compression::None {
        return Ok(Whole { file: Arc::new(file), len, damage: None, trailing: false, unpacked: false });
    }
    let reader = compression.decompress(io::Cursor::new(first).chain(file)).map_err(read)?;
    let whole = spool(reader, &folder(options), path)?;
    Ok(Whole { unpacked: compression != Compression::None, ..whole })
}

/// The volumes of an archive as one file.
pub(super) fn of_volumes(volumes: Concatenated, path: &Path, options: &OpenOptions) -> Result<Whole, Error> {
    let read = |error| Error::io("read", path, error);
    let len = volumes.len();
    let file: Arc<dyn ReadAt> = Arc::new(volumes);
    let range = FileRange { file: file.clone(), offset: 0, len, digest: None };
    let mut first = Vec::new();
    range.clone().into_raw_reader().take(6).read_to_end(&mut first).map_err(read)?;
    check(&first, path)?;
    let compression = Compression::detect(&first);
    if compression == Compression::None {
        return Ok(Whole { file, len, damage: None, trailing: false, unpacked: false });
    }
    let reader = compression.decompress(range.into_raw_reader()).map_err(read)?;
    Ok(Whole { unpacked: true, ..spool(reader, &folder(options), path)? })
}

/// Where temporary files are.
pub(super) fn folder(options: &OpenOptions) -> PathBuf {
    options.temp_dir.clone().unwrap_or_else(std::env::temp_dir)
}

/// Recognises some files that are not tars by their first bytes.
fn check(first: &[u8], path: &Path) -> Result<(), Error> {
    let (why, hint) = match first {
        [] => ("the file is empty", None),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0xef, 0xbb, 0xbf, ..] => (
            "it was written as text, as `>` in PowerShell does before 7.4",
            Some("write it again with `docker save -o FILE`"),
        ),
        [b'P', b'K', 3 | 5, ..] => ("it is a zip", Some("unpack it first")),
        _ => return Ok(()),
    };
    let hint = hint.map(|hint| Hint::Other(hint.into()));
    Err(Error::NoStore { path: path.to_owned(), why: Some(why.into()), hint })
}

/// A temporary file without a name.
pub(crate) fn temporary(folder: &Path) -> Result<File, Error> {
    tempfile::tempfile_in(folder)
        .map_err(|error| Error::io("write a temporary file in", folder, without_name(error)))
}

fn spool(mut reader: impl Read, folder: &Path, path: &Path) -> Result<Whole, Error> {
    let write = |error: io::Error| Error::io("write a temporary file in", folder, error);
    let mut file = temporary(folder)?;
    let mut buffer = vec![0; 256 << 10];
    let mut len = 0u64;
    let mut looked = 0;
    let mut trailing = false;
    let damage = loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => break None,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if len > 0 && TrailingBytes::is(&error) => {
                trailing = true;
                break None;
            }
            Err(error) if len > 0 && is_of_the_data(&error) => break Some(error.to_string()),
            Err(error) => return Err(Error::io("decompress", path, error)),
        };
        if looked <= len {
            if !has_room(&file, LOOK).map_err(write)? {
                return Err(full(folder, path, len));
            }
            looked = len + LOOK;
        }
        match file.write_all(&buffer[..n]) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(full(folder, path, len)),
            written => written.map_err(write)?,
        }
        len += n as u64;
    };
    Ok(Whole { file: Arc::new(file), len, damage, trailing, unpacked: false })
}

/// Whether the disk has room for more bytes of a temporary file.
pub(crate) fn has_room(file: &File, more: u64) -> io::Result<bool> {
    let stat = rustix::fs::fstatvfs(file)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize) >= more.saturating_add(REST))
}

fn full(folder: &Path, path: &Path, len: u64) -> Error {
    let what = format!(
        "{} is compressed, and {} has no room to decompress it: {} MiB are done, less than {} MiB are free",
        path.display(),
        folder.display(),
        len >> 20,
        (REST + LOOK) >> 20
    );
    Error::unsupported(what, "set TMPDIR to a directory with more room, or decompress the file yourself")
}

/// Whether the data are at fault, rather than the system.
fn is_of_the_data(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

/// Removes the path of the temporary file from the message, which means nothing to anybody.
fn without_name(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.source()?.downcast_ref::<io::Error>()?.raw_os_error());
    inner.or(error.raw_os_error()).map_or(error, io::Error::from_raw_os_error)
}
