//! What is in a containerd: names as `ctr` lists them, documents as their blobs have them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::Outcome;
use crate::engines::containerd::Ctr;
use crate::engines::image::{Image, familiar, hex};
use crate::interop::images::architecture;

/// Where blobs are below the root of a containerd.
pub(super) const BLOBS: &str = "io.containerd.content.v1.content/blobs/sha256";

/// An image of this machine's platform.
pub(super) struct Stored {
    /// `sha256:...` of what its first name leads to: an index, or its manifest.
    pub(super) target: String,
    /// `sha256:...` of its manifest.
    pub(super) manifest: String,
    pub(super) image: Image,
    /// `sha256:...` of its layers, as they are stored.
    pub(super) layers: Vec<String>,
}

/// The images of a namespace. `root` is that of containerd.
pub(super) fn stored(ctr: &Ctr, root: &Path) -> Outcome<Vec<Stored>> {
    let mut found: BTreeMap<String, Stored> = BTreeMap::new();
    for (name, target) in ctr.targets()? {
        let mut digest = target.clone();
        let mut document = json(root, &digest)?;
        if let Some(lines) = document["manifests"].as_array() {
            let here = |line: &&Value| {
                line["platform"]["architecture"] == architecture() && line["platform"]["os"] == "linux"
            };
            let line = lines.iter().find(here).ok_or_else(|| format!("{name} is for other platforms"))?;
            digest = line["digest"].as_str().unwrap_or_default().to_owned();
            document = json(root, &digest)?;
        }
        // Names by digest are not tags.
        let tags: BTreeSet<String> = (!name.contains('@')).then(|| familiar(&name)).into_iter().collect();
        if let Some(known) = found.get_mut(&digest) {
            known.image.tags.extend(tags);
            continue;
        }
        let id = document["config"]["digest"].as_str().unwrap_or_default();
        let config = json(root, id)?;
        let diff_ids = strings(&config["rootfs"]["diff_ids"], hex);
        let image = Image { id: hex(id), tags, diff_ids };
        let layers = document["layers"].as_array().into_iter().flatten();
        let layers = layers.filter_map(|layer| layer["digest"].as_str()).map(str::to_owned).collect();
        found.insert(digest.clone(), Stored { target, manifest: digest, image, layers });
    }
    Ok(found.into_values().collect())
}

fn json(root: &Path, digest: &str) -> Outcome<Value> {
    let path = root.join(BLOBS).join(hex(digest));
    let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&String::from_utf8_lossy(&bytes))?)
}

fn strings(value: &Value, change: fn(&str) -> String) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(change).collect()
}
