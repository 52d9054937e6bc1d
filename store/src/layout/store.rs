//! The images of a layout or archive behind the [`Store`] trait.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use layerlift_archive::Digest;

use super::absent::StandIns;
use super::annotations::{self, Annotations};
use super::artifacts::{self, Line};
use super::documents::{BUILDKIT_CACHE, INDEX};
use super::image::{self, LayerFile, Loaded};
use super::images::{Contents, LayoutImage, LayoutIndex};
use super::reader::Reader;
use super::{referrers, tree};
use crate::kind::StoreKind;
use crate::lookup::{self, Spelling};
use crate::model::config;
use crate::{
    Artifact, Broken, DiffId, Document, Error, Image, ImageKey, ImageSummary, Index, IndexSummary, IndexTree,
    Keyring, Layer, LayerKey, LayerTar, Listing, Manifest, Needs, Notice, Platform, Reference, Selected,
    Store, Subject, parallel,
};

/// An OCI image layout or a docker-archive. It has no partitions; the key of a layer is its file's name and,
/// behind `@`, its diff id.
#[derive(Debug)]
pub(crate) struct LayoutStore {
    keys: Keyring,
    kind: StoreKind,
    /// Of its keys; empty but for a namespace of containerd.
    pub(super) partition: String,
    pub(super) reader: Reader,
    pub(super) contents: Contents,
    /// What takes the place of the lines of `index.json`, in stores that do not have this file.
    lines: Option<Vec<Line>>,
    /// What these lines say; read when it is asked for.
    annotations: OnceLock<HashMap<Digest, Annotations>>,
    /// For blobs that are not there.
    pub(super) stand_ins: StandIns,
    /// Names: repository, tag or digest, images and indexes.
    pub(super) names: BTreeMap<String, BTreeMap<String, Vec<ImageKey>>>,
}

impl LayoutStore {
    /// What `contents` found with these keys.
    pub(super) fn new(kind: StoreKind, keys: Keyring, reader: Reader, contents: Contents) -> Self {
        LayoutStore::with_names(kind, String::new(), keys, reader, contents)
    }

    /// A namespace of containerd: what `contents` found with these keys behind `lines`.
    pub(super) fn of_containerd(
        namespace: String,
        keys: Keyring,
        reader: Reader,
        contents: Contents,
        lines: Vec<Line>,
        stand_ins: StandIns,
    ) -> Self {
        let store = LayoutStore::with_names(StoreKind::Containerd, namespace, keys, reader, contents);
        LayoutStore { lines: Some(lines), stand_ins, ..store }
    }

    fn with_names(
        kind: StoreKind,
        partition: String,
        keys: Keyring,
        reader: Reader,
        contents: Contents,
    ) -> Self {
        let mut names: BTreeMap<String, BTreeMap<String, Vec<ImageKey>>> = BTreeMap::new();
        let images = contents.images.iter().map(|image| (&image.id, &image.names, &image.digests));
        let indexes = contents.indexes.iter().map(|index| (&index.id, &index.names, &index.digests));
        for (id, of_it, digests) in images.chain(indexes) {
            for reference in &of_it.references {
                let tags = names.entry(reference.repository().to_owned()).or_default();
                let digests = digests.iter().map(Digest::to_string);
                for tag in digests.chain([reference.tag_or_digest().to_owned()]) {
                    let found = tags.entry(tag).or_default();
                    if !found.iter().any(|key| key.id() == id) {
                        found.push(keys.image(&partition, id));
                    }
                }
            }
        }
        LayoutStore {
            keys,
            kind,
            partition,
            reader,
            contents,
            lines: None,
            annotations: OnceLock::new(),
            stand_ins: StandIns::default(),
            names,
        }
    }

    /// Reads an image, from the first of its ways that works. If none does, the first error counts.
    fn load(&self, image: &LayoutImage) -> Result<Loaded, Error> {
        if let Some(error) = &image.error {
            return Err(error.clone());
        }
        let mut first = None;
        for way in &image.ways {
            match image::load(&self.reader, way).and_then(Loaded::whole) {
                Ok(loaded) => return Ok(loaded),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        Err(first.unwrap_or_else(|| Error::not_found(&image.id)))
    }

    pub(super) fn key(&self, id: &str) -> ImageKey {
        self.keys.image(&self.partition, id)
    }

    /// Images and indexes that an abbreviated id or digest can mean.
    pub(super) fn matching(&self, prefix: &str, preferred: bool) -> Vec<ImageKey> {
        let matches = |id: &str, digests: &[Digest]| {
            id.starts_with(prefix) || digests.iter().any(|digest| digest.hex().starts_with(prefix))
        };
        let images = || self.contents.images.iter().filter(|image| image.preferred == preferred);
        let named = images().filter(|image| matches(&image.id, &image.digests)).map(|image| &image.id);
        let indexes =
            self.contents.indexes.iter().filter(|index| preferred && matches(&index.id, &index.digests));
        let mut keys: Vec<_> = named.chain(indexes.map(|index| &index.id)).map(|id| self.key(id)).collect();
        keys.extend(self.of_configs(images(), prefix).map(|image| self.key(&image.id)));
        keys.sort();
        keys.dedup();
        keys
    }

    /// For each config that an abbreviated digest can mean, one of these images that has it: the first that
    /// is complete, since they are the same but for the compression of their layers.
    fn of_configs<'a>(
        &'a self,
        images: impl Iterator<Item = &'a LayoutImage>,
        prefix: &str,
    ) -> impl Iterator<Item = &'a LayoutImage> {
        let mut configs: BTreeMap<Digest, Vec<&LayoutImage>> = BTreeMap::new();
        for image in images {
            if let Some(config) = image.config.filter(|config| config.hex().starts_with(prefix)) {
                configs.entry(config).or_default().push(image);
            }
        }
        let complete = |image: &&&LayoutImage| {
            let has = |layer: &LayerFile| matches!(self.reader.files().exists(&layer.name), Ok(true));
            self.load(image).is_ok_and(|loaded| loaded.layers.iter().all(has))
        };
        configs.into_values().filter_map(move |images| match &*images {
            [only] => Some(*only),
            several => several.iter().find(complete).or(several.first()).copied(),
        })
    }

    /// The image or index of a key.
    pub(super) fn selected(&self, key: ImageKey, reference: Option<Reference>) -> Selected {
        match self.contents.indexes.iter().find(|index| index.id == key.id()) {
            Some(index) => Selected::of_index(index.index.clone(), reference),
            None => Selected::of_image(key, reference),
        }
    }

    /// The image or index that has this alias, if only one has: a name as it is written that cannot be a
    /// reference.
    fn by_alias(&self, name: &str) -> Option<Selected> {
        let images = self.contents.images.iter().map(|image| (&image.id, &image.names));
        let indexes = self.contents.indexes.iter().map(|index| (&index.id, &index.names));
        let mut found =
            images.chain(indexes).filter(|(_, names)| names.aliases.iter().any(|alias| alias == name));
        let ((id, names), None) = (found.next()?, found.next()) else { return None };
        let reference = names.references.iter().find(|reference| is_implied(reference, name)).cloned();
        Some(self.selected(self.key(id), reference))
    }

    /// A member of an index, by the repository of the index and the digest of its manifest.
    fn member(&self, name: &str) -> Option<Selected> {
        let (repository, digest) = name.split_once('@')?;
        let digest: Digest = digest.parse().ok()?;
        let found = self.find(repository).ok()?;
        let members = found.iter().filter_map(|selected| match &selected.subject {
            Subject::Index(index) => Some(&index.members),
            _ => None,
        });
        let member = members.flatten().find(|member| member.manifest == digest)?;
        Some(Selected::of_image(member.image.clone()?, None))
    }

    /// The ids of its images.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &String> {
        self.contents.by_id.keys()
    }

    fn find(&self, name: &str) -> Result<Vec<Selected>, Error> {
        let found = match lookup::resolve(self, Spelling::Qualified, name) {
            // Docker writes familiar names, which a request may spell out.
            Err(not_found @ Error::NotFound { .. }) => lookup::resolve(self, Spelling::Familiar, name)
                .map_err(|error| match error {
                    Error::NotFound { .. } => not_found,
                    error => error,
                }),
            result => result,
        };
        Ok(found?.into_iter().map(|found| self.selected(found.key, found.reference)).collect())
    }
}

impl Store for LayoutStore {
    fn kind(&self) -> StoreKind {
        self.kind
    }

    fn images(&self) -> Result<Listing, Error> {
        let files = self.reader.files();
        let mut broken = Vec::new();
        let mut images = Vec::new();
        let mut notices = self.contents.notices.clone();
        let listed: Vec<&LayoutImage> = self.contents.images.iter().filter(|image| image.listed).collect();
        let loaded = parallel::map(&listed, |image| self.load(image));
        for (image, loaded) in listed.into_iter().zip(loaded) {
            let references = image.names.references.clone();
            match loaded {
                Ok(Loaded { config, created, manifest, layers, notices: odd }) => {
                    notices.extend(odd);
                    let own = manifest.map(|(digest, _)| digest).filter(|digest| digest.hex() == image.id);
                    let key = self.key(&image.id);
                    let needs = Needs::of(layers.iter().filter_map(|layer| layer.left_out.as_ref()));
                    images.push(ImageSummary {
                        created,
                        needs,
                        platform: Platform::of_config(config.raw()),
                        manifest: own,
                        ..ImageSummary::new(key, references, layers.len())
                    });
                }
                Err(error) => {
                    broken.push(Broken::new(&image.id, references, error).in_part(self.key(&image.id)));
                }
            }
        }
        let index = |index: &LayoutIndex| {
            IndexSummary::new(index.id.clone(), index.index.clone(), index.names.references.clone())
        };
        let indexes = self.contents.indexes.iter().map(index).collect();
        let order = self.contents.order.clone();
        let lost = files.damage().into_iter().chain(self.contents.lost.iter().cloned()).collect();
        let artifacts = match &self.lines {
            Some(lines) => artifacts::find(&self.reader, lines),
            None => artifacts::find(&self.reader, &artifacts::lines(&self.reader)),
        };
        // A chart, say. Without a word, nothing would say why there is nothing.
        let other = self.contents.images.iter().find_map(|image| image.error.as_ref());
        if let Some(error) = other.filter(|_| images.is_empty() && broken.is_empty())
            && self.contents.indexes.is_empty()
        {
            notices.push(Notice::new(files.path(), error.to_string()));
        }
        for cache in artifacts.iter().filter(|artifact| artifact.kind == BUILDKIT_CACHE) {
            let what = format!(
                "{} is a build cache of BuildKit, not an image; `--output type=oci` writes the image",
                cache.name()
            );
            notices.push(Notice::new(files.join(INDEX), what));
        }
        let roots = self.roots();
        Ok(Listing { order, lost, notices, artifacts, roots, ..Listing::new(images, indexes, broken) })
    }

    fn resolve(&self, name: &str) -> Result<Vec<Selected>, Error> {
        if let Some(selected) = self.by_alias(name) {
            return Ok(vec![selected]);
        }
        match self.find(name) {
            Err(Error::NotFound { name, suggestions }) => {
                let member = self.member(&name).map(|member| vec![member]);
                member.ok_or(Error::NotFound { name, suggestions })
            }
            found => found,
        }
    }

    fn image(&self, key: &ImageKey) -> Result<Image, Error> {
        self.keys.check_image(key)?;
        let image = self.contents.image(key.id()).ok_or_else(|| Error::not_found(key.id()))?;
        if let Some(error) = &image.error {
            return Err(error.clone());
        }
        let (mut first, mut part, mut failed) = (None, None, None);
        // Several manifests can name one config. The listing reports those that cannot be read.
        let mut manifests: Vec<Manifest> = Vec::new();
        for way in &image.ways {
            match image::load(&self.reader, way) {
                Ok(loaded) if loaded.first_lost().is_some() => drop(part.get_or_insert(loaded)),
                Ok(loaded) => {
                    if let Some((digest, json)) = &loaded.manifest
                        && manifests.iter().all(|known| known.digest != *digest)
                    {
                        manifests.push(Manifest { digest: *digest, raw: json.raw().to_vec() });
                    }
                    first.get_or_insert(loaded);
                }
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        let Some(loaded) = first.or(part) else {
            return Err(failed.unwrap_or_else(|| Error::not_found(key.id())));
        };
        let diff_ids: Vec<DiffId> = loaded.layers.iter().map(|layer| layer.diff_id).collect();
        let mut layers = Vec::with_capacity(diff_ids.len());
        for (LayerFile { name, diff_id, lost, left_out, unlisted }, (chain, ..)) in
            loaded.layers.into_iter().zip(config::chain(&diff_ids))
        {
            let mut id = format!("{name}@{diff_id}");
            if self.needs_snapshot(&name, diff_id)? {
                id = format!("{id}@{chain}");
            }
            layers.push(Layer {
                lost,
                left_out,
                unlisted,
                ..Layer::new(self.keys.layer(&self.partition, id), Some(diff_id))
            });
        }
        let document = Document::Config { raw: loaded.config.raw().to_vec(), manifests };
        let mut notices = loaded.notices;
        for word in &image.names.words {
            let what = format!(
                "it names image {} {word:?}, which is not the name of an image and cannot be kept",
                image.id
            );
            notices.push(Notice::new(self.reader.files().path(), what));
        }
        Ok(Image { notices, ..Image::new(key.clone(), document, layers) })
    }

    fn referrers(&self, of: &[Digest]) -> Vec<Artifact> {
        match &self.lines {
            Some(lines) => referrers::find(&self.reader, lines, of),
            None => referrers::find(&self.reader, &artifacts::lines(&self.reader), of),
        }
    }

    fn annotations(&self, digest: Digest) -> BTreeMap<String, String> {
        let all = self.annotations.get_or_init(|| match &self.lines {
            Some(lines) => annotations::of(lines),
            None => annotations::of(&artifacts::lines(&self.reader)),
        });
        all.get(&digest).cloned().unwrap_or_default()
    }

    fn tree(&self, index: &Index) -> Result<Option<IndexTree>, Error> {
        let is_document = |known: &LayoutIndex| known.digests.first() == Some(&index.digest);
        match self.contents.indexes.iter().any(is_document) {
            true => tree::of(&self.reader, index).map(Some),
            false => Ok(None),
        }
    }

    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error> {
        self.keys.check_layer(key)?;
        self.tar(key)
    }

    fn unpacked(&self, key: &LayerKey, diff_ids: &[DiffId]) -> Result<Option<LayerTar>, Error> {
        self.keys.check_layer(key)?;
        let Some((chain, ..)) = config::chain(diff_ids).last() else { return Ok(None) };
        let layer = self.stand_ins.unpacked(chain, &self.layer_name(key))?;
        Ok(layer.map(LayerTar::Diff))
    }

    fn missing(&self) -> Result<Vec<Error>, Error> {
        self.stand_ins.missing()
    }

    fn layer_name(&self, key: &LayerKey) -> String {
        match self.parts(key) {
            Some((name, diff_id, _)) => format!("{diff_id} ({})", self.reader.files().join(name).display()),
            None => key.id().to_owned(),
        }
    }
}

/// Whether this reference was read from the name: from one that breaks the rules, or from a bare word.
fn is_implied(reference: &Reference, name: &str) -> bool {
    reference.to_string() == name || (reference.repository() == name && reference.tag() == Some("latest"))
}
