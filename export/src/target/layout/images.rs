//! The images of a layout for its `manifest.json`: those whose manifests are in the index, and whose blobs
//! are there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use layerlift_archive::Digest;
use layerlift_store::{Platform, Reference, Rules};
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

/// Indexes within one another.
const DEPTH: usize = 4;

/// What a manifest or an index names.
#[derive(Deserialize)]
struct Document {
    config: Option<BlobRef>,
    layers: Option<Vec<BlobRef>>,
    manifests: Option<Vec<Line>>,
}

/// A line of an index.
#[derive(Deserialize)]
struct Line {
    digest: String,
    platform: Option<LinePlatform>,
}

#[derive(Deserialize)]
struct LinePlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

/// An image of an index.
struct OfIndex {
    platform: Option<Platform>,
    manifest: Digest,
}

#[derive(Deserialize)]
struct BlobRef {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    digest: String,
}

/// The images that an index lists, in its order: digests of manifests, and names. For a nested index, the
/// image that engines take for this machine comes first, and has the names.
pub(super) fn items<'i>(
    dir: &Path,
    listed: impl IntoIterator<Item = (&'i str, Option<&'i str>)>,
) -> Vec<Item> {
    let mut images: Vec<(Digest, Vec<Reference>)> = Vec::new();
    let mut places: BTreeMap<Digest, usize> = BTreeMap::new();
    for (digest, name) in listed {
        let Ok(digest) = digest.parse() else { continue };
        let mut name = name.and_then(|name| Reference::parse(name, Rules::Stored).ok());
        let mut below = Vec::new();
        add_below(dir, digest, None, 0, &mut below);
        let platforms: Vec<Option<Platform>> = below.iter().map(|image| image.platform.clone()).collect();
        if let Some(usual) = Platform::usual(&platforms) {
            below[..=usual].rotate_right(1);
        }
        for OfIndex { manifest, .. } in below {
            let place = *places.entry(manifest).or_insert_with(|| {
                images.push((manifest, Vec::new()));
                images.len() - 1
            });
            images[place].1.extend(name.take());
        }
    }
    let mut tags = RepoTags::default();
    images
        .into_iter()
        .filter_map(|(digest, names)| {
            let (config, layers) = blobs(dir, &document(dir, digest)?)?;
            let tags = names.iter().filter_map(|name| tags.give(name, &digest).ok().flatten());
            Some(Item::new(config, layers, tags.collect()))
        })
        .collect()
}

/// Adds the image of a manifest, or those of an index, which are whole.
fn add_below(
    dir: &Path,
    digest: Digest,
    platform: Option<Platform>,
    depth: usize,
    images: &mut Vec<OfIndex>,
) {
    let Some(found) = document(dir, digest) else { return };
    for Line { digest, platform } in found.manifests.into_iter().flatten().filter(|_| depth < DEPTH) {
        let Ok(digest) = digest.parse() else { continue };
        let platform = platform.and_then(|LinePlatform { os, architecture, variant }| {
            let variant = variant.filter(|variant| !variant.is_empty());
            let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
            format!("{os}/{architecture}{variant}").parse().ok()
        });
        add_below(dir, digest, platform, depth + 1, images);
    }
    let Document { config, layers, .. } = found;
    if blobs(dir, &Document { config, layers, manifests: None }).is_some() {
        images.push(OfIndex { platform, manifest: digest });
    }
}

fn document(dir: &Path, digest: Digest) -> Option<Document> {
    let mut bytes = Vec::new();
    let file = File::open(dir.join(oci::path(digest))).ok()?;
    file.take(LIMIT).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Config and layers of an image. `None` for anything else, and if one of them is missing.
fn blobs(dir: &Path, document: &Document) -> Option<(Digest, Vec<Digest>)> {
    let (config, layers) = (document.config.as_ref()?, document.layers.as_ref()?);
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
    Some((present(config)?, layers.iter().map(present).collect::<Option<_>>()?))
}
