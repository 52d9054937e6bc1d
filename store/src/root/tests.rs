//! Both ways of opening, `openat2` and the walk, must agree on every path.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

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
];

fn outcome(result: rustix::io::Result<OwnedFd>) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    match File::from(result?).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(Errno::from_io_error(&error).unwrap()),
    }
}

#[test]
fn walk_agrees_with_openat2() {
    let (_dir, root) = tree();
    for (how, in_root) in [(STRICT, false), (IN_ROOT, true)] {
        for path in PATHS {
            for flags in [FILE, FILE | OFlags::NOFOLLOW, DIR, folder::FOLDER] {
                let path = Path::new(path);
                let kernel = outcome(rustix::fs::openat2(root.as_dir(), path, flags, Mode::empty(), how));
                let walk = outcome(walk::open(root.as_dir().as_fd(), path, flags, in_root));
                assert_eq!(walk, kernel, "{} in_root={in_root} {flags:?}", path.display());
            }
        }
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
