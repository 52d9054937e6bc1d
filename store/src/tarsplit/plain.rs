//! The fast path for lines exactly as engines write them: tar-split's `Entry` in Go's `encoding/json`,
//! without white space or escapes, keys in the order of the struct.
//!
//! A layer has two lines for each of its files, and each line is read twice. serde_json is too slow for that.
//!
//! ```text
//! {"type":2,"payload":"<base64>","position":0}
//! {"type":1,"name":"etc/passwd","size":33,"payload":"<base64>","position":1}
//! {"type":1,"name_raw":"<base64>","payload":null,"position":2}
//! ```
//!
//! Anything else is left to [`super::line::parse_any`], which alone decides what is an error.

use std::borrow::Cow;

use memchr::memchr;

use super::line::Line;
use super::payload;

/// Parses a line; `None` if it is not plain.
pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
    if let Some(rest) = line.strip_prefix(br#"{"type":2"#) {
        let (payload, rest) = payload(rest)?;
        return position(rest).then(|| Line::Bytes(Cow::Borrowed(payload.unwrap_or_default())));
    }
    let rest = line.strip_prefix(br#"{"type":1,"name"#)?;
    let (name, rest) = if let Some(rest) = rest.strip_prefix(br#"":"#) {
        let (name, rest) = string(rest)?;
        (Cow::Borrowed(name), rest)
    } else {
        let (base64, rest) = string(rest.strip_prefix(br#"_raw":"#)?)?;
        (Cow::Owned(payload::decode(base64).ok()?), rest)
    };
    let (size, rest) = match rest.strip_prefix(br#","size":"#) {
        Some(rest) => number(rest)?,
        None => (0, rest),
    };
    let (payload, rest) = payload(rest)?;
    let checksum = if size == 0 { 0 } else { payload::checksum(payload?)? };
    position(rest).then_some(Line::Contents { name, size, checksum })
}

/// A payload or `null`, and what follows it.
fn payload(rest: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let rest = rest.strip_prefix(br#","payload":"#)?;
    if let Some(rest) = rest.strip_prefix(b"null") {
        return Some((None, rest));
    }
    string(rest).map(|(payload, rest)| (Some(payload), rest))
}

/// Whether this is how a line ends. The position itself is not used.
fn position(rest: &[u8]) -> bool {
    let rest = rest.strip_prefix(br#","position":"#).and_then(number);
    matches!(rest, Some((_, b"}" | b"}\n")))
}

/// The characters between two quotation marks, and what follows the second.
fn string(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = rest.strip_prefix(b"\"")?;
    let (text, rest) = rest.split_at(memchr(b'"', rest)?);
    // As signed numbers, control characters and non-ASCII bytes are all below the space. The loop has no
    // early exit, so that the compiler vectorizes it.
    let odd = text.iter().fold(false, |odd, &byte| odd | (byte.cast_signed() < 0x20) | (byte == b'\\'));
    let fine = !odd || is_plain_utf8(text);
    fine.then(|| (text, &rest[1..]))
}

/// Whether this is UTF-8 without control characters and escapes.
fn is_plain_utf8(text: &[u8]) -> bool {
    !text.iter().any(|&byte| byte < b' ' || byte == b'\\') && std::str::from_utf8(text).is_ok()
}

/// A number, and what follows it. Eighteen digits fit in every type that the general parser reads them into.
fn number(rest: &[u8]) -> Option<(u64, &[u8])> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = rest.split_at(digits);
    match number {
        [] | [b'0', _, ..] => None,
        _ if digits > 18 => None,
        _ => Some((number.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')), rest)),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::super::line::parse_any;
    use super::*;

    /// A line that the fast path accepts must mean the same to the general parser.
    fn agree(line: &[u8]) {
        if let Some(plain) = parse(line) {
            assert_eq!(Ok(plain), parse_any(line), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn what_engines_write_is_plain() {
        for line in [
            &br#"{"type":2,"payload":"AAEC","position":0}"#[..],
            b"{\"type\":2,\"payload\":\"AAEC\",\"position\":12}\n",
            br#"{"type":2,"payload":"","position":1}"#,
            br#"{"type":2,"payload":null,"position":1}"#,
            br#"{"type":1,"name":"./etc/x","size":3,"payload":"AAAAAAAAAQA=","position":7}"#,
            "{\"type\":1,\"name\":\"na\u{ef}ve\u{7f}\",\"size\":3,\"payload\":\"AAAAAAAAAQA=\",\
             \"position\":7}"
                .as_bytes(),
            br#"{"type":1,"name":"empty","payload":null,"position":7}"#,
            br#"{"type":1,"name":"empty","size":0,"payload":"?","position":7}"#,
            br#"{"type":1,"name":"x","size":999999999999999999,"payload":"AAAAAAAAAQA=","position":7}"#,
            br#"{"type":1,"name_raw":"Y2Fm6Q==","size":3,"payload":"AAAAAAAAAQA=","position":7}"#,
        ] {
            assert!(parse(line).is_some(), "{}", line.escape_ascii());
            agree(line);
        }
    }

    #[test]
    fn what_is_not_plain() {
        let line = |middle: &str| format!("{{\"type\":1,\"name\":{middle},\"position\":7}}").into_bytes();
        let mut lines = Vec::from([
            line(r#""a\u0026b","size":3,"payload":"AAAAAAAAAQA=""#),
            line(r#""x","size":03,"payload":"AAAAAAAAAQA=""#),
            line(r#""x","size":-1,"payload":"AAAAAAAAAQA=""#),
            line(r#""x","size":1e3,"payload":"AAAAAAAAAQA=""#),
            line(r#""x","size":1.0,"payload":"AAAAAAAAAQA=""#),
            line(r#""x","size":9223372036854775808,"payload":"AAAAAAAAAQA=""#),
            line(r#""x","size":3,"size":4,"payload":"AAAAAAAAAQA=""#),
            line(r#""x","size":3,"payload":null"#),
            line(r#""x","size":3,"payload":"AAAAAAAAAQB=""#),
            line("\"a\tb\",\"size\":3,\"payload\":\"AAAAAAAAAQA=\""),
            br#"{"type":2,"payload":"AAEC","position":0}}"#.to_vec(),
            br#"{"type":2,"payload":"AAEC","position":0,"more":1}"#.to_vec(),
            br#"{"type":2,"payload":"AAEC","position":}"#.to_vec(),
            br#"{"type":2,"payload":"AAEC"}"#.to_vec(),
            br#"{"type":20,"payload":"AAEC","position":0}"#.to_vec(),
            br#" {"type":2,"payload":"AAEC","position":0}"#.to_vec(),
        ]);
        for bytes in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80"] {
            let [start, end] = [br#"{"type":2,"payload":""#, &br#"","position":0}"#[..]];
            lines.push([start, bytes, end].concat());
            let [start, end] = [br#"{"type":1,"name":""#, &br#"","payload":null,"position":0}"#[..]];
            lines.push([start, bytes, end].concat());
        }
        for line in lines {
            assert_eq!(parse(&line), None, "{}", line.escape_ascii());
        }
    }

    /// Lines as engines write them, and near misses.
    fn any_line() -> impl Strategy<Value = Vec<u8>> {
        let base64 = || prop::collection::vec(any::<u8>(), 0..80).prop_map(|bytes| STANDARD.encode(bytes));
        let bytes = (base64(), 0..200_000_u32)
            .prop_map(|(payload, at)| format!(r#"{{"type":2,"payload":"{payload}","position":{at}}}"#));
        let name = prop_oneof![
            "[a-z./]{0,12}".prop_map(|name| format!(r#""name":"{name}""#)),
            "\\PC{0,12}".prop_map(|name| format!(r#""name":{}"#, serde_json::Value::String(name))),
            base64().prop_map(|name| format!(r#""name_raw":"{name}""#)),
        ];
        let size = prop_oneof![
            Just(String::new()),
            (0..5_u64).prop_map(|size| format!(r#","size":{size}"#)),
            any::<i64>().prop_map(|size| format!(r#","size":{size}"#)),
        ];
        let checksum = prop_oneof![
            any::<u64>().prop_map(|checksum| format!("\"{}\"", STANDARD.encode(checksum.to_be_bytes()))),
            Just("null".to_owned()),
        ];
        let file = (name, size, checksum, any::<u64>()).prop_map(|(name, size, checksum, at)| {
            format!(r#"{{"type":1,{name}{size},"payload":{checksum},"position":{at}}}"#)
        });
        let line = prop_oneof![bytes, file];
        (line, any::<bool>())
            .prop_map(|(line, end)| [line.as_bytes(), if end { b"\n" } else { b"" }].concat())
    }

    /// Bytes that mean something to JSON, and arbitrary ones.
    fn any_byte() -> impl Strategy<Value = u8> {
        prop_oneof![
            prop::sample::select(b"\"\\{}[]:,0123456789-+.eE=nul \t\r\n\x1f\x7f\x80\xc3\xbf".to_vec()),
            any::<u8>()
        ]
    }

    proptest! {
        #[test]
        fn both_ways_agree(line in any_line()) {
            agree(&line);
        }

        #[test]
        fn both_ways_agree_on_damage(
            line in any_line(),
            edits in prop::collection::vec((0..3_u8, any::<prop::sample::Index>(), any_byte()), 1..4),
        ) {
            let mut line = line;
            for (kind, at, byte) in edits {
                let at = at.index(line.len().max(1));
                match kind {
                    0 if at < line.len() => line[at] = byte,
                    1 if at < line.len() => drop(line.remove(at)),
                    _ => line.insert(at, byte),
                }
                agree(&line);
            }
        }
    }

    /// Short lines with every byte removed, and replaced by and preceded by every other byte.
    #[test]
    fn both_ways_agree_on_any_single_byte() {
        for line in [
            &br#"{"type":2,"payload":"AA==","position":10}"#[..],
            br#"{"type":1,"name":"x","size":3,"payload":"AAAAAAAAAQA=","position":7}"#,
            br#"{"type":1,"name_raw":"AA==","payload":null,"position":7}"#,
        ] {
            for at in 0..=line.len() {
                for byte in 0..=u8::MAX {
                    agree(&[&line[..at], &[byte], &line[at..]].concat());
                    if at < line.len() {
                        agree(&[&line[..at], &[byte], &line[at + 1..]].concat());
                    }
                }
                if at < line.len() {
                    agree(&[&line[..at], &line[at + 1..]].concat());
                }
            }
        }
    }
}
