//! A namespace of containerd, read as if it were an image layout: its blobs lie as they do in one, and its
//! database says what else would stand in `index.json`.

use std::collections::{BTreeMap, HashSet};

use layerlift_archive::Digest;
use serde::Serialize;

use super::absent::StandIns;
use super::artifacts::Line;
use super::documents::Descriptor;
use super::images::Builder;
use super::names::ImageNames;
use super::reader::Reader;
use super::salvage;
use super::store::LayoutStore;
use super::unpacked::Containerd;
use crate::archive::Files;
use crate::{Error, Keyring};

/// What one or several names of a namespace lead to.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// Names of the image.
    pub(crate) names: Vec<String>,
    /// Names that only find it and are not tags.
    pub(crate) aliases: Vec<String>,
    /// Those of the record.
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A name that leads to nothing, and why.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) name: String,
    pub(crate) error: Error,
}

/// A namespace.
#[derive(Debug, Default)]
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) targets: Vec<Target>,
    pub(crate) unreadable: Vec<Unreadable>,
    /// Digests of its blobs; `None` if some of the records cannot be read.
    pub(crate) blobs: Option<HashSet<Digest>>,
    /// Digests of configs whose images have been unpacked.
    pub(crate) unpacked: HashSet<Digest>,
    pub(crate) stand_ins: StandIns,
}

impl Namespace {
    /// Its images, whose blobs are among these files.
    pub(crate) fn open(self, files: Files) -> LayoutStore {
        let Namespace { name, targets, unreadable, blobs, unpacked, stand_ins } = self;
        let reader = Reader::without_layers(match blobs {
            Some(blobs) => files.only(blobs),
            None => files,
        });
        reader.read_ahead(&targets.iter().map(|target| target.descriptor(None)).collect::<Vec<_>>());
        let keys = Keyring::new();
        let of = Containerd { namespace: name.clone(), unpacked, known: HashSet::new() };
        let mut images = Builder::of_containerd(&reader, &keys, &of);
        let mut lines = Vec::new();
        for target in targets {
            lines.extend(target.lines());
            let descriptor = target.descriptor(None);
            images.add_named(ImageNames::of_names(target.names, target.aliases), descriptor);
        }
        // If an index is missing, what it named is still there.
        if images.lacks_documents() {
            salvage::add(&reader, &mut images).unwrap_or_else(|error| images.lose(error));
        }
        for Unreadable { name, error } in unreadable {
            // Its id is not known: the name takes its place.
            images.add_error(name.clone(), ImageNames::of_names([name], []), error, true);
        }
        let contents = images.finish();
        LayoutStore::of_containerd(name, keys, reader, contents, lines, stand_ins)
    }
}

/// The images of a content store whose names cannot be read: those that are complete, without names and
/// without the `known` ones. `lost` says why.
pub(crate) fn without_names(
    files: Files,
    lost: Vec<Error>,
    known: HashSet<String>,
) -> Result<LayoutStore, Error> {
    let reader = Reader::new(files);
    let keys = Keyring::new();
    let of = Containerd { known, ..Containerd::default() };
    let mut images = Builder::of_containerd(&reader, &keys, &of);
    salvage::add(&reader, &mut images)?;
    let mut contents = images.finish();
    contents.lost.extend(lost);
    Ok(LayoutStore::of_containerd(String::new(), keys, reader, contents, Vec::new(), StandIns::default()))
}

impl Target {
    fn descriptor(&self, name: Option<String>) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest,
            size: Some(self.size),
            platform: None,
            within: None,
            image_name: name,
            ref_name: None,
            urls: Vec::new(),
            odd: Vec::new(),
        }
    }

    /// What would be its lines in `index.json`, one for each name.
    fn lines(&self) -> Vec<Line> {
        #[derive(Serialize)]
        struct Named<'a> {
            #[serde(rename = "mediaType")]
            media_type: &'a str,
            digest: String,
            size: u64,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            annotations: BTreeMap<&'a str, &'a str>,
        }
        let line = |name: Option<&String>| {
            let mut annotations: BTreeMap<&str, &str> =
                self.annotations.iter().map(|(key, value)| (&**key, &**value)).collect();
            for key in ["io.containerd.image.name", "org.opencontainers.image.ref.name"] {
                annotations.remove(key);
                annotations.extend(name.map(|name| (key, &**name)));
            }
            let (digest, media_type) = (self.digest.to_string(), &*self.media_type);
            let raw = serde_json::to_string(&Named { media_type, digest, size: self.size, annotations });
            Some(Line { descriptor: self.descriptor(name.cloned()), raw: raw.ok()? })
        };
        let unnamed = self.names.is_empty().then_some(None);
        self.names.iter().map(Some).chain(unnamed).filter_map(line).collect()
    }
}
