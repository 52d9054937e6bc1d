//! The documents of an image in `graph/<id>/` (`graph/graph.go`, `loadImage`, 1.8.3).
//!
//! ```text
//! {"id":"<id>","parent":"<id>","created":"2015-06-07T08:09:10Z",…}
//! {"created":"…","layer_id":"sha256:…","parent_id":"sha256:<id>",…}      pulled since 1.8.3
//! ```

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::members::Readable;
use crate::{Error, Root, V1Id, hex_id, json};

/// Largest size of `json`. It usually has a few thousand bytes; labels and environment can make it larger.
const LIMIT: u64 = 8 << 20;

/// A document. Its id has been checked, its parent has not.
pub(super) struct GraphDocument {
    pub(super) raw: Vec<u8>,
    /// Where the document ends in `raw`.
    end: usize,
    pub(super) created: Option<String>,
    /// As written in the file [`GraphDocument::says_parent`].
    pub(super) parent: Option<String>,
    parent_file: bool,
}

impl GraphDocument {
    /// Reads `json` and `parent` of an image.
    pub(super) fn read(graph: &Root, id: &V1Id) -> Result<Self, Error> {
        let json = format!("{id}/json");
        let malformed = |why| Error::malformed(graph.join(&json), why);
        let raw = graph.read(&json, LIMIT)?;
        let fields = Fields::parse(&raw).map_err(malformed)?;
        let end = end(&raw);
        json::object::<Readable>(&raw[..end]).map_err(malformed)?;
        if !fields.id.is_empty() && fields.id != id.as_str() {
            return Err(malformed(format!("it is stored as {id}, but its id is {:?}", fields.id)));
        }
        // What is pulled since 1.8.3 has no id, but the digest of its layer. Docker until 1.8 refuses a
        // document without an id ("has wrong id"): an empty one would be an image without parents.
        if fields.id.is_empty() && !fields.has_layer_id {
            return Err(malformed("it has neither \"id\" nor \"layer_id\"".to_owned()));
        }
        let mut parent = fields.parent;
        if parent.is_empty()
            && let Some(hex) = fields.parent_id.strip_prefix("sha256:").filter(|hex| hex_id(hex))
        {
            parent = hex.to_owned();
        }
        let file = graph.try_read(format!("{id}/parent"), 4096)?.unwrap_or_default();
        let parent_file = !file.is_empty();
        if parent_file {
            parent = String::from_utf8_lossy(file.trim_ascii()).into_owned();
        }
        let parent = (!parent.is_empty()).then_some(parent);
        Ok(GraphDocument { raw, end, created: fields.created, parent, parent_file })
    }

    /// The document without what follows it, and what that was. Docker's decoder stopped at the end of the
    /// document in its store, but refuses it in an archive. White space is part of it.
    pub(super) fn into_raw(mut self) -> (Vec<u8>, Option<usize>) {
        let rest = self.raw.get(self.end..).unwrap_or_default();
        if rest.iter().all(u8::is_ascii_whitespace) {
            return (self.raw, None);
        }
        let more = rest.len();
        self.raw.truncate(self.end);
        (self.raw, Some(more))
    }

    /// The file that names the parent.
    pub(super) fn says_parent(&self) -> &'static str {
        if self.parent_file { "parent" } else { "json" }
    }

    /// Seconds since 1970. 0 for a time that cannot be parsed, or that a tar cannot hold.
    pub(super) fn created_secs(&self) -> i64 {
        let time = self.created.as_ref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        time.map_or(0, |time| time.as_second().max(0))
    }
}

/// Where the first JSON value ends.
fn end(raw: &[u8]) -> usize {
    let mut values = serde_json::Deserializer::from_slice(raw).into_iter::<IgnoredAny>();
    values.next().map_or(0, |_| values.byte_offset())
}

/// The size of the layer's files as `layersize` has it; `None` if that cannot be read. Docker does not need
/// it.
pub(super) fn layer_size(graph: &Root, id: &V1Id) -> Option<u64> {
    let text = graph.try_read(format!("{id}/layersize"), 64).ok()??;
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

/// The fields that are needed. Like Docker's decoder (Go's `encoding/json`), this ignores the case of keys,
/// lets the last of several count, takes `null` for a missing value, and stops after the first JSON value.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fields {
    id: String,
    parent: String,
    parent_id: String,
    has_layer_id: bool,
    created: Option<String>,
}

impl Fields {
    fn parse(json: &[u8]) -> Result<Self, String> {
        if json.trim_ascii_start().is_empty() {
            return Err("it is empty".to_owned());
        }
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err("it is not a JSON object".to_owned());
        }
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        deserializer.deserialize_map(FieldsVisitor).map_err(|error| json::words_within(&error))
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that describes an image")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<String>()? {
            let field = match key.to_ascii_lowercase().as_str() {
                "id" => &mut fields.id,
                "parent" => &mut fields.parent,
                "parent_id" => &mut fields.parent_id,
                "created" => {
                    // Whether it is a time is found with the other members.
                    let value = map.next_value::<Box<RawValue>>()?;
                    fields.created = serde_json::from_str(value.get()).unwrap_or(None);
                    continue;
                }
                "layer_id" => {
                    let text = map.next_value::<Option<String>>()?.unwrap_or_default();
                    fields.has_layer_id = text.strip_prefix("sha256:").is_some_and(hex_id);
                    continue;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if let Some(text) = map.next_value::<Option<String>>()? {
                *field = text;
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ID: &str = "5646c3006f06021f4fe4987166355fc616fb7c8888cc198d162f9932be5966a6";
    const OTHER: &str = "c90a635a919b2a2d855077596482ebcdc4df6c053809ce6245b0443ad7ebdaec";

    fn read(json: &str, parent: Option<&str>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join(ID);
        fs::create_dir(&image).unwrap();
        fs::write(image.join("json"), json.replace("ID", ID).replace("OTHER", OTHER)).unwrap();
        if let Some(parent) = parent {
            fs::write(image.join("parent"), parent).unwrap();
        }
        match GraphDocument::read(&Root::open(dir.path()).unwrap(), &V1Id::parse(ID).unwrap()) {
            Ok(document) => format!(
                "{}@{} {}",
                document.parent.as_deref().unwrap_or("-").replace(OTHER, "OTHER"),
                document.says_parent(),
                document.created_secs()
            ),
            Err(Error::Malformed { path, why }) => {
                assert!(path.starts_with(dir.path().join(ID)), "{}", path.display());
                why
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_follows_is_left_out() {
        for (rest, more) in [("", None), (" \n", None), ("\0\0", Some(2)), ("{}", Some(2)), ("\n x", Some(3))]
        {
            let raw = format!(r#"{{"id":"x"}}{rest}"#).into_bytes();
            let end = end(&raw);
            let document = GraphDocument { raw, end, created: None, parent: None, parent_file: false };
            let (raw, found) = document.into_raw();
            assert_eq!(
                (raw.len(), found),
                (10 + if more.is_none() { rest.len() } else { 0 }, more),
                "{rest:?}"
            );
        }
    }

    #[test]
    fn documents() {
        let deep = format!(r#"{{"x":{}"#, "[".repeat(10_000));
        let rows: &[(&str, Option<&str>, &str)] = &[
            (
                r#"{"id":"ID","parent":"OTHER","created":"2015-06-07T08:09:10Z"}"#,
                None,
                "OTHER@json 1433664550",
            ),
            (r#"{"id":"ID","created":"2015-06-07T08:09:10.5+02:00"}"#, None, "-@json 1433657350"),
            (r#"{"Id":"x","iD":"ID","PARENT":"OTHER"} trailing"#, None, "OTHER@json 0"),
            (r#"{"id":null,"parent":null,"created":null,"layer_id":"sha256:OTHER"}"#, None, "-@json 0"),
            (r#"{"layer_id":"sha256:ID","parent_id":"sha256:OTHER"}"#, None, "OTHER@json 0"),
            (r#"{"layer_id":"sha256:ID","parent_id":"OTHER"}"#, None, "-@json 0"),
            (r#"{"id":"ID","parent":"short","parent_id":"sha256:OTHER"}"#, None, "short@json 0"),
            (r#"{"id":"ID","parent":"short"}"#, Some("OTHER"), "OTHER@parent 0"),
            (r#"{"id":"ID","parent":"short"}"#, Some(""), "short@json 0"),
            (r#"{"id":"ID","config":{"Entrypoint":"x"}} {"created":5}"#, None, "-@json 0"),
            (r#"{"id":"ID","created":"0001-01-01T00:00:00Z"}"#, None, "-@json 0"),
            (r#"{"id":"OTHER"}"#, None, "stored as"),
            (r#"{"id":"#, None, "its end is missing"),
            ("", None, "it is empty"),
            ("{}", None, "neither \"id\" nor \"layer_id\""),
            (r#"{"parent":"OTHER","created":"2015-06-07T08:09:10Z"}"#, None, "neither \"id\""),
            (r#"{"layer_id":"","parent_id":"sha256:OTHER"}"#, None, "neither \"id\""),
            ("null", None, "not a JSON object"),
            ("[]", None, "not a JSON object"),
            (r#"{"id":"ID","created":5}"#, None, "created is the number 5, not a time"),
            (r#"{"id":"ID","config":{"Env":{}}}"#, None, "config.Env is an object, not a list"),
            (r#"{"parent":{}}"#, None, "a value in it is an object, not a string"),
            (&deep, None, "its end is missing"),
        ];
        for (json, parent, expected) in rows {
            let parent = parent.map(|text| text.replace("OTHER", OTHER));
            let outcome = read(json, parent.as_deref());
            assert!(outcome.contains(expected), "{json:.80}: {outcome}");
        }
    }
}
