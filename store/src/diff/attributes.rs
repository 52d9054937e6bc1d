//! Extended attributes of names in an open directory, and which of them belong to a layer.
//!
//! `security.capability` belongs to every layer. Attributes that users set (`user.*`) do too, except in the
//! form of Docker 28 with a graph driver, in whole trees of Docker until 1.9, and in what a container of
//! Docker with containerd wrote. The attributes in which engines and overlayfs do their own bookkeeping are
//! left out.
//!
//! Before Linux 6.13, no system call takes a directory descriptor and a name, and what is neither a file nor
//! a directory must not be opened. So the path is `/proc/self/fd/N/NAME`. The name is a single component, and
//! a link there is not followed.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

/// File capabilities.
pub(super) const CAPABILITY: &[u8] = b"security.capability";

const USER: &[u8] = b"user.";
const ENGINES: &[&[u8]] =
    &[b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers.", b"user.rootlesscontainers"];

/// Which attributes go into a tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// [`CAPABILITY`].
    Capability,
    /// [`CAPABILITY`] and user attributes.
    CapabilityAndUsers,
}

impl Wanted {
    /// Whether an attribute goes into the tar.
    pub(super) fn has(self, attribute: &[u8]) -> bool {
        match self {
            Wanted::Capability => attribute == CAPABILITY,
            Wanted::CapabilityAndUsers => belongs(attribute),
        }
    }
}

/// The kernel's limit for a value, and for a list of names.
const LIMIT: usize = 64 << 10;

/// A name and a value.
pub(super) type Attribute = (Vec<u8>, Vec<u8>);

/// Reads attributes, and reuses its buffers.
#[derive(Default)]
pub(super) struct Attributes {
    path: Vec<u8>,
    buffer: Vec<u8>,
}

impl Attributes {
    /// The wanted attributes of `name` in `dir`.
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

    /// The value of an attribute of `name` in `dir`; `None` if it is not set.
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

    /// The names of the attributes of `name` in `dir` that this process may see.
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

/// Whether it is one of [`Wanted::CapabilityAndUsers`].
pub(super) fn belongs(attribute: &[u8]) -> bool {
    attribute == CAPABILITY
        || attribute.starts_with(USER) && !ENGINES.iter().any(|prefix| attribute.starts_with(prefix))
}
