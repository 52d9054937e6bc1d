//! Damaged and hostile stores: an error names the file, and the other image is not affected.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use layerlift_archive::Digest;
use layerlift_store::{Error, Keyring, LayerTar};

use crate::contract::{image, key};
use crate::fixture::{DataRoot, MANY, TORTURE};

const DRIVER: &str = "overlay2";

/// The chain ids of `bench/torture`, base first.
fn chains(data: &DataRoot) -> Vec<String> {
    let store = data.store();
    let image = store.image(&key(&*store, TORTURE)).unwrap();
    image.layers.into_iter().map(|layer| layer.key.id().to_owned()).collect()
}

fn chain_error(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain_error(source)),
        None => error.to_string(),
    }
}

/// Opens all layers of an image.
fn read(data: &DataRoot, name: &str) -> Result<Vec<LayerTar>, Error> {
    let store = data.store();
    store.image(&key(&*store, name))?.layers.iter().map(|layer| store.layer(&layer.key)).collect()
}

/// When an image fails.
#[derive(PartialEq)]
enum Seen {
    /// In the listing.
    Listed,
    /// When it is opened.
    Opened,
}
use Seen::{Listed, Opened};

struct Case {
    what: &'static str,
    /// Takes the data root and the directory of the third layer of `bench/torture`.
    damage: fn(&DataRoot, &Path),
    seen: Seen,
    /// Parts of the message, among them the path.
    message: [&'static str; 2],
}

fn case(what: &'static str, seen: Seen, message: [&'static str; 2], damage: fn(&DataRoot, &Path)) -> Case {
    Case { what, damage, seen, message }
}

fn cases() -> Vec<Case> {
    vec![
        case("no cache-id", Opened, ["/cache-id is not there", "needs file cache-id"], |_, layer| {
            fs::remove_file(layer.join("cache-id")).unwrap();
        }),
        case("no record", Listed, ["layerdb/sha256/", "is not there"], |_, layer| {
            fs::remove_dir_all(layer).unwrap();
        }),
        case("no directory", Opened, ["/diff is not there", "needs directory"], |data, layer| {
            fs::remove_dir_all(tree(data, layer)).unwrap();
        }),
        case(
            "a link in place of the directory",
            Opened,
            ["/diff is malformed", "symbolic link"],
            |data, layer| {
                let tree = tree(data, layer);
                fs::rename(&tree, data.path().join("moved")).unwrap();
                symlink(data.path().join("moved"), tree).unwrap();
            },
        ),
        case("a link above the directory", Opened, ["/diff is malformed", "symbolic link"], |data, layer| {
            let tree = tree(data, layer);
            fs::rename(tree.parent().unwrap(), data.path().join("moved")).unwrap();
            symlink("../moved", tree.parent().unwrap()).unwrap();
        }),
        case("a link in place of the record", Listed, ["layerdb/sha256/", "symbolic link"], |data, layer| {
            fs::rename(layer, data.path().join("moved")).unwrap();
            symlink(data.path().join("moved"), layer).unwrap();
        }),
        case("a cache-id that leads out", Opened, ["/cache-id is malformed", "../../.."], |_, layer| {
            fs::write(layer.join("cache-id"), "../../..").unwrap();
        }),
        case("an empty cache-id", Opened, ["/cache-id is malformed", "it is empty"], |_, layer| {
            fs::write(layer.join("cache-id"), "\n").unwrap();
        }),
        case("no config", Listed, ["imagedb/content/sha256/dd67", "needs config"], |data, _| {
            fs::remove_file(config(data)).unwrap();
        }),
        case(
            "another config",
            Listed,
            ["imagedb/content/sha256/dd67", "its digest is sha256:"],
            |data, _| {
                let text = fs::read_to_string(config(data)).unwrap();
                fs::write(config(data), text.replacen("2023", "2024", 1)).unwrap();
            },
        ),
        case(
            "an empty config",
            Listed,
            ["imagedb/content/sha256/dd67", "its digest is sha256:"],
            |data, _| {
                fs::write(config(data), "").unwrap();
            },
        ),
        case(
            "a config of 100 MiB",
            Listed,
            ["imagedb/content/sha256/dd67", "larger than 16 MiB"],
            |data, _| {
                fs::File::create(config(data)).unwrap().set_len(100 << 20).unwrap();
            },
        ),
        case(
            "a directory as config",
            Listed,
            ["imagedb/content/sha256/dd67", "not a regular file"],
            |data, _| {
                fs::remove_file(config(data)).unwrap();
                fs::create_dir(config(data)).unwrap();
            },
        ),
    ]
}

fn config(data: &DataRoot) -> PathBuf {
    data.config(DRIVER, TORTURE)
}

fn tree(data: &DataRoot, layer: &Path) -> PathBuf {
    let cache_id = fs::read_to_string(layer.join("cache-id")).unwrap();
    data.path().join(DRIVER).join(cache_id).join("diff")
}

#[test]
fn one_damaged_image_hides_no_other() {
    let data = DataRoot::metadata(DRIVER);
    data.add_trees(DRIVER);
    let layer = data.layer(DRIVER, &chains(&data)[2]);
    let sound = Sound::of(&data, &layer);
    for case in cases() {
        sound.put_back();
        (case.damage)(&data, &layer);

        let begin = Instant::now();
        let Err(error) = read(&data, "bench/torture:1.0") else { panic!("{}: no error", case.what) };
        let mut messages = vec![chain_error(&error)];
        let listing = data.store().images().unwrap();
        let listed = listing.images.iter().map(|image| image.key.id()).collect::<Vec<_>>();
        if case.seen == Listed {
            assert_eq!(listed, [MANY], "{}", case.what);
            let [broken] = &listing.broken[..] else { panic!("{}: {:?}", case.what, listing.broken) };
            assert_eq!(broken.what, TORTURE, "{}", case.what);
            assert_eq!(broken.references[0].to_string(), "bench/torture:1.0", "{}", case.what);
            messages.push(chain_error(&broken.error));
        } else {
            assert_eq!(listed, [MANY, TORTURE], "{}", case.what);
        }
        for message in messages {
            for part in case.message {
                assert!(message.contains(part), "{}: {message}", case.what);
            }
            assert!(message.contains(data.path().to_str().unwrap()), "{}: {message}", case.what);
        }
        assert!(read(&data, "bench/many:1.0").is_ok(), "{}", case.what);
        assert!(begin.elapsed() < Duration::from_secs(5), "{}", case.what);
    }
}

/// The original state of what the cases damage.
struct Sound {
    moved: PathBuf,
    layer: PathBuf,
    files: Vec<(PathBuf, Vec<u8>)>,
    tree: PathBuf,
}

impl Sound {
    fn of(data: &DataRoot, layer: &Path) -> Self {
        let files = fs::read_dir(layer).unwrap().map(|file| file.unwrap().path()).chain([config(data)]);
        Sound {
            moved: data.path().join("moved"),
            layer: layer.to_owned(),
            files: files.map(|file| (file.clone(), fs::read(file).unwrap())).collect(),
            tree: tree(data, layer),
        }
    }

    fn put_back(&self) {
        for path in [&self.moved, &self.layer, self.tree.parent().unwrap(), &self.files.last().unwrap().0] {
            match fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
                Ok(_) => fs::remove_file(path).unwrap(),
                Err(_) => {}
            }
        }
        fs::create_dir(&self.layer).unwrap();
        fs::create_dir_all(&self.tree).unwrap();
        for (file, bytes) in &self.files {
            fs::write(file, bytes).unwrap();
        }
    }
}

/// Only a column of the listing depends on `size`.
#[test]
fn a_size_that_cannot_be_read() {
    let damages: [fn(&Path); 4] = [
        |size| fs::write(size, "-5").unwrap(),
        |size| fs::File::create(size).unwrap().set_len(100 << 20).unwrap(),
        |size| {
            fs::remove_file(size).unwrap();
            fs::create_dir(size).unwrap();
        },
        |size| fs::remove_dir(size).unwrap(),
    ];
    let data = DataRoot::metadata(DRIVER);
    data.add_trees(DRIVER);
    let size = data.layer(DRIVER, &chains(&data)[2]).join("size");
    for damage in damages {
        damage(&size);
        let listing = data.store().images().unwrap();
        let sizes = listing.images.iter().map(|image| image.size.is_some()).collect::<Vec<_>>();
        assert_eq!((sizes, listing.broken.len()), (vec![true, false], 0));
        assert!(read(&data, "bench/torture:1.0").is_ok());
    }
}

/// The files `diff` and `parent` only repeat what the config and the chain ids prove.
#[test]
fn files_that_a_config_proves() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 10] = [
        ("/diff: it is missing", |layer| fs::remove_file(layer.join("diff")).unwrap()),
        ("/diff: it is empty", |layer| fs::write(layer.join("diff"), "").unwrap()),
        ("/diff: it has only zero bytes", |layer| fs::write(layer.join("diff"), [0; 71]).unwrap()),
        ("is not a digest", |layer| fs::write(layer.join("diff"), "sha256:../../x").unwrap()),
        ("it is not text", |layer| fs::write(layer.join("diff"), b"\xff\xfe").unwrap()),
        ("/diff: it is sha256:e3b0c44298fc1c14", |layer| {
            fs::write(layer.join("diff"), Digest::of(b"").to_string()).unwrap();
        }),
        ("symbolic link", |layer| {
            fs::rename(layer.join("diff"), layer.join("moved")).unwrap();
            symlink("moved", layer.join("diff")).unwrap();
        }),
        ("/parent: it is missing", |layer| fs::remove_file(layer.join("parent")).unwrap()),
        ("/parent: it is empty", |layer| fs::write(layer.join("parent"), "").unwrap()),
        ("/parent: it is sha256:", |layer| {
            let chain = layer.file_name().unwrap().to_str().unwrap();
            fs::write(layer.join("parent"), format!("sha256:{chain}")).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let data = DataRoot::metadata(DRIVER);
        data.add_trees(DRIVER);
        damage(&data.layer(DRIVER, &chains(&data)[2]));
        let store = data.store();
        let listing = store.images().unwrap();
        assert_eq!((listing.images.len(), listing.broken.len()), (2, 0), "{what}");
        let image = store.image(&key(&*store, TORTURE)).unwrap();
        let [notice] = &*image.notices else { panic!("{what}: {:?}", image.notices) };
        assert!(notice.to_string().contains(what), "{what}: {notice}");
        assert!(notice.to_string().ends_with("the image's config proves what it should say"), "{notice}");
        let layers = image.layers.iter().map(|layer| store.layer(&layer.key)).collect::<Result<Vec<_>, _>>();
        assert_eq!(layers.unwrap().len(), 11, "{what}");
    }
}

/// A layer is opened by its key alone, without an image that names its diff id.
#[test]
fn a_layer_follows_from_its_record() {
    let data = DataRoot::metadata(DRIVER);
    data.add_trees(DRIVER);
    let chain = chains(&data)[2].clone();
    let store = data.store();
    let layer = store.image(&key(&*store, TORTURE)).unwrap().layers.swap_remove(2);
    let open = || store.layer(&layer.key);
    assert!(open().is_ok());
    for (file, bytes) in [("diff", Digest::of(b"").to_string()), ("parent", format!("sha256:{chain}"))] {
        let path = data.layer(DRIVER, &chain).join(file);
        let sound = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        // The config of the image has both.
        assert!(open().is_ok(), "{file}");
        let config = data.config(DRIVER, TORTURE);
        let raw = fs::read(&config).unwrap();
        fs::write(&config, "{}").unwrap();
        let Err(Error::Damaged { why, .. }) = open() else { panic!("{file}") };
        assert!(why.contains("diff and parent is sha256:"), "{why}");
        fs::write(&config, raw).unwrap();
        fs::write(path, sound).unwrap();
    }
    let forger = Keyring::new();
    for id in ["", "..", "../../x", "sha256:0", &format!("sha256:{chain}"), &chain] {
        assert!(matches!(store.layer(&forger.layer(DRIVER, id)), Err(Error::NotFound { .. })), "{id}");
        assert!(store.image(&forger.image(DRIVER, id)).is_err(), "{id}");
    }
    fs::remove_file(data.layer(DRIVER, &chain).join("tar-split.json.gz")).unwrap();
    let layer = open().unwrap();
    assert!(matches!(layer, LayerTar::Diff(_)));
    assert_eq!((layer.tar_len(), layer.diff_id()), (None, None), "its digest cannot be kept");
}

#[test]
fn configs_that_are_none() {
    let data = DataRoot::metadata(DRIVER);
    let deep = format!(
        r#"{{"rootfs":{{"type":"layers","diff_ids":{}{}}}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let deep_elsewhere =
        format!(r#"{{"x":{}{},"rootfs":{{"type":5}}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    for (text, why) in [
        ("null", "not a JSON object"),
        (r#"{"rootfs":[]}"#, "not a JSON object"),
        (r#"{"rootfs":{"type":"layers","diff_ids":["x"]}}"#, "is not a digest"),
        (r#"{"rootfs":{"type":"layers","diff_ids":{}}}"#, "diff_ids is an object, not a list"),
        (r#"{"rootfs":{"type":"layers"},"rootfs":{"type":"layers"}}"#, "rootfs is there twice"),
        (deep.as_str(), "not a string"),
        (deep_elsewhere.as_str(), "not a string"),
    ] {
        let added = data.add_config(DRIVER, text.as_bytes());
        let store = data.store();
        let error = store.image(&key(&*store, &added)).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(&added), "{text:.50}: {error}");
        let listing = data.store().images().unwrap();
        assert_eq!((listing.images.len(), listing.broken.len()), (2, 1), "{text:.50}");
        data.remove_config(DRIVER, &added);
    }
}

#[test]
fn an_image_without_layers() {
    let data = DataRoot::metadata(DRIVER);
    let added = data.add_config(DRIVER, br#"{"rootfs":{"type":"layers"}}"#);
    let store = data.store();
    assert!(store.image(&key(&*store, &added)).unwrap().layers.is_empty());
    let listing = store.images().unwrap();
    let last = listing.images.last().unwrap();
    assert_eq!((last.key.id(), last.size, last.layers), (&*added, Some(0), 0), "no time: last");
}

#[test]
fn names_that_lead_nowhere() {
    let data = DataRoot::metadata(DRIVER);
    let path = data.image(DRIVER).join("repositories.json");
    let text = fs::read_to_string(&path).unwrap();
    for id in [format!("sha256:{}", "0".repeat(64)), "sha256:../../../etc/passwd".to_owned(), String::new()] {
        let text = text.replace(
            r#""bench/many:latest":"sha256:"#,
            &format!(r#""bench/many:gone":"{id}","bench/many:latest":"sha256:"#),
        );
        fs::write(&path, text).unwrap();
        let store = data.store();
        let listing = store.images().unwrap();
        assert_eq!(listing.images.len(), 2, "{id}");
        let [broken] = &listing.broken[..] else { panic!("{id}: {:?}", listing.broken) };
        assert_eq!(broken.references[0].to_string(), "bench/many:gone", "{id}");
        let selected = store.resolve("bench/many:gone").unwrap();
        let error = store.image(&image(&selected[0])).unwrap_err().to_string();
        assert_eq!(error, broken.error.to_string(), "{id}");
        assert!(error.contains(data.path().to_str().unwrap()), "{error}");
        assert!(store.image(&key(&*store, "bench/many:1.0")).is_ok(), "{id}");
    }
}

#[test]
fn a_name_that_is_none_hides_no_other() {
    let data = DataRoot::metadata(DRIVER);
    let path = data.image(DRIVER).join("repositories.json");
    let text = fs::read_to_string(&path).unwrap().replace("bench/torture:1.0", "../../x:1.0");
    fs::write(&path, text).unwrap();
    let listing = data.store().images().unwrap();
    let names: Vec<_> = listing.images.iter().map(|image| image.references.len()).collect();
    assert_eq!((names, listing.broken.len()), (vec![4, 0], 0));
    assert!(listing.lost[0].to_string().contains("is not a name within"));
    assert_eq!(key(&*data.store(), "bench/many:1.0").id(), MANY);
}

/// A sparse file of 100 MiB.
const HUGE: &str = "huge";

#[test]
fn names_that_cannot_be_read() {
    let data = DataRoot::metadata(DRIVER);
    let path = data.image(DRIVER).join("repositories.json");
    for (text, why) in [
        ("", "it is empty: names are lost; every image is listed by its id"),
        ("\0\0\0\0", "nothing but zeros"),
        (r#"{"x":1}"#, "it lacks \"Repositories\""),
        ("[]", "not a JSON object"),
        (r#"{"Repositories":{"a":{"a:1":{}}}}"#, "the image of \"a:1\": it is an object, not a string"),
        (r#"{"Repositories":{"a":{"a:1":"x","a:1":"y"}}}"#, "is there twice"),
        (&format!(r#"{{"Repositories":{}"#, r#"{"x":"#.repeat(10_000)), "it is cut after"),
        (HUGE, "larger than 16 MiB"),
    ] {
        fs::write(&path, text).unwrap();
        if text == HUGE {
            fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
        }
        let store = data.store();
        let listing = store.images().unwrap();
        assert!(listing.images.iter().all(|image| image.references.is_empty()));
        assert_eq!((listing.images.len(), listing.broken.len(), listing.lost.len()), (2, 0, 1), "{why}");
        assert_eq!(key(&*store, MANY).id(), MANY, "{why}");
        let by_name = store.resolve("bench/many:1.0").unwrap_err().to_string();
        assert_eq!(by_name, listing.lost[0].to_string());
        assert!(by_name.contains(why) && by_name.contains("repositories.json"), "{by_name}");
    }
}
