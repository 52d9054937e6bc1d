//! Damage, and layers that have to be computed first: what is exported, and what is reported.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

mod common;

use std::fs;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use common::fake::{Fake, Kept};
use common::{chain, check_blobs, data_root, document, entries, exported, planned, store, threaded, written};
use layerlift_archive::Observer;
use layerlift_export::{
    ErrorKind, Format, LayerCheck, LayerReport, Options, PlannedImage, Report, Warning, plan, select_all,
    tree, verify, verify_each,
};
use layerlift_store::{ImageKey, Reference, Store};

fn keep_going() -> Options {
    Options::default().with_keep_going(true)
}

fn all(store: &dyn Store) -> Vec<(ImageKey, Vec<Reference>)> {
    let images = store.images().unwrap().images;
    images.into_iter().map(|summary| (summary.key, summary.references)).collect()
}

/// Images that share layers, two of which are damaged, each in its own way.
fn damaged() -> Fake {
    let mut store = Fake::default();
    let good = store.add_layer("good", Kept::Plain);
    let gzip = store.add_layer("gzip", Kept::Gzip);
    let bad = store.add_layer("bad", Kept::Damaged);
    let missing = store.add_layer("missing", Kept::Missing);
    store.add_image(&[good, bad], &["changed:1"], "");
    store.add_image(&[good], &["sound:1"], "");
    store.add_image(&[good, bad, gzip], &["changed:2"], "");
    store.add_image(&[missing], &["missing:1"], "");
    store.add_image(&[good, gzip], &["sound:2"], "");
    store.broken.push("unreadable".to_owned());
    store
}

#[test]
fn the_sound_ones_are_exported() {
    let store = damaged();
    let plan = plan(&store, select_all(&store, None).unwrap(), &keep_going()).unwrap();
    let name = |image: &PlannedImage| image.references[0].to_string();
    let names: Vec<String> = plan.images().map(name).collect();
    assert_eq!(names, ["changed:1", "sound:1", "changed:2", "sound:2"]);
    let mut said: Vec<String> = plan.left_out().iter().map(|error| chain(error)).collect();
    let prepared = plan.prepare(&threaded(2)).unwrap();
    let names: Vec<String> = prepared.images().iter().map(name).collect();
    assert_eq!(names, ["sound:1", "sound:2"]);
    assert_eq!(prepared.layer_count(), 2);
    said.extend(prepared.left_out().iter().map(|error| chain(error)));
    let starts = [
        "cannot export unreadable: unreadable is damaged: it is empty",
        "cannot export missing:1: cannot read layer layer3: the image needs layer layer3, which is missing",
        "cannot export changed:1: layer layer2 is damaged: expected sha256:",
        "cannot export changed:2: it has layer layer2 in common with changed:1",
    ];
    assert_eq!(said.len(), starts.len(), "{said:?}");
    for (said, start) in said.iter().zip(starts) {
        assert!(said.starts_with(start), "{said}");
    }
    let entries = entries(&written(&tree(&prepared), 2));
    check_blobs(&entries);
    assert_eq!(document(&entries, "manifest.json").as_array().unwrap().len(), 2);
}

/// Damage that shows when the file is written is left out then: the archive is the same.
#[test]
fn what_fails_in_a_file_is_left_out_of_it() {
    let store = damaged();
    let selection = || select_all(&store, None).unwrap();
    for format in [Format::DockerArchive, Format::OciArchive, Format::DockerV1] {
        let options = keep_going().with_format(format);
        let checked = plan(&store, selection(), &options).unwrap().prepare(&threaded(2)).unwrap();
        let expected = written(&tree(&checked), 2);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.tar");
        let plan = plan(&store, selection(), &options.with_unchecked(true)).unwrap();
        let prepared = plan.prepare(&threaded(2)).unwrap();
        assert_eq!((prepared.images().len(), prepared.left_out().len()), (4, 0));
        let unfinished =
            layerlift_archive::write_file_or_keep(&tree(&prepared), &path, &threaded(2)).unwrap();
        let unfinished = unfinished.unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let prepared = prepared.without(unfinished).unwrap();
        let said = |prepared: &layerlift_export::Prepared| -> Vec<String> {
            prepared.left_out().iter().map(|error| chain(error)).collect()
        };
        assert_eq!(said(&prepared), said(&checked));
        let unfinished =
            layerlift_archive::write_file_or_keep(&tree(&prepared), &path, &threaded(2)).unwrap();
        assert!(unfinished.is_none());
        assert!(fs::read(&path).unwrap() == expected, "{format}");
    }
}

#[test]
fn without_keep_going_the_first_is_the_error() {
    let store = damaged();
    let error = plan(&store, select_all(&store, None).unwrap(), &Options::default()).err().unwrap();
    assert!(chain(&error).starts_with("cannot export unreadable"), "{error}");
    let error = exported(&store, &["sound:1", "missing:1"], &Options::default()).unwrap_err();
    assert!(error.starts_with("cannot export missing:1: cannot read layer layer3"), "{error}");
    // Damage in a layer that the first pass does not read shows when the layer is written.
    let plan = planned(&store, &["changed:1"], &Options::default()).unwrap();
    let prepared = plan.prepare(&threaded(1)).unwrap();
    let error = layerlift_archive::write_stream(&tree(&prepared), io::sink(), &threaded(1)).unwrap_err();
    assert!(error.to_string().contains("is damaged: expected sha256:"), "{error}");
}

#[test]
fn verify_hides_nothing() {
    let store = damaged();
    for threads in [1, 4] {
        let report = verify(&store, &all(&store), &threaded(threads));
        let sound: Vec<bool> = report.images.iter().map(|image| report.is_sound(image)).collect();
        assert_eq!(sound, [false, true, false, false, true]);
        let kinds: Vec<_> = report.layers.iter().map(LayerReport::kind).collect();
        let (damaged, missing) = (Some(ErrorKind::Damaged), Some(ErrorKind::Missing));
        assert_eq!(kinds, [None, damaged, None, missing], "good, bad, gzip, missing");
        let kinds: Vec<_> = report.images.iter().map(|image| report.kind(image)).collect();
        assert_eq!(kinds, [damaged, None, damaged, missing, None]);
        assert_eq!(report.layers[2].len, 2048, "the tar of a compressed layer");
        assert_eq!(report.images[2].layers, [0, 1, 2]);
    }
}

/// Each image is reported once, when its layers are read, and the bytes that are announced are those that
/// come. 300 layers are more than are open at the same time.
#[test]
fn verify_reports_on_the_way() {
    for layers in [3, 300] {
        let mut store = Fake::default();
        let layers: Vec<_> = (0..layers).map(|n| store.add_layer(&format!("{n}"), Kept::Plain)).collect();
        for (n, layers) in layers.chunks(3).enumerate() {
            store.add_image(layers, &[&format!("image:{n}")], "");
        }
        store.add_image(&[], &["empty:1"], "");
        let counted = Counted::default();
        let images = all(&store);
        let seen = Mutex::new(Vec::new());
        let each = |report: &Report, place: usize| {
            assert!(report.is_sound(&report.images[place]));
            seen.lock().unwrap().push(place);
        };
        let report = verify_each(&store, &images, &threaded(4).with_observer(&counted), &each);
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (0..images.len()).collect::<Vec<_>>());
        let bytes: u64 = report.layers.iter().map(|layer| layer.len).sum();
        assert_eq!([&counted.done, &counted.total].map(|n| n.load(Ordering::Relaxed)), [bytes; 2]);
    }
}

#[derive(Default)]
struct Counted {
    done: AtomicU64,
    total: AtomicU64,
}

impl Observer for Counted {
    fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    fn total(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A graph store has no digests, only the checksums of files in its tar-split data.
#[test]
fn verify_a_graph_store() {
    let Some(root) = data_root("docker-graph/1.8.3-vfs-broken/store.tar.xz") else { return };
    let store = store(root.path());
    let report = verify(&*store, &all(&*store), &threaded(2));
    let by_name = |name: &str| {
        let named =
            |image: &&layerlift_export::ImageReport| image.references.iter().any(|r| r.to_string() == name);
        let image = report.images.iter().find(named).unwrap_or_else(|| panic!("{name} is not listed"));
        let errors = image.layers.iter().filter_map(|&layer| report.layers[layer].error.as_ref());
        errors.map(|error| chain(error)).collect::<Vec<_>>().join("\n")
    };
    let recorded = |id: &str| report.layers.iter().find(|layer| layer.key.id() == id).unwrap().recorded;
    let layers_of = |name: &str| {
        let key = store.resolve(name).unwrap()[0].choose(&*store, None).unwrap();
        store.image(&key).unwrap().layers
    };
    assert!(layers_of("notarsplit:base").iter().all(|layer| !recorded(layer.key.id())));
    assert!(layers_of("modified:latest").iter().all(|layer| recorded(layer.key.id())));
    for (name, expected) in [
        ("onlyfiles:latest", ""),
        ("modified:latest", "has changed since its layer was stored: checksum"),
        ("missingfile:latest", "No such file"),
        ("truncgz:latest", "tar-data.json.gz is malformed: it is damaged: line"),
        ("notarsplit:base", ""),
    ] {
        let found = by_name(name);
        assert_eq!(found.is_empty(), expected.is_empty(), "{name}: {found}");
        assert!(found.contains(expected), "{name}: {found}");
    }
}

/// Without tar-split data, the digest is lost. The config gets the digest of the new tar, and nothing else
/// changes.
#[test]
fn a_layer_that_has_to_be_computed() {
    let Some(root) = data_root("docker-20.10-overlay2.tar.xz") else { return };
    let id = "dd67daf7d3910c26d9039541b9cedbc978c9a91ccf11c993aefbf6167e4a408e";
    let base = "ca9f79cbcc6c1e7cf461cebc2917a292c4f4a38fca151af87e828f668959c5fe";
    let layer = root.path().join("image/overlay2/layerdb/sha256").join(base);
    fs::remove_file(layer.join("tar-split.json.gz")).unwrap();
    let store = store(root.path());
    // No room for a temporary file, and none is needed: its length is known, and it is hashed in place.
    let nowhere = Options::default().with_temp_dir("/nowhere/at/all");
    let plan = planned(&*store, &["bench/torture:1.0"], &nowhere).unwrap();
    assert_eq!(plan.tar_len(), None, "documents name its digest");
    assert!(plan.first_pass_len().is_some_and(|len| len > 0));
    assert_eq!(plan.images().next().unwrap().image_id, None);
    let Warning::DigestNotKept { image_id, layer, others: 0, .. } = &plan.warnings()[0] else {
        panic!("{:?}", plan.warnings());
    };
    assert_eq!((image_id.as_str(), layer.as_str()), (id, base));
    let prepared = plan.prepare(&threaded(2)).unwrap();
    let new = prepared.images()[0].image_id.unwrap().0.hex();
    assert_ne!(new, id);
    let [warning @ Warning::OtherImageId { .. }] = prepared.warnings() else {
        panic!("{:?}", prepared.warnings());
    };
    assert!(warning.to_string().contains(id) && warning.to_string().contains(&new), "{warning}");
    let entries = entries(&written(&tree(&prepared), 2));
    check_blobs(&entries);
    let stored = root.path().join("image/overlay2/imagedb/content/sha256").join(id);
    let stored = fs::read_to_string(stored).unwrap();
    let config = common::entry(&entries, &format!("blobs/sha256/{new}"));
    let manifest = document(&entries, "manifest.json");
    let computed = manifest[0]["Layers"][0].as_str().unwrap().rsplit('/').next().unwrap();
    assert_eq!(stored.replace(base, computed).into_bytes(), config);
    // The same if the record is damaged, and a warning that names it.
    for (damage, why) in [(&b""[..], "it is empty"), (&[0; 99], "it is full of zeros")] {
        fs::write(
            root.path().join("image/overlay2/layerdb/sha256").join(base).join("tar-split.json.gz"),
            damage,
        )
        .unwrap();
        let plan = planned(&*store, &["bench/torture:1.0"], &Options::default()).unwrap();
        let [Warning::Odd { path, what }, lost @ Warning::DigestNotKept { .. }] = plan.warnings() else {
            panic!("{:?}", plan.warnings());
        };
        assert!(path.ends_with("/tar-split.json.gz") && what.starts_with(why), "{path}: {what}");
        assert!(lost.to_string().contains("has no tar-split data that could be used"), "{lost}");
        let prepared = plan.prepare(&threaded(2)).unwrap();
        assert_eq!(prepared.images()[0].image_id.unwrap().0.hex(), new);
        let report = verify(&*store, &all(&*store), &threaded(2));
        let computed: Vec<_> = report.layers.iter().filter(|layer| layer.computed).collect();
        assert_eq!(computed.iter().map(|layer| layer.key.id()).collect::<Vec<_>>(), [base]);
        assert!(report.images.iter().all(|image| report.is_sound(image)));
    }
    // The same in the older format: other ids, but all images.
    let options = Options::default().with_format(Format::DockerV1);
    let entries = common::entries(&exported(&*store, &["bench/torture:1.0"], &options).unwrap());
    assert_eq!(entries.len(), 11 * 4 + 1);
}

#[test]
fn an_image_without_layers() {
    let mut store = Fake::default();
    store.add_image(&[], &["empty:1"], "");
    let entries = entries(&exported(&store, &["empty:1"], &Options::default()).unwrap());
    assert_eq!(document(&entries, "manifest.json")[0]["Layers"], serde_json::json!([]));
    let options = Options::default().with_format(Format::DockerV1);
    let error = planned(&store, &["empty:1"], &options).err().unwrap();
    assert!(error.contains("has no layers"), "{error}");
    let plan = planned(&store, &["empty:1"], &options.with_keep_going(true)).unwrap();
    assert_eq!((plan.images().len(), plan.left_out().len()), (0, 1));
}

struct Impatient;

impl Observer for Impatient {
    fn cancelled(&self) -> bool {
        true
    }
}

/// A blob with the digest that names it is the one that was stored, and is copied as it is. What tar is in it
/// shows when it is decompressed: where it has no other digest, where that is asked for, in `verify`.
#[test]
fn compressed_blobs_of_other_tars() {
    let formats = [Format::DockerArchive, Format::OciArchive];
    for (digest, format) in formats.into_iter().flat_map(|format| [(true, format), (false, format)]) {
        let mut store = Fake::default();
        let layer = store.add_layer("one", Kept::OtherTar { digest });
        store.add_image(&[layer], &["a:1"], "");
        let options = Options::default().with_format(format);
        let saved = |options: &Options| exported(&store, &["a:1"], options);
        for (check, is_copied) in [(LayerCheck::Digest, digest), (LayerCheck::DiffIds, false)] {
            let saved = saved(&options.clone().with_check(check));
            assert_eq!(saved.is_ok(), is_copied, "{digest} {format:?} {check:?}: {:?}", saved.err());
        }
        let report = verify(&store, &all(&store), &threaded(2));
        assert_eq!(
            report.layers[0].error.as_ref().map(layerlift_export::Error::kind),
            Some(ErrorKind::Damaged)
        );
    }
}

#[test]
fn what_ends_everything() {
    let mut store = Fake::default();
    let gzip = store.add_layer("gzip", Kept::Gzip);
    store.add_image(&[gzip], &["a:1"], "");
    // docker-v1 cannot hold compressed layers, so it has to spool this one.
    let nowhere = keep_going().with_format(Format::DockerV1).with_temp_dir("/nowhere/at/all");
    let error = planned(&store, &["a:1"], &nowhere).unwrap().prepare(&threaded(2)).err().unwrap();
    assert!(chain(&error).contains("/nowhere/at/all"), "{error}");
    let options = threaded(2).with_observer(&Impatient);
    let error = planned(&store, &["a:1"], &keep_going()).unwrap().prepare(&options).err().unwrap();
    assert_eq!(error.to_string(), "interrupted");
}
