//! What is missing or damaged.

use std::collections::BTreeSet;
use std::fs;

use layerlift_store::{ErrorKind, Listing, OpenOptions, StoreKind, open};

use crate::contract::key;
use crate::fixture::{CONTAINERD, Copy, DATABASE, DOCKER, OLD};

const MULTI: &str = "2d2f5817d89151d0fd49ca86c4c5c430920c393b3de3cc540e4026ee00be625e";
const MANY: &str = "c36a04b0f54f5874cb4af697b61cfc83323340681bd751efab799a609f6ef73c";

#[test]
fn documents() {
    for (digest, what, kind) in [
        (MANY, "manifest", ErrorKind::Missing),
        ("801433d13fa6fae5aa5baadc88eb1eb6d0b1ff6fec624d97ed4518b506d90574", "config", ErrorKind::Missing),
    ] {
        let copy = Copy::of(DOCKER);
        let blob = copy.blob(digest);
        let bytes = fs::read(&blob).unwrap();
        fs::remove_file(&blob).unwrap();
        let store = copy.namespace("moby");
        let listing = store.images().unwrap().on(&*store, None);
        assert_eq!(listing.broken.len(), 1, "{:?}", listing.broken);
        let broken = &listing.broken[0];
        assert_eq!(broken.error.kind(), kind, "{}", broken.error);
        assert!(broken.error.to_string().contains(&format!("{what} sha256:{digest}, which is missing")));
        assert_eq!(broken.references.len(), 2);
        assert_eq!(listing.with_intermediate().images.len(), 17);

        let mut other = bytes.clone();
        other[10] ^= 1;
        fs::write(&blob, other).unwrap();
        let store = copy.namespace("moby");
        let listing = store.images().unwrap().on(&*store, None);
        assert_eq!(listing.broken[0].error.kind(), ErrorKind::Damaged);
    }
}

/// What an index that is missing has named is still found, and messages name what needs a document.
#[test]
fn the_members_of_a_missing_index() {
    let copy = Copy::of(CONTAINERD);
    let index = MULTI;
    let before = copy.namespace("default").images().unwrap();
    fs::remove_file(copy.blob(index)).unwrap();
    let store = copy.namespace("default");
    let listing = store.images().unwrap();
    let broken = listing.broken.iter().find(|broken| broken.what == index).unwrap();
    let error = broken.error.to_string();
    assert!(error.starts_with(&format!("meta.db needs index sha256:{index}, which is missing")), "{error}");
    // For three platforms; without its index, each is an image of its own.
    assert_eq!(listing.images.len(), before.images.len() + 3, "{:?}", listing.images);
    for image in &listing.images {
        assert!(store.image(&image.key).is_ok_and(|image| !image.layers.is_empty()));
    }
}

/// A blob that another namespace has labelled, or whose digest is the diff id, takes the place of one that is
/// missing.
#[test]
fn blobs_that_other_namespaces_label() {
    for (namespace, name) in [("k8s.io", "127.0.0.1:5777/bench/multi:1.0"), ("partial", "bench/multi:1.0")] {
        let copy = Copy::of(CONTAINERD);
        let store = copy.namespace(namespace);
        let image = store.image(&key(&*store, name)).unwrap();
        let mut replaced = 0;
        for layer in image.layers {
            let (file, _) = layer.key.id().split_once('@').unwrap();
            let Ok(()) = fs::remove_file(copy.blob(file.rsplit('/').next().unwrap())) else { continue };
            let Ok(tar) = store.layer(&layer.key) else { continue };
            assert!(tar.notice().unwrap().what.contains("takes its place"), "{:?}", tar.notice());
            assert_eq!(tar.write_to(&mut std::io::sink()).unwrap().diff_id, layer.diff_id.unwrap());
            replaced += 1;
        }
        assert!(replaced > 0, "{namespace}");
    }
}

/// If the record of a namespace is a value and not a bucket, the namespace is lost.
#[test]
fn a_value_in_place_of_a_bucket() {
    let copy = Copy::of(CONTAINERD);
    let database = copy.containerd().join(DATABASE);
    let whole = fs::read(&database).unwrap();
    let word = |at: usize| u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
    let mut changed = 0;
    for page in (0..whole.len()).step_by(4096) {
        // An element of a leaf: flags, distance to the key, lengths of key and value.
        for element in (page + 16..page + 4080).step_by(16) {
            let key = element + word(element + 4);
            if (word(element), word(element + 8)) != (1, 7) || whole.get(key..key + 7) != Some(b"default") {
                continue;
            }
            let mut bytes = whole.clone();
            bytes[element] = 0;
            fs::write(&database, &bytes).unwrap();
            let Ok(listing) = copy.all().images() else { continue };
            let said =
                listing.lost.iter().any(|error| format!("{error:?}").contains("v1/default is a value"));
            changed += usize::from(said);
        }
    }
    assert!(changed > 0);
}

#[test]
fn layers() {
    let copy = Copy::of(DOCKER);
    let store = copy.namespace("moby");
    let image = store.image(&key(&*store, "bench/many:1.0")).unwrap();
    let layer = &image.layers[3].key;
    let (name, _) = layer.id().split_once('@').unwrap();
    let path = copy.blob(name.rsplit('/').next().unwrap());
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let error = store.layer(layer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains("needs blob sha256:"), "{error}");
    let mut other = bytes;
    let last = other.len() - 1;
    other[last] ^= 1;
    fs::write(&path, other).unwrap();
    let found = store.layer(layer).unwrap().write_to(&mut std::io::sink());
    assert_eq!(found.map(|_| ()).unwrap_err().kind(), ErrorKind::Damaged);
}

/// Without the database, images that are complete are found without their names.
#[test]
fn a_damaged_database() {
    let copy = Copy::of(DOCKER);
    let database = copy.containerd().join(DATABASE);
    fs::write(&database, vec![0x5a; 1 << 16]).unwrap();
    let store = open(copy.root(), &OpenOptions::default()).unwrap();
    let listing = store.images().unwrap();
    assert_eq!(listing.lost.len(), 1);
    let many = listing.images.iter().find(|image| image.key.id() == MANY).unwrap();
    assert!(many.references.is_empty());
    assert_eq!(store.image(&many.key).unwrap().layers.len(), 60);
}

/// Without a page of the database, or the database, each image that is complete is still there, and a name
/// that is lost is reported.
#[test]
fn a_damaged_page() {
    // Of the larger ones, some pages are enough.
    for (fixture, step) in [(DOCKER, 11), (CONTAINERD, 23), (OLD, 3)] {
        let copy = Copy::of(fixture);
        let database = copy.containerd().join(DATABASE);
        let whole = fs::read(&database).unwrap();
        let list = || {
            let options = OpenOptions::default().with_kind(StoreKind::Containerd).with_all_partitions(true);
            open(copy.root(), &options).unwrap().images().unwrap()
        };
        let ids = |listing: &Listing| -> BTreeSet<String> {
            let members = listing.indexes.iter().flat_map(|index| &index.index.members);
            let images = listing.images.iter().chain(&listing.intermediate).map(|image| &image.key);
            images
                .chain(members.filter_map(|one| one.image.as_ref()))
                .map(|key| key.id().to_owned())
                .collect()
        };
        let names = |listing: &Listing| -> Vec<String> {
            let indexes = listing.indexes.iter().flat_map(|index| &index.references);
            let images = listing.images.iter().flat_map(|image| &image.references);
            images.chain(indexes).map(ToString::to_string).collect()
        };
        let all = names(&list());
        fs::remove_file(&database).unwrap();
        let listing = list();
        let complete = ids(&listing);
        assert!(!complete.is_empty() && listing.lost.len() == 1, "{:?}", listing.lost);
        assert!(names(&listing).is_empty());
        let mut hit = 0;
        let written = |&at: &usize| whole[at..at + 4096].iter().any(|byte| *byte > 0);
        for page in (0..whole.len()).step_by(4096).filter(written).step_by(step) {
            let mut bytes = whole.clone();
            bytes[page..page + 4096].fill(0);
            fs::write(&database, &bytes).unwrap();
            let listing = list();
            let missing: Vec<_> = complete.difference(&ids(&listing)).cloned().collect();
            assert!(missing.is_empty(), "{fixture}, page {}: {missing:?}", page / 4096);
            let broken = listing.broken.iter().any(|broken| broken.error.to_string().contains("page"));
            let lost = !listing.lost.is_empty() || broken;
            assert!(lost || names(&listing) == all, "{fixture}, page {}", page / 4096);
            hit += usize::from(!listing.lost.is_empty());
        }
        assert!(hit > 3, "{fixture}: {hit}");
        fs::write(&database, &whole[..4096 * 3]).unwrap();
        let listing = list();
        assert_eq!((ids(&listing), listing.lost.len()), (complete, 1), "{fixture}");
    }
}

/// An image whose config is missing is not one that this host never had: no other platform takes its place.
#[test]
fn the_config_of_one_platform() {
    let copy = Copy::of(DOCKER);
    fs::remove_file(copy.blob("1bd65e3d74611e00f1e7f3166a94f59173074cf2914ca3849610084e5206f496")).unwrap();
    let store = copy.namespace("moby");
    let platform = "linux/amd64".parse().unwrap();
    let selected = store.resolve("built/two:1").unwrap().remove(0);
    let image = selected.choose(&*store, Some(&platform));
    let error = image.and_then(|key| store.image(&key)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    let other = selected.choose(&*store, Some(&"linux/arm64".parse().unwrap())).unwrap();
    assert!(store.image(&other).is_ok());
}
