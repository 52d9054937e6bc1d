//! The distinct layers of the images: how many bytes each has, and what must happen before they can be written.

mod compressed;
pub(crate) mod computed;

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;

use layerlift_archive::{Compression, Content, Digest, Explanation};
use layerlift_store::{BlobLayer, DiffId, Image, Layer, LayerKey, LayerTar, Store};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use self::compressed::CompressedBlob;
use crate::format::Blob;
use crate::{Error, Format, LayerCompression};

/// A distinct layer.
pub(crate) struct Planned {
    pub(crate) key: LayerKey,
    /// How often images have it.
    pub(crate) uses: usize,
    /// Whether an image's documents need its digest.
    pub(crate) needs_digest: bool,
    pub(crate) state: State,
}

/// How far a layer is.
pub(crate) enum State {
    /// Its length is known; its digest perhaps.
    Measured(Blob),
    /// It has no length before its bytes have been produced.
    Unmeasured(LayerTar),
    /// It cannot be read, and no image that stays has it.
    Damaged,
}

impl Planned {
    /// Length of the layer's tar in bytes, if known.
    pub(crate) fn len(&self) -> Option<u64> {
        match &self.state {
            State::Measured(blob) => Some(blob.content.len()),
            State::Unmeasured(_) | State::Damaged => None,
        }
    }

    /// What can go into a tree; `None` while something has to be done first.
    pub(crate) fn ready(&self) -> Option<&Blob> {
        match &self.state {
            State::Measured(blob)
                if blob.digest.is_some() && blob.diff_id.is_some() || !self.needs_digest =>
            {
                Some(blob)
            }
            State::Measured(_) | State::Unmeasured(_) | State::Damaged => None,
        }
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        format!("layer {}", self.key.id)
    }
}

/// The distinct layers of some images, in the order of their first use.
#[derive(Default)]
pub(crate) struct Distinct {
    pub(crate) keys: Vec<LayerKey>,
    /// The digest that an image names for each.
    pub(crate) recorded: Vec<Option<DiffId>>,
    places: HashMap<LayerKey, usize>,
}

impl Distinct {
    /// Adds an image's layers; returns where each of them is.
    pub(crate) fn add(&mut self, image: &Image) -> Vec<usize> {
        let place = |layer: &Layer| {
            *self.places.entry(layer.key.clone()).or_insert_with(|| {
                self.keys.push(layer.key.clone());
                self.recorded.push(layer.diff_id);
                self.keys.len() - 1
            })
        };
        image.layers.iter().map(place).collect()
    }
}

/// Opens layers, in parallel. The results have the order of `keys`.
pub(crate) fn open(store: &dyn Store, keys: &[LayerKey]) -> Vec<Result<LayerTar, Error>> {
    let open = |key| store.layer(key).map_err(|error| Error::from(error).of_layer(&key.id));
    keys.par_iter().map(open).collect()
}

/// The state of a layer that has just been opened. What is compressed stays as it is where the format and the options
/// allow that.
pub(crate) fn state(
    tar: LayerTar,
    recorded: Option<DiffId>,
    format: Format,
    layers: LayerCompression,
) -> State {
    let diff_id = tar.diff_id().or(recorded);
    match tar {
        LayerTar::Blob(layer) if layer.compression != Compression::None => match diff_id {
            Some(id) if format.takes(layer.compression) && layers.keeps(layer.compression) => {
                State::Measured(compressed(layer, id))
            }
            _ => State::Unmeasured(LayerTar::Blob(layer)),
        },
        tar if !layers.keeps(Compression::None) => State::Unmeasured(tar),
        LayerTar::Split(layer) => plain(Arc::new(layer), diff_id),
        LayerTar::Blob(layer) => plain(Arc::new(layer.stored), diff_id),
        tar @ LayerTar::Diff(_) => State::Unmeasured(tar),
    }
}

fn plain(content: Arc<dyn Content>, diff_id: Option<DiffId>) -> State {
    State::Measured(Blob::plain(expecting(content, diff_id.map(|id| id.0)), diff_id))
}

/// A compressed layer that goes into the archive as it is: its own digest is checked by whoever writes it, that of the
/// tar in it while it passes.
fn compressed(layer: BlobLayer, diff_id: DiffId) -> Blob {
    let BlobLayer { stored, compression, .. } = &layer;
    let (digest, compression) = (stored.digest, *compression);
    Blob { content: Arc::new(CompressedBlob { layer, diff_id }), compression, digest, diff_id: Some(diff_id) }
}

/// A content that is checked against a digest that it does not name itself.
pub(crate) fn expecting(content: Arc<dyn Content>, digest: Option<Digest>) -> Arc<dyn Content> {
    match digest {
        Some(digest) if content.digest() != Some(digest) => Arc::new(Expecting { content, digest }),
        _ => content,
    }
}

struct Expecting {
    content: Arc<dyn Content>,
    digest: Digest,
}

impl Content for Expecting {
    fn len(&self) -> u64 {
        self.content.len()
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.digest)
    }

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        self.content.raw_reader()
    }

    fn explain(&self) -> Option<Explanation> {
        self.content.explain()
    }
}
