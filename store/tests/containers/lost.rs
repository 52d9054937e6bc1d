//! Files of records that are empty, cut off or missing: what lies beside them is still found.

use std::fs;

use layerlift_store::{Error, ErrorKind, LayerTar, Listing};

use crate::NEEDS_ROOT;
use crate::damage::{make_fifo, unproven};
use crate::fixture::{APP, BASE, Disk, LOWER, UPPER, root_user};
use crate::hash_all;

const IMAGES: &str = "additional/overlay-images/images.json";
const LAYERS: &str = "additional/overlay-layers/layers.json";
const CONTAINERS: &str = "additional/overlay-containers/containers.json";

/// What can become of a file, and a word of what is then wrong with it.
type Fault = (&'static str, fn(&Disk, &str));

const FAULTS: &[Fault] = &[
    ("it is empty", |disk, file| disk.write(file, "")),
    ("only zero bytes", |disk, file| {
        let len = fs::metadata(disk.join(file)).unwrap().len() as usize;
        disk.write(file, vec![0; len]);
    }),
    ("it is an object, not a list", |disk, file| disk.write(file, "{}")),
    ("its end is missing", |disk, file| disk.write(file, "[{")),
    ("it is not JSON from line 1, column 1 on", |disk, file| disk.write(file, b"\xff")),
    ("its end is missing", |disk, file| cut(disk, file, |text| text.len() - 60)),
    ("whole record", |disk, file| {
        // The second half of the file is zeros, as of a block that was never written.
        let text = fs::read(disk.join(file)).unwrap();
        let half = text.len() / 2;
        let zeroed: Vec<u8> = text.iter().enumerate().map(|(at, b)| if at < half { *b } else { 0 }).collect();
        disk.write(file, zeroed);
    }),
    ("No such file", |disk, file| fs::remove_file(disk.join(file)).unwrap()),
    ("larger than 64 MiB", |disk, file| {
        fs::File::create(disk.join(file)).unwrap().set_len(100 << 30).unwrap()
    }),
    ("not a regular file", |disk, file| {
        fs::remove_file(disk.join(file)).unwrap();
        make_fifo(&disk.join(file));
    }),
];

fn cut(disk: &Disk, file: &str, at: fn(&str) -> usize) {
    let text = fs::read_to_string(disk.join(file)).unwrap();
    disk.write(file, &text[..at(&text)]);
}

fn ids(listing: &Listing) -> Vec<&str> {
    let mut ids: Vec<&str> = listing.images.iter().map(|image| image.key.id()).collect();
    ids.sort_unstable();
    ids
}

fn words(listing: &Listing) -> String {
    let words = |error: &Error| {
        let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    };
    listing.lost.iter().map(words).collect()
}

/// The file is named as lost, every image is listed, and no layer is other than it was.
fn nothing_else_is_lost(disk: &Disk, file: &str, fault: &str) -> Listing {
    let store = disk.store("additional");
    let listing = store.images().unwrap();
    let words = words(&listing);
    assert_eq!(ids(&listing), [APP, BASE], "{file}, {fault}: {words} {:?}", listing.broken);
    assert!(listing.broken.is_empty(), "{file}, {fault}: {:?}", listing.broken);
    assert_eq!(listing.lost.len(), 1, "{file}, {fault}: {words}");
    assert!(words.contains(fault) && words.contains(&file["additional/".len()..]), "{file}: {words}");
    assert!(matches!(listing.lost[0].kind(), ErrorKind::Malformed | ErrorKind::Missing));
    if root_user(NEEDS_ROOT) {
        assert_eq!(hash_all(&*store, "additional"), 3, "{file}, {fault}");
    }
    listing
}

#[test]
fn images_by_their_folders() {
    for (fault, change) in FAULTS {
        let disk = Disk::small("additional");
        change(&disk, IMAGES);
        let _ = fs::remove_dir_all(disk.join("additional/overlay-containers"));
        nothing_else_is_lost(&disk, IMAGES, fault);
    }
}

#[test]
fn layers_by_the_rule_of_their_ids() {
    for (fault, change) in FAULTS {
        let disk = Disk::small("additional");
        change(&disk, LAYERS);
        let listing = nothing_else_is_lost(&disk, LAYERS, fault);
        assert!(listing.images.iter().all(|image| !image.references.is_empty()), "names are not lost");
    }
}

#[test]
fn both_at_once() {
    let disk = Disk::small("additional");
    disk.write(IMAGES, "");
    fs::remove_file(disk.join(LAYERS)).unwrap();
    let store = disk.store("additional");
    let listing = store.images().unwrap();
    assert_eq!((ids(&listing), listing.lost.len()), (vec![APP, BASE], 2));
    if root_user(NEEDS_ROOT) {
        assert_eq!(hash_all(&*store, "additional"), 3);
    }
}

#[test]
fn names_that_containers_have() {
    let disk = Disk::small("additional");
    disk.write(IMAGES, "");
    let container = |id: &str, image: &str, name: &str| {
        format!(r#"{{"id":"{id}","image":"{image}","metadata":"{{\"image-name\":\"{name}\"}}"}}"#)
    };
    let records = [
        container("1", APP, "localhost/demo/app:2.0"),
        container("2", BASE, BASE),
        container("3", LOWER, "localhost/demo/not-here:1"),
    ];
    // Cut off itself.
    disk.write(CONTAINERS, format!("[{},{{", records.join(",")));
    let store = disk.store("additional");
    let listing = store.images().unwrap();
    let names: Vec<String> =
        listing.images.iter().flat_map(|image| &image.references).map(ToString::to_string).collect();
    assert_eq!(names, ["localhost/demo/app:2.0"]);
    assert_eq!(store.resolve("demo/app:2.0").unwrap().len(), 1);
    // It may be there: the answer is not simply "no".
    assert_eq!(store.resolve("demo/base:1.0").unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn what_cannot_be_found_again() {
    let disk = Disk::small("additional");
    disk.write(LAYERS, "");
    unproven(&disk);
    let listing = disk.store("additional").images().unwrap();
    assert_eq!((ids(&listing), listing.lost.len()), (vec![BASE], 1));
    assert_eq!(listing.broken[0].what, APP);
    assert_eq!(listing.broken[0].error.kind(), ErrorKind::Missing);
    // A folder without a config.
    let disk = Disk::small("additional");
    disk.write(IMAGES, "");
    for file in fs::read_dir(disk.join("additional/overlay-images").join(APP)).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let listing = disk.store("additional").images().unwrap();
    assert_eq!((ids(&listing), &*listing.broken[0].what), (vec![BASE], APP));
}

/// A new store has such files, or none.
#[test]
fn a_store_without_images_has_lost_nothing() {
    for nothing in ["", "[]", "null"] {
        let disk = Disk::empty();
        disk.write("additional/overlay-images/images.json", nothing);
        disk.write("additional/overlay-layers/layers.json", nothing);
        let listing = disk.store("additional").images().unwrap();
        assert!(listing.images.is_empty() && listing.lost.is_empty() && listing.broken.is_empty());
    }
    // No image needs the layers of containers.
    let disk = Disk::small("additional");
    disk.write("additional/overlay-layers/volatile-layers.json", "[");
    let listing = disk.store("additional").images().unwrap();
    assert_eq!((listing.images.len(), listing.notices.len(), listing.lost.len()), (2, 1, 0));
}

/// What Podman 4.3 wrote, cut off 60 bytes before its end: the ids of layers follow the rule.
#[test]
fn a_store_of_podman() {
    let disk = Disk::empty().and_case("podman-records-lost");
    let store = disk.store("store");
    let listing = store.images().unwrap();
    assert_eq!((listing.images.len(), listing.broken.len(), listing.lost.len()), (3, 0, 1));
    assert_eq!(hash_all(&*store, "store"), 6);
}

#[test]
fn an_image_that_is_being_stored_is_incomplete() {
    let disk = Disk::small("additional");
    let id = "9".repeat(64);
    disk.edit(IMAGES, r#"[{"id":"#, &format!(r#"[{{"id":"{id}","names":null}},{{"id":"#));
    let listing = disk.store("additional").images().unwrap();
    assert_eq!((listing.images.len(), listing.broken.len()), (2, 1));
    let error = &listing.broken[0].error;
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains("is incomplete"), "{error}");
}

/// Layers that only images have are what is left of them.
#[test]
fn all_images_at_once() {
    let images = "additional/overlay-images";
    let whole = Disk::small("additional");
    fs::remove_dir_all(whole.join(images)).unwrap();
    let emptied = Disk::small("additional");
    fs::remove_dir_all(emptied.join(images)).unwrap();
    fs::create_dir(emptied.join(images)).unwrap();
    for disk in [whole, emptied] {
        let listing = disk.store("additional").images().unwrap();
        assert_eq!((listing.images.len(), listing.lost.len()), (0, 1));
        let words = words(&listing);
        assert!(words.contains("no image is found, and 2 layers are left"), "{words}");
    }
}

/// A list of records without those that `keep` refuses.
fn keep(disk: &Disk, file: &str, keep: impl Fn(&serde_json::Value) -> bool) {
    let text = fs::read(disk.join(file)).unwrap();
    let mut records: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
    records.retain(keep);
    disk.write(file, serde_json::to_string(&records).unwrap());
}

#[test]
fn records_that_are_not_in_a_whole_file() {
    for (file, missing) in [(IMAGES, APP), (IMAGES, ""), (LAYERS, UPPER), (LAYERS, LOWER), (LAYERS, "")] {
        let disk = Disk::small("additional");
        let _ = fs::remove_dir_all(disk.join("additional/overlay-containers"));
        keep(&disk, file, |record| !missing.is_empty() && record["id"] != missing);
        let fault = if file == IMAGES { "it has no record of image" } else { "it has no usable record of" };
        let store = disk.store("additional");
        let listing = store.images().unwrap();
        assert_eq!(ids(&listing), [APP, BASE], "{file} without {missing:?}");
        let words = words(&listing);
        assert!(listing.broken.is_empty() && words.contains(fault), "{words}");
        if root_user(NEEDS_ROOT) {
            assert_eq!(hash_all(&*store, "additional"), 3, "{file} without {missing:?}");
        }
    }
}

#[test]
fn records_that_cannot_be_read() {
    let (id, parent) = (format!(r#""id":"{UPPER}""#), format!(r#""parent":"{LOWER}""#));
    let other = |key: &str, digit: &str| format!(r#""{key}":"{}""#, digit.repeat(64));
    let edits = [
        (LAYERS, &*id, &*other("id", "f")),
        (LAYERS, &parent, &other("parent", "0")),
        (LAYERS, &parent, &id.replace("id", "parent")),
        (LAYERS, &parent, r#""parent":"../x""#),
        (IMAGES, "\"names\":[", "\"names\":5,\"old\":["),
        (IMAGES, "\"layer\":", "\"layer\":[],\"old\":"),
        (LAYERS, "\"diff-digest\":", "\"diff-digest\":7,\"old\":"),
        (LAYERS, "\"parent\":", "\"parent\":7,\"old\":"),
    ];
    for (file, from, to) in edits {
        let disk = Disk::small("additional");
        disk.edit(file, from, to);
        let store = disk.store("additional");
        let listing = store.images().unwrap();
        assert_eq!(ids(&listing), [APP, BASE], "{file}: {to}: {:?}", listing.broken);
        let fault = if file == IMAGES { "cannot be read" } else { "it has no usable record of" };
        assert!(listing.broken.is_empty() && words(&listing).contains(fault), "{}", words(&listing));
        if root_user(NEEDS_ROOT) {
            assert_eq!(hash_all(&*store, "additional"), 3, "{file}: {to}");
        }
    }
}

/// Names are read from a record of which something else cannot be read.
#[test]
fn names_in_a_record_that_cannot_be_read() {
    let names = |disk: &Disk| {
        let listing = disk.store("additional").images().unwrap();
        let names = listing.images.iter().flat_map(|image| &image.references);
        (names.map(ToString::to_string).collect::<Vec<_>>(), words(&listing))
    };
    let whole = names(&Disk::small("additional")).0;
    for member in ["layer", "big-data-names", "big-data-sizes", "big-data-digests", "created"] {
        let disk = Disk::small("additional");
        disk.edit(IMAGES, &format!("\"{member}\":"), &format!("\"{member}\":7.5,\"old\":"));
        let (found, words) = names(&disk);
        assert_eq!(found, whole, "{member}: {words}");
        assert!(words.contains("it is found by its folder, and by name"), "{member}: {words}");
    }
}

/// What an interrupted removal leaves: a folder without a record, and no documents in it.
#[test]
fn a_folder_of_no_image() {
    let disk = Disk::small("additional");
    fs::create_dir(disk.join("additional/overlay-images").join("c".repeat(64))).unwrap();
    let listing = disk.store("additional").images().unwrap();
    assert_eq!((ids(&listing), listing.lost.len(), listing.broken.len()), (vec![APP, BASE], 0, 0));
}

/// What a power loss leaves: records that are cut, and tar-split data that are empty or missing. The layers
/// are still in their directories.
#[test]
fn layers_by_their_directories() {
    for split in [Some(""), None] {
        let disk = Disk::small("additional");
        disk.write(LAYERS, "[");
        let folder = disk.join("additional/overlay-layers");
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match split {
                _ if entry.extension().is_none_or(|end| end != "gz") => {}
                Some(text) => fs::write(entry, text).unwrap(),
                None => fs::remove_file(entry).unwrap(),
            }
        }
        let store = disk.store("additional");
        let listing = store.images().unwrap();
        assert_eq!((ids(&listing), listing.lost.len()), (vec![APP, BASE], 1), "{:?}", listing.broken);
        for image in &listing.images {
            for layer in store.image(&image.key).unwrap().layers {
                let tar = store.layer(&layer.key).unwrap();
                assert!(matches!(tar, LayerTar::Diff(_)));
                if root_user(NEEDS_ROOT) {
                    tar.write_to(&mut std::io::sink()).unwrap();
                }
            }
        }
    }
}

/// Without the folder of all layers, the images are still known.
#[test]
fn no_layers_at_all() {
    let disk = Disk::small("additional");
    fs::remove_dir_all(disk.join("additional/overlay-layers")).unwrap();
    let listing = disk.store("additional").images().unwrap();
    assert_eq!((ids(&listing), listing.lost.len()), (vec![APP, BASE], 1));
    // And without that of their files.
    fs::remove_dir_all(disk.join("additional/overlay")).unwrap();
    let listing = disk.store("additional").images().unwrap();
    assert!(listing.images.is_empty());
    let names: usize = listing.broken.iter().map(|broken| broken.references.len()).sum();
    assert_eq!((listing.broken.len(), names), (2, 4), "{:?}", listing.broken);
    assert!(listing.broken.iter().all(|broken| broken.error.kind() == ErrorKind::Missing));
}
