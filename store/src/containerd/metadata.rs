//! `meta.db`: what each namespace has. Schemas 3 (containerd 1.6 and 1.7) and 4 (2.1) agree on everything
//! that is read here. Schema 4 only moved sandboxes, which schema 3 has in buckets beside `v1`
//! (`metadata/migrations.go`).
//!
//! ```text
//! v1/version                                         4
//! v1/<namespace>/images/<name>/target/digest         sha256:2d2f…
//!                                    /mediatype      application/vnd.oci.image.index.v1+json
//!                                    /size           1996
//! v1/<namespace>/content/blob/<digest>/labels/<key>  containerd.io/gc.ref.snapshot.overlayfs
//! v1/<namespace>/snapshots/<snapshotter>/<key>/name  see `snapshots.rs`
//! ```
//!
//! A bucket that would be empty may be absent. Sizes are signed varints of Go.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;

use layerlift_archive::Digest;

use super::numbers;
use crate::bolt::{Bucket, Database, Entry};
use crate::layout::namespace::{Namespace, Target, Unreadable};
use crate::{ChainId, DiffId, Error, Root, hex_id};

/// The database, relative to the root of the store.
pub(super) const DATABASE: &str = "io.containerd.metadata.v1.bolt/meta.db";

/// The only value beside the namespaces, which are buckets.
const VERSION: &[u8] = b"version";
/// How Docker names an image that has lost its tag, or never had one. The digest of its target follows.
const DANGLING: &str = "moby-dangling@";
/// A label of a config whose image has been unpacked; the name of a snapshotter follows.
const UNPACKED: &[u8] = b"containerd.io/gc.ref.snapshot.";
/// A label of a layer: the digest of its tar.
const UNCOMPRESSED: &[u8] = b"containerd.io/uncompressed";

/// Layers by their snapshotters: the name that each gives its snapshot, if there is a record of it.
pub(super) type Layers = BTreeMap<(String, ChainId), Option<Vec<u8>>>;

/// A label of a blob that was pulled or pushed; a host follows, and the value is the repository there.
const SOURCE: &[u8] = b"containerd.io/distribution.source.";

/// The database.
pub(super) struct Metadata {
    database: Database,
}

/// Why parts of it could not be read. What lies beside them is there.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Error>);

impl Faults {
    pub(super) fn ok<T>(&mut self, part: Result<T, Error>) -> Option<T> {
        part.map_err(|error| self.add(error)).ok()
    }

    /// Adds an error once: a page that cannot be read is met on several ways.
    fn add(&mut self, error: Error) {
        if !self.0.iter().any(|known| known.to_string() == error.to_string()) {
            self.0.push(error);
        }
    }

    pub(super) fn extend(&mut self, more: Faults) {
        more.0.into_iter().for_each(|error| self.add(error));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<Error> {
        self.0
    }
}

/// What an image's record says.
struct Record {
    media_type: String,
    digest: Digest,
    size: u64,
    annotations: BTreeMap<String, String>,
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").finish_non_exhaustive()
    }
}

impl Metadata {
    /// Takes a snapshot of it.
    pub(super) fn open(root: &Root) -> Result<Self, Error> {
        Ok(Metadata { database: Database::open(root, Path::new(DATABASE))? })
    }

    /// Namespaces that have images, sorted, each with the number of its names.
    pub(super) fn namespaces(&self, root: &Root) -> (Vec<(String, usize)>, Faults) {
        let (mut found, mut faults) = (Vec::new(), Faults::default());
        let v1 = faults.ok(self.database.root().bucket(b"v1")).flatten();
        for entry in v1.iter().flat_map(Bucket::entries) {
            let (key, bucket) = match faults.ok(entry) {
                Some(Entry::Bucket { key, bucket }) => (key, bucket),
                Some(Entry::Value { key: VERSION, .. }) | None => continue,
                Some(Entry::Value { key, .. }) => {
                    faults.add(not_a_bucket(root, &text(key)));
                    continue;
                }
            };
            if let Some(Some(_)) = faults.ok(bucket.get(b"images")) {
                faults.add(not_a_bucket(root, &format!("{}/images", text(key))));
            }
            let images = faults.ok(bucket.bucket(b"images")).flatten();
            let images = images.iter().flat_map(Bucket::entries).filter_map(|image| faults.ok(image));
            let count = images.filter(|image| matches!(image, Entry::Bucket { .. })).count();
            if count > 0 {
                found.push((text(key), count));
            }
        }
        (found, faults)
    }

    /// All namespaces that can be read, sorted.
    pub(super) fn all_namespaces(&self, faults: &mut Faults) -> Vec<String> {
        let mut found = Vec::new();
        let v1 = faults.ok(self.database.root().bucket(b"v1")).flatten();
        for entry in v1.iter().flat_map(Bucket::entries) {
            if let Some(Entry::Bucket { key, .. }) = faults.ok(entry) {
                found.push(text(key));
            }
        }
        found
    }

    /// What the names of a namespace lead to, as far as that can be read.
    pub(super) fn targets(&self, namespace: &str, faults: &mut Faults) -> HashSet<Digest> {
        let mut found = HashSet::new();
        let images = self.below(namespace, b"images", faults);
        for entry in images.iter().flat_map(Bucket::entries) {
            let Some(Entry::Bucket { bucket, .. }) = faults.ok(entry) else { continue };
            let target = faults.ok(bucket.bucket(b"target")).flatten();
            let digest = target.and_then(|target| faults.ok(target.get(b"digest")).flatten());
            found.extend(digest.and_then(|digest| text(digest).parse::<Digest>().ok()));
        }
        found
    }

    fn below(&self, namespace: &str, name: &[u8], faults: &mut Faults) -> Option<Bucket<'_>> {
        faults.ok(self.database.root().path(&[b"v1", namespace.as_bytes(), name])).flatten()
    }

    /// The snapshotter that has the snapshot of this key, and its name for it.
    pub(super) fn snapshot(&self, namespace: &str, key: &[u8]) -> Result<Option<(String, Vec<u8>)>, Error> {
        Ok(self.snapshots_of(namespace, key)?.into_iter().next())
    }

    /// All that a namespace has. An image whose record cannot be read does not hide any other.
    pub(super) fn namespace(&self, root: &Root, name: &str) -> (Namespace, Faults) {
        let mut namespace = Namespace { name: name.to_owned(), ..Namespace::default() };
        let mut faults = Faults::default();
        let bucket = faults.ok(self.database.root().path(&[b"v1", name.as_bytes()])).flatten();
        if let Some(images) = bucket.and_then(|bucket| faults.ok(bucket.bucket(b"images")).flatten()) {
            add_images(&mut namespace, root, images, &mut faults);
        }
        let mut of_blobs = Faults::default();
        let blobs = bucket.and_then(|bucket| of_blobs.ok(bucket.path(&[b"content", b"blob"])).flatten());
        if let Some(blobs) = blobs {
            add_blobs(&mut namespace, blobs, &mut of_blobs);
        }
        // Which blobs are not its own is unknown then.
        if !of_blobs.0.is_empty() {
            namespace.blobs = None;
        }
        faults.extend(of_blobs);
        (namespace, faults)
    }

    /// The blobs that namespaces other than this one have labelled with the digests of their tars. A record
    /// that cannot be read is left out: the blob may be found in another way.
    pub(super) fn labelled_elsewhere(&self, namespace: &str) -> BTreeMap<DiffId, Vec<Digest>> {
        let mut all: BTreeMap<DiffId, Vec<Digest>> = BTreeMap::new();
        let all_namespaces = self.all_namespaces(&mut Faults::default());
        for other in all_namespaces.iter().filter(|name| *name != namespace) {
            let path: [&[u8]; 4] = [b"v1", other.as_bytes(), b"content", b"blob"];
            let blobs = self.database.root().path(&path).ok().flatten();
            for entry in blobs.iter().flat_map(Bucket::entries).flatten() {
                let Entry::Bucket { key, bucket } = entry else { continue };
                let label = bucket.bucket(b"labels").ok().flatten().map(|labels| labels.get(UNCOMPRESSED));
                let diff_id = label.and_then(Result::ok).flatten().and_then(|value| text(value).parse().ok());
                if let (Some(diff_id), Ok(blob)) = (diff_id, text(key).parse()) {
                    all.entry(diff_id).or_default().push(blob);
                }
            }
        }
        all
    }

    /// The keys of all snapshots of a namespace that are ids of containers, as far as they can be read.
    pub(super) fn containers(&self, namespace: &str, faults: &mut Faults) -> Vec<String> {
        let mut found = Vec::new();
        let snapshotters = self.below(namespace, b"snapshots", faults);
        for entry in snapshotters.iter().flat_map(Bucket::entries) {
            let Some(Entry::Bucket { bucket, .. }) = faults.ok(entry) else { continue };
            for entry in bucket.entries() {
                let Some(Entry::Bucket { key, .. }) = faults.ok(entry) else { continue };
                found.extend(std::str::from_utf8(key).ok().filter(|id| hex_id(id)).map(str::to_owned));
            }
        }
        found
    }

    /// The snapshotters of a namespace that have unpacked a layer, and the name that each gives its
    /// snapshot.
    pub(super) fn snapshots(&self, namespace: &str, chain: ChainId) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.snapshots_of(namespace, chain.to_string().as_bytes())
    }

    fn snapshots_of(&self, namespace: &str, key: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut found = Vec::new();
        let path: [&[u8]; 3] = [b"v1", namespace.as_bytes(), b"snapshots"];
        let Some(snapshotters) = self.database.root().path(&path)? else { return Ok(found) };
        for entry in snapshotters.entries() {
            let Entry::Bucket { key: snapshotter, bucket } = entry? else { continue };
            let Some(snapshot) = bucket.bucket(key)? else { continue };
            if let Some(name) = snapshot.get(b"name")? {
                found.push((text(snapshotter), name.to_vec()));
            }
        }
        Ok(found)
    }

    /// Where a blob came from: labels that `docker save` and `ctr images export` write as annotations.
    pub(super) fn sources(&self, namespace: &str, blob: Digest) -> Result<BTreeMap<String, String>, Error> {
        let blob = blob.to_string();
        let path: [&[u8]; 6] = [b"v1", namespace.as_bytes(), b"content", b"blob", blob.as_bytes(), b"labels"];
        texts(self.database.root().path(&path)?, SOURCE)
    }

    /// All layers that a namespace has unpacked, and those of which only the label of a config says so.
    pub(super) fn unpacked(&self, namespace: &str) -> (Layers, Vec<Error>) {
        let (mut found, mut faults) = (BTreeMap::new(), Faults::default());
        let chain = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<ChainId>().ok();
        let below = |path: &[&[u8]], faults: &mut Faults| {
            let path = [&[b"v1".as_slice(), namespace.as_bytes()], path].concat();
            faults.ok(self.database.root().path(&path)).flatten()
        };
        for entry in below(&[b"content", b"blob"], &mut faults).iter().flat_map(Bucket::entries) {
            let Some(Entry::Bucket { bucket: blob, .. }) = faults.ok(entry) else { continue };
            let labels = faults.ok(blob.bucket(b"labels")).flatten();
            for label in labels.iter().flat_map(Bucket::entries) {
                let Some(Entry::Value { key, value }) = faults.ok(label) else { continue };
                if let (Some(snapshotter), Some(chain)) = (key.strip_prefix(UNPACKED), chain(value)) {
                    found.insert((text(snapshotter), chain), None);
                }
            }
        }
        for entry in below(&[b"snapshots"], &mut faults).iter().flat_map(Bucket::entries) {
            let Some(Entry::Bucket { key: snapshotter, bucket }) = faults.ok(entry) else { continue };
            for entry in bucket.entries() {
                let Some(Entry::Bucket { key, bucket: snapshot }) = faults.ok(entry) else { continue };
                if let (Some(chain), Some(name)) = (chain(key), faults.ok(snapshot.get(b"name")).flatten()) {
                    found.insert((text(snapshotter), chain), Some(name.to_vec()));
                }
            }
        }
        (found, faults.into_errors())
    }
}

/// The error for a value that has taken the place of a bucket: what was in that is lost.
fn not_a_bucket(root: &Root, path: &str) -> Error {
    Error::malformed(root.join(DATABASE), format!("v1/{path} is a value, not a bucket"))
}

/// Groups the names of a namespace by their targets, since the CRI gives an image three names.
fn add_images(namespace: &mut Namespace, root: &Root, images: Bucket<'_>, faults: &mut Faults) {
    let mut places: HashMap<Digest, usize> = HashMap::new();
    for entry in images.entries() {
        let Some(Entry::Bucket { key, bucket }) = faults.ok(entry) else { continue };
        let name = text(key);
        let record = match record(root, &name, bucket) {
            Ok(record) => record,
            Err(error) => {
                namespace.unreadable.push(Unreadable { name, error });
                continue;
            }
        };
        let place = *places.entry(record.digest).or_insert_with(|| {
            let Record { media_type, digest, size, annotations } = record;
            let (names, aliases) = (Vec::new(), Vec::new());
            namespace.targets.push(Target { media_type, digest, size, names, aliases, annotations });
            namespace.targets.len() - 1
        });
        let target = &mut namespace.targets[place];
        let list = if is_id(&name) { &mut target.aliases } else { &mut target.names };
        list.push(name);
    }
}

/// Whether a name is not a tag but only a way to find the image: Docker's for a dangling image, and the
/// CRI's, which is the digest of the config.
fn is_id(name: &str) -> bool {
    name.starts_with(DANGLING) || name.parse::<Digest>().is_ok()
}

fn record(root: &Root, name: &str, image: Bucket<'_>) -> Result<Record, Error> {
    let malformed = |why: String| Error::malformed(root.join(DATABASE), format!("image {name} {why}"));
    let Some(target) = image.bucket(b"target")? else { return Err(malformed("has no target".to_owned())) };
    let value = |key: &'static str| match target.get(key.as_bytes())? {
        Some(value) => Ok(value),
        None => Err(malformed(format!("has a target without {key}"))),
    };
    let digest = text(value("digest")?);
    let size = numbers::signed(value("size")?).and_then(|size| u64::try_from(size).ok());
    Ok(Record {
        media_type: text(value("mediatype")?),
        digest: digest.parse().map_err(|_| unknown_digest(name, &digest))?,
        size: size.ok_or_else(|| malformed("has a target whose size is not a number".to_owned()))?,
        annotations: texts(image.bucket(b"annotations")?, b"")?,
    })
}

/// The values of a bucket whose keys begin so.
fn texts(bucket: Option<Bucket<'_>>, prefix: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    let mut texts = BTreeMap::new();
    for entry in bucket.iter().flat_map(Bucket::entries) {
        if let Entry::Value { key, value } = entry?
            && key.starts_with(prefix)
        {
            texts.insert(text(key), text(value));
        }
    }
    Ok(texts)
}

/// The error for a target whose digest is not SHA-256.
fn unknown_digest(name: &str, digest: &str) -> Error {
    let what = format!("image {name} is {digest:?}, which is not a digest of the only known kind, sha256");
    Error::Unsupported { what, hint: None }
}

fn add_blobs(namespace: &mut Namespace, blobs: Bucket<'_>, faults: &mut Faults) {
    let (mut all, mut unpacked) = (HashSet::new(), HashSet::new());
    for entry in blobs.entries() {
        let Some(Entry::Bucket { key, bucket }) = faults.ok(entry) else { continue };
        // Nothing looks for a blob with a digest of another kind.
        let Some(digest) = std::str::from_utf8(key).ok().and_then(|key| key.parse::<Digest>().ok()) else {
            continue;
        };
        all.insert(digest);
        let labels = faults.ok(bucket.bucket(b"labels")).flatten();
        for label in labels.iter().flat_map(Bucket::entries) {
            match faults.ok(label) {
                Some(Entry::Value { key, .. }) if key.starts_with(UNPACKED) => {
                    unpacked.insert(digest);
                }
                Some(Entry::Value { key: UNCOMPRESSED, value }) => {
                    let diff_id = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
                    diff_id.into_iter().for_each(|diff_id| namespace.stand_ins.add_blob(digest, diff_id));
                }
                _ => {}
            }
        }
    }
    (namespace.blobs, namespace.unpacked) = (Some(all), unpacked);
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_ids() {
        let digest = Digest::of(b"");
        for (name, expected) in [
            (format!("{digest}"), true),
            (format!("moby-dangling@{digest}"), true),
            (format!("docker.io/library/a@{digest}"), false),
            ("sha256:1".to_owned(), false),
            ("docker.io/library/a:1".to_owned(), false),
        ] {
            assert_eq!(is_id(&name), expected, "{name}");
        }
    }
}
