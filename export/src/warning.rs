//! What is worth knowing about an export that succeeds.

use layerlift_archive::Digest;
use layerlift_store::{DiffId, ImageId, Notice, Reference};
use serde::Serialize;

use crate::bundle::as_text;
use crate::salvage::report::{FileResult, Salvaged, SalvagedFile, SalvagedLayer};

/// Something that an archive cannot give as the store has it.
///
/// `Display` says it in a sentence. Serialized, it is an object of its fields, and of `kind`: the variant's
/// name in kebab-case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// Engines of today refuse the name, and with it the archive.
    #[error("the name {name} is left out: {why}")]
    NameLeftOut {
        /// The name, as the store has it.
        #[serde(serialize_with = "as_text")]
        name: Reference,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// Nothing says for which platform the image of a container is.
    #[error("{what}: nothing says for which platform it is; it is marked as one for {platform}")]
    GuessedPlatform {
        /// "the image of container web".
        what: String,
        /// The platform of this machine.
        platform: String,
    },
    /// A container lies on other layers than those of the image that its record names.
    #[error(
        "container {container}: its record names image {recorded}, but it lies on other layers, {}",
        match found {
            Some(found) => format!("those of image {found}, which is taken for its image"),
            None => "which no image has; they are taken without the history of an image".to_owned(),
        }
    )]
    OtherImage {
        /// Its name.
        container: String,
        /// The id of the image that the record names.
        recorded: String,
        /// The id of the image that has the layers.
        found: Option<String>,
    },
    /// The image of a container was removed, and of layers below it only files are left.
    #[error(
        "container {container}: its image was removed, and no digest is recorded of {}; {} from what was \
         unpacked",
        match count { 1 => "a layer below it".to_owned(), count => format!("{count} layers below it") },
        match count { 1 => "it is made again", _ => "they are made again" }
    )]
    LayersComputed {
        /// Its name.
        container: String,
        /// How many.
        count: usize,
    },
    /// The record of a container is damaged. What it does not say is that of its image, or missing.
    #[error("{what} lacks settings that only this record had: {why}")]
    RecordDamaged {
        /// "the image of container web".
        what: String,
        /// What is wrong with the record.
        why: String,
    },
    /// Nothing says how a container was run, or only what its runtime was given.
    #[error(
        "container {container}: {}; {}",
        match lacks {
            Some(file) => format!("{file} does not have how it was run"),
            None => "its engine's settings are not in the store".to_owned(),
        },
        match from_runtime {
            true => "environment, command, user and directory are those with which it was last started \
                     (userdata/config.json), and labels, ports, volumes and the stop signal are those of its \
                     image",
            false => "environment, command and all other settings are those of its image",
        }
    )]
    SettingsLost {
        /// Its name.
        container: String,
        /// The database that should have them; `None` if there is none, as for Buildah.
        lacks: Option<String>,
        /// Whether the specification of its last run is there.
        from_runtime: bool,
    },
    /// Several images have the name; the first of them keeps it.
    #[error("the name {name} stays with image {kept_by}; image {lost_by} loses it")]
    NameTaken {
        /// The name, as the archive has it.
        #[serde(serialize_with = "as_text")]
        name: Reference,
        /// The id of the image that keeps the name.
        kept_by: String,
        /// The id of the image that loses it.
        lost_by: String,
    },
    /// Docker and Podman do not find the name in an oci-archive: `manifest.json` cannot have it.
    #[error("the name {name} is in index.json only: {why}")]
    NameInIndexOnly {
        /// The name, as the store has it.
        #[serde(serialize_with = "as_text")]
        name: Reference,
        /// Why `manifest.json` does not have it.
        why: &'static str,
    },
    /// The tars of some layers are computed from directories, so their digests and the image id may not be
    /// kept: whether they are is known once that is done.
    #[error(
        "{image}: layer {layer}{} {lacks}: the tar is computed from the layer's directory; unless it has the \
         recorded digest, the image gets another id than {image_id}, known once the layer is computed",
        have(*others)
    )]
    DigestNotKept {
        /// The image's name, or its id.
        image: String,
        /// The image's id in the store.
        image_id: String,
        /// The first of these layers, by its id in the store.
        layer: String,
        /// How many more there are.
        others: usize,
        /// What they do not have: tar-split data, or such that could be used.
        lacks: &'static str,
    },
    /// The blobs of some layers are missing, and the layers are rebuilt from what was unpacked of them.
    #[error(
        "{image}: layer {layer}{} no blob and {} rebuilt from {}; unless {} the recorded digest, the image \
         gets another id than {image_id}, known once that is done",
        have(*others),
        if *others == 0 { "is" } else { "are" },
        if *others == 0 { "its snapshot" } else { "their snapshots" },
        if *others == 0 { "its tar has" } else { "all tars have" },
    )]
    LayersRebuilt {
        /// The image's name, or its id.
        image: String,
        /// The id of its config.
        #[serde(serialize_with = "as_text")]
        image_id: ImageId,
        /// The first of these layers.
        #[serde(serialize_with = "as_text")]
        layer: DiffId,
        /// How many more there are.
        others: usize,
    },
    /// Zeros follow the compressed stream of a layer's blob, as tapes leave them. Engines refuse such a blob,
    /// so it is written without them.
    #[error(
        "layer {layer}: {zeros} zero {} the end of its gzip stream, which engines refuse; it is written \
         without {}, so its blob gets another digest, known once it is read",
        if *zeros == 1 { "byte follows" } else { "bytes follow" },
        if *zeros == 1 { "it" } else { "them" }
    )]
    PaddingLeftOut {
        /// The layer, by its id in the store.
        layer: String,
        /// How many zeros.
        zeros: u64,
    },
    /// A layer's blob has another digest in the archive than in the store; its diff id is the same.
    #[error("layer {layer}: its blob is {new} in the archive, not {old}")]
    OtherBlobDigest {
        /// The layer, by its id in the store.
        layer: String,
        /// The digest in the store.
        #[serde(serialize_with = "as_text")]
        old: Digest,
        /// The digest in the archive.
        #[serde(serialize_with = "as_text")]
        new: Digest,
    },
    /// Some engines that read the format cannot read layers that are compressed so.
    #[error("{engines} cannot load layers that are compressed with {compression}")]
    LayersRefused {
        /// The compression.
        compression: &'static str,
        /// Which engines, in words.
        engines: &'static str,
    },
    /// The history in the config has entries for more layers than the image has.
    #[error(
        "Docker with a graph driver cannot load {image}: its history has {history} entries for {}",
        if *layers == 1 { "1 layer".to_owned() } else { format!("{layers} layers") }
    )]
    HistoryTooLong {
        /// The image's name, or its id.
        image: String,
        /// How many entries have a layer.
        history: usize,
        /// How many layers the image has.
        layers: usize,
    },
    /// The format cannot hold what is not an image.
    #[error(
        "{name} is left out: it is not an image but an artifact ({artifact}), which {format} cannot hold"
    )]
    ArtifactLeftOut {
        /// Its name, or its digest.
        name: String,
        /// Its type.
        artifact: String,
        /// The format.
        format: &'static str,
    },
    /// An artifact cannot be copied.
    #[error("artifact {name} is left out: {why}")]
    ArtifactNotCopied {
        /// Its name, or its digest.
        name: String,
        /// Why.
        why: String,
    },
    /// The store has images of an index for other platforms than the usual one; no platform was requested.
    #[error(
        "{image}: the store also has {} for {}, which {} left out",
        if platforms.len() == 1 { "its image" } else { "its images" },
        platforms.join(", "),
        if platforms.len() == 1 { "is" } else { "are" },
    )]
    PlatformsLeftOut {
        /// The name of the index, or its digest.
        image: String,
        /// The platforms, in the order of the index.
        platforms: Vec<String>,
    },
    /// An image has attestations or other artifacts that cannot go along.
    #[error(
        "{image}: {} of it {} left out: {why}",
        counted(*count),
        if *count == 1 { "is" } else { "are" }
    )]
    CompanionsLeftOut {
        /// The image's name, or its id.
        image: String,
        /// How many they are.
        count: usize,
        /// Why.
        why: String,
    },
    /// Something in the store is not as its engine writes it, and was read nevertheless.
    #[error("{path}: {what}")]
    Odd {
        /// The file.
        path: String,
        /// What is odd, and what was done.
        what: String,
    },
    /// A damaged layer came through a salvage.
    #[error("{what}")]
    Salvaged {
        /// The layer's id in the store.
        layer: String,
        /// What was wrong and what was done, in a sentence.
        what: String,
    },
    /// The image has another manifest in the archive than in the store, because layers of it change.
    #[error("{image}: the manifest is {new} in the archive, not {old}")]
    OtherManifest {
        /// The image's name, or its id.
        image: String,
        /// The digest in the store.
        #[serde(serialize_with = "as_text")]
        old: Digest,
        /// The digest in the archive.
        #[serde(serialize_with = "as_text")]
        new: Digest,
    },
    /// Docker since 1.10 opens every `layer.tar` of a docker-v1 archive.
    #[error(
        "Docker since 1.10 cannot load a docker-v1 archive from which layers are left out, even if it has \
         them; Docker up to 1.9 can"
    )]
    PartOfV1,
    /// The other side has layers that are left out as other blobs than the manifests name.
    #[error(
        "layer {layer}{} left out, but the other side has {} compressed in another way: Docker with a graph \
         driver loads the images; containerd, and Docker with its store, run them and cannot save or push \
         them; Podman loads them only if the layer is not compressed in the archive",
        if *others == 0 { " is".to_owned() } else { format!(" and {others} more are") },
        if *others == 0 { "it" } else { "them" },
    )]
    OtherBlobs {
        /// The first of these layers, by its id in the store.
        layer: String,
        /// How many more there are.
        others: usize,
    },
    /// The other side has a layer that is left out, but not on top of the same layers.
    #[error(
        "{image}: layer {layer}{} left out, but the other side has {} on top of other layers, where Docker \
         with a graph driver does not find {}",
        if *others == 0 { " is".to_owned() } else { format!(" and {others} more are") },
        if *others == 0 { "it" } else { "them" },
        if *others == 0 { "it" } else { "them" },
    )]
    OtherStack {
        /// The image's name, or its id.
        image: String,
        /// The first of these layers, by its id in the store.
        layer: String,
        /// How many more there are.
        others: usize,
    },
    /// Podman reads an archive with several entries by its `manifest.json`, which requires all layers.
    #[error(
        "Podman refuses a part with several images or names; save one image under one name, or join the \
         parts first"
    )]
    SeveralInPart,
    /// The image has another id in the archive than in the store.
    #[error("{image}: the image id is {new} in the archive, not {old}")]
    OtherImageId {
        /// The image's name, or its id.
        image: String,
        /// The id in the store.
        #[serde(serialize_with = "as_text")]
        old: ImageId,
        /// The id in the archive.
        #[serde(serialize_with = "as_text")]
        new: ImageId,
    },
}

impl From<&Notice> for Warning {
    fn from(notice: &Notice) -> Self {
        Warning::Odd { path: notice.path.display().to_string(), what: notice.what.clone() }
    }
}

fn counted(artifacts: usize) -> String {
    match artifacts {
        1 => "1 attestation".to_owned(),
        n => format!("{n} attestations"),
    }
}

fn have(others: usize) -> String {
    match others {
        0 => " has".to_owned(),
        1 => " and 1 other have".to_owned(),
        n => format!(" and {n} others have"),
    }
}

impl Warning {
    /// What was done about a damaged layer.
    pub(crate) fn of_salvaged(layer: &SalvagedLayer) -> Self {
        let what = match (&layer.from, layer.result) {
            (Some(from), _) => format!("its bytes are taken from {from}"),
            (None, result) => {
                let mut files: Vec<String> = layer.files.iter().take(LISTED).map(file).collect();
                if layer.files.len() > LISTED {
                    files.push(format!("{} more files", layer.files.len() - LISTED));
                }
                match (result, &*files) {
                    (Salvaged::Repaired, []) => "it is sound now".to_owned(),
                    (Salvaged::Repaired, files) => format!("repaired exactly: {}", files.join(", ")),
                    (Salvaged::Declared, []) => "it is saved as it is, with another digest".to_owned(),
                    (Salvaged::Declared, files) => {
                        format!("saved with another digest: {}", files.join(", "))
                    }
                }
            }
        };
        let what = match &layer.lacks {
            Some(lacks) => format!("layer {}: {lacks}; {what}", layer.called),
            None => format!("layer {} is not what was recorded; {what}", layer.called),
        };
        Warning::Salvaged { layer: layer.layer.clone(), what }
    }
}

/// How many files a warning lists.
const LISTED: usize = 20;

fn file(file: &SalvagedFile) -> String {
    let state = file.found.state;
    match (file.result, &file.from) {
        (FileResult::Repaired, Some(from)) => format!("{} ({state}) from {from}", file.path),
        (FileResult::Repaired, None) => format!("{} ({state}) is repaired", file.path),
        (FileResult::Kept, _) => format!("{} ({state}) as it is", file.path),
        (FileResult::LeftOut, _) => format!("{} ({state}) left out", file.path),
    }
}
