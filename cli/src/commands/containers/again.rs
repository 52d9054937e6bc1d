//! Command lines and compose files that make containers again.

use std::collections::{HashMap, HashSet};
use std::error::Error;

use layerlift_export::{self as export, Known, Recipe, compose};
use layerlift_store::{Containers, Document, NetworkListing, Platforms, VolumeListing};
use serde_json::Value;

use super::row::Row;
use crate::report::Reporter;
use crate::sources::Source;
use crate::status::Status;

/// The command lines of containers.
pub(super) fn run_lines(rows: &[Row<'_>], status: &mut Status, reporter: &Reporter) -> String {
    recipes(rows, status, reporter).iter().map(Recipe::run).collect()
}

/// A compose file for containers.
pub(super) fn compose_file(rows: &[Row<'_>], status: &mut Status, reporter: &Reporter) -> String {
    compose(&recipes(rows, status, reporter))
}

/// What a store has beside the containers.
#[derive(Default)]
struct Beside {
    networks: NetworkListing,
    volumes: VolumeListing,
}

fn recipes(rows: &[Row<'_>], status: &mut Status, reporter: &Reporter) -> Vec<Recipe> {
    let mut names: HashMap<String, String> = HashMap::new();
    let mut read: Vec<(&Source, Beside)> = Vec::new();
    for source in rows.iter().map(|row| row.source) {
        if read.iter().any(|(known, _)| std::ptr::eq(*known, source)) {
            continue;
        }
        let ability = source.store.containers();
        let listing = ability.and_then(|ability| ability.containers().ok());
        for container in listing.into_iter().flat_map(|listing| listing.containers) {
            let name = container.names.into_iter().next();
            names.extend(name.map(|name| (container.key.id().to_owned(), name)));
        }
        read.push((source, ability.map(beside).unwrap_or_default()));
    }
    let name_of = |id: &str| names.get(id).cloned();
    let mut recipes = Vec::new();
    let mut said = HashSet::new();
    for row in rows {
        let image = image(row.source, row.container.image_id.as_deref());
        let nothing = Beside::default();
        let beside = read.iter().find(|(known, _)| std::ptr::eq(*known, row.source));
        let Beside { networks, volumes } = beside.map_or(&nothing, |(_, beside)| beside);
        let known = Known {
            image: image.as_ref(),
            name_of: &name_of,
            networks: &networks.networks,
            volumes: &volumes.volumes,
        };
        let mut recipe = export::recipe(&row.container, &known);
        let lost = [(recipe.lacks_networks(), &networks.lost), (recipe.lacks_volumes(), &volumes.lost)];
        for error in lost.into_iter().filter(|(lacks, _)| *lacks).flat_map(|(_, lost)| lost) {
            let why = with_causes(error);
            recipe.lacks(&why);
            if said.insert(why) {
                reporter.error(error);
                *status = Status::Incomplete;
            }
        }
        recipes.push(recipe);
    }
    recipes
}

fn beside(ability: &dyn Containers) -> Beside {
    let mut beside = Beside::default();
    match ability.networks() {
        Ok(networks) => beside.networks = networks,
        Err(error) => beside.networks.lost.push(error),
    }
    match ability.volumes() {
        Ok(volumes) => beside.volumes = volumes,
        Err(error) => beside.volumes.lost.push(error),
    }
    beside
}

/// An error in one line.
fn with_causes(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
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
