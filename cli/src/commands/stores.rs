//! `layerlift stores`: which stores there are, and whether they can be read.

use std::collections::BTreeSet;
use std::path::Path;

use layerlift_store::discover::{self, Place};
use layerlift_store::{Detected, Listing, OpenOptions, Store};
use serde::Serialize;

use crate::args::Stores;
use crate::error::Error;
use crate::message::Message;
use crate::output::{print, print_json};
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

pub(crate) fn run(args: &Stores) -> Result<Status, Error> {
    let places = match &args.root {
        None => {
            let mut places = discover::below(Path::new("/"));
            let known = |usual: &Place| places.iter().any(|place| place.path == usual.path);
            let own: Vec<_> = discover::usual().into_iter().filter(|usual| !known(usual)).collect();
            places.extend(own);
            places
        }
        Some(root) => {
            let places = discover::search(root);
            if places.is_empty() {
                root.metadata().map_err(|source| {
                    let path = root.clone();
                    Error::Open(layerlift_store::Error::Io { action: "open", path, source: source.into() })
                })?;
            }
            places
        }
    };
    let mut options = OpenOptions::default();
    options.within = args.root.clone();
    let found: Vec<Found> = places.into_iter().flat_map(|place| examine_all(place, &options)).collect();
    if args.json {
        print_json(&found)?;
    } else if !found.is_empty() {
        print(&table(&found))?;
    }
    match &args.root {
        _ if !found.is_empty() => Ok(Status::Done),
        Some(root) => Err(Error::NoStoreBelow(root.clone())),
        None => Err(Error::NoStore),
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
    let listing = detected.open(options).and_then(|store| {
        let listing = store.images()?.on(&*store, None);
        let unsupported = unsupported(&*store, &listing);
        Ok((listing, unsupported))
    });
    let (listing, error) = match listing {
        Ok((listing, unsupported)) => (Some(listing), unsupported),
        Err(error) => (None, Some(error)),
    };
    let error = error.map(|error| Message::of(&error).text);
    Found {
        kind: Some(detected.kind.name()),
        root: detected.root.display().to_string(),
        drivers: detected.partitions.clone(),
        images: listing.as_ref().map(|listing| listing.images.len()),
        broken: listing.as_ref().map(|listing| listing.broken.len()),
        lost: listing.iter().flat_map(|listing| &listing.lost).map(|error| Message::of(error).text).collect(),
        size: listing.as_ref().map(size),
        error,
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

fn size(listing: &Listing) -> u64 {
    listing.images.iter().filter_map(|image| image.size).sum()
}

fn table(found: &[Found]) -> String {
    let mut table = Table::new(&["STORE", "DRIVERS", "IMAGES", "SIZE", "PATH", "STATE"]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for store in found {
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
}
