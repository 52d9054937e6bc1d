//! What a partial archive says of the layers that it leaves out.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use layerlift_archive::{Digest, Entry};
use layerlift_store::{DiffId, Needs, Requirements};

use super::other_side::Held;
use crate::format::Documents;
use crate::layers::Measured;

/// What an export leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Omission {
    /// Number of distinct layers.
    pub layers: usize,
    /// The bytes that they would take, as far as that is known.
    pub bytes: u64,
    /// Which images have them, in words.
    pub needs: Needs,
}

impl From<&Requirements> for Omission {
    fn from(required: &Requirements) -> Self {
        Omission {
            layers: required.layers.len(),
            bytes: required.layers.iter().filter_map(|layer| layer.size).sum(),
            needs: Needs::of(&required.layers),
        }
    }
}

/// The layers of some images that are left out. `layers` has those of the plan by their places: what the
/// other side has of each that is left out, and what is known of it.
pub(crate) fn of<'l>(
    images: &[(&Documents, &[usize])],
    layers: impl Fn(usize) -> Option<(&'l Held, &'l Measured)>,
) -> Requirements {
    let written: HashSet<Digest> =
        images.iter().flat_map(|(documents, _)| documents.written_layers()).collect();
    let mut seen = HashSet::new();
    let mut required = Vec::new();
    for (documents, places) in images {
        for (layer, &index) in documents.absent_layers().into_iter().zip(*places) {
            let Some((layer, (held, measured))) = layer.zip(layers(index)) else { continue };
            let is_written = layer.digest.is_some_and(|digest| written.contains(&digest));
            if is_written || !seen.insert((layer.digest, layer.id.clone())) {
                continue;
            }
            let size = (measured.len > 0).then_some(measured.len);
            let diff_id = layer.diff_id.or(measured.diff_id);
            let of = held.of.iter().map(|name| name.to_string()).collect();
            let mut layer = layer.with_size(size).with_images(of);
            layer.diff_id = diff_id;
            required.push(layer);
        }
    }
    Requirements::new(required)
}

/// The document as an entry of an archive, if there is anything to say.
pub(crate) fn entry(required: &Requirements) -> Option<Entry> {
    (!required.is_empty()).then(|| Entry::bytes(Requirements::FILE, 0, required.to_json()))
}

/// Layers that, once they are hashed, turn out to be the same as others that are left out.
pub(crate) fn same_as_omitted(
    layers: &[Option<Measured>],
    omitted: &BTreeMap<usize, Held>,
) -> BTreeMap<usize, Held> {
    let diff_id = |index: usize| layers.get(index)?.as_ref()?.diff_id;
    let known: BTreeMap<DiffId, &Held> =
        omitted.iter().filter_map(|(&index, held)| Some((diff_id(index)?, held))).collect();
    let places: BTreeSet<usize> = (0..layers.len()).filter(|index| !omitted.contains_key(index)).collect();
    places.into_iter().filter_map(|index| Some((index, (*known.get(&diff_id(index)?)?).clone()))).collect()
}
