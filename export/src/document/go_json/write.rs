//! Writing JSON as Go's `json.Marshal` does.

use super::value::{Value, string_len};

/// Appends a string with quotes. Go escapes the characters that could end a script in HTML, in every
/// document.
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

/// Appends a value as Go writes a `json.RawMessage`: without blanks, with the same characters escaped as in
/// [`quote`], and otherwise as it is.
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

/// Writes an object field by field.
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

/// An object whose fields are encoded already.
pub(crate) fn object(fields: impl IntoIterator<Item = (impl AsRef<str>, Vec<u8>)>) -> Vec<u8> {
    let mut object = Object::new();
    for (name, value) in fields {
        object.field(name.as_ref(), |out| out.extend(value));
    }
    object.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

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
