//! Layers without a record as images: `save --container orphan:ID`, also where all records are lost.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::program::{ended, is_root, layerlift, output, save};
use crate::store::Store;

/// The config of the only image in an archive, and its layers, the base first.
fn image(archive: &[u8]) -> (Value, Vec<Vec<u8>>) {
    let mut files = std::collections::BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("its bytes");
        files.insert(name, bytes);
    }
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).expect("JSON");
    let name = |value: &Value| value.as_str().expect("a name").to_owned();
    let layers = manifest[0]["Layers"].as_array().expect("a list").iter();
    let layers = layers.map(|layer| files[&name(layer)].clone()).collect();
    (serde_json::from_slice(&files[&name(&manifest[0]["Config"])]).expect("JSON"), layers)
}

/// What `save` writes, with what it says.
fn saved(root: &Path, container: &str) -> (Value, Vec<Vec<u8>>, String) {
    let out = output(save(root).args(["--container", container]));
    let (status, errors) = ended(&out);
    assert_eq!(status, Some(0), "{errors}");
    let (config, layers) = image(&out.stdout);
    (config, layers, errors)
}

fn orphans(root: &Path) -> Vec<Value> {
    let out = output(layerlift().args(["stores", "--orphans", "--json", "--root"]).arg(root));
    assert_eq!(ended(&out), (Some(0), String::new()));
    serde_json::from_slice(&out.stdout).expect("JSON")
}

fn json(root: &Path, name: &str) -> Value {
    let out = output(layerlift().args(["containers", name, "--json", "--root"]).arg(root));
    serde_json::from_slice::<Vec<Value>>(&out.stdout).expect("JSON").remove(0)
}

/// The folder of a container's layer in overlay2.
fn mount_of(store: &Store, name: &str) -> String {
    let id = json(&store.root, name)["id"].as_str().expect("an id").to_owned();
    let mounts = store.root.join("image/overlay2/layerdb/mounts").join(id);
    std::fs::read_to_string(mounts.join("mount-id")).expect("an id")
}

#[test]
fn on_layers_that_records_have() {
    if !is_root("on_layers_that_records_have", "for devices and attributes of overlayfs") {
        return;
    }
    for engine in ["docker-20.10", "docker-28.5"] {
        let store = Store::containers(engine);
        let (whole, layers, _) = saved(&store.root, "changed");
        let mount = mount_of(&store, "changed");
        let id = json(&store.root, "changed")["id"].as_str().expect("an id").to_owned();
        std::fs::remove_dir_all(store.root.join("image/overlay2/layerdb/mounts").join(&id)).expect("removed");
        std::fs::remove_dir_all(store.root.join("containers").join(&id)).expect("removed");
        let (config, found, errors) = saved(&store.root, &format!("orphan:{}=lost:1", &mount[..12]));
        assert!(found == layers, "{engine}: as `docker commit` makes it");
        assert_eq!(config["rootfs"], whole["rootfs"], "{engine}");
        assert_eq!(config["history"].as_array().map(Vec::len), Some(3), "{engine}");
        assert!(errors.contains("nothing says for which platform"), "{errors}");
    }
    let store = Store::containers("podman-5.8");
    let (whole, layers, _) = saved(&store.root, "changed");
    let read = |name: &str| -> Vec<Value> {
        serde_json::from_slice(&std::fs::read(store.root.join(name)).expect("a file")).expect("JSON")
    };
    let mut containers = read("overlay-containers/containers.json");
    let at = containers.iter().position(|one| one["names"][0] == "changed").expect("it is there");
    let record = containers.remove(at);
    let layer = record["layer"].clone();
    let folder = store.root.join("overlay-containers").join(record["id"].as_str().expect("an id"));
    std::fs::remove_dir_all(folder).expect("removed");
    let mut records = read("overlay-layers/layers.json");
    records.retain(|one| one["id"] != layer);
    for (name, all) in
        [("overlay-containers/containers.json", &containers), ("overlay-layers/layers.json", &records)]
    {
        std::fs::write(store.root.join(name), serde_json::to_string(all).expect("JSON")).expect("written");
    }
    let (config, found, _) = saved(&store.root, &format!("orphan:{}", layer.as_str().expect("an id")));
    assert!(found == layers);
    assert_eq!(config["rootfs"], whole["rootfs"]);
}

/// A restore brought back `overlay2` and `containers`, and not `image`.
#[test]
fn without_any_record_of_images() {
    if !is_root("without_any_record_of_images", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let mount = mount_of(&store, "changed");
    let (whole, layers, _) = saved(&store.root, "changed");
    let all = output(layerlift().args(["rootfs", "changed", "--root"]).arg(&store.root)).stdout;
    std::fs::remove_dir_all(store.root.join("image")).expect("removed");
    let found = orphans(&store.root);
    let ids: Vec<&str> = found.iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(ids.len(), 12, "{ids:?}");
    assert!(ids[..5].iter().all(|id| !id.ends_with("-init")), "those that nothing is on top of: {ids:?}");
    assert!(ids[..5].contains(&&*mount), "{ids:?}");
    let got = output(layerlift().args(["rootfs", &format!("orphan:{mount}"), "--root"]).arg(&store.root));
    assert_eq!(ended(&got), (Some(0), String::new()));
    assert!(got.stdout == all);
    let (config, found, _) = saved(&store.root, &format!("orphan:{mount}"));
    assert_eq!(found.len(), 3);
    assert!(found[2] == layers[2], "the upper layer is the same");
    assert_eq!(config["rootfs"]["diff_ids"][2], whole["rootfs"]["diff_ids"][2]);
    // The containers are known, and their layers are not.
    let listed = json(&store.root, "changed");
    assert_eq!((&listed["names"][0], &listed["size"]), (&"changed".into(), &Value::Null));
    let run = output(layerlift().args(["containers", "changed", "--run", "--root"]).arg(&store.root));
    assert!(String::from_utf8_lossy(&run.stdout).contains("docker run -d --name changed"), "{run:?}");
    for command in [&["rootfs", "changed"][..], &["save", "--container", "changed"]] {
        let out = output(layerlift().args(command).arg("--root").arg(&store.root));
        let (status, errors) = ended(&out);
        assert_eq!((status, out.stdout.len()), (Some(1), 0), "{errors}");
        assert!(errors.contains("mount-id is missing") && errors.contains("stores --orphans"), "{errors}");
    }
}

#[test]
fn configs_of_images_are_lost() {
    if !is_root("configs_of_images_are_lost", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let (whole, layers, _) = saved(&store.root, "changed");
    for lost in ["repositories.json", "imagedb"] {
        let path = store.root.join("image/overlay2").join(lost);
        match path.is_dir() {
            true => std::fs::remove_dir_all(path).expect("removed"),
            false => std::fs::remove_file(path).expect("removed"),
        }
        let (config, found, _) = saved(&store.root, "changed");
        assert!(found == layers, "{lost}");
        assert_eq!(config["rootfs"], whole["rootfs"], "{lost}");
        assert_eq!(config["architecture"], whole["architecture"], "{lost}");
    }
}

/// A layer without what is below it is never taken for everything.
#[test]
fn what_is_below_is_lost() {
    if !is_root("what_is_below_is_lost", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let mount = mount_of(&store, "changed");
    std::fs::remove_dir_all(store.root.join("image")).expect("removed");
    for dir in [mount.clone(), format!("{mount}-init")] {
        std::fs::write(store.root.join("overlay2").join(dir).join("lower"), "").expect("written");
    }
    let out = store.beside("out.tar");
    for command in [&["rootfs"][..], &["save", "--container"]] {
        let name = format!("orphan:{mount}");
        let arguments = [command, &[&*name, "-o", out.to_str().expect("UTF-8")]].concat();
        let (status, errors) = ended(&output(layerlift().args(arguments).arg("--root").arg(&store.root)));
        assert!(status == Some(1) && errors.contains("-init/lower is missing"), "{errors}");
        assert!(!out.exists());
    }
    assert_eq!(orphans(&store.root).len(), 12);
}
