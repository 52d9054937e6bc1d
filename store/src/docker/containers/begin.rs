//! What is left of a record that was cut, as by a power loss.
//!
//! ```text
//! {"State":{"Running":true,…},"ID":"947043a8…","Config":{"Hostname":"947043a82d06","Env":["PATH=/b
//! {"State":{"Running":true,…},"ID":"947043a8…","Config":{"Hostname":"947043a82d06","Env":[]}}
//! ```
//!
//! Members that are complete stay, byte for byte. Zero bytes end a record, too: ext4 and xfs leave them in
//! place of what was never written.

/// Values within so many others are not kept. Records have six levels, and the parser takes 128.
const DEPTH: usize = 64;

/// The beginning of an object up to the last value that is complete, with what closes it. `{}` if nothing is
/// left.
pub(super) fn of(bytes: &[u8]) -> Vec<u8> {
    let mut open: Vec<u8> = Vec::new();
    let mut end = (0, Vec::new());
    let mut in_text = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            0 => break,
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' if open.len() == DEPTH => break,
            b'{' | b'[' => {
                open.push(if byte == b'{' { b'}' } else { b']' });
                end = (at + 1, open.clone());
            }
            b'}' | b']' => {
                if open.pop() != Some(byte) {
                    break;
                }
                end = (at + 1, open.clone());
                if open.is_empty() {
                    break;
                }
            }
            b',' => end = (at, open.clone()),
            _ => {}
        }
        at += 1;
    }
    let (len, open) = end;
    let mut begin = bytes.get(..len).unwrap_or_default().to_vec();
    begin.extend(open.iter().rev());
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&begin) {
        Ok(_) => begin,
        Err(_) => b"{}".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn complete_values_stay() {
        for (text, left) in [
            ("", "{}"),
            ("\0\0\0", "{}"),
            ("[]", "{}"),
            ("[1,2", "{}"),
            ("nonsense", "{}"),
            ("{", "{}"),
            (r#"{"a"#, "{}"),
            (r#"{"a":"b"#, "{}"),
            (r#"{"a":1"#, "{}"),
            (r#"{"a":1,"#, r#"{"a":1}"#),
            (r#"{"a":1,"b"#, r#"{"a":1}"#),
            (r#"{"a":"x,}\",","b":[1,2"#, r#"{"a":"x,}\",","b":[1]}"#),
            (r#"{"a":{"b":{},"c":"d"#, r#"{"a":{"b":{}}}"#),
            ("{\"a\":1,\"b\":2\0\0", r#"{"a":1}"#),
            (r#"{"a":1}]"#, r#"{"a":1}"#),
            (r#"{"a":1]"#, "{}"),
            (r#"{"a":1,"b":{"c":nul"#, r#"{"a":1,"b":{}}"#),
            (r#"{"a":1,"b":"\"#, r#"{"a":1}"#),
        ] {
            assert_eq!(String::from_utf8_lossy(&of(text.as_bytes())), left, "{text:?}");
        }
    }

    /// Such a record takes no longer than any other of its size.
    #[test]
    fn deep_values_end_it() {
        let begin = r#"{"a":1,"b":"#;
        let left = of([begin, &"[".repeat(8 << 20)].concat().as_bytes());
        assert_eq!(String::from_utf8_lossy(&left), [begin, &"[".repeat(63), &"]".repeat(63), "}"].concat());
    }
}
