//! Layers without tar-split data: their tar is computed from directories.
//!
//! ```text
//! vfs/dir/<id>/          a whole tree: the layer is what differs from the parent's tree,
//! overlay/<id>/root/     and a name that is missing becomes `.wh.NAME`
//! overlay2/<id>/diff/    only what the layer adds; a character device 0/0 removes a name,
//!                        an attribute hides the earlier contents of a directory
//! aufs/diff/<id>/        the same, but files `.wh.NAME` and `.wh..wh..opq` do the removing
//! ```
//!
//! Docker did this for every layer until 1.7, and has done it since for layers that lost their tar-split data
//! (`pkg/archive` of 1.8: `changes.go`, `changes_linux.go`, `archive.go`). Here as there: what is compared,
//! the order of the entries, the form of the headers. Three things differ:
//!
//! - A whiteout that is derived has a fixed time (that of its image or container, or 0), not the time of the
//!   run, so that runs do not differ.
//! - A hard link leads to its first name in the tar, whatever device it is on.
//! - A file that cannot be read is an error. Docker logged it and wrote a layer without the file.
//!
//! In stores since Docker 1.10 and in containers-storage, a layer has the form that their engines give it
//! today. A layer of containerd whose blob is missing is rebuilt from its snapshot in the same way (see
//! `encode.rs`). What a container wrote is compared with the layers below where containerd keeps it, or where
//! it depends on them (see `union.rs`).
//!
//! Only metadata are compared. For trees of containerd, contents are compared too where the times do not
//! decide. Memory holds a small record for each entry that is written and for each directory.

mod against;
mod attributes;
mod below;
mod changes;
mod dirs;
mod encode;
mod faults;
mod files;
pub(crate) mod flat;
mod form;
mod kept;
mod metadata;
mod order;
pub(crate) mod owners;
mod piece;
mod places;
mod records;
mod sight;
pub(crate) mod tar;
pub(crate) mod tree;
mod union;
mod upper;
mod walk;
mod watch;
pub(crate) mod written;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use layerlift_archive::{Digest, Plain};

use crate::tarsplit::Unusable;
use crate::{Error, Notice, Root, SplitLayer};

use encode::{Encoding, Measure, Pass};
use files::Files;
use kept::{Kept, Walked};
use sight::Sight;

pub use faults::{Fault, Faults};
pub(crate) use form::Form;
pub use tar::{DiffTar, FilesTar};
pub(crate) use watch::Watch;

/// What a layer's directory holds.
#[derive(Debug, Clone)]
pub enum LayerDir {
    /// A whole root file system: vfs, btrfs, zfs, overlay (Docker's first). The layer is what differs from
    /// the parent's.
    Full {
        /// The parent's directory; `None` for a base layer.
        parent: Option<Root>,
    },
    /// Only what the layer adds, and marks for what it removes: overlay2, fuse-overlayfs, aufs. The marks of
    /// all engines are understood everywhere, because no engine uses another's for something else.
    Upper,
}

/// A layer whose tar has to be computed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DiffLayer {
    /// The layer's directory.
    pub dir: Root,
    /// What the directory holds, and what to compare it with.
    pub holds: LayerDir,
    /// Seconds since 1970, for entries without a time of their own (whiteouts that come from a comparison).
    pub created: i64,
    /// Why the layer's record is not used. `None` if it has none.
    pub notice: Option<Notice>,
    /// The missing blob of the layer, if the layer is rebuilt from what was unpacked. Its tar has the form
    /// that engines give layers today, and [`DiffLayer::notice`] says so.
    pub blob: Option<Digest>,
    /// A record that does not give the tar, and still says what the files are.
    files: Option<Box<SplitLayer>>,
    watch: Option<Watch>,
    /// Whether files may change while they are read.
    may_change: bool,
    form: Form,
    /// What the directory lies on, if it is a container's.
    over: Option<Box<Result<tree::RootFs, Error>>>,
    owners: owners::Owners,
    /// Bytes of its files, as the file at this path says.
    recorded_size: Option<(u64, PathBuf)>,
    finding: Arc<OnceLock<Notice>>,
    /// That marks may be hidden from this user.
    unseen: Arc<OnceLock<Notice>>,
    /// What changed or could not be read, if files may change.
    faults_met: Arc<OnceLock<Vec<Fault>>>,
    measure: Arc<OnceLock<Measure>>,
    kept: Kept,
}

impl DiffLayer {
    /// A layer in `dir`. Entries without a time of their own get `created`.
    pub fn new(dir: Root, holds: LayerDir, created: i64) -> Self {
        DiffLayer {
            dir,
            holds,
            created,
            notice: None,
            blob: None,
            files: None,
            watch: None,
            may_change: false,
            form: Form::Docker18,
            over: None,
            owners: owners::Owners::default(),
            recorded_size: None,
            finding: Arc::default(),
            unseen: Arc::default(),
            faults_met: Arc::default(),
            measure: Arc::default(),
            kept: Kept::default(),
        }
    }

    /// The same layer, whose files have so many bytes according to the file at `path`.
    pub(crate) fn of_size(self, size: Option<u64>, path: PathBuf) -> Self {
        DiffLayer { recorded_size: size.map(|size| (size, path)), ..self }
    }

    /// The same layer, of which files may change while they are read, since its container runs: each has the
    /// size that it had at first, and what cannot be read is left out; [`DiffLayer::faults_met`] names it.
    pub fn as_it_is_read(self) -> Self {
        DiffLayer { may_change: true, measure: Arc::default(), kept: Kept::default(), ..self }
    }

    /// Walks the directories without reading a file, and returns the length of the tar. From then on,
    /// [`DiffLayer::tar`] has it as a content.
    ///
    /// A layer of which files may change ([`DiffLayer::as_it_is_read`]) has another length the next time, so
    /// it has none: `None`.
    pub fn measure(&self) -> Result<Option<u64>, Error> {
        if !self.may_change && self.measure.get().is_none() {
            let measured = self.watching(|| self.pass(Pass::Measure))?;
            // Two at a time find the same, or the tar says later what has changed.
            let _ = self.measure.set(measured);
        }
        Ok(self.measured_len())
    }

    /// The length of the tar, once it was measured.
    pub fn measured_len(&self) -> Option<u64> {
        self.measure.get().map(|measure| measure.len)
    }

    /// The tar as a content, once it was measured.
    pub fn tar(&self) -> Option<DiffTar> {
        DiffTar::new(self)
    }

    /// What turned out to be odd when the tar was written: its files have another size than was recorded, or
    /// belong to nobody; or this user does not see all of the layer.
    pub fn findings(&self) -> impl Iterator<Item = &Notice> {
        self.finding.get().into_iter().chain(self.unseen.get())
    }

    /// What changed or could not be read when the tar was written, if that is allowed
    /// ([`DiffLayer::as_it_is_read`]).
    pub fn faults_met(&self) -> &[Fault] {
        self.faults_met.get().map_or(&[], Vec::as_slice)
    }

    /// Engines have counted in several ways. None of them need hold: 461 of 507 layers in known stores agree.
    fn compare_size(&self, records: &records::Records) {
        let Some((recorded, path)) = &self.recorded_size else { return };
        let sizes = records.sizes();
        let found = sizes[0];
        // More than were recorded are common in whole trees, and no file that was cut short makes more.
        if found >= *recorded || sizes.contains(recorded) {
            return;
        }
        let what = format!(
            "it says that the layer's files have {recorded} bytes; they have {found}: one of them may be cut \
             short, and no digest is recorded that could tell"
        );
        self.finding.get_or_init(|| Notice::new(path, what));
    }

    /// The same layer, which has a record that cannot be used.
    pub(crate) fn in_place_of(self, record: Option<Unusable>) -> Self {
        let Some(Unusable { notice, files }) = record else { return self };
        DiffLayer { notice: Some(notice), files: files.map(Box::new), ..self }
    }

    /// The same layer, whose record is lost.
    pub(crate) fn without_record(self, notice: Notice) -> Self {
        DiffLayer { notice: Some(notice), ..self }
    }

    /// The same layer, in a store that an engine may be changing.
    pub(crate) fn watched(self, watch: Watch) -> Self {
        DiffLayer { watch: Some(watch), ..self }
    }

    /// The same layer, which is rebuilt because its blob is missing. `notice` says so.
    pub(crate) fn in_place_of_blob(self, blob: Digest, notice: Notice) -> Self {
        DiffLayer { notice: Some(notice), blob: Some(blob), form: Form::Today, ..self }
    }

    /// The same layer in the form of another engine.
    pub(crate) fn in_form(self, form: Form) -> Self {
        DiffLayer { form, ..self }
    }

    /// The same layer, which a container wrote. `root_fs` is all that the container saw, this layer included.
    pub(crate) fn in_root_fs(self, root_fs: Result<tree::RootFs, Error>) -> Self {
        DiffLayer { over: Some(Box::new(root_fs)), ..self }
    }

    /// The same layer, with other owners.
    pub(crate) fn owned(self, owners: owners::Owners) -> Self {
        DiffLayer { owners, ..self }
    }

    /// What is odd about the records of the container that wrote it, and of the layers below.
    pub fn notices_below(&self) -> &[Notice] {
        match self.over.as_deref() {
            Some(Ok(root_fs)) => root_fs.notices(),
            _ => &[],
        }
    }

    /// Whether the layer has no entry. Only metadata are read.
    pub fn is_empty(&self) -> Result<bool, Error> {
        // What cannot be read is named when the tar is written.
        let unsaid = self.faults();
        Ok(!self.records(unsaid.as_ref())?.records.any_written())
    }

    /// Walks the directories and writes the tar. The same directories give the same bytes. If it was
    /// measured, an entry that is not what it was then is an error that names it; what came later is not in
    /// the tar.
    ///
    /// Files that a record describes are compared with it first. It is an error if an engine removes the
    /// layer meanwhile, found at the latest after the last byte is written.
    ///
    /// A base layer and an upper directory are written in the order of a walk: the names of a directory
    /// sorted, each followed by what is below it. What a comparison found is sorted by whole paths, each
    /// whiteout in the place of the name that it removes. Both orders are Docker's.
    pub fn write_to(&self, out: &mut dyn Write) -> Result<(), Error> {
        let mut out = Plain(out);
        let pass = Pass::Write(&mut out, self.measure.get());
        let done = self.watching(|| self.compare_files().and_then(|()| self.pass(pass))).map(drop);
        done.map_err(|error| match error {
            Error::Io { path, source, .. }
                if source.kind() == io::ErrorKind::NotFound && self.measure.get().is_some() =>
            {
                encode::changed(&path, "it was removed")
            }
            error => error,
        })
    }

    /// If the layer was removed, missing files follow from that.
    fn watching<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let look = || self.watch.as_ref().map_or(Ok(()), Watch::look);
        look()?;
        let done = work();
        look()?;
        done
    }

    fn compare_files(&self) -> Result<(), Error> {
        match self.files.as_ref().and_then(|record| record.damaged_files()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn pass(&self, pass: Pass<'_>) -> Result<Measure, Error> {
        let encoding = Encoding::of(self.form, self.created);
        let faults = self.faults();
        let walked = match self.kept.get() {
            Some(walked) => walked,
            None => Arc::new(self.records(faults.as_ref())?),
        };
        if !self.may_change && matches!(pass, Pass::Measure) {
            self.kept.keep(&walked);
        }
        let Walked { records, order, .. } = &*walked;
        let attributes = match (&self.holds, self.form) {
            (LayerDir::Full { .. }, Form::Docker18) => attributes::Wanted::Capability,
            // containerd keeps the user attributes of what it unpacks, and writes none that a container sets.
            (_, Form::Today) if self.over.is_some() => attributes::Wanted::Capability,
            _ => encoding.wanted(),
        };
        self.compare_size(records);
        let files = Files::new(self.roots(&walked)?, records, attributes).noting(faults.as_ref());
        let measure = encode::layer(files, *order, encoding, pass)?;
        self.faults_met.get_or_init(|| faults.map(Faults::into_found).unwrap_or_default());
        Ok(measure)
    }

    /// What files may do while they are read.
    fn faults(&self) -> Option<Faults> {
        self.may_change.then(Faults::leaving_out)
    }

    /// What is in the layer, and in which order it is written.
    fn records(&self, faults: Option<&Faults>) -> Result<Walked, Error> {
        let sight = Sight::default();
        let mut walked = self.walk(faults, &sight)?;
        let without = self.owners.apply(&mut walked.records);
        let notice = tree::unowned(self.roots(&walked)?, &without);
        let named = || self.form == Form::Today && self.over.is_some();
        let deletion = || named().then(|| walked.records.named_like_deletions(&self.dir)).flatten();
        if let Some(notice) = notice.or_else(deletion) {
            self.finding.get_or_init(|| notice);
        }
        if let Some(notice) = sight.notice() {
            self.unseen.get_or_init(|| notice);
        }
        Ok(walked)
    }

    fn walk(&self, faults: Option<&Faults>, sight: &Sight) -> Result<Walked, Error> {
        use order::Order::{Paths, Walk};
        let today = self.form == Form::Today;
        let of = |records, order| Walked { records, order, in_union: false };
        Ok(match (&self.holds, &self.over) {
            (LayerDir::Full { parent: None }, _) => of(changes::all(&self.dir, faults)?, Walk),
            (LayerDir::Full { parent: Some(parent) }, _) => {
                let records = changes::compare(&self.dir, parent, today, faults)?;
                of(records, if today { Walk } else { Paths })
            }
            // containerd always compares the two trees.
            (LayerDir::Upper, Some(root_fs)) if today => self.in_union(root_fs, Walk, (faults, sight))?,
            (LayerDir::Upper, over) => match (upper::read(&self.dir, over.is_some(), faults, sight)?, over) {
                (None, Some(root_fs)) => self.in_union(root_fs, Paths, (faults, sight))?,
                (records, over) => {
                    let mut records = records.unwrap_or_else(|| records::Records::new(Default::default()));
                    if let (Form::ContainersStorage, Some(Ok(root_fs))) = (self.form, over.as_deref()) {
                        below::leave_out_marks(&mut records, root_fs.roots().get(1..).unwrap_or_default())?;
                    }
                    of(records, Walk)
                }
            },
        })
    }

    /// What the layer makes of those below.
    fn in_union(
        &self,
        root_fs: &Result<tree::RootFs, Error>,
        order: order::Order,
        (faults, sight): (Option<&Faults>, &Sight),
    ) -> Result<Walked, Error> {
        let root_fs = root_fs.as_ref().map_err(Clone::clone)?;
        let records = root_fs.changes(self.form == Form::Today, faults, sight)?;
        Ok(Walked { records, order, in_union: true })
    }

    /// The directories that have what was found, the uppermost first.
    fn roots(&self, walked: &Walked) -> Result<&[Root], Error> {
        match self.over.as_deref().filter(|_| walked.in_union) {
            Some(root_fs) => Ok(root_fs.as_ref().map_err(Clone::clone)?.roots()),
            None => Ok(std::slice::from_ref(&self.dir)),
        }
    }
}
