//! For `store/fuzz` alone: edits of documents, and what has to hold for them. An error says why a document
//! was refused.

use layerlift_archive::Digest;
use layerlift_store::{DiffId, V1Document, V1Id};
use serde_json::Value as Json;

use crate::document::go_json::{Record, Value, compact};
use crate::document::{edit, to_config, to_v1, v1_image::V1_IMAGE};

/// Edits and converts a document in all ways.
///
/// # Panics
///
/// If a property does not hold.
pub fn json_edits(raw: &[u8]) -> Result<String, String> {
    let value = Value::first(raw)?;
    let mut compacted = Vec::new();
    compact(value, &mut compacted);
    same_value(value.raw(), &compacted);
    scanned_as_serde_does(value);
    let identified = identified(raw);
    let with_diff_ids = with_diff_ids(raw);
    converted(raw)?;
    identified.and(with_diff_ids).map(|()| "all edits".to_owned())
}

/// Whether two documents mean the same, as far as serde_json reads them.
fn same_value(before: &[u8], after: &[u8]) {
    let parse = |bytes: &[u8]| serde_json::from_slice::<Json>(bytes).ok();
    // It refuses bytes that are not UTF-8, and numbers that are too large.
    if let Some(before) = parse(before) {
        assert_eq!(Some(before), parse(after), "{}", after.escape_ascii());
    }
}

/// The scanner of spans finds the same fields and items.
fn scanned_as_serde_does(value: Value<'_>) {
    let Ok(json) = serde_json::from_slice::<Json>(value.raw()) else { return };
    match &json {
        Json::Array(items) => {
            let found = value.items().expect("an array has items");
            assert_eq!(found.len(), items.len());
            found.into_iter().for_each(scanned_as_serde_does);
        }
        Json::Object(fields) => {
            let found = value.fields().expect("an object has fields");
            for (name, item) in fields {
                // Of several fields with one name, the last counts.
                let found = found.iter().rev().find(|(found, _)| found == name);
                let (_, found) = found.expect("a field is found");
                assert_eq!(serde_json::from_slice::<Json>(found.raw()).as_ref().ok(), Some(item));
            }
            found.into_iter().for_each(|(_, value)| scanned_as_serde_does(value));
        }
        Json::String(text) => assert_eq!(value.text().as_deref(), Some(text.as_str())),
        Json::Bool(truth) => assert_eq!(value.boolean(), Some(*truth)),
        Json::Null => assert!(value.is_null()),
        Json::Number(number) => assert_eq!(value.integer(), number.as_i64().or(value.integer())),
    }
}

fn identified(raw: &[u8]) -> Result<(), String> {
    let [id, parent] = ["a", "b"].map(|digit| V1Id::parse(&digit.repeat(64)).expect("64 hex digits"));
    let edited = edit::identified(raw, &id, Some(&parent))?;
    let value = Value::first(&edited).expect("an edited document is JSON");
    if let Ok(record) = Record::decode(V1_IMAGE, value) {
        assert_eq!((record.text("id"), record.text("parent")), (id.as_str(), parent.as_str()));
    }
    let again = edit::identified(&edited, &id, Some(&parent)).expect("an edited document can be edited");
    assert_eq!(again, edited, "nothing is left to edit");
    Ok(())
}

fn with_diff_ids(raw: &[u8]) -> Result<(), String> {
    let Err(why) = edit::with_diff_ids(raw, &[], &[]) else { return Ok(()) };
    let Some(count) =
        why.strip_prefix("it names ").and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok())
    else {
        return Err(why);
    };
    let diff_ids: Vec<DiffId> = (0..count).map(|number| DiffId(Digest::of(&number.to_be_bytes()))).collect();
    let edited = edit::with_diff_ids(raw, &diff_ids, &[])?;
    assert_eq!(edit::with_diff_ids(&edited, &diff_ids, &[]).as_ref(), Ok(&edited), "nothing is left to edit");
    Ok(())
}

fn converted(raw: &[u8]) -> Result<(), String> {
    let diff_ids = [DiffId(Digest::of(b"a")), DiffId(Digest::of(b"b"))];
    let id = V1Id::parse(&"c".repeat(64)).expect("64 hex digits");
    let document = V1Document::new(id, None, raw.to_vec());
    let config =
        to_config::config(&[document.clone(), document], &diff_ids).map_err(|error| error.to_string())?;
    assert!(Value::first(&config).is_ok_and(|value| value.raw() == config), "a config is JSON");
    let images = to_v1::legacy_images(&config, &diff_ids, "config").map_err(|error| error.to_string())?;
    assert_eq!(images.len(), diff_ids.len());
    for image in images {
        let value = Value::first(&image.json).expect("a v1 document is JSON");
        let record = Record::decode(V1_IMAGE, value).expect("a v1 document can be read");
        assert_eq!(record.text("id"), image.id.as_str());
    }
    Ok(())
}
