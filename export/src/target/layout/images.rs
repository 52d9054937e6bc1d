//! The images of a layout for its `manifest.json`: those whose manifests are in the index, and whose blobs
//! are there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use layerlift_archive::Digest;
use layerlift_store::{Reference, Rules};
use serde::Deserialize;

use crate::format::manifest_json::{Item, RepoTags};
use crate::format::oci;

/// More than any manifest; registries take 4 MiB.
const LIMIT: u64 = 4 << 20;

/// Types of a config that make an image of a manifest. The last two are of containers/image before 2017.
const CONFIGS: &[&str] = &[
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/octet-stream",
    "",
];

/// What a manifest names.
#[derive(Deserialize)]
struct Manifest {
    config: BlobRef,
    layers: Vec<BlobRef>,
}

#[derive(Deserialize)]
struct BlobRef {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    digest: String,
}

/// The images that an index lists, in its order: digests of manifests, and names.
pub(super) fn items<'i>(
    dir: &Path,
    listed: impl IntoIterator<Item = (&'i str, Option<&'i str>)>,
) -> Vec<Item> {
    let mut images: Vec<(Digest, Vec<Reference>)> = Vec::new();
    let mut places: BTreeMap<Digest, usize> = BTreeMap::new();
    for (digest, name) in listed {
        let Ok(digest) = digest.parse() else { continue };
        let place = *places.entry(digest).or_insert_with(|| {
            images.push((digest, Vec::new()));
            images.len() - 1
        });
        images[place].1.extend(name.and_then(|name| Reference::parse(name, Rules::Stored).ok()));
    }
    let mut tags = RepoTags::default();
    images
        .into_iter()
        .filter_map(|(digest, names)| {
            let (config, layers) = blobs(dir, digest)?;
            let tags = names.iter().filter_map(|name| tags.give(name, &digest).ok().flatten());
            Some(Item::new(config, layers, tags.collect()))
        })
        .collect()
}

/// Config and layers of an image. `None` for anything else, and if one of them is missing.
fn blobs(dir: &Path, manifest: Digest) -> Option<(Digest, Vec<Digest>)> {
    let mut bytes = Vec::new();
    let file = File::open(dir.join(oci::path(manifest))).ok()?;
    file.take(LIMIT).read_to_end(&mut bytes).ok()?;
    let Manifest { config, layers } = serde_json::from_slice(&bytes).ok()?;
    let are_tars = layers
        .iter()
        .all(|layer| layer.media_type.contains("tar") && !layer.media_type.ends_with("+encrypted"));
    if !CONFIGS.contains(&config.media_type.as_str()) || !are_tars {
        return None;
    }
    let present = |named: &BlobRef| {
        let digest = named.digest.parse().ok()?;
        dir.join(oci::path(digest)).is_file().then_some(digest)
    };
    Some((present(&config)?, layers.iter().map(present).collect::<Option<_>>()?))
}
