//! Reads an archive with tar and sha256sum, and holds what its documents say against what it holds. Nothing
//! of the program's own code takes part.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Outcome;
use crate::engines::image::{familiar, hex};
use crate::engines::process::{bytes, program, run, text};
use crate::interop::archive;

/// An image that came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) tags: BTreeSet<String>,
    pub(crate) diff_ids: Vec<String>,
}

/// Images by their ids.
pub(crate) type Images = BTreeMap<String, Found>;

/// A text that lies outside of every root. Where it turns up, something outside was read.
pub(crate) const SECRET: &str = "layerlift-campaign-outside-of-the-root";

/// The files of an unpacked archive by their digests.
struct Unpacked {
    folder: PathBuf,
    digests: BTreeMap<PathBuf, String>,
    /// Digests of compressed layers, uncompressed.
    plain: BTreeMap<PathBuf, String>,
}

/// Reads an archive. An error is something that is wrong with it.
pub(crate) fn images(archive: &Path, format: &str, work: &Path) -> Outcome<Images> {
    let _ = fs::remove_dir_all(work);
    archive::unpack(archive, work)?;
    let images = read(work, format);
    let _ = fs::remove_dir_all(work);
    images
}

/// Reads an unpacked archive or a layout.
pub(crate) fn read(folder: &Path, format: &str) -> Outcome<Images> {
    let secret = program("grep", ["-rlF", "--", SECRET]).arg(folder).output()?;
    if secret.status.success() {
        return Err("holds a file from outside of the root".into());
    }
    if format == "docker-v1" {
        let images = archive::images(folder, archive::Format::DockerV1)?;
        let found = |image: crate::engines::image::Image| {
            (image.id, Found { tags: image.tags, diff_ids: image.diff_ids })
        };
        return Ok(images.into_iter().map(found).collect());
    }
    let mut unpacked = Unpacked::new(folder)?;
    unpacked.blobs()?;
    let index = unpacked.by_index()?;
    if format == "oci-archive" {
        return Ok(index);
    }
    let manifest = unpacked.by_manifest_json()?;
    if manifest.keys().ne(index.keys()) {
        return Err("index.json and manifest.json name different images".into());
    }
    Ok(manifest)
}

impl Unpacked {
    fn new(folder: &Path) -> Outcome<Self> {
        let script = "cd \"$0\" && find . -type f -print0 | xargs -0 -r sha256sum -b -z --";
        let listed = bytes(program("sh", ["-c", script]).arg(folder))?;
        let mut digests = BTreeMap::new();
        for line in listed.split(|&byte| byte == 0) {
            if let Some((digest, path)) = line.split_at_checked(64) {
                let path = Path::new(OsStr::from_bytes(path.get(4..).unwrap_or_default()));
                digests.insert(path.to_owned(), String::from_utf8_lossy(digest).into_owned());
            }
        }
        Ok(Unpacked { folder: folder.to_owned(), digests, plain: BTreeMap::new() })
    }

    /// Every blob hashes to its name.
    fn blobs(&self) -> Outcome {
        for (path, digest) in &self.digests {
            if path.starts_with("blobs/sha256") && path.file_name() != Some(OsStr::new(digest)) {
                return Err(format!("{} hashes to {digest}", path.display()).into());
            }
        }
        Ok(())
    }

    fn json(&self, path: &Path) -> Outcome<Value> {
        let bytes =
            fs::read(self.folder.join(path)).map_err(|error| format!("{}: {error}", path.display()))?;
        // Engines take bytes that are not UTF-8.
        let text = String::from_utf8_lossy(&bytes);
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    fn digest(&self, path: &Path) -> Outcome<String> {
        let digest = self.digests.get(path).ok_or_else(|| format!("{} is missing", path.display()))?;
        Ok(digest.clone())
    }

    /// The digest of a layer's tar.
    fn diff_id(&mut self, path: &Path) -> Outcome<String> {
        if let Some(known) = self.plain.get(path) {
            return Ok(known.clone());
        }
        let file = self.folder.join(path);
        let mut magic = Vec::new();
        File::open(&file)?.take(4).read_to_end(&mut magic)?;
        let tool = match &*magic {
            [0x1f, 0x8b, ..] => "gzip",
            [0x28, 0xb5, 0x2f, 0xfd] => "zstd",
            _ => return self.digest(path),
        };
        let script = "set -eo pipefail; $1 -dc < \"$0\" | sha256sum -b";
        let line = text(program("bash", ["-c", script]).arg(&file).arg(tool))?;
        let digest: String = line.chars().take(64).collect();
        self.plain.insert(path.to_owned(), digest.clone());
        Ok(digest)
    }

    /// Adds an image whose layers have to be those of its config.
    fn add(&mut self, images: &mut Images, config: &Path, layers: &[PathBuf], tags: Vec<String>) -> Outcome {
        let id = self.digest(config)?;
        let diff_ids = layers.iter().map(|path| self.diff_id(path)).collect::<Outcome<Vec<_>>>()?;
        let document = self.json(config)?;
        let named: Vec<String> = strings(&document["rootfs"]["diff_ids"]).map(hex).collect();
        if named != diff_ids {
            return Err(format!("the layers of {id} are not those of its config").into());
        }
        images.entry(id).or_insert(Found { tags: BTreeSet::new(), diff_ids }).tags.extend(tags);
        Ok(())
    }

    fn by_manifest_json(&mut self) -> Outcome<Images> {
        let mut images = Images::new();
        for image in list(&self.json(Path::new("manifest.json"))?) {
            let config = image["Config"].as_str().unwrap_or_default().to_owned();
            let layers: Vec<PathBuf> = strings(&image["Layers"]).map(PathBuf::from).collect();
            let tags = strings(&image["RepoTags"]).map(familiar).collect();
            self.add(&mut images, Path::new(&config), &layers, tags)?;
        }
        Ok(images)
    }

    fn by_index(&mut self) -> Outcome<Images> {
        let mut images = Images::new();
        for descriptor in list(&self.json(Path::new("index.json"))?["manifests"]) {
            let notes = &descriptor["annotations"];
            let name = [&notes["io.containerd.image.name"], &notes["org.opencontainers.image.ref.name"]];
            let tag = name.into_iter().find_map(Value::as_str).map(familiar);
            self.below(&mut images, descriptor, tag.as_deref())?;
        }
        Ok(images)
    }

    /// Adds the image of a descriptor, or those of an index.
    fn below(&mut self, images: &mut Images, descriptor: &Value, tag: Option<&str>) -> Outcome {
        let manifest = self.json(&self.blob(descriptor)?)?;
        if manifest["manifests"].is_array() {
            for member in list(&manifest["manifests"]) {
                // An attestation.
                if member["platform"]["os"] != "unknown" {
                    self.below(images, member, tag)?;
                }
            }
            return Ok(());
        }
        // Signatures and other artifacts stay in an OCI layout as what they are.
        if !manifest["config"]["mediaType"].as_str().is_some_and(|kind| kind.contains("image")) {
            return Ok(());
        }
        let config = self.blob(&manifest["config"])?;
        if self.json(&config)?["rootfs"].is_null() {
            return Ok(());
        }
        let layers: Vec<PathBuf> =
            list(&manifest["layers"]).iter().map(|layer| self.blob(layer)).collect::<Outcome<_>>()?;
        self.add(images, &config, &layers, tag.map(str::to_owned).into_iter().collect())
    }

    /// The file of a descriptor, which has the size that is named.
    fn blob(&self, descriptor: &Value) -> Outcome<PathBuf> {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        let path = PathBuf::from(format!("blobs/{}", digest.replace(':', "/")));
        let len = fs::metadata(self.folder.join(&path)).map_err(|error| format!("{digest}: {error}"))?.len();
        if descriptor["size"].as_u64() == Some(len) {
            Ok(path)
        } else {
            Err(format!("{digest} has {len} bytes, not {}", descriptor["size"]).into())
        }
    }
}

/// What differs between the images that should have come out and those that did.
pub(crate) fn difference(expected: &Images, found: &Images) -> Option<String> {
    for (id, image) in expected {
        match found.get(id) {
            None => return Some("an image is missing".to_owned()),
            Some(other) if other.diff_ids != image.diff_ids => {
                return Some("an image has other layers".to_owned());
            }
            Some(_) => {}
        }
    }
    let extra = found.keys().any(|id| !expected.contains_key(id));
    extra.then(|| "there is an image that was not there".to_owned())
}

/// Empties a folder, or makes it.
pub(crate) fn fresh(folder: &Path) -> Outcome {
    run(program("rm", ["-rf", "--"]).arg(folder))?;
    Ok(fs::create_dir_all(folder)?)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    list(value).iter().filter_map(Value::as_str)
}
