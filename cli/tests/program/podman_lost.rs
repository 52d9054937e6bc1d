//! What the program says of Podman's containers whose records are lost.

use std::fs;

use serde_json::Value;

use crate::program::{ended, is_root, layerlift, output, save};
use crate::store::Store;

/// The environment and the command of a saved container, and what was said.
fn saved(store: &Store, name: &str) -> (Value, String) {
    let got = output(save(&store.root).args(["--format", "docker-archive", "--container", name]));
    let (status, errors) = ended(&got);
    assert_eq!(status, Some(0), "{errors}");
    let mut files = std::collections::BTreeMap::new();
    for entry in tar::Archive::new(&*got.stdout).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).expect("its bytes");
        files.insert(name, bytes);
    }
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).expect("JSON");
    let config = &files[manifest[0]["Config"].as_str().expect("a name")];
    let config: Value = serde_json::from_slice(config).expect("JSON");
    (config["config"].clone(), errors)
}

#[test]
fn images_of_containers_without_the_database() {
    if !is_root("images_of_containers_without_the_database", "for devices and attributes of overlayfs") {
        return;
    }
    for (engine, database) in [("podman-4.3", "libpod/bolt_state.db"), ("podman-5.8", "db.sql")] {
        let store = Store::containers(engine);
        let (whole, errors) = saved(&store, "changed");
        assert_eq!(errors, "", "{engine}");
        fs::remove_file(store.root.join(database)).expect("it was there");
        let (config, errors) = saved(&store, "changed");
        assert!(
            errors.contains("db.sql does not have how it was run; environment, command, user"),
            "{errors}"
        );
        let mut env: Vec<Value> = config["Env"].as_array().expect("a list").clone();
        assert_eq!(env.pop(), Some("HOME=/".into()), "Podman adds it");
        assert_eq!(&Value::from(env), &whole["Env"], "{engine}");
        for key in ["Cmd", "Entrypoint", "WorkingDir", "User"] {
            assert_eq!(config[key], whole[key], "{engine}: {key}");
        }
        let (config, errors) = saved(&store, "shares");
        assert!(errors.contains("all other settings are those of its image"), "{errors}");
        assert_eq!(config["Cmd"], serde_json::json!(["serve", "--all"]), "{engine}");
        let listed = output(layerlift().args(["containers", "--root"]).arg(&store.root));
        let (status, errors) = ended(&listed);
        assert_eq!((status, listed.stdout.split(|byte| *byte == b'\n').count()), (Some(1), 7), "{errors}");
        assert!(errors.contains("db.sql is missing: it had how Podman's containers were run"), "{errors}");
        let run = output(layerlift().args(["containers", "changed", "--run", "--root"]).arg(&store.root));
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(text.contains("\npodman run -d --name changed --hostname box"), "{text}");
        assert!(text.contains("--env 'B=two words'") && text.contains("db.sql does not have"), "{text}");
    }
}

/// Buildah notes what `buildah commit` would write.
#[test]
fn working_containers_of_buildah() {
    if !is_root("working_containers_of_buildah", "for devices and attributes of overlayfs") {
        return;
    }
    let store = Store::containers("podman-5.8");
    let file = store.root.join("overlay-containers/containers.json");
    let mut records: Vec<Value> = serde_json::from_slice(&fs::read(&file).expect("a file")).expect("JSON");
    let record =
        records.iter_mut().find(|record| record["names"][0] == "never-started").expect("it is there");
    let metadata = record.as_object_mut().expect("an object").remove("metadata").expect("Podman's");
    let id = record["id"].as_str().expect("an id").to_owned();
    fs::write(&file, serde_json::to_vec(&records).expect("JSON")).expect("written");
    fs::remove_file(store.root.join("db.sql")).expect("it was there");
    let (_, errors) = saved(&store, "never-started");
    assert!(errors.contains("its engine's settings are not in the store"), "{errors}");
    let noted = r#"{"container-name":"x","ociv1":{"config":{"Env":["A=b"],"Cmd":["x"]}}}"#;
    let folder = store.root.join("overlay-containers").join(id).join("userdata");
    fs::write(folder.join("buildah.json"), noted).expect("written");
    let (config, errors) = saved(&store, "never-started");
    assert_eq!((errors, config), (String::new(), serde_json::json!({"Env": ["A=b"], "Cmd": ["x"]})));
    let state = || {
        let listed =
            output(layerlift().args(["containers", "never-started", "--json", "--root"]).arg(&store.root));
        serde_json::from_slice::<Value>(&listed.stdout).expect("JSON")[0]["state"].take()
    };
    assert_eq!(state(), "external");
    // `podman commit` leaves such a file, too.
    let record =
        records.iter_mut().find(|record| record["names"][0] == "never-started").expect("it is there");
    record["metadata"] = metadata;
    fs::write(&file, serde_json::to_vec(&records).expect("JSON")).expect("written");
    assert_eq!(state(), "unknown");
    let (_, errors) = saved(&store, "never-started");
    assert!(
        errors.contains("db.sql does not have how it was run"),
        "it is not how this one was run: {errors}"
    );
}

/// Several tables go through a page that is cut off. It is named once.
#[test]
fn a_database_that_is_cut_off() {
    let store = Store::containers("podman-5.8");
    let file = store.root.join("db.sql");
    fs::File::options().write(true).open(&file).expect("a file").set_len(20_000).expect("cut");
    for command in ["containers", "volumes"] {
        let (status, errors) = ended(&output(layerlift().args([command, "--root"]).arg(&store.root)));
        assert_eq!(status, Some(1), "{errors}");
        assert_eq!(errors.matches("page 21 cannot be read").count(), 1, "{command}: {errors}");
    }
}
