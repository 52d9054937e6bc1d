//! JSON as engines write it. Two things that serde accepts are errors here: an array in place of an object,
//! and a repeated key in a map.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::error::Category;

/// Largest size of a document. Registries refuse manifests above 4 MiB, and configs stay well below that. In
/// `repositories.json`, a name takes about 200 bytes.
pub(crate) const LIMIT: u64 = 16 << 20;

/// Parses an object; the error says what is wrong with it.
pub(crate) fn object<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err("it is not a JSON object".to_owned());
    }
    parse(bytes)
}

/// Parses any value; the error says what is wrong with it, and with which member.
pub(crate) fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        Category::Data => why(bytes, PhantomData::<T>).unwrap_or_else(|| words(&error)),
        _ => words(&error),
    })
}

/// What is wrong with a value that is JSON, but not what it should be. Finds the member, for which it is
/// parsed once more.
fn why<'de, T: Deserialize<'de>>(bytes: &'de [u8], _: PhantomData<T>) -> Option<String> {
    let mut values = serde_json::Deserializer::from_slice(bytes);
    let error = serde_path_to_error::deserialize::<_, T>(&mut values).err()?;
    let what = words(error.inner());
    Some(match (error.path().to_string().as_str(), what.strip_prefix("it is ")) {
        (".", _) => what,
        (member, Some(is)) => format!("{member} is {is}"),
        (member, None) => format!("in {member}, {what}"),
    })
}

/// An error of the parser, for a reader who has never heard of the parser.
pub(crate) fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
    match error.classify() {
        Category::Eof => return "its end is missing".to_owned(),
        Category::Syntax | Category::Io => {
            return format!("it is not JSON from line {}, column {} on", error.line(), error.column());
        }
        Category::Data => {}
    }
    let quoted = |text: &str| text.trim_matches('`').to_owned();
    if let Some(name) = text.strip_prefix("missing field ") {
        return format!("it has no {}", quoted(name));
    }
    if let Some(name) = text.strip_prefix("duplicate field ") {
        return format!("{} is there twice", quoted(name));
    }
    let mismatch = ["invalid type: ", "invalid value: "].iter().find_map(|start| text.strip_prefix(start));
    match mismatch.and_then(|text| text.split_once(", expected ")) {
        Some((found, expected)) => format!("it is {}, not {}", value(found), kind(expected)),
        None => text.to_owned(),
    }
}

/// The same for a document whose members are not followed.
pub(crate) fn words_within(error: &serde_json::Error) -> String {
    let words = words(error);
    match words.strip_prefix("it is ") {
        Some(is) if error.is_data() => format!("a value in it is {is}"),
        _ => words,
    }
}

/// A value, as the parser words it.
fn value(text: &str) -> String {
    let named =
        [("string ", ""), ("integer ", "the number "), ("boolean ", ""), ("floating point ", "the number ")];
    for (start, word) in named {
        if let Some(value) = text.strip_prefix(start) {
            return format!("{word}{}", value.trim_matches('`'));
        }
    }
    kind(text)
}

/// A sort of values, as the parser words it.
fn kind(text: &str) -> String {
    let words = match text {
        "map" | "a map" => "an object",
        "sequence" | "a sequence" => "a list",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i64" | "i32" => "a whole number",
        _ if text.starts_with("struct ") => "an object",
        _ => text,
    };
    words.to_owned()
}

/// A map in which a repeated key is an error, since nothing says which value is meant.
pub(crate) struct Unique<V>(pub(crate) BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueVisitor(PhantomData))
    }
}

struct UniqueVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for UniqueVisitor<V> {
    type Value = Unique<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = access.next_entry::<String, V>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("{key:?} is there twice")));
            }
            map.insert(key, value);
        }
        Ok(Unique(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it can be parsed is of interest")]
    struct Document {
        name: String,
        size: Option<u64>,
        parts: Option<Vec<Part>>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it can be parsed is of interest")]
    struct Part {
        id: String,
    }

    #[test]
    fn errors_name_the_member() {
        for (json, expected) in [
            ("{}", "it has no name"),
            ("[]", "it is not a JSON object"),
            ("{\"name\":", "its end is missing"),
            ("{\"name\"}", "it is not JSON from line 1, column 8 on"),
            ("{\"name\":{}}", "name is an object, not a string"),
            ("{\"name\":[]}", "name is a list, not a string"),
            ("{\"name\":null}", "name is null, not a string"),
            ("{\"name\":5}", "name is the number 5, not a string"),
            ("{\"name\":\"x\",\"size\":-1}", "size is the number -1, not a whole number"),
            ("{\"name\":\"x\",\"size\":\"5\"}", "size is \"5\", not a whole number"),
            ("{\"name\":\"x\",\"size\":true}", "size is true, not a whole number"),
            ("{\"name\":\"x\",\"parts\":{}}", "parts is an object, not a list"),
            (
                "{\"name\":\"x\",\"parts\":[{\"id\":\"a\"},{\"id\":7}]}",
                "parts[1].id is the number 7, not a string",
            ),
            ("{\"name\":\"x\",\"parts\":[{}]}", "in parts[0], it has no id"),
            ("{\"name\":\"x\",\"name\":\"y\"}", "name is there twice"),
        ] {
            let why = object::<Document>(json.as_bytes()).map(|_| ()).unwrap_err();
            assert_eq!(why, expected, "{json}");
        }
    }
}
