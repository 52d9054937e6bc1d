//! Containers with user ids of their own: of Podman (`--uidmap`, `--gidmap`) and of Docker (`userns-remap`).

use std::collections::HashSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt, lchown};
use std::path::Path;

use layerlift_archive::Digest;
use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
use serde_json::Value;

use crate::again::APP;
use crate::program::{ended, is_root, layerlift, output, save};
use crate::rootfs::rootfs;
use crate::store::Store;

const CAPABILITY: &str = "security.capability";

/// What `podman export` (5.8) of it has.
const EXPORTED: &str = "sha256:413a5b6b742c03c2beb09dc6b7dbb3a9d6a6edfa446a9df58b08ac6cb0da0c5e";

fn inspected(root: &Path, name: &str) -> Value {
    let got = output(layerlift().args(["inspect", name, "--root"]).arg(root));
    serde_json::from_slice::<Value>(&got.stdout).expect("JSON")[0].take()
}

/// The store has the image that `podman commit` made.
#[test]
fn are_turned_back_by_commit_and_not_by_export() {
    if !is_root("are_turned_back_by_commit_and_not_by_export", "to set owners") {
        return;
    }
    let store = Store::containers("podman-5.8-ids");
    let listed = output(layerlift().args(["containers", "--root"]).arg(&store.root));
    assert_eq!(ended(&listed), (Some(0), String::new()));

    let exported = rootfs(&store.root, &["own"]);
    assert_eq!(ended(&exported), (Some(0), String::new()));
    assert_eq!(Digest::of(&exported.stdout).to_string(), EXPORTED);

    let archive = store.beside("own.tar");
    let saved = output(save(&store.root).args(["--container", "own=localhost/own:2", "-o"]).arg(&archive));
    assert_eq!(ended(&saved), (Some(0), String::new()));
    let [ours, theirs] = [(&archive, "own:2"), (&store.root, "own:1")]
        .map(|(root, tag)| inspected(root, &format!("localhost/{tag}")));
    assert_eq!(ours["config"]["rootfs"], theirs["config"]["rootfs"]);
    assert_eq!(ours["config"]["architecture"], theirs["config"]["architecture"]);
}

/// Outside of its owner's namespace, ids of a rootless store are others than its records say.
#[test]
fn stay_as_on_the_disk_outside_of_the_namespace() {
    if !is_root("stay_as_on_the_disk_outside_of_the_namespace", "to set owners") {
        return;
    }
    let store = Store::containers("podman-5.8-ids");
    std::os::unix::fs::chown(&store.root, Some(1000), Some(1000)).expect("root can");
    let exported = rootfs(&store.root, &["own"]);
    let (status, warning) = ended(&exported);
    assert!(status == Some(0) && warning.contains("it is an ordinary user's store"), "{warning}");
    let mut owners = Vec::new();
    for entry in tar::Archive::new(&*exported.stdout).entries().expect("a tar") {
        let entry = entry.expect("an entry");
        owners.push((entry.path().expect("a name").into_owned(), entry.header().uid().expect("a number")));
    }
    let expected = [("etc/", 100_000), ("etc/a", 0), ("etc/new", 100_000), ("tool", 0)];
    assert_eq!(owners, expected.map(|(name, uid)| (name.into(), uid)));
}

/// Gives a file, or all files below a folder, other owners.
fn shift(path: &Path, by: u32, seen: &mut HashSet<u64>) {
    let owner = path.symlink_metadata().expect("it is there");
    // The kernel makes whiteouts, as root of the host. Other names of a file were met before.
    let is_whiteout = owner.file_type().is_char_device() && owner.rdev() == 0;
    if is_whiteout || !seen.insert(owner.ino()) {
        return;
    }
    // A change of the owner takes capabilities away.
    let mut capability = [0; 64];
    let capability = lgetxattr(path, CAPABILITY, &mut capability[..]).ok().map(|len| &capability[..len]);
    lchown(path, Some(owner.uid() + by), Some(owner.gid() + by)).expect("root can");
    if let Some(capability) = capability {
        lsetxattr(path, CAPABILITY, capability, XattrFlags::empty()).expect("root can");
    }
    // As well as the modes of programs that run as their owners.
    if !owner.is_symlink() {
        std::fs::set_permissions(path, owner.permissions()).expect("root can");
    }
    if owner.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder") {
            shift(&entry.expect("an entry").path(), by, seen);
        }
    }
}

/// As a daemon with `userns-remap` keeps the same files.
#[test]
fn of_docker_are_turned_back() {
    if !is_root("of_docker_are_turned_back", "to set owners") {
        return;
    }
    let store = Store::containers("docker-28.5");
    let all = |root: &Path, beside: &str| {
        let rootfs = rootfs(root, &["changed"]);
        let image = output(layerlift().args(["rootfs", "app:2", "--root"]).arg(root));
        let archive = store.beside(beside);
        let saved = output(save(root).args(["--container", "changed=a:1", "-o"]).arg(&archive));
        (rootfs, image, saved, inspected(&archive, "a:1")["config"].take())
    };
    let (rootfs_0, image_0, saved_0, config_0) = all(&store.root, "plain.tar");
    assert_eq!(ended(&rootfs_0), (Some(0), String::new()));
    assert_eq!(ended(&saved_0), (Some(0), String::new()));
    let remapped = store.beside("231072.231072");
    std::fs::rename(&store.root, &remapped).expect("a new name");
    shift(&remapped.join("overlay2"), 231_072, &mut HashSet::new());
    let (rootfs_1, image_1, saved_1, config_1) = all(&remapped, "remapped.tar");
    assert_eq!(ended(&rootfs_1), (Some(0), String::new()));
    assert_eq!(ended(&saved_1), (Some(0), String::new()));
    assert_eq!(Digest::of(&rootfs_1.stdout), Digest::of(&rootfs_0.stdout));
    assert_eq!(Digest::of(&image_1.stdout), Digest::of(&image_0.stdout));
    assert_eq!(config_1, config_0);

    // What belongs to nobody there is left out, as the engine does.
    let mount = "image/overlay2/layerdb/mounts/".to_owned() + APP + "/mount-id";
    let mount = std::fs::read_to_string(remapped.join(mount)).expect("an id");
    let upper = remapped.join("overlay2").join(mount).join("diff");
    std::fs::create_dir(upper.join("of-host")).expect("new");
    std::fs::write(upper.join("of-host/in"), "in").expect("written");
    shift(&upper.join("of-host/in"), 231_072, &mut HashSet::new());
    let names = |tar: &[u8]| {
        let mut names = Vec::new();
        for entry in tar::Archive::new(tar).entries().expect("a tar") {
            names.push(entry.expect("an entry").path().expect("a name").into_owned());
        }
        names
    };
    let with = rootfs(&remapped, &["changed"]);
    let (status, warning) = ended(&with);
    assert_eq!(status, Some(0));
    assert!(warning.contains("/diff/of-host: it belongs to a user or group that"), "{warning}");
    let lone = rootfs(&remapped, &["changed", "--path", "/of-host/in"]);
    assert_eq!(names(&lone.stdout), [Path::new("of-host/in")]);
    std::fs::write(upper.join("lone"), "").expect("written");
    let lone = rootfs(&remapped, &["changed", "--path", "/lone"]);
    assert_eq!((ended(&lone).0, lone.stdout.len()), (Some(2), 0));
    // A directory can have it.
    let dir = store.beside("dir");
    let written =
        output(layerlift().args(["rootfs", "changed", "--root"]).arg(&remapped).arg("-o").arg(dir.join("")));
    assert_eq!(ended(&written).0, Some(0));
    assert!(dir.join("of-host/in").exists() && dir.join("lone").exists());
    let mut expected = names(&rootfs_0.stdout);
    expected.push("of-host/in".into());
    expected.sort();
    let mut found = names(&with.stdout);
    found.sort();
    assert_eq!(found, expected);
}
