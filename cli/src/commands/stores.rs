//! `layerlift stores`: which stores there are, and whether they can be read.

use std::collections::BTreeSet;
use std::path::Path;

use layerlift_store::discover::{self, Place};
use layerlift_store::{Detected, ErrorKind, LayerTar, Listing, OpenOptions, Store};
use serde::Serialize;

use super::orphans;
use crate::args::Stores;
use crate::error::Error;
use crate::message::Message;
use crate::output::{print, print_json};
use crate::report::Reporter;
use crate::size::human;
use crate::status::Status;
use crate::table::Table;

#[derive(Debug, Clone, Serialize)]
struct Found {
    kind: Option<&'static str>,
    root: String,
    drivers: Vec<String>,
    images: Option<usize>,
    /// Number of images that are listed and cannot be read.
    broken: Option<usize>,
    /// What the store had on record and has no longer, apart from images.
    lost: Vec<String>,
    size: Option<u64>,
    /// Why the store, or the layers of its images, cannot be read.
    error: Option<String>,
}

pub(crate) fn run(args: &Stores, reporter: &Reporter) -> Result<Status, Error> {
    let places = match &args.root {
        None => {
            let mut places = discover::below(Path::new("/"));
            let known = |usual: &Place| places.iter().any(|place| place.path == usual.path);
            let own: Vec<_> = discover::usual().into_iter().filter(|usual| !known(usual)).collect();
            places.extend(own);
            places
        }
        Some(root) if root.metadata().is_ok_and(|metadata| !metadata.is_dir()) => {
            return archive(root, args.json);
        }
        Some(root) => {
            let places = discover::search(root);
            if places.is_empty() {
                root.metadata().map_err(|source| {
                    let path = root.clone();
                    Error::Open(layerlift_store::Error::Io { action: "open", path, source: source.into() })
                })?;
                // The search passes over what it may not read.
                if let Err(error) = layerlift_store::open(root, &OpenOptions::default())
                    && error.kind() == ErrorKind::Environment
                {
                    return Err(Error::Open(error));
                }
            }
            places
        }
    };
    let mut options = OpenOptions::default().with_all_partitions(true);
    options.within = args.root.clone();
    if args.orphans && !places.is_empty() {
        return orphans::run(places, &options, args.json, reporter);
    }
    let found: Vec<Found> = places.into_iter().flat_map(|place| examine_all(place, &options)).collect();
    show(&found, args.json)?;
    match &args.root {
        _ if !found.is_empty() => Ok(Status::Done),
        Some(root) => Err(Error::NoStoreBelow(root.clone())),
        None => Err(Error::NoStore),
    }
}

/// A file is one archive, or the error says what it is. It is opened once: a pipe cannot be read twice.
fn archive(root: &Path, json: bool) -> Result<Status, Error> {
    let store = layerlift_store::open(root, &OpenOptions::default()).map_err(Error::Open)?;
    let found = Found::of(store.kind().name(), root, Vec::new(), Ok(store));
    show(&[found], json)?;
    Ok(Status::Done)
}

fn show(found: &[Found], json: bool) -> Result<(), Error> {
    if json {
        print_json(&found)
    } else if !found.is_empty() {
        print(&table(found))
    } else {
        Ok(())
    }
}

fn examine_all(place: Place, options: &OpenOptions) -> Vec<Found> {
    match place.found {
        Ok(detected) => detected.iter().map(|detected| examine(detected, options)).collect(),
        Err(error) => vec![Found {
            kind: None,
            root: place.path.display().to_string(),
            drivers: Vec::new(),
            images: None,
            broken: None,
            lost: Vec::new(),
            size: None,
            error: Some(Message::of(&error).text),
        }],
    }
}

fn examine(detected: &Detected, options: &OpenOptions) -> Found {
    let drivers = detected.partitions.clone();
    Found::of(detected.kind.name(), &detected.root, drivers, detected.open(options))
}

impl Found {
    /// A store that was recognized, or why it cannot be opened.
    fn of(
        kind: &'static str,
        root: &Path,
        drivers: Vec<String>,
        store: Result<Box<dyn Store>, layerlift_store::Error>,
    ) -> Self {
        let listing = store.and_then(|store| {
            let listing = store.images()?.on(&*store, None);
            let unsupported = unsupported(&*store, &listing);
            let size = size(&*store, &listing);
            Ok((listing, size, unsupported))
        });
        let (listing, size, error) = match listing {
            Ok((listing, size, unsupported)) => (Some(listing), size, unsupported),
            Err(error) => (None, None, Some(error)),
        };
        let lost = listing.iter().flat_map(|listing| &listing.lost);
        Found {
            kind: Some(kind),
            root: root.display().to_string(),
            drivers,
            images: listing.as_ref().map(|listing| listing.images.len()),
            broken: listing.as_ref().map(|listing| listing.broken.len()),
            lost: lost.map(|error| Message::of(error).text).collect(),
            size,
            error: error.map(|error| Message::of(&error).text),
        }
    }
}

/// Why layers cannot be read although images can be listed: the driver may keep them as something other than
/// directories. A layer of the first image of each driver shows it.
fn unsupported(store: &dyn Store, listing: &Listing) -> Option<layerlift_store::Error> {
    let mut drivers = BTreeSet::new();
    let mut firsts = listing.images.iter().filter(|image| drivers.insert(image.key.partition()));
    firsts.find_map(|image| {
        let image = store.image(&image.key).ok()?;
        let unsupported = store.layer(&image.layers.first()?.key).err();
        unsupported.filter(|error| error.kind() == layerlift_store::ErrorKind::Unsupported)
    })
}

/// The rows, with one for all places that this user may not open.
fn closed_together(found: &[Found]) -> Vec<Found> {
    let refused = |store: &&Found| {
        let error = store.error.as_deref();
        store.kind.is_none() && error.is_some_and(|error| error.ends_with(": permission denied"))
    };
    let (closed, mut rows): (Vec<&Found>, Vec<&Found>) = found.iter().partition(refused);
    if let [only] = &*closed {
        rows.push(only);
    }
    let mut rows: Vec<Found> = rows.into_iter().cloned().collect();
    if let [first, _, ..] = &*closed {
        let roots: Vec<&str> = closed.iter().map(|store| &*store.root).collect();
        let error = Some("cannot be opened: permission denied".to_owned());
        rows.push(Found { root: roots.join(", "), error, ..(*first).clone() });
    }
    rows
}

/// What its engine counts; of an archive or a layout, which does not record that, the bytes of its layers as
/// they are stored, each once.
fn size(store: &dyn Store, listing: &Listing) -> Option<u64> {
    if listing.images.is_empty() || listing.images.iter().any(|image| image.size.is_some()) {
        return Some(listing.images.iter().filter_map(|image| image.size).sum());
    }
    let mut layers = BTreeSet::new();
    for image in &listing.images {
        layers.extend(store.image(&image.key).ok()?.layers.into_iter().map(|layer| layer.key));
    }
    let len = |key| match store.layer(key).ok()? {
        LayerTar::Blob(layer) => Some(layer.stored.len),
        tar => tar.tar_len(),
    };
    layers.iter().map(len).sum()
}

fn table(found: &[Found]) -> String {
    let mut table = Table::new(&["STORE", "DRIVERS", "IMAGES", "SIZE", "PATH", "STATE"]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for store in &closed_together(found) {
        let drivers = Some(store.drivers.join(",")).filter(|drivers| !drivers.is_empty());
        let state = match (&store.error, store.broken) {
            (Some(error), _) => error.clone(),
            (None, Some(1)) => "readable, but for 1 image".to_owned(),
            (None, Some(broken @ 2..)) => format!("readable, but for {broken} images"),
            (None, _) if !store.lost.is_empty() => "readable, but names or records are lost".to_owned(),
            (None, _) => "readable".to_owned(),
        };
        table.row(vec![
            or_dash(store.kind.map(str::to_owned)),
            or_dash(drivers),
            or_dash(store.images.map(|images| images.to_string())),
            or_dash(store.size.map(human)),
            store.root.clone(),
            state,
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn readable_or_why_not() {
        let sound = Found {
            kind: Some("docker"),
            root: "/var/lib/docker".to_owned(),
            drivers: vec!["overlay2".to_owned(), "vfs".to_owned()],
            images: Some(12),
            broken: Some(0),
            lost: vec![],
            size: Some(2_580_000_000),
            error: None,
        };
        let damaged =
            Found { kind: Some("docker-graph"), root: "/mnt/d".to_owned(), broken: Some(2), ..sound.clone() };
        let nameless = Found { lost: vec!["repositories.json is empty".to_owned()], ..sound };
        let refused = Found {
            kind: None,
            root: "/var/lib/containers/storage".to_owned(),
            drivers: vec![],
            images: None,
            broken: None,
            lost: vec![],
            size: None,
            error: Some("cannot open /var/lib/containers/storage: permission denied".to_owned()),
        };
        assert_snapshot!(table(&[damaged, nameless, refused]), @r"
        STORE          DRIVERS        IMAGES   SIZE     PATH                          STATE
        docker-graph   overlay2,vfs   12       2.58GB   /mnt/d                        readable, but for 2 images
        docker         overlay2,vfs   12       2.58GB   /var/lib/docker               readable, but names or records are lost
        -              -              -        -        /var/lib/containers/storage   cannot open /var/lib/containers/storage: permission denied
        ");
    }

    #[test]
    fn places_that_are_closed() {
        let refused = |root: &str| Found {
            kind: None,
            root: root.to_owned(),
            drivers: vec![],
            images: None,
            broken: None,
            lost: vec![],
            size: None,
            error: Some(format!("cannot open {root}: permission denied")),
        };
        assert_snapshot!(table(&[refused("/a"), refused("/b"), refused("/c")]), @r"
        STORE   DRIVERS   IMAGES   SIZE   PATH         STATE
        -       -         -        -      /a, /b, /c   cannot be opened: permission denied
        ");
    }
}
