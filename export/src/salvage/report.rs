//! What a salvage did, for people and for machines: `salvage.json`.
//!
//! ```text
//! {"images":[{"image":"team/app:1.4","id":"sha256:…","new_id":"sha256:…","names":["team/app:1.4-salvaged"],
//!             "result":"declared","layers":["4f…"]}],
//!  "layers":[{"layer":"4f…","diff_id":"sha256:…","new_diff_id":"sha256:…","result":"declared","why":"…",
//!             "files":[{"path":"etc/passwd","expected":{"size":33,"crc64":"…"},
//!                       "found":{"state":"zeros","size":33,"crc64":"…"},"result":"kept"}]}]}
//! ```

use layerlift_store::{Found, RecordedFile};
use serde::Serialize;

/// What a salvage did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Images that had damaged layers, in the order of the archive.
    pub images: Vec<SalvagedImage>,
    /// The damaged layers.
    pub layers: Vec<SalvagedLayer>,
}

/// How an image or a layer came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Salvaged {
    /// All its bytes are the recorded ones; they came from elsewhere.
    Repaired,
    /// Some of its bytes are not the recorded ones, or are left out, so it has another digest.
    Declared,
}

/// An image that had damaged layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SalvagedImage {
    /// Its name in the store, or its id.
    pub image: String,
    /// Its id in the store.
    pub id: String,
    /// Its id in the archive, where the format decides it.
    pub new_id: Option<String>,
    /// Its names in the archive.
    pub names: Vec<String>,
    /// How it came through.
    pub result: Salvaged,
    /// Its damaged layers, by their ids in the store.
    pub layers: Vec<String>,
}

/// A layer that was damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SalvagedLayer {
    /// Its id in the store.
    pub layer: String,
    /// What messages call it.
    #[serde(skip)]
    pub(crate) called: String,
    /// What of it is not there, unless bytes differ.
    #[serde(skip)]
    pub(crate) lacks: Option<String>,
    /// The recorded digest of its tar.
    pub diff_id: Option<String>,
    /// The digest of its tar in the archive.
    pub new_diff_id: Option<String>,
    /// How it came through.
    pub result: Salvaged,
    /// What was wrong with it.
    pub why: String,
    /// Where all of it came from, if it was replaced as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its damaged files, in the order of the tar.
    pub files: Vec<SalvagedFile>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FileResult {
    /// The recorded bytes, from elsewhere.
    Repaired,
    /// The bytes that are there now.
    Kept,
    /// It is not in the archive.
    LeftOut,
}

/// A damaged file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SalvagedFile {
    /// Its path in the layer.
    pub path: String,
    /// What was recorded.
    pub expected: FileBytes,
    /// What is there.
    pub found: FoundBytes,
    /// What became of it.
    pub result: FileResult,
    /// Where the recorded bytes came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// The bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileBytes {
    /// How many.
    pub size: u64,
    /// Their CRC-64 (ISO 3309) in hex.
    pub crc64: String,
}

/// What is there where a file was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundBytes {
    /// In a word: "zeros", "empty", "shorter", "longer", "changed", "missing", "a directory", "unreadable".
    pub state: &'static str,
    /// Its bytes, if it is a file.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<FileBytes>,
}

impl SalvageReport {
    /// What the report is called in an archive, and beside the index of a layout.
    pub const FILE: &str = "salvage.json";

    /// Whether an image was saved with other bytes than the recorded ones.
    pub fn is_declared(&self) -> bool {
        self.images.iter().any(|image| image.result == Salvaged::Declared)
    }

    /// As a JSON document.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("strings, numbers and lists become JSON");
        json.push(b'\n');
        json
    }
}

impl FileBytes {
    pub(super) fn of(file: &RecordedFile) -> Self {
        FileBytes { size: file.size, crc64: format!("{:016x}", file.checksum) }
    }
}

impl FoundBytes {
    /// In a word, compared with what was recorded.
    pub(super) fn of(found: &Found, recorded: &RecordedFile) -> Self {
        let state = match found {
            Found::Recorded(_) => return FoundBytes { state: "sound", bytes: Some(FileBytes::of(recorded)) },
            Found::Missing => "missing",
            Found::NotAFile(what) => what,
            Found::Other(other) => {
                let state = match other.size {
                    0 => "empty",
                    _ if other.zeros => "zeros",
                    size if size < recorded.size => "shorter",
                    size if size > recorded.size => "longer",
                    _ => "changed",
                };
                let crc64 = format!("{:016x}", other.checksum);
                return FoundBytes { state, bytes: Some(FileBytes { size: other.size, crc64 }) };
            }
            _ => "unreadable",
        };
        FoundBytes { state, bytes: None }
    }

    pub(super) fn word(state: &'static str) -> Self {
        FoundBytes { state, bytes: None }
    }
}

/// An error with its causes, in one line.
pub(super) fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
