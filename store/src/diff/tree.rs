//! Root file systems: what a container or an image sees as `/`, made of the directories of its layers.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use layerlift_archive::{Error as ArchiveError, FileEntry, FileKind, FileSink, Observer, ZeroWrite};
use rustix::fs::FileType;

use super::attributes::Wanted;
use super::encode::{self, Encoding};
use super::faults::Faults;
use super::files::{Links, What};
use super::flat::{self, TarLayer};
use super::form::Form;
use super::order::Order;
use super::owners::Owners;
use super::piece::Piece;
use super::records::{Metadata, ROOT, Records};
use super::sight::Sight;
use super::tar::{FilesIn, FilesTar, Tree};
use super::{changes, union};
use crate::{Error, Notice, Root};

/// What makes a root file system: directories, or the tars of layers.
#[derive(Debug, Clone)]
pub struct RootFs {
    /// Directories, the uppermost first; only one if it has everything.
    roots: Vec<Root>,
    holds: Holds,
    form: Form,
    owners: Owners,
    notices: Vec<Notice>,
}

/// What the directories hold.
#[derive(Debug, Clone)]
enum Holds {
    /// Everything.
    Whole,
    /// Layers of overlayfs.
    Overlay,
    /// Layers in which files `.wh.NAME` may mean deletions, too.
    Named,
    /// Nothing: there are only tars, base first, and a folder for what they have compressed.
    Tars(Arc<[TarLayer]>, PathBuf),
}

/// A root file system with the names and metadata of all that is in it. What engines and overlayfs keep for
/// themselves is resolved.
#[derive(Debug, Clone)]
pub struct FileTree {
    tree: Tree,
    /// Whether capabilities that belong to root of the host's ids belong to root now.
    owners_are_changed: bool,
    notices: Vec<Notice>,
}

impl RootFs {
    /// A directory that has everything.
    pub(crate) fn whole(root: Root, form: Form) -> Self {
        RootFs {
            roots: vec![root],
            holds: Holds::Whole,
            form,
            owners: Owners::default(),
            notices: Vec::new(),
        }
    }

    /// A stack of layers, the uppermost first. `driver` is the engine's word for what stacked them.
    pub(crate) fn stacked(roots: Vec<Root>, driver: &str, form: Form) -> Self {
        // In the overlay of containers-storage, fuse-overlayfs may have written them.
        let overlayfs = matches!(driver, "overlay2" | "overlayfs") && form != Form::ContainersStorage;
        let holds = if overlayfs { Holds::Overlay } else { Holds::Named };
        RootFs { roots, holds, form, owners: Owners::default(), notices: Vec::new() }
    }

    /// What the tars of layers make, base first. Contents that are not in a file go to one in `folder`.
    pub(crate) fn of_tars(layers: Vec<TarLayer>, folder: &Path, form: Form) -> Self {
        let holds = Holds::Tars(layers.into(), folder.to_owned());
        RootFs { roots: Vec::new(), holds, form, owners: Owners::default(), notices: Vec::new() }
    }

    /// The same, with other owners.
    pub(crate) fn owned(self, owners: Owners) -> Self {
        RootFs { owners, ..self }
    }

    /// The same, with what was odd when it was found.
    pub(crate) fn noticed(self, notices: Vec<Notice>) -> Self {
        RootFs { notices, ..self }
    }

    /// What is odd about the records that led to the directories.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    pub(super) fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// What the uppermost directory makes of the tree that the others are.
    pub(super) fn changes(
        &self,
        contents: bool,
        faults: Option<&Faults>,
        sight: &Sight,
    ) -> Result<Records, Error> {
        union::compare(&self.roots, matches!(self.holds, Holds::Named), contents, faults, sight)
    }

    /// How many bytes [`RootFs::read`] reads, if it reads the tars of layers and their lengths are known:
    /// those that an observer hears of. `None` for directories, of which only names are read.
    pub fn tar_len(&self) -> Option<u64> {
        let Holds::Tars(layers, _) = &self.holds else { return None };
        layers.iter().try_fold(0, |sum: u64, layer| sum.checked_add(layer.len?))
    }

    /// Whether [`RootFs::read`] reads the tars of layers.
    pub fn is_of_tars(&self) -> bool {
        matches!(self.holds, Holds::Tars(..))
    }

    /// Walks the directories. No file is read. With `faults`, what cannot be read is left out if they say so.
    ///
    /// If there are only tars, they are read and compared with their digests. Nothing is left out of them.
    pub fn read(&self, faults: Option<&Faults>) -> Result<FileTree, Error> {
        self.read_observed(faults, &())
    }

    /// The same. The observer hears of the bytes of tars.
    pub fn read_observed(&self, faults: Option<&Faults>, observer: &dyn Observer) -> Result<FileTree, Error> {
        let (roots, sight) = (&*self.roots, Sight::default());
        let (mut records, place) = match (&self.holds, roots) {
            (Holds::Tars(layers, folder), _) => {
                let (records, tars) = flat::read(layers, folder, observer)?;
                (records, FilesIn::Tars(Arc::new(tars)))
            }
            (Holds::Whole, [root]) => (changes::tree(root, faults)?, FilesIn::Dirs(roots.to_vec())),
            (holds, roots) => {
                let named = matches!(holds, Holds::Named);
                (union::read(roots, named, faults, &sight)?, FilesIn::Dirs(roots.to_vec()))
            }
        };
        let without = self.owners.apply(&mut records);
        let (records, encoding) = (Arc::new(records), Encoding::of(self.form, 0));
        let without = unowned(roots, &without);
        let notices = sight.notice().into_iter().chain(without).collect();
        let tree = Tree { place, records, encoding, with_root: false };
        let owners_are_changed = matches!(self.owners, Owners::OnlyInContainer(_));
        Ok(FileTree { tree, owners_are_changed, notices })
    }
}

impl FileTree {
    /// What could not be seen of it.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Whether it has a path; `of` is what errors call the tree. [`FileTree::write_tar`] fails for a path
    /// that it does not have.
    pub fn check(&self, path: &Path, of: &str) -> Result<(), Error> {
        let is_there = |path: &[u8]| path.is_empty() || self.tree.records.find(path).is_some();
        match components(path).is_some_and(|path| is_there(&path)) {
            true => Ok(()),
            false => Err(self.not_found(path, format!("{} in {of}", path.display()))),
        }
    }

    /// Writes it as a tar, in the form that the `export` of its engine has: names sorted, a directory before
    /// what is in it, no entry for the root. With `within`, only what is at that path, under the same names.
    /// The bytes are not compared with anything.
    ///
    /// A file that changes while it is read is an error.
    pub fn write_tar(&self, within: Option<&Path>, out: &mut dyn ZeroWrite) -> Result<(), Error> {
        self.tree.write_to(self.within_tar(within)?.as_deref(), out)
    }

    /// The same tar as a content. Names, sizes and attributes say how long it is; no file is read.
    /// With `faults`, what has no attributes that can be read is not counted.
    pub fn tar(&self, within: Option<&Path>, faults: Option<&Faults>) -> Result<FilesTar, Error> {
        self.tree.clone().tar(self.within_tar(within)?, faults)
    }

    /// Bytes of its files, each counted once; or of those at a path.
    pub fn bytes(&self, within: Option<&Path>) -> Result<u64, Error> {
        let within = self.within(within)?;
        let records = &*self.tree.records;
        let (mut seen, mut bytes) = (HashSet::new(), 0u64);
        Order::Walk.visit::<Error>(records, |id, path| {
            let Metadata { mode, size, linked, dev, ino, .. } = records.metadata(id);
            let wanted = within.as_ref().is_none_or(|within| encode::is_within(path, within));
            let is_file = FileType::from_raw_mode(mode) == FileType::RegularFile;
            if wanted && is_file && (!linked || seen.insert((dev, ino))) {
                bytes = bytes.saturating_add(size);
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Gives it to a sink, entry by entry, in the same order; the root comes first, unless only a part is
    /// written. Attributes are those of the files, even where the engine leaves some out of its tars.
    ///
    /// With `faults`, it goes as with [`FilesTar::write_to`].
    pub fn write_files<E: From<Error> + From<ArchiveError>>(
        &self,
        within: Option<&Path>,
        faults: Option<&Faults>,
        sink: &mut dyn FileSink,
    ) -> Result<(), E> {
        let within = self.within(within)?;
        let records = &*self.tree.records;
        let mut files = self.tree.files(Wanted::CapabilityAndUsers, faults);
        if within.is_none() {
            let Metadata { mode, uid, gid, mtime, .. } = records.metadata(ROOT);
            let (path, kind, mode, xattrs) = (&b""[..], FileKind::Dir, mode & 0o7777, &[][..]);
            sink.entry(&FileEntry { path, kind, mode, uid, gid, mtime, xattrs })?;
        }
        Order::Walk.visit_all(records, |id, path| {
            if within.as_ref().is_some_and(|within| !encode::is_within(path, within)) {
                return Ok(());
            }
            let metadata = records.metadata(id);
            let what = files.what(id, &metadata, Links::OfAll);
            let described = what.and_then(|what| Ok((what, files.attributes(id)?)));
            let (what, xattrs) = match described {
                Ok((what, mut xattrs)) => {
                    if self.owners_are_changed {
                        xattrs.iter_mut().for_each(|(_, value)| encode::without_root(value));
                    }
                    (what, xattrs)
                }
                Err(error) => return Ok(files.leave_out(id, error)?),
            };
            let kind = match &what {
                What::File => FileKind::File,
                What::Link(first) => FileKind::Link(first),
                What::Dir => FileKind::Dir,
                What::Symlink(target) => FileKind::Symlink(target),
                What::Device { block, numbers } => FileKind::Device { block: *block, numbers: *numbers },
                What::Fifo => FileKind::Fifo,
                What::Socket => return Ok(()),
            };
            let Metadata { mode, uid, gid, mtime, size, .. } = metadata;
            let entry = FileEntry { path, kind, mode: mode & 0o7777, uid, gid, mtime, xattrs: &xattrs };
            if kind != FileKind::File || size == 0 {
                return Ok(sink.entry(&entry)?);
            }
            let mut begun = false;
            files.take(id, size, &mut |piece| {
                if !std::mem::replace(&mut begun, true) {
                    sink.entry(&entry)?;
                }
                match piece {
                    Piece::Data(bytes) => sink.data(bytes).map_err(E::from),
                    Piece::Hole(len) => sink.hole(len).map_err(E::from),
                }
            })?;
            Ok(())
        })
    }

    /// The same, of something that is in the tar.
    fn within_tar(&self, path: Option<&Path>) -> Result<Option<Vec<u8>>, Error> {
        let within = self.within(path)?;
        let records = &*self.tree.records;
        let found = within.as_ref().and_then(|path| records.find(path));
        match (path, found) {
            (Some(path), Some(id)) if records.is_unowned(id) && records.children(id).is_empty() => {
                Err(Error::NoFile { name: path.display().to_string() })
            }
            _ => Ok(within),
        }
    }

    /// A path as the names in the tar have it; `None` for everything.
    fn within(&self, path: Option<&Path>) -> Result<Option<Vec<u8>>, Error> {
        let Some(path) = path else { return Ok(None) };
        let clean =
            components(path).filter(|clean| clean.is_empty() || self.tree.records.find(clean).is_some());
        match clean {
            Some(clean) => Ok(Some(clean).filter(|clean| !clean.is_empty())),
            None => Err(self.not_found(path, path.display().to_string())),
        }
    }

    /// Why nothing is at a path: it does not exist, or is behind a link.
    fn not_found(&self, path: &Path, name: String) -> Error {
        let clean = components(path).unwrap_or_default();
        let is_link = |path: &[u8]| {
            let found = self.tree.records.find(path);
            found.is_some_and(|id| self.tree.records.metadata(id).file_type() == FileType::Symlink)
        };
        let ends = clean.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        match ends.map(|end| &clean[..end]).find(|prefix| is_link(prefix)) {
            Some(link) => Error::BehindLink { name, link: String::from_utf8_lossy(link).into_owned() },
            None => Error::NoFile { name },
        }
    }
}

/// A notice of entries that are left out because of their owners. `roots` are the layers.
pub(super) fn unowned(roots: &[Root], left_out: &[(u16, Vec<u8>)]) -> Option<Notice> {
    const NAMED: usize = 5;
    let ((layer, first), others) = left_out.split_first()?;
    let rest = others.len().saturating_sub(NAMED);
    let others: Vec<String> =
        others.iter().take(NAMED).map(|(_, path)| path.escape_ascii().to_string()).collect();
    let what = match (others.len(), rest) {
        (0, _) => "it belongs to a user or group".to_owned(),
        (_, 0) => format!("it and {} belong to users or groups", others.join(", ")),
        _ => format!("it, {} and {rest} more belong to users or groups", others.join(", ")),
    };
    let what = format!(
        "{what} that containers do not have with userns-remap: left out of the tar, as Docker does; only a \
         directory (rootfs -o DIR/) gets it"
    );
    let root = roots.get(usize::from(*layer)).or(roots.first())?;
    Some(Notice::new(root.join(Path::new(OsStr::from_bytes(first))), what))
}

/// A path from a root, as names in a tar are written. `None` if it may lead out of it.
pub(crate) fn components(path: &Path) -> Option<Vec<u8>> {
    let parts = path.components().filter(|part| !matches!(part, Component::RootDir | Component::CurDir));
    let parts: Vec<&[u8]> = parts.map(|part| OsStr::as_bytes(part.as_os_str())).collect();
    (!parts.contains(&&b".."[..])).then(|| parts.join(&b'/'))
}
