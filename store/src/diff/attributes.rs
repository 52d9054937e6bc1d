//! Extended attributes of something in an open directory, and which of them are part of a layer.
//!
//! Docker compared trees and wrote their tars with `security.capability` alone. In directories that hold a layer on its own,
//! attributes that users set are kept as well, since the engines of these unpack and keep them; but not those in which they,
//! or overlayfs, keep their own affairs.
//!
//! There is no call for a name relative to a descriptor (before Linux 6.13), and what is no file or directory must not be
//! opened; `/proc/self/fd/N/NAME` leads to it. The name is a single component and is not followed.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// What a file may do beyond what its user may.
pub(super) const CAPABILITY: &[u8] = b"security.capability";

const USER: &[u8] = b"user.";
const ENGINES: &[&[u8]] =
    &[b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers.", b"user.rootlesscontainers"];

/// Which attributes a tar has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// [`CAPABILITY`].
    Capability,
    /// And those of users.
    CapabilityAndUsers,
}

/// The kernel's limits for a value and for a list of names.
const LIMIT: usize = 64 << 10;

/// Name and value.
pub(super) type Attribute = (Vec<u8>, Vec<u8>);

/// Reads attributes; keeps its buffers.
#[derive(Default)]
pub(super) struct Attributes {
    path: Vec<u8>,
    buffer: Vec<u8>,
}

impl Attributes {
    /// Names and values of what is wanted of `name` in `dir`.
    pub(super) fn wanted(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        wanted: Wanted,
    ) -> rustix::io::Result<Vec<Attribute>> {
        let names: Vec<Vec<u8>> = match wanted {
            Wanted::Capability => vec![CAPABILITY.to_vec()],
            Wanted::CapabilityAndUsers => {
                self.names(dir, name)?.filter(|name| belongs(name)).map(<[u8]>::to_vec).collect()
            }
        };
        let mut found = Vec::new();
        for attribute in names {
            if let Some(value) = self.value(dir, name, &attribute)? {
                let value = value.to_vec();
                found.push((attribute, value));
            }
        }
        Ok(found)
    }

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

fn belongs(attribute: &[u8]) -> bool {
    attribute == CAPABILITY
        || attribute.starts_with(USER) && !ENGINES.iter().any(|prefix| attribute.starts_with(prefix))
}
