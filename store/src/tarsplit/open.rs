//! Opens a file of a layer, and reads of it what was recorded.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::files::{Files, Place, SharedFolder};
use super::replaced_names;
use crate::{Error, Root};

/// A file with what is recorded of it.
pub(super) struct Open<'n> {
    pub(super) file: File,
    /// Where it was found. Only messages need it.
    pub(super) name: Cow<'n, [u8]>,
    pub(super) size: u64,
}

/// Opens the file of an entry and returns the name under which it was found.
pub(super) fn open<'n>(
    files: &mut Files<'_>,
    name: &'n [u8],
    size: u64,
    checksum: u64,
) -> Result<(File, Cow<'n, [u8]>), Error> {
    let place = files.place();
    open_in(place, files.folder(name).map(|folder| &**folder), name, size, checksum)
}

/// The same, in a folder that may be open.
pub(super) fn open_in<'n>(
    place: Place<'_>,
    folder: Option<&SharedFolder>,
    name: &'n [u8],
    size: u64,
    checksum: u64,
) -> Result<(File, Cow<'n, [u8]>), Error> {
    let tree = place.tree;
    if let Some(objects) = place.objects {
        let Some(object) = objects.find(name, size) else {
            let why =
                format!("the table of contents of its layer has no file of {size} bytes with that name");
            return Err(Error::malformed(path(tree, name), why));
        };
        return match tree.open_in_tree(object.as_bytes()) {
            Ok(file) => Ok((file, Cow::Owned(object.as_bytes().to_vec()))),
            Err(source) => Err(Error::io("open", path(tree, object.as_bytes()), source)),
        };
    }
    let source = match place.open(name, folder) {
        Ok(file) => return Ok((file, Cow::Borrowed(name))),
        Err(source) => source,
    };
    match source.raw_os_error() {
        Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => {
            Err(Error::damaged(path(tree, name), "a symbolic link is where the layer has a file"))
        }
        _ if source.kind() == io::ErrorKind::NotFound => {
            match replaced_names::find(tree, name, size, checksum)? {
                Some(name) => match tree.open_in_tree(&name) {
                    Ok(file) => Ok((file, Cow::Owned(name))),
                    Err(error) => Err(Error::io("open", path(tree, &name), error)),
                },
                None => Err(Error::io("open", path(tree, name), source)),
            }
        }
        _ => Err(Error::io("open", path(tree, name), source)),
    }
}

impl Open<'_> {
    /// Fills `buf[at..at + len]` with the bytes of the file from `from` on. If they are its last, they are
    /// compared with its end.
    ///
    /// A file that fits is read with a single system call. A regular file returns a short read only at its
    /// end, so asking for one byte too many shows at once whether the file has grown. That byte takes the
    /// place of what is already in the buffer, and is put back.
    pub(super) fn read(
        &self,
        tree: &Root,
        buf: &mut [u8],
        at: usize,
        len: usize,
        from: u64,
    ) -> Result<(), Error> {
        let ends = from + len as u64 == self.size;
        let behind = buf.get(at + len).copied().filter(|_| ends);
        let end = at + len + usize::from(behind.is_some());
        let mut filled = 0;
        while filled < len {
            let n = self.read_some(tree, &mut buf[at + filled..end], from + filled as u64)?;
            if n == 0 {
                let found = from + filled as u64;
                return Err(self.changed(tree, &format!("shorter, {found} of {} bytes", self.size)));
            }
            filled += n;
        }
        let more = filled > len
            || ends && behind.is_none() && self.read_some(tree, &mut [0], from + len as u64)? > 0;
        if more {
            return Err(self.changed(tree, &format!("longer than its recorded size of {}", self.size)));
        }
        if let Some(byte) = behind {
            buf[at + len] = byte;
        }
        Ok(())
    }

    /// Reads at this place. A pipe has no places. It is not what was recorded either, and turns out to be so
    /// like a file that is too short.
    fn read_some(&self, tree: &Root, buf: &mut [u8], at: u64) -> Result<usize, Error> {
        let mut file = &self.file;
        loop {
            let read = match file.read_at(buf, at) {
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SPIPE.raw_os_error()) => {
                    file.read(buf)
                }
                read => read,
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                    return Err(self.changed(tree, "a directory now"));
                }
                Err(source) => return Err(Error::io("read", path(tree, &self.name), source)),
                Ok(n) => return Ok(n),
            }
        }
    }

    fn changed(&self, tree: &Root, how: &str) -> Error {
        let why = format!("it has changed since its layer was stored: it is {how}");
        Error::damaged(path(tree, &self.name), why)
    }
}

/// The path of a file, for messages.
pub(super) fn path(tree: &Root, name: &[u8]) -> PathBuf {
    tree.join(relative(name))
}

/// Strips a leading `/` or `./`, which tars may have. Joined with the `/`, the name would replace the root.
pub(super) fn relative(name: &[u8]) -> &Path {
    let mut name = name;
    while let Some(rest) = name.strip_prefix(b"/").or_else(|| name.strip_prefix(b"./")) {
        name = rest;
    }
    Path::new(OsStr::from_bytes(name))
}
