//! Damaged stores, wrong names, outputs that cannot be written. Each gives a message that names the path or
//! the id, and a status, and leaves nothing behind. The messages are in `snapshots/`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::program::{ended, is_root, output, save};
use crate::store::{BASE, CHILD, Store};
use crate::system_calls::damaged_layout;

/// A way to damage a store, given the data root.
type Damage = fn(&Path);

#[test]
fn damaged_stores() {
    let cases: &[(&str, &str, Damage)] = &[
        ("no such root", "base", |root| fs::rename(root, root.with_extension("gone")).unwrap()),
        ("no store", "base", |root| {
            fs::rename(root, root.with_extension("gone")).unwrap();
            fs::create_dir(root).unwrap();
        }),
        ("root is a file of text", "base", |root| {
            fs::rename(root, root.with_extension("gone")).unwrap();
            fs::write(root, "no store").unwrap();
        }),
        ("no layer directory", "base:latest", |root| {
            fs::remove_dir_all(root.join("vfs/dir").join(BASE)).unwrap()
        }),
        ("no parent", "base:child", |root| fs::remove_dir_all(root.join("graph").join(BASE)).unwrap()),
        ("parents in a circle", "base:child", |root| {
            edit(root, BASE, "{\"id\"", &format!("{{\"parent\":\"{CHILD}\",\"id\""))
        }),
        ("its own parent", "base:child", |root| edit(root, CHILD, BASE, CHILD)),
        ("parent leads out", "base:child", |root| edit(root, CHILD, BASE, "../../../../etc")),
        ("tag leads out", "base:latest", |root| {
            fs::write(root.join("repositories-vfs"), r#"{"Repositories":{"base":{"latest":"../../etc"}}}"#)
                .unwrap()
        }),
        ("tag of a missing image", "base:latest", |root| {
            let text = format!(r#"{{"Repositories":{{"base":{{"latest":"{}"}}}}}}"#, "1".repeat(64));
            fs::write(root.join("repositories-vfs"), text).unwrap()
        }),
        ("repositories cut", "base:latest", |root| {
            fs::write(root.join("repositories-vfs"), r#"{"Repositories":{"base""#).unwrap()
        }),
        ("repositories of another type", "base:latest", |root| {
            fs::write(root.join("repositories-vfs"), r#"{"Repositories":[1]}"#).unwrap()
        }),
        ("repositories is a directory", "base:latest", |root| {
            fs::remove_file(root.join("repositories-vfs")).unwrap();
            fs::create_dir(root.join("repositories-vfs")).unwrap();
        }),
        ("json cut", "base:latest", |root| fs::write(document(root, BASE), "{\"id\":").unwrap()),
        ("json of another type", "base:latest", |root| fs::write(document(root, BASE), "[]").unwrap()),
        ("json of another image", "base:latest", |root| {
            fs::copy(document(root, CHILD), document(root, BASE)).unwrap();
        }),
        ("no json", "base:latest", |root| fs::remove_file(document(root, BASE)).unwrap()),
        ("json leads out", "base:latest", |root| {
            fs::remove_file(document(root, BASE)).unwrap();
            symlink("/etc/passwd", document(root, BASE)).unwrap();
        }),
        ("json without end", "base:latest", |root| {
            let deep = format!("{{\"id\":\"{BASE}\",\"x\":{}", "[".repeat(100_000));
            fs::write(document(root, BASE), deep).unwrap()
        }),
        ("tar-split name leads out", "base:latest", |root| {
            rewrite_split(root, |text| {
                text.replace("\"name\":\"./etc/passwd\"", "\"name\":\"../../../repositories-vfs\"")
            })
        }),
        ("file missing", "base:latest", |root| fs::remove_file(file(root, "etc/passwd")).unwrap()),
        ("file changed", "base:latest", |root| {
            let len = fs::metadata(file(root, "etc/passwd")).unwrap().len();
            fs::write(file(root, "etc/passwd"), vec![b'x'; len as usize]).unwrap();
        }),
        ("file shorter", "base:latest", |root| fs::write(file(root, "etc/passwd"), "x").unwrap()),
        ("file longer", "base:latest", |root| {
            fs::OpenOptions::new()
                .append(true)
                .open(file(root, "etc/passwd"))
                .unwrap()
                .write_all(b"x")
                .unwrap()
        }),
        ("file is a directory", "base:latest", |root| {
            fs::remove_file(file(root, "etc/passwd")).unwrap();
            fs::create_dir(file(root, "etc/passwd")).unwrap();
        }),
        ("file leads out", "base:latest", |root| {
            fs::remove_file(file(root, "etc/passwd")).unwrap();
            symlink("/etc/passwd", file(root, "etc/passwd")).unwrap();
        }),
        ("folder leads out", "base:latest", |root| {
            fs::remove_dir_all(file(root, "etc")).unwrap();
            symlink("/etc", file(root, "etc")).unwrap();
        }),
        ("layer directory leads out", "base:latest", |root| {
            let layer = root.join("vfs/dir").join(BASE);
            fs::rename(&layer, root.with_extension("elsewhere")).unwrap();
            symlink(root.with_extension("elsewhere"), layer).unwrap();
        }),
        ("no such image", "bsae", |_| {}),
        ("no such tag", "base:nosuch", |_| {}),
        ("name leads out", "../../etc/passwd", |_| {}),
        ("empty name", "", |_| {}),
        ("ambiguous prefix", "5646", second_5646),
    ];
    let mut said = String::new();
    for &(what, name, damage) in cases {
        let store = Store::example();
        damage(&store.root);
        said.push_str(&fails(what, &store, name));
    }
    insta::assert_snapshot!(said);
}

/// Saves to a file that exists, checks what holds for every failure, and returns the message.
fn fails(what: &str, store: &Store, name: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let existing = folder.path().join("existing.tar");
    fs::write(&existing, "precious").unwrap();
    let mut command = save(&store.root);
    command.arg("--format=docker-v1").arg("-o").arg(&existing).arg("--").arg(name);
    let (status, said) = ended(&output(&mut command));
    assert!(matches!(status, Some(1 | 2)), "{what}: status {status:?}: {said}");
    assert!(!said.contains("panicked"), "{what}: {said}");
    assert!(fs::read(&existing).unwrap() == b"precious", "{what}: an existing output was changed");
    assert_eq!(names_in(folder.path()), ["existing.tar"], "{what}: something was left behind");
    let said = said.replace(store.folder().to_str().unwrap(), "");
    format!("## {what}: status {}\n{said}\n", status.unwrap())
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn document(root: &Path, id: &str) -> PathBuf {
    root.join("graph").join(id).join("json")
}

fn split(root: &Path) -> PathBuf {
    root.join("graph").join(BASE).join("tar-data.json.gz")
}

fn file(root: &Path, path: &str) -> PathBuf {
    root.join("vfs/dir").join(BASE).join(path)
}

/// Replaces text in the document of an image.
fn edit(root: &Path, id: &str, from: &str, to: &str) {
    let text = fs::read_to_string(document(root, id)).unwrap();
    assert!(text.contains(from), "{from} is not in the document");
    fs::write(document(root, id), text.replacen(from, to, 1)).unwrap();
}

fn rewrite_split(root: &Path, change: fn(String) -> String) {
    let mut text = String::new();
    GzDecoder::new(File::open(split(root)).unwrap()).read_to_string(&mut text).unwrap();
    let changed = change(text.clone());
    assert!(changed != text, "nothing was changed");
    let mut gzip = GzEncoder::new(File::create(split(root)).unwrap(), Compression::default());
    gzip.write_all(changed.as_bytes()).unwrap();
    gzip.finish().unwrap();
}

/// Adds an image whose id begins like that of `base:latest`.
fn second_5646(root: &Path) {
    let id = format!("{}{}", &BASE[..8], "0".repeat(56));
    let copy = |from: PathBuf, to: PathBuf| {
        assert!(Command::new("cp").arg("-R").arg(from).arg(to).status().unwrap().success());
    };
    copy(root.join("graph").join(BASE), root.join("graph").join(&id));
    copy(root.join("vfs/dir").join(BASE), root.join("vfs/dir").join(&id));
    edit(root, &id, BASE, &id);
}

#[test]
fn unreadable_root() {
    if !is_root("unreadable_root", "to be somebody else") {
        return;
    }
    let store = Store::example();
    fs::set_permissions(store.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&store.root, fs::Permissions::from_mode(0o700)).unwrap();
    // The user may lack access to the folder of the program, so it runs a copy.
    let program = store.beside("layerlift");
    fs::copy(env!("CARGO_BIN_EXE_layerlift"), &program).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(&program);
        command.uid(65534).gid(65534).args(args).arg("--root").arg(&store.root);
        ended(&output(&mut command))
    };
    let (status, said) = run(&["save", "base"]);
    assert_eq!((status, &said), (Some(2), &run(&["stores"]).1), "{said}");
    // Only the names of files are known, as below the root of containerd.
    fs::set_permissions(&store.root, fs::Permissions::from_mode(0o711)).unwrap();
    for folder in fs::read_dir(&store.root).unwrap() {
        fs::set_permissions(folder.unwrap().path(), fs::Permissions::from_mode(0o700)).unwrap();
    }
    let (status, below) = run(&["stores"]);
    assert!(status == Some(2) && below.contains("permission denied"), "{status:?} {below}");
    insta::assert_snapshot!(said.replace(store.folder().to_str().unwrap(), ""), @r"
    layerlift: error: cannot open /root: permission denied
    hint: reading an engine's store usually takes root: try sudo
    ");
}

#[test]
fn unwritable_outputs() {
    let store = Store::example();
    fs::create_dir(store.beside("folder")).unwrap();
    fs::write(store.beside("file"), "").unwrap();
    fs::create_dir(store.beside("full")).unwrap();
    fs::write(store.beside("full/x"), "").unwrap();
    let mut said = String::new();
    for out in ["missing/out.tar", "missing/out/", "folder", "file/out.tar", "full/"] {
        let before = names_in(store.folder());
        let (status, text) =
            ended(&output(save(&store.root).arg("base:latest").arg("-o").arg(store.beside(out))));
        assert_eq!(status, Some(2), "{out}: {text}");
        assert_eq!(names_in(store.folder()), before, "{out}: something was left behind");
        said.push_str(&format!("## {out}\n{text}\n"));
    }
    insta::assert_snapshot!(said.replace(store.folder().to_str().unwrap(), ""));
}

/// A file system without room for the whole file: that is known in advance, also if a layer has to be
/// computed.
#[test]
fn full_disk() {
    if !is_root("full_disk", "to mount a small file system") {
        return;
    }
    let store = Store::example();
    let small = Mounted::new(store.beside("small"));
    fs::write(small.0.join("existing.tar"), "precious").unwrap();
    let refused = |command: &mut Command| {
        let (status, said) =
            ended(&output(command.arg("base:latest").arg("-o").arg(small.0.join("existing.tar"))));
        assert_eq!(status, Some(2), "{said}");
        assert_eq!(fs::read(small.0.join("existing.tar")).unwrap(), b"precious");
        assert_eq!(names_in(&small.0), ["existing.tar"]);
        said.replace(store.folder().to_str().unwrap(), "")
    };
    let known = refused(&mut save(&store.root));
    assert!(known.contains("not enough space for /small/existing.tar: it needs "), "{known}");
    fs::remove_file(split(&store.root)).unwrap();
    let computed = refused(&mut save(&store.root));
    assert!(computed.contains("not enough space for /small/existing.tar: it needs "), "{computed}");
}

/// If something is left out of a file, the rest is copied at the end. Without room for that, layers are
/// checked first.
#[test]
fn keep_going_on_a_small_disk() {
    if !is_root("keep_going_on_a_small_disk", "to mount a small file system") {
        return;
    }
    let store = Store::example();
    let all = |root: &Path, out: &Path| {
        let mut command = save(root);
        ended(&output(command.args(["--all", "--keep-going", "-o"]).arg(out)))
    };
    let (layout, ..) = damaged_layout(&store);
    let roomy = store.beside("roomy.tar");
    let (status, said) = all(&layout, &roomy);
    assert_eq!(status, Some(1), "{said}");
    let len: u64 =
        layout.join("blobs/sha256").read_dir().unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    let small = Mounted::of(store.beside("small"), &format!("{}k", len / 1024 + len / 2048));
    let out = small.0.join("out.tar");
    let (status, said) = all(&layout, &out);
    assert_eq!(status, Some(1), "{said}");
    assert!(fs::read(&out).unwrap() == fs::read(&roomy).unwrap());
    assert_eq!(names_in(&small.0), ["out.tar"]);
}

/// A file system of 64 KiB, which is unmounted when this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(path: PathBuf) -> Self {
        Mounted::of(path, "64k")
    }

    fn of(path: PathBuf, size: &str) -> Self {
        fs::create_dir(&path).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "layerlift-test"]).arg(&path);
        assert!(command.status().expect("mount starts").success(), "cannot mount a small file system");
        Mounted(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn usage() {
    let store = Store::example();
    for args in [
        &["-j", "0", "base"][..],
        &["-j", "x", "base"],
        &["--format", "zip", "base"],
        &["--store", "floppy", "base"],
        &["--progress", "loud", "base"],
        &["--all", "base"],
        &[],
    ] {
        let (status, said) = ended(&output(save(&store.root).args(args)));
        assert_eq!(status, Some(2), "{args:?}: {said}");
        assert!(said.contains("save --help shows") || said.contains("with --all"), "{args:?}: {said}");
    }
}
