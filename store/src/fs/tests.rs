//! `openat2` and the walk must give the same result for every path.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use rustix::io::Errno;

use super::*;
use crate::Error;

fn tree() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("layer/usr/lib")).unwrap();
    fs::write(dir.path().join("layer/usr/lib/x"), "inside").unwrap();
    fs::write(dir.path().join("secret"), "outside").unwrap();
    let root = dir.path().join("layer");
    symlink("usr/lib", root.join("lib")).unwrap();
    symlink("/usr/lib", root.join("abs")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("../../../../..", root.join("usr/far")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("usr/lib/x", root.join("link")).unwrap();
    symlink("../secret", root.join("leak")).unwrap();
    let root = Root::open(&root).unwrap();
    (dir, root)
}

const PATHS: &[&str] = &[
    "usr/lib/x",
    "lib/x",
    "abs/x",
    "up/usr/lib/x",
    "usr/far/lib/x",
    "loop/x",
    "loop",
    "link",
    "leak",
    "up/secret",
    "../secret",
    "usr/../../secret",
    "usr/lib",
    "no/x",
    "usr/lib/x/y",
    "./usr//lib/./x",
    "/usr/lib/x",
    "..",
    "usr/lib/..",
    "usr/lib/",
    "usr/lib/x/",
    "usr/lib/x/.",
    "link/",
    "lib/",
    "lib/.",
    "abs/..",
    "abs/../bin",
    "",
    "/",
    "//",
    ".",
    "no/",
    "no/..",
    "usr/lib/x/..",
];

/// The inode that was opened and its bytes, or the error number.
fn outcome(result: rustix::io::Result<OwnedFd>) -> Result<(u64, Option<Vec<u8>>), Errno> {
    let opened = result?;
    let inode = rustix::fs::fstat(&opened)?.st_ino;
    let mut bytes = Vec::new();
    let read = File::from(opened).read_to_end(&mut bytes);
    Ok((inode, read.ok().map(|_| bytes)))
}

const FLAGS: [OFlags; 6] = [
    FILE,
    FILE.union(OFlags::NOFOLLOW),
    DIR,
    DIR.union(OFlags::NOFOLLOW),
    PASSED,
    OFlags::PATH.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW),
];

/// Compares both ways for each path below `root`. Without `openat2` there is nothing to compare.
fn compare<'p>(root: &Root, paths: impl IntoIterator<Item = &'p str>) {
    let dir = root.as_dir().as_fd();
    let refused = beneath::ask_kernel(dir, Path::new("."), DIR, Links::Refused).err();
    if matches!(refused, Some(Errno::NOSYS | Errno::PERM)) {
        eprintln!("skipped: this system refuses openat2");
        return;
    }
    for path in paths {
        for (links, flags) in [Links::Refused, Links::Inside].into_iter().flat_map(|l| FLAGS.map(|f| (l, f)))
        {
            let kernel = outcome(beneath::ask_kernel(dir, Path::new(path), flags, links));
            let walk = outcome(walk::open(dir, Path::new(path), flags, links));
            assert_eq!(walk, kernel, "{path:?} {links:?} {flags:?}");
        }
    }
}

#[test]
fn walk_agrees_with_openat2() {
    let (_dir, root) = tree();
    compare(&root, PATHS.iter().copied());
    let long = |len: usize| "./".repeat(len / 2) + if len % 2 == 1 { "/" } else { "" };
    for len in [4094, 4095, 4096, 4097] {
        let component = "x".repeat(len - 3840);
        compare(&root, [long(len).as_str(), component.as_str()]);
    }
}

/// A path of names that are likely to exist, with anything that can be between them.
fn paths() -> impl Strategy<Value = String> {
    let just = |text: &str| Just(text.to_owned());
    let part = prop_oneof![6 => "[abc]", 1 => just(".."), 1 => just("."), 1 => just("")];
    (prop::bool::weighted(0.2), prop::collection::vec(part, 1..6), prop::bool::weighted(0.2)).prop_map(
        |(absolute, parts, slash)| {
            format!("{}{}{}", if absolute { "/" } else { "" }, parts.join("/"), if slash { "/" } else { "" })
        },
    )
}

#[derive(Debug, Clone)]
enum Node {
    Dir,
    File,
    Link(String),
}

fn nodes() -> impl Strategy<Value = Vec<(String, Node)>> {
    let node = prop_oneof![3 => Just(Node::Dir), 1 => Just(Node::File), 3 => paths().prop_map(Node::Link)];
    prop::collection::vec(("[abc](/[abc]){0,3}", node), 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn walk_agrees_with_openat2_on_random_trees(
        nodes in nodes(),
        paths in prop::collection::vec(paths(), 1..24),
    ) {
        let dir = tempfile::tempdir().unwrap();
        // Outside there are the same names.
        fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        let root = dir.path().join("b");
        fs::create_dir(&root).unwrap();
        let root = Root::open(&root).unwrap();
        for (path, node) in &nodes {
            // Not through a link, which may lead out of the root.
            let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
            let Ok(parent) = root.dir(parent) else { continue };
            let at = parent.path().join(name);
            let _ = match node {
                Node::Dir => fs::create_dir(at),
                Node::File => fs::write(at, path),
                Node::Link(target) if target.is_empty() => Ok(()),
                Node::Link(target) => symlink(target, at),
            };
        }
        let all = nodes.iter().map(|(path, _)| path).chain(&paths);
        compare(&root, all.map(String::as_str));
    }
}

#[test]
fn nothing_leads_out_of_a_layer() {
    let (_dir, root) = tree();
    for path in PATHS {
        if let Ok(mut file) = root.open_in_tree(path.as_bytes()) {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            assert_ne!(text, "outside", "{path}");
        }
    }
    assert!(root.open_in_tree(b"lib/x").is_ok());
    assert!(root.open_in_tree(b"abs/x").is_ok());
    assert!(root.open_in_tree(b"link").is_err(), "a file that became a link is not the file");
}

#[test]
fn metadata_has_no_links() {
    let (_dir, root) = tree();
    assert!(root.open_file("usr/lib/x").is_ok());
    for path in ["lib/x", "abs/x", "link"] {
        assert!(matches!(root.open_file(path), Err(Error::Malformed { .. })), "{path}");
    }
    assert!(matches!(root.read("usr/lib/x", 3), Err(Error::Malformed { .. })), "too large");
    assert_eq!(root.try_read("usr/none", 3).unwrap(), None);
    assert!(!root.exists("usr/none").unwrap());
}
