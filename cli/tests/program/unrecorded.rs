//! Layers of which the records are lost, and the files are there.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use layerlift_archive::Digest;
use serde_json::Value;

use crate::program::{ended, is_root, layerlift, output};
use crate::store::Store;

const NEEDS: &str = "for devices and attributes of overlayfs";

/// What is in an archive of one image.
struct Saved {
    status: Option<i32>,
    errors: String,
    config: Value,
    layers: Vec<Vec<u8>>,
}

fn save(root: &Path, what: &[&str]) -> Saved {
    let out = output(layerlift().args(["save", "--root"]).arg(root).args(what));
    let (status, errors) = ended(&out);
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(&*out.stdout).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("its bytes");
        files.insert(entry.path().expect("a name").to_string_lossy().into_owned(), bytes);
    }
    let Some(manifest) = files.get("manifest.json") else {
        return Saved { status, errors, config: Value::Null, layers: Vec::new() };
    };
    let manifest: Value = serde_json::from_slice(manifest).expect("JSON");
    let file = |name: &Value| files[name.as_str().expect("a name")].clone();
    let plain = |bytes: Vec<u8>| match bytes.starts_with(b"\x1f\x8b") {
        true => {
            let mut tar = Vec::new();
            flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut tar).expect("gzip");
            tar
        }
        false => bytes,
    };
    let layers = manifest[0]["Layers"].as_array().expect("layers").iter().map(|name| plain(file(name)));
    let config = serde_json::from_slice(&file(&manifest[0]["Config"])).expect("JSON");
    Saved { status, errors, config, layers: layers.collect() }
}

/// The names in a tar, apart from that of the root.
fn names(tar: &[u8]) -> Vec<String> {
    let mut tar = tar::Archive::new(tar);
    let entries = tar.entries().expect("a tar");
    let name = |entry: tar::Entry<'_, _>| String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let names = entries.map(|entry| name(entry.expect("an entry")));
    let plain = |name: String| name.trim_start_matches("./").trim_end_matches('/').to_owned();
    let mut names: Vec<String> = names.map(plain).filter(|name| !name.is_empty()).collect();
    names.sort();
    names
}

fn rootfs(root: &Path, name: &str) -> Vec<u8> {
    output(layerlift().args(["rootfs", name, "--root"]).arg(root)).stdout
}

/// The records of the layers of `app:2`, the top one last.
const RECORDS: [&str; 2] = [
    "d827f1bbf928bc67d3c8d5c12c769232f993a416eb80b41db43d333fcdc52d60",
    "1fda61c2db6debe2cc8b8fbb2f70b2a03a73a66cb0243ee245530fd03ca90bf2",
];

fn record(root: &Path, chain: &str) -> PathBuf {
    root.join("image/overlay2/layerdb/sha256").join(chain)
}

/// What the driver mounted says which directory a layer has.
#[test]
fn records_of_layers() {
    if !is_root("records_of_layers", NEEDS) {
        return;
    }
    for lost in [&RECORDS[1..], &RECORDS[..1], &RECORDS[..]] {
        let store = Store::containers("docker-28.5");
        let root = &store.root;
        let whole = [save(root, &["--container", "changed"]), save(root, &["app:2"])];
        let of_image = rootfs(root, "app:2");
        lost.iter().for_each(|chain| fs::remove_dir_all(record(root, chain)).expect("it was there"));
        let got = [save(root, &["--container", "changed"]), save(root, &["app:2"])];
        for (got, whole) in got.iter().zip(&whole) {
            assert_eq!(got.status, Some(0), "{}", got.errors);
            for chain in lost {
                let said = format!("{chain}: it is missing; the layer is made again from its directory, ");
                assert!(got.errors.contains(&said), "{}", got.errors);
            }
            assert_eq!(got.layers.len(), whole.layers.len());
            for (place, (one, other)) in got.layers.iter().zip(&whole.layers).enumerate() {
                let is_lost = RECORDS.get(place).is_some_and(|chain| lost.contains(chain));
                assert_eq!(one == other, !is_lost, "layer {place}");
                assert_eq!(names(one), names(other), "layer {place}");
                assert_eq!(got.config["rootfs"]["diff_ids"][place], Digest::of(one).to_string());
            }
            assert_eq!(got.config["config"], whole.config["config"]);
        }
        assert!(rootfs(root, "app:2") == of_image);
        let listed = output(layerlift().args(["images", "--root"]).arg(root));
        let (status, errors) = ended(&listed);
        assert!(status == Some(1) && errors.contains(lost[0]), "{errors}");
        assert!(String::from_utf8_lossy(&listed.stdout).contains("app "), "{errors}");
    }
}

/// Without anything on top of the layer, its digest decides.
#[test]
fn a_directory_that_its_digest_proves() {
    if !is_root("a_directory_that_its_digest_proves", NEEDS) {
        return;
    }
    let store = Store::containers("docker-28.5");
    let root = &store.root;
    let image = save(root, &["app:2"]);
    fs::remove_dir_all(record(root, RECORDS[1])).expect("it was there");
    let made = save(root, &["app:2"]);
    fs::remove_dir_all(root.join("image/overlay2/layerdb/mounts")).expect("it was there");
    let got = save(root, &["app:2"]);
    let id = "585374d051dbda757a019f4c6624f67502f9c622a3d9c71ec26c14cf2b06f9dd";
    assert_eq!(got.status, Some(1), "{}", got.errors);
    let said = format!("it is the record of a layer whose directory may be {id}; but the tar");
    assert!(got.layers.is_empty() && got.errors.contains(&said), "{}", got.errors);
    // An image whose layer today's Docker has written.
    let mut config = image.config.clone();
    config["rootfs"]["diff_ids"][1] = made.config["rootfs"]["diff_ids"][1].clone();
    let config = config.to_string();
    let id = Digest::of(config.as_bytes()).hex();
    fs::write(root.join("image/overlay2/imagedb/content/sha256").join(&id), &config).expect("written");
    let got = save(root, &[&id]);
    assert_eq!(got.status, Some(0), "{}", got.errors);
    assert!(got.layers == made.layers, "other layers");
    assert_eq!(Digest::of(got.config.to_string().as_bytes()).hex(), id, "another image");
}

/// The container's image and all blobs were removed from containerd; its snapshots stay.
#[test]
fn an_image_that_was_removed_from_containerd() {
    if !is_root("an_image_that_was_removed_from_containerd", NEEDS) {
        return;
    }
    let store = Store::containers("docker-28.5-containerd");
    let root = &store.root;
    let whole = save(root, &["--container", "changed"]);
    let listed = output(layerlift().args(["containers", "--json", "--root"]).arg(root));
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let all = listed.as_array().expect("a list");
    let changed = all.iter().find(|one| one["names"][0] == "changed").expect("it is there");
    let [id, image] = ["id", "image_id"].map(|key| changed[key].as_str().expect("text"));
    let file = root.join("containers").join(id).join("config.v2.json");
    let text = fs::read_to_string(&file).expect("text");
    // Nothing has this digest.
    fs::write(&file, text.replace(image, &"0".repeat(64))).expect("written");
    // Another image may still have the layers.
    let got = save(root, &["--container", "changed"]);
    assert_eq!((got.status, &*got.errors), (Some(0), ""));
    assert!(got.layers == whole.layers, "other layers");
    assert_eq!(got.config["rootfs"], whole.config["rootfs"]);
    assert_eq!(got.config["config"], whole.config["config"]);
    let blobs = root.join("containerd/daemon/io.containerd.content.v1.content/blobs");
    fs::remove_dir_all(blobs).expect("it was there");
    let got = save(root, &["--container", "changed"]);
    assert_eq!(got.status, Some(0), "{}", got.errors);
    let said = "container changed: its image was removed, and no digest is recorded of 2 layers below it; \
                they are made again from what was unpacked";
    assert!(got.errors.contains(said), "{}", got.errors);
    assert_eq!(got.layers.len(), 3);
    for (one, other) in got.layers.iter().zip(&whole.layers) {
        assert_eq!(names(one), names(other));
    }
    assert!(got.layers[2] == whole.layers[2], "another layer of the container");
    assert_eq!(got.config["history"].as_array().map(Vec::len), Some(3), "an entry for each layer");
    assert_eq!(got.config["config"], whole.config["config"]);
}

/// The snapshotter's own database says where a container's files are, and the image is found by its digest.
#[test]
fn of_docker_without_the_metadata_of_containerd() {
    if !is_root("of_docker_without_the_metadata_of_containerd", NEEDS) {
        return;
    }
    let store = Store::containers("docker-28.5-containerd");
    let all = |commands: &[&[&str]]| -> Vec<Digest> {
        let digest = |command: &&[&str]| {
            let out = output(layerlift().args(*command).arg("--root").arg(&store.root));
            assert_eq!(ended(&out), (Some(0), String::new()), "{command:?}");
            Digest::of(&out.stdout)
        };
        commands.iter().map(digest).collect()
    };
    let commands: [&[&str]; 3] =
        [&["rootfs", "changed"], &["save", "--container", "changed=a:1"], &["containers", "--json"]];
    let before = all(&commands);
    let database = store.root.join("containerd/daemon/io.containerd.metadata.v1.bolt/meta.db");
    let bytes = fs::read(&database).expect("it is there");
    for damage in ["", "not a database"] {
        fs::write(&database, damage).expect("written");
        assert_eq!(all(&commands), before, "{damage:?}");
    }
    fs::write(&database, &bytes[..40_000]).expect("cut");
    assert_eq!(all(&commands[..2]), before[..2], "cut");
    let (status, errors) = ended(&output(layerlift().args(commands[2]).arg("--root").arg(&store.root)));
    assert!(status == Some(1) && errors.contains("meta.db is malformed"), "{errors}");
}

/// containerd writes files with names that it reads as deletions. `docker commit` (28.5) does the same.
#[test]
fn a_file_of_a_container_that_is_named_like_a_deletion() {
    if !is_root("a_file_of_a_container_that_is_named_like_a_deletion", NEEDS) {
        return;
    }
    let store = Store::containers("docker-28.5-containerd");
    let rootfs = output(layerlift().args(["rootfs", "changed", "--root"]).arg(&store.root));
    assert_eq!(ended(&rootfs).0, Some(0));
    let snapshots = store.root.join("containerd/daemon/io.containerd.snapshotter.v1.overlayfs/snapshots");
    let uppers =
        fs::read_dir(snapshots).expect("a folder").map(|entry| entry.expect("an entry").path().join("fs"));
    let upper = uppers.into_iter().find(|upper| upper.join("srv/time-old").exists()).expect("it is there");
    fs::write(upper.join(".wh.foo"), "x").expect("written");
    let saved = save(&store.root, &["--container", "changed=a:1"]);
    assert_eq!(saved.status, Some(0), "{}", saved.errors);
    assert!(saved.errors.contains("/.wh.foo: it has a name that means a deletion"), "{}", saved.errors);
    let layer = saved.layers.last().expect("the container's");
    let mut names = tar::Archive::new(&**layer);
    let mut names =
        names.entries().expect("a tar").map(|entry| entry.expect("an entry").path_bytes().into_owned());
    assert!(names.any(|name| name == b".wh.foo"));
}
