//! `images.json`, `layers.json`, `volatile-layers.json`: arrays of records, written whole and renamed into
//! place.
//!
//! ```text
//! images.json   [{"id":"8014…","digest":"sha256:19f2…","names":["localhost/x:1.0"],"layer":"5521…",
//!                 "big-data-names":["sha256:8014…","manifest-sha256:19f2…","manifest"],
//!                 "big-data-sizes":{…},"big-data-digests":{…},"created":"2023-11-14T22:13:20Z"}, …]
//! layers.json   [{"id":"a5aa…","parent":"7c23…","diff-digest":"sha256:0e05…","diff-size":10240, …}, …]
//! ```
//!
//! Source: containers/storage, `images.go` and `layers.go`. Fields that are not needed are not looked at.

use std::collections::BTreeMap;
use std::fmt;

use layerlift_archive::Digest;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, Visitor};
use serde_json::value::RawValue;

use crate::{DiffId, Error, Root, json};

/// Bytes that a file of records may have; 20,000 layers take 12 MiB.
const LIMIT: u64 = 64 << 20;

/// Why a file has no records. A new store has such files, too.
pub(super) const EMPTY: &str = "it is empty";

/// The id of a layer: 64 hex digits, made of its parent's id and its diff id. Only a lost record is
/// looked for by that rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LayerId(Digest);

/// An image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ImageRecord {
    pub(super) id: String,
    /// The digest of the manifest that it came with; it may have others by now.
    pub(super) digest: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) names: Vec<String>,
    /// The top layer.
    #[serde(default, deserialize_with = "empty_as_absent")]
    pub(super) layer: Option<LayerId>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) big_data_names: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) big_data_sizes: BTreeMap<String, i64>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) big_data_digests: BTreeMap<String, String>,
    pub(super) created: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    flags: Flags,
}

/// A layer: of an image, or the writable one of a container.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LayerRecord {
    pub(super) id: LayerId,
    /// Only a container's layer has one: "<name of the container>-layer".
    #[serde(default, deserialize_with = "if_any")]
    pub(super) names: Option<Vec<String>>,
    #[serde(default, deserialize_with = "empty_as_absent")]
    pub(super) parent: Option<LayerId>,
    /// Containers' layers have none, nor has a layer that was pulled by its table of contents.
    #[serde(default, deserialize_with = "empty_as_absent")]
    diff_digest: Option<DiffId>,
    /// Bytes of the tar; -1 where that is not known.
    diff_size: Option<i64>,
    /// Of the blob as it was pulled. Records of containers-storage are older than this field.
    #[serde(default, deserialize_with = "if_any")]
    pub(super) compressed_diff_digest: Option<String>,
    /// Only in a layer that was pulled in parts (zstd:chunked, eStargz).
    toc_digest: Option<IgnoredAny>,
    /// Of a container with ids of its own, and of a copy of an image's top layer that was made for one.
    uidmap: Option<IgnoredAny>,
    gidmap: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "null_is_empty")]
    flags: Flags,
    /// Whether no list has it, and a config says what it would have.
    #[serde(skip)]
    pub(super) is_of_config: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Flags {
    incomplete: Option<bool>,
    /// The diff id that an image's config has for a layer that was pulled by its table of contents.
    #[serde(default, deserialize_with = "empty_as_absent")]
    expected_layer_diffid: Option<DiffId>,
}

/// The records of a file, and what could not be understood.
#[derive(Debug)]
pub(super) struct Records<T> {
    pub(super) good: Vec<T>,
    pub(super) flawed: Vec<Flawed>,
    /// Why the file does not have all the records that it had: it is not there, empty or cut off. Whether
    /// there were any, its neighbours know.
    pub(super) lost: Option<Error>,
}

/// A record that cannot be understood.
#[derive(Debug)]
pub(super) struct Flawed {
    /// Its id, or its number if it has no id.
    pub(super) what: String,
    pub(super) why: String,
    /// Its names, if it has any that can be read.
    pub(super) names: Vec<String>,
}

impl Flawed {
    pub(super) fn new(what: String, why: &str) -> Self {
        Flawed { what, why: why.to_owned(), names: Vec::new() }
    }
}

impl<T> Records<T> {
    fn empty() -> Self {
        Records { good: Vec::new(), flawed: Vec::new(), lost: None }
    }
}

impl ImageRecord {
    /// A record that is made from what the image's folder has.
    pub(super) fn of_folder(id: String, keys: Vec<String>, created: Option<String>) -> Self {
        let digest = |key: &String| Some((key.clone(), key.strip_prefix("manifest-")?.to_owned()));
        ImageRecord {
            id,
            digest: None,
            names: Vec::new(),
            layer: None,
            big_data_digests: keys.iter().filter_map(digest).collect(),
            big_data_names: keys,
            big_data_sizes: BTreeMap::new(),
            created,
            flags: Flags::default(),
        }
    }

    /// Whether it is still being written, or its engine was interrupted.
    pub(super) fn is_incomplete(&self) -> bool {
        self.flags.incomplete == Some(true)
    }
}

impl LayerRecord {
    /// Whether it was made for a container with ids of its own.
    pub(super) fn has_own_ids(&self) -> bool {
        self.uidmap.is_some() || self.gidmap.is_some()
    }

    /// A record that is made from what the config of an image says.
    pub(super) fn of_config(id: LayerId, parent: Option<LayerId>, diff_id: DiffId) -> Self {
        LayerRecord {
            id,
            names: None,
            parent,
            compressed_diff_digest: None,
            diff_digest: Some(diff_id),
            diff_size: None,
            toc_digest: None,
            uidmap: None,
            gidmap: None,
            flags: Flags::default(),
            is_of_config: true,
        }
    }

    /// Whether it is still being written, or its engine was interrupted.
    pub(super) fn is_incomplete(&self) -> bool {
        self.flags.incomplete == Some(true)
    }

    /// The digest of the layer's tar: its engine has verified it, or a config promises it.
    pub(super) fn diff_id(&self) -> Option<DiffId> {
        self.diff_digest.or(self.flags.expected_layer_diffid)
    }

    /// Bytes of the layer's tar.
    pub(super) fn size(&self) -> Option<u64> {
        self.diff_size.and_then(|size| u64::try_from(size).ok())
    }

    /// The same, if the engine counted the bytes of the tar. Added up from a table of contents, it can be
    /// off.
    pub(super) fn exact_size(&self) -> Option<u64> {
        let counted = self.diff_digest.is_some() && self.toc_digest.is_none();
        self.size().filter(|size| counted && *size > 0)
    }
}

/// Reads a file of records, as far as it goes.
pub(super) fn read<T: for<'a> Deserialize<'a>>(root: &Root, file: &str) -> Result<Records<T>, Error> {
    let path = || root.join(file);
    let bytes = || match root.try_read(file, LIMIT) {
        // Too large, or not a file.
        Err(error @ Error::Malformed { .. }) => Ok(Err(error)),
        bytes => bytes.map(Ok),
    };
    let first = bytes()?.map(|bytes| bytes.map(|bytes| parse(&bytes)));
    // Engines rename it into place, but a tool that copies a live store may not. Read it once more before
    // calling it malformed.
    let records = match first {
        Ok(Some((records, None))) => return Ok(records),
        Err(error) => return Ok(Records { lost: Some(error), ..Records::empty() }),
        _ => bytes()?.map(|bytes| bytes.map(|bytes| parse(&bytes))),
    };
    Ok(match records.unwrap_or_default() {
        None => {
            Records { lost: Some(Error::io("open", path(), rustix::io::Errno::NOENT)), ..Records::empty() }
        }
        Some((records, why)) => Records { lost: why.map(|why| Error::malformed(path(), why)), ..records },
    })
}

/// Parses record by record, so that one that is malformed does not hide the others. Beside them, why others
/// may have been there.
pub(super) fn parse<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> (Records<T>, Option<String>) {
    let mut records = Records::empty();
    let array: Result<Option<Vec<&RawValue>>, _> = serde_json::from_slice(bytes);
    let (array, lost) = match array {
        Ok(array) => (array.unwrap_or_default(), None),
        Err(_) if bytes.is_empty() => (Vec::new(), Some(EMPTY.to_owned())),
        Err(_) if bytes.iter().all(|byte| *byte == 0) => {
            (Vec::new(), Some("it has only zero bytes".to_owned()))
        }
        Err(error) => {
            let whole = before_a_cut(bytes);
            let why = json::words(&error);
            let lost = match whole.len() {
                0 => why,
                1 => format!("after 1 whole record, {why}"),
                count => format!("after {count} whole records, {why}"),
            };
            (whole, Some(lost))
        }
    };
    for (index, raw) in array.into_iter().enumerate() {
        let raw = raw.get().as_bytes();
        match json::object(raw) {
            Ok(record) => records.good.push(record),
            Err(why) => {
                let what = id(raw).unwrap_or(format!("record {index}"));
                records.flawed.push(Flawed { what, why, names: names(raw) })
            }
        }
    }
    (records, lost)
}

/// The values of an array up to where it is cut off or overwritten.
fn before_a_cut(bytes: &[u8]) -> Vec<&RawValue> {
    let mut values = Vec::new();
    let mut rest = bytes.trim_ascii_start().strip_prefix(b"[");
    while let Some(bytes) = rest {
        let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>();
        let Some(Ok(value)) = stream.next() else { break };
        values.push(value);
        let after = bytes.get(stream.byte_offset()..).unwrap_or_default();
        rest = after.trim_ascii_start().strip_prefix(b",");
    }
    values
}

/// The names in a record that cannot be understood as a whole.
fn names(raw: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        names: Option<&'a RawValue>,
    }
    let named = json::object::<Named<'_>>(raw).ok().and_then(|record| record.names);
    named.and_then(|names| json::parse(names.get().as_bytes()).ok()).unwrap_or_default()
}

/// The id of a record, whatever else it has.
fn id(raw: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    json::object::<Id>(raw).ok().map(|record| record.id).filter(|id| crate::hex_id(id))
}

impl LayerId {
    /// The id that engines give a layer: its diff id, or if it has a parent, a digest of both
    /// (containers/image, `storage_dest.go`).
    pub(super) fn by_rule(parent: Option<LayerId>, diff_id: DiffId) -> Self {
        match parent {
            None => LayerId(diff_id.0),
            Some(parent) => LayerId(Digest::of(format!("{parent}+{}", diff_id.0.hex()).as_bytes())),
        }
    }

    /// From 64 lower-case hex digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Digest::from_hex(text).map(LayerId)
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

/// A value that is written as a string and read without copying it.
trait FromText: Sized {
    fn from_text(text: &str) -> Result<Self, String>;
}

impl FromText for LayerId {
    fn from_text(text: &str) -> Result<Self, String> {
        LayerId::parse(text).ok_or_else(|| format!("{text:?} is not the id of a layer (64 hex digits)"))
    }
}

impl FromText for DiffId {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: layerlift_archive::ParseDigestError| error.to_string())
    }
}

struct Text<T>(std::marker::PhantomData<T>);

impl<T: FromText> Visitor<'_> for Text<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        if text.is_empty() { Ok(None) } else { T::from_text(text).map(Some).map_err(E::custom) }
    }
}

/// Go omits an empty string, or writes it.
fn empty_as_absent<'de, D: Deserializer<'de>, T: FromText>(deserializer: D) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(Text(std::marker::PhantomData))
}

impl<'de> Deserialize<'de> for LayerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        empty_as_absent(deserializer)?.ok_or_else(|| D::Error::custom("it is empty"))
    }
}

/// What is not needed may be anything.
fn if_any<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// Go writes `null` for a list or a map that was never made.
fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
