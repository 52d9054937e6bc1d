//! `libpod/bolt_state.db` (Podman until 4.7, and later in stores that were made with it).

use std::path::Path;

use super::{Documents, Libpod, PodConfig};
use crate::bolt::{Bucket, Database, Entry};
use crate::{Error, Root};

pub(super) const FILE: &str = "libpod/bolt_state.db";

/// Adds what it has. Returns whether there is such a database.
pub(super) fn read(root: &Root, found: &mut Libpod) -> Result<bool, Error> {
    if !root.exists(FILE)? {
        return Ok(false);
    }
    let database = Database::open(root, Path::new(FILE))?;
    for (id, bucket) in buckets(&database, b"ctr", &mut found.lost) {
        let config = match bucket.get(b"config") {
            Ok(Some(config)) => config.to_vec(),
            Ok(None) => {
                let why = format!("container {id} has no config in it");
                found.lost.push(Error::malformed(root.join(FILE), why));
                continue;
            }
            Err(error) => {
                found.lost.push(error.within(format!("the config of container {id}")));
                continue;
            }
        };
        // What is missing of the state is said where it is needed.
        let state = bucket.get(b"state").ok().flatten().map(<[u8]>::to_vec);
        let networks = networks(&bucket, &mut found.lost);
        found.containers.insert(id, Documents { config, state, networks, file: FILE });
    }
    for (id, bucket) in buckets(&database, b"pod", &mut found.lost) {
        let config = bucket.get(b"config").ok().flatten().map(crate::json::object::<PodConfig>);
        found.pods.extend(config.and_then(Result::ok).map(|pod| (id, pod)));
    }
    for (name, bucket) in buckets(&database, b"vol", &mut found.lost) {
        match bucket.get(b"config") {
            Ok(config) => found.volumes.extend(config.map(|config| (name, config.to_vec()))),
            Err(error) => found.lost.push(error.within(format!("the config of volume {name}"))),
        }
    }
    Ok(true)
}

/// The keys of `networks` in the bucket of a container. Podman since 4.0 keeps them there, and not in the
/// config.
fn networks(container: &Bucket<'_>, lost: &mut Vec<Error>) -> Vec<String> {
    let bucket = container.bucket(b"networks").unwrap_or_else(|error| {
        lost.push(error);
        None
    });
    let mut names = Vec::new();
    for entry in bucket.iter().flat_map(Bucket::entries) {
        match entry {
            Ok(Entry::Value { key, .. }) => names.push(String::from_utf8_lossy(key).into_owned()),
            Ok(Entry::Bucket { .. }) => {}
            Err(error) => lost.push(error),
        }
    }
    names
}

/// The buckets in a bucket, by name. What cannot be read of it is lost, and hides nothing else.
fn buckets<'d>(database: &'d Database, name: &[u8], lost: &mut Vec<Error>) -> Vec<(String, Bucket<'d>)> {
    let bucket = match database.root().bucket(name) {
        Ok(bucket) => bucket,
        Err(error) => {
            lost.push(error);
            None
        }
    };
    let mut found = Vec::new();
    for entry in bucket.iter().flat_map(Bucket::entries) {
        match entry {
            Ok(Entry::Bucket { key, bucket }) => {
                found.push((String::from_utf8_lossy(key).into_owned(), bucket));
            }
            Ok(Entry::Value { .. }) => {}
            Err(error) => lost.push(error),
        }
    }
    found
}
