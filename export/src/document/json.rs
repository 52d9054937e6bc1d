//! JSON as Go's `encoding/json` reads and writes it, since ids are digests of what it wrote.
//!
//! A [`Value`] is a span of the bytes it was read from. What is copied stays as it is, what is decoded follows Go: field
//! names in any case, the last of several wins, bytes that are no UTF-8 and lone surrogates become U+FFFD. Grammar is
//! checked by serde_json, once, for the whole document.

use serde::de::IgnoredAny;

/// A complete JSON value, without blanks around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    /// The first value of `bytes`. What follows it is ignored, as Go's decoder does with a file.
    pub(crate) fn first(bytes: &'a [u8]) -> Result<Self, String> {
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => Ok(Value(bytes[..values.byte_offset()].trim_ascii())),
            Some(Err(error)) => Err(error.to_string()),
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

    /// A whole number; `None` for anything else, also for one with a fraction or an exponent.
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

    /// The values directly inside of an object or an array, an object's keys among them.
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

/// Length of the value that `bytes` begin with; they are known to be valid.
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

fn string_len(bytes: &[u8]) -> usize {
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
            Piece::Plain(bytes) => lossy(bytes, &mut text),
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

/// What `bytes`, which follow `\u`, stand for, and how many of them: a second escape belongs to it if both are a
/// surrogate pair.
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

/// Each byte that is not part of a character becomes U+FFFD, as Go has it (and not, as Rust does, each group of them).
fn lossy(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

/// Appends a string with quotes. Go escapes what could end a script in HTML, also here.
pub(crate) fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend([b'\\', c as u8]),
            '\n' => out.extend(b"\\n"),
            '\r' => out.extend(b"\\r"),
            '\t' => out.extend(b"\\t"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.extend(format!("\\u{:04x}", u32::from(c)).bytes());
            }
            _ => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    out.push(b'"');
}

/// Appends a value as Go does with one that it keeps as raw bytes: blanks left out, the same characters escaped as in
/// [`quote`], everything else untouched.
pub(crate) fn compact(value: Value<'_>, out: &mut Vec<u8>) {
    let mut rest = value.raw();
    while let Some(&byte) = rest.first() {
        let mut len = 1;
        match byte {
            b'"' => {
                len = string_len(rest);
                escape(&rest[..len], out);
            }
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => out.push(byte),
        }
        rest = &rest[len..];
    }
}

fn escape(mut quoted: &[u8], out: &mut Vec<u8>) {
    while let Some(&byte) = quoted.first() {
        let mut len = 1;
        match byte {
            b'<' | b'>' | b'&' => out.extend(format!("\\u{byte:04x}").bytes()),
            0xe2 if quoted.starts_with(b"\xe2\x80\xa8") || quoted.starts_with(b"\xe2\x80\xa9") => {
                out.extend(format!("\\u20{:02x}", quoted[2] - 0x80).bytes());
                len = 3;
            }
            _ => out.push(byte),
        }
        quoted = &quoted[len..];
    }
}

/// An object that is written field by field.
pub(crate) struct Object {
    out: Vec<u8>,
}

impl Object {
    pub(crate) fn new() -> Self {
        Object { out: vec![b'{'] }
    }

    /// Adds a field; `write` appends its value.
    pub(crate) fn field(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        quote(name, &mut self.out);
        self.out.push(b':');
        write(&mut self.out);
        self
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.field(name, |out| quote(text, out))
    }

    /// A string that is left out when empty (`omitempty`).
    pub(crate) fn text_if_any(&mut self, name: &str, text: &str) -> &mut Self {
        if text.is_empty() { self } else { self.text(name, text) }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

/// Appends an array.
pub(crate) fn array<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
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
    fn what_is_no_json() {
        for json in [&b""[..], b"  ", b"{", b"{\"a\":}", b"[1,]", b"\"a", b"nul", b"\"\x01\""] {
            assert!(Value::first(json).is_err(), "{}", String::from_utf8_lossy(json));
        }
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert_eq!(Value::first(&deep).unwrap().items().unwrap().len(), 1);
    }

    #[test]
    fn escapes_as_go_writes_them() {
        let mut out = Vec::new();
        quote("<a&b>\u{2028}\u{7f}\u{8}\"\\é\u{fffd}", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"\\u003ca\\u0026b\\u003e\\u2028\u{7f}\\u0008\\\"\\\\é\u{fffd}\""
        );
        let mut out = Vec::new();
        compact(
            Value::first("{ \"<\" : [ 1.0 , \"a b\u{2029}\\ud800\\/\" ] }".as_bytes()).unwrap(),
            &mut out,
        );
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"\u003c":[1.0,"a b\u2029\ud800\/"]}"#);
    }
}
