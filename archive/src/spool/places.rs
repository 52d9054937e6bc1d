//! Where spools are: in a folder for temporary files, in memory, or in the output itself.
//!
//! A file or a directory that is being written has no name yet, so what is produced can be put into it at
//! once. In a tar, the head of an entry needs the length and perhaps the digest of what follows, so it is
//! written last:
//!
//! ```text
//! entry │ 512 bytes │ spooled ... │ 0 │ 512 bytes │ next spool
//!         head: left out, written by the output
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Place, Spool, Spooled};
use crate::output::temporary::{Draft, clear, folder as parent, target};
use crate::output::write_back::{Run, WriteBack};
use crate::produce::{Item, is_file};
use crate::tar::padding;
use crate::{Content, Error, FileRange};

/// Where contents are kept whose lengths are known only after their last byte.
///
/// An output that has the same in its [`crate::Options`] takes over what is in it already. Whatever is not
/// where the output wants it is copied.
pub struct Spools(Kind);

enum Kind {
    Folder(PathBuf),
    Memory { left: Arc<AtomicU64>, folder: PathBuf },
    Tar(Tar),
    Dir(Dir),
}

/// A tar that has no name yet.
struct Tar {
    target: PathBuf,
    /// For temporary files.
    folder: PathBuf,
    file: Arc<File>,
    /// `None` once an output has it.
    draft: Mutex<Option<Draft>>,
    end: Mutex<End>,
    write_back: Arc<WriteBack>,
}

/// How far a tar has come.
#[derive(Default)]
struct End {
    /// Where the next entry begins.
    next: u64,
    /// Bytes of contents that are there.
    kept: u64,
}

/// Files that have no names yet.
struct Dir {
    folder: PathBuf,
    drafts: Mutex<Vec<(Arc<File>, Draft)>>,
    write_back: Arc<WriteBack>,
}

/// Locks; a panic of another thread is reported where that thread is joined, not here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spools {
    /// Temporary files in a folder, which must have room for all bytes.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Spools(Kind::Folder(folder.into()))
    }

    /// In memory, and in temporary files in `folder` what exceeds `budget` bytes in all.
    pub fn in_memory(budget: u64, folder: impl Into<PathBuf>) -> Self {
        Spools(Kind::Memory { left: Arc::new(budget.into()), folder: folder.into() })
    }

    /// In the tar that [`crate::write_file`] will write to `path`. What does not become a part of it is in
    /// `folder`, and everything if `path` is a device or a pipe.
    pub fn in_tar(path: &Path, folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let Some(target) = target(path)? else { return Ok(Spools::in_folder(folder)) };
        clear(&parent(&target));
        let draft = Draft::beside(&target)?;
        let file = draft.share().map_err(Error::output("write", &target))?;
        let (draft, end) = (Mutex::new(Some(draft)), Mutex::default());
        let (folder, write_back) = (folder.into(), Arc::default());
        Ok(Spools(Kind::Tar(Tar { target, folder, file, draft, end, write_back })))
    }

    /// Each in a file, which [`crate::write_dir`] and [`crate::write_files`] only have to give a name.
    /// `folder` is in the same file system.
    pub fn in_files(folder: impl Into<PathBuf>) -> Self {
        let (drafts, write_back) = (Mutex::default(), Arc::default());
        Spools(Kind::Dir(Dir { folder: folder.into(), drafts, write_back }))
    }

    /// Bytes of contents that a tar has already.
    pub fn kept_len(&self) -> u64 {
        match &self.0 {
            Kind::Tar(tar) if lock(&tar.draft).is_some() => lock(&tar.end).kept,
            _ => 0,
        }
    }

    /// Leaves room in a tar for entries that are written later.
    pub fn skip(&self, bytes: u64) {
        if let Kind::Tar(tar) = &self.0 {
            lock(&tar.end).next += bytes;
        }
    }

    /// A spool for the next content. In a tar, `head` bytes are left out before it. Of a tar only one is used
    /// at a time, until it has been dropped or an output has taken it.
    pub fn next(&self, head: u64, hash: bool) -> Result<Spool, Error> {
        match &self.0 {
            Kind::Folder(folder) => Spool::new(folder, hash),
            Kind::Memory { left, folder } => {
                let place = Place::Memory { bytes: Vec::new(), left: left.clone() };
                Ok(Spool::of(place, folder, hash))
            }
            Kind::Tar(Tar { target, file, end, write_back, .. }) => {
                let end = lock(end).next;
                // Nothing of one that failed must stay behind: the rest of the last block is zeros.
                file.set_len(end).map_err(Error::output("write", target))?;
                let offset = end + head;
                let output = Some((Run::new(file, offset), write_back.clone()));
                let place = Place::File { file: file.clone(), offset, output };
                Ok(Spool::of(place, target, hash))
            }
            Kind::Dir(Dir { folder, drafts, write_back }) => {
                let draft = Draft::beside(&folder.join("new"))?;
                let file = draft.share().map_err(Error::output("create a file in", folder))?;
                lock(drafts).push((file.clone(), draft));
                let output = Some((Run::new(&file, 0), write_back.clone()));
                let place = Place::File { file, offset: 0, output };
                Ok(Spool::of(place, folder, hash))
            }
        }
    }

    /// A spool that does not become a part of a tar. Several can be used at the same time.
    pub fn aside(&self, hash: bool) -> Result<Spool, Error> {
        match &self.0 {
            Kind::Tar(tar) => Spool::new(&tar.folder, hash),
            Kind::Folder(_) | Kind::Memory { .. } | Kind::Dir(_) => self.next(0, hash),
        }
    }

    /// Keeps a content that was spooled here: what follows in a tar comes behind it. What is not kept is
    /// overwritten.
    pub fn keep(&self, spooled: &Spooled) {
        if let (Kind::Tar(tar), Some(range)) = (&self.0, spooled.in_file())
            && is_file(range, &tar.file)
        {
            let mut end = lock(&tar.end);
            end.next = range.offset + range.len + padding(range.len);
            end.kept += range.len;
        }
    }

    /// The file that will stand at `target`, if all that was kept in it is where these items have it.
    pub(crate) fn tar(&self, target: &Path, items: &[Item<'_>]) -> Option<(Draft, Arc<File>)> {
        let Kind::Tar(tar) = &self.0 else { return None };
        let fits = |item: &Item<'_>| {
            item.in_file().is_none_or(|range| !is_file(range, &tar.file) || item.is_in_place(&tar.file))
        };
        if tar.target != target || !items.iter().all(fits) {
            return None;
        }
        let draft = lock(&tar.draft).take()?;
        // What was not kept goes.
        tar.file.set_len(lock(&tar.end).next).ok()?;
        Some((draft, tar.file.clone()))
    }

    /// The file that has just this content, and no name yet.
    pub(crate) fn file(&self, content: &dyn Content) -> Option<Draft> {
        let Kind::Dir(dir) = &self.0 else { return None };
        let range = content.in_file().filter(|range: &&FileRange| range.offset == 0)?;
        let mut drafts = lock(&dir.drafts);
        let place = drafts.iter().position(|(file, _)| is_file(range, file))?;
        let whole = drafts[place].0.metadata().is_ok_and(|found| found.len() == range.len);
        whole.then(|| drafts.swap_remove(place).1)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;

    use super::*;
    use crate::{Bytes, Digest, Entry, Options, Tree, write_dir, write_file, write_stream};

    const TEXTS: [&[u8]; 4] = [b"one", &[2; 100_000], b"", &[4; 512]];

    fn spool(spools: &Spools, bytes: &[u8]) -> Spooled {
        let mut spool = spools.next(512, true).unwrap();
        spool.write_all(bytes).unwrap();
        let spooled = spool.finish();
        assert_eq!(spooled.sha256(), Some(Digest::of(bytes)));
        spooled
    }

    fn tree(contents: impl IntoIterator<Item = Arc<dyn Content>>) -> Tree {
        let named = contents.into_iter().enumerate();
        named.map(|(number, content)| Entry::file(format!("{number}"), 0, content)).collect()
    }

    fn expected(order: &[usize]) -> Vec<u8> {
        let mut out = Vec::new();
        let contents = order.iter().map(|&place| Arc::new(Bytes(TEXTS[place].to_vec())) as Arc<dyn Content>);
        write_stream(&tree(contents), &mut out, &Options::default()).unwrap();
        out
    }

    /// A spool that is not kept, longer than what comes in its place.
    fn spool_all(spools: &Spools) -> Vec<Arc<dyn Content>> {
        let mut all: Vec<Arc<dyn Content>> = Vec::new();
        for text in TEXTS {
            spool(spools, &[9; 200_000]);
            let spooled = spool(spools, text);
            spools.keep(&spooled);
            all.push(Arc::new(spooled));
        }
        all
    }

    #[test]
    fn a_tar_takes_over_what_is_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.tar");
        for (order, is_taken) in [([0, 1, 2, 3], true), ([0, 2, 1, 3], false), ([1, 1, 2, 3], false)] {
            let spools = Spools::in_tar(&path, "/nowhere").unwrap();
            let all = spool_all(&spools);
            let tree = tree(order.map(|place| all[place].clone()));
            let Kind::Tar(tar) = &spools.0 else { unreachable!() };
            let inode = tar.file.metadata().unwrap().ino();
            write_file(&tree, &path, &Options::default().with_spools(&spools)).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), expected(&order), "{order:?}");
            assert_eq!(path.metadata().unwrap().ino() == inode, is_taken, "{order:?}");
            assert_eq!(spools.kept_len() == 0, is_taken);
        }
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn room_is_left_for_what_comes_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.tar");
        let spools = Spools::in_tar(&path, dir.path()).unwrap();
        let first: Arc<dyn Content> = Arc::new(Bytes(TEXTS[1].to_vec()));
        spools.skip(Entry::file("0", 0, first.clone()).tar_len());
        assert_eq!(spools.kept_len(), 0);
        let second = spool(&spools, TEXTS[0]);
        spools.keep(&second);
        assert_eq!(spools.kept_len(), TEXTS[0].len() as u64);
        let aside = spools.aside(false).unwrap().finish();
        let all: [Arc<dyn Content>; 3] = [first, Arc::new(second), Arc::new(aside)];
        write_file(&tree(all), &path, &Options::default().with_spools(&spools)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), expected(&[1, 0, 2]));
    }

    #[test]
    fn a_tar_that_is_not_written_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(spool_all(&Spools::in_tar(&dir.path().join("out.tar"), dir.path()).unwrap()));
        drop(spool_all(&Spools::in_files(dir.path())));
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn files_only_get_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let spools = Spools::in_files(dir.path());
        let all = spool_all(&spools);
        let Kind::Dir(files) = &spools.0 else { unreachable!() };
        let inodes: Vec<u64> =
            lock(&files.drafts).iter().map(|(file, _)| file.metadata().unwrap().ino()).collect();
        let out = dir.path().join("out");
        write_dir(&tree(all), &out, &Options::default().with_spools(&spools)).unwrap();
        for (number, text) in TEXTS.iter().enumerate() {
            let path = out.join(number.to_string());
            assert_eq!(std::fs::read(&path).unwrap(), *text);
            assert!(inodes.contains(&path.metadata().unwrap().ino()));
        }
    }

    #[test]
    fn memory_up_to_a_budget() {
        let dir = tempfile::tempdir().unwrap();
        let spools = Spools::in_memory(100_600, dir.path());
        let kept: Vec<Spooled> = TEXTS.iter().map(|text| spool(&spools, text)).collect();
        assert!(kept.iter().all(|spooled| spooled.in_file().is_none()));
        let more = spool(&spools, TEXTS[1]);
        assert!(more.in_file().is_some());
        let all: Vec<Arc<dyn Content>> = vec![Arc::new(kept[0].clone()), Arc::new(more)];
        let mut out = Vec::new();
        write_stream(&tree(all), &mut out, &Options::default().with_spools(&spools)).unwrap();
        assert_eq!(out, expected(&[0, 1]));
    }
}
