//! Synthetic trees, each for one rule.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use layerlift_store::{DiffLayer, LayerDir};
use layerlift_store::{Error, Root};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};

use crate::listing::{lines, root_user};

/// A directory with a layer's tree and its parent's.
pub(crate) struct Trees(tempfile::TempDir);

impl Trees {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("old")).unwrap();
        fs::create_dir(dir.path().join("new")).unwrap();
        Trees(dir)
    }

    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(path)
    }

    fn root(&self, tree: &str) -> Root {
        Root::open(&self.path(tree)).unwrap()
    }

    pub(crate) fn layer(&self, holds: LayerDir) -> DiffLayer {
        DiffLayer::new(self.root("new"), holds, 1_400_000_000)
    }

    fn base(&self) -> Vec<u8> {
        tar(&self.layer(LayerDir::Full { parent: None }))
    }

    fn changes(&self) -> Vec<u8> {
        tar(&self.layer(LayerDir::Full { parent: Some(self.root("old")) }))
    }

    /// A file in both trees, the same in both.
    fn both(&self, name: &str) {
        for tree in ["old", "new"] {
            self.file(format!("{tree}/{name}"), "same");
        }
    }

    /// A file with a fixed time, and the directories above it.
    pub(crate) fn file(&self, name: impl AsRef<Path>, contents: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        set_time(&path, Duration::from_secs(1_300_000_000));
    }
}

pub(crate) fn set_time(path: &Path, since_1970: Duration) {
    let time = Timespec {
        tv_sec: since_1970.as_secs().try_into().unwrap(),
        tv_nsec: since_1970.subsec_nanos().into(),
    };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

pub(crate) fn tar(layer: &DiffLayer) -> Vec<u8> {
    let mut tar = Vec::new();
    layer.write_to(&mut tar).unwrap();
    tar
}

/// Types and names, and where hard and symbolic links lead.
pub(crate) fn outline(tar: &[u8]) -> Vec<String> {
    let cells = |line: String| {
        let cells: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let link = if cells[9] == "-" { String::new() } else { format!(" -> {}", cells[9]) };
        format!("{} {}{link}", cells[0], cells[8])
    };
    lines(tar).into_iter().map(cells).collect()
}

#[test]
fn an_unchanged_tree_is_an_empty_tar() {
    let trees = Trees::new();
    trees.both("a/b");
    trees.both("c");
    assert_eq!(trees.changes(), [0; 1024]);
    trees.file("new/c", "other contents of another length");
    assert_eq!(outline(&trees.changes()), ["file c"]);
}

#[test]
fn times() {
    let whole = Duration::from_secs(1_300_000_000);
    let nanos = |nanos| whole + Duration::from_nanos(nanos);
    for (old, new, changed) in [
        (nanos(5), nanos(5), false),
        (nanos(5), nanos(6), true),
        (nanos(5), whole, false),
        (whole, nanos(5), false),
        (whole, whole + Duration::from_secs(1), true),
    ] {
        let trees = Trees::new();
        trees.both("a");
        set_time(&trees.path("old/a"), old);
        set_time(&trees.path("new/a"), new);
        assert_eq!(!outline(&trees.changes()).is_empty(), changed, "{old:?} {new:?}");
    }
}

#[test]
fn changes_are_in_the_order_of_whole_paths() {
    let trees = Trees::new();
    for name in
        ["a/x", "a-b", "a.b", "a/sub/deep/y", "deleted/with/all", "kept/deleted", "kept/stays", "to-file/x"]
    {
        trees.both(name);
    }
    trees.file("old/to-dir", "");
    trees.file("new/to-dir/x", "");
    trees.file("new/a/x", "changed");
    trees.file("new/a-b", "changed");
    trees.file("new/a/sub/deep/new", "");
    fs::remove_dir_all(trees.path("new/deleted")).unwrap();
    fs::remove_file(trees.path("new/kept/deleted")).unwrap();
    fs::remove_dir_all(trees.path("new/to-file")).unwrap();
    trees.file("new/to-file", "");
    set_time(&trees.path("new/a"), Duration::from_secs(1));
    let expected = [
        "dir a",
        "file a-b",
        "dir a/sub",
        "dir a/sub/deep",
        "file a/sub/deep/new",
        "file a/x",
        "file .wh.deleted",
        "dir kept",
        "file kept/.wh.deleted",
        "dir to-dir",
        "file to-dir/x",
        "file to-file",
    ];
    assert_eq!(outline(&trees.changes()), expected);
}

#[test]
fn a_base_layer_is_in_the_order_of_a_walk() {
    let trees = Trees::new();
    for name in ["a/x", "a-b", "a.b", "B/y"] {
        trees.file(format!("new/{name}"), "");
    }
    fs::create_dir(trees.path("new/empty")).unwrap();
    let expected = ["dir B", "file B/y", "dir a", "file a/x", "file a-b", "file a.b", "dir empty"];
    assert_eq!(outline(&trees.base()), expected);
    fs::remove_dir_all(trees.path("new")).unwrap();
    fs::create_dir(trees.path("new")).unwrap();
    assert_eq!(trees.base(), [0; 1024], "nothing at all");
}

#[test]
fn whiteouts_have_the_time_of_the_image() {
    let trees = Trees::new();
    trees.file("old/deleted", "");
    let tar = trees.changes();
    let header = tar::Header::from_byte_slice(&tar[..512]);
    assert_eq!(header.path_bytes().as_ref(), b".wh.deleted");
    assert_eq!((header.mtime().unwrap(), header.mode().unwrap(), tar[156]), (1_400_000_000, 0, 0));
}

#[test]
fn a_hard_link_leads_to_the_first_name() {
    let names = ["b/2", "z", "b/1", "a/9"];
    let mut tars = Vec::new();
    for first in 0..names.len() {
        let trees = Trees::new();
        let first_name = trees.path("new").join(names[first]);
        trees.file(&first_name, "shared");
        for name in names.iter().filter(|name| **name != names[first]) {
            let name = trees.path("new").join(name);
            fs::create_dir_all(name.parent().unwrap()).unwrap();
            fs::hard_link(&first_name, &name).unwrap();
        }
        for dir in ["a", "b"] {
            set_time(&trees.path("new").join(dir), Duration::from_secs(1));
        }
        tars.push(trees.base());
    }
    let links = ["hardlink b/1 -> a/9", "hardlink b/2 -> a/9", "hardlink z -> a/9"];
    let expected = ["dir a", "file a/9", "dir b", links[0], links[1], links[2]];
    assert_eq!(outline(&tars[0]), expected);
    assert!(tars.windows(2).all(|pair| pair[0] == pair[1]), "the same bytes, whichever name was made first");
}

#[test]
fn links_to_the_parents_files_are_unchanged() {
    let trees = Trees::new();
    trees.file("old/d/f", "shared");
    fs::create_dir(trees.path("new/d")).unwrap();
    fs::hard_link(trees.path("old/d/f"), trees.path("new/d/f")).unwrap();
    fs::hard_link(trees.path("old/d/f"), trees.path("new/d/g")).unwrap();
    fs::hard_link(trees.path("old/d/f"), trees.path("new/d/h")).unwrap();
    assert_eq!(outline(&trees.changes()), ["dir d", "file d/g", "hardlink d/h -> d/g"]);
}

#[test]
fn names_are_bytes() {
    let trees = Trees::new();
    let long = "l".repeat(255);
    let names: &[&[u8]] =
        &[b"\n", b"\xff\xfe", b" ", b"%41", "ü/é".as_bytes(), long.as_bytes(), b".wh", b".whx"];
    for name in names {
        trees.file(Path::new("new").join(OsStr::from_bytes(name)), "");
    }
    symlink(OsStr::from_bytes(b"\xfd"), trees.path("new").join("link")).unwrap();
    let expected = [
        "file \\n".to_owned(),
        "file \\x20".to_owned(),
        "file %41".to_owned(),
        "file .wh".to_owned(),
        "file .whx".to_owned(),
        "symlink link -> \\xfd".to_owned(),
        format!("file {long}"),
        "dir \\xc3\\xbc".to_owned(),
        "file \\xc3\\xbc/\\xc3\\xa9".to_owned(),
        "file \\xff\\xfe".to_owned(),
    ];
    assert_eq!(outline(&trees.base()), expected);
}

#[test]
fn a_name_that_would_mean_a_deletion_is_refused() {
    for name in [".wh.x", ".wh..wh..opq"] {
        let trees = Trees::new();
        trees.file(format!("new/d/{name}"), "");
        let error = trees.layer(LayerDir::Full { parent: None }).write_to(&mut io::sink()).unwrap_err();
        assert!(error.to_string().contains(&format!("new/d/{name} cannot be in an image")), "{error}");
    }
}

#[test]
fn everything_but_plain_files() {
    if !root_user("devices, owners and capabilities") {
        return;
    }
    let trees = Trees::new();
    let special = |name: &str, kind, device| {
        let path = trees.path("new").join(name);
        rustix::fs::mknodat(CWD, &path, kind, Mode::from_raw_mode(0o640), device).unwrap();
        set_time(&path, Duration::from_secs(7));
    };
    special("char", FileType::CharacterDevice, rustix::fs::makedev(240, 70_000));
    special("block", FileType::BlockDevice, rustix::fs::makedev(7, 1));
    special("fifo", FileType::Fifo, 0);
    drop(UnixListener::bind(trees.path("new/socket")).unwrap());
    set_time(&trees.path("new/socket"), Duration::from_secs(7));
    fs::set_permissions(trees.path("new/socket"), PermissionsExt::from_mode(0o755)).unwrap();
    trees.file("new/set", "!");
    let owner = (Some(Uid::from_raw(4_000_000_000)), Some(Gid::from_raw(3)));
    rustix::fs::chownat(CWD, trees.path("new/set"), owner.0, owner.1, AtFlags::empty()).unwrap();
    fs::set_permissions(trees.path("new/set"), PermissionsExt::from_mode(0o4755)).unwrap();
    set_capability(&trees.path("new/set"), 0x24);
    let expected = [
        "block 60640 0:0 0 7 7,1 - - block -",
        "char 20640 0:0 0 7 240,70000 - - char -",
        "fifo 10640 0:0 0 7 0,0 - - fifo -",
        "file 104755 4000000000:3 1 1300000000 0,0 bb7208bc9b5d7c04 security.capability set -",
        "file 140755 0:0 0 7 0,0 e3b0c44298fc1c14 - socket -",
    ];
    assert_eq!(lines(&trees.base()), expected);
}

fn set_capability(path: &Path, which: u8) {
    let mut value = [0; 20];
    value[..6].copy_from_slice(&[1, 0, 0, 2, 0, which]);
    rustix::fs::setxattr(path, "security.capability", &value, XattrFlags::empty()).unwrap();
}

#[test]
fn what_is_compared() {
    if !root_user("devices, owners and capabilities") {
        return;
    }
    type Change = fn(&Path);
    let changes: &[(&str, Change, bool)] = &[
        ("mode", |path| fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap(), true),
        ("owner", |path| std::os::unix::fs::chown(path, Some(9), None).unwrap(), true),
        ("group", |path| std::os::unix::fs::chown(path, None, Some(9)).unwrap(), true),
        ("capability", |path| set_capability(path, 0x24), true),
        (
            "another attribute",
            |path| {
                rustix::fs::setxattr(path, "trusted.x", b"y", XattrFlags::empty()).unwrap();
            },
            false,
        ),
        (
            "contents of the same length",
            |path| {
                fs::write(path, "SAME").unwrap();
                set_time(path, Duration::from_secs(1_300_000_000));
            },
            false,
        ),
    ];
    for (what, change, changed) in changes {
        let trees = Trees::new();
        trees.both("f");
        change(&trees.path("new/f"));
        assert_eq!(!outline(&trees.changes()).is_empty(), *changed, "{what}");
    }
    for (kind, changed) in [(FileType::CharacterDevice, true), (FileType::BlockDevice, false)] {
        let trees = Trees::new();
        for (time, tree) in ["old", "new"].into_iter().enumerate() {
            let path = trees.path(tree).join("device");
            rustix::fs::mknodat(CWD, &path, kind, Mode::from_raw_mode(0o640), rustix::fs::makedev(7, 1))
                .unwrap();
            set_time(&path, Duration::from_secs(time as u64));
        }
        assert_eq!(!outline(&trees.changes()).is_empty(), changed, "only the time of a {kind:?}");
    }
}

#[test]
fn deeper_than_a_path_can_be_long() {
    const DEPTH: usize = 450;
    let trees = Trees::new();
    for tree in ["old", "new"] {
        let mut dir = rustix::fs::open(trees.path(tree), OFlags::RDONLY, Mode::empty()).unwrap();
        for _ in 0..DEPTH {
            rustix::fs::mkdirat(&dir, "ten-bytes-", Mode::from_raw_mode(0o755)).unwrap();
            rustix::fs::mkdirat(&dir, "e", Mode::from_raw_mode(0o755)).unwrap();
            dir = rustix::fs::openat(&dir, "ten-bytes-", OFlags::RDONLY, Mode::empty()).unwrap();
        }
        if tree == "new" {
            let file = rustix::fs::openat(&dir, "f", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
            File::from(file).write_all(b"bottom").unwrap();
        }
    }
    let found = lines(&trees.changes());
    assert_eq!(found.len(), DEPTH + 1);
    assert!(found[DEPTH].ends_with("/ten-bytes-/f -"), "{}", &found[DEPTH][..80]);
    let base = lines(&trees.base());
    assert_eq!(base.len(), 2 * DEPTH + 1);
    // The standard library needs a descriptor for each level, so `rm` cleans up.
    assert!(
        Command::new("rm")
            .arg("-rf")
            .arg(trees.path("old"))
            .arg(trees.path("new"))
            .status()
            .unwrap()
            .success()
    );
}

/// Runs an action when the first bytes arrive.
struct Meanwhile<F>(Option<F>);

impl<F: FnOnce()> Write for Meanwhile<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(action) = self.0.take() {
            action();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_changes_its_size_is_an_error() {
    for len in [10, 2 << 20] {
        let trees = Trees::new();
        let file = File::create(trees.path("new/f")).unwrap();
        file.set_len(1 << 20).unwrap();
        file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH)).unwrap();
        let layer = trees.layer(LayerDir::Full { parent: None });
        let error = layer.write_to(&mut Meanwhile(Some(|| file.set_len(len).unwrap()))).unwrap_err();
        assert!(error.to_string().contains("new/f is damaged: its size changed from 1048576"), "{error}");
    }
}

#[test]
fn a_closed_pipe_is_recognized() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let trees = Trees::new();
    let error = trees.layer(LayerDir::Full { parent: None }).write_to(&mut Closed).unwrap_err();
    assert!(
        matches!(&error, Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe),
        "{error}"
    );
    assert_eq!(error.into_io().kind(), io::ErrorKind::BrokenPipe);
}
