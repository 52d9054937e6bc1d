//! Records of layers that are odd or damaged: what the layer is worth nevertheless.

use std::fs;
use std::path::PathBuf;

use layerlift_archive::ErrorKind;
use layerlift_store::{DiffLayer, LayerTar, Store};

use crate::contract;
use crate::fixture::{DataRoot, TORTURE, root_user};

const NEEDS_ROOT: &str = "layers have files of other owners";

/// The layer of an image that has only one.
fn only_layer(store: &dyn Store, name: &str) -> LayerTar {
    let image = store.image(&contract::key(store, name)).unwrap();
    let [layer] = &image.layers[..] else { panic!("{name} has {} layers", image.layers.len()) };
    store.layer(&layer.key).unwrap()
}

/// A symbolic link, and a directory, whose headers have a size. Nothing follows them.
#[test]
fn headers_with_a_size_and_no_data() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    let data = DataRoot::case("links-with-a-size");
    let store = data.store();
    for name in ["demo/link-with-size:1", "demo/folder-with-size:1", "demo/sound:1"] {
        let layer = only_layer(&*store, name);
        let written = layer.write_to(&mut std::io::sink()).unwrap();
        assert_eq!((Some(written.diff_id), Some(written.len)), (layer.diff_id(), layer.tar_len()), "{name}");
        assert_eq!(layer.notice(), None, "{name}");
    }
}

/// A layer with files, and the folder of its record.
fn third_layer(data: &DataRoot) -> (LayerTar, PathBuf) {
    let store = data.store();
    let image = store.image(&contract::key(&*store, TORTURE)).unwrap();
    let layer = &image.layers[2].key;
    (store.layer(layer).unwrap(), data.layer("overlay2", layer.id()))
}

fn bytes(layer: &LayerTar) -> Vec<u8> {
    let mut bytes = Vec::new();
    layer.write_to(&mut bytes).unwrap();
    bytes
}

fn notice(layer: &LayerTar) -> String {
    layer.notice().map(ToString::to_string).unwrap_or_default()
}

/// What is damaged behind the last line leaves the layer exact; its digest proves it.
#[test]
fn a_record_without_its_end() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    let data = DataRoot::complete("overlay2");
    let (layer, folder) = third_layer(&data);
    let (expected, record) = (bytes(&layer), folder.join("tar-split.json.gz"));
    let sound = fs::read(&record).unwrap();
    let damages: [fn(&mut Vec<u8>); 5] = [
        |gzip| gzip.truncate(gzip.len() - 8),
        |gzip| gzip.truncate(gzip.len() - 1),
        // Go ends a stream with an empty block of 5 bytes.
        |gzip| gzip.truncate(gzip.len() - 13),
        |gzip| {
            let end = gzip.len() - 8;
            gzip[end..].fill(0);
        },
        |gzip| gzip.resize(gzip.len() + 4096, 0),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let mut gzip = sound.clone();
        damage(&mut gzip);
        fs::write(&record, gzip).unwrap();
        let (layer, _) = third_layer(&data);
        assert!(matches!(layer, LayerTar::Split(_)), "{number}");
        assert_eq!(bytes(&layer), expected, "{number}");
        let notice = notice(&layer);
        assert!(notice.contains("/tar-split.json.gz: it is damaged: line"), "{number}: {notice}");
        assert!(notice.ends_with("the layer is what it was, as its digest proves"), "{number}: {notice}");
        // The digest proves nothing of other files.
        let mut tree = data.path().join("overlay2");
        tree.push(fs::read_to_string(folder.join("cache-id")).unwrap());
        let file = find_file(&tree.join("diff")).expect("the layer has a file");
        let contents = fs::read(&file).unwrap();
        fs::write(&file, [&contents[..], b"x"].concat()).unwrap();
        assert!(matches!(third_layer(&data).0, LayerTar::Diff(_)), "{number}");
        fs::write(&file, contents).unwrap();
    }
}

fn find_file(folder: &std::path::Path) -> Option<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find_map(|path| {
        let kind = fs::symlink_metadata(&path).unwrap();
        match (kind.is_dir(), kind.is_file() && kind.len() > 0) {
            (true, _) => find_file(&path),
            (false, is_file) => is_file.then_some(path),
        }
    })
}

/// Any other damage is worth as much as no record.
#[test]
fn a_record_that_says_little() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    let data = DataRoot::complete("overlay2");
    let (_, folder) = third_layer(&data);
    let record = folder.join("tar-split.json.gz");
    let sound = fs::read(&record).unwrap();
    fs::remove_file(&record).unwrap();
    let (missing, _) = third_layer(&data);
    assert_eq!(missing.notice(), None);
    let expected = bytes(&missing);
    let half = sound[..sound.len() / 2].to_vec();
    let mut flipped = sound.clone();
    flipped[sound.len() / 2] ^= 0x55;
    let nothing = flate2_of(b"");
    for (what, gzip, why) in [
        ("empty", Vec::new(), "it is empty"),
        ("zeros", vec![0; sound.len()], "it is full of zeros"),
        ("zeros to the end", [&half[..], &vec![0; half.len()]].concat(), "it is "),
        ("half", half, "it is damaged: line"),
        ("flipped", flipped, "it is "),
        ("text", b"not gzip".to_vec(), "it is damaged: line 1"),
        ("a gzip of nothing", nothing, "it has no lines"),
        ("a gzip of other lines", flate2_of(b"{}\n"), "it is malformed: line 1"),
    ] {
        fs::write(&record, gzip).unwrap();
        let (layer, _) = third_layer(&data);
        assert!(matches!(layer, LayerTar::Diff(_)), "{what}");
        assert_eq!(bytes(&layer), expected, "{what}");
        let notice = notice(&layer);
        assert!(notice.contains(&format!("/tar-split.json.gz: {why}")), "{what}: {notice}");
        assert!(notice.ends_with("the layer can only be computed from its directory"), "{what}: {notice}");
    }
}

fn flate2_of(text: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

/// A store after a power loss.
#[test]
fn an_empty_record() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    let data = DataRoot::case("record-empty");
    let store = data.store();
    for (name, layers) in [("demo/app:1.0", 2), ("demo/child:2", 3), ("demo/empty:1", 0)] {
        let image = store.image(&contract::key(&*store, name)).unwrap();
        assert_eq!(image.layers.len(), layers);
        for (number, layer) in image.layers.iter().enumerate() {
            let tar = store.layer(&layer.key).unwrap();
            assert_eq!(matches!(tar, LayerTar::Diff(_)), number == 0, "{name} {number}");
            tar.write_to(&mut std::io::sink()).unwrap();
        }
    }
}

/// A sparse file, of which the tar had less than the record says. Files are still compared with it.
#[test]
fn a_layer_that_a_record_cannot_describe() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    let data = DataRoot::case("sparse-layer");
    let store = data.store();
    assert_eq!(only_layer(&*store, "demo/sound:1").notice(), None);
    let layer = only_layer(&*store, "demo/rootfs:1");
    let LayerTar::Diff(DiffLayer { dir, .. }) = &layer else { panic!("not computed") };
    let tar = bytes(&layer);
    assert!(tar.len() > 200_000, "{}", tar.len());
    let notice = notice(&layer);
    assert!(notice.contains("sparse file (./var/log/lastlog: 4608 of its 200000 bytes"), "{notice}");
    let file = dir.path().join("var/log/lastlog");
    fs::write(&file, vec![0; 200_000]).unwrap();
    let error = layer.write_to(&mut std::io::sink()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
}

/// Without its `cache-id`, a layer is found among the directories that nobody has, by its digest.
#[test]
fn a_directory_that_only_the_digest_finds() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    type Damage = fn(&std::path::Path);
    let damages: [(&str, Damage); 5] = [
        ("is missing", |file| {
            let id = fs::read_to_string(file).unwrap();
            fs::write(file, &id[..20]).unwrap();
        }),
        ("it is missing", |file| fs::remove_file(file).unwrap()),
        ("it is empty", |file| fs::write(file, "").unwrap()),
        ("it has only zero bytes", |file| fs::write(file, [0; 64]).unwrap()),
        ("cannot be the name", |file| fs::write(file, "../x").unwrap()),
    ];
    for (what, damage) in damages {
        let data = DataRoot::complete("overlay2");
        let (whole, folder) = third_layer(&data);
        let expected = bytes(&whole);
        let id = fs::read_to_string(folder.join("cache-id")).unwrap();
        // Others that nobody has: of a container, of a pull that was interrupted.
        for other in ["0abc", "fabc"] {
            fs::create_dir_all(data.path().join("overlay2").join(other).join("diff/etc")).unwrap();
        }
        damage(&folder.join("cache-id"));
        let (layer, _) = third_layer(&data);
        assert_eq!(bytes(&layer), expected, "{what}");
        let notice = notice(&layer);
        assert!(notice.contains(what) && notice.contains(&id), "{what}: {notice}");
        // Somebody has it.
        let mount = data.image("overlay2").join("layerdb/mounts/c1");
        fs::create_dir_all(&mount).unwrap();
        fs::write(mount.join("mount-id"), &id).unwrap();
        let store = data.store();
        let image = store.image(&contract::key(&*store, TORTURE)).unwrap();
        assert!(image.layers.iter().any(|layer| store.layer(&layer.key).is_err()), "{what}");
    }
}

/// dockerd renames the record of a layer and then removes the layer's files; a pull may bring it back.
#[test]
fn a_layer_that_is_removed_while_it_is_read() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    type Change = fn(&std::path::Path);
    let changes: [(&str, Change); 3] = [
        ("removed", |folder| fs::rename(folder, folder.with_extension("removing")).unwrap()),
        ("stored again", |folder| fs::write(folder.join("cache-id"), "0123456789abcdef").unwrap()),
        ("the record is there", |folder| fs::write(folder.join("tar-split.json.gz"), "x").unwrap()),
    ];
    for (what, change) in changes {
        let data = DataRoot::complete("overlay2");
        let (_, folder) = third_layer(&data);
        fs::remove_file(folder.join("tar-split.json.gz")).unwrap();
        let (layer, _) = third_layer(&data);
        layer.write_to(&mut std::io::sink()).unwrap();
        // While it is being written.
        let mut out = Changing { change: Some(|| change(&folder)), bytes: 0 };
        let error = layer.write_to(&mut out).unwrap_err();
        assert!(out.bytes > 0, "{what}");
        assert_eq!(error.kind(), ErrorKind::Environment, "{what}: {error}");
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(cause.ends_with("has changed while it was read"), "{what}: {error}: {cause}");
        // Before the first byte, if there is one.
        let mut out = Vec::new();
        assert!(layer.write_to(&mut out).is_err() && out.is_empty(), "{what}");
    }
}

struct Changing<F> {
    change: Option<F>,
    bytes: usize,
}

impl<F: FnOnce()> std::io::Write for Changing<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(change) = self.change.take() {
            change();
        }
        self.bytes += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Docker removes an image's notes before its config: notes without a config are of an image that is lost.
#[test]
fn notes_of_an_image_without_its_config() {
    let data = DataRoot::complete("overlay2");
    let before = data.store().images().unwrap();
    let notes = data.image("overlay2").join("imagedb/metadata/sha256").join(TORTURE);
    fs::create_dir_all(&notes).unwrap();
    fs::write(notes.join("lastUpdated"), "2023-11-14T22:13:20Z").unwrap();
    assert_eq!(data.store().images().unwrap().broken.len(), before.broken.len());
    data.remove_config("overlay2", TORTURE);
    // Not even its name is left.
    let names = data.image("overlay2").join("repositories.json");
    fs::write(&names, r#"{"Repositories":{}}"#).unwrap();
    let listing = data.store().images().unwrap();
    let [broken] = &listing.broken[..] else { panic!("{:?}", listing.broken) };
    assert_eq!((&*broken.what, broken.error.kind()), (TORTURE, ErrorKind::Missing));
}
