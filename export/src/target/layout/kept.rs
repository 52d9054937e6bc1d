//! The images of a layout that only its `manifest.json` names, as Docker 25.0 wrote some and as tools leave
//! them that do not know of it: they stay, without the names that new images have.

use std::collections::HashSet;

use serde_json::Value;

use crate::format::manifest_json::Item;

/// The new items, and after them those of the old document that its index did not have. `None` if there are
/// only new ones, or the old document cannot be read.
pub(super) fn items(old: Option<&[u8]>, of_index: &[Item], new: &[Item]) -> Option<Vec<Value>> {
    let old: Vec<Value> = serde_json::from_slice(old?).ok()?;
    let configs: HashSet<&str> = of_index.iter().chain(new).map(|item| stem(&item.config)).collect();
    let taken: HashSet<&str> =
        new.iter().flat_map(|item| &item.repo_tags).flatten().map(String::as_str).collect();
    let mut kept = Vec::new();
    for mut item in old {
        if item["Config"].as_str().is_none_or(|config| configs.contains(stem(config))) {
            continue;
        }
        if let Some(tags) = item["RepoTags"].as_array_mut() {
            tags.retain(|tag| tag.as_str().is_some_and(|tag| !taken.contains(tag)));
        }
        kept.push(item);
    }
    if kept.is_empty() {
        return None;
    }
    let new = new.iter().map(|item| serde_json::to_value(item).ok());
    new.chain(kept.into_iter().map(Some)).collect()
}

/// The digest in the name of a config: `blobs/sha256/<digest>`, `<digest>.json`.
fn stem(config: &str) -> &str {
    let name = config.rsplit('/').next().unwrap_or_default();
    name.strip_suffix(".json").unwrap_or(name)
}
