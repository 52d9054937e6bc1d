//! What an ordinary user cannot read or see of a store: files of others, and the marks of root's overlayfs.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::listing::entries;
use crate::program::{ended, is_root, output};
use crate::store::Store;

const USER: u32 = 65534;

/// A store that was given to an ordinary user, and the program for him.
struct Given {
    store: Store,
    program: PathBuf,
}

impl Given {
    fn to_a_user(engine: &str) -> Self {
        let store = Store::containers(engine);
        let program = store.beside("layerlift");
        std::fs::copy(env!("CARGO_BIN_EXE_layerlift"), &program).expect("copied");
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(store.folder(), open).expect("it is ours");
        chown(&["-R", "65534:65534"], &store.root);
        Given { store, program }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_as(USER, arguments)
    }

    fn run_as(&self, user: u32, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.uid(user).gid(user).args(arguments).arg("--root").arg(&self.store.root);
        output(command.current_dir("/"))
    }
}

fn chown(arguments: &[&str], path: &Path) {
    let status = Command::new("chown").arg("-h").args(arguments).arg(path).status().expect("chown starts");
    assert!(status.success());
}

/// The entries of the container's layer.
fn layer(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let files = entries(archive).expect("an archive");
    let of = |name: &str| {
        &files.iter().find(|entry| entry.row.name == name).unwrap_or_else(|| panic!("{name}")).bytes
    };
    let manifest: serde_json::Value = serde_json::from_slice(of("manifest.json")).expect("JSON");
    let top = manifest[0]["Layers"].as_array().and_then(|all| all.last()).and_then(|top| top.as_str());
    let all = entries(of(top.expect("a layer"))).expect("a tar").into_iter();
    all.map(|entry| (entry.row.name, entry.bytes)).collect()
}

/// The container that is tried of each.
fn container(engine: &str) -> &str {
    if engine.contains("killed") { "killed" } else { "changed" }
}

/// The writable layer of that container.
fn upper(given: &Given, engine: &str) -> PathBuf {
    let listed = given.run(&["containers", container(engine), "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let id = listed[0]["id"].as_str().expect("an id");
    let root = &given.store.root;
    if engine.starts_with("podman") {
        let list = std::fs::read(root.join("overlay-containers/containers.json")).expect("a list");
        let list: serde_json::Value = serde_json::from_slice(&list).expect("JSON");
        let record = list.as_array().expect("a list").iter().find(|one| one["id"] == id).expect("it");
        return root.join("overlay").join(record["layer"].as_str().expect("an id")).join("diff");
    }
    let driver = if engine.contains("vfs") { "vfs" } else { "overlay2" };
    let mount = root.join("image").join(driver).join("layerdb/mounts").join(id).join("mount-id");
    let mount = std::fs::read_to_string(mount).expect("an id");
    match driver {
        "vfs" => root.join("vfs/dir").join(mount),
        _ => root.join("overlay2").join(mount).join("diff"),
    }
}

#[test]
fn files_that_only_others_may_read() {
    if !is_root("files_that_only_others_may_read", "to be somebody else") {
        return;
    }
    for engine in ["docker-28.5", "docker-20.10-vfs-killed", "podman-5.8"] {
        let given = Given::to_a_user(engine);
        let arguments = ["save", "--container", container(engine), "--keep-going"];
        let upper = upper(&given, engine);
        // A directory of which nothing is known, and a file in a known one.
        for (name, is_dir) in [("locked", true), ("secret", false)] {
            let path = upper.join("etc").join(name);
            if is_dir {
                std::fs::create_dir(&path).expect("new");
                std::fs::write(path.join("inner"), "inner").expect("new");
            } else {
                std::fs::write(&path, "secret").expect("new");
            }
            chown(&["65534:65534"], &path);
        }
        let whole = given.run(&arguments);
        let (status, errors) = ended(&whole);
        assert_eq!(status, Some(0), "{engine}: {errors}");
        let mut expected = layer(&whole.stdout);
        assert!(expected.iter().any(|(name, _)| name == "etc/secret"), "{engine}");
        expected.retain(|(name, _)| name != "etc/secret" && name != "etc/locked/inner");
        expected.sort();
        for name in ["locked", "secret"] {
            let path = upper.join("etc").join(name);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("set");
            chown(&["1:1"], &path);
        }
        let failed = given.run(&arguments[..3]);
        assert_eq!((ended(&failed).0, failed.stdout.len()), (Some(1), 0), "{engine}");
        let got = given.run(&arguments);
        let (status, errors) = ended(&got);
        assert_eq!(status, Some(1), "{engine}: {errors}");
        let mut found = layer(&got.stdout);
        found.sort();
        let names = |all: &[(String, Vec<u8>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "{engine}");
        assert!(found == expected, "{engine}: other contents");
        for name in ["locked", "secret"] {
            let path = upper.join("etc").join(name);
            let said = errors.lines().filter(|line| line.contains(&*path.to_string_lossy()));
            let said: Vec<&str> = said.collect();
            assert!(
                matches!(&*said, [line] if line.contains("left out") && line.contains("permission denied")),
                "{engine} {name}: {errors}"
            );
        }
    }
}

/// If it is not known what is in a directory, or what a name is, nothing is deleted.
#[test]
fn directories_that_only_others_may_read_delete_nothing() {
    if !is_root("directories_that_only_others_may_read_delete_nothing", "to be somebody else") {
        return;
    }
    for engine in ["docker-20.10-vfs-killed", "docker-28.5-containerd"] {
        let given = Given::to_a_user(engine);
        let upper = match engine.ends_with("containerd") {
            true => snapshot_with(&given.store.root, "usr/new"),
            false => upper(&given, engine),
        };
        delete_nothing(&given, engine, &upper);
    }
}

/// The only snapshot that has a name.
fn snapshot_with(root: &Path, name: &str) -> PathBuf {
    let snapshots = "containerd/daemon/io.containerd.snapshotter.v1.overlayfs/snapshots";
    let all = std::fs::read_dir(root.join(snapshots)).expect("a folder");
    let all = all.map(|entry| entry.expect("an entry").path().join("fs"));
    let found: Vec<PathBuf> = all.filter(|path| path.join(name).exists()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().expect("one")
}

fn delete_nothing(given: &Given, engine: &str, upper: &Path) {
    std::fs::set_permissions(upper.join("etc"), std::fs::Permissions::from_mode(0o700)).expect("set");
    chown(&["1:1"], &upper.join("etc"));
    let got = given.run(&["save", "--container", container(engine), "--keep-going"]);
    let (status, errors) = ended(&got);
    assert_eq!(status, Some(1), "{errors}");
    let found = layer(&got.stdout);
    let in_etc: Vec<&String> =
        found.iter().map(|(name, _)| name).filter(|name| name.contains("etc/")).collect();
    assert!(in_etc.is_empty(), "{errors} {in_etc:?}");
    assert!(found.len() > 1, "the rest is there: {found:?}");
}

/// What is said beside the owners, which in a user's store of Podman are those of the disk.
fn others(errors: &str, engine: &str) -> String {
    let (owners, others): (Vec<&str>, Vec<&str>) =
        errors.lines().partition(|line| line.contains("it is an ordinary user's store"));
    assert_eq!(owners.is_empty(), engine.starts_with("docker"), "{errors}");
    others.concat()
}

/// The kernel hides them, so that directories look as if they hid nothing.
#[test]
fn marks_that_only_root_sees() {
    if !is_root("marks_that_only_root_sees", "to be somebody else") {
        return;
    }
    for (engine, driver) in [("docker-28.5", "overlay2"), ("podman-5.8", "overlay")] {
        let given = Given::to_a_user(engine);
        let folder = given.store.root.join(driver);
        let said = format!("{}: this user does not see overlayfs's marks of root", folder.display());
        let both = ["--container", "changed", "--container", "never-started"];
        let commands: [&[&str]; 2] = [&["rootfs", "changed"], &[&["save"], &both[..]].concat()];
        for arguments in commands {
            let (status, errors) = ended(&given.run(arguments));
            assert_eq!(status, Some(0), "{errors}");
            assert_eq!(errors.matches(&said).count(), 1, "{engine} {arguments:?}: {errors}");
            assert!(errors.contains("read the store as root"), "{errors}");
            let (status, errors) = ended(&given.run_as(0, arguments));
            assert_eq!((status, &*others(&errors, engine)), (Some(0), ""), "{engine} {arguments:?}");
        }
        // An owner that only a user's own store has: the files of a subordinate id.
        let upper = upper(&given, engine);
        std::fs::write(upper.join("etc/mine"), "").expect("new");
        chown(&["100033:100033"], &upper.join("etc/mine"));
        let (status, errors) = ended(&given.run(&["rootfs", "changed"]));
        assert_eq!((status, &*others(&errors, engine)), (Some(0), ""), "{engine}");
    }
    let given = Given::to_a_user("docker-20.10-vfs-killed");
    let (status, errors) = ended(&given.run(&["rootfs", "killed"]));
    assert_eq!((status, &*errors), (Some(0), ""), "whole trees have no marks");
}
