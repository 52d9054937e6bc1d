//! A container of Podman with user ids of its own (`--uidmap`, `--gidmap`).

use layerlift_archive::Digest;
use serde_json::Value;

use crate::program::{ended, is_root, layerlift, output, save};
use crate::rootfs::rootfs;
use crate::store::Store;

/// What `podman export` (5.8) of it has.
const EXPORTED: &str = "sha256:413a5b6b742c03c2beb09dc6b7dbb3a9d6a6edfa446a9df58b08ac6cb0da0c5e";

fn inspected(root: &std::path::Path, name: &str) -> Value {
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
    assert_eq!(ended(&exported), (Some(0), String::new()));
    let mut owners = Vec::new();
    for entry in tar::Archive::new(&*exported.stdout).entries().expect("a tar") {
        let entry = entry.expect("an entry");
        owners.push((entry.path().expect("a name").into_owned(), entry.header().uid().expect("a number")));
    }
    let expected = [("etc/", 100_000), ("etc/a", 0), ("etc/new", 100_000), ("tool", 0)];
    assert_eq!(owners, expected.map(|(name, uid)| (name.into(), uid)));
}
