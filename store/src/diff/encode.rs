//! Writes records as tar entries, as Docker's `addTarFile` did (`pkg/archive/archive.go` of 1.8, on Go 1.4),
//! or as engines do today.
//!
//! | | until Docker 1.9 | today (containerd) |
//! |---|---|---|
//! | headers | of Go 1.4 | PAX, where a record is needed |
//! | mode | with the file type | without |
//! | whiteout | type 0, mode 0, a given time | a file, mode 0, time 0 |
//! | `.wh..wh..opq` | the same | a file with owner and permissions of its directory, time 0 |
//! | socket | type 0 | left out |
//!
//! Whiteouts of layers that are rebuilt are those of containerd (`archive/tar.go`), and the opaque file is
//! Docker's (28). What containers wrote has the form of their engine: whiteouts have the time and the owner
//! of the device, with Docker the mode 0600, and from the second name of one inode on a link name that nobody
//! reads; Docker keeps no attributes of users, and makes capabilities of revision 3 those of revision 2.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use layerlift_archive::tar::{Dialect, Encoder, Header, TRAILER, padding};
use rustix::fs::FileType;

use super::attributes::{Attribute, Attributes, Wanted};
use super::order::Order;
use super::records::{Id, Kind, Metadata, ROOT, Records};
use super::walk::Cursor;
use crate::{Error, Root, fs};

/// The engines whose tars are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Docker's until 1.9. Whiteouts have this time.
    Docker18 {
        /// Seconds since 1970.
        created: i64,
    },
    /// containerd's.
    Today,
    /// Docker's with a graph driver (28).
    Docker28 {
        /// Of whiteouts that come from a comparison, in seconds since 1970.
        created: i64,
    },
    /// That of Podman and Buildah (containers/storage, 5.8).
    ContainersStorage {
        /// The same.
        created: i64,
    },
}

impl Encoding {
    /// Which attributes it writes; for whole trees in Docker's form until 1.9, the caller chooses.
    pub(super) fn wanted(self) -> Wanted {
        match self {
            Encoding::Docker28 { .. } => Wanted::Capability,
            _ => Wanted::CapabilityAndUsers,
        }
    }
}

const BUFFER: usize = 256 << 10;

/// Writes the tar of `records`, which describe `root`.
pub(super) fn write(
    root: &Root,
    records: &Records,
    order: Order,
    wanted: Wanted,
    encoding: Encoding,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut writer = Writer::new(root, records, wanted, encoding, out);
    order.visit(records, |id, path| writer.entry(id, path))?;
    writer.finish()
}

/// Writes the tar of a tree that is not a layer: with an entry `./` for its root, or of it only `within`, a
/// path without a slash at its end.
pub(super) fn write_tree(
    root: &Root,
    records: &Records,
    within: Option<&[u8]>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let encoding = Encoding::ContainersStorage { created: 0 };
    let mut writer = Writer::new(root, records, encoding.wanted(), encoding, out);
    if within.is_none() {
        let Metadata { mode, uid, gid, mtime, .. } = records.get(ROOT).metadata;
        let (mode, uid, gid) = (mode & 0o7777, uid.into(), gid.into());
        writer.header(&Header { name: b"./", kind: b'5', mode, uid, gid, mtime, ..Header::default() })?;
    }
    Order::Walk.visit(records, |id, path| {
        let rest = within.map_or(Some(&b""[..]), |within| path.strip_prefix(within));
        match rest {
            Some(rest) if within.is_none() || rest.is_empty() || rest[0] == b'/' => writer.entry(id, path),
            _ => Ok(()),
        }
    })?;
    writer.finish()
}

struct Writer<'a> {
    records: &'a Records,
    wanted: Wanted,
    encoding: Encoding,
    cursor: Cursor<'a>,
    attributes: Attributes,
    /// The first name of each file with several names, by device and inode.
    links: HashMap<(u64, u64), Id>,
    encoder: Encoder,
    blocks: Vec<u8>,
    buffer: Vec<u8>,
    out: BufWriter<&'a mut dyn Write>,
}

impl<'a> Writer<'a> {
    fn new(
        root: &'a Root,
        records: &'a Records,
        wanted: Wanted,
        encoding: Encoding,
        out: &'a mut dyn Write,
    ) -> Self {
        Writer {
            records,
            wanted,
            encoding,
            cursor: Cursor::new(root),
            attributes: Attributes::default(),
            links: HashMap::new(),
            encoder: Encoder::new(match encoding {
                Encoding::Docker18 { .. } => Dialect::Go14,
                _ => Dialect::Pax,
            }),
            blocks: Vec::new(),
            buffer: vec![0; BUFFER],
            out: BufWriter::with_capacity(BUFFER, out),
        }
    }

    fn finish(mut self) -> Result<(), Error> {
        self.put_zeros(TRAILER)?;
        let root = self.cursor.root();
        self.out.flush().map_err(|source| output(root, source))
    }
}

impl Writer<'_> {
    fn entry(&mut self, id: Id, path: &[u8]) -> Result<(), Error> {
        let entry = self.records.get(id);
        match entry.kind {
            Kind::Present => self.present(id, path, &entry.metadata),
            Kind::Opaque => {
                let Metadata { mode, uid, gid, .. } = self.records.get(entry.parent).metadata;
                let metadata = Metadata { mode: mode & 0o777, uid, gid, ..Metadata::default() };
                self.marker(path.to_vec(), &metadata, b"")
            }
            Kind::Whiteout => {
                let (dir, name) = path.split_at(path.len() - self.records.name(id).len());
                let marker = [dir, b".wh.", name].concat();
                match (self.encoding, entry.metadata) {
                    // Without a device of overlayfs, it comes from a comparison.
                    (Encoding::Docker28 { created } | Encoding::ContainersStorage { created }, found)
                        if found.mode == 0 =>
                    {
                        self.marker(marker, &Metadata { mtime: created, ..Metadata::default() }, b"")
                    }
                    (Encoding::Docker28 { .. } | Encoding::ContainersStorage { .. }, found) => {
                        let docker = matches!(self.encoding, Encoding::Docker28 { .. });
                        // Docker and Podman take it for a link, then write it as a file.
                        let link = self.first_name(id, &found).map(|first| {
                            let first = self.records.path(first);
                            if docker { first } else { removal(&first) }
                        });
                        let mode = if docker { 0o600 } else { 0 };
                        let metadata = Metadata { mode, ..found };
                        self.marker(marker, &metadata, &link.unwrap_or_default())
                    }
                    _ => self.marker(marker, &Metadata::default(), b""),
                }
            }
        }
    }

    fn marker(&mut self, name: Vec<u8>, metadata: &Metadata, link: &[u8]) -> Result<(), Error> {
        let header = Header { name: &name, ..Header::default() };
        let Metadata { mode, uid, gid, mtime, .. } = *metadata;
        self.header(&match self.encoding {
            Encoding::Docker18 { created } => Header { mtime: created, ..header },
            _ => Header { kind: b'0', mode, uid: uid.into(), gid: gid.into(), mtime, link, ..header },
        })
    }

    fn present(&mut self, id: Id, path: &[u8], metadata: &Metadata) -> Result<(), Error> {
        let file_type = metadata.file_type();
        let today = !matches!(self.encoding, Encoding::Docker18 { .. });
        if today && file_type == FileType::Socket {
            return Ok(());
        }
        let mut name = path.to_vec();
        let mut link = Vec::new();
        let mut size = 0;
        let mut device = (0, 0);
        let kind = match file_type {
            FileType::Directory => {
                name.push(b'/');
                b'5'
            }
            FileType::Symlink => {
                link = self.target(id)?;
                b'2'
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                device = numbers(metadata.rdev);
                if file_type == FileType::BlockDevice { b'4' } else { b'3' }
            }
            FileType::Fifo => b'6',
            // Go left the type of a socket at zero, which readers take for a file.
            FileType::Socket => 0,
            _ => match self.first_name(id, metadata) {
                Some(first) => {
                    link = self.records.path(first);
                    b'1'
                }
                None => {
                    size = metadata.size;
                    b'0'
                }
            },
        };
        let xattrs = self.attributes(id)?;
        self.header(&Header {
            name: &name,
            link: &link,
            kind,
            mode: if today { metadata.mode & 0o7777 } else { metadata.mode },
            uid: metadata.uid.into(),
            gid: metadata.gid.into(),
            size,
            mtime: metadata.mtime,
            device,
            xattrs: &xattrs,
        })?;
        if size > 0 { self.contents(id, size) } else { Ok(()) }
    }

    /// The name under which this file has been written already, if it has several.
    fn first_name(&mut self, id: Id, metadata: &Metadata) -> Option<Id> {
        if !metadata.linked {
            return None;
        }
        match self.links.entry((metadata.dev, metadata.ino)) {
            Entry::Occupied(slot) => Some(*slot.get()),
            Entry::Vacant(slot) => {
                slot.insert(id);
                None
            }
        }
    }

    fn target(&mut self, id: Id) -> Result<Vec<u8>, Error> {
        let dir = self.cursor.dir(self.records, self.records.get(id).parent)?;
        let target = rustix::fs::readlinkat(dir, self.records.name(id), Vec::new());
        target.map(|target| target.into_bytes()).map_err(|errno| self.error("read link", id, errno.into()))
    }

    fn attributes(&mut self, id: Id) -> Result<Vec<Attribute>, Error> {
        let dir = self.cursor.dir(self.records, self.records.get(id).parent)?;
        let found = self.attributes.wanted(dir, self.records.name(id), self.wanted);
        let mut found = found.map_err(|errno| self.error("read attributes of", id, errno.into()))?;
        if matches!(self.encoding, Encoding::Docker28 { .. }) {
            found.iter_mut().for_each(|(_, value)| without_root(value));
        }
        match found.iter().find(|(attribute, _)| attribute.contains(&b'=')) {
            None => Ok(found),
            Some((attribute, _)) => {
                let (path, attribute) = (self.path(id), attribute.escape_ascii().to_string());
                let what = format!("a tar cannot hold attribute {attribute:?} of {}", path.display());
                Err(Error::Unsupported { what, hint: None })
            }
        }
    }

    fn contents(&mut self, id: Id, size: u64) -> Result<(), Error> {
        let dir = self.cursor.dir(self.records, self.records.get(id).parent)?;
        let file = fs::open_file_in(dir, self.records.name(id))
            .map_err(|errno| self.error("open", id, errno.into()))?;
        let mut left = size;
        loop {
            let len = match rustix::io::read(file.as_fd(), self.buffer.as_mut_slice()) {
                Ok(len) => len,
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(self.error("read", id, errno.into())),
            };
            if len as u64 > left || len == 0 && left > 0 {
                return Err(self.changed(id, size));
            }
            left -= len as u64;
            let root = self.cursor.root();
            self.out.write_all(&self.buffer[..len]).map_err(|source| output(root, source))?;
            // A short read means the end of the file. Only after a full buffer can there be more.
            if left == 0 && len < self.buffer.len() {
                return self.put_zeros(padding(size));
            }
        }
    }

    fn header(&mut self, header: &Header<'_>) -> Result<(), Error> {
        self.blocks.clear();
        self.encoder.encode(header, &mut self.blocks);
        self.out.write_all(&self.blocks).map_err(|source| output(self.cursor.root(), source))
    }

    fn put_zeros(&mut self, len: u64) -> Result<(), Error> {
        const ZEROS: [u8; TRAILER as usize] = [0; TRAILER as usize];
        let root = self.cursor.root();
        self.out.write_all(&ZEROS[..len as usize]).map_err(|source| output(root, source))
    }

    fn path(&self, id: Id) -> PathBuf {
        self.cursor.root().join(OsStr::from_bytes(&self.records.path(id)))
    }

    fn error(&self, action: &'static str, id: Id, source: io::Error) -> Error {
        Error::io(action, self.path(id), source)
    }

    fn changed(&self, id: Id, size: u64) -> Error {
        let why = format!("its size changed from {size} bytes while it was read: something writes to it");
        Error::damaged(self.path(id), why)
    }
}

/// The name by which a layer removes another.
fn removal(path: &[u8]) -> Vec<u8> {
    let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (dir, name) = path.split_at(at);
    [dir, b".wh.", name].concat()
}

/// Docker writes capabilities of revision 3 as those of revision 2, which belong to no user namespace.
fn without_root(capability: &mut Vec<u8>) {
    const REVISION: usize = 3;
    if let Some(revision @ 3) = capability.get_mut(REVISION) {
        *revision = 2;
        capability.truncate(20);
    }
}

fn output(root: &Root, source: io::Error) -> Error {
    Error::io("write the tar of", root.path(), source)
}

/// Splits a device number into major and minor as Docker did.
fn numbers(rdev: u64) -> (u64, u64) {
    (rdev >> 8 & 0xfff, rdev & 0xff | rdev >> 12 & 0xf_ff00)
}
