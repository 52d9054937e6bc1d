//! The labels of images.

use layerlift_store::{Document, Image};
use serde_json::Value;

/// The document that describes an image: its config, or the topmost of its v1 documents.
pub(crate) fn described(image: &Image) -> Value {
    let raw = match &image.document {
        Document::Config { raw, .. } => Some(raw),
        Document::V1(documents) => documents.last().map(|document| &document.raw),
    };
    raw.and_then(|raw| serde_json::from_slice(raw).ok()).unwrap_or_default()
}

/// Whether a config has a label, perhaps with this value.
pub(crate) fn has_label(config: &Value, label: &str, value: Option<&str>) -> bool {
    let labels = &config["config"]["Labels"];
    labels.get(label).is_some_and(|found| value.is_none_or(|value| found.as_str() == Some(value)))
}
