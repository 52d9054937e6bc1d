//! `manifest.json`, the list of images in an archive of Docker.
//!
//! ```text
//! [{"Config":"8014….json","RepoTags":["bench/many:1.0"],"Layers":["7c23….tar",…]}]
//! ```
//!
//! (Docker image specification 1.1 and later.)

use std::collections::BTreeMap;

use layerlift_archive::Digest;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::documents::{Descriptor, Odd, check_layers, check_names, descriptor, member};
use crate::json;

/// An item of `manifest.json`. Config and layers are names of files in the archive.
#[derive(Debug, Clone)]
pub(super) struct ManifestItem {
    pub(super) config: String,
    pub(super) tags: Vec<String>,
    pub(super) layers: Vec<String>,
    /// By diff ids: what Docker was given for a layer. For a foreign layer, which is not in the archive, it
    /// has the addresses.
    pub(super) sources: BTreeMap<String, Descriptor>,
    /// The parts of it that cannot be read.
    pub(super) odd: Vec<Odd>,
}

#[derive(Deserialize)]
struct RawManifestItem<'a> {
    #[serde(rename = "Config", borrow)]
    config: Option<&'a RawValue>,
    #[serde(rename = "RepoTags", borrow)]
    tags: Option<&'a RawValue>,
    #[serde(rename = "Layers", borrow)]
    layers: Option<&'a RawValue>,
    #[serde(rename = "LayerSources", borrow)]
    sources: Option<&'a RawValue>,
}

/// An item of `manifest.json` that leads to nothing.
#[derive(Debug)]
pub(super) struct BadItem {
    /// Its config, where it says which.
    pub(super) config: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) why: String,
}

/// Parses `manifest.json`.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Result<ManifestItem, BadItem>>, String> {
    let items: Vec<&RawValue> = json::parse(bytes)?;
    let items: Vec<Result<ManifestItem, BadItem>> = items.into_iter().map(item).collect();
    let tags = |item: &Result<ManifestItem, BadItem>| match item {
        Ok(item) => item.tags.len(),
        Err(bad) => bad.tags.len(),
    };
    check_names(items.iter().map(tags).sum())?;
    Ok(items)
}

fn item(raw: &RawValue) -> Result<ManifestItem, BadItem> {
    let nameless = |why| BadItem { config: None, tags: Vec::new(), why };
    let raw: RawManifestItem<'_> = json::object(raw.get().as_bytes()).map_err(nameless)?;
    let mut odd = Vec::new();
    let (tags, no_tags) = tags(raw.tags);
    odd.extend(no_tags.into_iter().map(|why| Odd { why, names: true }));
    let sources = member::<BTreeMap<String, &RawValue>>("LayerSources", raw.sources).unwrap_or_else(|why| {
        odd.push(Odd { why, names: false });
        None
    });
    let config = member::<String>("Config", raw.config)
        .and_then(|config| config.ok_or_else(|| "it has no Config".to_owned()));
    let layers = member::<Vec<String>>("Layers", raw.layers).map(Option::unwrap_or_default);
    let layers = layers.and_then(|layers| check_layers(layers.len()).map(|()| layers));
    let (config, layers) = match (config, layers) {
        (Ok(config), Ok(layers)) => (config, layers),
        (Ok(config), Err(why)) => return Err(BadItem { config: Some(config), tags, why }),
        (Err(why), _) => return Err(BadItem { config: None, tags, why }),
    };
    let unknown = |hex: &str| Digest::of(hex.as_bytes());
    let source = |(id, source)| Some((id, descriptor(source, &unknown).ok()?));
    let sources = sources.unwrap_or_default().into_iter().filter_map(source).collect();
    Ok(ManifestItem { config, tags, layers, sources, odd })
}

/// The names that can be read, and why others cannot.
fn tags(value: Option<&RawValue>) -> (Vec<String>, Vec<String>) {
    let values = match member::<Vec<&RawValue>>("RepoTags", value) {
        Ok(values) => values.unwrap_or_default(),
        Err(why) => return (Vec::new(), vec![why]),
    };
    let (mut tags, mut bad) = (Vec::new(), Vec::new());
    for (place, value) in values.into_iter().enumerate() {
        let place = format!("RepoTags[{place}]");
        match member::<String>(&place, Some(value)) {
            Ok(Some(tag)) => tags.push(tag),
            Ok(None) => bad.push(format!("{place} is null, not a string")),
            Err(why) => bad.push(why),
        }
    }
    (tags, bad)
}
