//! From names to images.

use std::collections::HashMap;

use layerlift_store::{
    Artifact, Broken, ImageKey, ImageSummary, Notice, Platform, Reference, Selected, Store,
};

use crate::Error;

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
    /// The platform that the images were chosen for; by default this machine's.
    pub(crate) platform: Option<Platform>,
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
    /// An empty selection for a platform. `None` is this machine's, or the only one that an index has.
    pub fn new(platform: Option<Platform>) -> Self {
        Selection { platform, ..Selection::default() }
    }

    /// Adds what a name means; of an index, the image for the platform. An image that is not for the
    /// requested platform is [`layerlift_store::Error::NoPlatform`].
    pub fn add(&mut self, store: &dyn Store, selected: &Selected) -> Result<(), Error> {
        let image = selected.choose(store, self.platform.as_ref())?;
        self.images.push(Chosen { image, reference: selected.reference.clone() });
        Ok(())
    }
}

/// Looks names up and chooses the images for a platform. The first one that is not found is the error.
pub fn select(
    store: &dyn Store,
    names: &[impl AsRef<str>],
    platform: Option<&Platform>,
) -> Result<Selection, Error> {
    let mut selection = Selection::new(platform.cloned());
    for name in names {
        for selected in store.resolve(name.as_ref())? {
            selection.add(store, &selected)?;
        }
    }
    Ok(selection)
}

/// Everything that a store lists, in its order, with all tags. An image that is in several partitions is
/// taken from the first that has all of it.
pub fn select_all(store: &dyn Store, platform: Option<&Platform>) -> Result<Selection, Error> {
    let mut selection = Selection { everything: true, ..Selection::new(platform.cloned()) };
    let listing = store.images()?.on(store, platform);
    let mut partitions: HashMap<String, usize> = HashMap::new();
    for image in &listing.images {
        *partitions.entry(image.key.id().to_owned()).or_default() += 1;
    }
    for ImageSummary { key, references, .. } in listing.images {
        let mut image = key;
        if partitions[image.id()] > 1
            && let [selected] = &*store.resolve(image.id())?
        {
            image = selected.choose(store, platform)?;
        }
        let none = references.is_empty().then_some(None);
        let references = references.into_iter().map(Some).chain(none);
        selection.images.extend(references.map(|reference| Chosen { image: image.clone(), reference }));
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

/// Each image once, in the order of the request. One id in two partitions is one image: an archive has no
/// place for two.
pub(crate) fn wanted(
    store: &dyn Store,
    chosen: Vec<Chosen>,
    platform: Option<&Platform>,
    tags: TagPolicy,
) -> Result<Vec<Wanted>, Error> {
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
    if tags == TagPolicy::Keep && !by_id.is_empty() {
        for summary in store.images()?.on(store, platform).images {
            if let Some(&place) = places.get(summary.key.id()).filter(|place| by_id.contains(place)) {
                wanted[place].references.extend(summary.references);
            }
        }
    }
    Ok(wanted)
}

/// What messages call an image.
pub(crate) fn name(key: &ImageKey, references: &[Reference]) -> String {
    match references.first() {
        Some(reference) => reference.to_string(),
        None => key.id().to_owned(),
    }
}
