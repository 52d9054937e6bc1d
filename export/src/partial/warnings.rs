//! Which engines will not take a partial archive, as far as that shows in advance.

use layerlift_store::ChainId;

use super::other_side::{Held, OtherSide};
use crate::layers::{Measured, PlannedLayer};
use crate::{Format, Options, Warning};

/// The layers of a plan, by their places.
pub(crate) trait Layers {
    /// What the other side has of a layer that is left out.
    fn omitted(&self, index: usize) -> Option<&Held>;
    /// What is known of a layer.
    fn measured(&self, index: usize) -> Option<&Measured>;
    /// What messages call it.
    fn id(&self, index: usize) -> &str;
}

impl Layers for [PlannedLayer] {
    fn omitted(&self, index: usize) -> Option<&Held> {
        self[index].omitted.as_ref()
    }

    fn measured(&self, index: usize) -> Option<&Measured> {
        self[index].ready()
    }

    fn id(&self, index: usize) -> &str {
        &self[index].id
    }
}

/// An image: its name, and the places of its layers.
pub(crate) type Named<'d> = (&'d str, &'d [usize]);

/// What is worth knowing about the layers that are left out. `entries` is how many `index.json` has.
pub(crate) fn of(
    images: &[Named<'_>],
    entries: usize,
    layers: &(impl Layers + ?Sized),
    options: &Options,
) -> Vec<Warning> {
    let mut places: Vec<usize> = images.iter().flat_map(|(_, layers)| layers.iter().copied()).collect();
    places.sort_unstable();
    places.dedup();
    places.retain(|&index| layers.omitted(index).is_some());
    if places.is_empty() {
        return Vec::new();
    }
    if options.format == Format::DockerV1 {
        return vec![Warning::PartOfV1];
    }
    let mut warnings = Vec::from_iter((entries > 1).then_some(Warning::SeveralInPart));
    let mut other_blobs = places.into_iter().filter(|&index| has_other_blob(layers, index, options));
    if let Some(first) = other_blobs.next() {
        let (layer, others) = (layers.id(first).to_owned(), other_blobs.count());
        warnings.push(Warning::OtherBlobs { layer, others });
    }
    warnings.extend(images.iter().filter_map(|image| other_stack(*image, layers, &options.other_side)));
    warnings
}

/// Whether the other side is known to have the layer, but not as the blob that the manifest names. What it
/// has from this store was not compressed again, unless this is.
fn has_other_blob(layers: &(impl Layers + ?Sized), index: usize, options: &Options) -> bool {
    let Some(held) = layers.omitted(index) else { return false };
    let stored = if options.layers.keeps_blobs() { &*held.stored_blobs } else { &[] };
    let is_known = !held.blobs.is_empty() || !stored.is_empty();
    let blob = layers.measured(index).and_then(|measured| measured.digest);
    is_known && blob.is_some_and(|blob| !held.blobs.contains(&blob) && !stored.contains(&blob))
}

/// An image of which a layer is left out that the other side has on top of other layers.
fn other_stack(
    (name, places): Named<'_>,
    layers: &(impl Layers + ?Sized),
    other_side: &OtherSide,
) -> Option<Warning> {
    let mut chain = None;
    let mut found: Option<(String, usize)> = None;
    for &index in places {
        let diff_id = layers.measured(index).and_then(|measured| measured.diff_id)?;
        let next = ChainId::new(chain, diff_id);
        let is_stacked = layers.omitted(index).is_some_and(|held| !held.is_loose);
        if is_stacked && !other_side.may_have_stack(next, diff_id) {
            let first = || (layers.id(index).to_owned(), 0);
            found = Some(found.map_or_else(first, |(first, others)| (first, others + 1)));
        }
        chain = Some(next);
    }
    let (layer, others) = found?;
    Some(Warning::OtherStack { image: name.to_owned(), layer, others })
}
