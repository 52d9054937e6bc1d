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
//! | second name of a link, a FIFO, a device | the same as the first | a hard link |
//!
//! Whiteouts of layers that are rebuilt are those of containerd (`archive/tar.go`), and the opaque file is
//! Docker's (28). What containers wrote has the form of their engine: whiteouts have the time and the owner
//! of the device, with Docker the mode 0600, and from the second name of one inode on a link name that nobody
//! reads; Docker keeps no attributes of users, and makes capabilities of revision 3 those of revision 2.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use layerlift_archive::tar::{Dialect, Encoder, Header, TRAILER, padding};
use layerlift_archive::{Plain, ZeroWrite};
use rustix::fs::FileType;

use super::attributes::Wanted;
use super::files::{Files, Links, What};
use super::form::Form;
use super::order::Order;
use super::piece::{BUFFER, Piece};
use super::records::{Id, Kind, Metadata, ROOT};
use crate::Error;

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
    /// That of a form. Whiteouts that come from a comparison have the time `created`.
    pub(super) fn of(form: Form, created: i64) -> Self {
        match form {
            Form::Docker18 => Encoding::Docker18 { created },
            Form::Today => Encoding::Today,
            Form::Docker28 => Encoding::Docker28 { created },
            Form::ContainersStorage => Encoding::ContainersStorage { created },
        }
    }

    /// Which attributes it writes; for whole trees in Docker's form until 1.9, the caller chooses.
    pub(super) fn wanted(self) -> Wanted {
        match self {
            Encoding::Docker28 { .. } => Wanted::Capability,
            _ => Wanted::CapabilityAndUsers,
        }
    }
}

/// Writes or measures the tar of a layer.
pub(super) fn layer(
    files: Files<'_>,
    order: Order,
    encoding: Encoding,
    pass: Pass<'_>,
) -> Result<Measure, Error> {
    let records = files.records;
    let mut writer = Writer::new(files, encoding, pass);
    order.visit(records, |id, path| {
        writer.entry(id, path)?;
        records.further(id).iter().try_for_each(|id| writer.entry(*id, &records.path(*id)))
    })?;
    writer.finish()
}

/// The same of a tree that is not a layer, with an entry `./` for its root if that is wanted; or only of what
/// is `within` a path of it, without a slash at its end.
pub(super) fn tree(
    files: Files<'_>,
    within: Option<&[u8]>,
    with_root: bool,
    encoding: Encoding,
    pass: Pass<'_>,
) -> Result<Measure, Error> {
    let records = files.records;
    let mut writer = Writer::new(files, encoding, pass);
    if with_root && within.is_none() {
        let Metadata { mode, uid, gid, mtime, .. } = records.metadata(ROOT);
        let (mode, uid, gid) = (mode & 0o7777, uid.into(), gid.into());
        let header = Header { name: b"./", kind: b'5', mode, uid, gid, mtime, ..Header::default() };
        writer.header(ROOT, &header)?;
    }
    Order::Walk.visit(records, |id, path| {
        if within.is_none_or(|within| is_within(path, within)) { writer.entry(id, path) } else { Ok(()) }
    })?;
    writer.finish()
}

/// Whether a path is `within` itself, or lies below it.
pub(super) fn is_within(path: &[u8], within: &[u8]) -> bool {
    path.strip_prefix(within).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// What becomes of a tar.
pub(super) enum Pass<'a> {
    /// It is measured: no contents are read.
    Measure,
    /// It is written; if it was measured, each entry must still be what it was.
    Write(&'a mut dyn ZeroWrite, Option<&'a Measure>),
}

/// What a tar comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Measure {
    /// Bytes.
    pub(super) len: u64,
    /// A fingerprint of each entry, so that one that has changed can be named.
    entries: Vec<u32>,
}

struct Writer<'f, 'p> {
    files: Files<'f>,
    encoding: Encoding,
    encoder: Encoder,
    blocks: Vec<u8>,
    /// `None` while it is only measured.
    out: Option<BufWriter<&'p mut dyn ZeroWrite>>,
    found: Measure,
    expected: Option<&'p Measure>,
    /// How many entries there were.
    count: usize,
}

impl<'f, 'p> Writer<'f, 'p> {
    fn new(files: Files<'f>, encoding: Encoding, pass: Pass<'p>) -> Self {
        let (out, expected) = match pass {
            Pass::Measure => (None, None),
            Pass::Write(out, expected) => (Some(BufWriter::with_capacity(BUFFER, out)), expected),
        };
        Writer {
            files,
            encoding,
            encoder: Encoder::new(match encoding {
                Encoding::Docker18 { .. } => Dialect::Go14,
                _ => Dialect::Pax,
            }),
            blocks: Vec::new(),
            out,
            found: Measure::default(),
            expected,
            count: 0,
        }
    }

    fn finish(mut self) -> Result<Measure, Error> {
        if self.expected.is_some_and(|expected| expected.entries.len() > self.count) {
            return Err(changed(self.files.root(), "files in it are no longer there"));
        }
        self.put_zeros(TRAILER)?;
        if let Some(out) = &mut self.out {
            out.flush().map_err(|source| output(self.files.root(), source))?;
        }
        Ok(self.found)
    }
}

impl Writer<'_, '_> {
    fn entry(&mut self, id: Id, path: &[u8]) -> Result<(), Error> {
        let records = self.files.records;
        let entry = records.get(id);
        match entry.kind {
            Kind::Present => self.present(id, path, &records.metadata(id)),
            Kind::Opaque => {
                let Metadata { mode, uid, gid, .. } = records.metadata(entry.parent);
                let metadata = Metadata { mode: mode & 0o777, uid, gid, ..Metadata::default() };
                self.marker(id, path.to_vec(), &metadata, b"")
            }
            Kind::Whiteout => {
                let (dir, name) = path.split_at(path.len() - records.name(id).len());
                let marker = [dir, b".wh.", name].concat();
                match (self.encoding, records.metadata(id)) {
                    // Without a device of overlayfs, it comes from a comparison.
                    (Encoding::Docker28 { created } | Encoding::ContainersStorage { created }, found)
                        if found.mode == 0 =>
                    {
                        self.marker(id, marker, &Metadata { mtime: created, ..Metadata::default() }, b"")
                    }
                    (Encoding::Docker28 { .. } | Encoding::ContainersStorage { .. }, found) => {
                        let docker = matches!(self.encoding, Encoding::Docker28 { .. });
                        // Docker and Podman take it for a link, then write it as a file.
                        let link = self.files.first_name(id, &found).map(|first| {
                            let first = records.path(first);
                            if docker { first } else { removal(&first) }
                        });
                        let mode = if docker { 0o600 } else { 0 };
                        let metadata = Metadata { mode, ..found };
                        self.marker(id, marker, &metadata, &link.unwrap_or_default())
                    }
                    _ => self.marker(id, marker, &Metadata::default(), b""),
                }
            }
        }
    }

    fn marker(&mut self, id: Id, name: Vec<u8>, metadata: &Metadata, link: &[u8]) -> Result<(), Error> {
        let header = Header { name: &name, ..Header::default() };
        let Metadata { mode, uid, gid, mtime, .. } = *metadata;
        let header = match self.encoding {
            Encoding::Docker18 { created } => Header { mtime: created, ..header },
            _ => Header { kind: b'0', mode, uid: uid.into(), gid: gid.into(), mtime, link, ..header },
        };
        self.header(id, &header)
    }

    fn present(&mut self, id: Id, path: &[u8], metadata: &Metadata) -> Result<(), Error> {
        let today = !matches!(self.encoding, Encoding::Docker18 { .. });
        if today && metadata.file_type() == FileType::Socket {
            return Ok(());
        }
        let mut name = path.to_vec();
        let (mut size, mut device) = (0, (0, 0));
        let links = if today { Links::OfAll } else { Links::OfFiles };
        let what = self.files.what(id, metadata, links);
        let described = what.and_then(|what| Ok((what, self.files.attributes(id)?)));
        let (what, mut xattrs) = match described {
            Ok(described) => described,
            Err(error) => return self.files.leave_out(id, error),
        };
        let (kind, link) = match what {
            What::Dir => {
                name.push(b'/');
                (b'5', Vec::new())
            }
            What::Symlink(target) => (b'2', target),
            What::Device { block, numbers } => {
                device = numbers;
                (if block { b'4' } else { b'3' }, Vec::new())
            }
            What::Fifo => (b'6', Vec::new()),
            // Go left the type of a socket at zero, which readers take for a file.
            What::Socket => (0, Vec::new()),
            What::Link(first) => {
                // Engines find out that it is a link when its numbers are set already.
                device = metadata.device();
                (b'1', first)
            }
            What::File => {
                size = metadata.size;
                (b'0', Vec::new())
            }
        };
        if matches!(self.encoding, Encoding::Docker28 { .. }) {
            xattrs.iter_mut().for_each(|(_, value)| without_root(value));
        }
        if let Some((attribute, _)) = xattrs.iter().find(|(attribute, _)| attribute.contains(&b'=')) {
            let (path, attribute) = (self.files.path(id), attribute.escape_ascii().to_string());
            let what = format!("a tar cannot hold attribute {attribute:?} of {}", path.display());
            return Err(Error::Unsupported { what, hint: None });
        }
        let header = Header {
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
        };
        if size == 0 {
            return self.header(id, &header);
        }
        self.encode(id, &header)?;
        self.found.len += size;
        if let Some(out) = &mut self.out {
            let (blocks, root) = (&mut self.blocks, self.files.root());
            let taken = self.files.take::<Error>(id, size, &mut |piece| {
                // What cannot be read at all has no header.
                let head = out.write_all(&std::mem::take(blocks));
                let written = head.and_then(|()| match piece {
                    Piece::Data(bytes) => out.write_all(bytes),
                    Piece::Hole(len) => zeros(out, len),
                });
                written.map_err(|source| output(root, source))
            })?;
            if !taken {
                return Ok(());
            }
        }
        self.put_zeros(padding(size))
    }

    fn header(&mut self, id: Id, header: &Header<'_>) -> Result<(), Error> {
        self.encode(id, header)?;
        match &mut self.out {
            None => Ok(()),
            Some(out) => out.write_all(&self.blocks).map_err(|source| output(self.files.root(), source)),
        }
    }

    /// Makes a header, and compares it with what was measured.
    fn encode(&mut self, id: Id, header: &Header<'_>) -> Result<(), Error> {
        self.blocks.clear();
        self.encoder.encode(header, &mut self.blocks);
        self.found.len += self.blocks.len() as u64;
        let place = self.count;
        self.count += 1;
        if self.out.is_some() && self.expected.is_none() {
            return Ok(());
        }
        let seen = fingerprint(&self.blocks, &self.files.records.metadata(id));
        match self.expected {
            None => self.found.entries.push(seen),
            Some(expected) if expected.entries.get(place) == Some(&seen) => {}
            Some(_) => return Err(changed(&self.files.path(id), "it has changed, or is new")),
        }
        Ok(())
    }

    fn put_zeros(&mut self, len: u64) -> Result<(), Error> {
        self.found.len += len;
        match &mut self.out {
            None => Ok(()),
            Some(out) => zeros(out, len).map_err(|source| output(self.files.root(), source)),
        }
    }
}

/// What tells an entry from what it was at another time. A header has seconds; a file that changed within one
/// has other nanoseconds.
fn fingerprint(header: &[u8], metadata: &Metadata) -> u32 {
    let mut hasher = DefaultHasher::new();
    header.hash(&mut hasher);
    metadata.mtime_nanos.hash(&mut hasher);
    hasher.finish() as u32
}

/// The error of an entry that is no longer what was measured.
pub(super) fn changed(path: &Path, what: &str) -> Error {
    Error::damaged(path, format!("{what} since the tar was measured: something writes to it"))
}

/// Writes zeros; many go past the buffer, so that a file need not store them.
fn zeros(out: &mut BufWriter<&mut dyn ZeroWrite>, len: u64) -> io::Result<()> {
    if len < BUFFER as u64 {
        return Plain(out).write_zeros(len);
    }
    out.flush()?;
    out.get_mut().write_zeros(len)
}

/// The name by which a layer removes another.
fn removal(path: &[u8]) -> Vec<u8> {
    let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (dir, name) = path.split_at(at);
    [dir, b".wh.", name].concat()
}

/// Docker writes capabilities of revision 3 as those of revision 2, which belong to no user namespace.
pub(super) fn without_root(capability: &mut Vec<u8>) {
    const REVISION: usize = 3;
    if let Some(revision @ 3) = capability.get_mut(REVISION) {
        *revision = 2;
        capability.truncate(20);
    }
}

fn output(root: &Path, source: io::Error) -> Error {
    Error::io("write the tar of", root, source)
}
