//! Damaged and hostile stores: an error names the file, and the other image is not affected.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use layerlift_store::{Error, Keyring, LayerTar, Store};

use crate::contract::{image, key};
use crate::fixture::{APP, BASE, Disk, LOWER, UPPER};

const IMAGES: &str = "additional/overlay-images/images.json";
const LAYERS: &str = "additional/overlay-layers/layers.json";

/// Opens all layers of `demo/app`, which has one more than `demo/base`.
fn read(store: &dyn Store, id: &str) -> Result<Vec<LayerTar>, Error> {
    store.image(&key(store, id))?.layers.iter().map(|layer| store.layer(&layer.key)).collect()
}

fn text(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", text(source)),
        None => error.to_string(),
    }
}

/// When an image fails.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    /// In the listing.
    Listed,
    /// When it is opened.
    Opened,
}
use Seen::{Listed, Opened};

/// A name, when `demo/app` fails, parts of the message, and what is done to the store.
type Case = (&'static str, Seen, [&'static str; 2], fn(&Disk));

fn of_app(data: &str) -> String {
    format!("additional/overlay-images/{APP}/{data}")
}

const CONFIG: &str =
    "=c2hhMjU2OjI5NmZiYjBkOWI4NGE4Yzk3YjJkMTU0MmVjYzcxMWM4ZTUyYjAyMzU4ODFkN2IwOTYxNDYzNTdlNDM5NjVkNDk=";
const MANIFEST: &str = concat!(
    "=bWFuaWZlc3Qtc2hhMjU2OjYwYzAwMTE4NTZmYzllOGM4NmI4MjA1MmQxMTM1MmJlMWZm",
    "ODA2NWU2NjIyZTUwMzkyZmZhMDM5YjBiNmZlODI="
);

/// Leaves nothing of a layer but what the images that need it say.
pub(crate) fn unproven(disk: &Disk) {
    fs::remove_file(disk.join(&format!("additional/overlay-layers/{UPPER}.tar-split.gz"))).unwrap();
    fs::remove_dir_all(disk.join(&format!("additional/overlay/{UPPER}"))).unwrap();
}

const CASES: &[Case] = &[
    ("the layer is nowhere", Listed, ["layers.json", "needs layer c6e2"], |disk| {
        unproven(disk);
        disk.edit(LAYERS, &format!(r#""id":"{UPPER}""#), &format!(r#""id":"{}""#, "f".repeat(64)));
    }),
    ("its parent is nowhere", Listed, ["layers.json", "needs layer 0000"], |disk| {
        unproven(disk);
        disk.edit(LAYERS, &format!(r#""parent":"{LOWER}""#), &format!(r#""parent":"{}""#, "0".repeat(64)));
    }),
    ("a circle of parents", Listed, ["layers.json is malformed", "its parents lead back to it"], |disk| {
        unproven(disk);
        disk.edit(LAYERS, &format!(r#""parent":"{LOWER}""#), &format!(r#""parent":"{UPPER}""#));
    }),
    (
        "a parent that leads up",
        Listed,
        ["layers.json is malformed", r#""../x" is not the id of a layer"#],
        |disk| {
            unproven(disk);
            disk.edit(LAYERS, &format!(r#""parent":"{LOWER}""#), r#""parent":"../x""#);
        },
    ),
    (
        "a parent of another type",
        Listed,
        ["layers.json is malformed", "parent is a list, not a string"],
        |disk| {
            unproven(disk);
            disk.edit(LAYERS, &format!(r#""parent":"{LOWER}""#), r#""parent":[]"#);
        },
    ),
    ("an invalid diff id", Listed, ["layers.json is malformed", "is not a digest"], |disk| {
        unproven(disk);
        disk.edit(LAYERS, r#""diff-digest":"sha256:612d"#, r#""diff-digest":"sha256:../"#);
    }),
    ("an invalid size", Listed, ["layers.json is malformed", "not a whole number"], |disk| {
        unproven(disk);
        disk.edit(LAYERS, r#""diff-size":6656"#, r#""diff-size":"large""#);
    }),
    (
        "a layer that was never finished",
        Listed,
        ["layers.json marks it", "was never stored completely"],
        |disk| {
            disk.edit(LAYERS, r#""uidset":[0,1234]"#, r#""flags":{"incomplete":true}"#);
        },
    ),
    (
        "an image that was never finished",
        Listed,
        ["images.json marks it", "was never stored completely"],
        |disk| {
            disk.edit(IMAGES, r#""created":"2023-11-14T22:13:21Z""#, r#""flags":{"incomplete":true}"#);
        },
    ),
    ("another diff id", Opened, ["layers.json is malformed", "the image's config has sha256:612d"], |disk| {
        disk.edit(LAYERS, r#""diff-digest":"sha256:612d"#, r#""diff-digest":"sha256:712d"#);
    }),
    ("a layer too few", Opened, ["images.json is malformed", "has 1 layers, its config 2"], |disk| {
        disk.edit(IMAGES, UPPER, LOWER);
    }),
    ("no config", Opened, ["is not there", "needs config sha256:296f"], |disk| {
        fs::remove_file(disk.join(&of_app(CONFIG))).unwrap();
    }),
    ("another config", Opened, [CONFIG, "its digest is"], |disk| {
        disk.edit(&of_app(CONFIG), "layers", "LAYERS");
    }),
    ("a link in place of the config", Opened, [CONFIG, "symbolic link"], |disk| {
        fs::remove_file(disk.join(&of_app(CONFIG))).unwrap();
        symlink("manifest", disk.join(&of_app(CONFIG))).unwrap();
    }),
    ("no manifest", Opened, ["is not there", "needs manifest manifest"], |disk| {
        fs::remove_file(disk.join(&of_app("manifest"))).unwrap();
    }),
    ("another manifest", Opened, [MANIFEST, "its digest is"], |disk| {
        disk.edit(&of_app(MANIFEST), "schemaVersion", "schemaversion");
    }),
    ("an invalid manifest", Opened, ["/manifest is damaged", "its digest is"], |disk| {
        disk.write(&of_app("manifest"), "[]");
    }),
    ("a manifest without end", Opened, ["/manifest is malformed", "larger than 16 MiB"], |disk| {
        let file = fs::File::create(disk.join(&of_app("manifest"))).unwrap();
        file.set_len(100 << 30).unwrap();
    }),
    (
        "a manifest of another image",
        Opened,
        ["/manifest is malformed", "does not name the image's config"],
        |disk| {
            let other = fs::read(disk.join(&format!("additional/overlay-images/{BASE}/manifest"))).unwrap();
            disk.write(&of_app("manifest"), &other);
            let digest = layerlift_archive::Digest::of(&other).to_string();
            let recorded =
                r#""manifest":"sha256:60c0011856fc9e8c86b82052d11352be1ff8065e6622e50392ffa039b0b6fe82""#;
            disk.edit(IMAGES, recorded, &format!(r#""manifest":"{digest}""#));
        },
    ),
    ("an invalid digest of a manifest", Opened, ["/manifest is malformed", "by images.json"], |disk| {
        disk.edit(IMAGES, r#""manifest":"sha256:60c0"#, r#""manifest":"sha256:/../"#);
    }),
    ("no directory", Opened, ["/diff is not there", "needs directory c6e2"], |disk| {
        fs::remove_dir_all(disk.join(&format!("additional/overlay/{UPPER}/diff"))).unwrap();
    }),
    ("a link in place of the directory", Opened, ["/diff is malformed", "symbolic link"], |disk| {
        let tree = disk.join(&format!("additional/overlay/{UPPER}/diff"));
        fs::rename(&tree, tree.with_extension("moved")).unwrap();
        symlink("diff.moved", tree).unwrap();
    }),
];

#[test]
fn every_damage_is_named_and_hides_nothing() {
    for (what, seen, message, damage) in CASES {
        let disk = Disk::small("additional");
        damage(&disk);
        let store = disk.store("additional");
        let listing = store.images().unwrap();
        let listed = listing.images.iter().any(|image| image.key.id() == APP);
        assert_eq!(listed, *seen == Opened, "{what}: {:?}", listing.broken);
        if *seen == Listed {
            let broken = listing.broken.iter().find(|broken| broken.what == APP).unwrap();
            assert_eq!(broken.references.len(), 3, "{what}");
            for part in message {
                let error = text(&broken.error);
                assert!(error.contains(part), "{what}: {part} is not in {error}");
            }
        }
        let error = read(store.as_ref(), APP).err().unwrap_or_else(|| panic!("{what} is not seen"));
        for part in message {
            assert!(text(&error).contains(part), "{what}: {part} is not in {}", text(&error));
        }
        assert_eq!(key(&*store, "demo/base").id(), BASE, "{what}");
        assert_eq!(read(store.as_ref(), BASE).unwrap_or_else(|e| panic!("{what}: {}", text(&e))).len(), 1);
    }
}

/// A malformed record among sound ones.
#[test]
fn malformed_records() {
    for (record, what, message) in [
        ("5", "record 0", "not a JSON object"),
        (r#"["a","b"]"#, "record 0", "not a JSON object"),
        ("{}", "record 0", "it has no id"),
        (r#"{"id":7}"#, "record 0", "id is the number 7, not a string"),
        (r#"{"id":"../../etc"}"#, "../../etc", "its id is not 64 hex digits"),
        (r#"{"id":""}"#, "", "its id is not 64 hex digits"),
        (&format!(r#"{{"id":"{APP}","names":"x"}}"#), APP, "names is \"x\", not a list"),
        (&format!(r#"{{"id":"{APP}","layer":"..","names":["demo/x:1"]}}"#), APP, "not the id of a layer"),
        (&format!(r#"{{"id":"{APP}","big-data-sizes":[]}}"#), APP, "big-data-sizes is a list, not an object"),
        (&format!(r#"{{"id":"{APP}","id":"{APP}"}}"#), "record 0", "id is there twice"),
        (&format!(r#"{{"id":"{APP}"}}"#), APP, "it is there twice"),
        (
            &format!(r#"{{"id":"{APP}","names":[{}]}}"#, "[".repeat(10_000) + &"]".repeat(10_000)),
            APP,
            "not a string",
        ),
    ] {
        let disk = Disk::small("additional");
        let json = fs::read_to_string(disk.join(IMAGES)).unwrap();
        disk.write(IMAGES, json.replacen('[', &format!("[{record},"), 1));
        let listing = disk.store("additional").images().unwrap();
        assert_eq!(listing.images.len(), 2, "{record}");
        assert_eq!(listing.broken.len(), 1, "{record}: {:?}", listing.broken);
        let error = text(&listing.broken[0].error);
        assert_eq!(listing.broken[0].what, what, "{record}");
        assert!(error.contains(message) && error.contains("images.json"), "{record}: {error}");
        assert_eq!(read(disk.store("additional").as_ref(), APP).unwrap().len(), 2, "{record}");
    }
}

pub(crate) fn make_fifo(path: &std::path::Path) {
    let status = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo is installed");
    assert!(status.success());
}

#[test]
fn names_and_ids_that_are_there_twice() {
    let disk = Disk::small("additional");
    // If two images have the same name, the last one keeps it, as when Podman repairs its store.
    disk.edit(
        IMAGES,
        r#""names":["localhost/demo/base:1.0"]"#,
        r#""names":["localhost/demo/app:2.0","untagged","a:b@sha256:00"]"#,
    );
    let store = disk.store("additional");
    let app = store.resolve("localhost/demo/app:2.0").unwrap();
    let json = fs::read_to_string(disk.join(IMAGES)).unwrap();
    let last = if json.find(APP) > json.find(BASE) { APP } else { BASE };
    assert_eq!(image(&app[0]).id(), last);
    assert_eq!(key(&*store, "untagged").id(), BASE);
    let listing = store.images().unwrap();
    let base = listing.images.iter().find(|image| image.key.id() == BASE).unwrap();
    assert!(base.references.iter().any(|name| name.to_string() == "a@sha256:00"));
    // If two layers have the same id, the first one counts.
    let layers = fs::read_to_string(disk.join(LAYERS)).unwrap();
    disk.write(LAYERS, layers.replacen(']', &format!(r#"],"x":{{}}}},{{"id":"{UPPER}","gidset":[0]"#), 1));
    assert_eq!(read(disk.store("additional").as_ref(), BASE).unwrap().len(), 1);
    let error = text(&read(disk.store("additional").as_ref(), APP).err().unwrap());
    assert!(error.contains("has 1 layers, its config 2"), "{error}");
}

#[test]
fn keys_from_elsewhere() {
    let disk = Disk::small("additional");
    let store = disk.store("additional");
    let keys = Keyring::new();
    for id in ["", ".", "..", "../../etc", "/", "x\0", &"0".repeat(64), &"A".repeat(64), APP, UPPER] {
        for driver in ["overlay", "vfs", "..", ""] {
            let (image, layer) = (keys.image(driver, id), keys.layer(driver, id));
            assert!(store.image(&image).is_err() && store.layer(&layer).is_err(), "{driver:?} {id:?}");
        }
    }
}

/// 50,000 layers in one chain, and 50 images on top of them.
#[test]
fn a_tower_of_layers_costs_little() {
    let disk = Disk::empty();
    let id = |n: usize| format!("{n:064x}");
    let layers =
        (1..=50_000).map(|n| format!(r#"{{"id":"{}","parent":"{}"}}"#, id(n), id(n - 1))).collect::<Vec<_>>();
    let images = (1..=50)
        .map(|n| format!(r#"{{"id":"{}","layer":"{}","big-data-names":["sha256:0"]}}"#, id(n), id(50_000)))
        .collect::<Vec<_>>();
    disk.write("s/overlay-layers/layers.json", format!("[{}]", layers.join(",")));
    disk.write("s/overlay-images/images.json", format!("[{}]", images.join(",")));
    let began = Instant::now();
    let listing = disk.store("s").images().unwrap();
    assert_eq!((listing.images.len(), listing.broken.len()), (0, 50));
    assert!(text(&listing.broken[0].error).contains("it is the 2000th of its image"));
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
