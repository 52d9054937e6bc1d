//! Layers without a length, produced one after another: each where the archive will have it, if that is
//! known.
//!
//! ```text
//! blobs/  blobs/sha256/  │ head, layer 1 │ head, layer 2 │ ... │ documents
//! ```
//!
//! The places are known if nothing but layers precedes a layer, and if all of them are there. Where a guess
//! turns out to be wrong, the output copies the layers to where they belong.

use std::collections::HashMap;
use std::sync::Arc;

use layerlift_archive::{Bytes, Content, Digest, Entry, Error as ArchiveError, Options, Spools};

use super::{Measured, PlannedLayer, State, computed};
use crate::format::{Format, oci};

type Spooled = (usize, Result<Measured, ArchiveError>);

/// Produces all layers that have no length.
pub(crate) fn spool(
    layers: &[PlannedLayer],
    spools: &Spools,
    chosen: &crate::Options,
    options: &Options<'_>,
) -> Vec<Spooled> {
    let in_place = is_in_place(chosen);
    if in_place {
        spools.skip(oci::folders().iter().map(Entry::tar_len).sum());
    }
    let mut all = Vec::new();
    let mut there: HashMap<Digest, Measured> = HashMap::new();
    for (index, layer) in layers.iter().enumerate().filter(|(_, layer)| layer.uses > 0) {
        let to = layer.packed.unwrap_or(chosen.layers.target());
        let name = layer.name();
        match &layer.state {
            State::Measured(measured) => {
                let known =
                    measured.digest.is_some_and(|digest| there.insert(digest, measured.clone()).is_some());
                if let Some(content) = measured.content.as_ref().filter(|_| in_place && !known) {
                    spools.skip(entry(content.clone()).tar_len());
                }
            }
            State::Unmeasured(tar) if layer.omitted.is_some() => {
                all.push((index, computed::measure(&name, tar, to, options)));
            }
            State::Unmeasured(tar) => {
                let head = entry(Arc::new(Bytes(Vec::new()))).tar_len();
                let begin = |hash| if in_place { spools.next(head, hash) } else { spools.aside(hash) };
                let spooled = computed::spool(&name, tar, begin, to, layer.needs_digest, options);
                let measured = spooled.map(|(measured, spooled)| {
                    // Layers of the same bytes are one blob.
                    let first = measured.digest.and_then(|digest| there.get(&digest));
                    if let Some(first) = first.filter(|first| first.content.is_some()) {
                        return Measured { content: first.content.clone(), ..measured };
                    }
                    spools.keep(&spooled);
                    if let (Some(ready), Some(diff_id)) = (&chosen.ready, measured.diff_id) {
                        ready.hear(&oci::layer_blob(diff_id, &measured));
                    }
                    there.extend(measured.digest.map(|digest| (digest, measured.clone())));
                    measured
                });
                all.push((index, measured));
            }
            State::Unreadable => {}
        }
    }
    all
}

/// Whether layers come first in the archive, and their documents behind them.
fn is_in_place(chosen: &crate::Options) -> bool {
    let comes_first = match chosen.format {
        Format::DockerArchive => true,
        Format::OciArchive => chosen.puts_layers_first(),
        Format::DockerV1 => false,
    };
    // Lists of what is left out and of what was mended are in front.
    comes_first && chosen.other_side.is_empty() && !chosen.salvage
}

/// An entry of a layer; all of them have names of the same length.
fn entry(content: Arc<dyn Content>) -> Entry {
    Entry::file(oci::path(Digest::of(b"")), 0, content)
}
