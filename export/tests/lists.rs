//! Lists of images that Podman made, compared with what `podman save` wrote; an index without the requested
//! image.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use common::{Entry, chain, data_root, document, entries, entry, threaded, written};
use layerlift_archive::Digest;
use layerlift_export::{Format, Options, Selection, TagPolicy, plan, select, select_all, tree};
use layerlift_store::{Error, OpenOptions, Platform, Store, open};
use liblzma::read::XzDecoder;

const AMD64: &str = "d8738105607ea5cc91f8c04f321837521fec566330ac1ba849c3000f3dc9605c";
const ARM64: &str = "f181be5441836d4985c42e908fe1db41bb70fde6af52e9e1f81cde7bedc5957c";

fn platform(text: &str) -> Option<Platform> {
    Some(text.parse().unwrap())
}

/// The store of Podman 5.8 with the list `ml:1`.
fn podman() -> Option<(tempfile::TempDir, Box<dyn Store>)> {
    let root = data_root("podman-5.8-overlay/store.tar.xz")?;
    let store = open(&root.path().join("podman-5.8-overlay"), &OpenOptions::default()).unwrap();
    Some((root, store))
}

fn saved(store: &dyn Store, selection: Selection, format: Format) -> Vec<Entry> {
    let options = Options::default().with_format(format);
    let prepared = plan(store, selection, &options).unwrap().prepare(&threaded(2)).unwrap();
    entries(&written(&tree(&prepared), 2))
}

/// The tags, the digest of the config and the digests of the layers' tars of each image in `manifest.json`.
fn images(archive: &[Entry]) -> Vec<(Vec<String>, Digest, Vec<Digest>)> {
    let texts = |value: &serde_json::Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let digest = |path: &str| Digest::of(entry(archive, path));
    let image = |image: &serde_json::Value| {
        let layers = texts(&image["Layers"]).iter().map(|path| digest(path)).collect();
        (texts(&image["RepoTags"]), digest(image["Config"].as_str().unwrap()), layers)
    };
    document(archive, "manifest.json").as_array().unwrap().iter().map(image).collect()
}

/// `podman save` on an amd64 machine writes that image, with the name of the list as its only tag.
#[test]
fn as_podman_saves_a_list() {
    let Some((_root, store)) = podman() else { return };
    let path = "../store/tests/fixtures/podman-5.8-overlay/list-ml-1.tar.xz";
    let mut expected = Vec::new();
    let file = File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    XzDecoder::new(file).read_to_end(&mut expected).unwrap();
    let expected = images(&entries(&expected));
    assert_eq!(expected.len(), 1);
    assert_eq!(
        (expected[0].0.as_slice(), expected[0].1.hex()),
        (&["localhost/ml:1".to_owned()][..], AMD64.to_owned())
    );
    for name in ["localhost/ml:1", "ml:1", "ml"] {
        let selection = select(&*store, &[name], platform("linux/amd64").as_ref()).unwrap();
        assert_eq!(images(&saved(&*store, selection, Format::DockerArchive)), expected, "{name}");
    }
    if Platform::host().matches(&platform("linux/amd64").unwrap()) {
        let selection = select(&*store, &["ml:1"], None).unwrap();
        assert_eq!(images(&saved(&*store, selection, Format::DockerArchive)), expected);
    }
    // Requested by its own id, an image of the list has no name, unless `--tags keep` keeps all its names.
    for (policy, names) in [(TagPolicy::Named, 0), (TagPolicy::Keep, 1)] {
        let selection = select(&*store, &[AMD64], platform("linux/amd64").as_ref()).unwrap();
        let plan = plan(&*store, selection, &Options::default().with_tags(policy)).unwrap();
        assert_eq!(plan.images().next().unwrap().references.len(), names, "{policy:?}");
    }
}

#[test]
fn everything_for_a_platform() {
    let Some((_root, store)) = podman() else { return };
    let all = select_all(&*store, platform("linux/arm64").as_ref()).unwrap();
    let names = |id: &str| {
        let of_it = all.images.iter().filter(|image| image.image.id() == id);
        of_it.map(|image| image.reference.as_ref().map(ToString::to_string)).collect::<Vec<_>>()
    };
    assert_eq!(names(ARM64), [Some("localhost/ml:1".to_owned())]);
    assert!(names(AMD64).is_empty());
    // All the others are for amd64. Nothing is dropped in silence.
    let named = all
        .broken
        .iter()
        .find(|broken| broken.references.iter().any(|r| r.to_string() == "localhost/bah:top"));
    let error = &named.unwrap().error;
    assert_eq!(error.to_string(), "localhost/bah:top is here for linux/amd64, not for linux/arm64");
    assert!(all.broken.iter().all(|broken| matches!(broken.error, Error::NoPlatform { .. })));
}

#[test]
fn a_platform_that_a_list_lacks() {
    let Some((_root, store)) = podman() else { return };
    for (name, expected) in [
        ("ml:1", "localhost/ml:1 is here for linux/arm64, linux/amd64, not for linux/s390x"),
        ("bah:top", "localhost/bah:top is here for linux/amd64, not for linux/s390x"),
    ] {
        let error = select(&*store, &[name], platform("linux/s390x").as_ref()).unwrap_err();
        assert!(chain(&error).contains(expected), "{}", chain(&error));
    }
}
