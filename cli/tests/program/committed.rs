//! `save --container`: what containers wrote, against the layers and configs that `commit` of their engines
//! made, byte for byte.
//!
//! What only a running engine knows differs: times, author, comment, its version. Docker 20.10 and Podman 4.3
//! write headers in another form than those of today, so their layers are compared entry by entry.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::listing::entries;
use crate::program::{ended, is_root, layerlift, output, save};
use crate::store::Store;

const ENGINES: [&str; 6] = [
    "docker-20.10",
    "docker-20.10-vfs-killed",
    "docker-28.5",
    "docker-28.5-containerd",
    "podman-4.3",
    "podman-5.8",
];

fn fixture(engine: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/fixtures/containers").join(engine)
}

/// The files of an archive.
fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("its bytes");
        files.insert(entry.path().expect("a name").to_string_lossy().into_owned(), bytes);
    }
    files
}

/// The config of the only image, and its top layer.
fn image(files: &BTreeMap<String, Vec<u8>>) -> (Value, Vec<u8>) {
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).expect("JSON");
    let name = |value: &Value| value.as_str().expect("a name").to_owned();
    let config = serde_json::from_slice(&files[&name(&manifest[0]["Config"])]).expect("JSON");
    let layers = manifest[0]["Layers"].as_array().expect("layers");
    let layer = &files[&name(layers.last().expect("one"))];
    let mut tar = Vec::new();
    match layer.starts_with(b"\x1f\x8b") {
        true => drop(flate2::read::GzDecoder::new(&**layer).read_to_end(&mut tar).expect("gzip")),
        false => tar.clone_from(layer),
    }
    (config, tar)
}

/// What the engines' answers and ours must agree on.
fn comparable(mut config: Value, layer: bool) -> Value {
    let object = config.as_object_mut().expect("an object");
    for key in ["created", "docker_version", "author"] {
        object.remove(key);
    }
    let last = config["history"].as_array_mut().and_then(|all| all.last_mut()).expect("an entry");
    let last = last.as_object_mut().expect("an object");
    last.remove("created");
    last.remove("author");
    if !last.get("comment").and_then(Value::as_str).is_some_and(|comment| comment.starts_with("FROM ")) {
        last.remove("comment");
    }
    if !layer {
        config["rootfs"]["diff_ids"].as_array_mut().expect("a list").pop();
    }
    config
}

#[test]
fn as_the_engines_commit_them() {
    if !is_root("as_the_engines_commit_them", "for devices and attributes of overlayfs") {
        return;
    }
    let mut compared = 0;
    for engine in ENGINES {
        let store = Store::containers(engine);
        for file in std::fs::read_dir(fixture(engine)).expect("a folder") {
            let path = file.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let Some(name) = name.strip_prefix("commit-").and_then(|name| name.strip_suffix(".tar.xz"))
            else {
                continue;
            };
            let expected = Command::new("xz").arg("-dc").arg(&path).output().expect("xz starts").stdout;
            let (expected, expected_layer) = image(&files(&expected));
            let got = output(save(&store.root).arg("--container").arg(format!("{name}=team/rescued:1")));
            let (status, errors) = ended(&got);
            assert_eq!((status, &*errors), (Some(0), ""), "{engine} {name}");
            let (got, layer) = image(&files(&got.stdout));
            let of_today = matches!(engine, "docker-28.5" | "docker-28.5-containerd" | "podman-5.8");
            let exact = of_today || layer == expected_layer;
            assert_eq!(comparable(got, exact), comparable(expected, exact), "{engine} {name}");
            if of_today {
                assert!(layer == expected_layer, "{engine} {name}: another layer");
            } else {
                let rows = |tar: &[u8]| {
                    let all = entries(tar).expect("a tar").into_iter();
                    all.map(|entry| (entry.row.name, entry.row.kind, entry.row.size, entry.bytes)).collect()
                };
                let (ours, theirs): (Vec<_>, Vec<_>) = (rows(&layer), rows(&expected_layer));
                assert_eq!(ours.len(), theirs.len(), "{engine} {name}");
                assert!(ours == theirs, "{engine} {name}: other entries");
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 26);
}

/// `docker commit` fails then; the layers are still there.
#[test]
fn an_image_that_was_removed() {
    if !is_root("an_image_that_was_removed", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let whole = output(save(&store.root).args(["--container", "changed"]));
    let (whole, layer) = image(&files(&whole.stdout));
    let id = "31ba1f917197618253d27f85280777986df7c491247cd619df201ac485b7f8d7";
    let config = store.root.join("image/overlay2/imagedb/content/sha256").join(id);
    std::fs::remove_file(config).expect("it was there");
    let got = output(save(&store.root).args(["--container", "changed"]));
    assert_eq!(ended(&got), (Some(0), String::new()));
    let (got, same) = image(&files(&got.stdout));
    assert!(layer == same);
    assert_eq!(got["rootfs"], whole["rootfs"]);
    assert_eq!(got["config"], whole["config"]);
    assert_eq!(got["history"].as_array().map(Vec::len), Some(3), "an entry for each layer");
    assert_eq!((&got["architecture"], &got["os"]), (&"amd64".into(), &"linux".into()));
}

/// Podman 5.8 writes no entry then; 4.3 writes one.
#[test]
fn an_image_without_a_history() {
    for engine in ["podman-4.3-options", "podman-5.8-options"] {
        let store = Store::containers(engine);
        let saved = output(save(&store.root).args(["--container", "without-history"]));
        assert_eq!(ended(&saved), (Some(0), String::new()), "{engine}");
        let (config, _) = image(&files(&saved.stdout));
        assert_eq!(config.get("history"), None, "{engine}");
        assert_eq!(config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(2), "{engine}");
    }
}

#[test]
fn with_images_in_any_format_and_always_the_same() {
    if !is_root("with_images_in_any_format", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("podman-5.8");
    let containers = ["localhost/base:1", "--container", "changed=x:1", "--container", "in-pod"];
    for format in ["docker-archive", "oci-archive", "docker-v1"] {
        let once = output(save(&store.root).args(containers).args(["--format", format]));
        assert_eq!(ended(&once), (Some(0), String::new()), "{format}");
        let again = output(save(&store.root).args(containers).args(["--format", format, "-j", "1"]));
        assert!(once.stdout == again.stdout, "{format}");
    }
    for (value, status) in [("nope=x:1", 2), ("changed=X:1", 2), ("changed=x@sha256:0", 2)] {
        let out = store.beside("out.tar");
        let failed = output(save(&store.root).args(["--container", value, "-o"]).arg(&out));
        assert_eq!(ended(&failed).0, Some(status), "{value}");
        assert!(!out.exists());
    }
}

/// A container that runs and writes to its log. The file is taken with the size that it had at first.
#[test]
fn a_file_that_changes_while_it_is_read() {
    if !is_root("a_file_that_changes_while_it_is_read", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let mounts = store.root.join("image/overlay2/layerdb/mounts");
    let id = "781706050addfe6abca3ef2fc334a0236efe3319cc45dc0c89fca88799e90843";
    let mount = std::fs::read_to_string(mounts.join(id).join("mount-id")).expect("an id");
    let log = store.root.join("overlay2").join(mount).join("diff/log");
    std::fs::write(&log, vec![b'x'; 32 << 20]).expect("written");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (without, with) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut log = std::fs::File::options().append(true).open(&log).expect("it is there");
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::io::Write::write_all(&mut log, b"a line\n").expect("written");
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        });
        let arguments = ["--container", "never-started"];
        let without = output(save(&store.root).args(arguments));
        let with = output(save(&store.root).args(arguments).arg("--keep-going"));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        (without, with)
    });
    let (status, errors) = ended(&without);
    assert_eq!((status, without.stdout.len()), (Some(1), 0), "{errors}");
    assert!(errors.contains("/diff/log is damaged: "), "{errors}");
    assert!(errors.contains("something writes to it"), "{errors}");
    let (status, errors) = ended(&with);
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("/diff/log changed while it was read"), "{errors}");
    let (_, layer) = image(&files(&with.stdout));
    assert!(files(&layer)["log"].len() >= 32 << 20);
}

/// Changes the records of containers: each text `from` in a file becomes `to`.
fn replace(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("text");
    assert!(text.contains(from), "{from} in {}", file.display());
    std::fs::write(file, text.replace(from, to)).expect("written");
}

/// A record that names another image than that whose layers are below the container.
#[test]
fn an_image_that_is_not_the_container_s() {
    if !is_root("an_image_that_is_not_the_container_s", "for devices and attributes of overlayfs") {
        return;
    }
    for engine in ["docker-20.10", "docker-28.5", "docker-28.5-containerd", "podman-5.8"] {
        let store = Store::containers(engine);
        let listed = output(layerlift().args(["containers", "--json", "--root"]).arg(&store.root));
        let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
        let of = |name: &str, key: &str| {
            let all = listed.as_array().expect("a list").iter();
            let named =
                |one: &&Value| one["names"].as_array().is_some_and(|names| names.contains(&name.into()));
            all.into_iter().find(named).unwrap_or_else(|| panic!("{name}"))[key]
                .as_str()
                .expect("text")
                .to_owned()
        };
        // Podman's database says which image it is, too.
        let _ = std::fs::remove_file(store.root.join("db.sql"));
        let whole = output(save(&store.root).args(["--container", "changed"]));
        let (status, errors) = ended(&whole);
        assert!(status == Some(0) && !errors.contains("names image"), "{engine}: {errors}");
        let (mine, other) = (of("changed", "image_id"), of("never-started", "image_id"));
        assert_ne!(mine, other);
        let id = of("changed", "id");
        if engine.starts_with("podman") {
            let file = store.root.join("overlay-containers/containers.json");
            let list = std::fs::read_to_string(&file).expect("text");
            let at = list.find(&format!("{{\"id\":\"{id}\"")).expect("its record");
            let (before, after) = list.split_at(at);
            std::fs::write(&file, format!("{before}{}", after.replacen(&mine, &other, 1))).expect("written");
        } else {
            let folder = store.root.join("containers").join(&id);
            replace(&folder.join("config.v2.json"), &mine, &other);
            if engine.ends_with("containerd") {
                let manifest = |id: &str| {
                    let text = std::fs::read(folder.with_file_name(id).join("config.v2.json")).expect("text");
                    let config: Value = serde_json::from_slice(&text).expect("JSON");
                    config["ImageManifest"]["digest"].as_str().expect("a digest").to_owned()
                };
                replace(
                    &folder.join("config.v2.json"),
                    &manifest(&id),
                    &manifest(&of("never-started", "id")),
                );
            }
        }
        let got = output(save(&store.root).args(["--container", "changed"]));
        let (status, errors) = ended(&got);
        assert_eq!(status, Some(0), "{engine}: {errors}");
        let said = "but it lies on other layers, those of image";
        assert!(errors.contains("container changed: its record names image"), "{engine}: {errors}");
        assert!(errors.contains(said), "{engine}: {errors}");
        assert!(got.stdout == whole.stdout, "{engine}: another image");
    }
}

/// The record of limits and ports has nothing of an image.
#[test]
fn without_the_settings_of_the_host() {
    let store = Store::containers("docker-28.5");
    let whole = output(save(&store.root).args(["--container", "never-started"]));
    let id = "781706050addfe6abca3ef2fc334a0236efe3319cc45dc0c89fca88799e90843";
    std::fs::write(store.root.join("containers").join(id).join("hostconfig.json"), "").expect("written");
    let got = output(save(&store.root).args(["--container", "never-started"]));
    assert_eq!(ended(&got), (Some(0), String::new()));
    assert!(got.stdout == whole.stdout);
    let listed =
        output(layerlift().args(["containers", "never-started", "--run", "--root"]).arg(&store.root));
    assert_eq!(ended(&listed).0, Some(1));
    assert!(String::from_utf8_lossy(&listed.stdout).contains("hostconfig.json is malformed: it is empty"));
}

/// A name that was asked for is not dropped.
#[test]
fn a_name_that_two_would_have() {
    let store = Store::containers("docker-28.5");
    let out = store.beside("out.tar");
    for (arguments, both) in [
        (&["--container", "changed=app:2", "app:2"][..], "image app:2 and container changed"),
        (&["--container", "changed=app:2", "docker.io/library/app:2"], "container changed"),
        (
            &["--container", "changed=x:1", "--container", "volumes=docker.io/library/x:1"],
            "container changed and container volumes",
        ),
    ] {
        let failed = output(save(&store.root).args(arguments).arg("-o").arg(&out));
        let (status, errors) = ended(&failed);
        assert_eq!(status, Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(both) && errors.contains("would both be called"), "{errors}");
        assert!(!out.exists());
    }
}
