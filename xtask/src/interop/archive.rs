//! Reads an archive with nothing but tar and sha256sum, and compares what its documents say with what it
//! holds.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Outcome;
use crate::engines::image::{Image, familiar, hex, sha256};
use crate::engines::process::{program, run, text};

/// The formats that layerlift writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Format {
    DockerArchive,
    DockerV1,
    OciArchive,
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::DockerArchive => "docker-archive",
            Format::DockerV1 => "docker-v1",
            Format::OciArchive => "oci-archive",
        }
    }
}

/// Unpacks an archive into a new folder.
pub(crate) fn unpack(archive: &Path, folder: &Path) -> Outcome {
    fs::create_dir_all(folder)?;
    run(program("tar", ["-xf"]).arg(archive).arg("-C").arg(folder))
}

/// The images in an unpacked archive. Every digest is checked.
pub(crate) fn images(folder: &Path, format: Format) -> Outcome<Vec<Image>> {
    match format {
        Format::DockerArchive => {
            blobs(folder)?;
            let images = by_manifest_json(folder)?;
            let also = by_index(folder)?;
            same(&images, &also, Alike::default())
                .map_err(|error| format!("index.json and manifest.json differ: {error}"))?;
            Ok(images)
        }
        Format::DockerV1 => by_repositories(folder),
        Format::OciArchive => {
            blobs(folder)?;
            by_index(folder)
        }
    }
}

/// The images of `manifest.json`, which docker, podman and skopeo read.
pub(crate) fn by_manifest_json(folder: &Path) -> Outcome<Vec<Image>> {
    let manifest = json(&folder.join("manifest.json"))?;
    let mut images = Vec::new();
    for image in array(&manifest) {
        let layers = strings(&image["Layers"]).map(|layer| uncompressed(&inside(folder, layer)?));
        let config = inside(folder, string(&image["Config"])?)?;
        let found = Image {
            id: sha256(&config)?,
            tags: strings(&image["RepoTags"]).map(familiar).collect(),
            diff_ids: layers.collect::<Outcome<_>>()?,
        };
        let named: Vec<String> = strings(&json(&config)?["rootfs"]["diff_ids"]).map(hex).collect();
        if named != found.diff_ids {
            return Err(format!("the layers of {} are not those that its config names", found.id).into());
        }
        images.push(found);
    }
    Ok(images)
}

/// The files of an image's layers, which `manifest.json` names.
pub(crate) fn layers(folder: &Path, tag: &str) -> Outcome<Vec<PathBuf>> {
    let manifest = json(&folder.join("manifest.json"))?;
    let mut images = array(&manifest).iter();
    let image = images.find(|image| strings(&image["RepoTags"]).any(|name| familiar(name) == tag));
    let image = image.ok_or_else(|| format!("manifest.json does not name {tag}"))?;
    strings(&image["Layers"]).map(|layer| inside(folder, layer)).collect()
}

/// The images of an OCI layout.
pub(crate) fn by_index(folder: &Path) -> Outcome<Vec<Image>> {
    if json(&folder.join("oci-layout"))?["imageLayoutVersion"] != "1.0.0" {
        return Err("oci-layout does not say version 1.0.0".into());
    }
    let mut images: Vec<Image> = Vec::new();
    for (descriptor, manifest) in manifests(folder)? {
        let id = hex(string(&manifest["config"]["digest"])?);
        let config = json(&blob(folder, &manifest["config"])?)?;
        let mut diff_ids = Vec::new();
        for layer in array(&manifest["layers"]) {
            let path = blob(folder, layer)?;
            let (media_type, found) = (string(&layer["mediaType"])?, compression(&path)?);
            if media_type.rsplit(['+', '.']).next() != Some(found) {
                return Err(format!("{} is {found}, its media type is {media_type}", path.display()).into());
            }
            diff_ids.push(uncompressed(&path)?);
        }
        if strings(&config["rootfs"]["diff_ids"]).map(hex).collect::<Vec<_>>() != diff_ids {
            return Err(format!("the layers of {id} are not those that its config names").into());
        }
        let notes = &descriptor["annotations"];
        let name = [&notes["io.containerd.image.name"], &notes["org.opencontainers.image.ref.name"]];
        let tag = name.into_iter().find_map(Value::as_str).map(familiar);
        match images.iter_mut().find(|image| image.id == id) {
            Some(image) => image.tags.extend(tag),
            None => images.push(Image { id, tags: tag.into_iter().collect(), diff_ids }),
        }
    }
    Ok(images)
}

/// The manifests of images, each with the line of `index.json` that leads to it, through an index or not.
fn manifests(folder: &Path) -> Outcome<Vec<(Value, Value)>> {
    let mut found = Vec::new();
    for line in array(&json(&folder.join("index.json"))?["manifests"]) {
        let document = json(&blob(folder, line)?)?;
        if !document["manifests"].is_array() {
            found.push((line.clone(), document));
            continue;
        }
        // Attestations are for the platform "unknown".
        let images = array(&document["manifests"]).iter().filter(|one| one["platform"]["os"] != "unknown");
        for member in images {
            found.push((line.clone(), json(&blob(folder, member)?)?));
        }
    }
    Ok(found)
}

/// The digests of the manifests in `index.json`.
pub(crate) fn manifest_digests(folder: &Path) -> Outcome<Vec<String>> {
    let index = json(&folder.join("index.json"))?;
    array(&index["manifests"])
        .iter()
        .map(|descriptor| string(&descriptor["digest"]).map(str::to_owned))
        .collect()
}

/// The same, and those of the manifests in its indexes.
pub(crate) fn all_manifest_digests(folder: &Path) -> Outcome<Vec<String>> {
    let mut digests = manifest_digests(folder)?;
    for line in array(&json(&folder.join("index.json"))?["manifests"]) {
        let document = json(&blob(folder, line)?)?;
        let members = array(&document["manifests"]).iter();
        digests.extend(members.filter_map(|one| one["digest"].as_str()).map(str::to_owned));
    }
    Ok(digests)
}

/// The digests of the OCI manifests in `index.json`. Manifests in Docker's format are left out: as a source,
/// a layout with them is not kept as it is.
pub(crate) fn oci_manifest_digests(folder: &Path) -> Outcome<Vec<String>> {
    let index = json(&folder.join("index.json"))?;
    let manifests = array(&index["manifests"]).iter().filter(|one| is_oci(one));
    manifests.map(|descriptor| string(&descriptor["digest"]).map(str::to_owned)).collect()
}

fn is_oci(descriptor: &Value) -> bool {
    descriptor["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
}

/// The media types of all layers of an OCI layout.
pub(crate) fn media_types(folder: &Path) -> Outcome<BTreeSet<String>> {
    let mut types = BTreeSet::new();
    for (_, manifest) in manifests(folder)? {
        types.extend(
            array(&manifest["layers"])
                .iter()
                .filter_map(|layer| layer["mediaType"].as_str())
                .map(str::to_owned),
        );
    }
    Ok(types)
}

/// The id and the `org.opencontainers.image.ref.name` of each image in an OCI layout whose name is unique.
/// skopeo, Podman, Buildah and umoci do not find a manifest in Docker's format by its name, so those with one
/// are left out.
pub(crate) fn ref_names(folder: &Path) -> Outcome<Vec<(String, String)>> {
    let id = |manifest: &Value| string(&manifest["config"]["digest"]).map(hex);
    named(folder)?.into_iter().map(|(name, manifest)| Ok((id(&manifest)?, name))).collect()
}

/// The names of those whose layers have types of OCI. umoci unpacks no others, and Docker makes them: `docker
/// commit` of an image that was loaded writes an OCI manifest with layers of Docker's types (26, 28).
pub(crate) fn oci_layers_names(folder: &Path) -> Outcome<Vec<String>> {
    let docker = |layer: &Value| layer["mediaType"].as_str().is_some_and(|kind| kind.contains("docker"));
    let named = named(folder)?.into_iter();
    Ok(named
        .filter(|(_, manifest)| !array(&manifest["layers"]).iter().any(docker))
        .map(|(name, _)| name)
        .collect())
}

/// Unique names, and the OCI manifests that have them.
fn named(folder: &Path) -> Outcome<Vec<(String, Value)>> {
    let index = json(&folder.join("index.json"))?;
    let name = |descriptor: &Value| {
        descriptor["annotations"]["org.opencontainers.image.ref.name"].as_str().map(str::to_owned)
    };
    let descriptors = array(&index["manifests"]);
    let mut names = Vec::new();
    for descriptor in descriptors.iter().filter(|one| is_oci(one)) {
        let Some(own) = name(descriptor) else { continue };
        if descriptors.iter().filter(|other| name(other).as_ref() == Some(&own)).count() == 1 {
            names.push((own, json(&blob(folder, descriptor)?)?));
        }
    }
    Ok(names)
}

/// The images of docker-v1: a folder for each layer, named by its id; `repositories` names the top layers.
/// The ids are not digests of configs.
fn by_repositories(folder: &Path) -> Outcome<Vec<Image>> {
    let mut tops: Vec<(String, BTreeSet<String>)> = Vec::new();
    let mut parents = BTreeSet::new();
    let repositories = folder.join("repositories");
    if repositories.exists() {
        for (repository, tags) in json(&repositories)?.as_object().into_iter().flatten() {
            for (tag, id) in tags.as_object().into_iter().flatten() {
                let (id, name) = (string(id)?.to_owned(), format!("{}:{tag}", familiar(repository)));
                match tops.iter_mut().find(|(top, _)| *top == id) {
                    Some((_, names)) => drop(names.insert(name)),
                    None => tops.push((id, BTreeSet::from([name]))),
                }
            }
        }
    }
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            parents.extend(json(&path.join("json"))?["parent"].as_str().map(str::to_owned));
            ids.push(id);
        }
    }
    // A layer that is not the parent of another is an image, with or without a name.
    ids.retain(|id| !parents.contains(id) && tops.iter().all(|(top, _)| top != id));
    tops.extend(ids.into_iter().map(|id| (id, BTreeSet::new())));
    let mut images = Vec::new();
    for (id, tags) in tops {
        let mut diff_ids = Vec::new();
        let mut next = Some(id.clone());
        while let Some(layer) = next {
            if fs::read_to_string(folder.join(&layer).join("VERSION"))? != "1.0" {
                return Err(format!("{layer}/VERSION is not 1.0").into());
            }
            diff_ids.insert(0, sha256(&folder.join(&layer).join("layer.tar"))?);
            let document = json(&folder.join(&layer).join("json"))?;
            if document["id"] != layer {
                return Err(format!("{layer}/json has another id").into());
            }
            next = document["parent"].as_str().map(str::to_owned);
        }
        images.push(Image { id, tags, diff_ids });
    }
    Ok(images)
}

/// What may differ between two lists of images.
#[derive(Clone, Copy, Default)]
pub(crate) struct Alike {
    /// The ids: an older format has others, and some tools rewrite configs.
    pub(crate) other_ids: bool,
    /// The tags: the reader got one image at a time.
    pub(crate) other_tags: bool,
}

/// Compares two lists of images, in any order.
pub(crate) fn same(expected: &[Image], found: &[Image], alike: Alike) -> Outcome {
    let plain = |images: &[Image]| {
        let mut images = images.to_vec();
        for image in &mut images {
            if alike.other_ids {
                image.id.clear();
            }
            if alike.other_tags {
                image.tags.clear();
            }
        }
        images.sort_by(|a, b| (&a.id, &a.diff_ids, &a.tags).cmp(&(&b.id, &b.diff_ids, &b.tags)));
        images.dedup_by(|other, kept| {
            // Where ids mean nothing, images with the same layers count as one, because some formats cannot
            // tell them apart.
            let one = (&other.id, &other.diff_ids) == (&kept.id, &kept.diff_ids)
                && (alike.other_ids || other.tags == kept.tags);
            if one {
                kept.tags.append(&mut other.tags);
            }
            one
        });
        images
    };
    let (expected, found) = (plain(expected), plain(found));
    let missing = expected.iter().find(|image| !found.contains(image));
    let extra = found.iter().find(|image| !expected.contains(image));
    match (missing, extra) {
        (None, None) => Ok(()),
        (missing, extra) => Err(format!("expected {}, found {}", shown(missing), shown(extra)).into()),
    }
}

fn shown(image: Option<&Image>) -> String {
    let Some(image) = image else { return "nothing else".to_owned() };
    let layers = image.diff_ids.iter().map(|id| id.chars().take(8).collect::<String>()).collect::<Vec<_>>();
    let tags = image.tags.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    format!("{:.12} [{tags}] of {} layers {}", image.id, layers.len(), layers.join(" "))
}

/// Checks that every blob hashes to its name.
fn blobs(folder: &Path) -> Outcome {
    let blobs = folder.join("blobs/sha256");
    for line in text(program("sh", ["-c", "cd \"$0\" && sha256sum -b -- *"]).arg(&blobs))?.lines() {
        match line.split_once(" *") {
            Some((digest, name)) if digest == name => {}
            _ => return Err(format!("a blob does not hash to its name: {line}").into()),
        }
    }
    Ok(())
}

/// The file of a descriptor. Its size is checked.
fn blob(folder: &Path, descriptor: &Value) -> Outcome<PathBuf> {
    let path = inside(folder, &format!("blobs/sha256/{}", hex(string(&descriptor["digest"])?)))?;
    let len = fs::metadata(&path)?.len();
    if descriptor["size"].as_u64() == Some(len) {
        Ok(path)
    } else {
        Err(format!("{} has {len} bytes, not {}", path.display(), descriptor["size"]).into())
    }
}

/// The compression of a layer, as the suffix of a media type.
fn compression(path: &Path) -> Outcome<&'static str> {
    let mut first = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut first)?;
    Ok(match &*first {
        [0x1f, 0x8b, ..] => "gzip",
        [0x28, 0xb5, 0x2f, 0xfd] => "zstd",
        _ => "tar",
    })
}

/// The digest of a layer's tar.
fn uncompressed(path: &Path) -> Outcome<String> {
    let decompress = compression(path)?;
    if decompress == "tar" {
        return sha256(path);
    }
    let script = "set -eo pipefail; $1 -dc < \"$0\" | sha256sum -b";
    Ok(text(program("bash", ["-c", script]).arg(path).arg(decompress))?.chars().take(64).collect())
}

/// A path in an archive. One that leads out of it is an error.
fn inside(folder: &Path, path: &str) -> Outcome<PathBuf> {
    let found = folder.join(path).canonicalize().map_err(|error| format!("{path}: {error}"))?;
    if found.starts_with(folder.canonicalize()?) {
        Ok(found)
    } else {
        Err(format!("{path} leads out of the archive").into())
    }
}

fn json(path: &Path) -> Outcome<Value> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    // Engines take bytes that are not UTF-8.
    let text = String::from_utf8_lossy(&bytes);
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn string(value: &Value) -> Outcome<&str> {
    value.as_str().ok_or_else(|| format!("expected a string, found {value}").into())
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    array(value).iter().filter_map(Value::as_str)
}
