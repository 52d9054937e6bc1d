//! One damaged container hides no other, and nothing that a store says leads out of it.

use std::fs;
use std::os::unix::fs::symlink;

use layerlift_store::{ContainerStatus, Error, ErrorKind};

use super::fixture::Data;

#[test]
fn records_of_docker_that_are_broken() {
    let data = Data::of("docker-28.5");
    let folder = data.folder("orphan-1");
    let file = folder.join("config.v2.json");
    let whole = fs::read_to_string(&file).unwrap();
    let without: serde_json::Value = {
        let mut config: serde_json::Value = serde_json::from_str(&whole).unwrap();
        config.as_object_mut().unwrap().remove("Config");
        config
    };
    let other = whole.replace(folder.file_name().unwrap().to_str().unwrap(), &"5".repeat(64));
    for (bytes, why) in [
        (String::new(), "it is empty"),
        ("\0".repeat(4000), "it has only zero bytes"),
        (whole[..500].to_owned(), "its end is missing"),
        (without.to_string(), "it has no Config"),
        ("[]".to_owned(), "it is not a JSON object"),
        (other, "it is of container"),
    ] {
        fs::write(&file, bytes).unwrap();
        let listing = data.containers();
        assert_eq!(listing.containers.len(), 4, "{why}");
        let [(id, error)] = &*listing.broken else { panic!("{why}: {:?}", listing.broken) };
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.to_string().contains(why), "{error}");
        assert!(matches!(listing.find(&id[..12]), Err(Error::Within { .. })));
    }
    fs::remove_file(&file).unwrap();
    let listing = data.containers();
    assert!(listing.broken.is_empty(), "a folder without the file is not a container");
    symlink("/etc/passwd", &file).unwrap();
    assert_eq!(data.containers().broken.len(), 1);
}

#[test]
fn settings_of_docker_that_are_lost() {
    let data = Data::of("docker-28.5-containerd");
    let file = data.folder("shares").join("hostconfig.json");
    for bytes in [Some("{"), None] {
        match bytes {
            Some(bytes) => fs::write(&file, bytes).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let listing = data.containers();
        assert_eq!((listing.containers.len(), listing.lost.len()), (5, 1));
        assert_eq!(listing.find("shares").unwrap().restart_policy, None);
    }
}

#[test]
fn layers_that_lead_nowhere_or_out() {
    let data = Data::of("docker-28.5");
    let id = data.folder("changed").file_name().unwrap().to_owned();
    let file = data.path().join("image/overlay2/layerdb/mounts").join(id).join("mount-id");
    let store = data.store();
    let ability = store.containers().unwrap();
    let listing = ability.containers().unwrap();
    let written = || ability.written(&listing.find("changed").unwrap().key).map_err(|error| error.kind());
    for (text, kind) in [
        ("0".repeat(64), ErrorKind::Missing),
        ("../../etc".to_owned(), ErrorKind::Malformed),
        (String::new(), ErrorKind::Malformed),
    ] {
        fs::write(&file, text).unwrap();
        assert_eq!(written(), Err(kind));
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(written(), Err(ErrorKind::Missing));
    assert!(ability.written(&listing.find("volumes").unwrap().key).is_ok());
}

#[test]
fn two_of_one_name() {
    let data = Data::of("docker-28.5");
    let file = data.folder("shares").join("config.v2.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"/shares\"", "\"/volumes\"")).unwrap();
    let listing = data.containers();
    assert_eq!(listing.containers.len(), 5);
    assert!(matches!(listing.find("volumes"), Err(Error::Ambiguous { .. })));
}

/// What containers-storage has is listed without Podman's database.
#[test]
fn databases_of_podman_that_are_lost() {
    for (engine, file) in [("podman-4.3", "libpod/bolt_state.db"), ("podman-5.8", "db.sql")] {
        let data = Data::of(engine);
        let file = data.path().join(file);
        let whole = fs::read(&file).unwrap();
        for (bytes, errors) in [(&whole[..5000], true), (&[], true), (&[0; 8192], true)] {
            fs::write(&file, bytes).unwrap();
            let listing = data.containers();
            assert_eq!(listing.containers.len(), 5, "{engine}");
            assert_eq!(!listing.lost.is_empty(), errors, "{engine}");
            let changed = listing.find("changed").unwrap();
            assert_eq!(changed.image.as_deref(), Some("localhost/app:2"));
            assert_eq!(changed.state.status, ContainerStatus::Unknown);
            assert!(changed.image_present);
        }
    }
}

#[test]
fn the_list_of_podman_is_cut() {
    let data = Data::of("podman-5.8");
    let file = data.path().join("overlay-containers/containers.json");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let listing = data.containers();
    assert_eq!(listing.containers.len(), 5, "the database has the others");
    assert_eq!(listing.lost.len(), 1);
}
