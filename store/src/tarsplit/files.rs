//! Opens a layer's files in the order of its tar, where files of one folder mostly follow each other.
//!
//! The second file of a folder opens the folder too; the files after it are opened in there by their last
//! component alone. That is only a shortcut, and it never decides what is an error: it takes only names that
//! plainly end in a file name, and when it fails, for any reason, the whole name is opened from the root.

use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};

use super::objects::Objects;
use crate::Root;
use crate::fs::Folder;

/// A folder and one below it take turns. In the trees of distributions, a third open folder would almost
/// never be used.
const KEPT: usize = 2;

/// The kernel refuses a longer path. Opened in parts it would work, but the result must be the same either
/// way.
const LONGEST: usize = 4095;

/// Where the files of a layer are.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) tree: &'a Root,
    /// Where they are if they are not below their names.
    pub(super) objects: Option<&'a Objects>,
}

/// A folder that the first file in it opens, on any thread.
#[derive(Default)]
pub(super) struct SharedFolder(OnceLock<Option<Folder>>);

pub(super) struct Files<'a> {
    place: Place<'a>,
    /// Most recent first.
    recent: [Recent; KEPT],
}

#[derive(Default)]
struct Recent {
    /// As the entry spells it; empty if nothing is kept.
    name: Vec<u8>,
    folder: Option<Arc<SharedFolder>>,
}

impl<'a> Place<'a> {
    /// Opens a file as [`Root::open_in_tree`] does, in this folder if there is one.
    pub(super) fn open(self, name: &[u8], folder: Option<&SharedFolder>) -> io::Result<File> {
        if let Some(shared) = folder
            && let Some((folder, file)) = split(name)
            && let Some(folder) = shared.0.get_or_init(|| Folder::open(self.tree, folder).ok())
            && let Ok(file) = folder.open_file(file)
        {
            return Ok(file);
        }
        self.tree.open_in_tree(name)
    }
}

impl<'a> Files<'a> {
    pub(super) fn new(place: Place<'a>) -> Self {
        Files { place, recent: Default::default() }
    }

    pub(super) fn place(&self) -> Place<'a> {
        self.place
    }

    /// The folder in which the next file is best opened: that of its name, from the second file in it on.
    pub(super) fn folder(&mut self, name: &[u8]) -> Option<&Arc<SharedFolder>> {
        if self.place.objects.is_some() {
            return None;
        }
        let (name, _) = split(name)?;
        let known = self.recent.iter().position(|recent| recent.name == name);
        if known.is_none() && name.split(|&byte| byte == b'/').any(|component| component == b"..") {
            return None;
        }
        self.recent[..=known.unwrap_or(KEPT - 1)].rotate_right(1);
        let recent = &mut self.recent[0];
        if known.is_none() {
            // Many folders hold a single file, and opening a folder costs as much as opening a file. So the
            // first file of a folder does not open it.
            recent.folder = None;
            recent.name.clear();
            recent.name.extend_from_slice(name);
        } else if recent.folder.is_none() {
            recent.folder = Some(Arc::default());
        }
        recent.folder.as_ref()
    }
}

/// Splits a name into its folder and its last component; `None` if the name is anything but plain.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = name.iter().rposition(|&byte| byte == b'/')?;
    let (folder, file) = (&name[..slash], &name[slash + 1..]);
    let plain = !folder.is_empty() && !matches!(file, b"" | b"." | b"..") && name.len() <= LONGEST;
    plain.then_some((folder, file))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// `usr/lib/{a,b,c}`, `usr/bin/d`, `x`, `lib -> usr/lib`, `abs -> /usr/lib`, `up -> ..`, links to files.
    fn tree() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let layer = dir.path().join("layer");
        for folder in ["usr/lib/empty", "usr/bin", "a"] {
            fs::create_dir_all(layer.join(folder)).unwrap();
        }
        for name in ["usr/lib/a", "usr/lib/b", "usr/lib/c", "usr/bin/d", "x", "a/x"] {
            fs::write(layer.join(name), name).unwrap();
        }
        fs::write(dir.path().join("x"), "outside").unwrap();
        for (link, target) in [
            ("lib", "usr/lib"),
            ("abs", "/usr/lib"),
            ("up", ".."),
            ("usr/lib/link", "a"),
            ("usr/lib/out", "../../../x"),
            ("loop", "loop"),
            ("dangling", "nowhere"),
        ] {
            symlink(target, layer.join(link)).unwrap();
        }
        let root = Root::open(&layer).unwrap();
        (dir, root)
    }

    impl Files<'_> {
        fn open(&mut self, name: &[u8]) -> io::Result<File> {
            let place = self.place;
            place.open(name, self.folder(name).map(|folder| &**folder))
        }

        /// Whether the folder of the last file is open.
        fn is_open(&self) -> bool {
            let folder = self.recent[0].folder.as_ref();
            folder.is_some_and(|folder| matches!(folder.0.get(), Some(Some(_))))
        }
    }

    const NAMES: &[&str] = &[
        "lib/a",
        "usr/lib/a",
        "usr/lib/b",
        "./usr/lib/b",
        "/usr/lib/b",
        "usr//lib/./c",
        "abs/c",
        "lib/b",
        "usr/bin/d",
        "up/x",
        "up/usr/lib/a",
        "x",
        "./x",
        "/x",
        "//x",
        "a/../x",
        "a/x",
        "usr/lib/../bin/d",
        "../x",
        "usr/lib/..",
        "usr/lib/.",
        "usr/lib/",
        "usr/lib/a/",
        "usr/lib/a/b",
        "usr/lib/empty",
        "usr/lib/link",
        "lib/link",
        "usr/lib/out",
        "usr/lib/none",
        "usr/none/a",
        "usr/none/b",
        "dangling/a",
        "loop/a",
        "lib",
        "",
        ".",
        "/",
        "usr/lib/a\0b",
    ];

    /// The bytes, or the error number of the kernel.
    fn outcome(file: io::Result<File>) -> Result<Vec<u8>, (io::ErrorKind, Option<i32>)> {
        let mut bytes = Vec::new();
        let read = file.and_then(|mut file| file.read_to_end(&mut bytes));
        read.map(|_| bytes).map_err(|error| (error.kind(), error.raw_os_error()))
    }

    /// Every name after every other and after itself, so that its folder is unseen, seen once, open, or
    /// dropped.
    #[test]
    fn as_from_the_root() {
        let (_dir, root) = tree();
        for first in NAMES {
            for second in NAMES {
                let mut files = Files::new(Place { tree: &root, objects: None });
                for name in [first, first, second, second, first, second] {
                    let expected = outcome(root.open_in_tree(name.as_bytes()));
                    assert_ne!(expected, Ok(b"outside".to_vec()), "{name}");
                    assert_eq!(outcome(files.open(name.as_bytes())), expected, "{name} ({first}, {second})");
                }
            }
        }
    }

    #[test]
    fn names_longer_than_a_path() {
        let (_dir, root) = tree();
        let mut files = Files::new(Place { tree: &root, objects: None });
        for len in [4094, 4095, 4096, 4097] {
            let folder = format!("usr/lib{}", "/.".repeat(2048));
            let mut name = folder[..len - 2 - len % 2].to_owned() + "/a";
            name.insert_str(3, &"/"[..len % 2]);
            assert_eq!(name.len(), len);
            for _ in 0..3 {
                let expected = outcome(root.open_in_tree(name.as_bytes()));
                assert_eq!(expected.is_ok(), len <= LONGEST, "{len}");
                assert_eq!(outcome(files.open(name.as_bytes())), expected, "{len}");
            }
        }
    }

    /// Names in order, and whether the folder is open after each.
    #[test]
    fn folders_are_open_from_the_second_file_on() {
        let (_dir, root) = tree();
        let mut files = Files::new(Place { tree: &root, objects: None });
        for (name, open) in [
            ("usr/lib/a", false),
            ("usr/lib/b", true),
            ("usr/bin/d", false),
            ("usr/lib/c", true),
            ("usr/bin/d", true),
            ("a/x", false),
            ("usr/bin/d", true),
            ("usr/lib/a", false),
        ] {
            assert!(files.open(name.as_bytes()).is_ok(), "{name}");
            assert_eq!(files.recent[0].name, name.as_bytes()[..name.len() - 2], "{name}");
            assert_eq!(files.is_open(), open, "{name}");
        }
    }

    /// Opening a file needs permission to search its folder, not to list it. (Root may do both, so as root
    /// this tests little.)
    #[test]
    fn a_folder_that_may_not_be_listed() {
        let (dir, root) = tree();
        let lib = dir.path().join("layer/usr/lib");
        let mode = |mode| fs::set_permissions(&lib, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o111);
        let mut files = Files::new(Place { tree: &root, objects: None });
        for name in ["usr/lib/a", "usr/lib/b", "usr/lib/c"] {
            assert_eq!(outcome(files.open(name.as_bytes())), Ok(name.into()));
        }
        assert!(files.is_open());
        mode(0o600);
        let expected = outcome(root.open_in_tree(b"usr/lib/c"));
        assert_eq!(outcome(files.open(b"usr/lib/c")), expected, "neither way may more than the other");
        mode(0o700);
    }

    /// The open folder no longer goes by the name.
    #[test]
    fn a_folder_that_was_replaced() {
        let (dir, root) = tree();
        let mut files = Files::new(Place { tree: &root, objects: None });
        for name in ["usr/lib/a", "usr/lib/b"] {
            assert!(files.open(name.as_bytes()).is_ok(), "{name}");
        }
        let lib = dir.path().join("layer/usr/lib");
        fs::remove_dir_all(&lib).unwrap();
        fs::create_dir(&lib).unwrap();
        fs::write(lib.join("c"), "new").unwrap();
        assert_eq!(outcome(files.open(b"usr/lib/c")), Ok(b"new".to_vec()));
    }

    #[test]
    fn a_folder_opens_its_own_files_only() {
        let (_dir, root) = tree();
        let folder = Folder::open(&root, b"lib").unwrap();
        assert_eq!(outcome(folder.open_file(b"a")), Ok(b"usr/lib/a".to_vec()));
        for name in ["", ".", "..", "../bin/d", "empty/../a", "/x", "link", "none"] {
            assert!(folder.open_file(name.as_bytes()).is_err(), "{name}");
        }
        for (name, there) in
            [("dangling", false), ("loop", false), ("x", false), ("../../..", true), ("up", true)]
        {
            assert_eq!(Folder::open(&root, name.as_bytes()).is_ok(), there, "{name}");
        }
        let top = Folder::open(&root, b"../../..").unwrap();
        assert_eq!(outcome(top.open_file(b"x")), Ok(b"x".to_vec()), "a layer's root has nothing above it");
    }
}
