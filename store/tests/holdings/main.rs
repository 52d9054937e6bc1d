//! Containers in stores that Docker and Podman wrote: what is listed, against what `ps -a` of the engine
//! said, and what damage hides.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod damage;
mod fixture;
mod mounts;
mod podman;

use fixture::{ALL, Data};
use layerlift_store::{ContainerStatus, LayerTar, Platforms};
use serde_json::Value;

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[test]
fn as_the_engines_list_them() {
    for engine in ALL {
        let data = Data::of(engine);
        let listing = data.containers();
        assert!(listing.broken.is_empty() && listing.lost.is_empty(), "{engine}: {listing:?}");
        let ps = data.ps();
        assert_eq!(listing.containers.len(), ps.len(), "{engine}");
        for said in ps {
            let docker = engine.starts_with("docker");
            let names = match docker {
                true => vec![said["Names"].as_str().unwrap().to_owned()],
                false => strings(&said["Names"]),
            };
            let found = listing.find(&names[0]).unwrap();
            assert_eq!(found.names, names, "{engine}");
            let id = said[if docker { "ID" } else { "Id" }].as_str().unwrap();
            assert_eq!(found.key.id(), id, "{engine}");
            assert_eq!(found.image.as_deref(), said["Image"].as_str(), "{engine}");
            assert!(found.image_present, "{engine}: {names:?}");
            assert_eq!(found.state.status.name(), said["State"].as_str().unwrap(), "{engine}: {names:?}");
            let labels: Vec<String> =
                found.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            match &said["Labels"] {
                Value::String(text) => {
                    let mut expected: Vec<&str> = text.split(',').collect();
                    expected.sort_unstable();
                    assert_eq!(labels, expected, "{engine}");
                }
                object => {
                    let object = object.as_object().unwrap().iter();
                    let expected: Vec<String> =
                        object.map(|(key, value)| format!("{key}={}", value.as_str().unwrap())).collect();
                    assert_eq!(labels, expected, "{engine}");
                }
            }
            let command = found.command.join(" ");
            match &said["Command"] {
                Value::String(text) => assert_eq!(format!("\"{command}\""), *text, "{engine}"),
                words => assert!(command.ends_with(&strings(words).join(" ")), "{engine}: {command}"),
            }
        }
    }
}

#[test]
fn images_volumes_and_pods() {
    for engine in ALL {
        let data = Data::of(engine);
        let listing = data.containers();
        let volumes = listing.find("volumes").unwrap();
        let mount = |path: &str| volumes.mounts.iter().find(|mount| mount.destination == path).unwrap();
        assert_eq!(mount("/var/lib/db").name.as_deref(), Some("named"), "{engine}");
        assert!(mount("/var/lib/db").writable, "{engine}");
        let host = mount("/host");
        assert_eq!((&*host.kind, host.writable), ("bind", false), "{engine}");
        assert!(host.source.as_ref().unwrap().starts_with('/'), "{engine}");
        assert_eq!(volumes.mounts.len(), 5, "{engine}: {:?}", volumes.mounts);
        let changed = listing.find("changed").unwrap();
        assert_eq!(changed.labels["who"], "me");
        assert_eq!(changed.restart_policy.as_deref(), Some("no"));
        assert_eq!(changed.state.exit_code, Some(0));
        assert!(changed.state.finished.as_ref().unwrap().starts_with("2026-11-25T"), "{engine}");
        assert_eq!(listing.find("never-started").unwrap().state.started, None);
        let names: Vec<u16> = match &*changed.ports {
            [] => vec![],
            ports => ports.iter().map(|port| port.container).collect(),
        };
        // Podman 4.3 records the exposed ports only of containers that publish them.
        assert_eq!(names, if engine == "podman-4.3" { vec![] } else { vec![53, 8080] }, "{engine}");
        let pod = listing.find("in-pod").ok().and_then(|found| found.pod.clone());
        assert_eq!(pod.and_then(|pod| pod.name).is_some(), engine.starts_with("podman"), "{engine}");
    }
    let data = Data::of("docker-28.5");
    let listing = data.containers();
    let shares = listing.find("shares").unwrap();
    assert_eq!(shares.restart_policy.as_deref(), Some("always"));
    let ids: Vec<String> =
        data.store().images().unwrap().images.iter().map(|i| i.key.id().to_owned()).collect();
    assert!(ids.contains(shares.image_id.as_ref().unwrap()));
}

/// Docker counts the bytes of files (`ps -s`); containerd and Podman count blocks.
#[test]
fn sizes_of_writable_layers() {
    for engine in ALL {
        let data = Data::of(engine);
        let store = data.store();
        let ability = store.containers().unwrap();
        let listing = ability.containers().unwrap();
        let size = |name: &str| ability.written(&listing.find(name).unwrap().key).unwrap().unwrap();
        assert_eq!(size("never-started"), 0, "{engine}");
        let changed = size("changed");
        assert!((300_000..301_000).contains(&changed), "{engine}: {changed}");
        if engine.starts_with("docker") {
            assert_eq!((size("orphan-1"), size("volumes"), size("shares")), (20, 16, 0), "{engine}");
        }
    }
}

#[test]
fn the_image_was_removed() {
    let data = Data::of("docker-20.10");
    let listing = data.containers();
    let image = listing.find("changed").unwrap().image_id.clone().unwrap();
    let config = data.path().join("image/overlay2/imagedb/content/sha256").join(image);
    std::fs::remove_file(config).unwrap();
    let listing = data.containers();
    let changed = listing.find("changed").unwrap();
    assert!(!changed.image_present);
    assert_eq!(changed.image.as_deref(), Some("app:2"));
    assert!(listing.find("orphan-1").unwrap().image_present);
}

#[test]
fn the_host_died() {
    let data = Data::of("docker-28.5");
    let file = data.folder("volumes").join("config.v2.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["State"]["Running"] = true.into();
    config["State"]["Pid"] = 4711.into();
    config["State"]["FinishedAt"] = "0001-01-01T00:00:00Z".into();
    std::fs::write(file, config.to_string()).unwrap();
    let listing = data.containers();
    let state = &listing.find("volumes").unwrap().state;
    assert_eq!((state.status, &state.finished), (ContainerStatus::Running, &None));
}

/// A layer that Podman built, without the record of its bytes: rebuilt in the form of today's Podman, it is
/// the same.
#[test]
fn rebuilt_layers_have_the_form_of_their_engine() {
    use std::os::unix::fs::MetadataExt;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return;
    }
    let data = Data::of("podman-5.8");
    for file in std::fs::read_dir(data.path().join("overlay-layers")).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().ends_with(".tar-split.gz") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let store = data.store();
    let found = store.resolve("localhost/app:2").unwrap().remove(0);
    let key = found.choose_all(&*store, &Platforms::Usual).unwrap().remove(0);
    let top = store.image(&key).unwrap().layers.pop().unwrap();
    let tar = store.layer(&top.key).unwrap();
    assert!(matches!(tar, LayerTar::Diff(_)));
    let written = tar.write_to(&mut std::io::sink()).unwrap();
    assert_eq!(Some(written.diff_id), top.diff_id);
}
