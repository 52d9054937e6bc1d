//! oci-archive: what passes through unchanged, what compression changes, and layouts that get more images.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::fake::{Fake, Kept};
use common::{check_blobs, document, entries, entry, exported, planned, store, threaded, written};
use layerlift_archive::{CompressionLevel, Digest, Existing, write_dir};
use layerlift_export::{Format, LayerCompression, Options, plan, select_all};
use layerlift_store::Store;
use serde_json::{Value, json};

/// Archives that engines wrote, as they are: compressed as a whole.
fn archive(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../store/tests/fixtures/archives")
        .join(format!("{name}.tar.xz"))
}

fn oci(layers: LayerCompression) -> Options {
    Options { format: Format::OciArchive, layers, ..Options::default() }
}

/// All images of a store in an archive, written by so many threads.
fn all(store: &dyn Store, options: &Options, threads: usize) -> Vec<u8> {
    let mut plan = plan(store, select_all(store).unwrap(), options).unwrap();
    let tree = plan.build(&threaded(threads)).unwrap();
    written(&tree, threads)
}

/// The digests in an `index.json`.
fn manifests(entries: &[common::Entry]) -> BTreeSet<String> {
    let index = document(entries, "index.json");
    let digest = |entry: &Value| entry["digest"].as_str().unwrap().to_owned();
    index["manifests"].as_array().unwrap().iter().map(digest).collect()
}

fn blob(digest: &Value) -> String {
    format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"))
}

fn plain(stored: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    match stored {
        [0x1f, 0x8b, ..] => drop(flate2::read::MultiGzDecoder::new(stored).read_to_end(&mut tar).unwrap()),
        [0x28, 0xb5, ..] => drop(zstd::Decoder::new(stored).unwrap().read_to_end(&mut tar).unwrap()),
        _ => tar.extend(stored),
    }
    tar
}

/// Each manifest's layers are what their media types say, and the tars of their image. Returns the image ids.
fn check_images(entries: &[common::Entry]) -> BTreeSet<String> {
    check_blobs(entries);
    let mut ids = BTreeSet::new();
    for digest in manifests(entries) {
        let manifest = document(entries, &blob(&json!(digest)));
        let id = &manifest["config"]["digest"];
        let config = document(entries, &blob(id));
        let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), diff_ids.len());
        for (layer, diff_id) in layers.iter().zip(diff_ids) {
            let stored = entry(entries, &blob(&layer["digest"]));
            let suffix = match stored {
                [0x1f, 0x8b, ..] => "+gzip",
                [0x28, 0xb5, ..] => "+zstd",
                _ => "",
            };
            assert_eq!(layer["mediaType"], format!("application/vnd.oci.image.layer.v1.tar{suffix}"));
            assert_eq!(layer["size"], stored.len());
            assert_eq!(Digest::of(&plain(stored)).to_string(), diff_id.as_str().unwrap());
        }
        ids.insert(id.as_str().unwrap().to_owned());
    }
    ids
}

/// Blobs and manifests of an OCI layout are the same bytes behind it, also in a docker-archive; docker-v1 has plain tars.
#[test]
fn compressed_blobs_pass_through() {
    for name in ["skopeo-1.9-oci-archive", "podman-4.3-oci-archive"] {
        let source = archive(name);
        let mut tar = Vec::new();
        liblzma::read::XzDecoder::new(fs::File::open(&source).unwrap()).read_to_end(&mut tar).unwrap();
        let before = entries(&tar);
        let store = store(&source);
        for format in [Format::OciArchive, Format::DockerArchive] {
            let after = entries(&all(&*store, &Options { format, ..Options::default() }, 2));
            let ids = check_images(&after);
            assert_eq!(manifests(&after), manifests(&before), "{name} {format}");
            for old in
                before.iter().filter(|entry| entry.path.starts_with("blobs/") && !entry.bytes.is_empty())
            {
                assert!(entry(&after, &old.path) == old.bytes, "{name} {format}: {}", old.path);
            }
            assert_eq!(ids.len(), store.images().unwrap().images.len());
        }
        let v1 = entries(&all(&*store, &Options { format: Format::DockerV1, ..Options::default() }, 2));
        let layers: BTreeSet<_> = v1
            .iter()
            .filter(|e| e.path.ends_with("/layer.tar"))
            .map(|e| Digest::of(&e.bytes).to_string())
            .collect();
        let mut expected = BTreeSet::new();
        for digest in manifests(&before) {
            let config =
                document(&before, &blob(&document(&before, &blob(&json!(digest)))["config"]["digest"]));
            let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap().clone();
            expected.extend(diff_ids.iter().map(|id| id.as_str().unwrap().to_owned()));
        }
        assert_eq!(layers, expected, "{name}");
    }
}

/// Whatever the layers are compressed with, image ids stay and threads change no byte.
#[test]
fn compression_keeps_image_ids() {
    let gzip: CompressionLevel = "gzip:9".parse().unwrap();
    let zstd: CompressionLevel = "zstd:3".parse().unwrap();
    for name in ["docker-20.10-save", "podman-4.3-oci-archive", "ctr-1.6-export-gzip"] {
        let store = store(&archive(name));
        let as_stored = check_images(&entries(&all(&*store, &oci(LayerCompression::AsStored), 1)));
        for (layers, suffix) in [
            (LayerCompression::Plain, "tar"),
            (LayerCompression::With(gzip), "+gzip"),
            (LayerCompression::With(zstd), "+zstd"),
        ] {
            let tar = all(&*store, &oci(layers), 1);
            assert!(tar == all(&*store, &oci(layers), 8), "{name} {layers:?}: threads change bytes");
            let entries = entries(&tar);
            assert_eq!(check_images(&entries), as_stored, "{name} {layers:?}");
            for digest in manifests(&entries) {
                let manifest = document(&entries, &blob(&json!(digest)));
                let types = manifest["layers"].as_array().unwrap().iter().map(|layer| &layer["mediaType"]);
                assert!(
                    types.clone().all(|kind| kind.as_str().unwrap().ends_with(suffix)),
                    "{name} {layers:?}"
                );
            }
        }
    }
}

/// What a format does not take is refused when it is asked for.
#[test]
fn compression_without_a_place() {
    let mut store = Fake::default();
    let layer = store.add_layer("a", Kept::Gzip);
    store.add_image(&[layer], &["a:1"], "");
    let zstd = LayerCompression::With("zstd".parse().unwrap());
    for (format, layers) in
        [(Format::DockerArchive, zstd), (Format::DockerV1, LayerCompression::With(CompressionLevel::GZIP))]
    {
        let error = exported(&store, &["a"], &Options { format, layers, ..Options::default() }).unwrap_err();
        assert!(error.contains("has no place for layers that are compressed"), "{error}");
    }
}

/// A layout that is there gets more images; what it has is not touched, but for names that mean something else now.
#[test]
fn layouts_are_extended() {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    let mut store = Fake::default();
    let (a, b) = (store.add_layer("a", Kept::Gzip), store.add_layer("b", Kept::Plain));
    store.add_image(&[a], &["localhost/x:1", "localhost/x:old"], "");
    store.add_image(&[a, b], &["localhost/y:1"], "");
    let extend = |store: &Fake, names: &[&str]| {
        let options = Options { extend: Some(layout.clone()), ..oci(LayerCompression::AsStored) };
        let mut plan = planned(store, names, &options)?;
        let tree = plan.build(&threaded(2)).unwrap();
        write_dir(&tree, &layout, Existing::Extend, &threads()).unwrap();
        Ok::<_, String>(())
    };
    fn threads() -> layerlift_archive::Options<'static> {
        threaded(2)
    }
    extend(&store, &["localhost/x"]).unwrap();

    let index = layout.join("index.json");
    let read = || fs::read_to_string(&index).unwrap();
    let foreign = r#"{"digest":"sha256:0", "size" : 1.0,"unknown":[ ]}"#;
    let changed = read()
        .replace(r#""manifests":["#, &format!(r#""annotations":{{ "kept":"1" }},"manifests":[{foreign},"#));
    fs::write(&index, changed).unwrap();
    let blobs = || -> BTreeSet<(PathBuf, u64, i64)> {
        let entries = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(Result::unwrap);
        let state = |entry: fs::DirEntry| {
            let metadata = entry.metadata().unwrap();
            (entry.path(), metadata.ino(), metadata.mtime_nsec())
        };
        entries.map(state).collect()
    };
    let before = blobs();
    extend(&store, &["localhost/y"]).unwrap();
    assert!(blobs().is_superset(&before), "blobs are written again");
    assert_eq!(blobs().len(), before.len() + 3);
    let text = read();
    assert!(text.contains(foreign) && text.contains(r#""annotations":{ "kept":"1" }"#), "{text}");

    // The name moves to another image; the old one keeps its other name.
    let mut other = Fake::default();
    let c = other.add_layer("c", Kept::Plain);
    let moved = other.add_image(&[c], &["localhost/x:1"], "");
    extend(&other, &["localhost/x"]).unwrap();
    let again = read();
    extend(&other, &["localhost/x"]).unwrap();
    assert_eq!(read(), again, "the same images once more");
    let mut without = serde_json::from_str::<Value>(&again).unwrap();
    without["manifests"].as_array_mut().unwrap().remove(0);
    fs::write(&index, without.to_string()).unwrap();
    let listed = common::store(&layout).images().unwrap();
    assert!(listed.broken.is_empty(), "{:?}", listed.broken);
    let mut names: Vec<(String, bool)> = listed
        .images
        .iter()
        .flat_map(|image| image.references.iter().map(|name| (name.to_string(), image.key.id == moved)))
        .collect();
    names.sort();
    let expected = [("localhost/x:1", true), ("localhost/x:old", false), ("localhost/y:1", false)];
    assert_eq!(names, expected.map(|(name, moved)| (name.to_owned(), moved)));
}

/// A directory with other things in it is no place for images, and stays as it is.
#[test]
fn other_directories_are_refused() {
    let mut store = Fake::default();
    let layer = store.add_layer("a", Kept::Plain);
    store.add_image(&[layer], &["a:1"], "");
    let dir = tempfile::tempdir().unwrap();
    let options = Options { extend: Some(dir.path().to_owned()), ..oci(LayerCompression::AsStored) };
    planned(&store, &["a"], &options).unwrap();
    fs::write(dir.path().join("notes"), "mine").unwrap();
    let error = planned(&store, &["a"], &options).err().unwrap();
    assert!(error.contains("not an OCI layout") && error.contains(dir.path().to_str().unwrap()), "{error}");
    fs::write(dir.path().join("oci-layout"), "{}").unwrap();
    fs::write(dir.path().join("index.json"), "[").unwrap();
    let error = planned(&store, &["a"], &options).err().unwrap();
    assert!(error.contains("index.json is malformed"), "{error}");
}
