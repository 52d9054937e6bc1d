//! Layers that the other side has and whose digests have to be computed: stores of Docker 1.5 to 1.9 record
//! none, and a tar that is made from a directory may have another digest than the recorded one. So a layer
//! with the same bytes is recognized even under another id.

use std::collections::{BTreeMap, HashSet};
use std::io;

use layerlift_archive::{Error as ArchiveError, Options};
use layerlift_store::DiffId;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::other_side::Held;
use crate::first_pass::{Omitted, Passed, in_parallel};
use crate::{Error, Format};

/// Layers to be written that turn out to be among them, by their places. `ids` are those of all layers of the
/// export: these were compared already, so only the others are read.
pub(crate) fn find(
    layers: &Passed,
    omitted: &Omitted,
    ids: &[String],
    chosen: &crate::Options,
    options: &Options<'_>,
) -> Result<Omitted, Error> {
    let written = |index: &usize| !omitted.contains_key(index);
    let diff_id = |index: usize| Some((index, layers[index].as_ref()?.diff_id?));
    let written: Vec<(usize, DiffId)> = (0..layers.len()).filter(written).filter_map(diff_id).collect();
    // Docker before 1.10, which loads docker-v1, looks for the ids.
    if written.is_empty() || chosen.format == Format::DockerV1 {
        return Ok(Omitted::new());
    }
    let ids: HashSet<&str> = ids.iter().map(String::as_str).collect();
    let others: Vec<_> = chosen.other_side.unrecorded().filter(|(id, ..)| !ids.contains(id)).collect();
    let hashed: Vec<Option<(DiffId, &Held)>> = in_parallel(options, || {
        let hash = |(_, tar, held): (&str, &layerlift_store::LayerTar, _)| {
            let wanted = !options.observer.cancelled();
            // What cannot be read is not recognized, and the export is right without it.
            wanted.then(|| tar.write_to(&mut io::sink()).ok()).flatten().map(|tar| (tar.diff_id, held))
        };
        others.into_par_iter().map(hash).collect()
    });
    if options.observer.cancelled() {
        return Err(ArchiveError::Cancelled.into());
    }
    let known: BTreeMap<DiffId, &Held> = hashed.into_iter().flatten().collect();
    let same = |(index, diff_id): (usize, DiffId)| Some((index, (*known.get(&diff_id)?).clone()));
    Ok(written.into_iter().filter_map(same).collect())
}
