//! Copies of the stores, without the snapshots: what is in the database, and the blobs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use layerlift_archive::Digest;
use layerlift_store::{OpenOptions, Selected, Store, StoreKind, Subject, open};
use liblzma::read::XzDecoder;

pub(crate) const DOCKER: &str = "docker-28";
pub(crate) const CONTAINERD: &str = "containerd-2.1";
pub(crate) const DISCARDED: &str = "containerd-2.1-discarded";
pub(crate) const OLD: &str = "containerd-1.6";

/// Where containerd's root is in the data root of Docker.
pub(crate) const OF_DOCKER: &str = "containerd/daemon";
pub(crate) const DATABASE: &str = "io.containerd.metadata.v1.bolt/meta.db";
pub(crate) const BLOBS: &str = "io.containerd.content.v1.content/blobs/sha256";

/// A copy of a store.
pub(crate) struct Copy {
    dir: tempfile::TempDir,
    fixture: &'static str,
}

impl Copy {
    pub(crate) fn of(fixture: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut tar = Command::new("tar")
            .args(["--extract", "--strip-components=1", "--exclude=*/snapshots/*", "--directory"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .spawn()
            .expect("tar is installed");
        let mut xz = XzDecoder::new(file(fixture, "store.tar.xz"));
        std::io::copy(&mut xz, &mut tar.stdin.take().unwrap()).unwrap();
        assert!(tar.wait().unwrap().success(), "cannot unpack {fixture}");
        Copy { dir, fixture }
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// containerd's own root.
    pub(crate) fn containerd(&self) -> PathBuf {
        if self.fixture == DOCKER { self.root().join(OF_DOCKER) } else { self.root().to_owned() }
    }

    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        self.containerd().join(BLOBS).join(digest.trim_start_matches("sha256:"))
    }

    pub(crate) fn namespace(&self, namespace: &str) -> Box<dyn Store> {
        let options = OpenOptions::default().with_kind(StoreKind::Containerd).with_partition(namespace);
        open(self.root(), &options).unwrap()
    }

    pub(crate) fn all(&self) -> Box<dyn Store> {
        open(self.root(), &OpenOptions::default().with_all_partitions(true)).unwrap()
    }
}

fn file(fixture: &str, name: &str) -> File {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/containerd").join(fixture);
    File::open(path.join(name)).unwrap()
}

/// All that ctr said.
fn listing(fixture: &str) -> String {
    let mut archive = tar::Archive::new(XzDecoder::new(file(fixture, "answers.tar.xz")));
    let mut text = String::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().as_ref() == Path::new("ctr-listing.txt") {
            entry.read_to_string(&mut text).unwrap();
        }
    }
    text
}

/// The keys of layers that `ctr snapshots ls` had for a namespace.
pub(crate) fn unpacked(fixture: &str, namespace: &str) -> BTreeSet<String> {
    let text = listing(fixture);
    let heading = format!("## ctr -n {namespace} snapshots ");
    let lines = text.lines().skip_while(|line| !line.starts_with(&heading)).skip(1);
    let keys = lines.take_while(|line| !line.starts_with("##")).filter_map(|line| line.split(' ').next());
    keys.filter(|key| key.parse::<Digest>().is_ok()).map(str::to_owned).collect()
}

/// What `ctr images ls` said: for each namespace the names and what they lead to.
pub(crate) fn listed(fixture: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let text = listing(fixture);
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut namespace = None;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match &*words {
            ["##", "ctr", "-n", name, "images", "ls"] | ["##", "ns", name] => {
                namespace = Some((*name).to_owned());
            }
            ["##", ..] => namespace = None,
            // Content and snapshots follow, in the oldest listing without a heading.
            ["DIGEST" | "KEY", ..] => namespace = None,
            [name, kind, digest, ..] if kind.starts_with("application/") => {
                let images = namespace.clone().map(|namespace| all.entry(namespace).or_default());
                images.into_iter().for_each(|images| {
                    images.insert((*name).to_owned(), (*digest).to_owned());
                });
            }
            _ => {}
        }
    }
    all
}

/// The digest of what a name leads to.
pub(crate) fn digest(selected: &Selected) -> Digest {
    match &selected.subject {
        Subject::Image(key) => Digest::from_hex(key.id()).unwrap(),
        Subject::Index(index) => index.digest,
        other => panic!("unknown: {other:?}"),
    }
}
