//! tar-split data that are damaged, and layers that are removed while they are read.

use std::fs;

use layerlift_archive::ErrorKind;
use layerlift_store::LayerTar;

use crate::contract;
use crate::fixture::{APP, Disk, UPPER, root_user};

const LAYERS: &str = "additional/overlay-layers/layers.json";
const NEEDS_ROOT: &str = "layers have devices and foreign owners";

fn upper(disk: &Disk) -> LayerTar {
    let store = disk.store("additional");
    let image = store.image(&contract::key(&*store, APP)).unwrap();
    store.layer(&image.layers[1].key).unwrap()
}

fn bytes(layer: &LayerTar) -> Vec<u8> {
    let mut bytes = Vec::new();
    layer.write_to(&mut bytes).unwrap();
    bytes
}

#[test]
fn damaged_tar_split_data() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    let disk = Disk::small("additional");
    let file = disk.join(&format!("additional/overlay-layers/{UPPER}.tar-split.gz"));
    let (exact, sound) = (bytes(&upper(&disk)), fs::read(&file).unwrap());
    fs::remove_file(&file).unwrap();
    let computed = bytes(&upper(&disk));
    assert_ne!(exact, computed);
    for (gzip, is_exact, why) in [
        (&b""[..], false, "it is empty"),
        (&[0; 300], false, "it is full of zeros"),
        (&sound[..sound.len() / 2], false, "it is damaged: line"),
        (&sound[..sound.len() - 8], true, "it is damaged: line"),
    ] {
        fs::write(&file, gzip).unwrap();
        let layer = upper(&disk);
        assert_eq!(bytes(&layer) == exact, is_exact, "{why}");
        assert_eq!(bytes(&layer) == computed, !is_exact, "{why}");
        let notice = layer.notice().unwrap().to_string();
        assert!(notice.contains(&format!("{UPPER}.tar-split.gz: {why}")), "{notice}");
    }
    // The length is recorded twice, and the digest says which is right.
    fs::write(&file, &sound).unwrap();
    disk.edit(LAYERS, r#""diff-size":6656"#, r#""diff-size":6657"#);
    let layer = upper(&disk);
    assert_eq!(bytes(&layer), exact);
    let notice = layer.notice().unwrap().to_string();
    assert!(notice.contains("a tar of 6656 bytes, the layer had 6657"), "{notice}");
}

#[test]
fn a_layer_that_is_removed_while_it_is_read() {
    if !root_user(NEEDS_ROOT) {
        return;
    }
    let renamed = format!(r#""id":"{}""#, "f".repeat(64));
    for (from, to) in [
        (format!(r#""id":"{UPPER}""#), renamed.as_str()),
        (r#""uidset":[0,1234]"#.to_owned(), r#""flags":{"incomplete":true}"#),
    ] {
        let disk = Disk::small("additional");
        let file = disk.join(&format!("additional/overlay-layers/{UPPER}.tar-split.gz"));
        fs::remove_file(&file).unwrap();
        let layer = upper(&disk);
        layer.write_to(&mut std::io::sink()).unwrap();
        disk.edit(LAYERS, &from, to);
        let error = layer.write_to(&mut std::io::sink()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Environment, "{error}");
    }
}
