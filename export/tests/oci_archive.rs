//! oci-archive: what is copied unchanged, and what compression changes.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use common::fake::{Fake, Kept};
use common::{check_blobs, document, entries, entry, exported, store, threaded, written};
use layerlift_archive::{CompressionLevel, Digest, Observer, Spools, write_file};
use layerlift_export::{Format, LayerCompression, Options, Warning, plan, select_all, tree, verify};
use layerlift_store::Store;
use oci_spec::image::{ImageIndex, ImageManifest, MediaType, SCHEMA_VERSION};
use serde_json::{Value, json};

/// Archives that engines wrote, still compressed as a whole.
fn archive(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../store/tests/fixtures/archives")
        .join(format!("{name}.tar.xz"))
}

fn oci(layers: LayerCompression) -> Options {
    Options::default().with_format(Format::OciArchive).with_layers(layers)
}

/// An archive with all images of a store, written by this number of threads.
fn all(store: &dyn Store, options: &Options, threads: usize) -> Vec<u8> {
    let plan = plan(store, select_all(store, None).unwrap(), options).unwrap();
    written(&tree(&plan.prepare(&threaded(threads)).unwrap()), threads)
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

/// Checks that the documents are those of the specification, as another implementation reads it, and that the
/// layers of each manifest match their media types and the diff ids of their image. Returns the image ids.
fn check_images(entries: &[common::Entry]) -> BTreeSet<String> {
    check_blobs(entries);
    let index = ImageIndex::from_reader(entry(entries, "index.json")).unwrap();
    for manifest in index.manifests() {
        let manifest = blob(&json!(manifest.digest().to_string()));
        let manifest = ImageManifest::from_reader(entry(entries, &manifest)).unwrap();
        assert_eq!((index.schema_version(), manifest.schema_version()), (SCHEMA_VERSION, SCHEMA_VERSION));
        assert_eq!(*manifest.config().media_type(), MediaType::ImageConfig);
    }
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

/// Blobs and manifests of an OCI layout keep their bytes, in a docker-archive too; docker-v1 has plain tars.
#[test]
fn compressed_blobs_pass_through() {
    for name in ["skopeo-1.9-oci-archive", "podman-4.3-oci-archive"] {
        let source = archive(name);
        let mut tar = Vec::new();
        liblzma::read::XzDecoder::new(fs::File::open(&source).unwrap()).read_to_end(&mut tar).unwrap();
        let before = entries(&tar);
        let store = store(&source);
        for format in [Format::OciArchive, Format::DockerArchive] {
            let after = entries(&all(&*store, &Options::default().with_format(format), 2));
            let ids = check_images(&after);
            assert_eq!(manifests(&after), manifests(&before), "{name} {format}");
            for old in
                before.iter().filter(|entry| entry.path.starts_with("blobs/") && !entry.bytes.is_empty())
            {
                assert!(entry(&after, &old.path) == old.bytes, "{name} {format}: {}", old.path);
            }
            assert_eq!(ids.len(), store.images().unwrap().images.len());
        }
        let v1 = entries(&all(&*store, &Options::default().with_format(Format::DockerV1), 2));
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

/// Engines refuse a blob with zeros behind its gzip stream, so it goes out without them: the image's id and
/// its diff ids stay, and what is written says which digest the blob has got.
#[test]
fn padding_of_a_blob_is_left_out() {
    for zeros in [1, 3, 512, 10_240] {
        let mut fake = Fake::default();
        let layers = [fake.add_layer("sound", Kept::Gzip), fake.add_layer("padded", Kept::Padded(zeros))];
        let id = fake.add_image(&layers, &["padded:1"], "");
        let image = fake.images().unwrap().images.remove(0);
        let report = verify(&fake, &[(image.key, image.references)], &threaded(2));
        assert!(report.is_sound(&report.images[0]), "{zeros}");
        for format in [Format::OciArchive, Format::DockerArchive] {
            let options = Options::default().with_format(format);
            let plan = plan(&fake, select_all(&fake, None).unwrap(), &options).unwrap();
            assert!(plan.to_string().contains("without"), "{plan}");
            let prepared = plan.prepare(&threaded(2)).unwrap();
            let [Warning::OtherBlobDigest { old, new, .. }] = prepared.warnings() else {
                panic!("{:?}", prepared.warnings())
            };
            let entries = entries(&written(&tree(&prepared), 2));
            assert_eq!(check_images(&entries), BTreeSet::from([format!("sha256:{id}")]), "{format}");
            let blob = entry(&entries, &format!("blobs/sha256/{}", new.hex()));
            assert_eq!(Digest::of(&plain(blob)), fake.diff_id(layers[1]).0);
            let other = format!("blobs/sha256/{}", old.hex());
            assert!(entries.iter().all(|entry| entry.path != other), "{format}");
        }
    }
}

/// Whatever compresses the layers, image ids stay, and the bytes do not depend on the number of threads.
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

/// Compression that a format cannot hold is refused by the plan.
#[test]
fn compression_without_a_place() {
    let mut store = Fake::default();
    let layer = store.add_layer("a", Kept::Gzip);
    store.add_image(&[layer], &["a:1"], "");
    for level in [CompressionLevel::GZIP, CompressionLevel::ZSTD] {
        let options = Options::default().with_format(Format::DockerV1);
        let error =
            exported(&store, &["a"], &options.with_layers(LayerCompression::With(level))).unwrap_err();
        assert!(error.contains("cannot hold layers that are compressed"), "{error}");
    }
}

/// A docker-archive has layers with zstd only on request, since not every engine that reads it reads them.
#[test]
fn zstd_in_a_docker_archive() {
    let mut store = Fake::default();
    let layer = store.add_layer("a", Kept::Gzip);
    store.add_image(&[layer], &["a:1"], "");
    for (layers, first, warned) in [
        (LayerCompression::AsStored, [0x1f, 0x8b], false),
        (LayerCompression::With(CompressionLevel::GZIP), [0x1f, 0x8b], false),
        (LayerCompression::With(CompressionLevel::ZSTD), [0x28, 0xb5], true),
    ] {
        let options = Options::default().with_layers(layers);
        let warnings = plan(&store, select_all(&store, None).unwrap(), &options).unwrap().warnings().to_vec();
        let is_it = |warning: &Warning| matches!(warning, Warning::LayersRefused { .. });
        assert_eq!(warnings.iter().any(is_it), warned, "{warnings:?}");
        let archive = exported(&store, &["a"], &options).unwrap();
        let found = entries(&archive);
        let blobs = found.iter().filter(|entry| entry.path.starts_with("blobs/sha256/"));
        assert_eq!(blobs.filter(|blob| blob.bytes.starts_with(&first)).count(), 1, "{layers:?}");
    }
}

/// Layers that are compressed on the way, and those between them that stay as they are, are where a file has
/// them at once: without a temporary file, and without a copy.
#[test]
fn compressed_layers_are_written_once() {
    let mut store = Fake::default();
    let [a, b, c] = [("a", Kept::Plain), ("b", Kept::Gzip), ("c", Kept::Plain)]
        .map(|(text, kept)| store.add_layer(text, kept));
    store.add_image(&[a, b], &["x:1"], "");
    store.add_image(&[b, c], &["y:1"], "");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.tar");
    for format in [Format::DockerArchive, Format::OciArchive] {
        for level in [CompressionLevel::GZIP, CompressionLevel::ZSTD] {
            let layers = LayerCompression::With(level);
            let options = Options::default().with_format(format).with_layers(layers);
            let expected = all(&store, &options, 2);
            let spools = Spools::in_tar(&path, "/nowhere").unwrap();
            let writing = threaded(2).with_spools(&spools);
            let plan = plan(&store, select_all(&store, None).unwrap(), &options).unwrap();
            let prepared = plan.prepare(&writing).unwrap();
            assert!(spools.kept_len() > 0);
            write_file(&tree(&prepared), &path, &writing).unwrap();
            assert_eq!(spools.kept_len(), 0, "{format} {level}: the file was not taken over");
            assert!(fs::read(&path).unwrap() == expected, "{format} {level}");
        }
    }
}

/// Podman refuses an index with more than one entry, and reads `manifest.json` instead.
#[test]
fn manifest_json_is_there_for_docker_and_podman() {
    let mut store = Fake::default();
    let (a, b) = (store.add_layer("a", Kept::Gzip), store.add_layer("b", Kept::Plain));
    let names = ["docker.io/library/x:1", "x:1", "quay.io/x:1", "Bad:1"];
    let first = store.add_image(&[a, b], &names, "");
    let second = store.add_image(&[b], &["index.docker.io/x:1", "y:2"], "");
    store.add_image(&[], &[], "");
    let options = oci(LayerCompression::AsStored);
    let plan = plan(&store, select_all(&store, None).unwrap(), &options).unwrap();
    let warnings: Vec<String> = plan.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "the name Bad:1 is in index.json only: its repository is not valid today",
            "the name index.docker.io/x:1 is in index.json only: another image has it too",
        ]
    );
    let entries = entries(&written(&tree(&plan.prepare(&threaded(2)).unwrap()), 2));
    assert_eq!(entries.last().unwrap().path, "manifest.json");
    let index = document(&entries, "index.json");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 4 + 2 + 1);
    let manifests = document(&entries, "manifest.json");
    let items = manifests.as_array().unwrap();
    let tags: Vec<&Value> = items.iter().map(|item| &item["RepoTags"]).collect();
    assert_eq!(tags, [&json!(["x:1", "quay.io/x:1"]), &json!(["y:2"]), &json!(null)]);
    let config = |id: &str| json!(format!("blobs/sha256/{id}"));
    assert_eq!((&items[0]["Config"], &items[1]["Config"]), (&config(&first), &config(&second)));
    let layers = |item: &Value| item["Layers"].as_array().unwrap().clone();
    assert_eq!(items.iter().map(|item| layers(item).len()).collect::<Vec<_>>(), [2, 1, 0]);
    for path in items.iter().flat_map(layers) {
        entry(&entries, path.as_str().unwrap());
    }
}

/// Counts the bytes that are done.
#[derive(Default)]
struct Counter(AtomicU64);

impl Observer for Counter {
    fn advance(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The first pass counts the tars of layers, also of those that it compresses or decompresses.
#[test]
fn progress_of_the_first_pass() {
    let mut store = Fake::default();
    let kept = [store.add_layer("plain", Kept::Plain), store.add_layer("gzip", Kept::Gzip)];
    store.add_image(&kept[..1], &["plain:1"], "");
    store.add_image(&kept, &["both:1"], "");
    let gzip = LayerCompression::With("gzip:6".parse().unwrap());
    // Header, content, and two blocks of zeros.
    let tar = 4 * 512;
    for (name, options, announced, done) in [
        ("plain:1", oci(gzip), Some(tar), tar),
        ("both:1", Options::default().with_format(Format::DockerV1), None, tar),
    ] {
        let plan = common::planned(&store, &[name], &options).unwrap();
        assert_eq!(plan.first_pass_len(), announced, "{name}");
        let counter = Counter::default();
        plan.prepare(&threaded(2).with_observer(&counter)).unwrap();
        assert_eq!(counter.0.into_inner(), done, "{name}");
    }
}

/// Docker refuses an image whose history has more layers than it has.
#[test]
fn a_history_that_is_too_long() {
    let mut store = Fake::default();
    let layer = store.add_layer("x", Kept::Plain);
    for (name, history, expected) in [
        ("fits:1", r#"[{},{"empty_layer":true},null]"#, 2),
        ("empty:1", r#"[{"empty_layer":true},{}]"#, 0),
        ("null:1", "null", 0),
        ("long:1", r#"[{},{"empty_layer":false},{}]"#, 3),
    ] {
        store.add_image(&[layer], &[name], &format!(r#","history":{history}"#));
        for format in [Format::DockerArchive, Format::OciArchive] {
            let plan = common::planned(&store, &[name], &Options::default().with_format(format)).unwrap();
            let found = plan.warnings().iter().find_map(|warning| match warning {
                Warning::HistoryTooLong { history, layers: 1, .. } => Some(*history),
                _ => None,
            });
            assert_eq!(found.unwrap_or_default(), expected, "{name}: {:?}", plan.warnings());
        }
    }
}
