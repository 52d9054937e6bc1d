//! What `--root` may be: a store, a disk or a home with stores in the usual places, or a folder that is one
//! level too high.

use std::fs;
use std::path::Path;

use crate::program::{ended, layerlift, output, save};
use crate::store::{BASE, Store};

/// A disk with the example's store in each of these places.
fn disk(places: &[&str]) -> tempfile::TempDir {
    let disk = tempfile::tempdir().unwrap();
    for place in places {
        let (place, store) = (disk.path().join(place), Store::example());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::rename(&store.root, place).unwrap();
    }
    disk
}

/// The exit status, the messages with `DISK` for its path, and how often `base:child` is listed.
fn images(root: &Path, disk: &Path) -> (Option<i32>, String, usize) {
    let output = output(layerlift().arg("images").arg("--root").arg(root));
    let (status, said) = ended(&output);
    let listed =
        String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains("child")).count();
    (status, said.replace(disk.to_str().unwrap(), "DISK"), listed)
}

#[test]
fn usual_places_of_a_disk_and_of_a_home() {
    let docker = "var/lib/docker";
    let (ada, root) = ("home/ada/.local/share/docker", "root/.local/share/docker");
    for (places, below, listed) in [
        (&[docker][..], "", 1),
        (&[ada], "", 1),
        (&[ada], "home/ada", 1),
        (&[docker, ada, root], "", 3),
        // Other places on the disk do not count.
        (&[docker, "srv/old/docker"], "", 1),
    ] {
        let disk = disk(places);
        let found = images(&disk.path().join(below), disk.path());
        assert_eq!(found, (Some(0), String::new(), listed), "{places:?}");
        let stores = output(layerlift().arg("stores").arg("--root").arg(disk.path()));
        let stores = String::from_utf8_lossy(&stores.stdout).into_owned();
        assert!(places.iter().all(|place| stores.contains(place)), "{stores}");
    }
}

/// An archive is one store, and nothing is below it.
#[test]
fn a_file_is_one_store() {
    let disk = disk(&["docker"]);
    let archive = disk.path().join("archive.tar");
    let saved = output(save(&disk.path().join("docker")).arg("--all").arg("-o").arg(&archive));
    assert_eq!(saved.status.code(), Some(0));
    let stores = |root: &Path| {
        let output = output(layerlift().arg("stores").arg("--root").arg(root));
        (output.status.code(), String::from_utf8_lossy(&output.stdout).lines().count())
    };
    assert_eq!(stores(&archive), (Some(0), 2), "headings and the archive");
    fs::write(disk.path().join("empty.tar"), [0; 1024]).unwrap();
    assert_eq!(stores(&disk.path().join("empty.tar")), (Some(2), 0));
}

#[test]
fn several_stores_on_a_disk() {
    let disk = disk(&["var/lib/docker", "root/.local/share/docker"]);
    let save = |name: &str| {
        let (status, said) = ended(&output(layerlift().args(["save", name, "--root"]).arg(disk.path())));
        (status, said.replace(disk.path().to_str().unwrap(), "DISK"))
    };
    let list = "\n  --root DISK/var/lib/docker --store docker-graph\
                \n  --root DISK/root/.local/share/docker --store docker-graph\
                \nhint: choose one with these options\n";
    assert_eq!(save(BASE), (Some(2), format!("layerlift: error: {BASE} is in several stores:{list}")));
    let (status, said) = save("--all");
    assert_eq!(status, Some(2));
    assert!(said.contains("\n  --root DISK/var/lib/docker --store docker-graph\n"), "{said}");
    let (status, said, _) = images(&disk.path().join("var"), disk.path());
    assert_eq!(
        (status, &*said),
        (
            Some(2),
            "layerlift: error: DISK/var is not a known image store\n\
             hint: the store is in a folder below: --root DISK/var/lib/docker\n"
        )
    );
}

/// dockerd with userns-remap keeps everything in `DATA_ROOT/UID.GID`.
#[test]
fn one_level_too_high() {
    for (places, hint) in [
        (&["165536.165536"][..], "the store is in a folder below: --root DISK/165536.165536"),
        (&["backup of 2016/old"], "the store is in a folder below: --root 'DISK/backup of 2016/old'"),
        (
            &["a/docker", "b/docker"],
            "there are stores in folders below:\n  --root DISK/a/docker\n  --root DISK/b/docker",
        ),
        (&[], "name the data root of an engine, such as /var/lib/docker"),
    ] {
        let disk = disk(places);
        let said = format!("layerlift: error: DISK is not a known image store\nhint: {hint}\n");
        assert_eq!(images(disk.path(), disk.path()), (Some(2), said, 0), "{places:?}");
    }
    // In a usual place of this machine, it is found.
    let disk = disk(&["docker/165536.165536"]);
    let output = output(layerlift().arg("images").env("XDG_DATA_HOME", disk.path()));
    assert_eq!(ended(&output), (Some(0), String::new()));
    assert!(String::from_utf8_lossy(&output.stdout).contains("child"));
}
