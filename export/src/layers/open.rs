//! Opens layers, and measures those that are computed from directories.

use layerlift_archive::Compression;
use layerlift_store::{Layer, LayerTar, Store};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::{Error, Options};

/// Opens layers, in parallel. The results have the order of `layers`.
pub(crate) fn open(store: &dyn Store, layers: &[Layer]) -> Vec<Result<LayerTar, Error>> {
    open_each(store, layers, |_, tar| Ok(tar))
}

/// The same for layers that are to be written: their lengths are known, as far as metadata say them.
pub(super) fn open_measured(
    store: &dyn Store,
    layers: &[Layer],
    options: &Options,
) -> Vec<Result<LayerTar, Error>> {
    open_each(store, layers, |layer, tar| match &tar {
        LayerTar::Diff(found) if options.recorded_only && layer.diff_id.is_some() => {
            Err(Error::NotRebuilt { dir: found.dir.path().to_owned() })
        }
        found => measure(found, options).map(|()| tar),
    })
}

fn open_each(
    store: &dyn Store,
    layers: &[Layer],
    then: impl Fn(&Layer, LayerTar) -> Result<LayerTar, Error> + Sync,
) -> Vec<Result<LayerTar, Error>> {
    let open = |layer: &Layer| {
        let opened = match &layer.lost {
            Some(error) => Err(error.clone()),
            None => store.layer(&layer.key),
        };
        let opened = opened.map_err(Error::from).and_then(|tar| then(layer, tar));
        opened.map_err(|error| error.of_layer(&store.layer_name(&layer.key)))
    };
    layers.par_iter().map(open).collect()
}

/// Measures a layer that is computed from directories: a walk that reads no file. A salvage needs no length,
/// since it reads every layer before it decides what becomes of it.
pub(crate) fn measure(tar: &LayerTar, options: &Options) -> Result<(), Error> {
    match tar {
        LayerTar::Diff(layer)
            if !options.salvage && options.layers.keeps(Compression::None, options.format) =>
        {
            Ok(layer.measure().map(drop)?)
        }
        _ => Ok(()),
    }
}
