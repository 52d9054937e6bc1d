//! Indexes and manifests of image layouts and archives, as far as they are needed.
//!
//! ```text
//! index.json     {"schemaVersion":2,"manifests":[{"mediaType":…,"digest":"sha256:…","size":9488,
//!                 "platform":{"architecture":"amd64","os":"linux"},"annotations":{…}}]}
//! a manifest     {"schemaVersion":2,"config":{…},"layers":[{…},…]}
//! ```
//!
//! (OCI image specification 1.1; Docker registry manifest schema 2.)

use std::collections::BTreeMap;

use layerlift_archive::Digest;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::{Platform, json};

/// Names of these documents in a layout or an archive.
pub(super) const INDEX: &str = "index.json";
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const LAYOUT: &str = "oci-layout";

/// The media types of an index.
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A reference to a blob.
#[derive(Debug, Clone)]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    /// `None` if it is unknown.
    pub(super) size: Option<u64>,
    pub(super) platform: Option<Platform>,
    /// The index that has it; `None` if `index.json` has it, or what takes its place.
    pub(super) within: Option<Digest>,
    /// `io.containerd.image.name`
    pub(super) image_name: Option<String>,
    /// `org.opencontainers.image.ref.name`
    pub(super) ref_name: Option<String>,
    pub(super) urls: Vec<String>,
    /// The parts of it that cannot be read.
    pub(super) odd: Vec<Odd>,
}

impl Descriptor {
    /// Whether its media type is one of an index.
    pub(super) fn is_index(&self) -> bool {
        [OCI_INDEX, MANIFEST_LIST].contains(&&*self.media_type)
    }

    /// Of a manifest that is not in an index.
    pub(super) fn of_manifest(digest: Digest, json: &[u8]) -> Self {
        Self {
            media_type: String::new(),
            digest,
            size: Some(json.len() as u64),
            platform: None,
            within: None,
            image_name: None,
            ref_name: None,
            urls: Vec::new(),
            odd: Vec::new(),
        }
    }
}

/// A member whose value is not what it should be.
#[derive(Debug, Clone)]
pub(super) struct Odd {
    pub(super) why: String,
    /// Whether a name can be lost with it.
    pub(super) names: bool,
}

/// A line of an index that leads to nothing.
#[derive(Debug)]
pub(super) struct BadLine {
    pub(super) why: String,
    /// The name that it has nevertheless.
    pub(super) name: Option<String>,
}

/// What an index can name.
#[derive(Debug)]
pub(super) enum Parsed {
    /// An index or a Docker manifest list.
    Index(Vec<Result<Descriptor, BadLine>>),
    Manifest(Box<ImageManifest>),
    /// Something else that a registry keeps, such as a signature or a chart.
    Artifact(Box<ArtifactManifest>),
    /// The manifest of an image of Docker until 1.9. It has neither config nor diff ids.
    Schema1,
    /// What a manifest must have is not in it: a config, or the type of an artifact.
    Neither,
}

/// The manifest of what is not an image.
#[derive(Debug)]
pub(super) struct ArtifactManifest {
    /// Its type.
    pub(super) kind: String,
    /// All that it names. A part that cannot be parsed is the reason why.
    pub(super) blobs: Vec<Result<Descriptor, String>>,
}

/// The manifest of an image.
#[derive(Debug)]
pub(super) struct ImageManifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct RawBlob<'a> {
    #[serde(rename = "schemaVersion")]
    version: Option<u64>,
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    #[serde(rename = "artifactType")]
    artifact_type: Option<String>,
    #[serde(borrow)]
    manifests: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    config: Option<&'a RawValue>,
    #[serde(borrow)]
    layers: Option<Vec<&'a RawValue>>,
    /// Of an OCI artifact manifest, which specifications had before 1.1.
    #[serde(borrow)]
    blobs: Option<Vec<&'a RawValue>>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct RawDescriptor<'a> {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    digest: String,
    size: u64,
    #[serde(borrow)]
    platform: Option<&'a RawValue>,
    annotations: Option<BTreeMap<String, String>>,
    urls: Option<Vec<String>>,
}

/// A descriptor in an index, of which nothing but the digest is needed.
#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(rename = "mediaType", borrow)]
    media_type: Option<&'a RawValue>,
    #[serde(borrow)]
    digest: Option<&'a RawValue>,
    #[serde(borrow)]
    size: Option<&'a RawValue>,
    #[serde(borrow)]
    platform: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    urls: Option<&'a RawValue>,
}

/// The type of the config of a build cache (`--cache-to type=local`). BuildKit lists it with its layers in an
/// index, or names it as the config of a manifest.
pub(super) const BUILDKIT_CACHE: &str = "application/vnd.buildkit.cacheconfig.v0";

/// Types of configs that only images have.
const CONFIGS: &[&str] = &[
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    // containers/image before 2017 wrote this for no type.
    "application/octet-stream",
    "",
];
/// Types of manifests that only images and artifacts with a config have.
const MANIFESTS: &[&str] = &[
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "",
];
/// The most layers that an image may have. Docker refuses more than 127.
pub(super) const LAYERS: usize = 4096;
/// The most names that an archive or a layout may have.
const NAMES: usize = 1 << 15;

/// How a blob that has a SHA-512 digest is known here: see [`crate::archive::Files::by_sha512`].
pub(super) type Sha512<'a> = &'a dyn Fn(&str) -> Digest;

/// Parses `index.json`, another index, or a manifest.
pub(super) fn parse(bytes: &[u8], sha512: Sha512<'_>) -> Result<Parsed, String> {
    let descriptor = |raw| descriptor(raw, sha512);
    let document: RawBlob<'_> = json::object(bytes)?;
    if let Some(manifests) = document.manifests {
        let line = |raw: &RawValue| self::descriptor(raw, sha512).or_else(|_| lenient(raw, sha512));
        let lines: Vec<Result<Descriptor, BadLine>> = manifests.into_iter().map(line).collect();
        if lines.iter().flatten().any(|line| line.media_type == BUILDKIT_CACHE) {
            return Ok(Parsed::Artifact(Box::new(ArtifactManifest {
                kind: BUILDKIT_CACHE.to_owned(),
                blobs: lines.into_iter().map(|line| line.map_err(|bad| bad.why)).collect(),
            })));
        }
        return Ok(Parsed::Index(lines));
    }
    check_layers(document.layers.as_ref().map_or(0, Vec::len))?;
    let layers = document.layers.into_iter().chain(document.blobs).flatten().map(descriptor);
    let Some(config) = document.config else {
        if document.version == Some(1) || document.fs_layers.is_some() {
            return Ok(Parsed::Schema1);
        }
        let not_of_image = document.media_type.filter(|of| !MANIFESTS.contains(&of.as_str()));
        let Some(kind) = document.artifact_type.or(not_of_image) else { return Ok(Parsed::Neither) };
        return Ok(Parsed::Artifact(Box::new(ArtifactManifest { kind, blobs: layers.collect() })));
    };
    let config = descriptor(config).map_err(|why| format!("in config, {why}"));
    let artifact = |kind, config, layers| {
        let blobs = [config].into_iter().chain(layers).collect();
        Ok(Parsed::Artifact(Box::new(ArtifactManifest { kind, blobs })))
    };
    if let Ok(of_type) = &config
        && !CONFIGS.contains(&of_type.media_type.as_str())
    {
        let kind = document.artifact_type.unwrap_or_else(|| of_type.media_type.clone());
        return artifact(kind, config, layers.collect::<Vec<_>>());
    }
    let config = config?;
    let layers = layers.collect::<Result<Vec<_>, _>>().map_err(|why| format!("in layers, {why}"))?;
    if let [first, ..] = &*layers
        && !layers.iter().any(|layer| is_tar(&layer.media_type))
    {
        let kind = document.artifact_type.unwrap_or_else(|| first.media_type.clone());
        return artifact(kind, Ok(config), layers.into_iter().map(Ok).collect());
    }
    Ok(Parsed::Manifest(Box::new(ImageManifest { config, layers })))
}

/// Whether a layer of this type is a file system, as far as its type tells. Signatures, attestations and
/// SBOMs have the config of an image, but layers of other types.
fn is_tar(media_type: &str) -> bool {
    const WORDS: [&str; 6] = ["", "tar", "gzip", "zstd", "octet-stream", "x-tar"];
    media_type.split(['/', '.', '+', ';']).any(|word| WORDS.contains(&word))
}

/// Whether a config says nothing of an image: `{}`, as tools write it that need a config and have none.
pub(super) fn is_empty_config(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Members {
        architecture: Option<IgnoredAny>,
        config: Option<IgnoredAny>,
        created: Option<IgnoredAny>,
        history: Option<IgnoredAny>,
        os: Option<IgnoredAny>,
        rootfs: Option<IgnoredAny>,
    }
    json::object(bytes).is_ok_and(|members: Members| {
        let Members { architecture, config, created, history, os, rootfs } = members;
        [architecture, config, created, history, os, rootfs].iter().all(Option::is_none)
    })
}

/// Whether an index says that it has no list: `"manifests":null`.
pub(super) fn has_null_list(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow)]
        manifests: &'a RawValue,
    }
    json::object::<List<'_>>(bytes).is_ok_and(|list| list.manifests.get() == "null")
}

/// The lines of an index, byte for byte.
pub(super) fn lines(bytes: &[u8]) -> Vec<&RawValue> {
    let document: Result<RawBlob<'_>, _> = json::object(bytes);
    document.ok().and_then(|document| document.manifests).unwrap_or_default()
}

pub(super) fn descriptor(raw: &RawValue, sha512: Sha512<'_>) -> Result<Descriptor, String> {
    let raw: RawDescriptor<'_> = json::object(raw.get().as_bytes())?;
    let platform = raw.platform.filter(|platform| platform.get() != "null");
    let platform = platform.map(|platform| Platform::from_json(platform.get().as_bytes()));
    let mut annotations = raw.annotations.unwrap_or_default();
    // An empty name says as little as an absent one.
    annotations.retain(|_, value| !value.is_empty());
    Ok(Descriptor {
        media_type: raw.media_type.unwrap_or_default(),
        digest: digest(&raw.digest, sha512)?,
        size: Some(raw.size),
        platform: platform.transpose().map_err(|why| format!("in platform, {why}"))?,
        within: None,
        image_name: annotations.remove("io.containerd.image.name"),
        ref_name: annotations.remove("org.opencontainers.image.ref.name"),
        urls: raw.urls.unwrap_or_default(),
        odd: Vec::new(),
    })
}

/// A line of an index of which some member cannot be read. Its digest proves the blob all the same.
fn lenient(raw: &RawValue, sha512: Sha512<'_>) -> Result<Descriptor, BadLine> {
    let within = |why: String| format!("in manifests, {why}");
    let nameless = |why| BadLine { why: within(why), name: None };
    let line: RawLine<'_> = json::object(raw.get().as_bytes()).map_err(nameless)?;
    let mut odd = Vec::new();
    let annotations = member::<BTreeMap<String, &RawValue>>("annotations", line.annotations);
    let annotations = annotations.unwrap_or_else(|why| {
        odd.push(Odd { why: within(why), names: true });
        None
    });
    let annotations = annotations.unwrap_or_default();
    let mut name = |key: &str| {
        member::<String>(key, annotations.get(key).copied())
            .unwrap_or_else(|why| {
                odd.push(Odd { why: within(format!("the annotation {why}")), names: true });
                None
            })
            .filter(|name| !name.is_empty())
    };
    let image_name = name("io.containerd.image.name");
    let ref_name = name("org.opencontainers.image.ref.name");
    let mut note = |why| odd.push(Odd { why: within(why), names: false });
    let digest = member::<String>("digest", line.digest)
        .and_then(|text| text.ok_or_else(|| "it has no digest".to_owned()))
        .and_then(|text| digest(&text, sha512));
    let digest = match digest {
        Ok(digest) => digest,
        Err(why) => return Err(BadLine { why: within(why), name: image_name.or(ref_name) }),
    };
    let size = member("size", line.size).unwrap_or_else(|why| {
        note(why);
        None
    });
    let media_type = member("mediaType", line.media_type).unwrap_or_else(|why| {
        note(why);
        None
    });
    let platform = line.platform.filter(|platform| platform.get() != "null");
    let platform = platform.map(|platform| Platform::from_json(platform.get().as_bytes()));
    let platform = platform.transpose().unwrap_or_else(|why| {
        note(format!("in platform, {why}"));
        None
    });
    let urls = member("urls", line.urls).unwrap_or_else(|why| {
        note(why);
        None
    });
    let (media_type, urls): (Option<String>, Option<Vec<String>>) = (media_type, urls);
    Ok(Descriptor {
        media_type: media_type.unwrap_or_default(),
        digest,
        size,
        platform,
        within: None,
        image_name,
        ref_name,
        urls: urls.unwrap_or_default(),
        odd,
    })
}

/// A member that may be absent or `null`.
pub(super) fn member<'de, T: Deserialize<'de>>(
    name: &str,
    value: Option<&'de RawValue>,
) -> Result<Option<T>, String> {
    let Some(value) = value else { return Ok(None) };
    json::parse::<Option<T>>(value.get().as_bytes()).map_err(|why| match why.strip_prefix("it is ") {
        Some(is) => format!("{name} is {is}"),
        None => format!("{name}{why}"),
    })
}

fn digest(text: &str, sha512: Sha512<'_>) -> Result<Digest, String> {
    let is_hex =
        |hex: &&str| hex.len() == 128 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match text.strip_prefix("sha512:").filter(is_hex) {
        Some(hex) => Ok(sha512(hex)),
        None => text.parse().map_err(|error| format!("{error}")),
    }
}

/// Refuses more layers than any engine gives an image.
pub(super) fn check_layers(count: usize) -> Result<(), String> {
    if count > LAYERS { Err(format!("it names {count} layers, more than {LAYERS}")) } else { Ok(()) }
}

/// Refuses more names than fit into memory that a reader should need.
pub(super) fn check_names(count: usize) -> Result<(), String> {
    if count > NAMES { Err(format!("it has {count} names, more than {NAMES}")) } else { Ok(()) }
}

/// Parses `oci-layout`: its version.
pub(super) fn layout_version(bytes: &[u8]) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Layout {
        #[serde(rename = "imageLayoutVersion")]
        version: String,
    }
    json::object(bytes).map(|layout: Layout| layout.version)
}
