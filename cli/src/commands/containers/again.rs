//! Command lines and compose files that make containers again.

use std::collections::HashMap;

use layerlift_export::{self as export, Known, Recipe, compose};
use layerlift_store::{Document, Platforms};
use serde_json::Value;

use super::row::Row;
use crate::sources::Source;

/// The command lines of containers.
pub(super) fn run_lines(rows: &[Row<'_>]) -> String {
    recipes(rows).iter().map(Recipe::run).collect()
}

/// A compose file for containers.
pub(super) fn compose_file(rows: &[Row<'_>]) -> String {
    compose(&recipes(rows))
}

fn recipes(rows: &[Row<'_>]) -> Vec<Recipe> {
    let mut names: HashMap<String, String> = HashMap::new();
    let mut read: Vec<&Source> = Vec::new();
    for source in rows.iter().map(|row| row.source) {
        if read.iter().any(|known| std::ptr::eq(*known, source)) {
            continue;
        }
        read.push(source);
        let listing = source.store.containers().and_then(|ability| ability.containers().ok());
        for container in listing.into_iter().flat_map(|listing| listing.containers) {
            let name = container.names.into_iter().next();
            names.extend(name.map(|name| (container.key.id().to_owned(), name)));
        }
    }
    let name_of = |id: &str| names.get(id).cloned();
    let one = |row: &Row<'_>| {
        let image = image(row.source, row.container.image_id.as_deref());
        export::recipe(&row.container, &Known { image: image.as_ref(), name_of: &name_of })
    };
    rows.iter().map(one).collect()
}

/// What the config of an image says of its containers. `None` if the image was removed.
fn image(source: &Source, id: Option<&str>) -> Option<Value> {
    let store = &*source.store;
    let selected = store.resolve(id?).ok()?;
    let keys = selected.first()?.choose_all(store, &Platforms::Usual).ok()?;
    let Document::Config { raw, .. } = store.image(keys.first()?).ok()?.document else { return None };
    let mut document: Value = serde_json::from_slice(&raw).ok()?;
    Some(document.get_mut("config").map(Value::take).unwrap_or_default())
}
