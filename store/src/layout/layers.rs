//! Where the tar of a layer comes from: its blob, another that takes its place, or what was unpacked of it.

use layerlift_archive::{Compression, Digest, FileRange};

use super::reader::{blob, blob_digest};
use super::search;
use super::store::LayoutStore;
use crate::archive::Place;
use crate::{BlobLayer, ChainId, DiffId, DiffLayer, Error, LayerKey, LayerTar, Notice};

impl LayoutStore {
    /// The tar of a layer.
    pub(super) fn tar(&self, key: &LayerKey) -> Result<LayerTar, Error> {
        let not_found = || Error::not_found(key.id());
        let (name, diff_id, chain) = self.parts(key).ok_or_else(not_found)?;
        let files = self.reader.files();
        let (place, notice) = match files.try_find(name)? {
            Some(place) => (place, None),
            None => match self.stand_in(name, diff_id)? {
                Some((place, notice)) => (place, Some(notice)),
                None => {
                    let blob = blob_digest(name).ok_or_else(not_found)?;
                    return self.rebuilt(blob, diff_id, chain).map(LayerTar::Diff);
                }
            },
        };
        let compression = Compression::detect(&files.first::<6>(&place)?);
        let plain = compression == Compression::None;
        let named = blob_digest(&place.name);
        if plain && let Some(named) = named.filter(|named| *named != diff_id.0) {
            let why = format!(
                "it is not compressed in a known way, and its digest {named} is not the diff id {diff_id}"
            );
            return Err(self.reader.malformed(name, why));
        }
        let digest = named.or(plain.then_some(diff_id.0));
        let stored = FileRange { digest, ..place.range };
        let in_place_of = blob_digest(name).filter(|own| notice.is_some() && named != Some(*own));
        let layer = BlobLayer::new(stored, compression, Some(diff_id));
        Ok(LayerTar::Blob(BlobLayer { notice, in_place_of, ..layer }))
    }

    /// The name of a layer's file, its diff id, and if it may have to be rebuilt, its chain id.
    pub(super) fn parts<'k>(&self, key: &'k LayerKey) -> Option<(&'k str, DiffId, Option<ChainId>)> {
        let (name, last) = key.id().rsplit_once('@')?;
        if self.stand_ins.has_snapshots()
            && let Some((name, diff_id)) = name.rsplit_once('@')
        {
            return Some((name, diff_id.parse().ok()?, Some(last.parse().ok()?)));
        }
        Some((name, last.parse().ok()?, None))
    }

    /// Whether nothing but a snapshot can have a layer.
    pub(super) fn needs_snapshot(&self, name: &str, diff_id: DiffId) -> Result<bool, Error> {
        Ok(self.stand_ins.has_snapshots()
            && !self.reader.files().exists(name)?
            && self.stand_in(name, diff_id)?.is_none())
    }

    /// A layer that is rebuilt from what was unpacked of it.
    fn rebuilt(&self, lost: Digest, diff_id: DiffId, chain: Option<ChainId>) -> Result<DiffLayer, Error> {
        let (files, name) = (self.reader.files(), blob(lost));
        let of = format!("layer {diff_id}");
        let without_blob = format!("{of}, whose blob {lost} is missing,");
        let unpacked = chain.map(|chain| self.stand_ins.unpacked(chain, &without_blob)).transpose()?;
        let Some(layer) = unpacked.flatten() else {
            return Err(files.missing(&of, "blob", &lost.to_string(), &name));
        };
        let what = format!("it is missing; {of} is rebuilt from {}", layer.dir.path().display());
        Ok(layer.in_place_of_blob(lost, Notice::new(files.join(&name), what)))
    }

    /// Another blob with the tar of a layer whose own blob is missing, and the notice about it. Or its own
    /// blob, if only another namespace has a record of it.
    fn stand_in(&self, name: &str, diff_id: DiffId) -> Result<Option<(Place, Notice)>, Error> {
        let files = self.reader.files();
        if let Some(place) = files.try_find_hidden(name)? {
            let what = format!("namespace {} has no record of it; the file is taken", self.partition);
            return Ok(Some((place, Notice::new(files.join(name), what))));
        }
        let notice = |other: Digest| {
            let what =
                format!("it is missing; blob {other} has the same layer {diff_id} and takes its place");
            Notice::new(files.join(name), what)
        };
        // A blob that is named by the diff id is the tar itself.
        for other in std::iter::once(diff_id.0).chain(self.stand_ins.labelled(diff_id)) {
            if let Some(place) = search::place(files, other)? {
                return Ok(Some((place, notice(other))));
            }
        }
        let Some(other) = self.stand_ins.found(diff_id, || search::all(files))? else { return Ok(None) };
        Ok(search::place(files, other)?.map(|place| (place, notice(other))))
    }
}
