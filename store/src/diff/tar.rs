//! Tars of files as contents: a walk of names, sizes and attributes says how long they are. Contents of files
//! are read when the tar is.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use layerlift_archive::{Content, Plain, ZeroWrite};

use super::attributes::Wanted;
use super::encode::{self, Encoding, Measure, Pass};
use super::faults::Faults;
use super::files::Files;
use super::flat::Flat;
use super::records::Records;
use super::{DiffLayer, changes};
use crate::pushed::Pushed;
use crate::{Error, Root};

/// The tar of a layer that is computed from directories ([`DiffLayer::tar`]). Each reader walks them again,
/// in a thread of its own. An entry that is not what it was when the tar was measured is an error that names
/// it.
#[derive(Debug, Clone)]
pub struct DiffTar {
    layer: DiffLayer,
    len: u64,
}

impl DiffTar {
    pub(super) fn new(layer: &DiffLayer) -> Option<Self> {
        Some(DiffTar { len: layer.measured_len()?, layer: layer.clone() })
    }
}

impl Content for DiffTar {
    fn len(&self) -> u64 {
        self.len
    }

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        let layer = self.layer.clone();
        Ok(Box::new(Pushed::new(move |out| layer.write_to(out))?))
    }
}

/// The tar of a tree of files: of a root file system, or of a volume.
///
/// Its bytes are compared with nothing, as nothing is recorded of them. A file that changes while it is read
/// is an error that names it, and so is one that is not what it was when the tar was measured.
#[derive(Debug, Clone)]
pub struct FilesTar {
    tree: Tree,
    within: Option<Vec<u8>>,
    measure: Arc<Measure>,
}

/// Where the files of a tree are.
#[derive(Debug, Clone)]
pub(super) enum FilesIn {
    /// In directories, the uppermost first.
    Dirs(Vec<Root>),
    /// In the tars of layers.
    Tars(Arc<Flat>),
}

/// What is in a tar of files, and its form.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) place: FilesIn,
    pub(super) records: Arc<Records>,
    pub(super) encoding: Encoding,
    /// Whether its root has an entry.
    pub(super) with_root: bool,
}

impl Tree {
    /// Reads its files, and these attributes.
    pub(super) fn files<'a>(&'a self, wanted: Wanted, faults: Option<&'a Faults>) -> Files<'a> {
        let files = match &self.place {
            FilesIn::Dirs(roots) => Files::new(roots, &self.records, wanted),
            FilesIn::Tars(tars) => Files::in_tars(tars, &self.records, wanted),
        };
        files.noting(faults)
    }

    fn pass(&self, within: Option<&[u8]>, faults: Option<&Faults>, pass: Pass<'_>) -> Result<Measure, Error> {
        encode::tree(self.files(self.encoding.wanted(), faults), within, self.with_root, self.encoding, pass)
    }

    /// Writes what is `within` a path, or everything.
    pub(super) fn write_to(&self, within: Option<&[u8]>, out: &mut dyn ZeroWrite) -> Result<(), Error> {
        self.pass(within, None, Pass::Write(out, None)).map(drop)
    }

    /// The same as a content.
    pub(super) fn tar(self, within: Option<Vec<u8>>, faults: Option<&Faults>) -> Result<FilesTar, Error> {
        // What cannot be measured cannot be written either, which is the time to say so.
        let unsaid = faults.map(|_| Faults::leaving_out());
        let measure = self.pass(within.as_deref(), unsaid.as_ref(), Pass::Measure)?;
        Ok(FilesTar { tree: self, within, measure: Arc::new(measure) })
    }
}

impl FilesTar {
    /// The tar of a directory that is not a layer, with an entry `./` for itself, or of what is `within` it.
    pub(crate) fn of_dir(
        dir: &Root,
        within: Option<Vec<u8>>,
        faults: Option<&Faults>,
    ) -> Result<Self, Error> {
        let tree = Tree {
            place: FilesIn::Dirs(vec![dir.clone()]),
            records: Arc::new(changes::tree(dir, faults)?),
            encoding: Encoding::ContainersStorage { created: 0 },
            with_root: true,
        };
        tree.tar(within, faults)
    }

    /// Writes it, without a thread. Large holes of files are zeros that the output gets as such.
    ///
    /// With `faults`, a file that changes is taken as it is read, at the size that its header has, and what
    /// cannot be read is left out if they say so. Then the tar may have another length.
    pub fn write_to(&self, out: &mut dyn ZeroWrite, faults: Option<&Faults>) -> Result<(), Error> {
        let expected = Some(&*self.measure).filter(|_| faults.is_none());
        self.tree.pass(self.within.as_deref(), faults, Pass::Write(out, expected)).map(drop)
    }

    /// The uppermost directory or the base layer, for messages.
    pub fn path(&self) -> &Path {
        match &self.tree.place {
            FilesIn::Dirs(roots) => roots.first().map_or(Path::new("/"), Root::path),
            FilesIn::Tars(tars) => tars.root(),
        }
    }
}

impl Content for FilesTar {
    fn len(&self) -> u64 {
        self.measure.len
    }

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        let tar = self.clone();
        Ok(Box::new(Pushed::new(move |out| tar.write_to(&mut Plain(out), None))?))
    }
}
