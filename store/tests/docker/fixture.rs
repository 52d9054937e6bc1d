//! Copies of the data roots of Docker 20.10, for tests to read and to damage.
//!
//! `bench/many` has 60 small layers, and was also pulled from a registry. `bench/torture` has 11 layers with
//! everything that a tar can hold, and a container. Both drivers have the same two images.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use layerlift_archive::Digest;
use layerlift_store::{OpenOptions, Store, StoreKind, open};

/// The id of `bench/many:1.0`.
pub(crate) const MANY: &str = "801433d13fa6fae5aa5baadc88eb1eb6d0b1ff6fec624d97ed4518b506d90574";
/// The id of `bench/torture:1.0`.
pub(crate) const TORTURE: &str = "dd67daf7d3910c26d9039541b9cedbc978c9a91ccf11c993aefbf6167e4a408e";

pub(crate) struct DataRoot {
    dir: tempfile::TempDir,
}

impl DataRoot {
    pub(crate) fn empty() -> Self {
        DataRoot { dir: tempfile::tempdir().unwrap() }
    }

    /// Everything below `image`.
    pub(crate) fn metadata(driver: &str) -> Self {
        DataRoot::empty().and_metadata(driver)
    }

    pub(crate) fn and_metadata(self, driver: &str) -> Self {
        self.extract(driver, &["image"]);
        self
    }

    /// The directories of the layers as well.
    pub(crate) fn complete(driver: &str) -> Self {
        DataRoot::empty().and_complete(driver)
    }

    pub(crate) fn and_complete(self, driver: &str) -> Self {
        self.extract(driver, &["image", driver]);
        self
    }

    /// A store that Docker 20.10 wrote with overlay2, and that is odd or damaged in the way that its name
    /// says.
    pub(crate) fn case(name: &str) -> Self {
        let data = DataRoot::empty();
        data.unpack(&format!("cases/{name}/store"), &[]);
        data
    }

    fn extract(&self, driver: &str, members: &[&str]) {
        self.unpack(&format!("docker-20.10-{driver}"), members);
    }

    fn unpack(&self, fixture: &str, members: &[&str]) {
        let fixture =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{fixture}.tar.xz"));
        let mut tar = Command::new("tar")
            .args(["--extract", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--directory"])
            .arg(self.path())
            .args(members)
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

    pub(crate) fn image(&self, driver: &str) -> PathBuf {
        self.path().join("image").join(driver)
    }

    pub(crate) fn layer(&self, driver: &str, chain: &str) -> PathBuf {
        self.image(driver).join("layerdb/sha256").join(chain)
    }

    pub(crate) fn store(&self) -> Box<dyn Store> {
        self.store_of(None)
    }

    pub(crate) fn store_of(&self, driver: Option<&str>) -> Box<dyn Store> {
        let mut options = OpenOptions::default().with_kind(StoreKind::Docker);
        options.partition = driver.map(str::to_owned);
        open(self.path(), &options).unwrap()
    }

    pub(crate) fn config(&self, driver: &str, id: &str) -> PathBuf {
        self.image(driver).join("imagedb/content/sha256").join(id)
    }

    /// Adds a config under its digest.
    pub(crate) fn add_config(&self, driver: &str, config: &[u8]) -> String {
        let id = Digest::of(config).hex();
        fs::write(self.config(driver, &id), config).unwrap();
        id
    }

    pub(crate) fn remove_config(&self, driver: &str, id: &str) {
        fs::remove_file(self.config(driver, id)).unwrap();
    }

    /// Makes empty directories for all layers.
    pub(crate) fn add_trees(&self, driver: &str) {
        for chain in fs::read_dir(self.image(driver).join("layerdb/sha256")).unwrap() {
            let cache_id = fs::read_to_string(chain.unwrap().path().join("cache-id")).unwrap();
            let tree = match driver {
                "overlay2" => format!("overlay2/{cache_id}/diff"),
                _ => format!("vfs/dir/{cache_id}"),
            };
            fs::create_dir_all(self.path().join(tree)).unwrap();
        }
    }
}

/// Whether this process runs as root. If not, prints why the test is skipped.
pub(crate) fn root_user(why: &str) -> bool {
    use std::os::unix::fs::MetadataExt;
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("skipped, needs root: {why}");
    }
    root
}
