//! The distinct layers of the images: how long they are, and what comes before they can be written.

mod compressed;
pub(crate) mod computed;
mod expecting;
pub(crate) mod in_turn;
pub(crate) mod odd;
mod open;
mod packed;
mod padding;

use std::collections::HashMap;
use std::sync::Arc;

use layerlift_archive::{Compression, CompressionLevel, Content, Digest};
use layerlift_store::{
    BlobLayer, DiffId, DiffLayer, Document, Fault, Image, Layer, LayerKey, LayerTar, Notice, Requirement,
    Store,
};

use self::compressed::CompressedBlob;
use self::expecting::expecting;
pub(crate) use self::open::{measure, open};
use crate::partial::other_side::Held;
use crate::{Error, Format, Options};

/// A layer of one or several images.
pub(crate) struct PlannedLayer {
    /// Its id in the store, or for a layer that no store has a record of, what messages call it.
    pub(crate) id: String,
    /// What messages call it.
    pub(crate) called: String,
    /// How often images have it; 0 once all of them are left out.
    pub(crate) uses: usize,
    /// Whether an image's documents need its digest.
    pub(crate) needs_digest: bool,
    /// What is odd about its record.
    pub(crate) notice: Option<Notice>,
    pub(crate) state: State,
    /// That its tar is computed from directories, and was measured.
    computed: Option<DiffLayer>,
    /// How it is packed, if not as the options say: uncompressed, or so.
    pub(crate) packed: Option<Option<CompressionLevel>>,
    /// The blob that the image names, where another archive has the layer.
    pub(crate) wanted: Option<Digest>,
    /// That it is left out: what the other side has of it.
    pub(crate) omitted: Option<Held>,
    /// Where it came from; only for a salvage.
    pub(crate) origin: Option<Origin>,
}

/// A layer of a store.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) key: LayerKey,
    /// `None` if it cannot be opened.
    pub(crate) tar: Option<LayerTar>,
    /// The recorded digest of its tar.
    pub(crate) diff_id: Option<DiffId>,
}

/// What is known of a layer.
pub(crate) enum State {
    /// Its length, perhaps its digest.
    Measured(Measured),
    /// It has no length before its bytes have been produced.
    Unmeasured(LayerTar),
    /// It cannot be opened; no image that stays has it.
    Unreadable,
}

/// A layer on its way into an archive: its tar, plain or compressed.
#[derive(Clone)]
pub(crate) struct Measured {
    /// `None` if the bytes are left out on purpose.
    pub(crate) content: Option<Arc<dyn Content>>,
    /// Bytes of the content.
    pub(crate) len: u64,
    pub(crate) compression: Compression,
    /// The digest of the content. Known, like the diff id, where [`crate::Format::needs_digests`].
    pub(crate) digest: Option<Digest>,
    /// The digest of the plain tar.
    pub(crate) diff_id: Option<DiffId>,
    /// What the blob has lost on the way.
    pub(crate) unpadded: Option<Unpadded>,
}

/// A blob without the zeros behind its compressed stream.
#[derive(Clone, Copy)]
pub(crate) struct Unpadded {
    /// How many they were.
    pub(crate) zeros: u64,
    /// The digest of the blob with them, where the store has it.
    pub(crate) stored: Option<Digest>,
}

impl PlannedLayer {
    /// A layer that has just been opened, or could not be.
    pub(crate) fn new(id: &str, tar: Option<LayerTar>, recorded: Option<DiffId>, options: &Options) -> Self {
        let state = |tar| State::of(tar, recorded, options);
        PlannedLayer::of(id, tar, state)
    }

    fn of(id: &str, tar: Option<LayerTar>, state: impl FnOnce(LayerTar) -> State) -> Self {
        let notice = tar.as_ref().and_then(|tar| tar.notice().cloned());
        let computed = match &tar {
            Some(LayerTar::Diff(layer)) if layer.measured_len().is_some() => Some(layer.clone()),
            _ => None,
        };
        let state = tar.map_or(State::Unreadable, state);
        let (id, called) = (id.to_owned(), id.to_owned());
        PlannedLayer {
            id,
            called,
            uses: 0,
            needs_digest: false,
            notice,
            state,
            computed,
            packed: None,
            wanted: None,
            omitted: None,
            origin: None,
        }
    }

    /// Bytes that it takes in the archive, if known.
    pub(crate) fn len(&self) -> Option<u64> {
        match &self.state {
            State::Measured(layer) if layer.content.is_none() => Some(0),
            State::Measured(layer) => Some(layer.len),
            State::Unmeasured(_) | State::Unreadable => None,
        }
    }

    /// The layer, if its image's documents can be made and it can be written; `None` while something comes
    /// first.
    pub(crate) fn ready(&self) -> Option<&Measured> {
        match &self.state {
            State::Measured(layer) if layer.is_hashed() || !self.needs_digest => Some(layer),
            State::Measured(_) | State::Unmeasured(_) | State::Unreadable => None,
        }
    }

    /// Whether it is read before the archive is written; `all` are, if they are to be checked first.
    pub(crate) fn is_read_first(&self, all: bool) -> bool {
        match &self.state {
            State::Measured(layer) => layer.content.is_some() && (all || self.ready().is_none()),
            State::Unmeasured(_) => true,
            State::Unreadable => false,
        }
    }

    /// Bytes of its tar that a first pass reads, if known.
    pub(crate) fn first_pass_len(&self) -> Option<u64> {
        match &self.state {
            State::Unmeasured(tar) => tar.tar_len(),
            State::Measured(_) | State::Unreadable => self.len(),
        }
    }

    /// Drops the bytes of a layer that is left out, unless it has to be hashed for a document.
    pub(crate) fn omit(&mut self) {
        if self.omitted.is_none() {
            return;
        }
        match &mut self.state {
            State::Measured(layer) if layer.is_hashed() || !self.needs_digest => layer.content = None,
            State::Unmeasured(tar) if !self.needs_digest => {
                self.state = State::Measured(Measured::absent(None, 0, Compression::None, tar.diff_id()));
            }
            State::Measured(_) | State::Unmeasured(_) | State::Unreadable => {}
        }
    }

    pub(crate) fn into_measured(self) -> Option<Measured> {
        match self.state {
            State::Measured(layer) => Some(layer),
            State::Unmeasured(_) | State::Unreadable => None,
        }
    }

    /// What turned out to be odd while it was measured or spooled.
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Notice> {
        self.computed().into_iter().flat_map(DiffLayer::findings)
    }

    /// What changed or could not be read while it was spooled.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = Error> {
        let found = self.computed().map_or(&[][..], DiffLayer::faults_met).iter();
        let error = |fault: &Fault| match fault {
            Fault::Changed(path) => Some(Error::FileChanged { path: path.clone() }),
            Fault::LeftOut(error) => Some(Error::FileLeftOut { source: Box::new(error.clone().into()) }),
            Fault::ZerosInstead(error) => {
                Some(Error::ZerosInstead { source: Box::new(error.clone().into()) })
            }
            _ => None,
        };
        found.filter_map(error)
    }

    /// The directories that its tar is computed from; `None` if the tar is the recorded one.
    pub(crate) fn computed(&self) -> Option<&DiffLayer> {
        match &self.state {
            State::Unmeasured(tar) => tar.computed(),
            State::Measured(_) => self.computed.as_ref(),
            State::Unreadable => None,
        }
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        format!("layer {}", self.called)
    }
}

impl State {
    /// A layer that has to become a certain blob.
    fn packed(tar: LayerTar, to: Option<CompressionLevel>, diff_id: Option<DiffId>) -> State {
        match (tar, to) {
            (LayerTar::Split(layer), None) => State::Measured(Measured::plain(Arc::new(layer), diff_id)),
            (LayerTar::Diff(layer), None) => State::computed(layer),
            (tar, _) => State::Unmeasured(tar),
        }
    }

    /// A layer whose tar is computed: it has no recorded digest that it must have, even if its image names
    /// one.
    fn computed(layer: DiffLayer) -> State {
        match layer.tar() {
            Some(tar) => State::Measured(Measured::plain(Arc::new(tar), None)),
            None => State::Unmeasured(LayerTar::Diff(layer)),
        }
    }

    /// A compressed layer stays as it is where the format and the options allow that.
    pub(crate) fn of(tar: LayerTar, recorded: Option<DiffId>, options: &Options) -> State {
        let (format, layers) = (options.format, options.layers);
        let diff_id = tar.diff_id().or(recorded);
        match tar {
            LayerTar::Blob(layer) if layer.compression != Compression::None => match diff_id {
                Some(id) if layers.keeps(layer.compression, format) => {
                    State::Measured(Measured::compressed(layer, id, options))
                }
                _ => State::Unmeasured(LayerTar::Blob(layer)),
            },
            tar if !layers.keeps(Compression::None, format) => match options.blob_there(diff_id) {
                Some(there) => State::Measured(Measured::absent(
                    Some(there.digest),
                    there.size,
                    there.compression,
                    diff_id,
                )),
                None => State::Unmeasured(tar),
            },
            LayerTar::Split(layer) => State::Measured(Measured::plain(Arc::new(layer), diff_id)),
            LayerTar::Blob(layer) => State::Measured(Measured::plain(Arc::new(layer.stored), diff_id)),
            LayerTar::Diff(layer) => State::computed(layer),
        }
    }
}

/// The blob of a layer of an image whose manifest stays, if the format can hold it: nothing of it changes,
/// and its own digest is enough to prove it.
pub(crate) fn as_stored(tar: LayerTar, recorded: Option<DiffId>, options: &Options) -> State {
    match tar {
        LayerTar::Blob(layer) if options.layers.keeps_blobs() && options.format.takes(layer.compression) => {
            let (compression, diff_id) = (layer.compression, layer.diff_id.or(recorded));
            match (layer.digest(), diff_id) {
                // Only a label says that the other blob has this tar.
                _ if layer.notice.is_some() => match diff_id {
                    Some(id) if compression != Compression::None => {
                        State::Measured(Measured::compressed(layer, id, options))
                    }
                    _ => State::of(LayerTar::Blob(layer), recorded, options),
                },
                (Some(digest), Some(id)) => State::Measured(Measured {
                    len: layer.stored.len,
                    content: Some(match options.checks_diff_ids() && compression != Compression::None {
                        true => Arc::new(CompressedBlob { layer, diff_id: id, padding: 0 }),
                        false => Arc::new(layer.stored),
                    }),
                    compression,
                    digest: Some(digest),
                    diff_id,
                    unpadded: None,
                }),
                _ => State::of(LayerTar::Blob(layer), recorded, options),
            }
        }
        tar => State::of(tar, recorded, options),
    }
}

impl Measured {
    /// A plain tar: its digest is its diff id.
    pub(crate) fn plain(content: Arc<dyn Content>, diff_id: Option<DiffId>) -> Self {
        let digest = diff_id.map(|id| id.0);
        let len = content.len();
        let content = Some(expecting(content, digest));
        Measured { content, len, compression: Compression::None, digest, diff_id, unpadded: None }
    }

    /// A compressed blob that is copied: the output checks its digest. Its reader checks the diff id as well,
    /// if the blob has no digest, if only a label says that it has this tar, or if that is asked for. Without
    /// its padding it has a digest that is not known yet.
    fn compressed(layer: BlobLayer, diff_id: DiffId, options: &Options) -> Self {
        let (compression, stored, zeros) = (layer.compression, layer.digest(), padding::of(&layer));
        let is_proved = stored.is_some() && zeros == 0 && layer.notice.is_none();
        let content: Arc<dyn Content> = match is_proved && !options.checks_diff_ids() {
            true => Arc::new(layer.stored),
            false => Arc::new(CompressedBlob { layer, diff_id, padding: zeros }),
        };
        let (len, digest) = (content.len(), content.digest());
        let unpadded = (zeros > 0).then_some(Unpadded { zeros, stored });
        Measured { content: Some(content), len, compression, digest, diff_id: Some(diff_id), unpadded }
    }

    /// A layer that is left out.
    pub(crate) fn absent(
        digest: Option<Digest>,
        len: u64,
        compression: Compression,
        diff_id: Option<DiffId>,
    ) -> Self {
        Measured { content: None, len, compression, digest, diff_id, unpadded: None }
    }

    /// A layer that a partial archive lacks, and the other side has: as its documents describe it. `None` if
    /// the archive to be written would have other bytes of it.
    fn of_requirement(required: &Requirement, of_manifest: bool, options: &Options) -> Option<Self> {
        let compression = packed::compression(required);
        let (format, layers) = (options.format, options.layers);
        let as_stored = of_manifest && layers.keeps_blobs() && format.takes(compression);
        let needs_nothing = format == Format::DockerV1 && required.id.is_some();
        let stays = needs_nothing || layers.keeps(compression, format) || as_stored;
        let known = needs_nothing || required.digest.and(required.size).and(required.diff_id).is_some();
        let len = required.size.unwrap_or(0);
        (stays && known).then(|| Measured::absent(required.digest, len, compression, required.diff_id))
    }

    /// The same layer once its content has been hashed: the output checks that its bytes are still the same.
    pub(crate) fn hashed(self, digest: Digest) -> Self {
        Measured {
            content: self.content.map(|content| expecting(content, Some(digest))),
            digest: Some(digest),
            diff_id: self.diff_id.or(Some(DiffId(digest))),
            ..self
        }
    }

    fn is_hashed(&self) -> bool {
        self.digest.is_some() && self.diff_id.is_some()
    }
}

/// The distinct layers of some images, in the order of their first use.
#[derive(Default)]
pub(crate) struct Distinct {
    pub(crate) layers: Vec<Layer>,
    /// Whether it belongs to an image that is known by its manifest, which names the blob of the layer.
    of_manifest: Vec<bool>,
    /// Whether its id is that of a v1 image.
    of_v1: Vec<bool>,
    /// The flag is part of the key: a blob that one manifest describes wrongly can be a sound layer of
    /// another image.
    places: HashMap<(LayerKey, bool, Option<Digest>), usize>,
}

impl Distinct {
    /// Adds an image's layers; returns where each of them is. `keep` is for an image whose manifest is to
    /// stay, though the store does not know the image by it.
    pub(crate) fn add(&mut self, image: &Image, keep: bool) -> Vec<usize> {
        let of_manifest = keep || image.own_manifest().is_some();
        let of_v1 = matches!(image.document, Document::V1(_));
        let place = |layer: &Layer| {
            let wanted = layer.wanted.as_ref().and_then(|required| required.digest);
            *self.places.entry((layer.key.clone(), layer.lost.is_some(), wanted)).or_insert_with(|| {
                self.layers.push(layer.clone());
                self.of_manifest.push(of_manifest);
                self.of_v1.push(of_v1);
                self.layers.len() - 1
            })
        };
        image.layers.iter().map(place).collect()
    }

    /// Opens all of them. The errors are by place.
    pub(crate) fn plan(
        self,
        store: &dyn Store,
        options: &Options,
    ) -> (Vec<PlannedLayer>, Vec<(usize, Error)>) {
        let mut errors = Vec::new();
        let mut layers = Vec::with_capacity(self.layers.len());
        let opened = open::open_measured(store, &self.layers, options);
        let other_side = &options.other_side;
        let kinds = self.of_manifest.into_iter().zip(self.of_v1);
        for ((layer, (of_manifest, of_v1)), tar) in self.layers.iter().zip(kinds).zip(opened) {
            let Layer { key, diff_id: recorded, .. } = layer;
            let recorded = *recorded;
            let v1_id = (of_v1 && options.format == Format::DockerV1).then(|| key.id());
            // A tar that is computed may have other bytes than the recorded ones; the first pass shows it.
            let kept = recorded.filter(|_| !matches!(tar, Ok(LayerTar::Diff(_))));
            let mut omitted = other_side.find(Some(key), v1_id, kept).cloned();
            let required = layer.left_out.as_ref().filter(|_| omitted.is_some());
            if let Some(absent) =
                required.and_then(|required| Measured::of_requirement(required, of_manifest, options))
            {
                let planned = PlannedLayer::new(key.id(), None, recorded, options);
                let (state, called) = (State::Measured(absent), store.layer_name(key));
                layers.push(PlannedLayer { state, called, omitted, ..planned });
                continue;
            }
            let tar = tar.map_err(|error| errors.push((layers.len(), error))).ok();
            let origin = options.salvage.then(|| {
                let diff_id = recorded.or(tar.as_ref().and_then(LayerTar::diff_id));
                Origin { key: key.clone(), tar: tar.clone(), diff_id }
            });
            let wanted = layer.wanted.as_ref().zip(tar.as_ref());
            let packed = wanted.and_then(|(wanted, tar)| packed::packed_as(tar, wanted, recorded, options));
            let wanted = layer.wanted.as_ref().and_then(|wanted| wanted.digest);
            let layer = match of_manifest {
                _ if packed.is_some() => {
                    let to = packed.flatten();
                    let state = |tar| State::packed(tar, to, recorded);
                    PlannedLayer { packed, wanted, ..PlannedLayer::of(key.id(), tar, state) }
                }
                true => PlannedLayer::of(key.id(), tar, |tar| as_stored(tar, recorded, options)),
                false => PlannedLayer::new(key.id(), tar, recorded, options),
            };
            if let State::Measured(Measured { digest: Some(digest), .. }) = &layer.state {
                omitted = omitted.or_else(|| other_side.find_blob(*digest).cloned());
            }
            layers.push(PlannedLayer { origin, omitted, called: store.layer_name(key), ..layer });
        }
        (layers, errors)
    }
}
