//! `layerlift containers`, against stores of Docker and Podman.

use std::path::Path;

use serde_json::Value;

use crate::program::{ended, is_root, layerlift, output, save};
use crate::store::Store;

fn containers(root: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let out = output(layerlift().arg("containers").arg("--root").arg(root).args(arguments));
    let (status, errors) = ended(&out);
    (status, String::from_utf8(out.stdout).expect("UTF-8"), errors)
}

fn json(root: &Path, arguments: &[&str]) -> Vec<Value> {
    let (status, text, errors) = containers(root, &[arguments, &["--json"]].concat());
    assert_eq!((status, &*errors), (Some(0), ""));
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_table_as_docker_prints_it() {
    let store = Store::containers("docker-28.5");
    let (status, text, errors) = containers(&store.root, &[]);
    assert_eq!((status, &*errors), (Some(0), ""));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("CONTAINER ID   IMAGE    IMAGE ID       COMMAND"), "{text}");
    assert!(lines[1].starts_with("947043a82d06   base:1   8ea617ecaa1e   \"/bin/pause\""), "{text}");
    assert!(lines[1].contains("Exited (0) ") && lines[1].ends_with("20B     orphan-1"), "{text}");
    assert!(lines[4].contains("\"/bin/pause other ar…\"") && lines[4].contains("300kB"), "{text}");
    assert_eq!(lines.len(), 6);
    let (_, text, _) = containers(&store.root, &["--no-trunc", "changed", "92cfa84"]);
    assert_eq!(text.lines().count(), 2, "one container, named twice: {text}");
    assert!(text.contains("\"/bin/pause other args\""), "{text}");
}

/// Arguments that are empty, or have spaces, quotes and line breaks.
#[test]
fn arguments_of_all_kinds() {
    let store = Store::containers("docker-28.5");
    let id = "781706050addfe6abca3ef2fc334a0236efe3319cc45dc0c89fca88799e90843";
    let file = store.root.join("containers").join(id).join("config.v2.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
    let words = ["", "b c", "q\"", "a\nb", ""];
    config["Path"] = "/x".into();
    config["Args"] = words.to_vec().into();
    std::fs::write(&file, config.to_string()).expect("written");
    let expected: Vec<&str> = ["/x"].into_iter().chain(words).collect();
    assert_eq!(json(&store.root, &["never-started"])[0]["command"], serde_json::json!(expected));
    let (_, text, _) = containers(&store.root, &["never-started", "--no-trunc"]);
    assert!(text.contains(r#""/x  'b c' q\" a\nb ""#), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn for_machines() {
    let store = Store::containers("docker-28.5");
    let all = json(&store.root, &[]);
    let shares = all.iter().find(|container| container["names"][0] == "shares").expect("it is there");
    assert_eq!(shares["id"], "10e68306a453b6d5da0eb7e1a15983fa84d03cc901750c9eb170374966ceffea");
    assert_eq!((&shares["image"], &shares["state"]), (&"app:2".into(), &"created".into()));
    assert_eq!(shares["restart_policy"], "always");
    assert_eq!(shares["mounts"][0]["destination"], "/again");
    assert_eq!(shares["ports"][1]["container_port"], 8080);
    let podman = Store::containers("podman-5.8");
    let pod = &json(&podman.root, &["in-pod"])[0];
    assert_eq!((&pod["pod"]["name"], &pod["state"]), (&"pod1".into(), &"created".into()));
}

/// Docker was killed while the container ran. One of its volumes is a folder of the host.
#[test]
fn a_host_that_died() {
    let store = Store::containers("docker-20.10-vfs-killed");
    let killed = json(&store.root, &["killed"]).remove(0);
    assert_eq!((&killed["state"], &killed["driver"]), (&"running".into(), &"vfs".into()));
    assert_eq!((&killed["exit_code"], &killed["finished"]), (&0.into(), &Value::Null));
    let (_, text, _) = containers(&store.root, &[]);
    assert!(text.contains("  Was running, started "), "{text}");
    let volumes = output(layerlift().args(["volumes", "--json", "--root"]).arg(&store.root));
    let volumes: Value = serde_json::from_slice(&volumes.stdout).expect("JSON");
    assert_eq!((&volumes[0]["name"], &volumes[0]["device"]), (&"data".into(), &Value::Null));
    let device = volumes[1]["device"].as_str().expect("a place");
    assert!(device.ends_with("/elsewhere") && volumes[1]["used_by"][0] == "killed", "{volumes}");
    let volume = output(layerlift().args(["volume", "elsewhere", "--root"]).arg(&store.root));
    let (status, errors) = ended(&volume);
    assert_eq!((status, volume.stdout.len()), (Some(2), 0), "{errors}");
    assert!(errors.contains(device), "{errors}");
}

/// What Podman records under names of its own.
#[test]
fn options_of_podman() {
    for engine in ["podman-4.3-options", "podman-5.8-options"] {
        let store = Store::containers(engine);
        let one = |name: &str| json(&store.root, &[name]).remove(0);
        assert_eq!(one("options")["restart_policy"], "on-failure:2", "{engine}");
        assert_eq!(one("always")["restart_policy"], "always", "{engine}");
        assert_eq!(one("shares-network")["restart_policy"], "no", "{engine}");
        let (status, text, errors) = containers(&store.root, &["options", "--compose"]);
        assert_eq!((status, &*errors), (Some(0), ""));
        for line in [
            "    networks:\n      options-net:\n",
            "    restart: \"on-failure:2\"\n",
            "    stop_signal: \"2\"\n",
            "    group_add:\n      - \"9\"\n",
            "    healthcheck:\n      test:\n        - CMD-SHELL\n        - \"true || false\"\n",
            "      interval: \"7s\"\n",
            "\nnetworks:\n  options-net:\n    name: options-net\n",
        ] {
            assert!(text.contains(line), "{engine}: no {line:?} in {text}");
        }
        let shown = output(layerlift().args(["inspect", "options", "--root"]).arg(&store.root));
        let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
        assert_eq!(shown[0]["networks"], serde_json::json!(["options-net"]), "{engine}");
    }
}

#[test]
fn names_that_nobody_has() {
    let store = Store::containers("podman-4.3");
    let unknown =
        |what: &str| format!("layerlift: error: no such {what}: chnaged\nhint: similar names are changed\n");
    for (command, what) in
        [("containers", "container"), ("inspect", "container or image"), ("rootfs", "container or image")]
    {
        let out = output(layerlift().arg(command).arg("--root").arg(&store.root).arg("chnaged"));
        assert_eq!((ended(&out), out.stdout.len()), ((Some(2), unknown(what)), 0), "{command}");
    }
}

#[test]
fn inspect_takes_containers() {
    let store = Store::containers("docker-28.5-containerd");
    let out = output(layerlift().args(["inspect", "changed", "app:2", "--root"]).arg(&store.root));
    let (status, errors) = ended(&out);
    assert_eq!((status, &*errors), (Some(0), ""));
    let found: Vec<Value> = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(found[0]["references"][0], "docker.io/library/app:2");
    assert_eq!(found[1]["names"][0], "changed");
    assert_eq!(found[1]["config"]["Config"]["Labels"]["who"], "me");
    assert_eq!(found[1]["host_config"]["NetworkMode"], "none");
}

/// What cannot be read is named, and the rest is listed.
#[test]
fn a_broken_container_hides_no_other() {
    let store = Store::containers("docker-20.10");
    let id = json(&store.root, &["shares"])[0]["id"].as_str().expect("an id").to_owned();
    std::fs::write(store.root.join("containers").join(&id).join("config.v2.json"), "").expect("written");
    let (status, text, errors) = containers(&store.root, &[]);
    assert_eq!((status, text.lines().count()), (Some(1), 6));
    assert!(text.contains(&id[..12]) && text.contains("Record damaged"), "{text}");
    assert!(errors.contains(&format!("cannot read container {id}: ")), "{errors}");
    assert!(errors.contains("config.v2.json is malformed: it is empty"), "{errors}");
    let (status, text, errors) = containers(&store.root, &[&id[..10], "--json"]);
    let found: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (status, &found[0]["state"], &found[0]["id"]),
        (Some(1), &"unknown".into(), &id.clone().into())
    );
    assert!(found[0]["damage"][0].as_str().expect("a text").contains("it is empty"), "{text}");
    assert!(errors.contains("it is empty"), "{errors}");
    let (status, text, _) = containers(&store.root, &[&id[..10], "--run"]);
    assert_eq!(status, Some(1));
    assert!(text.contains("config.v2.json is malformed: it is empty; what was only there"), "{text}");
    assert!(!text.contains("--entrypoint"), "nothing says that it was not the image's: {text}");
    let out = output(layerlift().args(["inspect", &id[..10], "--root"]).arg(&store.root));
    assert!(ended(&out).0 == Some(1) && ended(&out).1.contains("it is empty"), "{out:?}");
    // What hostconfig.json has is still there.
    assert!(text.contains("--memory 64m") && text.contains("--restart always"), "{text}");
}

/// The layer of a container whose record is damaged, and what is left of its settings.
#[test]
fn damaged_records_give_images() {
    if !is_root("damaged_records_give_images", "for devices and attributes of overlayfs") {
        return;
    }
    for engine in ["docker-28.5", "docker-28.5-containerd"] {
        let store = Store::containers(engine);
        let id = json(&store.root, &["changed"])[0]["id"].as_str().expect("an id").to_owned();
        let image = |expected: &str| {
            let out = output(save(&store.root).args(["--container", &id[..12], "--format", "oci-archive"]));
            let (status, errors) = ended(&out);
            assert_eq!(status, Some(0), "{engine}: {errors}");
            assert!(errors.contains(expected), "{engine}: {errors}");
            let mut layers = Vec::new();
            let mut config = Value::Null;
            let mut archive = tar::Archive::new(&*out.stdout);
            for entry in archive.entries().expect("a tar") {
                let mut entry = entry.expect("an entry");
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut bytes).expect("its bytes");
                match serde_json::from_slice::<Value>(&bytes) {
                    Ok(found) if found.get("rootfs").is_some() => config = found,
                    _ => layers.push(bytes.len()),
                }
            }
            (config, layers)
        };
        let (whole, _) = image("");
        let file = store.root.join("containers").join(&id).join("config.v2.json");
        let file = if file.exists() { file } else { store.root.join("../..").join(file) };
        let bytes = std::fs::read(&file).expect("it is there");
        let at = String::from_utf8_lossy(&bytes).find("\"NetworkSettings\"").expect("it is there");
        std::fs::write(&file, &bytes[..at]).expect("written");
        let (cut, _) = image("lacks settings that only this record had");
        assert_eq!((&cut["config"], &cut["rootfs"]), (&whole["config"], &whole["rootfs"]), "{engine}");
        std::fs::write(&file, vec![0; bytes.len()]).expect("written");
        if engine.ends_with("containerd") {
            let out = output(save(&store.root).args(["--container", &id[..12]]));
            let (status, errors) = ended(&out);
            assert_eq!((status, out.stdout.len()), (Some(1), 0), "{errors}");
            assert!(errors.contains("config.v2.json"), "{errors}");
        } else {
            let (none, _) = image("it has only zero bytes");
            assert_eq!(none["rootfs"], whole["rootfs"], "{engine}");
            assert!(none["config"]["Entrypoint"].is_array(), "that of the image: {none}");
        }
        let rootfs = output(layerlift().args(["rootfs", &id[..12], "--root"]).arg(&store.root));
        assert_eq!(ended(&rootfs).0, Some(0), "{engine}");
    }
}

#[test]
fn stores_without_containers() {
    let store = Store::example();
    let (status, _, errors) = containers(&store.root, &[]);
    assert_eq!(status, Some(0));
    assert!(errors.contains("containers are not read from stores of kind docker-graph"), "{errors}");
    let out = output(layerlift().args(["volumes", "--root"]).arg(&store.root));
    let (status, errors) = ended(&out);
    assert_eq!(status, Some(0));
    assert!(errors.contains("volumes are not read from stores of kind docker-graph"), "{errors}");
    // Where no containers can be, the words are those of images.
    let out = output(layerlift().args(["inspect", "nope", "--root"]).arg(&store.root));
    assert_eq!(ended(&out), (Some(2), "layerlift: error: no such image: nope\n".to_owned()));
}
