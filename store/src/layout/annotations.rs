//! What the lines of `index.json` say of an image or an index beside its name.

use std::collections::{BTreeMap, HashMap};

use layerlift_archive::Digest;
use serde::Deserialize;

use super::artifacts::Line;
use crate::json;

/// By key.
pub(super) type Annotations = BTreeMap<String, String>;

/// The annotations that are names: a line has its own.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

/// The annotations of each digest, from the first of its lines that has any.
pub(super) fn of(lines: &[Line]) -> HashMap<Digest, Annotations> {
    let mut all: HashMap<Digest, Annotations> = HashMap::new();
    for line in lines {
        let annotations = parse(&line.raw);
        if !annotations.is_empty() {
            all.entry(line.descriptor.digest).or_insert(annotations);
        }
    }
    all
}

fn parse(raw: &str) -> Annotations {
    #[derive(Deserialize)]
    struct Annotated {
        annotations: Option<Annotations>,
    }
    let found = json::object::<Annotated>(raw.as_bytes()).ok().and_then(|line| line.annotations);
    let mut annotations = found.unwrap_or_default();
    annotations.retain(|key, _| !NAMES.contains(&key.as_str()));
    annotations
}
