//! Stores for the tests, which real daemons wrote, and the answers of those daemons.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// A data root in a temporary folder.
pub(crate) struct Store {
    folder: TempDir,
    pub(crate) root: PathBuf,
}

/// The folder with a packed data root that a daemon of Docker 1.7 or 1.8 wrote, and the daemon's answers. It
/// belongs to the crate that reads such stores.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/fixtures/docker-graph").join(name)
}

impl Store {
    /// Unpacks the store of a fixture.
    pub(crate) fn unpack(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("root");
        std::fs::create_dir(&root).expect("a new folder");
        // Times far in the future or before 1970 are intended, so tar need not warn of them.
        let status = Command::new("tar")
            .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "--warning=no-timestamp", "-xJf"])
            .arg(fixture(name).join("store.tar.xz"))
            .arg("-C")
            .arg(&root)
            .status()
            .expect("tar starts");
        assert!(status.success(), "tar cannot unpack {name}");
        Store { folder, root }
    }

    /// One of the stores of Podman 4.3 in a fixture.
    pub(crate) fn podman(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let packed = "../store/tests/fixtures/podman-4.3-small.tar.xz";
        let status = Command::new("tar")
            .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xJf"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(packed))
            .arg("-C")
            .arg(folder.path())
            .status()
            .expect("tar starts");
        assert!(status.success(), "tar cannot unpack {packed}");
        let root = folder.path().join(name);
        Store { folder, root }
    }

    /// A store of containerd, with its snapshots.
    pub(crate) fn containerd(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let packed = format!("../store/tests/fixtures/containerd/{name}/store.tar.xz");
        let status = Command::new("tar")
            .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "--warning=no-timestamp", "-xJf"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(&packed))
            .arg("-C")
            .arg(folder.path())
            .status()
            .expect("tar starts");
        assert!(status.success(), "tar cannot unpack {packed}");
        let root = std::fs::read_dir(folder.path()).expect("it is there").next().expect("one folder");
        let root = root.expect("it is readable").path();
        Store { folder, root }
    }

    /// A store with containers, by the engine that wrote it.
    pub(crate) fn containers(engine: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("root");
        std::fs::create_dir(&root).expect("a new folder");
        let packed = format!("../store/tests/fixtures/containers/{engine}/store.tar.xz");
        let status = Command::new("tar")
            .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "--warning=no-timestamp", "-xJf"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(&packed))
            .arg("-C")
            .arg(&root)
            .stderr(std::process::Stdio::null())
            .status()
            .expect("tar starts");
        // An ordinary user cannot make devices, which these tests do not need.
        assert!(status.success() || !rustix::process::geteuid().is_root(), "tar cannot unpack {packed}");
        Store { folder, root }
    }

    /// The data root of a real Docker 1.8 from the documentation. `base:latest` has one layer, `base:child`
    /// one more.
    pub(crate) fn example() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("root");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/example/docker-1.8");
        let status = Command::new("cp").arg("-R").arg(example).arg(&root).status();
        assert!(status.expect("cp starts").success(), "the example cannot be copied");
        Store { folder, root }
    }

    /// A copy elsewhere, made from the last name to the first, so that inodes and directory entries have
    /// another order.
    pub(crate) fn copy_reversed(&self) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("root");
        std::fs::create_dir(&root).expect("a new folder");
        let script = r#"
            cd "$1" || exit
            options="--xattrs --xattrs-include=* --numeric-owner --warning=no-timestamp"
            find . -mindepth 1 -depth -print0 | sort -rz |
                tar $options --format=pax --null --no-recursion -cf - -T - |
                tar $options -C "$2" --delay-directory-restore -xpf -"#;
        let status = Command::new("sh").args(["-fc", script, "sh"]).arg(&self.root).arg(&root).status();
        assert!(status.expect("sh starts").success(), "the store cannot be copied");
        Store { folder, root }
    }

    /// A path beside the store, for outputs.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder that holds the store and the outputs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// `base:latest`, `base:1.0` and `base:dup` of [`Store::example`].
pub(crate) const BASE: &str = "5646c3006f06021f4fe4987166355fc616fb7c8888cc198d162f9932be5966a6";

/// `base:child` of [`Store::example`].
pub(crate) const CHILD: &str = "c90a635a919b2a2d855077596482ebcdc4df6c053809ce6245b0443ad7ebdaec";

/// The daemons' answers, `cases.json`. It has bytes that are not UTF-8 as lone surrogates, which a Rust
/// string cannot hold. They become characters of the private use area.
pub(crate) fn answers(name: &str) -> Value {
    let unpacked = Command::new("xz").arg("-dc").arg(fixture(name).join("cases.json.xz")).output();
    let unpacked = unpacked.expect("xz starts");
    assert!(unpacked.status.success(), "xz cannot unpack the answers of {name}");
    let mut text = String::from_utf8(unpacked.stdout).expect("UTF-8");
    let lone = |text: &str, at: usize| {
        let before = at.checked_sub(6).map_or("", |start| &text[start..at]);
        !["\\ud8", "\\ud9", "\\uda", "\\udb"].iter().any(|high| before.starts_with(high))
    };
    let places: Vec<usize> = text.match_indices("\\udc").map(|(at, _)| at).collect();
    for at in places {
        if lone(&text, at) {
            text.replace_range(at..at + 4, "\\ue0");
        }
    }
    serde_json::from_str(&text).expect("JSON")
}

/// Bytes in the form of [`answers`].
pub(crate) fn as_answered(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|&byte| char::from_u32(0xe000 + u32::from(byte))));
    }
    text
}
