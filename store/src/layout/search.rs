//! Blobs by the tars in them, found by decompressing all blobs: for layers whose own blobs are missing and
//! that no label leads to.

use std::collections::BTreeMap;
use std::io;

use layerlift_archive::{Compression, Content, Decompressor, Digest, Hasher};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::reader::blob;
use crate::archive::{Files, Place};
use crate::{DiffId, Error};

/// The blobs of a store by the digests of their tars. One that cannot be read is left out. Of several with
/// one tar, the first by its digest counts.
pub(super) fn all(files: &Files) -> Result<BTreeMap<DiffId, Digest>, Error> {
    let found: Vec<(DiffId, Digest)> = files
        .list_all("blobs/sha256")?
        .into_par_iter()
        .filter_map(|name| Digest::from_hex(&name))
        .filter_map(|digest| Some((diff_id(files, digest)?, digest)))
        .collect();
    let mut all = BTreeMap::new();
    for (diff_id, digest) in found {
        all.entry(diff_id).or_insert(digest);
    }
    Ok(all)
}

/// The file of a blob, whether a record of it is here or not.
pub(super) fn place(files: &Files, digest: Digest) -> Result<Option<Place>, Error> {
    let name = blob(digest);
    Ok(match files.try_find(&name)? {
        Some(place) => Some(place),
        None => files.try_find_hidden(&name)?,
    })
}

/// The digest of the tar in a blob.
fn diff_id(files: &Files, digest: Digest) -> Option<DiffId> {
    let place = place(files, digest).ok()??;
    let compression = Compression::detect(&files.first::<6>(&place).ok()?);
    if compression == Compression::None {
        // Who takes it compares its bytes with that.
        return Some(DiffId(digest));
    }
    let mut plain = Decompressor::new(compression, Hasher::default()).ok()?;
    io::copy(&mut place.range.raw_reader().ok()?, &mut plain).ok()?;
    let (hasher, _) = plain.finish_padded().ok()?;
    Some(DiffId(hasher.finish()))
}
