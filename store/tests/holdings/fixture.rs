//! Copies of stores with containers, for tests to read and to damage, and what their engines said of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use layerlift_store::{ContainerListing, OpenOptions, Store, open};
use serde_json::Value;

/// All fixtures, by the engine that wrote them.
pub(crate) const ALL: [&str; 5] =
    ["docker-20.10", "docker-28.5", "docker-28.5-containerd", "podman-4.3", "podman-5.8"];

pub(crate) struct Data {
    dir: tempfile::TempDir,
    engine: &'static str,
}

impl Data {
    pub(crate) fn of(engine: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut tar = Command::new("tar")
            .args(["--extract", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--directory"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("tar is installed");
        let packed = fs::File::open(answers(engine).join("store.tar.xz")).unwrap();
        let mut xz = liblzma::read::XzDecoder::new(packed);
        let copied = std::io::copy(&mut xz, &mut tar.stdin.take().unwrap());
        let status = tar.wait().unwrap();
        // An ordinary user cannot make devices, and needs none of them here.
        assert!(status.success() || !is_root(), "cannot unpack {engine}: {status}, {copied:?}");
        Data { dir, engine }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn store(&self) -> Box<dyn Store> {
        open(self.path(), &OpenOptions::default()).unwrap()
    }

    pub(crate) fn containers(&self) -> ContainerListing {
        self.store().containers().unwrap().containers().unwrap()
    }

    /// The folder of a container of Docker.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let id = self.containers().find(name).unwrap().key.id().to_owned();
        self.path().join("containers").join(id)
    }

    /// What `docker ps -a` or `podman ps -a` said, newest first.
    pub(crate) fn ps(&self) -> Vec<Value> {
        let read = |file: &str| fs::read_to_string(answers(self.engine).join(file));
        match read("ps.jsonl") {
            Ok(lines) => lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            Err(_) => {
                let mut all: Vec<Value> = serde_json::from_str(&read("ps.json").unwrap()).unwrap();
                all.reverse();
                all
            }
        }
    }
}

fn answers(engine: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/containers").join(engine)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid() == 0
}
