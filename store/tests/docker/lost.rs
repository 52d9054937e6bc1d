//! What Docker recorded is missing as a whole: its layers still say that there were images.

use std::fs;

use layerlift_store::{ErrorKind, OpenOptions, StoreKind, detect, open};

use crate::fixture::DataRoot;

const DRIVER: &str = "overlay2";

/// What is lost, in words, and that there is nothing else.
fn lost(data: &DataRoot) -> String {
    let found = detect(data.path()).unwrap();
    assert_eq!((found.len(), found[0].kind), (1, StoreKind::Docker), "{found:?}");
    let store = open(data.path(), &OpenOptions::default()).unwrap();
    let listing = store.images().unwrap();
    assert!(listing.images.is_empty() && listing.broken.is_empty(), "{listing:?}");
    let [error] = &listing.lost[..] else { panic!("{:?}", listing.lost) };
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(store.resolve("bench/many:1.0").is_err());
    error.to_string()
}

/// A data root with all that Docker has of layers.
fn data_root() -> DataRoot {
    let data = DataRoot::metadata(DRIVER);
    data.add_trees(DRIVER);
    fs::create_dir(data.path().join("containers")).unwrap();
    data
}

#[test]
fn image() {
    let data = data_root();
    fs::remove_dir_all(data.path().join("image")).unwrap();
    let words = lost(&data);
    assert!(words.contains("image is missing: names and configs of all images are lost"), "{words}");
    assert!(words.contains("directories in overlay2 are left"), "{words}");
    // Without layers, nothing says that there were images.
    fs::remove_dir_all(data.path().join(DRIVER)).unwrap();
    let found = detect(data.path()).unwrap();
    assert!(found.iter().all(|found| found.kind != StoreKind::Docker), "{found:?}");
}

#[test]
fn configs() {
    let data = data_root();
    fs::remove_dir_all(data.image(DRIVER).join("imagedb")).unwrap();
    let words = lost(&data);
    assert!(words.contains("imagedb is missing: the configs of all images are lost; 71 layers"), "{words}");
}

#[test]
fn configs_and_names() {
    let data = data_root();
    for config in fs::read_dir(data.image(DRIVER).join("imagedb/content/sha256")).unwrap() {
        fs::remove_file(config.unwrap().path()).unwrap();
    }
    fs::remove_file(data.image(DRIVER).join("repositories.json")).unwrap();
    assert!(lost(&data).contains("repositories.json is missing: names are lost"));
}
