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

use std::io::{self, BufWriter, Write};
use std::path::Path;

use layerlift_archive::tar::{Dialect, Encoder, Header, TRAILER, padding};
use rustix::fs::FileType;

use super::Form;
use super::attributes::Wanted;
use super::files::{BUFFER, Files, Piece, What};
use super::order::Order;
use super::records::{Id, Kind, Metadata, ROOT, Records};
use crate::{Error, Root};

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

/// Writes the tar of a layer.
pub(super) fn write(
    files: Files<'_>,
    order: Order,
    encoding: Encoding,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let records = files.records;
    let mut writer = Writer::new(files, encoding, out);
    order.visit(records, |id, path| {
        writer.entry(id, path)?;
        records.further(id).iter().try_for_each(|id| writer.entry(*id, &records.path(*id)))
    })?;
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
    let files = Files::new(std::slice::from_ref(root), records, encoding.wanted());
    let mut writer = Writer::new(files, encoding, out);
    if within.is_none() {
        let Metadata { mode, uid, gid, mtime, .. } = records.get(ROOT).metadata;
        let (mode, uid, gid) = (mode & 0o7777, uid.into(), gid.into());
        writer.header(&Header { name: b"./", kind: b'5', mode, uid, gid, mtime, ..Header::default() })?;
    }
    Order::Walk.visit(records, |id, path| {
        if within.is_none_or(|within| is_within(path, within)) { writer.entry(id, path) } else { Ok(()) }
    })?;
    writer.finish()
}

/// Writes the tar of a merged tree without an entry for its root, or only what is `within` a path of it.
pub(super) fn write_merged(
    files: Files<'_>,
    within: Option<&[u8]>,
    encoding: Encoding,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let records = files.records;
    let mut writer = Writer::new(files, encoding, out);
    Order::Walk.visit(records, |id, path| {
        if within.is_none_or(|within| is_within(path, within)) { writer.entry(id, path) } else { Ok(()) }
    })?;
    writer.finish()
}

/// Whether a path is `within` itself, or lies below it.
pub(super) fn is_within(path: &[u8], within: &[u8]) -> bool {
    path.strip_prefix(within).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

struct Writer<'a> {
    files: Files<'a>,
    encoding: Encoding,
    encoder: Encoder,
    blocks: Vec<u8>,
    out: BufWriter<&'a mut dyn Write>,
}

impl<'a> Writer<'a> {
    fn new(files: Files<'a>, encoding: Encoding, out: &'a mut dyn Write) -> Self {
        Writer {
            files,
            encoding,
            encoder: Encoder::new(match encoding {
                Encoding::Docker18 { .. } => Dialect::Go14,
                _ => Dialect::Pax,
            }),
            blocks: Vec::new(),
            out: BufWriter::with_capacity(BUFFER, out),
        }
    }

    fn finish(mut self) -> Result<(), Error> {
        self.put_zeros(TRAILER)?;
        self.out.flush().map_err(|source| output(self.files.root(), source))
    }
}

impl Writer<'_> {
    fn entry(&mut self, id: Id, path: &[u8]) -> Result<(), Error> {
        let records = self.files.records;
        let entry = records.get(id);
        match entry.kind {
            Kind::Present => self.present(id, path, &entry.metadata),
            Kind::Opaque => {
                let Metadata { mode, uid, gid, .. } = records.get(entry.parent).metadata;
                let metadata = Metadata { mode: mode & 0o777, uid, gid, ..Metadata::default() };
                self.marker(path.to_vec(), &metadata, b"")
            }
            Kind::Whiteout => {
                let (dir, name) = path.split_at(path.len() - records.name(id).len());
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
                        let link = self.files.first_name(id, &found).map(|first| {
                            let first = records.path(first);
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
        let today = !matches!(self.encoding, Encoding::Docker18 { .. });
        if today && metadata.file_type() == FileType::Socket {
            return Ok(());
        }
        let mut name = path.to_vec();
        let (mut size, mut device) = (0, (0, 0));
        let (kind, link) = match self.files.what(id, metadata)? {
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
            What::Link(first) => (b'1', first),
            What::File => {
                size = metadata.size;
                (b'0', Vec::new())
            }
        };
        let mut xattrs = self.files.attributes(id)?;
        if matches!(self.encoding, Encoding::Docker28 { .. }) {
            xattrs.iter_mut().for_each(|(_, value)| without_root(value));
        }
        if let Some((attribute, _)) = xattrs.iter().find(|(attribute, _)| attribute.contains(&b'=')) {
            let (path, attribute) = (self.files.path(id), attribute.escape_ascii().to_string());
            let what = format!("a tar cannot hold attribute {attribute:?} of {}", path.display());
            return Err(Error::Unsupported { what, hint: None });
        }
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
        if size == 0 {
            return Ok(());
        }
        let (out, root) = (&mut self.out, self.files.root());
        self.files.contents::<Error>(id, size, &mut |piece| {
            let written = match piece {
                Piece::Data(bytes) => out.write_all(bytes),
                Piece::Hole(len) => zeros(out, len),
            };
            written.map_err(|source| output(root, source))
        })?;
        self.put_zeros(padding(size))
    }

    fn header(&mut self, header: &Header<'_>) -> Result<(), Error> {
        self.blocks.clear();
        self.encoder.encode(header, &mut self.blocks);
        self.out.write_all(&self.blocks).map_err(|source| output(self.files.root(), source))
    }

    fn put_zeros(&mut self, len: u64) -> Result<(), Error> {
        zeros(&mut self.out, len).map_err(|source| output(self.files.root(), source))
    }
}

fn zeros(out: &mut dyn Write, mut len: u64) -> io::Result<()> {
    const ZEROS: [u8; 16 << 10] = [0; 16 << 10];
    while len > 0 {
        let piece = len.min(ZEROS.len() as u64);
        out.write_all(&ZEROS[..piece as usize])?;
        len -= piece;
    }
    Ok(())
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

fn output(root: &Path, source: io::Error) -> Error {
    Error::io("write the tar of", root, source)
}
