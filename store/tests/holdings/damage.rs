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
    for (bytes, why, name) in [
        (String::new(), "it is empty", None),
        ("\0".repeat(4000), "it has only zero bytes", None),
        (whole[..500].to_owned(), "its end is missing", None),
        (whole[..whole.find("\"NetworkSettings\"").unwrap()].to_owned(), "its end is missing", None),
        (whole[..whole.len() - 20].to_owned(), "its end is missing", Some("orphan-1")),
        (format!("{}{}", &whole[..whole.len() - 20], "\0".repeat(20)), "it is not JSON", Some("orphan-1")),
        (without.to_string(), "it has no Config", Some("orphan-1")),
        (whole.replace("\"Args\":[]", "\"Args\":5"), "Args is the number 5", Some("orphan-1")),
        ("[]".to_owned(), "it is not a JSON object", None),
        (other, "it is of container", None),
    ] {
        fs::write(&file, bytes).unwrap();
        let listing = data.containers();
        assert_eq!(listing.containers.len(), 5, "{why}");
        let [(id, error)] = &*listing.broken else { panic!("{why}: {:?}", listing.broken) };
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.to_string().contains(why), "{error}");
        let found = listing.find(&id[..12]).unwrap();
        assert_eq!(found.damage.len(), 1, "{:?}", found.damage);
        assert_eq!(found.names.first().map(String::as_str), name, "{why}");
        // Only one image has the layers.
        assert_eq!(found.image_id.as_deref().map(|id| &id[..12]), Some("8ea617ecaa1e"), "{why}");
        assert!(found.image_present, "{why}");
        let store = data.store();
        let ability = store.containers().unwrap();
        let of_now = ability.containers().unwrap();
        let found = of_now.find(&id[..12]).unwrap();
        assert_eq!(ability.written(&found.key).unwrap(), Some(20), "{why}");
        assert!(
            ability
                .root_fs(found)
                .unwrap()
                .unwrap()
                .read(None)
                .unwrap()
                .check("/etc/hosts".as_ref(), "it")
                .is_ok(),
            "{why}"
        );
    }
    fs::remove_file(&file).unwrap();
    let listing = data.containers();
    assert!(matches!(&*listing.broken, [(_, Error::NotThere { .. })]), "{:?}", listing.broken);
    assert_eq!(listing.containers.len(), 5, "its layer is there");
    let id = folder.file_name().unwrap().to_str().unwrap();
    let mounts = data.path().join("image/overlay2/layerdb/mounts").join(id);
    fs::rename(&mounts, data.path().join("away")).unwrap();
    assert_eq!(data.containers().containers.len(), 4, "a folder with neither is not a container");
    fs::rename(data.path().join("away"), &mounts).unwrap();
    symlink("/etc/passwd", &file).unwrap();
    let listing = data.containers();
    assert_eq!((listing.containers.len(), listing.broken.len()), (5, 1));
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(data.containers().containers.len(), 5, "the folder is lost, and the layer is there");
    fs::create_dir(data.path().join("containers/not-an-id")).unwrap();
    fs::write(data.path().join("containers/not-an-id/config.v2.json"), &whole).unwrap();
    assert_eq!(data.containers().containers.len(), 5, "Docker makes no such folder");
}

#[test]
fn records_of_docker_with_containerd_that_are_broken() {
    let data = Data::of("docker-28.5-containerd");
    let file = data.folder("changed").join("config.v2.json");
    let id = data.folder("changed").file_name().unwrap().to_str().unwrap().to_owned();
    for bytes in [Some(&[][..]), Some(&[0; 3000]), None] {
        match bytes {
            Some(bytes) => fs::write(&file, bytes).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let store = data.store();
        let ability = store.containers().unwrap();
        let listing = ability.containers().unwrap();
        assert_eq!((listing.containers.len(), listing.broken.len()), (5, 1));
        let found = listing.find(&id[..12]).unwrap();
        assert!(found.damage[0].to_string().contains("its host name was \"box\""), "{:?}", found.damage);
        assert!(
            ability
                .root_fs(found)
                .unwrap()
                .unwrap()
                .read(None)
                .unwrap()
                .check("/srv/n/1".as_ref(), "it")
                .is_ok()
        );
    }
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
    assert_eq!(listing.containers.len(), 5, "the folders have the others");
    assert_eq!(listing.lost.len(), 2, "why, and which");
}
