//! Compares JSON of engines.

use std::collections::BTreeSet;

use serde_json::Value;

/// The first place where two values differ, with both sides. `null`, an empty list and an empty object are
/// the same.
pub(super) fn difference(ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                let [a, b] = [a, b].map(|side| side.get(key).unwrap_or(&Value::Null));
                difference(a, b).map(|what| format!("{key}: {what}"))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).find_map(|(a, b)| difference(a, b))
        }
        (a, b) if a == b || (is_empty(a) && is_empty(b)) => None,
        (a, b) => Some(format!("{a} instead of {b}")),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    }
}

/// What an engine says of a container, without what differs between two that were made alike: ids, and the
/// name if it ends in `suffix`.
pub(super) fn of_container(inspected: &Value, suffix: &str) -> Value {
    let id = inspected["Id"].as_str().unwrap_or_default();
    let kept = ["Path", "Args", "Config", "HostConfig", "Mounts"]
        .map(|key| (key.to_owned(), inspected[key].clone()));
    let text = Value::Object(kept.into_iter().collect()).to_string();
    let mut text = text.replace(id, "ID").replace(id.get(..12).unwrap_or(id), "ID");
    if !suffix.is_empty() {
        text = text.replace(suffix, "");
    }
    let mut value: Value = serde_json::from_str(&anonymous(&text)).unwrap_or_default();
    // The moment at which Podman made it.
    if let Some(annotations) = value["Config"]["Annotations"].as_object_mut() {
        annotations.remove("io.kubernetes.cri-o.Created");
    }
    // The client of Docker puts these into the order of a map.
    for [document, key] in [["Config", "Env"], ["HostConfig", "Binds"]] {
        if let Some(all) = value[document][key].as_array_mut() {
            all.sort_by_key(Value::to_string);
        }
    }
    // The daemon lists these in the order of a map.
    if let Some(mounts) = value["Mounts"].as_array_mut() {
        mounts.sort_by_key(|mount| mount["Destination"].to_string());
    }
    value
}

/// Replaces names of 64 hexadecimal digits.
fn anonymous(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        match digits {
            64 => out.push_str("HEX"),
            0 => out.push(first),
            _ => out.push_str(&rest[..digits]),
        }
        rest = &rest[digits.max(first.len_utf8() * usize::from(digits == 0))..];
    }
    out
}
