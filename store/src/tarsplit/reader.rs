//! Reads the tar of a layer from front to back: literal bytes and files in turn.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::checksum::Checksum;
use super::files::Files;
use super::line::Line;
use super::lines::Lines;
use super::{payload, replaced_names};
use crate::{Error, Root};

pub(super) struct Reader<'a, R> {
    files: Files<'a>,
    lines: Lines<R>,
    check: bool,
    bytes: Vec<u8>,
    at: usize,
    file: Option<Open>,
    done: bool,
}

/// The file whose contents come next.
struct Open {
    file: File,
    /// Where it was found. Only messages need it as a path.
    name: Vec<u8>,
    size: u64,
    left: u64,
    /// The recorded checksum, and that of the bytes so far; only if the layer has no digest.
    checksum: Option<(u64, Checksum)>,
}

impl<'a, R: Read> Reader<'a, R> {
    /// With `check`, the checksum of every file is compared.
    pub(super) fn new(files: Files<'a>, lines: Lines<R>, check: bool) -> Self {
        Reader { files, lines, check, bytes: Vec::new(), at: 0, file: None, done: false }
    }

    /// Goes to the next line; `false` after the last.
    fn advance(&mut self) -> Result<bool, Error> {
        match self.lines.next()? {
            None => return Ok(false),
            Some(Line::Bytes(base64)) => {
                self.bytes.clear();
                self.at = 0;
                if let Err(why) = payload::decode_into(&base64, &mut self.bytes) {
                    return Err(self.lines.malformed(&why));
                }
            }
            Some(Line::Contents { size: 0, .. }) => {}
            Some(Line::Contents { name, size, checksum }) => {
                let (file, name) = open(&mut self.files, &name, size, checksum)?;
                let name = name.into_owned();
                let checksum = self.check.then(|| (checksum, Checksum::new()));
                self.file = Some(Open { file, name, size, left: size, checksum });
            }
        }
        Ok(true)
    }
}

impl<R: Read> Read for Reader<'_, R> {
    /// Fills the buffer with as many files as fit.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() && !self.done {
            if self.at < self.bytes.len() {
                let n = (self.bytes.len() - self.at).min(buf.len() - filled);
                buf[filled..filled + n].copy_from_slice(&self.bytes[self.at..self.at + n]);
                self.at += n;
                filled += n;
            } else if let Some(file) = &mut self.file {
                filled += file.read(self.files.tree(), &mut buf[filled..]).map_err(Error::into_io)?;
                if file.left == 0 {
                    self.file = None;
                }
            } else {
                self.done = !self.advance().map_err(Error::into_io)?;
            }
        }
        Ok(filled)
    }
}

impl Open {
    /// Reads some of what is left, with a single system call for a file that fits. A regular file returns a
    /// short read only at its end, so asking for one byte too many shows at once whether the file has grown.
    fn read(&mut self, tree: &Root, buf: &mut [u8]) -> Result<usize, Error> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let want = buf.len().min(left.saturating_add(1));
        let n = self.read_some(tree, &mut buf[..want])?;
        if n == 0 {
            return Err(
                self.changed(tree, &format!("shorter, {} of {} bytes", self.size - self.left, self.size))
            );
        }
        if n > left {
            return Err(self.changed(tree, &format!("longer than its recorded size of {}", self.size)));
        }
        if let Some((_, checksum)) = &mut self.checksum {
            checksum.update(&buf[..n]);
        }
        self.left -= n as u64;
        if self.left == 0 {
            if want == n && self.read_some(tree, &mut [0])? > 0 {
                return Err(self.changed(tree, &format!("longer than its recorded size of {}", self.size)));
            }
            if let Some((expected, found)) =
                self.checksum.take().map(|(expected, found)| (expected, found.finish()))
                && expected != found
            {
                return Err(Error::Checksum { path: path(tree, &self.name), expected, found });
            }
        }
        Ok(n)
    }

    fn read_some(&mut self, tree: &Root, buf: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.file.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                    return Err(self.changed(tree, "a directory now"));
                }
                Err(source) => {
                    return Err(Error::io("read", path(tree, &self.name), source));
                }
                Ok(n) => return Ok(n),
            }
        }
    }

    fn changed(&self, tree: &Root, how: &str) -> Error {
        let why = format!("it has changed since its layer was stored: it is {how}");
        Error::damaged(path(tree, &self.name), why)
    }
}

/// Opens the file of an entry and returns the name under which it was found.
pub(super) fn open<'n>(
    files: &mut Files<'_>,
    name: &'n [u8],
    size: u64,
    checksum: u64,
) -> Result<(File, Cow<'n, [u8]>), Error> {
    if let Some(objects) = files.objects() {
        let Some(object) = objects.find(name, size) else {
            let why =
                format!("the table of contents of its layer has no file of {size} bytes with that name");
            return Err(Error::malformed(path(files.tree(), name), why));
        };
        return match files.tree().open_in_tree(object.as_bytes()) {
            Ok(file) => Ok((file, Cow::Owned(object.as_bytes().to_vec()))),
            Err(source) => Err(Error::io("open", path(files.tree(), object.as_bytes()), source)),
        };
    }
    let source = match files.open(name) {
        Ok(file) => return Ok((file, Cow::Borrowed(name))),
        Err(source) => source,
    };
    let tree = files.tree();
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
