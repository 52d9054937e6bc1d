//! Indexes as `images` and `inspect` show them: what each line leads to, and whether that is here.

use layerlift_archive::Digest;
use layerlift_store::{
    Artifact, Error as StoreError, ErrorKind, Image, ImageKey, ImageSummary, Index, IndexLine, IndexTree,
    LayerTar, LeadsTo, Member, Platform, Store,
};
use serde::{Deserialize, Serialize};

use crate::message::Message;

/// An index with all its images, those for other platforms too.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct IndexJson {
    digest: String,
    /// Its images, with those of the indexes in it.
    members: Vec<MemberJson>,
    /// Its lines as they are stored; none where manifests only share a name.
    lines: Vec<LineJson>,
}

/// An image of an index, or one that is not in any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MemberJson {
    /// Null where the store keeps no manifest.
    pub(crate) manifest: Option<String>,
    platform: Option<String>,
    /// Its id; null if it is not in this store.
    id: Option<String>,
}

/// A line of an index.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LineJson {
    pub(crate) digest: String,
    /// `image`, `index`, `attestation`, or the type of another artifact.
    pub(crate) kind: String,
    /// Of an attestation, that of the image that it is about.
    pub(crate) platform: Option<String>,
    pub(crate) state: State,
    /// The manifest that an attestation is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    /// The id of an image that is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The lines of an index.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lines: Vec<LineJson>,
}

/// Whether a store has what a line names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Here,
    /// Blobs of layers are missing; others with the same tars take their places.
    Replaced,
    /// Blobs of layers are missing; the layers are rebuilt from what was unpacked of them.
    Unpacked,
    /// Blobs of it were never pulled.
    Part,
    /// A blob of it was here and is missing.
    Incomplete,
    Missing,
    Unreadable,
}

impl State {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Here => "here",
            State::Replaced => "other blobs",
            State::Unpacked => "unpacked",
            State::Part => "in part",
            State::Incomplete => "incomplete",
            State::Missing => "missing",
            State::Unreadable => "unreadable",
        }
    }
}

impl IndexJson {
    /// An index of a store.
    pub(crate) fn of(store: &dyn Store, index: &Index) -> Result<Self, StoreError> {
        let lines = store.tree(index)?.map_or_else(Vec::new, |tree| lines(store, index, &tree));
        Ok(IndexJson {
            digest: index.digest.to_string(),
            members: index.members.iter().map(MemberJson::of).collect(),
            lines,
        })
    }
}

impl MemberJson {
    pub(crate) fn of(member: &Member) -> Self {
        MemberJson {
            manifest: Some(member.manifest.to_string()),
            platform: member.platform.as_ref().map(ToString::to_string),
            id: member.image.as_ref().map(|key| key.id().to_owned()),
        }
    }
}

impl MemberJson {
    /// An image of a listing that is not in an index, if the listing says it all.
    pub(crate) fn of_summary(image: &ImageSummary) -> Option<Self> {
        Some(MemberJson {
            platform: Some(image.platform.as_ref()?.to_string()),
            manifest: image.manifest.map(|digest| digest.to_string()),
            id: Some(image.key.id().to_owned()),
        })
    }

    /// An image that is not in an index.
    pub(crate) fn of_image(image: &Image) -> Self {
        MemberJson {
            manifest: image.own_manifest().map(|manifest| manifest.digest.to_string()),
            platform: image.platform().map(|platform| platform.to_string()),
            id: Some(image.key.id().to_owned()),
        }
    }
}

impl LineJson {
    /// An index with everything below it.
    pub(crate) fn of_index(store: &dyn Store, index: &Index) -> Result<Self, StoreError> {
        let here = LineJson::new(index.digest, "index", None, State::Here);
        let Some(tree) = store.tree(index)? else {
            // No document has this digest: what is there is a name.
            let lines = index.members.iter().map(|member| of_member(store, member)).collect();
            return Ok(LineJson { kind: "name".to_owned(), lines, ..here });
        };
        Ok(LineJson { lines: lines(store, index, &tree), ..here })
    }

    /// An artifact that is named directly.
    pub(crate) fn of_artifact(artifact: &Artifact) -> Self {
        let line = LineJson::new(artifact.digest, &*artifact.kind, None, State::Here);
        match &artifact.blobs {
            Ok(_) => line,
            Err(error) => line.failed(error),
        }
    }

    /// An image that is named directly.
    pub(crate) fn of_image(store: &dyn Store, key: &ImageKey) -> Self {
        let found = store.image(key);
        let of_it = found.as_ref().ok();
        let manifest = of_it.and_then(Image::own_manifest).map(|manifest| manifest.digest);
        let platform = of_it.and_then(Image::platform).map(|platform| platform.to_string());
        let id = match manifest {
            Some(manifest) => manifest.to_string(),
            None => Digest::from_hex(key.id()).map_or_else(|| key.id().to_owned(), |id| id.to_string()),
        };
        LineJson { digest: id, ..LineJson::new(Digest::of(b""), "image", platform, State::Here) }
            .checked(store, key)
    }

    fn new(digest: Digest, kind: impl Into<String>, platform: Option<String>, state: State) -> Self {
        LineJson {
            digest: digest.to_string(),
            kind: kind.into(),
            platform,
            state,
            about: None,
            id: None,
            error: None,
            lines: Vec::new(),
        }
    }

    /// An image with its id, and what is missing of it. No layer is read.
    fn checked(self, store: &dyn Store, key: &ImageKey) -> Self {
        let line = LineJson { id: Some(key.id().to_owned()), ..self };
        match whole(store, key) {
            Ok(state) => LineJson { state, ..line },
            Err(error) => line.failed(&error),
        }
    }

    fn failed(self, error: &StoreError) -> Self {
        let state = if error.kind() == ErrorKind::Missing { State::Incomplete } else { State::Unreadable };
        LineJson { state, error: Some(Message::of(error).text), ..self }
    }
}

/// What is here of an image, as far as that shows without reading its layers.
fn whole(store: &dyn Store, key: &ImageKey) -> Result<State, StoreError> {
    let mut state = State::Here;
    for layer in store.image(key)?.layers {
        if let Some(error) = layer.lost {
            return Err(error);
        }
        state = match store.layer(&layer.key)? {
            LayerTar::Diff(layer) if layer.blob.is_some() => State::Unpacked,
            LayerTar::Blob(layer) if layer.in_place_of.is_some() && state == State::Here => State::Replaced,
            _ => state,
        };
    }
    Ok(state)
}

fn lines(store: &dyn Store, index: &Index, tree: &IndexTree) -> Vec<LineJson> {
    tree.lines.iter().map(|line| self::line(store, index, line)).collect()
}

fn line(store: &dyn Store, index: &Index, line: &IndexLine) -> LineJson {
    let subject = line.about.unwrap_or(line.digest);
    let member = index.members.iter().find(|member| member.manifest == subject);
    let platform = member.and_then(|member| member.platform.as_ref()).or(line.platform.as_ref());
    let platform = platform.filter(|platform| platform.is_known()).map(Platform::to_string);
    let about = line.about.map(|about| about.to_string());
    let new = |kind: String, state| LineJson { about, ..LineJson::new(line.digest, kind, platform, state) };
    let likely = || likely_kind(line).to_owned();
    match &line.leads_to {
        LeadsTo::Image(key) => new("image".to_owned(), State::Here).checked(store, key),
        LeadsTo::Index(tree) => {
            LineJson { lines: lines(store, index, tree), ..new("index".to_owned(), State::Here) }
        }
        LeadsTo::Artifact(artifact) => {
            let kind = if line.about.is_some() { "attestation" } else { &*artifact.kind };
            let found = new(kind.to_owned(), State::Here);
            match &artifact.blobs {
                Ok(_) => found,
                Err(error) => found.failed(error),
            }
        }
        LeadsTo::InPart(part) => {
            let found = new(likely(), State::Part);
            match &part.blobs {
                Ok(_) => found,
                Err(error) => found.failed(error),
            }
        }
        LeadsTo::Missing => new(likely(), State::Missing),
        LeadsTo::Unreadable(error) => new(likely(), State::Unreadable).failed(error),
        _ => new(likely(), State::Unreadable),
    }
}

/// What a line leads to, by the line alone.
fn likely_kind(line: &IndexLine) -> &'static str {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "mediaType")]
        media_type: Option<String>,
    }
    let typed = serde_json::from_str::<Typed>(&line.raw).ok().and_then(|line| line.media_type);
    let is_index = typed.is_some_and(|kind| kind.contains("index") || kind.contains("list"));
    let known = line.platform.as_ref().is_none_or(Platform::is_known);
    match (is_index, line.about.is_some() || !known) {
        (true, _) => "index",
        (false, true) => "attestation",
        (false, false) => "image",
    }
}

fn of_member(store: &dyn Store, member: &Member) -> LineJson {
    let platform = member.platform.as_ref().map(Platform::to_string);
    let line = LineJson::new(member.manifest, "image", platform, State::Missing);
    match &member.image {
        Some(key) => LineJson { state: State::Here, ..line }.checked(store, key),
        None => line,
    }
}
