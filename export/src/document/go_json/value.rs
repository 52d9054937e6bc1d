//! JSON values as spans of the bytes they were read from. Decoding follows Go: a byte that is not UTF-8 and a
//! lone surrogate each become U+FFFD.
//!
//! serde_json checks the grammar, once, for the whole document. The scanner below relies on that.

use serde::de::IgnoredAny;

/// A complete JSON value, without blanks around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    /// The first value of `bytes`. Go's decoder ignores what follows the value in a file, and so does this.
    pub(crate) fn first(bytes: &'a [u8]) -> Result<Self, String> {
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => Ok(Value(bytes[..values.byte_offset()].trim_ascii())),
            Some(Err(error)) if error.is_eof() => Err("its end is missing".to_owned()),
            Some(Err(error)) => {
                Err(format!("it is not JSON from line {}, column {} on", error.line(), error.column()))
            }
            None => Err("it is empty".to_owned()),
        }
    }

    /// The bytes.
    pub(crate) fn raw(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn is_null(self) -> bool {
        self.0 == b"null"
    }

    /// Fields of an object in their order; `None` for anything else.
    pub(crate) fn fields(self) -> Option<Vec<(String, Value<'a>)>> {
        let parts = self.parts(b'{')?;
        Some(parts.chunks_exact(2).map(|pair| (unquote(pair[0].0), pair[1])).collect())
    }

    /// Items of an array; `None` for anything else.
    pub(crate) fn items(self) -> Option<Vec<Value<'a>>> {
        self.parts(b'[')
    }

    /// A string, decoded; `None` for anything else.
    pub(crate) fn text(self) -> Option<String> {
        self.0.starts_with(b"\"").then(|| unquote(self.0))
    }

    /// A whole number; `None` for anything else, including a number with a fraction or an exponent.
    pub(crate) fn integer(self) -> Option<i64> {
        std::str::from_utf8(self.0).ok()?.parse().ok()
    }

    pub(crate) fn boolean(self) -> Option<bool> {
        match self.0 {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The values directly inside an object or an array; an object's keys are among them.
    fn parts(self, open: u8) -> Option<Vec<Value<'a>>> {
        let mut rest = self.0.strip_prefix(&[open])?;
        let mut parts = Vec::new();
        loop {
            rest = rest.trim_ascii_start();
            match rest.first()? {
                b'}' | b']' => return Some(parts),
                b',' | b':' => rest = &rest[1..],
                _ => {
                    let (value, after) = rest.split_at(value_len(rest));
                    parts.push(Value(value));
                    rest = after;
                }
            }
        }
    }
}

/// Length of the value at the start of `bytes`, which are valid JSON.
fn value_len(bytes: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at += string_len(&bytes[at..]),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b'}' | b']' | b',' if depth == 0 => return at,
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// Length of the string at the start of `bytes`, quotes included.
pub(super) fn string_len(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Decodes a string, quotes included.
fn unquote(quoted: &[u8]) -> String {
    let inner = &quoted[1..quoted.len() - 1];
    let mut text = String::new();
    for piece in pieces(inner) {
        match piece {
            Piece::Plain(bytes) => push_repaired(bytes, &mut text),
            Piece::Char(c) => text.push(c),
        }
    }
    text
}

enum Piece<'a> {
    Plain(&'a [u8]),
    Char(char),
}

fn pieces(inner: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = inner;
    while let Some(at) = rest.iter().position(|&b| b == b'\\') {
        pieces.push(Piece::Plain(&rest[..at]));
        let escape = rest.get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or_default();
        let c = match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (c, len) = unicode(rest);
                rest = rest.get(len..).unwrap_or_default();
                c
            }
            other => char::from(other),
        };
        pieces.push(Piece::Char(c));
    }
    pieces.push(Piece::Plain(rest));
    pieces
}

/// The character that the bytes behind a `\u` stand for, and how many bytes that takes: the two escapes of a
/// surrogate pair are one character.
fn unicode(bytes: &[u8]) -> (char, usize) {
    let unit = |bytes: &[u8]| {
        let digits = std::str::from_utf8(bytes.get(..4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(bytes) else { return (char::REPLACEMENT_CHARACTER, bytes.len().min(4)) };
    if let Some(c) = char::from_u32(first) {
        return (c, 4);
    }
    let second = bytes.get(4..).and_then(|rest| rest.strip_prefix(b"\\u")).and_then(unit);
    match second {
        Some(second @ 0xdc00..=0xdfff) if first < 0xdc00 => {
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 10)
        }
        _ => (char::REPLACEMENT_CHARACTER, 4),
    }
}

/// Replaces each byte that is not part of a character with U+FFFD. Rust's own conversion replaces each group
/// of them.
fn push_repaired(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &[u8]) -> String {
        Value::first(json).unwrap().text().unwrap()
    }

    #[test]
    fn spans() {
        let json = br#" { "a" : [1, {"b":"]"} , "x\"y"], "c":null,"d":{} } trailing"#;
        let fields = Value::first(json).unwrap().fields().unwrap();
        let names: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.raw())).collect();
        let expected: [(&str, &[u8]); 3] =
            [("a", br#"[1, {"b":"]"} , "x\"y"]"#), ("c", b"null"), ("d", b"{}")];
        assert_eq!(names, expected);
        let items = fields[0].1.items().unwrap();
        assert_eq!(items.len(), 3);
        assert_eq!(items[0].integer(), Some(1));
        assert_eq!(items[2].text().as_deref(), Some("x\"y"));
        assert!(fields[2].1.fields().unwrap().is_empty());
    }

    #[test]
    fn strings_that_go_repairs() {
        for (json, expected) in [
            (&br#""\u00e9\ud83d\ude00\n\/""#[..], "é😀\n/"),
            (br#""\ud800x""#, "\u{fffd}x"),
            (br#""\ud800\u0041""#, "\u{fffd}A"),
            (br#""\udc00\ud800""#, "\u{fffd}\u{fffd}"),
            (b"\"\xe2\x82\"", "\u{fffd}\u{fffd}"),
            (b"\"\xff\xc3\xa9\"", "\u{fffd}é"),
        ] {
            assert_eq!(text(json), expected, "{}", String::from_utf8_lossy(json));
        }
    }

    #[test]
    fn not_json() {
        for json in [&b""[..], b"  ", b"{", b"{\"a\":}", b"[1,]", b"\"a", b"nul", b"\"\x01\""] {
            assert!(Value::first(json).is_err(), "{}", String::from_utf8_lossy(json));
        }
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert_eq!(Value::first(&deep).unwrap().items().unwrap().len(), 1);
    }
}
