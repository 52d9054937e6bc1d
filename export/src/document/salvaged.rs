//! The config of an image some of whose bytes are not the recorded ones: a label and a history entry say so.

use super::edit::{field, quoted, replaced, span};
use super::go_json::Value;

/// The label. Its value is the id that the image had.
const LABEL: &str = "io.layerlift.salvaged";

/// What is said of an image in its config, once bytes of it are not the recorded ones.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    /// The id that the image had.
    pub(crate) id: String,
    /// What was done, in a sentence.
    pub(crate) comment: String,
}

/// A config with the label, and with a comment as the last entry of its history. Everything else stays as it
/// was. `layers` is the number of the image's layers.
pub(crate) fn config(raw: &[u8], id: &str, comment: &str, layers: usize) -> Result<Vec<u8>, String> {
    let labelled = labelled(raw, id)?;
    let value = Value::first(&labelled)?;
    let created = field(value, "created").map(|created| created.raw().to_vec());
    let mut entry = b"{".to_vec();
    if let Some(created) = created.filter(|created| created.starts_with(b"\"")) {
        entry = [&entry, &b"\"created\":"[..], &created, b","].concat();
    }
    entry.extend_from_slice(b"\"created_by\":\"layerlift\",\"comment\":");
    entry.extend(quoted(comment));
    entry.extend_from_slice(b",\"empty_layer\":true}");
    let history = field(value, "history");
    let items = history.and_then(Value::items);
    let change = match (history, items) {
        (Some(history), Some(items)) if !items.is_empty() => {
            let end = span(&labelled, history).end - 1;
            (end..end, [b",", &*entry].concat())
        }
        (history, _) => {
            // Readers want an entry for each layer, or no history.
            let mut list = b"[".to_vec();
            (0..layers).for_each(|_| list.extend_from_slice(b"{\"created_by\":\"\"},"));
            list.extend([&*entry, b"]"].concat());
            match history {
                Some(history) => (span(&labelled, history), list),
                None => added(&labelled, value, "history", list)?,
            }
        }
    };
    Ok(replaced(&labelled, vec![change]))
}

/// The config, or a v1 document, with the label.
pub(crate) fn labelled(raw: &[u8], id: &str) -> Result<Vec<u8>, String> {
    let value = Value::first(raw)?;
    let label = || [&*quoted(LABEL), b":", &*quoted(id)].concat();
    let labels = || [&b"{"[..], &label(), b"}"].concat();
    let object = |value: &Value<'_>| value.fields().is_some();
    let change = match field(value, "config").filter(object) {
        None => {
            let config = [&b"{\"Labels\":"[..], &labels(), b"}"].concat();
            match field(value, "config") {
                Some(null) => (span(raw, null), config),
                None => added(raw, value, "config", config)?,
            }
        }
        Some(config) => match field(config, "Labels") {
            Some(list) if object(&list) => {
                let old = list.fields().unwrap_or_default().into_iter().rev().find(|(name, _)| name == LABEL);
                match old {
                    Some((_, old)) => (span(raw, old), quoted(id)),
                    None if list.fields().is_some_and(|fields| fields.is_empty()) => {
                        (span(raw, list), labels())
                    }
                    None => {
                        let inside = span(raw, list).start + 1;
                        (inside..inside, [&*label(), b","].concat())
                    }
                }
            }
            Some(null) => (span(raw, null), labels()),
            None => added(raw, config, "Labels", labels())?,
        },
    };
    Ok(replaced(raw, vec![change]))
}

type Change = (std::ops::Range<usize>, Vec<u8>);

/// A field that an object lacks.
fn added(raw: &[u8], object: Value<'_>, name: &str, value: Vec<u8>) -> Result<Change, String> {
    let fields = object.fields().ok_or("it is not an object")?;
    let comma: &[u8] = if fields.is_empty() { b"" } else { b"," };
    let inside = span(raw, object).start + 1;
    Ok((inside..inside, [&*quoted(name), b":", &value, comma].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_and_comment_wherever_they_go() {
        let label = r#""io.layerlift.salvaged":"old""#;
        let entry = r#""created_by":"layerlift","comment":"why","empty_layer":true}"#;
        for (raw, expected) in [
            (
                r#"{"config":{"Labels":{"a":"b"}},"history":[{}]}"#,
                format!(r#"{{"config":{{"Labels":{{{label},"a":"b"}}}},"history":[{{}},{{{entry}]}}"#),
            ),
            (
                r#"{"config":{"Labels":null},"created":"2020-01-01T00:00:00Z","history":[{}]}"#,
                format!(
                    r#"{{"config":{{"Labels":{{{label}}}}},"created":"2020-01-01T00:00:00Z","history":[{{}},{{"created":"2020-01-01T00:00:00Z",{entry}]}}"#
                ),
            ),
            (
                r#"{"config":{"Cmd":[]},"history":null}"#,
                format!(
                    r#"{{"config":{{"Labels":{{{label}}},"Cmd":[]}},"history":[{{"created_by":""}},{{{entry}]}}"#
                ),
            ),
            (
                r#"{"rootfs":{}}"#,
                format!(
                    r#"{{"history":[{{"created_by":""}},{{{entry}],"config":{{"Labels":{{{label}}}}},"rootfs":{{}}}}"#
                ),
            ),
            (
                r#"{"config":{"Labels":{"io.layerlift.salvaged":"x"}},"history":[{}]}"#,
                format!(r#"{{"config":{{"Labels":{{{label}}}}},"history":[{{}},{{{entry}]}}"#),
            ),
        ] {
            let found = config(raw.as_bytes(), "old", "why", 1).unwrap();
            assert_eq!(String::from_utf8(found).unwrap(), expected, "{raw}");
        }
        assert!(config(b"[]", "old", "why", 1).is_err());
    }
}
