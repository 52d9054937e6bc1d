//! Archives that have lost `manifest.json`, and with it what names their images.

use std::fs;
use std::path::Path;

use layerlift_store::{ErrorKind, OpenOptions, Store, StoreKind, open};

use crate::made::{Tar, bytes, config, layer, store, text, verify};

/// The archive of an engine, unpacked without `manifest.json` and what else is named.
fn unpacked(name: &str, without: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    tar::Archive::new(&*bytes(name)).unpack(dir.path()).unwrap();
    for file in ["manifest.json"].iter().chain(without) {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    dir
}

fn open_dir(dir: &Path) -> Box<dyn Store> {
    open(dir, &OpenOptions::default()).unwrap()
}

/// Ids with names, sorted.
fn rows(store: &dyn Store) -> Vec<String> {
    let listing = store.images().unwrap();
    let row = |image: &layerlift_store::ImageSummary| {
        let names: Vec<String> = image.references.iter().map(ToString::to_string).collect();
        format!("{} {}", &image.key.id()[..12], names.join(" ")).trim_end().to_owned()
    };
    let mut rows: Vec<String> = listing.images.iter().map(row).collect();
    rows.sort();
    rows
}

fn without_names(rows: &[String]) -> Vec<String> {
    rows.iter().map(|row| row[..12].to_owned()).collect()
}

#[test]
fn of_docker_20() {
    let whole = rows(&*store(&bytes("docker-20.10-save")).unwrap());
    assert!(whole.iter().all(|row| row.contains(':')), "{whole:?}");
    for (without, expected) in [(&[][..], whole.clone()), (&["repositories"], without_names(&whole))] {
        let dir = unpacked("docker-20.10-save", without);
        let store = open_dir(dir.path());
        assert_eq!(store.kind(), StoreKind::DockerArchive);
        assert_eq!(rows(&*store), expected);
        let listing = store.images().unwrap();
        let [lost] = &*listing.lost else { panic!("{:?}", listing.lost) };
        assert_eq!(lost.kind(), ErrorKind::Malformed);
        assert!(text(lost).contains("no manifest.json"), "{}", text(lost));
        // Each layer has the diff id that its config says.
        assert!(verify(&*store) > 60);
    }
}

#[test]
fn of_podman_and_skopeo() {
    for name in ["podman-4.3-docker-archive", "skopeo-1.9-docker-archive"] {
        let whole = rows(&*store(&bytes(name)).unwrap());
        let dir = unpacked(name, &[]);
        let store = open_dir(dir.path());
        assert_eq!(without_names(&rows(&*store)), without_names(&whole), "{name}");
        assert_eq!(store.images().unwrap().lost.len(), 1, "{name}");
    }
}

/// An OCI layout without its index: manifests are found among the blobs.
#[test]
fn a_layout_without_an_index() {
    let whole = rows(&*store(&bytes("skopeo-1.9-oci-archive")).unwrap());
    let dir = tempfile::tempdir().unwrap();
    tar::Archive::new(&*bytes("skopeo-1.9-oci-archive")).unpack(dir.path()).unwrap();
    fs::remove_file(dir.path().join("index.json")).unwrap();
    let store = open_dir(dir.path());
    assert_eq!(without_names(&rows(&*store)), without_names(&whole));
    let listing = store.images().unwrap();
    let [lost] = &*listing.lost else { panic!("{:?}", listing.lost) };
    assert!(text(lost).contains("it has oci-layout and no index.json"), "{}", text(lost));
    assert!(verify(&*store) > 0);
}

/// As after an edit, or a merge of two archives.
#[test]
fn a_manifest_that_lacks_an_image() {
    let whole = rows(&*store(&bytes("docker-20.10-save")).unwrap());
    let dir = unpacked("docker-20.10-save", &[]);
    fs::write(dir.path().join("manifest.json"), "[]").unwrap();
    let store = open_dir(dir.path());
    assert_eq!(rows(&*store), whole);
    let listing = store.images().unwrap();
    let [lost] = &*listing.lost else { panic!("{:?}", listing.lost) };
    assert!(text(lost).contains("it does not name "), "{}", text(lost));
}

/// Nothing tells which of two images the directories belong to.
#[test]
fn two_images_of_one_time() {
    let time = r#""created":"2020-01-01T00:00:00Z","#;
    let mut tar = Tar::new();
    for (digit, content) in [("a", "one"), ("b", "two")] {
        let layer = layer(content);
        let config = config(&[&layer], time);
        let id = layerlift_archive::Digest::of(config.as_bytes()).hex();
        let v1 = digit.repeat(64);
        tar = tar.file(&format!("{v1}/VERSION"), "1.0");
        tar = tar.file(&format!("{v1}/json"), format!(r#"{{"id":"{v1}",{time}"os":"linux"}}"#));
        tar = tar.file(&format!("{v1}/layer.tar"), &layer).file(&format!("{id}.json"), config);
    }
    let store = store(&tar.finish()).unwrap();
    // They are still images of their directories, and something is said.
    assert_eq!(store.kind(), StoreKind::DockerV1Archive);
    let listing = store.images().unwrap();
    assert_eq!((listing.images.len(), listing.lost.len()), (2, 1));
}
