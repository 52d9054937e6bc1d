//! Layers of zstd:chunked and eStargz, pulled file by file. The records are as containers/storage 1.59 writes
//! them (`layers.go`, `CreateAsStored`; containers/image, `storage_src.go`), the files from a layer that was
//! pulled whole.

use std::fs;
use std::io::Read;
use std::path::Path;

use layerlift_archive::Digest;
use layerlift_store::{Document, ErrorKind, Layer, LayerKey, LayerTar, Store};

use crate::NEEDS_ROOT;
use crate::contract::key;
use crate::fixture::{APP, Disk, UPPER, root_user};

const DIFF: &str = r#""diff-digest":"sha256:612d6851677aa48594ff4741dec9f9c817d9a0d43b906cf492cec6cd0af62722","diff-size":6656"#;
const EXPECTED: &str = r#""toc-digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","diff-size":-1,"flags":{"expected-layer-diffid":"sha256:612d6851677aa48594ff4741dec9f9c817d9a0d43b906cf492cec6cd0af62722"}"#;
const LAYERS: &str = "additional/overlay-layers/layers.json";

/// The upper layer of `demo/app`.
fn upper(store: &dyn Store) -> LayerKey {
    let key = store.image(&key(store, APP)).unwrap().layers.swap_remove(1).key;
    assert_eq!(key.id(), UPPER);
    key
}

#[test]
fn digest_that_a_config_promised() {
    let disk = Disk::small("additional");
    disk.edit(LAYERS, DIFF, EXPECTED);
    let store = disk.store("additional");
    assert_eq!(store.images().unwrap().images[0].size, None, "nobody has counted");
    let image = store.image(&key(&*store, APP)).unwrap();
    let tar = store.layer(&upper(&*store)).unwrap();
    assert!(matches!(tar, LayerTar::Split(_)));
    assert_eq!(tar.diff_id(), image.layers[1].diff_id);
    // It must be the diff id that this image's config promises.
    disk.edit(LAYERS, "sha256:612d", "sha256:712d");
    let store = disk.store("additional");
    let error = store.image(&key(&*store, APP)).unwrap_err().to_string();
    assert!(
        error.contains("layers.json is malformed") && error.contains("the image's config has sha256:612d"),
        "{error}"
    );
}

#[test]
fn without_a_digest_the_config_says_it() {
    let disk = Disk::small("additional");
    disk.edit(LAYERS, DIFF, r#""diff-digest":"","toc-digest":"sha256:00""#);
    let store = disk.store("additional");
    let image = store.image(&key(&*store, APP)).unwrap();
    assert!(image.layers[1].diff_id.unwrap().to_string().starts_with("sha256:612d"));
    assert_eq!(store.layer(&upper(&*store)).unwrap().diff_id(), None, "checked file by file");
}

#[test]
fn without_tar_split_it_is_computed() {
    let disk = Disk::small("additional").and_small("vfs", "vfs");
    fs::remove_file(disk.join(&format!("additional/overlay-layers/{UPPER}.tar-split.gz"))).unwrap();
    let store = disk.store("additional");
    assert!(store.image(&key(&*store, APP)).unwrap().layers[1].diff_id.is_some());
    assert!(matches!(store.layer(&upper(&*store)).unwrap(), LayerTar::Diff(_)));

    let store = disk.store("vfs");
    let layer = store.image(&key(&*store, "demo/app:2.0")).unwrap().layers.pop().unwrap();
    fs::remove_file(disk.join(&format!("vfs/vfs-layers/{}.tar-split.gz", layer.key.id()))).unwrap();
    let LayerTar::Diff(diff) = store.layer(&layer.key).unwrap() else { panic!("no tar-split") };
    let mut tar = Vec::new();
    diff.write_to(&mut tar).unwrap();
    let has = |name: &[u8]| tar.windows(name.len()).any(|window| window == name);
    assert!(has(b"usr/lib/liby.so") && has(b"etc/.wh.hello") && !has(b"usr/lib/libx.so"));
}

#[test]
fn image_id_that_is_not_a_digest() {
    let disk = Disk::small("additional");
    let other = "0123".repeat(16);
    disk.edit(
        "additional/overlay-images/images.json",
        &format!(r#""id":"{APP}""#),
        &format!(r#""id":"{other}""#),
    );
    fs::rename(
        disk.join(&format!("additional/overlay-images/{APP}")),
        disk.join(&format!("additional/overlay-images/{other}")),
    )
    .unwrap();
    let store = disk.store("additional");
    assert_eq!(key(&*store, "demo/app:2.0").id(), other);
    let image = store.image(&key(&*store, &other)).unwrap();
    let Document::Config { raw, .. } = &image.document else { panic!("a config") };
    assert_eq!(Digest::of(raw).hex(), APP);
    assert_eq!(image.image_id().unwrap().0.hex(), APP);
}

#[test]
fn composefs_without_its_table_of_contents() {
    let disk = Disk::small("additional");
    disk.write(&format!("additional/overlay/{UPPER}/composefs-data/composefs.blob"), "");
    let store = disk.store("additional");
    let error = store.layer(&upper(&*store)).err().unwrap();
    assert!(error.to_string().contains("composefs"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Missing);
}

/// Then one layer is made what a usual pull leaves, so that the image has layers of both kinds.
#[test]
fn composefs_is_exact() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    let disk = Disk::empty().and_case("podman-composefs");
    let store = disk.store("store");
    let listing = store.images().unwrap();
    let image = store.image(&listing.images[0].key).unwrap();
    assert_eq!(image.layers.len(), 4);
    let read = |layer: &Layer| {
        let tar = store.layer(&layer.key).unwrap();
        assert!(matches!(tar, LayerTar::Split(_)), "it has tar-split data");
        let mut bytes = Vec::new();
        tar.reader().unwrap().read_to_end(&mut bytes).map(|_| bytes)
    };
    let exact = || {
        for layer in &image.layers {
            assert_eq!(Digest::of(&read(layer).unwrap()).to_string(), layer.diff_id.unwrap().to_string());
        }
    };
    let dir = |layer: &Layer, part: &str| disk.join(&format!("store/overlay/{}/{part}", layer.key.id()));
    exact();

    let bytes = read(&image.layers[0]).unwrap();
    fs::write(disk.join("layer.tar"), bytes).unwrap();
    fs::remove_dir_all(dir(&image.layers[0], "composefs-data")).unwrap();
    fs::remove_dir_all(dir(&image.layers[0], "diff")).unwrap();
    fs::create_dir(dir(&image.layers[0], "diff")).unwrap();
    let mut tar = std::process::Command::new("tar");
    tar.arg("-xf").arg(disk.join("layer.tar")).arg("-C").arg(dir(&image.layers[0], "diff"));
    assert!(tar.status().unwrap().success());
    exact();

    // Without tar-split data nothing else has the names: the layer is lost, and may be found elsewhere.
    for (text, kind) in [(Some(""), ErrorKind::Malformed), (None, ErrorKind::Missing)] {
        let layer = &image.layers[1];
        let split = disk.join(&format!("store/overlay-layers/{}.tar-split.gz", layer.key.id()));
        let whole = fs::read(&split).unwrap();
        match text {
            Some(text) => fs::write(&split, text).unwrap(),
            None => fs::remove_file(&split).unwrap(),
        }
        let error = store.layer(&layer.key).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("only in an image of composefs"), "{error}");
        fs::write(&split, whole).unwrap();
    }

    // A file that has changed is found by its digest.
    let of = |dir: &Path| fs::read_dir(dir).unwrap().next().map(|entry| entry.unwrap().path());
    let upper = image.layers[1..].iter().find_map(|layer| Some((layer, of(&dir(layer, "diff"))?)));
    let (layer, folder) = upper.unwrap();
    let file = of(&folder).unwrap();
    fs::write(&file, vec![b'!'; fs::metadata(&file).unwrap().len() as usize]).unwrap();
    assert!(read(layer).is_err());
}
