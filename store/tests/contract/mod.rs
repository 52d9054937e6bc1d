//! The contract of every [`Store`]. Call it from a test of the store:
//!
//! ```ignore
//! mod contract;
//! contract::check(root, &|| layerlift_store::open(root, &Default::default()).unwrap(), &[]);
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use layerlift_archive::Hasher;
use layerlift_store::{
    DiffId, Document, Error, Image, ImageKey, Keyring, LayerKey, Listing, Platform, Selected, Store, Subject,
};

/// The image that a name means: the first, if it means several tags.
#[track_caller]
pub(crate) fn key(store: &dyn Store, name: &str) -> ImageKey {
    let selected = store.resolve(name).unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
    image(&selected[0])
}

/// The image that is selected; of an index this machine's.
#[track_caller]
pub(crate) fn image(selected: &Selected) -> ImageKey {
    match &selected.subject {
        Subject::Image(key) => key.clone(),
        Subject::Index(index) => index.choose(None).unwrap().image.clone().expect("it is in the store"),
        other => panic!("not an image: {other:?}"),
    }
}

/// Checks the store at `root`. `unreadable` are the ids of layers whose bytes are known to be damaged; all
/// others must be intact. Panics with the name or id that breaks a rule.
pub(crate) fn check(root: &Path, open: &dyn Fn() -> Box<dyn Store>, unreadable: &[&str]) {
    let before = snapshot(root);
    let store = open();
    let listing = store.images().expect("the images are listed");
    let images = listing.images.len() + listing.indexes.len();
    assert!(images > 0, "a store without images shows nothing");
    let again = open();
    let listing = listing.on(&*store, None);
    let twice = again.images().expect("the images are listed twice").on(&*again, None);
    assert_eq!(text(&listing), text(&twice), "two listings differ");

    let mut layers: BTreeMap<LayerKey, LayerKey> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (summary, other) in listing.images.iter().zip(&twice.images) {
        let key = &summary.key;
        assert!(seen.insert(key.clone()), "{key:?} is listed twice");
        let name = format!("{key:?} {:?}", summary.references);
        let image = store.image(key).unwrap_or_else(|e| panic!("{name}: {}", chain(&e)));
        documents(&name, key, &image);
        assert_eq!(image.layers.len(), summary.layers, "{name}: layers of the listing and of the image");
        let second = again.image(&other.key).expect(&name);
        assert_eq!(format!("{image:?}"), format!("{second:?}"), "{name}: twice");
        forged_image(store.as_ref(), key, &other.key);
        let keys = image.layers.into_iter().zip(second.layers);
        layers.extend(keys.map(|(layer, second)| (layer.key, second.key)));
        found_by_id(store.as_ref(), key);
        for_its_platform_alone(store.as_ref(), key);
        for reference in &summary.references {
            let text = reference.to_string();
            let selected = store.resolve(&text).unwrap_or_else(|e| panic!("{text}: {}", chain(&e)));
            assert!(names(&selected, key), "{text} is not {}", key.id());
            let repository = match store.resolve(reference.repository()) {
                Ok(all) => all,
                Err(Error::Ambiguous { .. }) => continue,
                Err(e) => panic!("{}: {}", reference.repository(), chain(&e)),
            };
            assert!(names(&repository, key), "{} does not mean {text}", reference.repository());
        }
    }
    for (key, other) in &layers {
        let len = layer(store.as_ref(), key, unreadable.contains(&key.id()));
        let second = layer(again.as_ref(), other, unreadable.contains(&key.id()));
        assert_eq!(len, second, "layer {key:?}: twice");
        forged_layer(store.as_ref(), key, other);
    }
    unknown(store.as_ref());
    let elsewhere = store.images().expect("listed before").on(&*store, Some(&nowhere()));
    assert!(elsewhere.images.is_empty(), "{elsewhere:?} are for no known machine");
    let after = snapshot(root);
    for (path, state) in &before {
        assert_eq!(Some(state), after.get(path), "{} has changed", path.display());
    }
    assert_eq!(before.len(), after.len(), "something was left below the root");
}

/// A listing without the numbers of open files, which artifacts have.
fn text(listing: &Listing) -> String {
    let Listing { images, indexes, intermediate, artifacts, broken, lost, notices, .. } = listing;
    let artifacts: Vec<_> = artifacts.iter().map(|artifact| (&artifact.names, &artifact.line)).collect();
    format!("{images:?} {indexes:?} {intermediate:?} {artifacts:?} {broken:?} {lost:?} {notices:?}")
}

fn documents(name: &str, key: &ImageKey, image: &Image) {
    assert_eq!(&image.key, key, "{name}: its own key");
    match &image.document {
        Document::Config { raw, .. } => {
            let digest = layerlift_archive::Digest::of(raw).hex();
            let own = image.own_manifest().map(|manifest| layerlift_archive::Digest::of(&manifest.raw));
            assert_eq!(own.map_or(digest, |own| own.hex()), key.id(), "{name}: the digest of its document");
        }
        Document::V1(documents) => {
            assert_eq!(documents.len(), image.layers.len(), "{name}: a document for each layer");
            assert_eq!(documents.last().map(|top| top.id.as_str()), Some(key.id()), "{name}: the last");
            let parents = documents.iter().map(|document| document.parent.as_ref());
            let below = std::iter::once(None).chain(documents.iter().map(|document| Some(&document.id)));
            assert!(parents.eq(below.take(documents.len())), "{name}: each is the parent of the next");
        }
    }
}

/// Looks an image up by its full id, and by its shortest unambiguous prefix. A repository of that name may
/// win.
fn found_by_id(store: &dyn Store, key: &ImageKey) {
    let mut unique = None;
    for len in [64, 12, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 63] {
        let prefix = &key.id()[..len];
        match store.resolve(prefix) {
            Ok(selected) if names(&selected, key) => {
                let by_id = selected.iter().all(|s| s.reference.is_none());
                unique = unique.or(by_id.then_some(len));
            }
            Ok(selected) => {
                assert!(selected.iter().all(|s| s.reference.is_some()), "{prefix} is another image")
            }
            Err(Error::Ambiguous { candidates, .. }) => {
                assert!(len < 64 && candidates.len() > 1, "{prefix}: {candidates:?}");
            }
            Err(e) => panic!("{prefix}: {}", chain(&e)),
        }
    }
    assert_eq!(unique, Some(64), "{} is not found by its id", key.id());
}

/// A platform that no image of a test is for.
fn nowhere() -> Platform {
    "plan9/mips64".parse().expect("a platform")
}

/// An image that is named itself is compared with the platform that is asked for.
fn for_its_platform_alone(store: &dyn Store, key: &ImageKey) {
    let selected = Selected::of_image(key.clone(), None);
    assert_eq!(&selected.choose(store, None).expect("nothing is asked for"), key);
    let platform = store.image(key).expect("it was readable a moment ago").platform();
    if let Some(platform) = &platform {
        assert_eq!(&selected.choose(store, Some(platform)).expect("it is for this platform"), key);
    }
    let error = selected.choose(store, Some(&nowhere())).expect_err("it is not for this platform");
    let Error::NoPlatform { here, .. } = &error else { panic!("{key:?}: {}", chain(&error)) };
    let platform = platform.map_or("an unnamed platform".to_owned(), |platform| platform.to_string());
    assert_eq!(here, &[platform], "{key:?}");
}

fn names(selected: &[Selected], key: &ImageKey) -> bool {
    selected.iter().any(|selected| image(selected).id() == key.id())
}

/// Bytes of a layer's tar.
fn layer(store: &dyn Store, key: &LayerKey, unreadable: bool) -> u64 {
    let tar = match store.layer(key) {
        Err(_) if unreadable => return 0,
        tar => tar.unwrap_or_else(|e| panic!("layer {key:?}: {}", chain(&e))),
    };
    let mut hasher = Hasher::default();
    let written = match tar.write_to(&mut hasher) {
        Err(_) if unreadable => return 0,
        written => written.unwrap_or_else(|e| panic!("layer {key:?}: {}", chain(&e))),
    };
    assert!(!unreadable, "layer {key:?} is readable after all");
    let len = hasher.len();
    assert_eq!(
        (written.len, written.diff_id),
        (len, DiffId(hasher.finish())),
        "layer {key:?}: what was written"
    );
    if let Some(known) = tar.tar_len() {
        assert_eq!(len, known, "layer {key:?}: its length");
    }
    if let Some(recorded) = tar.diff_id() {
        assert_eq!(written.diff_id, recorded, "layer {key:?}: its digest");
    }
    let mut hasher = Hasher::default();
    let read = io::copy(&mut tar.reader().expect("it was readable a moment ago"), &mut hasher);
    assert_eq!(read.expect("it was readable a moment ago"), len, "layer {key:?}: its length in a reader");
    assert_eq!(DiffId(hasher.finish()), written.diff_id, "layer {key:?}: its digest in a reader");
    len
}

fn unknown(store: &dyn Store) {
    let no_name = [
        "no-such-image",
        "no-such/image:1",
        "nosuch",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ];
    for name in no_name {
        let error = store.resolve(name).expect_err(name);
        assert!(matches!(error, Error::NotFound { .. }), "{name}: {}", chain(&error));
    }
    for name in ["", " ", "a b", "\0", "\n"] {
        let error = store.resolve(name).expect_err(name);
        assert!(matches!(error, Error::BadName { .. }), "{name:?}: {}", chain(&error));
    }
    let keys = Keyring::new();
    for id in ["", "..", "../../etc", "/", "x", &"0".repeat(64), &"f".repeat(65)] {
        assert!(store.image(&keys.image("", id)).is_err(), "image {id:?}");
        assert!(store.layer(&keys.layer("", id)).is_err(), "layer {id:?}");
    }
}

/// Keys that say the same but were made elsewhere: by another keyring, by the same store opened once more.
fn forged_image(store: &dyn Store, key: &ImageKey, other: &ImageKey) {
    let forged = Keyring::new().image(key.partition(), key.id());
    for key in [&forged, other] {
        let error = store.image(key).expect_err("a store takes its own keys only");
        assert!(matches!(error, Error::NotFound { .. }), "{key:?}: {}", chain(&error));
    }
}

fn forged_layer(store: &dyn Store, key: &LayerKey, other: &LayerKey) {
    let forged = Keyring::new().layer(key.partition(), key.id());
    for key in [&forged, other] {
        let Err(error) = store.layer(key) else { panic!("a store takes its own keys only") };
        assert!(matches!(error, Error::NotFound { .. }), "{key:?}: {}", chain(&error));
    }
}

/// Everything below a root: size, owner, mode, and the times that a write would change.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let m = fs::symlink_metadata(&path).expect("what a store holds can be looked at");
        let state =
            [m.ino(), m.size(), u64::from(m.mode()), u64::from(m.uid()), u64::from(m.gid()), m.nlink()];
        let times = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
        if m.is_dir() {
            let entries = fs::read_dir(&path).expect("what a store holds can be listed");
            todo.extend(entries.map(|entry| entry.expect("what a store holds can be listed").path()));
        }
        all.insert(path, format!("{state:?} {times:?}"));
    }
    all
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
