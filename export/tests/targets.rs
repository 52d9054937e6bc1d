//! Targets: layouts that are extended, and one in memory.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use common::fake::{Fake, Kept};
use common::{planned, threaded};
use layerlift_archive::{Content, Digest, Explanation, Observer, Options, verified, write_dir};
use layerlift_export::{
    Blob, Descriptor, Error, ErrorKind, Format, Layout, Prepared, Root, Target, push, tree,
};
use serde_json::Value;

/// Images, prepared for a layout.
fn prepared(store: &Fake, names: &[&str]) -> Prepared {
    let options = layerlift_export::Options::default().with_format(Format::OciArchive);
    planned(store, names, &options).unwrap().prepare(&threaded(2)).unwrap()
}

/// A layout is extended. What it has stays, except for names that move to another image.
#[test]
fn layouts_are_extended() {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    let mut store = Fake::default();
    let (a, b) = (store.add_layer("a", Kept::Gzip), store.add_layer("b", Kept::Plain));
    store.add_image(&[a], &["localhost/x:1", "localhost/x:old"], "");
    store.add_image(&[a, b], &["localhost/y:1"], "");
    let extend = |store: &Fake, names: &[&str]| {
        let prepared = prepared(store, names);
        match Layout::try_open(&layout).unwrap() {
            Some(target) => push(prepared.bundle().unwrap(), &target, &threaded(2)).unwrap(),
            None => write_dir(&tree(&prepared), &layout, &threaded(2)).unwrap(),
        }
    };
    extend(&store, &["localhost/x"]);

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
    extend(&store, &["localhost/y"]);
    assert!(blobs().is_superset(&before), "blobs are written again");
    assert_eq!(blobs().len(), before.len() + 3);
    let text = read();
    assert!(text.contains(foreign) && text.contains(r#""annotations":{ "kept":"1" }"#), "{text}");

    // The name moves to another image, and the old image keeps its other name.
    let mut other = Fake::default();
    let c = other.add_layer("c", Kept::Plain);
    let moved = other.add_image(&[c], &["localhost/x:1"], "");
    extend(&other, &["localhost/x"]);
    let again = read();
    extend(&other, &["localhost/x"]);
    assert_eq!(read(), again, "the same images once more");
    let mut without = serde_json::from_str::<Value>(&again).unwrap();
    without["manifests"].as_array_mut().unwrap().remove(0);
    fs::write(&index, without.to_string()).unwrap();
    let listed = common::store(&layout).images().unwrap();
    assert!(listed.broken.is_empty(), "{:?}", listed.broken);
    let mut names: Vec<(String, bool)> = listed
        .images
        .iter()
        .flat_map(|image| image.references.iter().map(|name| (name.to_string(), image.key.id() == moved)))
        .collect();
    names.sort();
    let expected = [("localhost/x:1", true), ("localhost/x:old", false), ("localhost/y:1", false)];
    assert_eq!(names, expected.map(|(name, moved)| (name.to_owned(), moved)));
}

/// `manifest.json` also names the images that the layout had, except those that are incomplete and entries
/// that are not images.
#[test]
fn manifest_json_names_all_images() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Fake::default();
    let layers = ["a", "b", "c"].map(|text| store.add_layer(text, Kept::Plain));
    let old = store.add_image(&layers[..1], &["localhost/old:1", "localhost/old:2"], "");
    store.add_image(&layers[1..2], &["localhost/torn:1"], "");
    let new = store.add_image(&layers[2..], &["docker.io/library/new:1", "docker.io/library/old:1"], "");
    let layout = dir.path().join("layout");
    let first = prepared(&store, &["localhost/old", "localhost/torn"]);
    write_dir(&tree(&first), &layout, &threaded(2)).unwrap();
    fs::remove_file(layout.join(format!("blobs/sha256/{}", store.diff_id(layers[1]).0.hex()))).unwrap();
    // As other tools write it: with a name that is a bare word, and entries that are not images.
    fs::remove_file(layout.join("manifest.json")).unwrap();
    let mut index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array_mut().unwrap();
    let mut word = entries[0].clone();
    word["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "word"});
    let mut config = entries[0].clone();
    config["digest"] = serde_json::json!(format!("sha256:{old}"));
    config["annotations"] = Value::Null;
    entries.extend([word, config]);
    fs::write(layout.join("index.json"), index.to_string()).unwrap();

    let target = Layout::try_open(&layout).unwrap().unwrap();
    push(prepared(&store, &["docker.io/library/new"]).bundle().unwrap(), &target, &threaded(2)).unwrap();
    let listed: Value = serde_json::from_slice(&fs::read(layout.join("manifest.json")).unwrap()).unwrap();
    let path = |hex: &str| format!("blobs/sha256/{hex}");
    let item = |id: &str, layer, tags: &[&str]| {
        let layer: usize = layer;
        let layer = path(&store.diff_id(layers[layer]).0.hex());
        serde_json::json!({"Config": path(id), "RepoTags": tags, "Layers": [layer]})
    };
    let old_names = ["localhost/old:1", "localhost/old:2", "word:latest"];
    let expected = [item(&old, 0, &old_names), item(&new, 2, &["new:1"])];
    assert_eq!(listed, serde_json::json!(expected));
}

/// Images that only `manifest.json` names stay in it, without names that the new image has.
#[test]
fn what_only_manifest_json_names_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Fake::default();
    let layers = ["a", "b"].map(|text| store.add_layer(text, Kept::Plain));
    let old = store.add_image(&layers[..1], &["localhost/old:1"], "");
    let new = store.add_image(&layers[1..], &["localhost/new:1"], "");
    let layout = dir.path().join("layout");
    write_dir(&tree(&prepared(&store, &["localhost/old"])), &layout, &threaded(2)).unwrap();
    // As Docker 25.0 wrote it.
    fs::write(layout.join("index.json"), r#"{"schemaVersion":2,"manifests":null}"#).unwrap();
    let manifest = layout.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("localhost/old:1", "localhost/old:1\",\"localhost/new:1")).unwrap();
    let target = Layout::try_open(&layout).unwrap().unwrap();
    push(prepared(&store, &["localhost/new"]).bundle().unwrap(), &target, &threaded(2)).unwrap();
    let listed: Vec<Value> = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let row = |item: &Value| (item["Config"].as_str().unwrap().to_owned(), item["RepoTags"].clone());
    let expected = [(new, "localhost/new:1"), (old, "localhost/old:1")]
        .map(|(id, tag)| (format!("blobs/sha256/{id}"), serde_json::json!([tag])));
    assert_eq!(listed.iter().map(row).collect::<Vec<_>>(), expected);
    // One that has no list at all is not taken for an empty one.
    fs::write(layout.join("index.json"), "{}").unwrap();
    assert!(Layout::try_open(&layout).is_err());
}

/// A directory with other things in it stays as it is.
#[test]
fn other_directories_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Layout::try_open(dir.path()).unwrap().is_none());
    assert!(Layout::try_open(&dir.path().join("new")).unwrap().is_none());
    fs::write(dir.path().join("notes"), "mine").unwrap();
    let error = Layout::try_open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Request);
    assert!(error.to_string().contains("neither empty nor an OCI layout"), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    fs::write(dir.path().join("oci-layout"), "{}").unwrap();
    fs::write(dir.path().join("index.json"), "[").unwrap();
    let error = Layout::try_open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert!(error.to_string().contains("index.json is malformed"), "{error}");
}

/// A failure leaves every name as it was.
#[test]
fn a_layout_survives_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    let mut store = Fake::default();
    let (good, bad) = (store.add_layer("good", Kept::Plain), store.add_layer("bad", Kept::Damaged));
    store.add_image(&[good], &["good:1"], "");
    store.add_image(&[bad, good], &["bad:1"], "");
    write_dir(&tree(&prepared(&store, &["good"])), &layout, &threaded(2)).unwrap();
    let index = fs::read(layout.join("index.json")).unwrap();
    let blobs = || -> BTreeSet<PathBuf> {
        fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let before = blobs();
    let target = Layout::try_open(&layout).unwrap().unwrap();
    let bundle = prepared(&store, &["bad"]);
    let error = push(bundle.bundle().unwrap(), &target, &threaded(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(fs::read(layout.join("index.json")).unwrap(), index);
    drop(target);
    let after = blobs();
    assert_eq!(after, before, "a failure leaves nothing behind");
}

/// Whichever document cannot be put in its place, the layout is what it was.
#[test]
fn a_layout_survives_documents_that_cannot_be_written() {
    for name in ["manifest.json", "index.json", "oci-layout"] {
        let dir = tempfile::tempdir().unwrap();
        let layout = dir.path().join("layout");
        let mut store = Fake::default();
        let (a, b) = (store.add_layer("a", Kept::Gzip), store.add_layer("b", Kept::Plain));
        store.add_image(&[a], &["localhost/x:1"], "");
        store.add_image(&[a, b], &["localhost/y:1"], "");
        write_dir(&tree(&prepared(&store, &["localhost/x"])), &layout, &threaded(2)).unwrap();
        let target = Layout::try_open(&layout).unwrap().unwrap();
        let other = prepared(&store, &["localhost/y"]);
        let [manifest, index] =
            ["manifest.json", "index.json"].map(|name| fs::read(layout.join(name)).unwrap());
        fs::remove_file(layout.join(name)).unwrap();
        fs::create_dir(layout.join(name)).unwrap();
        assert!(push(other.bundle().unwrap(), &target, &threaded(2)).is_err(), "{name}");
        drop(target);
        let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap().count();
        assert_eq!(blobs, 3, "{name}: a layer, a config and a manifest");
        for (other, bytes) in [("manifest.json", &manifest), ("index.json", &index)] {
            if other != name {
                assert!(fs::read(layout.join(other)).unwrap() == *bytes, "{name}: {other} has changed");
            }
        }
        assert_eq!(fs::read_dir(&layout).unwrap().count(), 4, "{name}: a temporary file is left");
    }
}

/// A blob that a broken copy left, of another length or with other bytes, is replaced.
#[test]
fn torn_blobs_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Fake::default();
    let (a, b) = (store.add_layer("a", Kept::Plain), store.add_layer("b", Kept::Plain));
    store.add_image(&[a, b], &["a:1"], "");
    fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
    fs::write(dir.path().join("oci-layout"), "{}").unwrap();
    let path = |layer| dir.path().join(format!("blobs/sha256/{}", store.diff_id(layer).0.hex()));
    fs::write(path(a), "torn").unwrap();
    fs::write(path(b), vec![b'='; 2048]).unwrap();
    let target = Layout::try_open(dir.path()).unwrap().unwrap();
    push(prepared(&store, &["a"]).bundle().unwrap(), &target, &threaded(2)).unwrap();
    assert_eq!(Digest::of(&fs::read(path(a)).unwrap()), store.diff_id(a).0);
    assert_eq!(Digest::of(&fs::read(path(b)).unwrap()), store.diff_id(b).0, "the right length, other bytes");
}

/// Two programs extend one layout at once: one waits for the other, and the images of both are there.
#[test]
fn two_writers_lose_no_image() {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    let mut store = Fake::default();
    let names: Vec<String> = (0..6).map(|number| format!("localhost/x{number}:1")).collect();
    for name in &names {
        let layer = store.add_layer(name, Kept::Plain);
        store.add_image(&[layer], &[name], "");
    }
    write_dir(&tree(&prepared(&store, &[&names[0]])), &layout, &threaded(2)).unwrap();
    // As a program leaves it that was killed.
    fs::create_dir(layout.join(".layerlift-killed.tmp")).unwrap();
    fs::write(layout.join(".layerlift-killed.tmp/blob"), "half").unwrap();
    std::thread::scope(|scope| {
        for name in &names[1..] {
            let (store, layout) = (&store, &layout);
            scope.spawn(move || {
                let target = Layout::try_open(layout).unwrap().unwrap();
                push(prepared(store, &[name]).bundle().unwrap(), &target, &threaded(2)).unwrap();
            });
        }
    });
    let listed = common::store(&layout).images().unwrap();
    let found = listed.images.iter().flat_map(|image| &image.references).map(ToString::to_string);
    assert_eq!(found.collect::<BTreeSet<_>>(), names.into_iter().collect());
    let left: BTreeSet<_> = fs::read_dir(&layout)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected = ["blobs", "index.json", "manifest.json", "oci-layout"];
    assert_eq!(left, expected.map(str::to_owned).into());
}

/// Keeps blobs in memory.
#[derive(Default)]
struct Memory {
    blobs: Mutex<BTreeMap<Digest, Vec<u8>>>,
    /// The digests in the order of arrival.
    order: Mutex<Vec<Digest>>,
    tags: Mutex<BTreeMap<String, Digest>>,
}

impl Target for Memory {
    fn has(&self, blob: &Descriptor, _: &Options<'_>) -> Result<bool, Error> {
        Ok(self.blobs.lock().unwrap().contains_key(&blob.digest))
    }

    fn put(&self, blob: &Descriptor, content: &dyn Content, options: &Options<'_>) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let read = verified(content).and_then(|mut reader| reader.read_to_end(&mut bytes));
        read.map_err(|error| Error::Target {
            action: format!("keep {}", blob.digest),
            kind: ErrorKind::of_io(&error).unwrap_or(ErrorKind::Environment),
            source: Explanation::new(error),
        })?;
        options.observer.advance(bytes.len() as u64);
        assert!(self.blobs.lock().unwrap().insert(blob.digest, bytes).is_none(), "put twice");
        self.order.lock().unwrap().push(blob.digest);
        Ok(())
    }

    fn tag(&self, roots: &[Root]) -> Result<(), Error> {
        for root in roots {
            assert!(self.has(&root.descriptor, &Options::default())?, "named before it is there");
            let names = root.names.iter().map(|name| (name.to_string(), root.descriptor.digest));
            self.tags.lock().unwrap().extend(names);
        }
        Ok(())
    }
}

/// Counts bytes.
#[derive(Default)]
struct Counted(AtomicU64);

impl Observer for Counted {
    fn advance(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[test]
fn another_target() {
    let mut store = Fake::default();
    let layers = ["a", "b", "c"].map(|text| store.add_layer(text, Kept::Plain));
    store.add_image(&layers[..2], &["x:1", "x:2"], "");
    store.add_image(&layers[1..], &["y:1"], "");
    let target = Memory::default();
    let all = prepared(&store, &["x", "y"]);
    let bundle = all.bundle().unwrap();
    let counted = Counted::default();
    push(bundle, &target, &threaded(4).with_observer(&counted)).unwrap();
    assert_eq!(counted.0.load(Ordering::Relaxed), bundle.len());
    // The second time everything is there, so nothing is put.
    push(bundle, &target, &threaded(1).with_observer(&counted)).unwrap();
    assert_eq!(counted.0.load(Ordering::Relaxed), 2 * bundle.len());
    let order = target.order.lock().unwrap();
    assert_eq!(order.len(), 3 + 2 * 2);
    let manifests: Vec<Digest> = bundle.roots.iter().map(|root| root.descriptor.digest).collect();
    assert_eq!(order[5..], manifests, "manifests come last");
    let tags = target.tags.lock().unwrap();
    assert_eq!(tags.keys().collect::<Vec<_>>(), ["x:1", "x:2", "y:1"]);
    assert_eq!(tags["x:2"], manifests[0]);
    // Each blob comes before the documents that name it.
    let blobs = target.blobs.lock().unwrap();
    for (place, blob) in bundle.blobs.iter().enumerate().filter(|(_, blob)| blob.descriptor.names_others()) {
        let text = String::from_utf8(blobs[&blob.descriptor.digest].clone()).unwrap();
        let named = |other: &Blob| text.contains(&other.descriptor.digest.to_string());
        assert_eq!(bundle.blobs[..place].iter().filter(|other| named(other)).count(), 3);
    }
}

#[test]
fn damage_does_not_get_into_a_target() {
    let mut store = Fake::default();
    let bad = store.add_layer("bad", Kept::Damaged);
    store.add_image(&[bad], &["x:1"], "");
    let target = Memory::default();
    let error = push(prepared(&store, &["x"]).bundle().unwrap(), &target, &threaded(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert!(target.tags.lock().unwrap().is_empty());
    assert!(!target.blobs.lock().unwrap().contains_key(&store.diff_id(bad).0));
}

/// A blob that is left out on purpose must be in the target.
#[test]
fn blobs_that_are_left_out() {
    let mut store = Fake::default();
    let (base, top) = (store.add_layer("base", Kept::Plain), store.add_layer("top", Kept::Plain));
    store.add_image(&[base], &["base:1"], "");
    store.add_image(&[base, top], &["top:1"], "");
    let target = Memory::default();
    let mut bundle = prepared(&store, &["top"]).bundle().unwrap().clone();
    let base = store.diff_id(base).0;
    let left_out = bundle.blobs.iter_mut().find(|blob| blob.descriptor.digest == base).unwrap();
    left_out.content = None;
    assert_eq!(bundle.blobs.iter().filter(|blob| blob.content.is_none()).count(), 1);
    let error = push(&bundle, &target, &threaded(2)).unwrap_err();
    assert!(matches!(error, Error::LeftOut { digest } if digest == base), "{error}");
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(target.tags.lock().unwrap().is_empty());
    let target = Memory::default();
    push(prepared(&store, &["base"]).bundle().unwrap(), &target, &threaded(2)).unwrap();
    push(&bundle, &target, &threaded(2)).unwrap();
    assert_eq!(target.tags.lock().unwrap().len(), 2);
}
