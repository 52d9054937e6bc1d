//! Copies of stores that Podman 4.3, Buildah 1.28 and skopeo 1.9 wrote, for tests to read and to damage.
//!
//! ```text
//! podman-4.3-overlay    bench/many with two manifests, bench/torture (all that a tar can hold), a container
//! podman-5.8-overlay    built and pulled images, and `podman build --manifest ml:1` for amd64 and arm64
//! podman-4.3-small      demo/base: files, hard and symbolic links
//!                       demo/app on top of it: a whiteout, an opaque directory
//!   vfs, btrfs          by driver; the subvolumes of btrfs are plain directories here
//!   additional, main    overlay; demo/top of the second has its base layer in the first
//!   manifests           demo/app pulled as zstd, saved as v2s2, copied: three manifests; a list; schema 1
//!   rootless-fuse       a user's with fuse-overlayfs: whiteouts are files; owners are shifted by 99,999
//!   rootless-native     the same with overlayfs: whiteouts are devices, opaque is user.overlay.opaque
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use layerlift_store::{OpenOptions, Store, StoreKind, open};

/// The id of `bench/many`.
pub(crate) const MANY: &str = "801433d13fa6fae5aa5baadc88eb1eb6d0b1ff6fec624d97ed4518b506d90574";
/// The id of `bench/torture`.
pub(crate) const TORTURE: &str = "dd67daf7d3910c26d9039541b9cedbc978c9a91ccf11c993aefbf6167e4a408e";
/// The id of `demo/app` with driver overlay.
pub(crate) const APP: &str = "296fbb0d9b84a8c97b2d1542ecc711c8e52b0235881d7b096146357e43965d49";
/// The id of `demo/base`.
pub(crate) const BASE: &str = "aa4a15ae4d2eb24550ee1ba547ebc22eb1d0b03bc3e528e19bb8dfd26aed7e7e";
/// The upper layer of `demo/app`.
pub(crate) const UPPER: &str = "c6e2d98271085c8a31a84f3b8c2d68d0b4933eb73afac10603ac31cadfcf3f5e";
/// The lower layer of `demo/app`, the only one of `demo/base`.
pub(crate) const LOWER: &str = "bde01759fc2f586854e6aab138a9aac62ae36caf83bb6e67b30bc2bf73e45475";

pub(crate) struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    pub(crate) fn empty() -> Self {
        Disk { dir: tempfile::tempdir().unwrap() }
    }

    /// The store of `bench`, without the files of layers unless `complete`.
    pub(crate) fn bench(complete: bool) -> Self {
        let disk = Disk::empty();
        let exclude: &[&str] = if complete { &[] } else { &["--exclude=podman-overlay-small/overlay"] };
        disk.extract("podman-4.3-overlay", "podman-overlay-small", &disk.path().join("bench"), exclude);
        disk
    }

    /// A store of Podman 5.8 with a list of images, in the folder `lists`.
    pub(crate) fn lists() -> Self {
        let disk = Disk::empty();
        disk.extract("podman-5.8-overlay/store", "podman-5.8-overlay", &disk.path().join("lists"), &[]);
        disk
    }

    /// One of the small stores, in a folder with its name.
    pub(crate) fn small(name: &str) -> Self {
        Disk::empty().and_small(name, name)
    }

    pub(crate) fn and_small(self, name: &str, folder: &str) -> Self {
        self.extract("podman-4.3-small", name, &self.path().join(folder), &[]);
        self
    }

    /// A store that is damaged, in the folder `store`.
    pub(crate) fn and_case(self, name: &str) -> Self {
        self.extract(&format!("cases/{name}/store"), ".", &self.path().join("store"), &[]);
        self
    }

    fn extract(&self, fixture: &str, member: &str, to: &Path, more: &[&str]) {
        fs::create_dir_all(to).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{fixture}.tar.xz"));
        let mut tar = Command::new("tar")
            .args(["--extract", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--strip-components=1"])
            .args(more)
            // Only root can create the devices in them.
            .args((!is_root()).then_some("--exclude=*/diff/*"))
            .arg("--directory")
            .args([to, Path::new(member)])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("tar is installed");
        let mut xz = liblzma::read::XzDecoder::new(fs::File::open(&fixture).unwrap());
        // tar stops reading once it has all members, so only its exit status counts, not a broken pipe.
        let copied = std::io::copy(&mut xz, &mut tar.stdin.take().unwrap());
        let status = tar.wait().unwrap();
        assert!(status.success(), "cannot unpack {}: {status}, {copied:?}", fixture.display());
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Replaces text in a file, which must contain it.
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.join(path)).unwrap();
        assert!(text.contains(from), "{path} has {from}");
        self.write(path, text.replace(from, to));
    }

    pub(crate) fn store(&self, folder: &str) -> Box<dyn Store> {
        let options = OpenOptions::default().with_kind(StoreKind::ContainersStorage);
        open(&self.join(folder), &options).unwrap()
    }
}

/// Whether this process runs as root. If not, prints why the test is skipped.
pub(crate) fn root_user(why: &str) -> bool {
    if !is_root() {
        eprintln!("skipped, needs root: {why}");
    }
    is_root()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid() == 0
}
