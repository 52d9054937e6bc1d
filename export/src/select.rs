//! From names to images.

use std::collections::HashMap;

use layerlift_store::{Broken, ImageKey, Reference, Selected, Store, Summary};

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
pub struct Selection {
    /// The images, in the order of the request; one that several names mean comes several times.
    pub images: Vec<Selected>,
    /// What a store lists and cannot read: an error, unless [`crate::Options::keep_going`] leaves it out.
    pub broken: Vec<Broken>,
}

/// Looks all names up; the first that means nothing is the error.
pub fn select(store: &dyn Store, names: &[String]) -> Result<Selection, Error> {
    let mut selection = Selection::default();
    for name in names {
        selection.images.extend(store.resolve(name)?);
    }
    Ok(selection)
}

/// Everything that a store lists, in its order, with all tags. An image that is there under several drivers is taken from
/// the one that has all of it, as if it were named.
pub fn select_all(store: &dyn Store) -> Result<Selection, Error> {
    let listing = store.images()?;
    let mut images = Vec::new();
    let mut drivers: HashMap<String, usize> = HashMap::new();
    for image in &listing.images {
        *drivers.entry(image.key.id.clone()).or_default() += 1;
    }
    for Summary { mut key, references, .. } in listing.images {
        if drivers[&key.id] > 1
            && let [selected] = &*store.resolve(&key.id)?
        {
            key = selected.image.clone();
        }
        let none = references.is_empty().then_some(None);
        let references = references.into_iter().map(Some).chain(none);
        images.extend(references.map(|reference| Selected { image: key.clone(), reference }));
    }
    Ok(Selection { images, broken: listing.broken })
}

/// An image that was asked for, with the names that it was asked for by.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) key: ImageKey,
    pub(crate) references: Vec<Reference>,
}

/// Each image once, in the order of the request. The same id in two drivers' folders is one image: an archive has no
/// place for two.
pub(crate) fn wanted(
    store: &dyn Store,
    selected: Vec<Selected>,
    tags: TagPolicy,
) -> Result<Vec<Wanted>, Error> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut by_id = Vec::new();
    for Selected { image: key, reference } in selected {
        let place = *places.entry(key.id.clone()).or_insert_with(|| {
            wanted.push(Wanted { key, references: Vec::new() });
            wanted.len() - 1
        });
        match reference {
            Some(reference) => wanted[place].references.push(reference),
            None => by_id.push(place),
        }
    }
    if tags == TagPolicy::Keep && !by_id.is_empty() {
        for summary in store.images()?.images {
            if let Some(&place) = places.get(&summary.key.id).filter(|place| by_id.contains(place)) {
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
        None => key.id.clone(),
    }
}
