//! `oci-layout` and `index.json` (image-spec 1.1, `image-layout.md`).

use std::collections::BTreeMap;

use layerlift_archive::{Digest, Entry};
use layerlift_store::Reference;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::oci::to_json;
use crate::bundle::{Descriptor, Root};
use crate::format::media_type::{INDEX, REF_NAME, SCHEMA_VERSION};

/// The annotation in which containerd and Docker keep an image's whole name.
pub(crate) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Members of a JSON object, byte for byte.
pub(crate) type Members = BTreeMap<String, Box<RawValue>>;

/// An entry of `index.json`.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Listed {
    New(Box<Named>),
    /// One that the index has already, byte for byte.
    Kept(Box<RawValue>),
}

/// A new entry. The annotations are sorted.
#[derive(Serialize)]
pub(crate) struct Named {
    #[serde(flatten)]
    manifest: Descriptor,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<Box<RawValue>>,
}

impl Listed {
    pub(super) fn nameless(root: &Root) -> Listed {
        let platform = root.platform.clone().and_then(|platform| RawValue::from_string(platform).ok());
        let (manifest, annotations) = (root.descriptor.clone(), root.annotations.clone());
        Listed::New(Box::new(Named { manifest, annotations, platform }))
    }

    /// `full` is containerd's name of the image, `name` that of OCI tools.
    pub(super) fn named(root: &Root, full: Option<String>, name: String) -> Listed {
        let mut listed = Listed::nameless(root);
        if let Listed::New(new) = &mut listed {
            let names = [(CONTAINERD_NAME, full), (REF_NAME, Some(name))];
            let names = names.into_iter().filter_map(|(key, name)| Some((key.to_owned(), name?)));
            new.annotations.extend(names);
        }
        listed
    }
}

/// An entry of a layout's index, and what tells whether it replaces another one.
pub(crate) struct NewEntry {
    /// As OCI tools have it and as containerd has it, if it does; `None` for an image without a name.
    pub(crate) name: Option<(String, Option<String>)>,
    /// Whether OCI tools are to find it under a name that was asked for, and nothing else.
    pub(crate) is_asked: bool,
    /// Of its manifest.
    pub(crate) digest: Digest,
    pub(crate) listed: Listed,
}

/// The entries of an image in a layout: one for each name, or one without a name. Names are whole, since a
/// layout can hold several repositories; but an image may be asked for under a name of its own.
pub(crate) fn entries(root: &Root) -> Vec<NewEntry> {
    let digest = root.descriptor.digest;
    if let Some(line) = root.line.as_ref().and_then(|line| RawValue::from_string(line.clone()).ok()) {
        return vec![NewEntry { name: names(&line), is_asked: false, digest, listed: Listed::Kept(line) }];
    }
    let entry = |name: String, full: Option<String>| {
        let listed = Listed::named(root, full.clone(), name.clone());
        NewEntry { name: Some((name, full)), is_asked: root.ref_name.is_some(), digest, listed }
    };
    if root.names.is_empty() {
        let nameless = || NewEntry { name: None, is_asked: false, digest, listed: Listed::nameless(root) };
        return vec![root.ref_name.clone().map_or_else(nameless, |name| entry(name, None))];
    }
    let entry = |name: &Reference| {
        let full = name.full().to_string();
        entry(root.ref_name.clone().unwrap_or_else(|| name.to_string()), Some(full))
    };
    root.names.iter().map(entry).collect()
}

/// The names in a line of an index: as OCI tools have it and as containerd has it.
fn names(line: &RawValue) -> Option<(String, Option<String>)> {
    #[derive(Deserialize)]
    struct Line {
        annotations: BTreeMap<String, String>,
    }
    let Line { mut annotations } = serde_json::from_str(line.get()).ok()?;
    let (name, full) = (annotations.remove(REF_NAME), annotations.remove(CONTAINERD_NAME));
    Some((name.clone().or_else(|| full.clone())?, full.or(name)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u32,
    media_type: &'a str,
    manifests: Vec<Listed>,
    #[serde(flatten)]
    members: &'a Members,
}

/// An index that is a blob: its lines as they are, and what else it has.
pub(super) fn document(media_type: &str, manifests: Vec<Box<RawValue>>, members: &Members) -> Vec<u8> {
    let listed = manifests.into_iter().map(Listed::Kept).collect();
    to_json(&Index { schema_version: SCHEMA_VERSION, media_type, manifests: listed, members })
}

/// `oci-layout` and `index.json`; `members` are what else the index has.
pub(crate) fn documents(manifests: Vec<Listed>, members: &Members) -> [Entry; 2] {
    let index = Index { schema_version: SCHEMA_VERSION, media_type: INDEX, manifests, members };
    // The blank is Docker's.
    let layout = br#"{"imageLayoutVersion": "1.0.0"}"#;
    [Entry::bytes("oci-layout", 0, layout.to_vec()), Entry::bytes("index.json", 0, to_json(&index))]
}
