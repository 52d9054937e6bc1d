//! From v1 documents to a config: what `docker load` of Docker 20.10 makes of a docker-v1 archive. The image
//! id is the config's digest, so the bytes must be the same.
//!
//! Sources: `image/tarexport/load.go` (`legacyLoadImage`), `image/v1/imagev1.go` (`MakeConfigFromV1Config`,
//! `HistoryFromConfig`) of v20.10.

use std::collections::BTreeMap;

use layerlift_store::{DiffId, V1Document};

use super::go_json::{Object, Record, Value, array, compact, object, quote};
use super::v1_image::V1_IMAGE;
use crate::Error;

/// Fields of a v1 document that a config lacks.
const LEFT_OUT: &[&str] = &["id", "parent", "Size", "parent_id", "layer_id", "throwaway"];

/// The config of the image whose documents and layers these are, base first.
pub(crate) fn config(documents: &[V1Document], diff_ids: &[DiffId]) -> Result<Vec<u8>, Error> {
    let entries = documents.iter().map(|document| Ok(history_entry(&decode(document)?.1)));
    let entries = entries.collect::<Result<Vec<_>, Error>>()?;
    let mut history = Vec::new();
    array(entries, &mut history, |entry, out| out.extend(entry));
    let Some(top) = documents.last() else {
        return Err(Error::Document { what: "the image".to_owned(), why: "it has no documents".to_owned() });
    };
    let (value, record) = decode(top)?;
    let mut fields: BTreeMap<String, Vec<u8>> = if is_old(record.text("docker_version")) {
        // These versions wrote and dropped empty fields at will, so Docker writes the fields that it knows.
        record.encoded().into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    } else {
        raw_fields(value)
    };
    for name in LEFT_OUT {
        fields.remove(*name);
    }
    fields.insert("rootfs".to_owned(), rootfs(diff_ids));
    fields.insert("history".to_owned(), history);
    Ok(object(fields))
}

fn decode(document: &V1Document) -> Result<(Value<'_>, Record), Error> {
    let error = |why| Error::Document { what: format!("json of image {}", document.id), why };
    let value = Value::first(&document.raw).map_err(error)?;
    Ok((value, Record::decode(V1_IMAGE, value).map_err(error)?))
}

fn raw_fields(value: Value<'_>) -> BTreeMap<String, Vec<u8>> {
    let compact = |(name, value)| {
        let mut out = Vec::new();
        compact(value, &mut out);
        (name, out)
    };
    value.fields().unwrap_or_default().into_iter().map(compact).collect()
}

fn history_entry(record: &Record) -> Vec<u8> {
    let command = record.record("container_config").map(|config| config.texts("Cmd").join(" "));
    let mut entry = Object::new();
    entry
        .text("created", record.time("created").as_str())
        .text_if_any("author", record.text("author"))
        .text_if_any("created_by", &command.unwrap_or_default())
        .text_if_any("comment", record.text("comment"));
    entry.finish()
}

fn rootfs(diff_ids: &[DiffId]) -> Vec<u8> {
    let mut rootfs = Object::new();
    rootfs.text("type", "layers");
    if !diff_ids.is_empty() {
        rootfs.field("diff_ids", |out| {
            array(diff_ids, out, |id, out| quote(&id.to_string(), out));
        });
    }
    rootfs.finish()
}

/// Whether a version is below 1.8.3. Docker counts a part that is not a number as 0.
fn is_old(version: &str) -> bool {
    let parts = |text: &str| -> Vec<i64> { text.split('.').map(|part| part.parse().unwrap_or(0)).collect() };
    let (mut version, mut limit) = (parts(version), parts("1.8.3"));
    let len = version.len().max(limit.len());
    version.resize(len, 0);
    limit.resize(len, 0);
    version < limit
}

#[cfg(test)]
mod tests {
    use layerlift_archive::Digest;
    use layerlift_store::V1Id;

    use super::*;

    fn document(raw: &str) -> V1Document {
        let id = V1Id::parse(&"0".repeat(64)).unwrap();
        V1Document::new(id, None, raw.as_bytes().to_vec())
    }

    #[test]
    fn versions() {
        for (version, old) in [
            ("", true),
            ("1.8.2", true),
            ("1.8.3", false),
            ("1.8.3-rc1", true),
            ("1.9.1", false),
            ("1.10", false),
            ("1.8.3.1", false),
            ("0.9", true),
            ("20.10.24", false),
            ("dev", true),
        ] {
            assert_eq!(is_old(version), old, "{version}");
        }
    }

    #[test]
    fn new_documents_keep_unknown_fields() {
        let diff = DiffId(Digest::of(b"x"));
        let json = r#"{"id":"1","docker_version":"1.9.1","x":{"b" : "<", "a":1.0},"Size":3,"size":4,
            "created":"2015-01-01T00:00:00.100Z","container_config":{"Cmd":"a b"}}"#;
        let expected = format!(
            r#"{{"container_config":{{"Cmd":"a b"}},"created":"2015-01-01T00:00:00.100Z","docker_version":"1.9.1","history":[{{"created":"2015-01-01T00:00:00.1Z","created_by":"a b"}}],"rootfs":{{"type":"layers","diff_ids":["{diff}"]}},"size":4,"x":{{"b":"\u003c","a":1.0}}}}"#
        );
        let config = config(&[document(json)], &[diff]).unwrap();
        assert_eq!(String::from_utf8(config).unwrap(), expected);
    }

    #[test]
    fn not_loadable() {
        for json in ["", "null", "[]", r#"{"created":"yesterday"}"#, r#"{"config":{"Env":"x"}}"#] {
            assert!(config(&[document(json)], &[]).is_err(), "{json}");
        }
    }
}
