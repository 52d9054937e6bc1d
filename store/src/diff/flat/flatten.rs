//! Puts layers on top of each other.
//!
//! What counts is what the OCI image specification says of layers, and what engines do with entries (moby 28,
//! `pkg/archive`; containerd 2, `pkg/archive/tar.go`). Overlayfs shows some odd layers otherwise, see
//! `docs/shortcomings.md`:
//!
//! - A name that comes again replaces the earlier one, unless both are directories: then only the metadata
//!   are replaced.
//! - A whiteout hides names of the layers below. What its own layer has stays, wherever in the tar it is.
//! - A directory that no entry has is made, with the mode 0755, if the layers below lack it, too. Engines
//!   give it the time of the moment; here it is 0.
//! - A link that the layer has itself is followed as if the root was `/`. If a layer below has it, the layer
//!   has a directory in its place.
//! - A hard link gives its metadata to all names of the file.

use std::io::Read;

use rustix::fs::FileType;

use super::super::attributes::belongs;
use super::super::records::{Id, Metadata, ROOT};
use super::disk::{device, metadata};
use super::entries::{Entries, Entry, Failure, bad};
use super::growing::Growing;
use super::names::{components, part};
use super::spool::Spool;
use super::{OTHER, SPOOL, TARGETS, TARS};
use crate::tarsplit::checksum::Checksum;

/// The kernel's limit for links on the way to a name.
const LINKS: usize = 40;
/// How deep a directory may lie. No path of the kernel's length leads deeper without links.
const DEPTH: usize = 2048;
/// What begins the names by which aufs keeps its own files, at the root of a layer.
const AUFS: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const WHITEOUT: &[u8] = b".wh.";
const BUFFER: usize = 256 << 10;

/// The layers so far.
pub(super) struct Flattening {
    pub(super) tree: Growing,
    pub(super) spool: Spool,
    /// Of symbolic links, one behind the other.
    pub(super) targets: Vec<u8>,
    /// How many entries there are that have neither contents nor a target.
    others: u64,
    buffer: Vec<u8>,
    /// The directory of the last entry, by the name that its entry has.
    last: Option<(Vec<u8>, Id)>,
}

/// The layer that is put on top.
#[derive(Clone, Copy)]
pub(super) struct Layer {
    /// Counted from 1.
    pub(super) number: u16,
    /// Whether the tar is in a file, where its contents can stay.
    pub(super) in_place: bool,
}

impl Flattening {
    pub(super) fn new(spool: Spool) -> Self {
        let root =
            Metadata { mode: FileType::Directory.as_raw_mode() | 0o755, dev: OTHER, ..Default::default() };
        Flattening {
            tree: Growing::new(root),
            spool,
            targets: Vec::new(),
            others: 1,
            buffer: vec![0; BUFFER],
            last: None,
        }
    }

    /// Applies a tar; `read` gets how far it is.
    pub(super) fn apply<R: Read>(
        &mut self,
        entries: &mut Entries<R>,
        layer: Layer,
        read: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        self.last = None;
        while let Some(entry) = entries.next()? {
            read(entry.at);
            if entry.kind != b'g' {
                self.entry(&entry, layer, entries)?;
            }
        }
        let mut top = Vec::new();
        self.tree.children(ROOT, &mut top);
        for id in top {
            if self.tree.name(id).starts_with(AUFS) {
                self.remove(id);
            }
        }
        Ok(())
    }

    fn entry<R: Read>(
        &mut self,
        entry: &Entry,
        layer: Layer,
        entries: &mut Entries<R>,
    ) -> Result<(), Failure> {
        let path = components(&entry.name, "entry")?;
        let Some((&name, dirs)) = path.split_last() else {
            if entry.kind != b'5' {
                return bad("its root is not a directory");
            }
            self.dir(entry, ROOT, layer);
            return Ok(());
        };
        // Engines unpack what aufs has for itself only as far as links lead to it.
        let of_aufs = path[0].starts_with(AUFS) && path[0] != OPAQUE;
        let dir = self.parent(dirs, layer)?;
        if name == OPAQUE {
            let Flattening { tree, spool, .. } = self;
            tree.hide_below(dir, layer.number, &mut |file| free(spool, file));
            self.last = None;
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT).filter(|_| !of_aufs) {
            if matches!(hidden, b"" | b"." | b"..") {
                return bad(format!("{} is a whiteout of nothing", path.join(&b'/').escape_ascii()));
            }
            self.hide(dir, hidden, layer);
            return Ok(());
        }
        let device = entry.device;
        if entry.kind == b'3' && device == (0, 0) {
            // That is how overlayfs writes a whiteout, so it takes it for one.
            if let Some(id) = self.tree.find(dir, name) {
                self.remove(id);
            }
            return Ok(());
        }
        let known = self.tree.find(dir, name);
        if let Some(id) = known {
            if entry.kind == b'5' && self.tree.get(id).0.is_dir() {
                self.dir(entry, id, layer);
                return Ok(());
            }
            self.remove(id);
        }
        self.add(entry, dir, name, layer, entries)
    }

    /// Adds a name that the directory lacks.
    fn add<R: Read>(
        &mut self,
        entry: &Entry,
        dir: Id,
        name: &[u8],
        layer: Layer,
        entries: &mut Entries<R>,
    ) -> Result<(), Failure> {
        let shown = || entry.name.escape_ascii().to_string();
        let made = |kind: FileType| metadata(entry, kind);
        let metadata = match entry.kind {
            b'0' => self.file(entry, layer, entries)?,
            b'1' => self.link(entry)?,
            b'2' => {
                if entry.link.is_empty() {
                    return bad(format!("{} is a symbolic link to nothing", shown()));
                }
                let (ino, size) = (self.targets.len() as u64, entry.link.len() as u64);
                self.targets.extend(&entry.link);
                Metadata { dev: TARGETS, ino, size, ..made(FileType::Symlink) }
            }
            b'3' | b'4' | b'5' | b'6' => {
                let kind = match entry.kind {
                    b'3' => FileType::CharacterDevice,
                    b'4' => FileType::BlockDevice,
                    b'5' => FileType::Directory,
                    _ => FileType::Fifo,
                };
                Metadata { rdev: device(entry.device), ..self.numbered(made(kind)) }
            }
            kind => {
                return bad(format!(
                    "entry {} is of the type {:?}, which engines refuse",
                    shown(),
                    char::from(kind)
                ));
            }
        };
        if entry.kind != b'1' {
            self.attributes(entry, &metadata);
        }
        self.tree.insert(dir, name, metadata, layer.number);
        Ok(())
    }

    /// Gives a directory the metadata of its entry.
    fn dir(&mut self, entry: &Entry, id: Id, layer: Layer) {
        // It is another one than that of the layer below, which has attributes of its own.
        let metadata = self.numbered(metadata(entry, FileType::Directory));
        self.attributes(entry, &metadata);
        self.tree.set(id, metadata, layer.number);
    }

    /// Keeps the attributes that are written. No file system takes those of users for links and devices.
    fn attributes(&mut self, entry: &Entry, metadata: &Metadata) {
        let by_users = matches!(metadata.file_type(), FileType::RegularFile | FileType::Directory);
        for (name, value) in &entry.xattrs {
            if belongs(name) && (by_users || !name.starts_with(b"user.")) {
                let known = self.tree.attributes.entry((metadata.dev, metadata.ino)).or_default();
                known.retain(|(other, _)| other != name);
                known.push((name.clone(), value.clone()));
            }
        }
    }

    fn numbered(&mut self, metadata: Metadata) -> Metadata {
        let ino = self.others;
        self.others += 1;
        Metadata { dev: OTHER, ino, ..metadata }
    }

    /// Reads a file; its contents stay where they are, or go to the spool.
    fn file<R: Read>(
        &mut self,
        entry: &Entry,
        layer: Layer,
        entries: &mut Entries<R>,
    ) -> Result<Metadata, Failure> {
        let mut checksum = Checksum::new();
        let stays = layer.in_place && entry.pieces.is_none();
        let begin = self.spool.end();
        let mut at = 0;
        for &(begin, len) in entry.pieces.as_deref().unwrap_or(&[(0, entry.size)]) {
            self.hole(begin - at, &mut checksum)?;
            at = begin;
            while at < begin + len {
                let want = usize::try_from(begin + len - at).unwrap_or(usize::MAX).min(BUFFER);
                let buffer = &mut self.buffer[..want];
                let len = entries.content(buffer)?;
                if len == 0 {
                    return bad("it ends in the middle of an entry");
                }
                checksum.update(&buffer[..len]);
                at += len as u64;
                match () {
                    () if stays => {}
                    () if len == BUFFER && buffer.iter().all(|byte| *byte == 0) => {
                        self.spool.hole(len as u64)?
                    }
                    () => self.spool.write(&buffer[..len])?,
                }
            }
        }
        self.hole(entry.size - at, &mut checksum)?;
        let (dev, ino) = if stays { (TARS + u64::from(layer.number), entry.at) } else { (SPOOL, begin) };
        if !stays && entry.size == 0 {
            // No other file may begin here.
            self.spool.hole(1)?;
        }
        let ctime = checksum.finish().cast_signed();
        Ok(Metadata { dev, ino, ctime, size: entry.size, ..metadata(entry, FileType::RegularFile) })
    }

    /// Zeros of a sparse file.
    fn hole(&mut self, len: u64, checksum: &mut Checksum) -> Result<(), Failure> {
        if len == 0 {
            return Ok(());
        }
        self.spool.hole(len)?;
        self.buffer.fill(0);
        let mut left = len;
        while left > 0 {
            let some = left.min(BUFFER as u64);
            checksum.update(&self.buffer[..some as usize]);
            left -= some;
        }
        Ok(())
    }

    /// The file that a hard link leads to, with the metadata of the link.
    fn link(&mut self, entry: &Entry) -> Result<Metadata, Failure> {
        let target = components(&entry.link, "the target of a hard link")?;
        let shown =
            || format!("{} is a hard link to {}", entry.name.escape_ascii(), entry.link.escape_ascii());
        let Some(id) = self.target(&target)? else {
            return bad(format!("{}, which is not there", shown()));
        };
        if self.tree.get(id).0.is_dir() {
            return bad(format!("{}, which is a directory", shown()));
        }
        let known = self.tree.link(id);
        let kind = known.file_type();
        let Metadata { mode, uid, gid, mtime, .. } = metadata(entry, kind);
        // The engines change neither mode nor time through a name that is a symbolic link.
        let (mode, mtime) = if kind == FileType::Symlink { (known.mode, known.mtime) } else { (mode, mtime) };
        let metadata = Metadata { mode, uid, gid, mtime, linked: true, ..known };
        if (mode, uid, gid, mtime) != (known.mode, known.uid, known.gid, known.mtime) {
            self.tree.relink(metadata);
        }
        self.attributes(entry, &metadata);
        Ok(metadata)
    }

    /// A name that may be a link's target.
    fn target(&self, path: &[&[u8]]) -> Result<Option<Id>, Failure> {
        let Some((name, dirs)) = path.split_last() else { return Ok(Some(ROOT)) };
        let mut rest = dirs.join(&b'/');
        let (mut dir, mut links) = (ROOT, 0);
        'again: loop {
            let mut at = 0;
            while at < rest.len() {
                let (part, behind) = part(&rest, at);
                dir = match part {
                    b"" | b"." => dir,
                    b".." => self.tree.parent(dir),
                    part => {
                        let Some(id) = self.tree.find(dir, part) else { return Ok(None) };
                        let metadata = self.tree.get(id).0;
                        match metadata.file_type() {
                            FileType::Directory => id,
                            FileType::Symlink => {
                                links = followed(links, part)?;
                                (rest, dir) =
                                    (self.through(&metadata, &rest[behind..]), self.from(&metadata, dir));
                                continue 'again;
                            }
                            _ => return Ok(None),
                        }
                    }
                };
                at = behind;
            }
            return Ok(self.tree.find(dir, name));
        }
    }

    /// The directory of an entry, which is made if nothing has it.
    fn parent(&mut self, dirs: &[&[u8]], layer: Layer) -> Result<Id, Failure> {
        let path = dirs.join(&b'/');
        if let Some((last, id)) = &self.last
            && *last == path
        {
            return Ok(*id);
        }
        let id = self.make(path.clone(), layer)?;
        self.last = Some((path, id));
        Ok(id)
    }

    fn make(&mut self, mut rest: Vec<u8>, layer: Layer) -> Result<Id, Failure> {
        let (mut dir, mut links, mut depth) = (ROOT, 0, 0usize);
        'again: loop {
            let mut at = 0;
            while at < rest.len() {
                let (part, behind) = part(&rest, at);
                dir = match part {
                    b"" | b"." => dir,
                    b".." => {
                        depth = depth.saturating_sub(1);
                        self.tree.parent(dir)
                    }
                    part => {
                        depth += 1;
                        if depth > DEPTH || part.len() > 255 {
                            return bad("a directory in it lies deeper than any path leads");
                        }
                        let known = self.tree.find(dir, part).map(|id| (id, self.tree.get(id)));
                        match known {
                            Some((id, (metadata, _))) if metadata.is_dir() => id,
                            Some((_, (metadata, number))) if number == layer.number => {
                                if metadata.file_type() != FileType::Symlink {
                                    let part = part.escape_ascii();
                                    return bad(format!("it has a file {part} and names below it"));
                                }
                                links = followed(links, part)?;
                                let from = self.from(&metadata, dir);
                                if from == ROOT {
                                    depth = 0;
                                }
                                depth = depth.saturating_sub(1);
                                rest = self.through(&metadata, &rest[behind..]);
                                dir = from;
                                continue 'again;
                            }
                            known => {
                                if let Some((id, _)) = known {
                                    self.remove(id);
                                }
                                let mode = FileType::Directory.as_raw_mode() | 0o755;
                                let made = self.numbered(Metadata { mode, ..Metadata::default() });
                                self.tree.insert(dir, part, made, layer.number)
                            }
                        }
                    }
                };
                at = behind;
            }
            return Ok(dir);
        }
    }

    /// Where a symbolic link leads, and what follows it on the way.
    fn through(&self, link: &Metadata, rest: &[u8]) -> Vec<u8> {
        let (at, len) = (link.ino as usize, link.size as usize);
        [&self.targets[at..][..len], b"/", rest].concat()
    }

    fn from(&self, link: &Metadata, dir: Id) -> Id {
        if self.targets.get(link.ino as usize) == Some(&b'/') { ROOT } else { dir }
    }

    /// Hides a name of the layers below.
    fn hide(&mut self, dir: Id, name: &[u8], layer: Layer) {
        let Some(id) = self.tree.find(dir, name) else { return };
        let (metadata, number) = self.tree.get(id);
        let mut holds = false;
        if metadata.is_dir() {
            let Flattening { tree, spool, .. } = self;
            tree.hide_below(id, layer.number, &mut |file| free(spool, file));
            let mut names = Vec::new();
            tree.children(id, &mut names);
            holds = names.iter().any(|id| tree.is_there(*id));
        }
        if !holds && number != layer.number {
            self.remove(id);
        }
        self.last = None;
    }

    fn remove(&mut self, id: Id) {
        let Flattening { tree, spool, .. } = self;
        tree.remove(id, &mut |file| free(spool, file));
        self.last = None;
    }
}

/// What is not needed any more.
fn free(spool: &mut Spool, file: &Metadata) {
    if file.dev == SPOOL {
        spool.free(file.ino, file.size);
    }
}

fn followed(links: usize, part: &[u8]) -> Result<usize, Failure> {
    if links < LINKS {
        return Ok(links + 1);
    }
    bad(format!("the way to an entry leads through too many links, of which {} is one", part.escape_ascii()))
}
