//! `layerlift inspect`: what a store says about images and containers, as JSON; with `--tree`, what the names
//! of images lead to.

use std::collections::{HashMap, HashSet};

use layerlift_export::artifacts_of;
use layerlift_store::{
    Document, Error as StoreError, ErrorKind, Image, ImageKey, Needs, Reference, Store, Subject,
};
use serde::Serialize;
use serde_json::Value;

use super::containers;
use crate::args::Inspect;
use crate::error::Error;
use crate::index::{IndexJson, LineJson};
use crate::message::Message;
use crate::output::{print, print_json};
use crate::report::Reporter;
use crate::sources::{Source, Sources};
use crate::status::Status;
use crate::table::Table;

#[derive(Serialize)]
struct ImageJson<'a> {
    id: &'a str,
    references: Vec<String>,
    created: Option<Value>,
    driver: &'a str,
    store: &'static str,
    root: String,
    /// The config, where the image has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Value>,
    /// The digests of its manifests.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<Vec<String>>,
    /// The document of each layer, base first, where it has those instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<Vec<Value>>,
    layers: Vec<LayerJson<'a>>,
    /// What a partial archive leaves out of it.
    #[serde(skip_serializing_if = "Needs::is_empty")]
    needs: Needs,
    /// The indexes that it was chosen of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    indexes: Vec<IndexJson>,
}

/// One of what was named.
#[derive(Serialize)]
#[serde(untagged)]
enum Inspected<'a> {
    Image(Box<ImageJson<'a>>),
    Container(Box<containers::Inspected<'a>>),
}

/// An image, and its names: first those that it was asked for by.
struct Found {
    /// Which of the opened stores.
    place: usize,
    image: Image,
    references: Vec<Reference>,
    indexes: Vec<IndexJson>,
}

#[derive(Serialize)]
struct LayerJson<'a> {
    id: &'a str,
    diff_id: Option<String>,
    tar_size: Option<u64>,
    /// Of a layer that a partial archive leaves out, the images that had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out_of: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(crate) fn run(args: &Inspect, reporter: &Reporter) -> Result<Status, Error> {
    let sources = Sources::open(&args.store, reporter)?;
    if args.tree {
        return print_tree(&args.names, &sources, reporter);
    }
    let mut found: Vec<Found> = Vec::new();
    let mut rows = Vec::new();
    let mut status = Status::Done;
    for name in &args.names {
        let (place, selected) = match sources.resolve(name, reporter) {
            Err(Error::Store(StoreError::NotFound { suggestions, .. })) if !sources.able().is_empty() => {
                match containers::row_of(&sources, name, &mut status, reporter) {
                    Ok(row) => rows.push(row),
                    Err(Error::Store(StoreError::NoContainer { suggestions: near, .. })) => {
                        return Err(containers::neither(name, near, suggestions));
                    }
                    Err(error) => return Err(error),
                }
                continue;
            }
            resolved => resolved?,
        };
        let several = selected.len() > 1;
        for selected in selected {
            let store = &*sources.opened[place].store;
            for key in selected.choose_all(store, &args.store.platforms())? {
                let known = found.iter().position(|known| known.place == place && known.image.key == key);
                let at = known.unwrap_or(found.len());
                if known.is_none() {
                    let image = match store.image(&key) {
                        // Signatures are tags of the repository.
                        Err(error) if several && error.kind() == ErrorKind::Unsupported => {
                            reporter.warn_error(&error);
                            continue;
                        }
                        image => image?,
                    };
                    found.push(Found { place, image, references: Vec::new(), indexes: Vec::new() });
                }
                let Found { references, indexes, .. } = &mut found[at];
                let reference = selected.reference.clone();
                references.extend(reference.filter(|reference| !references.contains(reference)));
                if let Subject::Index(index) = &selected.subject {
                    let index = IndexJson::of(store, index)?;
                    indexes.extend(Some(index).filter(|index| !indexes.contains(index)));
                }
            }
        }
    }
    for (place, source) in sources.opened.iter().enumerate() {
        add_names(&mut found, place, &*source.store, args);
    }
    let mut all = Vec::new();
    for Found { place, image, references, indexes } in &mut found {
        let (mut inspected, damaged) = inspect(&sources.opened[*place], image, references);
        inspected.indexes = std::mem::take(indexes);
        damaged.iter().for_each(|error| reporter.error(error));
        if !damaged.is_empty() {
            status = Status::Incomplete;
        }
        all.push(Inspected::Image(Box::new(inspected)));
    }
    all.extend(rows.iter().map(|row| Inspected::Container(Box::new(containers::Inspected::new(row)))));
    print_json(&all)?;
    Ok(status)
}

/// Adds all names that the images of a store have in it. One that cannot be listed gives none.
fn add_names(found: &mut [Found], place: usize, store: &dyn Store, args: &Inspect) {
    let mut found: HashMap<ImageKey, &mut Vec<Reference>> = found
        .iter_mut()
        .filter(|one| one.place == place)
        .map(|one| (one.image.key.clone(), &mut one.references))
        .collect();
    if found.is_empty() {
        return;
    }
    let Ok(listing) = store.images() else { return };
    let listing = listing.on(store, args.store.platforms());
    for image in listing.images.into_iter().chain(listing.intermediate) {
        let Some(references) = found.get_mut(&image.key) else { continue };
        let known: HashSet<Reference> = references.iter().cloned().collect();
        references.extend(image.references.into_iter().filter(|reference| !known.contains(reference)));
    }
}

/// What the names lead to, as a table: indexes with all their lines.
fn print_tree(names: &[String], sources: &Sources, reporter: &Reporter) -> Result<Status, Error> {
    let mut table = Table::new(&["DIGEST", "KIND", "PLATFORM", "STATE", "NAME"]);
    for name in names {
        let (place, selected) = sources.resolve(name, reporter)?;
        let store = &*sources.opened[place].store;
        for selected in selected {
            let artifacts = artifacts_of(store, &selected)?;
            let line = match &selected.subject {
                _ if !artifacts.is_empty() => LineJson::of_artifact(&artifacts[0]),
                Subject::Index(index) => LineJson::of_index(store, index)?,
                Subject::Image(key) => LineJson::of_image(store, key),
                _ => continue,
            };
            let name = selected.reference.map_or_else(|| "<none>".to_owned(), |name| name.to_string());
            add_rows(&mut table, &line, 0, &name);
        }
    }
    print(&table.render())?;
    Ok(Status::Done)
}

fn add_rows(table: &mut Table, line: &LineJson, depth: usize, name: &str) {
    let platform = line.platform.clone().unwrap_or_default();
    let digest = format!("{:indent$}{}", "", line.digest, indent = 2 * depth);
    table.row(vec![digest, line.kind.clone(), platform, line.state.word().to_owned(), name.to_owned()]);
    line.lines.iter().for_each(|below| add_rows(table, below, depth + 1, ""));
}

/// The image, and the errors of layers that cannot be read.
fn inspect<'a>(
    source: &Source,
    image: &'a Image,
    references: &[Reference],
) -> (ImageJson<'a>, Vec<layerlift_store::Error>) {
    // What the store took for an image is JSON; should a document not be, its text is shown.
    let value = |raw: &[u8]| {
        serde_json::from_slice(raw)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(raw).into_owned()))
    };
    let (mut config, mut manifests, mut documents) = (None, None, None);
    let created = match &image.document {
        Document::Config { raw, manifests: stored } => {
            let document = value(raw);
            let created = document.get("created").cloned();
            config = Some(document);
            manifests = Some(stored.iter().map(|manifest| manifest.digest.to_string()).collect());
            created
        }
        Document::V1(stored) => {
            let all: Vec<Value> = stored.iter().map(|document| value(&document.raw)).collect();
            let created = all.last().and_then(|top| top.get("created")).cloned();
            documents = Some(all);
            created
        }
    };
    let mut damaged = Vec::new();
    let mut layers = Vec::new();
    for layer in &image.layers {
        let tar = layer.lost.clone().map_or_else(|| source.store.layer(&layer.key), Err);
        let (tar_size, error) = match tar {
            Ok(tar) => (tar.tar_len(), None),
            Err(_) if layer.left_out.is_some() => (None, None),
            Err(error) => {
                let message = Message::of(&error).text;
                damaged.push(error.within(format!("layer {}", layer.key.id())));
                (None, Some(message))
            }
        };
        let diff_id = layer.diff_id.map(|id| id.to_string());
        let left_out_of = layer.left_out.as_ref().map(|required| &*required.of);
        layers.push(LayerJson { id: layer.key.id(), diff_id, tar_size, left_out_of, error });
    }
    let inspected = ImageJson {
        id: image.key.id(),
        references: references.iter().map(ToString::to_string).collect(),
        created,
        driver: image.key.partition(),
        store: source.kind.name(),
        root: source.root.display().to_string(),
        config,
        manifests,
        documents,
        layers,
        needs: image.needs(),
        indexes: Vec::new(),
    };
    (inspected, damaged)
}
