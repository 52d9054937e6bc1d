//! All that a layout or an archive names: what is in `index.json` and in `manifest.json`, each image once.
//!
//! A named index is an [`Index`], and so are several manifests that share a name in `index.json`: the
//! platform chooses one of its images. All of them are found by their ids.

use std::collections::{HashMap, HashSet};

use layerlift_archive::Digest;

use super::documents::{self, BadLine, Descriptor, INDEX, Odd, Parsed};
use super::image::{self, Identity, What};
use super::names::ImageNames;
use super::reader::{Json, Reader, blob};
use super::unpacked::Containerd;
use super::walk::Walk;
use crate::archive::clean;
use crate::{Error, ErrorKind, ImageKey, Index, Keyring, Member, Notice, Platform, Reference};

/// An image, or what should be one.
#[derive(Debug)]
pub(super) struct LayoutImage {
    /// The hex digits of its config's digest, or if that is unknown, of the digest that it is named by. In
    /// containerd, where each manifest is an image, of its manifest's.
    pub(super) id: String,
    /// The digest of its config, if that is known.
    pub(super) config: Option<Digest>,
    /// What leads to it, the preferred way first. Several manifests can name one config.
    pub(super) ways: Vec<What>,
    /// The answer to every request for it, if it cannot be an image.
    pub(super) error: Option<Error>,
    pub(super) names: ImageNames,
    /// Digests of its manifests.
    pub(super) digests: Vec<Digest>,
    /// Whether it is listed by itself. Members of an index are not, nor is what is not an image by design (an
    /// attestation, say).
    pub(super) listed: bool,
    /// Whether an abbreviated id means it rather than one that is not preferred: it is listed, or the default
    /// choice of an index.
    pub(super) preferred: bool,
}

/// An index with the names that lead to it.
#[derive(Debug)]
pub(super) struct LayoutIndex {
    /// The hex digits of its digest. Manifests that only share a name have none; it is made up for them.
    pub(super) id: String,
    pub(super) index: Index,
    pub(super) names: ImageNames,
    /// Its digest, and those of indexes within it.
    pub(super) digests: Vec<Digest>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) images: Vec<LayoutImage>,
    pub(super) indexes: Vec<LayoutIndex>,
    /// The ids of images and indexes that the documents name, in their order, with the names of each.
    pub(super) roots: Vec<(String, Vec<Reference>)>,
    /// All names, in the order of the documents.
    pub(super) order: Vec<Reference>,
    /// What can no longer be read of what names them.
    pub(super) lost: Vec<Error>,
    /// What is odd, and was read nevertheless.
    pub(super) notices: Vec<Notice>,
    pub(super) by_id: HashMap<String, usize>,
}

impl Contents {
    /// The image of an id.
    pub(super) fn image(&self, id: &str) -> Option<&LayoutImage> {
        self.by_id.get(id).map(|&at| &self.images[at])
    }

    fn push(&mut self, image: LayoutImage) {
        self.by_id.entry(image.id.clone()).or_insert(self.images.len());
        self.images.push(image);
    }
}

/// Collects what the documents name.
pub(super) struct Builder<'a> {
    pub(super) reader: &'a Reader,
    keys: &'a Keyring,
    of: Option<&'a Containerd>,
    pub(super) contents: Contents,
    /// Configs of what is not an image. `manifest.json` may name them as if they were of images.
    pub(super) artifacts: HashSet<Digest>,
    /// Names of `index.json` in containerd's spelling alone.
    pub(super) unspelled: HashSet<Reference>,
    /// Lines and items that lead to nothing.
    pub(super) unread: Vec<Unread>,
}

/// What should lead to an image.
pub(super) struct Unread {
    pub(super) document: &'static str,
    pub(super) why: String,
    /// The id of the image, if that can be read.
    pub(super) id: Option<String>,
    pub(super) names: ImageNames,
}

impl<'a> Builder<'a> {
    pub(super) fn new(reader: &'a Reader, keys: &'a Keyring) -> Self {
        let contents = Contents::default();
        Builder {
            reader,
            keys,
            of: None,
            contents,
            artifacts: HashSet::new(),
            unspelled: HashSet::new(),
            unread: Vec::new(),
        }
    }

    /// The same for images of a namespace of containerd.
    pub(super) fn of_containerd(reader: &'a Reader, keys: &'a Keyring, of: &'a Containerd) -> Self {
        Builder { of: Some(of), ..Builder::new(reader, keys) }
    }

    pub(super) fn finish(self) -> Contents {
        self.contents
    }

    /// Whether a name leads to a document that is missing or damaged.
    pub(super) fn lacks_documents(&self) -> bool {
        self.contents
            .images
            .iter()
            .any(|image| image.listed && image.error.is_some() && image.ways.is_empty())
    }

    /// Number of images so far.
    pub(super) fn count(&self) -> usize {
        self.contents.images.len()
    }

    /// Adds what `index.json` names.
    pub(super) fn add_index(&mut self, json: &Json) -> Result<(), Error> {
        let malformed = |why| self.reader.malformed(INDEX, why);
        let Parsed::Index(lines) = json.parsed().map_err(malformed)? else {
            return Err(malformed("it has no list of manifests".to_owned()));
        };
        documents::check_names(lines.len()).map_err(malformed)?;
        // Manifests that share a name are its platforms, as in an index of their own.
        let mut groups: Vec<(ImageNames, Vec<Descriptor>)> = Vec::new();
        let mut by_names: HashMap<(Vec<Reference>, Vec<String>), usize> = HashMap::new();
        for line in lines {
            let descriptor = match line {
                Ok(descriptor) => descriptor,
                Err(BadLine { why, name }) => {
                    let (why, names) = (why.clone(), ImageNames::of_names(name.clone(), []));
                    self.unread.push(Unread { document: INDEX, why, id: None, names });
                    continue;
                }
            };
            self.note(INDEX, &descriptor.odd);
            let names = ImageNames::of(descriptor);
            if ImageNames::is_only_containerds(descriptor) {
                self.unspelled.extend(names.references.iter().cloned());
            }
            let same = || by_names.get(&(names.references.clone(), names.aliases.clone()));
            match same().filter(|_| !names.is_empty()) {
                Some(&group) => groups[group].1.push(descriptor.clone()),
                None => {
                    by_names.insert((names.references.clone(), names.aliases.clone()), groups.len());
                    groups.push((names, vec![descriptor.clone()]));
                }
            }
        }
        for (names, group) in groups {
            self.contents.order.extend_from_slice(&names.references);
            self.add_group(names, group, json.digest());
        }
        Ok(())
    }

    /// Adds the image or the index that a descriptor without a name leads to.
    pub(super) fn add_descriptor(&mut self, descriptor: Descriptor) {
        self.add_named(ImageNames::default(), descriptor);
    }

    /// Adds the image or the index that names lead to.
    pub(super) fn add_named(&mut self, names: ImageNames, descriptor: Descriptor) {
        let digest = descriptor.digest;
        self.contents.order.extend_from_slice(&names.references);
        self.add_group(names, vec![descriptor], digest);
    }

    /// Adds the descriptors of one name. `within` is the digest of `index.json`.
    fn add_group(&mut self, names: ImageNames, group: Vec<Descriptor>, within: Digest) {
        let first = group[0].digest;
        let alone = group.len() == 1;
        let mut walk = Walk::new(self.reader);
        group.into_iter().for_each(|descriptor| walk.add(descriptor));
        let Walk { mut manifests, indexes, unread, .. } = walk;
        if manifests.is_empty() {
            // Only attestations, or an index that cannot be read.
            let listed = unread.is_some();
            if !listed && !indexes.is_empty() {
                // `podman manifest create` writes one before anything is added to it.
                let path = self.reader.files().join(&blob(first));
                let what = |name| format!("{name} leads to this index, which names no image");
                let notices = names.references.iter().map(|name| Notice::new(path.clone(), what(name)));
                self.contents.notices.extend(notices);
            }
            let what = || format!("{first} is not an image and names none");
            let artifact = || Error::unsupported(what(), "it may be an attestation or a signature");
            return self.add_error(first.hex(), names, unread.unwrap_or_else(artifact), listed);
        }
        if alone && indexes.is_empty() {
            let references = names.references.clone();
            let key = self.add(What::Manifest(Box::new(manifests.remove(0))), names, true);
            return self.contents.roots.push((key.id().to_owned(), references));
        }
        // A part of the index cannot be read. One that is missing may have been left out on purpose.
        if let Some(error) = unread.filter(|error| error.kind() != ErrorKind::Missing) {
            self.add_error(first.hex(), ImageNames::default(), error, true);
        }
        let artifact = |manifest: &Descriptor| {
            matches!(
                image::identify(self.reader, &What::Manifest(Box::new(manifest.clone()))),
                Ok(Identity::Artifact { .. })
            )
        };
        let (artifacts, images): (Vec<_>, Vec<_>) = manifests.into_iter().partition(artifact);
        let mut left = if images.is_empty() { names.clone() } else { ImageNames::default() };
        for manifest in artifacts {
            self.add(What::Manifest(Box::new(manifest)), std::mem::take(&mut left), false);
        }
        if images.is_empty() {
            return;
        }
        let (digest, id) = match indexes.first() {
            Some(&index) if alone => (index, index.hex()),
            _ => (within, Digest::of(format!("{within}{first}").as_bytes()).hex()),
        };
        self.contents.roots.push((id.clone(), names.references.clone()));
        self.add_members(
            names,
            images,
            LayoutIndex {
                id,
                index: Index::new(digest, Vec::new()),
                names: ImageNames::default(),
                digests: indexes,
            },
        );
    }

    /// Adds the images of an index, and the index itself.
    fn add_members(&mut self, names: ImageNames, manifests: Vec<Descriptor>, mut index: LayoutIndex) {
        let here: Vec<bool> = manifests.iter().map(|manifest| self.is_here(manifest)).collect();
        let platforms: Vec<Option<Platform>> = manifests
            .iter()
            .map(|manifest| manifest.platform.clone().or_else(|| self.platform_of(manifest)))
            .collect();
        let mut present =
            platforms.iter().zip(&here).filter(|(_, here)| **here).map(|(platform, _)| platform);
        let one = present.next();
        let alike = present.clone().next().is_some() && present.all(|other| Some(other) == one);
        // containerd takes the first.
        let alike = alike && self.of.is_none();
        for ((manifest, platform), here) in manifests.into_iter().zip(platforms).zip(here) {
            let digest = manifest.digest;
            let image = match (here, alike) {
                (false, _) => None,
                // Nothing distinguishes them: the name is ambiguous, and lookup says so.
                (true, true) => Some(self.add(What::Manifest(Box::new(manifest)), names.clone(), true)),
                (true, false) => {
                    Some(self.add(What::Manifest(Box::new(manifest)), ImageNames::default(), false))
                }
            };
            index.index.members.push(Member::new(digest, platform, image));
        }
        if alike {
            let keys = index.index.members.iter().filter_map(|member| member.image.as_ref());
            for at in keys.filter_map(|key| self.contents.by_id.get(key.id())) {
                self.contents.images[*at].digests.extend(&index.digests);
            }
            return;
        }
        let usual = index.index.choose(None).ok().and_then(|member| member.image.as_ref());
        if let Some(&at) = usual.and_then(|key| self.contents.by_id.get(key.id())) {
            self.contents.images[at].preferred = true;
        }
        self.contents.indexes.push(LayoutIndex { names, ..index });
    }

    /// Whether an image of an index is here, complete or not. containerd may have the documents of images
    /// whose layers it never had. What it has a record of was here, and is lost if its file is missing.
    pub(super) fn is_here(&self, manifest: &Descriptor) -> bool {
        let Some(of) = self.of else { return self.reader.has(&blob(manifest.digest)) };
        let recorded = |part: &Descriptor| self.reader.files().is_recorded(part.digest);
        match self.reader.manifest(manifest) {
            Err(error) => error.kind() != ErrorKind::Missing || recorded(manifest),
            Ok(json) => match json.parsed() {
                Ok(Parsed::Manifest(manifest)) => {
                    let has = |part: &Descriptor| recorded(part) || self.reader.has(&blob(part.digest));
                    let (config, layers) = (&manifest.config, &manifest.layers);
                    of.unpacked.contains(&config.digest)
                        || layers.iter().all(has) && (has(config) || !layers.is_empty())
                }
                _ => true,
            },
        }
    }

    /// What the config says, where the index does not.
    fn platform_of(&self, manifest: &Descriptor) -> Option<Platform> {
        let json = self.reader.manifest(manifest).ok()?;
        let Ok(Parsed::Manifest(manifest)) = json.parsed() else { return None };
        let config = self.reader.try_json(&blob(manifest.config.digest)).ok()??;
        Platform::from_json(config.raw()).ok().filter(|platform| !platform.os.is_empty())
    }

    /// Adds an image that no document names, unless it is here already.
    pub(super) fn add_found(&mut self, what: What, names: ImageNames) {
        if let Ok(Identity::Image { id }) = image::identify(self.reader, &what)
            && !self.contents.by_id.contains_key(&id.hex())
        {
            self.add(what, names, true);
        }
    }

    /// Whether an image of containerd is listed elsewhere.
    pub(super) fn is_known(&self, id: &str) -> bool {
        self.of.is_some_and(|of| of.known.contains(id))
    }

    /// Whether an image of this id is among them.
    pub(super) fn has(&self, id: &str) -> bool {
        self.contents.image(id).is_some()
    }

    /// Reports the unreadable parts of a line that leads to an image nevertheless.
    pub(super) fn note(&mut self, document: &'static str, odd: &[Odd]) {
        for Odd { why, names } in odd {
            match names {
                true => self.lose(self.reader.malformed(document, why)),
                false => {
                    let path = self.reader.files().join(document);
                    self.contents.notices.push(Notice::new(path, format!("{why}; it is not needed")));
                }
            }
        }
    }

    /// Notes what is odd.
    pub(super) fn notice(&mut self, notice: Option<Notice>) {
        self.contents.notices.extend(notice);
    }

    /// Notes what was lost, as a whole.
    pub(super) fn lose(&mut self, error: Error) {
        self.contents.lost.push(error);
    }

    pub(super) fn add(&mut self, what: What, names: ImageNames, listed: bool) -> ImageKey {
        let digests = match &what {
            What::Manifest(descriptor) => vec![descriptor.digest],
            What::Files { .. } => Vec::new(),
        };
        let mut config = None;
        let (id, listed, error) = match (image::identify(self.reader, &what), &what) {
            (Ok(Identity::Image { id }), What::Manifest(descriptor)) if self.of.is_some() => {
                config = Some(id);
                (descriptor.digest.hex(), listed, None)
            }
            (Ok(Identity::Image { id }), _) => {
                config = Some(id);
                (id.hex(), listed, None)
            }
            (Ok(Identity::Artifact { kind, config }), _) => {
                self.artifacts.extend(config);
                let what = format!("{} is not an image but an artifact ({kind})", digests[0]);
                let error = Error::unsupported(what, "tools that know its kind can read it");
                (digests[0].hex(), false, Some(error))
            }
            // A request for the image gives this error.
            (Err(_), What::Manifest(descriptor)) => (descriptor.digest.hex(), listed, None),
            (Err(_), What::Files { config, .. }) => (id_in_name(config), listed, None),
        };
        let key = self.keys.image(self.of.map_or("", |of| &of.namespace), &id);
        if let Some(&at) = self.contents.by_id.get(&id) {
            let image = &mut self.contents.images[at];
            image.names.append(names);
            // One manifest with many names is one way.
            let known = !digests.is_empty() && digests.iter().all(|digest| image.digests.contains(digest));
            image.listed |= listed;
            image.preferred |= listed;
            if known {
                return key;
            }
            image.digests.extend(digests);
            image.ways.push(what);
            return key;
        }
        self.contents.push(LayoutImage {
            id,
            config,
            ways: vec![what],
            error,
            names,
            digests,
            listed,
            preferred: listed,
        });
        key
    }

    /// Adds something that cannot be an image, under an id that stands for it.
    pub(super) fn add_error(&mut self, id: String, names: ImageNames, error: Error, listed: bool) {
        self.contents.push(LayoutImage {
            id,
            config: None,
            ways: Vec::new(),
            error: Some(error),
            names,
            digests: Vec::new(),
            listed,
            preferred: listed,
        });
    }
}

impl LayoutImage {
    pub(super) fn has_manifest(&self) -> bool {
        self.ways.iter().any(|way| matches!(way, What::Manifest(_)))
    }
}

/// An id for an image whose config is missing.
pub(super) fn id_in_name(config: &str) -> String {
    let name = clean(config).unwrap_or_else(|| config.to_owned());
    let stem = name.strip_suffix(".json").unwrap_or(&name);
    let last = stem.rsplit('/').next().unwrap_or_default();
    Digest::from_hex(last).unwrap_or_else(|| Digest::of(config.as_bytes())).hex()
}
