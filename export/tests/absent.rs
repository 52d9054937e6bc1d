//! Images of containerd whose layers are there though their blobs are not.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use common::{check_blobs, data_root, document, entries, exported, planned, written};
use layerlift_archive::Options as WriteOptions;
use layerlift_export::{Format, Options, Warning, tree};
use layerlift_store::{OpenOptions, Store, open};

fn said(warnings: &[Warning]) -> Vec<String> {
    warnings.iter().map(ToString::to_string).collect()
}

fn image(store: &dyn Store, name: &str) -> layerlift_store::Image {
    let key = store.resolve(name).unwrap()[0].choose(store, None).unwrap();
    store.image(&key).unwrap()
}

/// Docker pulled an image whose layers it had already, compressed otherwise. It fetched none of its blobs, so
/// `docker save` exits with 0 and an archive of a manifest. The blobs that are there give the same image id.
#[test]
fn another_blob_has_the_layer() {
    let Some(root) = data_root("containerd/docker-28/store.tar.xz") else { return };
    let below = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
    let store = open(&below, &OpenOptions::default()).unwrap();
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

/// A label that lies is found out: the tar in the blob has another digest.
#[test]
fn a_label_is_only_a_hint() {
    let Some(root) = data_root("containerd/docker-28/store.tar.xz") else { return };
    let below = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
    let daemon = below.join("containerd/daemon");
    let store = open(&below, &OpenOptions::default()).unwrap();
    let (zstd, many) = (image(&*store, "bench/zstd:1.0"), image(&*store, "bench/many:1.0"));
    let database = daemon.join("io.containerd.metadata.v1.bolt/meta.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let label = |digest: &str| format!("containerd.io/uncompressed{digest}").into_bytes();
    let (right, wrong) = (zstd.layers[0].diff_id.unwrap(), many.layers[0].diff_id.unwrap());
    let nothing = format!("sha256:{}", "0".repeat(64));
    replace(&mut bytes, &label(&right.to_string()), &label(&nothing));
    replace(&mut bytes, &label(&wrong.to_string()), &label(&right.to_string()));
    std::fs::write(&database, bytes).unwrap();
    let store = open(&below, &OpenOptions::default()).unwrap();
    let name = "127.0.0.1:5777/bench/zstd-as-gzip:1.0";
    for format in [Format::OciArchive, Format::DockerArchive] {
        let error = exported(&*store, &[name], &Options::default().with_format(format)).unwrap_err();
        assert!(error.contains("diff id") && error.contains(&right.to_string()), "{format}: {error}");
    }
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let places: Vec<usize> =
        bytes.windows(old.len()).enumerate().filter(|(_, w)| *w == old).map(|(at, _)| at).collect();
    places.into_iter().for_each(|at| bytes[at..at + new.len()].copy_from_slice(new));
}
