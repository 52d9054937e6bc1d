//! Whether the layer that the record of a container names is the container's.
//!
//! | what says it | |
//! |---|---|
//! | `containers.json` | `layer` of the record |
//! | `<id>/userdata/config.json` | `root.path`, once the container was started |
//! | `layers.json` | the layer that is called `<name>-layer`; a container that was renamed has another name |
//!
//! A record that stands alone against the other two, or that names the layer of another container, is wrong.
//! Where that leaves nothing to go by, the container has no layer that could be read: its files might be
//! those of another.

use std::collections::HashMap;

use super::container_lists::{Record, file};
use super::images::Images;
use super::{runtime, unrecorded};
use crate::{Error, Notice};

/// What is wrong with the layer that a record names.
#[derive(Debug, Clone)]
pub(super) struct Doubt {
    pub(super) notice: Notice,
    /// Whether other records say which layer it is.
    pub(super) settled: bool,
}

impl Doubt {
    pub(super) fn error(&self) -> Error {
        Error::malformed(&self.notice.path, self.notice.what.clone())
    }
}

/// Compares the records of a driver, or `only` one of them, with what else says which layer is whose. A layer
/// that others prove takes the place of the recorded one; where nothing does, the record has none.
pub(super) fn settle(records: &mut [Record], images: &Images, only: Option<&str>) {
    let Some(root) = images.places.first() else { return };
    let mut owners: HashMap<String, Vec<String>> = HashMap::new();
    for record in records.iter() {
        if let Some(layer) = &record.layer {
            owners.entry(layer.clone()).or_default().push(record.name().to_owned());
        }
    }
    // Without a record of its own, the layer follows from the others.
    let recorded = |record: &&mut Record| record.raw.is_some() && only.is_none_or(|id| record.id == id);
    for record in records.iter_mut().filter(recorded) {
        let Some(layer) = record.layer.clone().filter(|layer| !layer.is_empty()) else { continue };
        let usable = |found: &String| *found != record.id && unrecorded::has_directory(images, found);
        let of_runtime = runtime::read(root, &images.driver, &record.id).known.layer.filter(usable);
        let called = |name: &String| images.layer_named(&format!("{name}-layer"));
        let of_name = record.names.iter().find_map(called).map(|id| id.to_string()).filter(usable);
        if [&of_runtime, &of_name].contains(&&Some(layer.clone())) {
            continue;
        }
        let mut others = owners[&layer].iter().filter(|name| *name != record.name());
        let shared = owners[&layer].len() > 1;
        let both = of_runtime.is_some() && of_runtime == of_name;
        let says = match (&of_runtime, &of_name) {
            (Some(_), _) if both => "userdata/config.json of the container and a name in layers.json say",
            (Some(_), _) => "userdata/config.json of the container says",
            _ => "a name in layers.json says",
        };
        let found = of_runtime.or(of_name).filter(|found| !owners.contains_key(found));
        if found.is_none() && !shared {
            continue;
        }
        let mut what = format!("the record of container {} names layer {layer}", record.name());
        match others.next() {
            Some(other) => what.push_str(&format!(", as does that of container {other}")),
            None if shared => what.push_str(", as does that of another container"),
            None => {}
        }
        let settled = found.is_some() && (both || shared);
        match &found {
            Some(found) if settled => what.push_str(&format!("; {says} that it is {found}, which is used")),
            Some(found) => what.push_str(&format!("; {says} that it is {found}, and nothing which is right")),
            None => what.push_str("; nothing says whose it is"),
        }
        let notice = Notice::new(root.join(file(&images.driver, record.file)), what);
        record.doubt = Some(Doubt { notice, settled });
        record.layer = found.filter(|_| settled);
    }
}
