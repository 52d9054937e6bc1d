//! Images of containerd and Docker 28 as they leave, held against the archives that `ctr images export` and
//! `docker save` wrote of them: the same manifests, configs and layers, byte for byte.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use common::{data_root, exported};
use layerlift_archive::Digest;
use layerlift_export::{Format, Options, Salvaged};
use layerlift_store::{OpenOptions, Store, open};
use liblzma::read::XzDecoder;
use serde_json::Value;

const DOCKER: &str = "docker-28";
const CONTAINERD: &str = "containerd-2.1";
const OLD: &str = "containerd-1.6";

/// The manifest, its config and its layers: what an archive's index and `manifest.json` name.
type Named = BTreeSet<String>;

fn answer(fixture: &str, name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/fixtures/containerd");
    let file = std::fs::File::open(path.join(fixture).join("answers.tar.xz")).unwrap();
    let mut archive = tar::Archive::new(XzDecoder::new(file));
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let mut entry = entries.find(|entry| entry.path().unwrap().as_ref() == Path::new(name)).unwrap();
    let mut text = String::new();
    entry.read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn named(index: &Value, manifest: &Value) -> Named {
    let manifests = index["manifests"].as_array().unwrap().iter();
    let mut named: Named = manifests.map(|line| line["digest"].as_str().unwrap().to_owned()).collect();
    for item in manifest.as_array().unwrap() {
        let layers = item["Layers"].as_array().unwrap().iter();
        named.extend([&item["Config"]].into_iter().chain(layers).map(|path| {
            let path = path.as_str().unwrap();
            path.replace("blobs/sha256/", "sha256:")
        }));
    }
    named
}

/// The documents of an archive, each blob of which has the digest of its name.
fn read(bytes: &[u8]) -> (Value, Value, BTreeSet<String>) {
    let (mut index, mut manifest, mut blobs) = (Value::Null, Value::Null, BTreeSet::new());
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        match (&*name, name.strip_prefix("blobs/sha256/")) {
            ("index.json", _) => index = serde_json::from_slice(&content).unwrap(),
            ("manifest.json", _) => manifest = serde_json::from_slice(&content).unwrap(),
            (_, Some(hex)) if !hex.is_empty() => {
                assert_eq!(Digest::of(&content).hex(), hex);
                blobs.insert(format!("sha256:{hex}"));
            }
            _ => {}
        }
    }
    (index, manifest, blobs)
}

/// Lines of indexes that stay as they are, of several names, and the platform of an image of an index.
#[test]
fn lines_as_the_engines_write_them() {
    let Some(root) = data_root(&format!("containerd/{DOCKER}/store.tar.xz")) else { return };
    let store = namespace(root.path(), "moby");
    let multi = "127.0.0.1:5777/bench/multi@sha256:\
                 2d2f5817d89151d0fd49ca86c4c5c430920c393b3de3cc540e4026ee00be625e";
    for (archive, names) in [
        ("multi", &["bench/multi:1.0"][..]),
        ("mlist-partial", &["127.0.0.1:5777/bench/mlist:1.0"]),
        ("multi-bydigest", &[multi]),
        ("two", &["built/two:1"]),
        ("zstd-3names", &["bench/zstd:1.0", "other/name:a", "plain"]),
    ] {
        let options = Options::default().with_keep_index(true);
        let (index, ..) = read(&exported(&*store, names, &options).unwrap());
        assert_eq!(index, answer(DOCKER, &format!("{archive}/index.json")), "{archive}");
    }
    let (index, ..) =
        read(&exported(&*store, &["127.0.0.1:5777/bench/mlist:1.0"], &Options::default()).unwrap());
    let line = &index["manifests"][0];
    assert_eq!(line["platform"], serde_json::json!({ "architecture": "amd64", "os": "linux" }));
    assert_eq!(line["annotations"]["containerd.io/distribution.source.127.0.0.1"], "bench/mlist");
}

fn namespace(root: &Path, namespace: &str) -> Box<dyn Store> {
    let below = std::fs::read_dir(root).unwrap().next().unwrap().unwrap().path();
    open(&below, &OpenOptions::default().with_partition(namespace)).unwrap()
}

/// Manifests of Docker's schema 2, zstd, a mixture of compressions, layers twice: all stay.
#[test]
fn as_the_engines_save_them() {
    for (fixture, of, images) in [
        (
            DOCKER,
            "moby",
            &[
                ("many", "bench/many:1.0"),
                ("mixed", "bench/mixed:1.0"),
                ("schema2", "bench/schema2:1.0"),
                ("dup", "bench/dup"),
                ("classic", "built/classic:1"),
                ("plainbuild", "built/plain:1"),
                ("committed", "committed:1"),
                ("foreign", "bench/foreign:1.0"),
                ("zstd-byid", "8863183051fe"),
                ("dangling", "d5cd2afb742a"),
            ][..],
        ),
        (
            CONTAINERD,
            "default",
            &[
                ("torture", "docker.io/bench/torture:1.0"),
                ("zstd", "docker.io/bench/zstd:1.0"),
                ("mixed", "docker.io/bench/mixed:1.0"),
                ("schema2", "docker.io/bench/schema2:1.0"),
            ],
        ),
        (OLD, "default", &[("many", "docker.io/bench/many:1.0"), ("torture", "bench/torture:1.0")]),
    ] {
        let Some(root) = data_root(&format!("containerd/{fixture}/store.tar.xz")) else { return };
        let store = namespace(root.path(), of);
        for (archive, name) in images {
            let theirs = (
                answer(fixture, &format!("{archive}/index.json")),
                answer(fixture, &format!("{archive}/manifest.json")),
            );
            for format in [Format::DockerArchive, Format::OciArchive] {
                let bytes = exported(&*store, &[name], &Options::default().with_format(format)).unwrap();
                let (index, manifest, blobs) = read(&bytes);
                let ours = named(&index, &manifest);
                assert_eq!(ours, named(&theirs.0, &theirs.1), "{fixture}: {name} as {format}");
                // Containerd 1.6 does not say where an image is from.
                if format == Format::DockerArchive && fixture != OLD {
                    assert_eq!(index, theirs.0, "{fixture}: {name}: with all annotations");
                }
                assert_eq!(ours, blobs, "{fixture}: {name} as {format}: no more and no less");
                if format == Format::DockerArchive && *archive != "dup" {
                    let tags = |manifest: &Value| manifest[0]["RepoTags"].clone();
                    assert_eq!(tags(&manifest), tags(&theirs.1), "{fixture}: {name}");
                }
                let kinds = |index: &Value| index["manifests"][0]["mediaType"].clone();
                assert_eq!(kinds(&index), kinds(&theirs.0), "{fixture}: {name}");
            }
            // Neither needs nor keeps a manifest.
            let v1 = Options::default().with_format(Format::DockerV1);
            exported(&*store, &[name], &v1).unwrap_or_else(|error| panic!("{fixture}: {name}: {error}"));
        }
    }
}

/// A blob that is damaged is salvaged from what was unpacked of its layer, as one that is missing is rebuilt.
#[test]
fn a_damaged_blob_whose_layer_is_unpacked() {
    const LAYER: &str = "883f2e0959c42f56926e41cb5f65fa035f50878b4c9f0b677b9950eb79fd0d92";
    for (fixture, of) in [(CONTAINERD, "default"), (DOCKER, "moby")] {
        let Some(root) = data_root(&format!("containerd/{fixture}/store.tar.xz")) else { return };
        let below = std::fs::read_dir(root.path()).unwrap().next().unwrap().unwrap().path();
        let content = "io.containerd.content.v1.content/blobs/sha256";
        let places = [below.join(content), below.join("containerd/daemon").join(content)];
        let blob = places.iter().map(|place| place.join(LAYER)).find(|blob| blob.exists()).unwrap();
        let len = std::fs::metadata(&blob).unwrap().len() as usize;
        for bytes in [vec![], vec![0; len], vec![b'x'; len]] {
            std::fs::write(&blob, bytes).unwrap();
            let store = namespace(root.path(), of);
            let options = Options::default().with_salvage(true);
            let plan = common::planned(&*store, &["bench/many:1.0"], &options).unwrap();
            let plan = plan.salvage(&*store, &[], &common::threaded(2)).unwrap();
            let prepared = plan.prepare(&common::threaded(2)).unwrap();
            let report = prepared.salvaged().unwrap();
            let [layer] = &report.layers[..] else { panic!("{fixture}: {report:?}") };
            assert_eq!(layer.from.as_deref(), Some("the files that were unpacked of it"), "{fixture}");
            // Docker writes tars as they are computed here; that of the fixture was crafted.
            assert_eq!(layer.result, Salvaged::Declared, "{fixture}");
            assert_ne!(layer.new_diff_id, layer.diff_id);
        }
    }
}
