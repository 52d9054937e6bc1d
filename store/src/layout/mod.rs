//! Image layouts and archives as stores: what engines write to carry images elsewhere.
//!
//! ```text
//! OCI image layout (directory or tar)   docker-archive (tar)         docker-v1 (tar)
//!   oci-layout                            manifest.json                repositories
//!   index.json                            <config id>.json             <id>/VERSION
//!   blobs/sha256/<digest>                 <layer>.tar                  <id>/json
//!                                         <id>/layer.tar (links)       <id>/layer.tar
//! ```
//!
//! Docker since 25 and `ctr images export` write the first two into one tar. Both documents are then read, in
//! a directory as in a tar, and each image is listed once, with the manifests of the index. Checked with what
//! Docker 20.10, Podman 4.3, skopeo 1.9, containerd 1.6 and umoci 0.4 write.

pub(crate) mod absent;
mod annotations;
mod artifacts;
mod both;
mod cache;
mod catalog;
mod chains;
mod dir;
mod documents;
mod image;
mod images;
mod items;
mod layers;
mod manifest_json;
mod names;
pub(crate) mod namespace;
mod reader;
mod referrers;
mod salvage;
mod search;
mod store;
mod tree;
mod unpacked;
mod v1;
mod v1_tar;
mod walk;

use std::path::Path;

use layerlift_archive::Digest;

use crate::archive::{self, Files};
use crate::kind::{Detected, OpenOptions, StoreKind};
use crate::{Error, Keyring, Root, Store};

use both::Documents;
use documents::{INDEX, LAYOUT, MANIFEST};
use images::{Builder, Contents};
use reader::Reader;

pub(crate) use store::LayoutStore;
pub(crate) use v1::V1ArchiveStore;

const NOTHING: &str = "it has no index.json, manifest.json or repositories";

/// How many folders in one another a tar may have above its files.
const FOLDERS: usize = 4;

/// Which of these files a directory or a tar has.
struct Here {
    index: bool,
    layout: bool,
    manifest: bool,
    v1: bool,
    /// A config at the top. It came with `manifest.json`.
    config: Option<String>,
    /// The digest of `manifest.json`, if it is a manifest and its blobs lie beside it.
    flat: Option<Digest>,
}

impl Here {
    /// Looks for them at the top, and where a tar has only one folder there, in that.
    fn look(files: &mut Files) -> Result<Self, Error> {
        for _ in 0..FOLDERS {
            let here = Here::at(files)?;
            if here.kind(files).is_some() || here.layout || files.exists("blobs")? || !files.enter() {
                return Ok(here);
            }
        }
        files.leave();
        Here::at(files)
    }

    fn at(files: &Files) -> Result<Self, Error> {
        let layout = files.exists(LAYOUT)?;
        let index = files.exists(INDEX)? && (layout || files.exists("blobs")? || !files.is_dir());
        let manifest = files.exists(MANIFEST)?;
        let flat = if manifest && !index { dir::manifest(files)? } else { None };
        let manifest = manifest && flat.is_none();
        let config = if index || manifest || flat.is_some() { None } else { salvage::config(files)? };
        Ok(Here { index, layout, manifest, v1: v1::is_here(files)?, config, flat })
    }

    /// The kind, unless the options name one.
    fn kind(&self, files: &Files) -> Option<StoreKind> {
        match files.is_dir() {
            true if self.index => Some(StoreKind::OciLayout),
            _ if self.manifest => Some(StoreKind::DockerArchive),
            _ if self.index => Some(StoreKind::OciLayout),
            _ if self.flat.is_some() => Some(StoreKind::Dir),
            // Without `manifest.json`: what is left of it decides. See `lacks_names`.
            _ if self.v1 => Some(StoreKind::DockerV1Archive),
            _ => None,
        }
    }

    /// Whether what names the images is missing: the end of an archive, `manifest.json` beside configs, or
    /// `index.json` beside `oci-layout`.
    fn lacks_names(&self, files: &Files) -> bool {
        let traces = files.is_cut() || self.config.is_some() || self.layout;
        !self.index && !self.manifest && self.flat.is_none() && traces
    }

    /// What is missing from an archive that lacks the documents that name its images. A cut inside an entry
    /// is not meant: [`Files::damage`] reports that.
    fn loss(&self, files: &Files) -> Option<Error> {
        if files.is_cut() {
            // Some programs write no end mark, but all of them write a document that names the images.
            let named = self.index || self.manifest || files.exists(v1::REPOSITORIES).unwrap_or(false);
            return files
                .cut_off("what names its images is missing")
                .filter(|_| files.lacks_mark_only() && !named);
        }
        let why = match &self.config {
            Some(config) => {
                format!("it has a config, {config}, and no {MANIFEST}, which names configs and layers")
            }
            None if self.layout => format!("it has {LAYOUT} and no {INDEX}, which names images"),
            None => return None,
        };
        Some(Error::malformed(files.path(), why))
    }

    fn evidence(&self) -> Vec<String> {
        let manifest = self.manifest || self.flat.is_some();
        let names =
            [(self.layout, LAYOUT), (self.index, INDEX), (manifest, MANIFEST), (self.v1, v1::EVIDENCE)];
        names.into_iter().filter(|(here, _)| *here).map(|(_, name)| name.to_owned()).collect()
    }
}

/// Looks for a layout in a directory.
pub(crate) fn detect(root: &Root) -> Result<Option<Detected>, Error> {
    detect_in(Files::in_dir(root.clone()))
}

/// Looks at a file. If it is compressed, it is decompressed for that.
pub(crate) fn detect_file(path: &Path) -> Result<Option<Detected>, Error> {
    detect_in(archive::open(path, &OpenOptions::default())?)
}

fn detect_in(mut files: Files) -> Result<Option<Detected>, Error> {
    let here = Here::look(&mut files)?;
    let root = files.path().to_owned();
    let mut kind = here.kind(&files);
    if here.lacks_names(&files) {
        kind = salvage(&Reader::new(files), &Keyring::new(), None)?.map(|(kind, _)| kind).or(kind);
    }
    let detected = |kind| Detected { kind, root, partitions: Vec::new(), evidence: here.evidence() };
    Ok(kind.map(detected))
}

/// Opens a directory.
pub(crate) fn open(root: Root, options: &OpenOptions) -> Result<Box<dyn Store>, Error> {
    open_in(Files::in_dir(root), options)
}

/// Opens a tar, whole or compressed.
pub(crate) fn open_file(path: &Path, options: &OpenOptions) -> Result<Box<dyn Store>, Error> {
    open_in(archive::open(path, options)?, options)
}

fn open_in(mut files: Files, options: &OpenOptions) -> Result<Box<dyn Store>, Error> {
    let here = Here::look(&mut files)?;
    let kind = options.kind.or(here.kind(&files));
    if kind == Some(StoreKind::Dir) {
        return match here.flat {
            Some(manifest) => dir::open(files, manifest),
            None => Err(no_store(&files, "it has no manifest.json that is a manifest")),
        };
    }
    let mut reader = Reader::new(files);
    let required = reader.read_required();
    let files = reader.files();
    let keys = Keyring::new();
    if options.kind.is_none_or(|kind| matches!(kind, StoreKind::DockerArchive | StoreKind::OciLayout))
        && here.lacks_names(files)
        && let Some((kind, contents)) = salvage(&reader, &keys, here.loss(files))?
    {
        return Ok(Box::new(LayoutStore::new(kind, keys, reader, contents)));
    }
    let Some(kind) = kind else { return Err(nothing(files)) };
    if kind == StoreKind::DockerV1Archive {
        return match here.v1 {
            true => {
                let lost = here.loss(files);
                Ok(Box::new(V1ArchiveStore::open(reader.into_files(), lost)?))
            }
            false => Err(no_store(files, "it has no directory <id>/ with json and layer.tar")),
        };
    }
    if !matches!(kind, StoreKind::DockerArchive | StoreKind::OciLayout) {
        return Err(no_store(files, &format!("it is not of kind {kind}")));
    }
    let documents = Documents::read(&reader, &here)?;
    if !documents.are_there(kind) {
        return match salvage(&reader, &keys, here.loss(files))? {
            Some((kind, contents)) if files.is_cut() => {
                Ok(Box::new(LayoutStore::new(kind, keys, reader, contents)))
            }
            _ if files.is_cut() => Err(nothing(files)),
            _ => {
                let name = if kind == StoreKind::OciLayout { INDEX } else { MANIFEST };
                Err(no_store(files, &format!("it has no {name}")))
            }
        };
    }
    let mut contents = documents.contents(&reader, &keys)?;
    contents.lost.extend(required);
    Ok(Box::new(LayoutStore::new(kind, keys, reader, contents)))
}

/// The error for an archive in which no image is found.
fn nothing(files: &Files) -> Error {
    files
        .cut_off("what names its images is missing, and no image is whole")
        .unwrap_or_else(|| files.no_image(NOTHING))
}

/// The images of an archive that has lost what names them. Only whole images count.
fn salvage(
    reader: &Reader,
    keys: &Keyring,
    loss: Option<Error>,
) -> Result<Option<(StoreKind, Contents)>, Error> {
    let mut images = Builder::new(reader, keys);
    salvage::add(reader, &mut images)?;
    loss.into_iter().for_each(|error| images.lose(error));
    let kind = match reader.files().list("blobs/sha256")?.is_empty() {
        true => StoreKind::DockerArchive,
        false => StoreKind::OciLayout,
    };
    Ok(Some((kind, images.finish())).filter(|(_, contents)| !contents.images.is_empty()))
}

fn no_store(files: &Files, why: &str) -> Error {
    Error::no_store(files.path(), why.to_owned())
}
