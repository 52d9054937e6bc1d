//! Outputs that would replace one another, or what they are made of; and volumes where something is already.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::program::{ended, layerlift, output, save};
use crate::store::Store;

struct Folder {
    store: Store,
    dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = Folder { store: Store::example(), dir: tempfile::tempdir().unwrap() };
        for args in [
            &["base:child", "-o", "a.tar"][..],
            &["base:child", "-o", "v.tar", "--volume-size", "2K"],
            &["base:child", "--exclude", "base:latest", "-o", "part.tar"],
        ] {
            assert_eq!(folder.save(args).0, Some(0));
        }
        fs::create_dir(folder.path("sub")).unwrap();
        symlink("a.tar", folder.path("link.tar")).unwrap();
        symlink("new.tar", folder.path("dangling")).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn save(&self, args: &[&str]) -> (Option<i32>, String) {
        ended(&output(save(&self.store.root).args(args).current_dir(self.dir.path())))
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        ended(&output(layerlift().args(args).current_dir(self.dir.path())))
    }

    /// Names and contents, sorted; of what is not a file, nothing.
    fn all(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap());
        let content = |path: PathBuf| if path.is_file() { fs::read(path).unwrap() } else { Vec::new() };
        let mut all: Vec<_> = entries
            .map(|entry| (entry.file_name().to_string_lossy().into_owned(), content(entry.path())))
            .collect();
        all.sort();
        all
    }
}

#[test]
fn nothing_is_written_twice() {
    let folder = Folder::new();
    let before = folder.all();
    for args in [
        &["-o", "new.tar", "--digest-file", "new.tar"][..],
        &["-o", "new.tar", "--digest-file", "./sub/../new.tar"],
        &["-o", "new.tar", "--digest-file", "dangling"],
        &["-o", "dangling", "--digest-file", "new.tar"],
        &["-o", "link.tar", "--digest-file", "a.tar"],
        &["-o", "new.tar", "--volume-size", "2K", "--digest-file", "new.tar.002"],
        &["-o", "new.tar", "--volume-size", "2K", "--digest-file", "sub/../new.tar.sums"],
        &["-o", "new.tar", "--salvage", "--salvage-report", "new", "--digest-file", "./new"],
        &["-o", "new.tar", "--salvage", "--salvage-report", "new.tar"],
    ] {
        let (status, messages) = folder.save(&[&["base:child"], args].concat());
        assert!(status == Some(2) && messages.contains("would be both"), "{args:?}: {messages}");
        assert!(folder.all() == before, "{args:?}");
    }
    // Standard output is a file, too.
    let out = fs::File::create(folder.path("piped.tar")).unwrap();
    let mut command = save(&folder.store.root);
    command.args(["base:child", "--digest-file", "piped.tar"]).current_dir(folder.dir.path());
    let status = command.stdout(out).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(2));
    assert_eq!(fs::metadata(folder.path("piped.tar")).unwrap().len(), 0);
    // What loses nothing is not refused.
    let args = ["base:child", "-o", "/dev/null", "--digest-file", "/dev/null"];
    assert_eq!(folder.save(&args), (Some(0), String::new()));
}

#[test]
fn what_is_read_stays() {
    let folder = Folder::new();
    let before = folder.all();
    for args in [
        &["join", "a.tar", "part.tar", "-o", "a.tar"][..],
        &["join", "a.tar", "part.tar", "-o", "sub/../part.tar"],
        &["join", "part.tar", "--root", "a.tar", "-o", "link.tar"],
        &["join", "part.tar", "a.tar", "-o", "new.tar", "--digest-file", "link.tar"],
        &["join", "v.tar.001", "-o", "v.tar.002"],
        &["join", "v.tar.001", "-o", "new.tar", "--digest-file", "v.tar.sums"],
        &["join", "v.tar.001", "-o", "v.tar", "--volume-size", "1K", "--resume"],
        &["save", "--root", "a.tar", "--all", "-o", "a.tar"],
        &[
            "save",
            "--root",
            "a.tar",
            "--all",
            "-o",
            "new.tar",
            "--since",
            "part.tar",
            "--digest-file",
            "part.tar",
        ],
        &["save", "--root", "a.tar", "--all", "--have", "sub/../link.tar", "-o", "./a.tar"],
    ] {
        let (status, messages) = folder.run(args);
        assert!(status == Some(2) && messages.contains("would replace it"), "{args:?}: {messages}");
        assert!(folder.all() == before, "{args:?}");
    }
    // Of the whole, a part would be left.
    let (status, messages) = folder.save(&["base:child", "--since", "a.tar", "-o", "a.tar"]);
    assert!(status == Some(2) && messages.contains("a.tar is read for this"), "{messages}");
    assert!(folder.all() == before);
}

#[test]
fn digest_file_that_cannot_be() {
    let folder = Folder::new();
    for digest in ["nosuch/digest", "sub", "a.tar/digest"] {
        let (status, messages) = folder.save(&["base:child", "-o", "new.tar", "--digest-file", digest]);
        assert!(status == Some(2) && messages.contains(digest.split('/').next().unwrap()), "{messages}");
        assert!(!folder.path("new.tar").exists(), "{digest}");
    }
}

/// An older set is not replaced one volume after the other.
#[test]
fn volumes_that_are_there() {
    let folder = Folder::new();
    let before = folder.all();
    for size in ["2K", "3K", "1M"] {
        let (status, messages) = folder.save(&["base:child", "-o", "v.tar", "--volume-size", size]);
        assert!(status == Some(2) && messages.contains("v.tar.001 is there already"), "{messages}");
        assert!(folder.all() == before, "{size}");
    }
    let other = ["base:child", "-o", "v.tar", "--volume-size", "1K", "--resume"];
    let (status, messages) = folder.save(&other);
    assert!(status == Some(2) && messages.contains("v.tar.001 is longer than"), "{messages}");
    assert!(folder.all() == before);
    fs::write(folder.path("x.tar.sums"), "mine").unwrap();
    let (status, messages) = folder.save(&["base:child", "-o", "x.tar", "--volume-size", "2K"]);
    assert!(status == Some(2) && messages.contains("x.tar.sums is there already"), "{messages}");
    // So many could not be read.
    let (status, messages) = folder.save(&["base:child", "-o", "y.tar", "--volume-size", "1"]);
    assert!(status == Some(2) && messages.contains("volumes, more than 10000"), "{messages}");
    assert!(!folder.path("y.tar.00001").exists());
}

/// Nobody waits for a pipe.
#[test]
fn volumes_that_are_not_files() {
    let folder = Folder::new();
    let pipe = |name: &str| {
        fs::remove_file(folder.path(name)).unwrap();
        assert!(Command::new("mkfifo").arg(folder.path(name)).status().unwrap().success());
    };
    let kept = fs::read(folder.path("v.tar.002")).unwrap();
    pipe("v.tar.002");
    let before = folder.all();
    let resume = ["base:child", "-o", "v.tar", "--volume-size", "2K", "--resume"];
    let (status, messages) = folder.save(&resume);
    assert!(status == Some(2) && messages.contains("v.tar.002: it is not a file"), "{messages}");
    assert!(folder.all() == before);
    let (status, messages) = folder.run(&["images", "--root", "v.tar.001"]);
    assert!(
        status == Some(2) && messages.contains("v.tar.002") && messages.contains("not a file"),
        "{messages}"
    );
    fs::remove_file(folder.path("v.tar.002")).unwrap();
    fs::write(folder.path("v.tar.002"), kept).unwrap();
    // The list says nothing if it is not one.
    pipe("v.tar.sums");
    assert_eq!(folder.run(&["images", "--root", "v.tar.001"]).0, Some(0));
    fs::remove_file(folder.path("v.tar.sums")).unwrap();
    assert_eq!(folder.save(&resume).0, Some(0));
}
