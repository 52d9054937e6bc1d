//! Stores of containerd from which something was removed: what `verify` says, and what `save` makes of them.

use std::fs;

use crate::program::{ended, is_root, layerlift, output};
use crate::store::Store;

const SNAPSHOTS: &str = "io.containerd.snapshotter.v1.overlayfs/snapshots";

/// A node that has discarded the blobs of its layers: each is named, and so is a snapshot that was removed.
#[test]
fn a_node_that_discards_layers() {
    if !is_root("a_node_that_discards_layers", "to read snapshots") {
        return;
    }
    let store = Store::containerd("containerd-2.1-discarded");
    let verify = || {
        let mut verify = layerlift();
        verify.args(["verify", "--namespace", "k8s.io", "--root"]).arg(&store.root);
        output(&mut verify)
    };
    let found = verify();
    let (status, said) = ended(&found);
    assert_eq!(status, Some(1), "{said}");
    let table = String::from_utf8_lossy(&found.stdout);
    assert_eq!(table.matches("layers can only be computed").count(), 5, "{table}");
    assert_eq!(said.matches("it is missing; layer sha256:").count(), 15, "{said}");
    assert_eq!(said.matches("namespace k8s.io has no record of it").count(), 1, "another has: {said}");
    assert!(!said.contains("error:"), "what was never pulled is not missing: {said}");

    let save = |args: &[&str]| {
        let archive = store.beside("archive.tar");
        let mut save = layerlift();
        save.args(["save", "--namespace", "k8s.io", "127.0.0.1:5777/bench/zstd:1.0", "--root"]);
        save.arg(&store.root).args(args).arg("-o").arg(&archive);
        let (status, said) = ended(&output(&mut save));
        (status, said, fs::remove_file(archive).is_ok())
    };
    let (status, said, written) = save(&[]);
    assert_eq!((status, written), (Some(0), true), "{said}");
    assert!(said.contains("1 other have no blob and are rebuilt from their snapshots"), "{said}");
    let (status, said, written) = save(&["--no-rebuild"]);
    assert_eq!((status, written), (Some(1), false), "{said}");

    let snapshot = store.root.join(SNAPSHOTS).join("6");
    assert!(snapshot.exists());
    fs::remove_dir_all(snapshot).unwrap();
    let found = verify();
    let (status, said) = ended(&found);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("error: namespace k8s.io needs snapshot sha256:"), "{said}");
    assert!(String::from_utf8_lossy(&found.stdout).contains("INCOMPLETE"), "{said}");
    let (status, said, written) = save(&[]);
    assert_eq!((status, written), (Some(1), false), "{said}");
}

/// A store with several namespaces repairs one that has discarded its layers: the image keeps its id, and
/// nothing is rebuilt.
#[test]
fn the_blobs_of_another_host() {
    if !is_root("the_blobs_of_another_host", "to unpack snapshots") {
        return;
    }
    let (store, other) = (Store::containerd("containerd-2.1-discarded"), Store::containerd("containerd-2.1"));
    let mut save = layerlift();
    save.args(["save", "--namespace", "k8s.io", "127.0.0.1:5777/bench/zstd:1.0", "--salvage", "--root"]);
    save.arg(&store.root).arg("--repair-from").arg(&other.root);
    let (status, said) = ended(&output(save.arg("-o").arg(store.beside("archive.tar"))));
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("its bytes are taken from layer blobs/sha256/"), "{said}");
    assert!(!said.contains("the image id is") && !said.contains("rebuilt"), "{said}");
}
