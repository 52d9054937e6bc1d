//! Changes one value of a document.

use serde_json::{Value, json};

use crate::campaign::random::Random;

/// Changes a document, or one line of a file that has a document in each. `None` if it is not JSON.
pub(crate) fn edit(bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    if let Ok(mut document) = serde_json::from_slice::<Value>(bytes) {
        change(&mut document, random);
        return serde_json::to_vec(&document).ok();
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let number = random.below(lines.len());
    let mut document: Value = serde_json::from_str(lines.get(number)?).ok()?;
    change(&mut document, random);
    lines[number] = document.to_string();
    Some((lines.join("\n") + "\n").into_bytes())
}

/// Changes one value, at any depth.
fn change(document: &mut Value, random: &mut Random) {
    let mut number = random.below(count(document));
    if let Some(value) = at(document, &mut number) {
        *value = instead(value, random);
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// The value with this number.
fn at<'v>(value: &'v mut Value, number: &mut usize) -> Option<&'v mut Value> {
    if *number == 0 {
        return Some(value);
    }
    *number -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| at(item, number)),
        Value::Object(members) => members.values_mut().find_map(|member| at(member, number)),
        _ => None,
    }
}

/// Another value for this one.
fn instead(value: &Value, random: &mut Random) -> Value {
    match (value, random.below(8)) {
        (_, 0) => Value::Null,
        (_, 1) => random.one_of(&[json!(""), json!([]), json!({}), json!(-1), json!(true)]).clone(),
        (_, 2) => json!({"x": 1}),
        (Value::String(text), 3) => json!(format!("../../{text}")),
        (Value::String(text), 4) => json!(text.to_uppercase()),
        (Value::String(text), _) if !text.is_empty() => {
            let mut chars: Vec<char> = text.chars().collect();
            let at = random.below(chars.len());
            chars[at] = *random.one_of(&['0', 'f', 'z', '/', '\u{202e}', '\0']);
            json!(chars.into_iter().collect::<String>())
        }
        (Value::Number(number), _) => {
            let number = number.as_i64().unwrap_or_default();
            json!(*random.one_of(&[0, 1, number - 1, number + 1, i64::MAX, number << 12]))
        }
        (Value::Array(items), _) if !items.is_empty() => {
            let mut items = items.clone();
            let at = random.below(items.len());
            match random.below(3) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => items.reverse(),
            }
            Value::Array(items)
        }
        (Value::Object(members), _) if !members.is_empty() => {
            let mut members = members.clone();
            let key = members.keys().nth(random.below(members.len())).cloned().unwrap_or_default();
            members.shift_remove(&key);
            Value::Object(members)
        }
        (other, _) => json!([other]),
    }
}
