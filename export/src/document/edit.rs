//! Small changes to stored documents that leave every other byte where it is.

use std::ops::Range;

use layerlift_store::{DiffId, V1Id};

use super::go_json::{Value, quote};

/// A v1 document with its own id and its real parent. Docker 1.8.3 and later stored what they pulled without
/// these two; a document that has them stays as it is.
pub(crate) fn identified(raw: &[u8], id: &V1Id, parent: Option<&V1Id>) -> Result<Vec<u8>, String> {
    let value = Value::first(raw)?;
    let fields = value.fields().ok_or("it is not an object")?;
    let mut changes = Vec::new();
    let mut missing = Vec::new();
    for (name, wanted) in [("id", Some(id)), ("parent", parent)] {
        let Some(wanted) = wanted else { continue };
        // Go takes a name in any case, and of several fields the last: a field put before it would not count.
        match fields.iter().rev().find(|(field, _)| field.eq_ignore_ascii_case(name)) {
            Some((_, value)) if value.text().as_deref() == Some(wanted.as_str()) => {}
            Some((_, value)) => changes.push((span(raw, *value), quoted(wanted.as_str()))),
            None => missing.extend([quoted(name), b":".to_vec(), quoted(wanted.as_str()), b",".to_vec()]),
        }
    }
    if changes.is_empty() && missing.is_empty() {
        return Ok(raw.to_vec());
    }
    let mut missing = missing.concat();
    if fields.is_empty() {
        missing.pop();
    }
    let inside = span(raw, value).start + 1;
    changes.push((inside..inside, missing));
    changes.sort_by_key(|(place, _)| place.start);
    Ok(replaced(raw, changes))
}

/// A config with other diff ids, those of layers on top added, and everything else as it was.
pub(crate) fn with_diff_ids(
    config: &[u8],
    diff_ids: &[DiffId],
    on_top: &[DiffId],
) -> Result<Vec<u8>, String> {
    let value = Value::first(config)?;
    let rootfs = field(value, "rootfs").ok_or("it has no rootfs")?;
    let list = field(rootfs, "diff_ids").ok_or("its rootfs has no diff_ids")?;
    let items = list.items().ok_or("its rootfs has no diff_ids")?;
    if items.len() != diff_ids.len() {
        return Err(format!("it names {} layers, but the image has {}", items.len(), diff_ids.len()));
    }
    let quoted_id = |id: &DiffId| quoted(&id.to_string());
    let mut changes: Vec<_> =
        items.iter().zip(diff_ids).map(|(old, id)| (span(config, *old), quoted_id(id))).collect();
    let bracket = span(config, list).end - 1;
    let comma = |place: usize| if items.is_empty() && place == 0 { vec![] } else { vec![b','] };
    let added = on_top.iter().enumerate().flat_map(|(place, id)| [comma(place), quoted_id(id)].concat());
    changes.push((bracket..bracket, added.collect()));
    Ok(replaced(config, changes))
}

/// The field that Go takes for this name.
pub(super) fn field<'a>(value: Value<'a>, name: &str) -> Option<Value<'a>> {
    let mut fields = value.fields()?;
    fields.retain(|(field, _)| field.eq_ignore_ascii_case(name));
    fields.pop().map(|(_, value)| value)
}

pub(super) fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    quote(text, &mut out);
    out
}

/// `raw` with other bytes in some places, which are in their order.
pub(super) fn replaced(raw: &[u8], changes: Vec<(Range<usize>, Vec<u8>)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    for (old, new) in changes {
        out.extend_from_slice(&raw[at..old.start]);
        out.extend(new);
        at = old.end;
    }
    out.extend_from_slice(&raw[at..]);
    out
}

/// Where a value is in the bytes that it was read from.
pub(super) fn span(raw: &[u8], value: Value<'_>) -> Range<usize> {
    let start = value.raw().as_ptr().addr() - raw.as_ptr().addr();
    start..start + value.raw().len()
}

#[cfg(test)]
mod tests {
    use layerlift_archive::Digest;

    use super::*;

    fn id(digit: &str) -> V1Id {
        V1Id::parse(&digit.repeat(64)).unwrap()
    }

    #[test]
    fn only_what_is_missing_is_set() {
        let (a, b) = (id("a"), id("b"));
        let complete = format!("{{\"id\":\"{a}\", \"parent\":\"{b}\"}}\n");
        for (raw, parent, expected) in [
            (complete.clone(), Some(&b), complete),
            (format!("{{\"id\":\"{a}\"}} junk"), None, format!("{{\"id\":\"{a}\"}} junk")),
            ("{}".to_owned(), None, format!("{{\"id\":\"{a}\"}}")),
            (
                " { \"os\":1}\n".to_owned(),
                Some(&b),
                format!(" {{\"id\":\"{a}\",\"parent\":\"{b}\", \"os\":1}}\n"),
            ),
            (
                format!("{{\"parent\":\"{a}\",\"x\":[],\"id\":\"{a}\"}}"),
                Some(&b),
                format!("{{\"parent\":\"{b}\",\"x\":[],\"id\":\"{a}\"}}"),
            ),
            (
                format!("{{\"id\":null,\"parent\":\"{b}\"}}"),
                Some(&b),
                format!("{{\"id\":\"{a}\",\"parent\":\"{b}\"}}"),
            ),
        ] {
            let got = identified(raw.as_bytes(), &a, parent).unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), expected, "{raw}");
        }
        let any_case = format!("{{\"iD\":\"\",\"ID\":\"{b}\"}}");
        let got = identified(any_case.as_bytes(), &a, None).unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), format!("{{\"iD\":\"\",\"ID\":\"{a}\"}}"));
        assert!(identified(b"[]", &a, None).is_err());
    }

    #[test]
    fn layers_are_replaced_in_place() {
        let (a, b) = (DiffId(Digest::of(b"a")), DiffId(Digest::of(b"b")));
        let config =
            format!("{{ \"rootfs\": {{\"diff_ids\": [\"{a}\",\n \"{a}\"], \"type\":\"layers\"}}, \"x\":1 }}");
        let expected =
            format!("{{ \"rootfs\": {{\"diff_ids\": [\"{a}\",\n \"{b}\"], \"type\":\"layers\"}}, \"x\":1 }}");
        let got = with_diff_ids(config.as_bytes(), &[a, b], &[]).unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), expected);
        let got = with_diff_ids(config.as_bytes(), &[a, b], &[b, a]).unwrap();
        let expected = expected.replace(&format!("\"{b}\"]"), &format!("\"{b}\",\"{b}\",\"{a}\"]"));
        assert_eq!(String::from_utf8(got).unwrap(), expected);
        let empty = br#"{"rootfs":{"diff_ids":[ ]}}"#;
        let got = with_diff_ids(empty, &[], &[a, b]).unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), format!(r#"{{"rootfs":{{"diff_ids":[ "{a}","{b}"]}}}}"#));
        for config in ["{}", r#"{"rootfs":{}}"#, r#"{"rootfs":{"diff_ids":[]}}"#] {
            assert!(with_diff_ids(config.as_bytes(), &[a], &[]).is_err(), "{config}");
        }
    }
}
