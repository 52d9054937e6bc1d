//! Several names of links, pipes and devices: a container of Docker 28 whose `sA`, `fA` and `cA` have further
//! names.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::program::{ended, is_root, layerlift, output, save};
use crate::rootfs::rootfs;
use crate::store::Store;

/// What `docker export` and the layer of `docker commit` (28.5) have of them: type, link, device.
const EXPORTED: [(&str, u8, &str, (u32, u32)); 7] = [
    ("srv/cA", b'3', "", (5, 1)),
    ("srv/cB", b'1', "srv/cA", (5, 1)),
    ("srv/fA", b'6', "", (0, 0)),
    ("srv/fB", b'1', "srv/fA", (0, 0)),
    ("srv/sA", b'2', "target", (0, 0)),
    ("srv/sB", b'1', "srv/sA", (0, 0)),
    ("srv/sub/sC", b'1', "srv/sA", (0, 0)),
];

fn container() -> Store {
    let store = Store::containers("docker-28.5");
    let listed = output(layerlift().args(["containers", "changed", "--json", "--root"]).arg(&store.root));
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let mounts = store.root.join("image/overlay2/layerdb/mounts");
    let mount = mounts.join(listed[0]["id"].as_str().expect("an id")).join("mount-id");
    let upper: PathBuf =
        store.root.join("overlay2").join(std::fs::read_to_string(mount).expect("an id")).join("diff/srv");
    let script = r#"
        set -e; cd "$1"; ln -s target sA; ln -P sA sB; mkfifo -m 644 fA; ln fA fB; mknod -m 644 cA c 5 1
        ln cA cB; mkdir sub; ln -P sA sub/sC"#;
    let made = Command::new("sh").args(["-c", script, "sh"]).arg(upper).status();
    assert!(made.expect("sh starts").success());
    store
}

fn listed(tar: &[u8]) -> BTreeMap<String, (u8, String, (u32, u32))> {
    let mut all = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().expect("a tar") {
        let entry = entry.expect("an entry");
        let header = entry.header();
        // Entries of the image's own layers may leave the fields empty, which the reader takes for an error.
        let number = |found: std::io::Result<Option<u32>>| found.ok().flatten().unwrap_or_default();
        let device = (number(header.device_major()), number(header.device_minor()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let link = entry.link_name_bytes().map(|link| text(&link)).unwrap_or_default();
        all.insert(text(&entry.path_bytes()), (header.entry_type().as_byte(), link, device));
    }
    all
}

#[track_caller]
fn check(tar: &[u8], what: &str) {
    let found = listed(tar);
    for (name, kind, link, device) in EXPORTED {
        assert_eq!(found.get(name), Some(&(kind, link.to_owned(), device)), "{what}: {name}");
    }
}

#[test]
fn are_links_from_the_second_name_on() {
    if !is_root("are_links_from_the_second_name_on", "to make devices") {
        return;
    }
    let store = container();
    let got = rootfs(&store.root, &["changed"]);
    assert_eq!(ended(&got), (Some(0), String::new()));
    check(&got.stdout, "rootfs");

    let archive = store.beside("image.tar");
    let saved = output(save(&store.root).args(["--container", "changed=x:1", "-o"]).arg(&archive));
    assert_eq!(ended(&saved), (Some(0), String::new()));
    let layout = store.beside("v1");
    let mut command = save(&store.root);
    command.args(["--container", "changed=x:1", "--format", "docker-v1", "-o"]);
    assert_eq!(ended(&output(command.arg(format!("{}/", layout.display())))).0, Some(0));
    let layers = std::fs::read_dir(&layout).expect("a folder").flatten();
    let layers: Vec<Vec<u8>> =
        layers.filter_map(|layer| std::fs::read(layer.path().join("layer.tar")).ok()).collect();
    let layer = layers.iter().find(|tar| listed(tar).contains_key("srv/sA")).expect("the container's layer");
    check(layer, "the layer");

    let got = rootfs(&archive, &["x:1"]);
    assert_eq!(ended(&got), (Some(0), String::new()));
    check(&got.stdout, "rootfs of the archive");
    // The archive from a pipe, which can be read once.
    let mut cat = Command::new("cat").arg(&archive).stdout(Stdio::piped()).spawn().expect("cat starts");
    let mut command = layerlift();
    command.args(["rootfs", "x:1", "--root", "-"]).stdin(cat.stdout.take().expect("a pipe"));
    let piped = output(&mut command);
    cat.wait().expect("cat ends");
    assert_eq!(ended(&piped), (Some(0), String::new()));
    assert!(piped.stdout == got.stdout);
}

#[test]
fn are_one_file_in_a_directory() {
    if !is_root("are_one_file_in_a_directory", "to make devices") {
        return;
    }
    let store = container();
    let dir = store.beside("out");
    let to = format!("{}/", dir.display());
    assert_eq!(ended(&rootfs(&store.root, &["changed", "-o", &to])), (Some(0), String::new()));
    let inode =
        |name: &str| std::fs::symlink_metadata(dir.join("srv").join(name)).expect("it is there").ino();
    for (first, further) in [("sA", "sB"), ("sA", "sub/sC"), ("fA", "fB"), ("cA", "cB")] {
        assert_eq!(inode(first), inode(further), "{further}");
    }

    // A device that the system refuses is left out with all its names.
    let dir = store.beside("without");
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-mknod", env!("CARGO_BIN_EXE_layerlift"), "rootfs", "changed", "--root"]);
    command.arg(&store.root).args(["-o", &format!("{}/", dir.display())]);
    let (status, errors) = ended(&output(&mut command));
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("left out 4 devices"), "{errors}");
    assert!(dir.join("srv/fB").exists() && !dir.join("srv/cB").exists());
}
