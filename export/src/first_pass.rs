//! The first pass: spools layers that have no length, hashes those that have no digest, and with `keep_going`
//! checks all.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use layerlift_archive::{Check, Digest, Error as ArchiveError, Options, Spools};
use layerlift_store::LayerTar;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::layers::{Measured, PlannedLayer, State, computed, in_turn};
use crate::partial;
use crate::partial::other_side::Held;
use crate::{Error, Warning};

/// Layers after the first pass, by their places; `None` if it is bad, or in no image.
pub(crate) type Passed = Vec<Option<Measured>>;

/// What the other side has of layers that are left out, by their places.
pub(crate) type Omitted = BTreeMap<usize, Held>;

/// What is wrong with bad layers, by their places.
pub(crate) type Bad = Vec<(usize, Error)>;

/// What is known of layers after the first pass.
pub(crate) struct First {
    pub(crate) layers: Passed,
    pub(crate) omitted: Omitted,
    pub(crate) bad: Bad,
    /// What could not be read of layers that are not bad.
    pub(crate) missed: Vec<Error>,
    /// What is odd about layers that are not bad.
    pub(crate) odd: Vec<Warning>,
}

/// Spools and hashes.
pub(crate) fn first_pass(
    layers: Vec<PlannedLayer>,
    chosen: &crate::Options,
    options: &Options<'_>,
) -> Result<First, Error> {
    let mut bad = Vec::new();
    let mut spooled = Vec::new();
    for (index, result) in spool(&layers, chosen, options) {
        spooled.push((index, keep(result, index, &mut bad)?));
    }
    let mut odd: Vec<Warning> = layers.iter().flat_map(PlannedLayer::findings).map(Warning::from).collect();
    // Several layers of a store may have the same one.
    let mut seen = HashSet::new();
    odd.retain(|warning| seen.insert(warning.to_string()));
    let missed = layers.iter().flat_map(PlannedLayer::left_out).collect();
    let wanted: Vec<Option<Digest>> = layers.iter().map(|layer| layer.wanted).collect();
    let ids: Vec<String> = layers.iter().map(|layer| layer.id.clone()).collect();
    let checked = check(&layers, chosen.checks_first(), options);
    let mut omitted = Omitted::new();
    for (index, layer) in layers.iter().enumerate() {
        omitted.extend(layer.omitted.clone().map(|held| (index, held)));
    }
    let mut passed: Passed = layers.into_iter().map(PlannedLayer::into_measured).collect();
    for (index, layer) in spooled {
        let wanted = wanted[index].zip(layer.as_ref().and_then(|layer| layer.digest));
        if let Some((old, new)) = wanted.filter(|(old, new)| old != new) {
            odd.push(Warning::OtherBlobDigest { layer: ids[index].clone(), old, new });
        }
        passed[index] = layer;
    }
    for (index, result) in checked {
        let digest = keep(result, index, &mut bad)?;
        passed[index] = passed[index].take().zip(digest).map(|(layer, digest)| layer.hashed(digest));
    }
    // Their digests are known only now.
    for (index, layer) in passed.iter().enumerate() {
        let diff_id = layer.as_ref().and_then(|layer| layer.diff_id);
        let held = chosen.other_side.find(None, None, diff_id);
        omitted.extend(held.filter(|_| !omitted.contains_key(&index)).map(|held| (index, held.clone())));
    }
    omitted.extend(partial::required::same_as_omitted(&passed, &omitted));
    omitted.extend(partial::unrecorded::find(&passed, &omitted, &ids, chosen, options)?);
    for &index in omitted.keys() {
        passed[index].iter_mut().for_each(|layer| layer.content = None);
    }
    Ok(First { layers: passed, omitted, bad, missed, odd })
}

/// What succeeded. What failed is bad, unless it ends everything.
pub(crate) fn keep<T>(
    result: Result<T, ArchiveError>,
    index: usize,
    bad: &mut Bad,
) -> Result<Option<T>, Error> {
    match result.map_err(Error::from) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.ends_all() => Err(error),
        Err(error) => {
            bad.push((index, error));
            Ok(None)
        }
    }
}

/// Where layers are spooled.
pub(crate) fn spool_folder(chosen: &crate::Options) -> PathBuf {
    match chosen.temp_dir.as_path() {
        none if none == Path::new("") => std::env::temp_dir(),
        folder => folder.to_owned(),
    }
}

/// Produces layers that have no length: side by side, or if they are compressed or become a part of the
/// output at once, one after another.
pub(crate) fn spool(
    layers: &[PlannedLayer],
    chosen: &crate::Options,
    options: &Options<'_>,
) -> Vec<(usize, Result<Measured, ArchiveError>)> {
    let own = Spools::in_folder(spool_folder(chosen));
    let spools = options.spools.unwrap_or(&own);
    let unmeasured = layers.iter().enumerate().filter_map(|(index, layer)| match &layer.state {
        State::Unmeasured(tar) if layer.uses > 0 => Some((index, layer, tar)),
        _ => None,
    });
    let unmeasured: Vec<(usize, &PlannedLayer, &LayerTar)> = unmeasured.collect();
    let to = |layer: &PlannedLayer| layer.packed.unwrap_or(chosen.layers.target());
    let compressed = unmeasured.iter().any(|(_, layer, _)| to(layer).is_some());
    if compressed || unmeasured.len() < 2 || options.threads == NonZeroUsize::MIN {
        // Each is compressed on all threads.
        return in_turn::spool(layers, spools, chosen, options);
    }
    let spool = |(index, layer, tar): (usize, &PlannedLayer, &LayerTar)| {
        let (name, to) = (layer.name(), to(layer));
        if layer.omitted.is_some() {
            return (index, computed::measure(&name, tar, to, options));
        }
        let begin = |hash| spools.aside(hash);
        let spooled = computed::spool(&name, tar, begin, to, layer.needs_digest, options);
        (index, spooled.map(|(measured, _)| measured))
    };
    in_parallel(options, || unmeasured.into_par_iter().map(spool).collect())
}

/// Hashes layers that have a length and must be hashed.
pub(crate) fn check(
    layers: &[PlannedLayer],
    all: bool,
    options: &Options<'_>,
) -> Vec<(usize, Result<Digest, ArchiveError>)> {
    let mut places = Vec::new();
    let mut contents = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        if let State::Measured(Measured { content: Some(content), .. }) = &layer.state
            && layer.uses > 0
            && layer.is_read_first(all)
        {
            places.push(index);
            contents.push((layer.name(), content));
        }
    }
    let checks: Vec<_> =
        contents.iter().map(|(name, content)| Check { name, content: &***content }).collect();
    places.into_iter().zip(layerlift_archive::check(&checks, options)).collect()
}

/// Runs rayon's work on as many threads as the options say.
pub(crate) fn in_parallel<T: Send>(options: &Options<'_>, work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().num_threads(options.threads.get()).build() {
        Ok(pool) => pool.install(work),
        // The system gives no more threads, so rayon's own pool does it.
        Err(_) => work(),
    }
}
