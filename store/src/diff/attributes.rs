//! Extended attributes of something in an open directory.
//!
//! There is no call for a name relative to a descriptor (before Linux 6.13), and what is no file or directory must not be
//! opened; `/proc/self/fd/N/NAME` leads to it. The name is a single component and is not followed.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// The one attribute that is part of a layer.
pub(super) const CAPABILITY: &[u8] = b"security.capability";

/// The kernel's limits for a value and for a list of names.
const LIMIT: usize = 64 << 10;

/// Reads attributes; keeps its buffers.
#[derive(Default)]
pub(super) struct Attributes {
    path: Vec<u8>,
    buffer: Vec<u8>,
}

impl Attributes {
    /// The value of an attribute of `name` in `dir`, `None` if it has none.
    pub(super) fn value(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        attribute: &[u8],
    ) -> rustix::io::Result<Option<&[u8]>> {
        self.prepare(dir, name);
        match rustix::fs::lgetxattr(self.path.as_slice(), attribute, self.buffer.as_mut_slice()) {
            Ok(len) => Ok(Some(&self.buffer[..len])),
            Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The names of the attributes of `name` in `dir`, as far as this process may see them.
    pub(super) fn names(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
    ) -> rustix::io::Result<impl Iterator<Item = &[u8]>> {
        self.prepare(dir, name);
        let len = match rustix::fs::llistxattr(self.path.as_slice(), self.buffer.as_mut_slice()) {
            Ok(len) => len,
            Err(Errno::NOTSUP) => 0,
            Err(errno) => return Err(errno),
        };
        Ok(self.buffer[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty()))
    }

    fn prepare(&mut self, dir: BorrowedFd<'_>, name: &[u8]) {
        self.buffer.resize(LIMIT, 0);
        self.path.clear();
        self.path.extend_from_slice(b"/proc/self/fd/");
        self.path.extend_from_slice(dir.as_raw_fd().to_string().as_bytes());
        self.path.push(b'/');
        self.path.extend_from_slice(name);
    }
}
