//! Whether Docker can load an image by its history. With a graph driver, it refuses one whose history has
//! more entries with a layer than there are layers (`image/store.go`, `Create`, 20.10); containerd and Podman
//! do not look at it.

use layerlift_store::Document;
use serde::Deserialize;

use crate::{Format, Warning};

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    history: Option<Vec<Option<Entry>>>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    empty_layer: Option<bool>,
}

/// The warning for an image that Docker refuses. `layers` counts those on top of it, of a container, too.
pub(crate) fn too_long(document: &Document, name: &str, layers: usize, format: Format) -> Option<Warning> {
    let Document::Config { raw, .. } = document else { return None };
    if format == Format::DockerV1 {
        return None;
    }
    // The store has read it already, so this only skips.
    let config: Config = serde_json::from_slice(raw).ok()?;
    let entries = config.history.unwrap_or_default();
    let is_layer = |entry: &Option<Entry>| entry.as_ref().and_then(|entry| entry.empty_layer) != Some(true);
    let history = entries.iter().filter(|entry| is_layer(entry)).count();
    (history > layers).then(|| Warning::HistoryTooLong { image: name.to_owned(), history, layers })
}
