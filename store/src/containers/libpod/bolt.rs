//! `libpod/bolt_state.db` (Podman until 4.7, and later in stores that were made with it).

use std::path::Path;

use super::{Documents, Libpod};
use crate::bolt::{Bucket, Database, Entry};
use crate::{Error, Root};

const FILE: &str = "libpod/bolt_state.db";

/// Adds what it has. Returns whether there is such a database.
pub(super) fn read(root: &Root, found: &mut Libpod) -> Result<bool, Error> {
    if !root.exists(FILE)? {
        return Ok(false);
    }
    let database = Database::open(root, Path::new(FILE))?;
    for (id, bucket) in buckets(&database, &[b"ctr"])? {
        let Some(config) = bucket.get(b"config")? else {
            let why = format!("container {id} has no config in it");
            found.lost.push(Error::malformed(root.join(FILE), why));
            continue;
        };
        let state = bucket.get(b"state")?.map(<[u8]>::to_vec);
        let documents =
            Documents { config: config.to_vec(), state, networks: networks(&bucket)?, file: FILE };
        found.containers.insert(id, documents);
    }
    for (id, bucket) in buckets(&database, &[b"pod"])? {
        #[derive(serde::Deserialize)]
        struct Pod {
            name: String,
        }
        let config = bucket.get(b"config")?.map(crate::json::object::<Pod>);
        found.pods.extend(config.and_then(Result::ok).map(|pod| (id, pod.name)));
    }
    for (name, bucket) in buckets(&database, &[b"vol"])? {
        found.volumes.extend(bucket.get(b"config")?.map(|config| (name, config.to_vec())));
    }
    Ok(true)
}

/// The keys of `networks` in the bucket of a container. Podman since 4.0 keeps them there, and not in the
/// config.
fn networks(container: &Bucket<'_>) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in container.bucket(b"networks")?.iter().flat_map(Bucket::entries) {
        if let Entry::Value { key, .. } = entry? {
            names.push(String::from_utf8_lossy(key).into_owned());
        }
    }
    Ok(names)
}

/// The buckets in a bucket, by name.
fn buckets<'d>(database: &'d Database, path: &[&[u8]]) -> Result<Vec<(String, Bucket<'d>)>, Error> {
    let mut found = Vec::new();
    for entry in database.root().path(path)?.iter().flat_map(Bucket::entries) {
        if let Entry::Bucket { key, bucket } = entry? {
            found.push((String::from_utf8_lossy(key).into_owned(), bucket));
        }
    }
    Ok(found)
}
