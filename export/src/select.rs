//! From names to images.

use std::collections::HashMap;

use layerlift_store::{
    Artifact, Broken, Container, ImageKey, ImageSummary, Index, IndexSummary, Notice, Orphan, Platforms,
    Reference, Selected, Store, Subject,
};

use crate::Error;
use crate::artifacts::artifacts_of;

/// Which tags an archive keeps for an image that was named by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagPolicy {
    /// Those that the request named: none for an id, as engines do.
    #[default]
    Named,
    /// All that the store has for it.
    Keep,
}

/// What is to be exported.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Selection {
    /// The images, in the order of the request; one that several names mean comes several times.
    pub images: Vec<Chosen>,
    /// Containers that are saved as images, behind the images.
    pub containers: Vec<ChosenContainer>,
    /// Layers without a record that are saved as images, with those below, behind the containers.
    pub orphans: Vec<ChosenOrphan>,
    /// The indexes from which images were chosen. An archive has an index, too, if it has several of its
    /// images, or attestations.
    pub indexes: Vec<ChosenIndex>,
    /// What is not an image and goes along, where the format can hold it.
    pub artifacts: Vec<Artifact>,
    /// What a store lists and cannot read: an error, unless [`crate::Options::keep_going`] leaves it out.
    pub broken: Vec<Broken>,
    /// What the store had on record and has no longer ([`layerlift_store::Listing::lost`]): an export of
    /// everything is not complete.
    pub lost: Vec<layerlift_store::Error>,
    /// What is odd about the store and was read nevertheless; the plan warns of it.
    pub notices: Vec<Notice>,
    /// Whether it is everything that a store lists, so that nobody asked for a name in particular.
    pub(crate) everything: bool,
    /// The platforms that the images were chosen for.
    pub(crate) platforms: Platforms,
}

/// A layer without a record that is to be saved as an image, and the name of that image.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChosenOrphan {
    /// The layer.
    pub orphan: Orphan,
    /// The name that the image gets; `None` for an image without a name.
    pub reference: Option<Reference>,
}

impl ChosenOrphan {
    /// A layer, and the name that its image gets.
    pub fn new(orphan: Orphan, reference: Option<Reference>) -> Self {
        ChosenOrphan { orphan, reference }
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        format!("orphan {}", self.orphan.short_id())
    }
}

/// A container that is to be saved as an image, and the name of that image.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChosenContainer {
    /// The container.
    pub container: Container,
    /// The name that the image gets; `None` for an image without a name.
    pub reference: Option<Reference>,
}

impl ChosenContainer {
    /// A container, and the name that its image gets.
    pub fn new(container: Container, reference: Option<Reference>) -> Self {
        ChosenContainer { container, reference }
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        let name = self.container.names.first().map_or(self.container.key.id(), String::as_str);
        format!("container {name}")
    }
}

/// An index from which images were chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChosenIndex {
    /// Which index.
    pub index: Index,
    /// The tag to keep for it; `None` when it was named by its id.
    pub reference: Option<Reference>,
    /// The images, the default choice of them first.
    pub images: Vec<ImageKey>,
}

/// An image that was chosen, and the name that it was chosen by.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chosen {
    /// Which image.
    pub image: ImageKey,
    /// The tag to keep for it; `None` when it was named by its id.
    pub reference: Option<Reference>,
}

impl Selection {
    /// An empty selection for some platforms.
    pub fn new(platforms: impl Into<Platforms>) -> Self {
        Selection { platforms: platforms.into(), ..Selection::default() }
    }

    /// Adds the artifacts among what one name means, and returns the rest: in a repository, signatures have
    /// tags of their own and go along with its images. If the name means only one thing, that is returned.
    pub fn add_artifacts(&mut self, store: &dyn Store, found: Vec<Selected>) -> Result<Vec<Selected>, Error> {
        if found.len() < 2 {
            return Ok(found);
        }
        let mut images = Vec::with_capacity(found.len());
        for selected in found {
            let artifacts = artifacts_of(store, &selected)?;
            if artifacts.is_empty() {
                images.push(selected);
            }
            self.artifacts.extend(artifacts);
        }
        Ok(images)
    }

    /// Adds what a name means; for an index, the images for the platforms. An image that is for none of the
    /// requested platforms is [`layerlift_store::Error::NoPlatform`].
    pub fn add(&mut self, store: &dyn Store, selected: &Selected) -> Result<(), Error> {
        let images = selected.choose_all(store, &self.platforms)?;
        let mut reference = selected.reference.clone();
        for image in &images {
            // Engines that do not know indexes take the first one.
            self.images.push(Chosen { image: image.clone(), reference: reference.take() });
        }
        if let Subject::Index(index) = &selected.subject {
            let (index, reference) = (index.clone(), selected.reference.clone());
            self.indexes.push(ChosenIndex { index, reference, images });
        }
        Ok(())
    }
}

/// Looks names up and chooses the images for the platforms; `None` is the usual one. The first name that is
/// not found is the error.
pub fn select(
    store: &dyn Store,
    names: &[impl AsRef<str>],
    platforms: impl Into<Platforms>,
) -> Result<Selection, Error> {
    let mut selection = Selection::new(platforms);
    for name in names {
        let found = store.resolve(name.as_ref())?;
        for selected in selection.add_artifacts(store, found)? {
            selection.add(store, &selected)?;
        }
    }
    Ok(selection)
}

/// Everything that a store lists, in its order, with all tags. An image that is in several partitions is
/// taken from the first that has all of it.
pub fn select_all(store: &dyn Store, platforms: impl Into<Platforms>) -> Result<Selection, Error> {
    let mut selection = Selection { everything: true, ..Selection::new(platforms) };
    let listing = store.images()?;
    let indexes = listing.indexes.clone();
    let listing = listing.on(store, selection.platforms.clone());
    let mut partitions: HashMap<String, usize> = HashMap::new();
    for image in &listing.images {
        *partitions.entry(image.key.id().to_owned()).or_default() += 1;
    }
    for ImageSummary { key, references, .. } in listing.images {
        let mut image = key;
        if partitions[image.id()] > 1
            && let [selected] = &*store.resolve(image.id())?
        {
            image = selected.choose(store, None)?;
        }
        let none = references.is_empty().then_some(None);
        let references = references.into_iter().map(Some).chain(none);
        selection.images.extend(references.map(|reference| Chosen { image: image.clone(), reference }));
    }
    for IndexSummary { index, references, .. } in indexes {
        // Those that have none are broken.
        let Ok(members) = index.choose_some(&selection.platforms) else { continue };
        let images: Vec<ImageKey> = members.into_iter().filter_map(|member| member.image.clone()).collect();
        let none = references.is_empty().then_some(None);
        for reference in references.into_iter().map(Some).chain(none) {
            let (index, images) = (index.clone(), images.clone());
            selection.indexes.push(ChosenIndex { index, reference, images });
        }
    }
    selection.broken = listing.broken;
    selection.artifacts = listing.artifacts;
    selection.lost = listing.lost;
    selection.notices = listing.notices;
    Ok(selection)
}

/// An image that was asked for, with the names that it was asked for by.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) key: ImageKey,
    pub(crate) references: Vec<Reference>,
}

impl Wanted {
    pub(crate) fn id(&self) -> &str {
        self.key.id()
    }
}

/// An index from which images were chosen, with the names by which it was requested.
#[derive(Debug)]
pub(crate) struct WantedIndex {
    pub(crate) index: Index,
    pub(crate) references: Vec<Reference>,
    pub(crate) images: Vec<ImageKey>,
}

impl WantedIndex {
    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        let unnamed = || format!("index {}", self.index.digest);
        let tag = self.references.iter().find(|name| !name.is_digest());
        tag.or(self.references.first()).map_or_else(unnamed, ToString::to_string)
    }
}

/// Each image and each index once, in the order of the request. One id in two partitions is one image: an
/// archive has no place for two.
pub(crate) fn wanted(
    store: &dyn Store,
    (chosen, indexes): (Vec<Chosen>, Vec<ChosenIndex>),
    platforms: &Platforms,
    tags: TagPolicy,
) -> Result<(Vec<Wanted>, Vec<WantedIndex>), Error> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut by_id = Vec::new();
    for Chosen { image: key, reference } in chosen {
        let place = *places.entry(key.id().to_owned()).or_insert_with(|| {
            wanted.push(Wanted { key, references: Vec::new() });
            wanted.len() - 1
        });
        match reference {
            Some(reference) => wanted[place].references.push(reference),
            None => by_id.push(place),
        }
    }
    let mut wanted_indexes: Vec<WantedIndex> = Vec::new();
    for ChosenIndex { index, reference, images } in indexes {
        let place = match wanted_indexes.iter().position(|known| known.index == index) {
            Some(place) => place,
            None => {
                wanted_indexes.push(WantedIndex { index, references: Vec::new(), images: Vec::new() });
                wanted_indexes.len() - 1
            }
        };
        let known = &mut wanted_indexes[place];
        known.references.extend(reference);
        known.images.extend(images.into_iter().filter(|key| !known.images.contains(key)).collect::<Vec<_>>());
    }
    if tags == TagPolicy::Keep && !by_id.is_empty() {
        let listing = store.images()?;
        for summary in &listing.indexes {
            if let Some(known) = wanted_indexes.iter_mut().find(|known| known.index == summary.index) {
                known.references.extend(summary.references.iter().cloned());
            }
        }
        for summary in listing.on(store, platforms.clone()).images {
            if let Some(&place) = places.get(summary.key.id()).filter(|place| by_id.contains(place)) {
                wanted[place].references.extend(summary.references);
            }
        }
    }
    Ok((wanted, wanted_indexes))
}

/// What messages call an image.
pub(crate) fn name(key: &ImageKey, references: &[Reference]) -> String {
    match references.first() {
        Some(reference) => reference.to_string(),
        None => key.id().to_owned(),
    }
}
