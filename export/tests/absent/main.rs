//! Images of containerd whose layers are there although their blobs are not.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

#[path = "../common/mod.rs"]
mod common;
mod union;

use std::path::{Path, PathBuf};

use common::{check_blobs, data_root, document, entries, entry, exported, planned, written};
use layerlift_archive::{Digest, Options as WriteOptions};
use layerlift_export::{Format, Options, Warning, tree};
use layerlift_store::{Document, ErrorKind, Image, OpenOptions, Store, open};
use union::{differences, layers, union};

const DOCKER: &str = "containerd/docker-28/store.tar.xz";
const CONTAINERD: &str = "containerd/containerd-2.1/store.tar.xz";
const DISCARDED: &str = "containerd/containerd-2.1-discarded/store.tar.xz";
const NATIVE: &str = "containerd/containerd-1.6-native/store.tar.xz";

/// The folder in which a fixture has its store.
fn below(root: &Path) -> PathBuf {
    std::fs::read_dir(root).unwrap().next().unwrap().unwrap().path()
}

fn namespace(root: &Path, namespace: &str) -> Box<dyn Store> {
    open(&below(root), &OpenOptions::default().with_partition(namespace)).unwrap()
}

/// Removes the blobs of all layers, or of the topmost ones.
fn discard(containerd: &Path, image: &Image, count: usize) {
    for layer in image.layers.iter().rev().take(count) {
        let blob = layer.key.id().split('@').next().unwrap();
        let _ = std::fs::remove_file(containerd.join("io.containerd.content.v1.content").join(blob));
    }
}

fn config(image: &Image) -> &[u8] {
    let Document::Config { raw, .. } = &image.document else { panic!("it has a config") };
    raw
}

fn said(warnings: &[Warning]) -> Vec<String> {
    warnings.iter().map(ToString::to_string).collect()
}

fn image(store: &dyn Store, name: &str) -> Image {
    let key = store.resolve(name).unwrap()[0].choose(store, None).unwrap();
    store.image(&key).unwrap()
}

/// Docker pulled an image whose layers it already had in another compression. It fetched none of the blobs,
/// so `docker save` exits with 0 and writes an archive with only a manifest. The blobs that are there give
/// the same image id.
#[test]
fn another_blob_has_the_layer() {
    let Some(root) = data_root(DOCKER) else { return };
    let store = namespace(root.path(), "moby");
    let name = "127.0.0.1:5777/bench/zstd-as-gzip:1.0";
    let (broken, whole) = (image(&*store, name), image(&*store, "bench/zstd:1.0"));
    assert_eq!(broken.image_id(), whole.image_id());
    for format in [Format::OciArchive, Format::DockerArchive, Format::DockerV1] {
        let plan = planned(&*store, &[name], &Options::default().with_format(format)).unwrap();
        let said = said(plan.warnings());
        let of_layer = said.iter().find(|said| said.contains("it is missing; blob sha256:")).unwrap();
        assert!(of_layer.ends_with("takes its place"), "{format}: {of_layer}");
        let of_manifest = said.iter().any(|said| said.contains("the manifest is sha256:"));
        assert_eq!(of_manifest, format != Format::DockerV1, "{format}: {said:?}");
        let prepared = plan.prepare(&WriteOptions::default()).unwrap();
        assert!(prepared.warnings().is_empty(), "{format}: said once: {:?}", prepared.warnings());
        let archive = entries(&written(&tree(&prepared), 2));
        if format == Format::DockerV1 {
            continue;
        }
        check_blobs(&archive);
        let config = document(&archive, "manifest.json")[0]["Config"].as_str().unwrap().to_owned();
        let id = whole.image_id().unwrap().0.hex();
        assert_eq!(config, format!("blobs/sha256/{id}"), "{format}");
    }
}

/// A blob that only another namespace has a record of is the same blob: nothing changes.
#[test]
fn another_namespace_has_the_blob() {
    let Some(root) = data_root(CONTAINERD) else { return };
    let store = namespace(root.path(), "partial");
    let plan = planned(&*store, &["docker.io/bench/raw:1.0"], &Options::default()).unwrap();
    let said = said(plan.warnings());
    assert!(said[0].contains("namespace partial has no record of it"), "{said:?}");
    let prepared = plan.prepare(&WriteOptions::default()).unwrap();
    assert!(prepared.warnings().is_empty(), "{:?}", prepared.warnings());
    let archive = entries(&written(&tree(&prepared), 2));
    check_blobs(&archive);
    let id = image(&*store, "docker.io/bench/raw:1.0").key.id().to_owned();
    entry(&archive, &format!("blobs/sha256/{id}"));
}

/// A wrong label is detected: the tar in the blob has another digest.
#[test]
fn a_label_is_only_a_hint() {
    let Some(root) = data_root(DOCKER) else { return };
    let daemon = below(root.path()).join("containerd/daemon");
    let store = namespace(root.path(), "moby");
    let (zstd, many) = (image(&*store, "bench/zstd:1.0"), image(&*store, "bench/many:1.0"));
    let database = daemon.join("io.containerd.metadata.v1.bolt/meta.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let label = |digest: &str| format!("containerd.io/uncompressed{digest}").into_bytes();
    let (right, wrong) = (zstd.layers[0].diff_id.unwrap(), many.layers[0].diff_id.unwrap());
    let nothing = format!("sha256:{}", "0".repeat(64));
    replace(&mut bytes, &label(&right.to_string()), &label(&nothing));
    replace(&mut bytes, &label(&wrong.to_string()), &label(&right.to_string()));
    std::fs::write(&database, bytes).unwrap();
    let store = namespace(root.path(), "moby");
    let name = "127.0.0.1:5777/bench/zstd-as-gzip:1.0";
    for format in [Format::OciArchive, Format::DockerArchive] {
        let error = exported(&*store, &[name], &Options::default().with_format(format)).unwrap_err();
        assert!(error.contains("diff id") && error.contains(&right.to_string()), "{format}: {error}");
    }
}

/// What Docker 28 and BuildKit wrote comes out byte for byte: the image keeps its id, and nothing is
/// announced but the manifest.
#[test]
fn layers_of_docker_hash_to_their_diff_ids() {
    let Some(root) = data_root(DOCKER) else { return };
    let containerd = below(root.path()).join("containerd/daemon");
    let store = namespace(root.path(), "moby");
    for (name, written_there) in [("built/classic:1", 2), ("built/kit:1", 2), ("built/two:1", 1)] {
        let before = image(&*store, name);
        discard(&containerd, &before, written_there);
        for format in [Format::OciArchive, Format::DockerArchive] {
            let plan = planned(&*store, &[name], &Options::default().with_format(format)).unwrap();
            let rebuilt = |warning: &&Warning| matches!(warning, Warning::LayersRebuilt { .. });
            let rebuilt: Vec<_> = plan.warnings().iter().filter(rebuilt).collect();
            let Warning::LayersRebuilt { image_id, others, .. } = rebuilt[0] else { panic!() };
            assert_eq!((Some(*image_id), *others + 1), (before.image_id(), written_there), "{name}");
            let prepared = plan.prepare(&WriteOptions::default()).unwrap();
            // BuildKit's attestation is about the old manifest.
            let of_image = |warning: &&Warning| !matches!(warning, Warning::CompanionsLeftOut { .. });
            let warnings: Vec<_> = prepared.warnings().iter().filter(of_image).collect();
            assert!(matches!(&*warnings, [Warning::OtherManifest { .. }]), "{name}, {format}: {warnings:?}");
            assert_eq!(prepared.images()[0].image_id, before.image_id(), "{name}, {format}");
            let archive = entries(&written(&tree(&prepared), 2));
            check_blobs(&archive);
        }
    }
}

/// On a node that discards what it has unpacked, `ctr images export` fails. The layers are all there.
#[test]
fn images_of_a_node_that_discards_layers() {
    let (Some(discarded), Some(whole)) = (data_root(DISCARDED), data_root(CONTAINERD)) else { return };
    let whole = namespace(whole.path(), "default");
    for (of, registry, images) in [
        ("default", "docker.io", &["many", "torture", "mixed"][..]),
        ("k8s.io", "127.0.0.1:5777", &["multi", "zstd", "dup", "schema2"]),
    ] {
        let store = namespace(discarded.path(), of);
        for name in images {
            let (here, there) =
                (format!("{registry}/bench/{name}:1.0"), format!("docker.io/bench/{name}:1.0"));
            rebuilt_as_it_was(&*store, &here, &*whole, &there);
        }
    }
}

/// Trees are compared with those below them. Layers that change nothing are empty.
#[test]
fn images_of_the_native_snapshotter() {
    let (Some(native), Some(whole)) = (data_root(NATIVE), data_root(NATIVE)) else { return };
    let (store, whole) = (namespace(native.path(), "default"), namespace(whole.path(), "default"));
    for name in ["docker.io/bench/torture:1.0", "docker.io/bench/dup:1.0"] {
        discard(&below(native.path()), &image(&*store, name), usize::MAX);
        rebuilt_as_it_was(&*store, name, &*whole, name);
    }
}

/// Compares an image whose layers are rebuilt with one that has them: the same files, and a config that
/// differs in diff ids alone.
fn rebuilt_as_it_was(store: &dyn Store, name: &str, whole: &dyn Store, there: &str) {
    let stored = image(store, name);
    let archive = entries(&exported(store, &[name], &Options::default()).unwrap());
    check_blobs(&archive);
    let original = entries(&exported(whole, &[there], &Options::default()).unwrap());
    let (is, was) = (layers(&archive), layers(&original));
    assert_eq!(is.len(), was.len(), "{name}");
    let differ = differences(&union(&was), &union(&is));
    assert!(differ.is_empty(), "{name}: {differ:#?}");

    let path = document(&archive, "manifest.json")[0]["Config"].as_str().unwrap().to_owned();
    let mut expected = String::from_utf8(config(&stored).to_vec()).unwrap();
    let mut at = 0;
    for (layer, tar) in stored.layers.iter().zip(&is) {
        let (old, new) = (layer.diff_id.unwrap().to_string(), Digest::of(tar).to_string());
        at += expected[at..].find(&old).unwrap();
        expected.replace_range(at..at + old.len(), &new);
        at += new.len();
    }
    assert_eq!(String::from_utf8_lossy(entry(&archive, &path)), expected, "{name}");
}

/// With only recorded bytes, and without a snapshot, there is an error.
#[test]
fn layers_that_are_nowhere() {
    let Some(root) = data_root(DISCARDED) else { return };
    let store = namespace(root.path(), "k8s.io");
    let name = "127.0.0.1:5777/bench/zstd:1.0";
    let error = exported(&*store, &[name], &Options::default().with_recorded_only(true)).unwrap_err();
    assert!(error.contains("it could only be rebuilt from"), "{error}");

    let snapshots = "io.containerd.snapshotter.v1.overlayfs";
    std::fs::remove_dir_all(below(root.path()).join(snapshots).join("snapshots/6")).unwrap();
    let store = namespace(root.path(), "k8s.io");
    let error = exported(&*store, &[name], &Options::default()).unwrap_err();
    assert!(error.contains("whose blob sha256:") && error.contains("needs snapshot k8s.io/"), "{error}");
    let layer = &image(&*store, name).layers[0];
    assert_eq!(store.layer(&layer.key).unwrap_err().kind(), ErrorKind::Missing);

    std::fs::remove_file(below(root.path()).join(snapshots).join("metadata.db")).unwrap();
    let store = namespace(root.path(), "k8s.io");
    let error = exported(&*store, &[name], &Options::default()).unwrap_err();
    assert!(error.contains("needs snapshot k8s.io/"), "{error}");
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let places: Vec<usize> =
        bytes.windows(old.len()).enumerate().filter(|(_, w)| *w == old).map(|(at, _)| at).collect();
    places.into_iter().for_each(|at| bytes[at..at + new.len()].copy_from_slice(new));
}
