//! Everything that a store lists, and what it comes to on one platform.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use layerlift_archive::Digest;

use super::index::check;
use super::{Artifact, Image, ImageKey, Index, Member, Needs, Notice, Platform, Platforms, Selected, config};
use crate::{Document, Error, Reference, Store};

/// What [`crate::Store::images`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// Images, newest first; of the same time by id.
    pub images: Vec<ImageSummary>,
    /// Indexes. Whether their members are among the images is up to the engine: Podman lists them, without
    /// names.
    pub indexes: Vec<IndexSummary>,
    /// Images that others were built on and that have no name, which engines show on request only. A name
    /// leads to them all the same. In no order.
    pub intermediate: Vec<ImageSummary>,
    /// What is not an image: signatures, charts. In the order of the store.
    pub artifacts: Vec<Artifact>,
    /// What cannot be read. It hides nothing else.
    pub broken: Vec<Broken>,
    /// What the store had on record and has no longer: an index that is empty or cut, names. It is not an
    /// image, and what lies beside it is in the lists above.
    pub lost: Vec<Error>,
    /// What is odd and was read nevertheless. Nothing is lost by it.
    pub notices: Vec<Notice>,
    /// What the documents of an archive name, in their order. Empty for a store that has no order.
    pub roots: Vec<Selected>,
    /// The order of names, where some names of an image are those of an index.
    pub(crate) order: Vec<Reference>,
}

/// An image of a listing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImageSummary {
    /// Which one.
    pub key: ImageKey,
    /// Its tags and digests; none for an untagged image.
    pub references: Vec<Reference>,
    /// RFC 3339, as stored.
    pub created: Option<String>,
    /// Bytes of file contents in all layers, as engines count it; `None` where the store does not record it.
    pub size: Option<u64>,
    /// The digest of its manifest, if the list of images has it (containers-storage).
    pub digest: Option<Digest>,
    /// The platform that its config names, if the store reads configs to list its images.
    pub platform: Option<Platform>,
    /// The digest of the manifest that is the image in its store: see [`Image::own_manifest`].
    pub manifest: Option<Digest>,
    /// Number of layers.
    pub layers: usize,
    /// If it was chosen from an index ([`Listing::on`]) and has its names: all images of that index.
    pub members: Vec<Member>,
    /// Layers of it that the archive leaves out on purpose.
    pub needs: Needs,
}

/// An index of a listing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IndexSummary {
    /// Its id: 64 hex digits.
    pub id: String,
    /// Its members.
    pub index: Index,
    /// Its tags.
    pub references: Vec<Reference>,
}

/// Something that could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Broken {
    /// Its id, or the file's name.
    pub what: String,
    /// Names that lead to it.
    pub references: Vec<Reference>,
    /// What is wrong.
    pub error: Error,
    /// Its key, if the store has more of it than its name: perhaps only a layer is lost.
    pub key: Option<ImageKey>,
}

impl Listing {
    /// Puts the images in their order. Those without a valid time come last. Images of one id in several
    /// partitions stay in the given order.
    pub fn new(images: Vec<ImageSummary>, indexes: Vec<IndexSummary>, broken: Vec<Broken>) -> Self {
        let mut listing = Listing { images, indexes, broken, ..Listing::default() };
        listing.sort();
        listing
    }

    /// Puts the images that others were built on among the others, as engines do on request (`images -a`).
    #[must_use]
    pub fn with_intermediate(mut self) -> Self {
        self.images.append(&mut self.intermediate);
        self.sort();
        self
    }

    /// Whether there is nothing, readable or not.
    pub fn is_empty(&self) -> bool {
        let Listing { images, indexes, artifacts, broken, lost, .. } = self;
        images.is_empty()
            && indexes.is_empty()
            && artifacts.is_empty()
            && broken.is_empty()
            && lost.is_empty()
    }

    /// Adds what another part of the store lists.
    pub(crate) fn append(&mut self, more: Listing) {
        let Listing { images, indexes, intermediate, artifacts, broken, lost, notices, roots, order } = more;
        self.images.extend(images);
        self.indexes.extend(indexes);
        self.intermediate.extend(intermediate);
        self.artifacts.extend(artifacts);
        self.broken.extend(broken);
        self.lost.extend(lost);
        self.notices.extend(notices);
        self.roots.extend(roots);
        self.order.extend(order);
        self.sort();
    }

    pub(crate) fn sort(&mut self) {
        let time = |image: &ImageSummary| {
            image.created.as_ref().and_then(|time| time.parse::<jiff::Timestamp>().ok())
        };
        self.images.sort_by_cached_key(|image| (Reverse(time(image)), image.key.id().to_owned()));
    }

    /// Replaces each index by the images that are chosen from it. The first ([`Index::choose_all`]) gets the
    /// names of the index. If platforms are requested, only images for them remain: members of indexes are
    /// left out, and other images are `broken` with [`Error::NoPlatform`], as is an index that has none.
    pub fn on(mut self, store: &dyn Store, platforms: impl Into<Platforms>) -> Self {
        let platforms = &platforms.into();
        let indexes = std::mem::take(&mut self.indexes);
        if !platforms.wanted().is_empty() {
            self.keep_only(store, platforms, &indexes);
        }
        if indexes.is_empty() {
            return self;
        }
        let order = std::mem::take(&mut self.order);
        let order: HashMap<&Reference, usize> =
            order.iter().enumerate().rev().map(|(at, name)| (name, at)).collect();
        let rows = self.images.iter().enumerate();
        let mut places: HashMap<ImageKey, usize> =
            rows.map(|(place, image)| (image.key.clone(), place)).collect();
        // An empty index has nothing that could be lost. It is an error only when it is asked for by its
        // name.
        for IndexSummary { id, index, references } in
            indexes.into_iter().filter(|one| !one.index.members.is_empty())
        {
            let chosen = match index.choose_some(platforms) {
                Ok(chosen) => chosen,
                Err(error) => {
                    let error = match references.first() {
                        Some(name) => error.of_name(name),
                        None => error,
                    };
                    self.broken.push(Broken::new(id, references, error));
                    continue;
                }
            };
            let (mut references, mut members) = (references, index.members.clone());
            for key in chosen.into_iter().filter_map(|member| member.image.clone()) {
                // The first one takes all names.
                let references = std::mem::take(&mut references);
                let members = std::mem::take(&mut members);
                if let Some(&place) = places.get(&key) {
                    add(&mut self.images[place].members, members);
                    let image = &mut self.images[place];
                    if image.references.is_empty() && image.digest.is_some() {
                        image.digest = Some(index.digest);
                    }
                    let named = &mut image.references;
                    add(named, references);
                    named.sort_by_key(|name| order.get(name).copied().unwrap_or(usize::MAX));
                } else if let Some(broken) = self.broken.iter_mut().find(|broken| broken.what == key.id()) {
                    add(&mut broken.references, references);
                } else {
                    match store.image(&key) {
                        Ok(image) if image.first_lost().is_some() => {
                            let lost = image.first_lost().cloned();
                            let broken = lost.map(|error| Broken::new(key.id(), references, error));
                            self.broken.extend(broken.map(|broken| broken.in_part(key)));
                        }
                        Ok(image) => {
                            places.insert(key, self.images.len());
                            let summary = ImageSummary::of(&image, references);
                            self.images.push(ImageSummary { members, ..summary });
                        }
                        Err(error) => {
                            self.broken.push(Broken::new(key.id(), references, error));
                        }
                    }
                }
            }
        }
        self.sort();
        self
    }

    fn keep_only(&mut self, store: &dyn Store, platforms: &Platforms, indexes: &[IndexSummary]) {
        let key = |member: &Member| member.image.clone();
        let chosen = indexes.iter().filter_map(|summary| summary.index.choose_some(platforms).ok()).flatten();
        let chosen: HashSet<ImageKey> = chosen.filter_map(key).collect();
        let members: HashSet<ImageKey> =
            indexes.iter().flat_map(|summary| &summary.index.members).filter_map(key).collect();
        for image in std::mem::take(&mut self.images) {
            match check(store, &image.key, platforms) {
                _ if chosen.contains(&image.key) => self.images.push(image),
                Ok(()) => self.images.push(image),
                Err(Error::NoPlatform { .. })
                    if members.contains(&image.key) && image.references.is_empty() => {}
                Err(error) => {
                    let ImageSummary { key, references, .. } = image;
                    let error = match references.first() {
                        Some(name) => error.of_name(name),
                        None => error,
                    };
                    self.broken.push(Broken::new(key.id(), references, error));
                }
            }
        }
    }
}

impl ImageSummary {
    /// An image with neither time nor size.
    pub fn new(key: ImageKey, references: Vec<Reference>, layers: usize) -> Self {
        ImageSummary {
            key,
            references,
            created: None,
            size: None,
            digest: None,
            platform: None,
            manifest: None,
            layers,
            members: Vec::new(),
            needs: Needs::default(),
        }
    }

    /// From the documents of an image.
    pub(crate) fn of(image: &Image, references: Vec<Reference>) -> Self {
        let created = match &image.document {
            Document::Config { raw, .. } => config::parse(raw).ok().and_then(|config| config.created),
            Document::V1(_) => None,
        };
        let needs = image.needs();
        ImageSummary {
            created,
            needs,
            platform: image.platform(),
            manifest: image.own_manifest().map(|manifest| manifest.digest),
            ..ImageSummary::new(image.key.clone(), references, image.layers.len())
        }
    }
}

impl IndexSummary {
    /// An index with its names.
    pub fn new(id: String, index: Index, references: Vec<Reference>) -> Self {
        IndexSummary { id, index, references }
    }
}

impl Broken {
    /// Something that cannot be read, with the names that lead to it.
    pub fn new(what: impl Into<String>, references: Vec<Reference>, error: Error) -> Self {
        Broken { what: what.into(), references, error, key: None }
    }

    /// The same of an image that the store may have in part.
    pub(crate) fn in_part(self, key: ImageKey) -> Self {
        Broken { key: Some(key), ..self }
    }

    /// Whether it only lacks layers that may be elsewhere: its documents say what they are.
    pub fn only_lacks_layers(&self, store: &dyn Store) -> bool {
        let image = self.key.as_ref().and_then(|key| store.image(key).ok());
        let may_be_elsewhere = |image: Image| {
            image.layers.iter().all(|layer| layer.lost.is_none() || layer.required().is_some())
        };
        image.is_some_and(may_be_elsewhere)
    }

    /// The image, if only layers of it are lost.
    pub fn rest(&self, store: &dyn Store) -> Option<Image> {
        let image = store.image(self.key.as_ref()?).ok()?;
        image.first_lost().is_some().then_some(image)
    }
}

fn add<T: PartialEq>(known: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if !known.contains(&one) {
            known.push(one);
        }
    }
}
