//! One line of tar-split metadata.

use std::borrow::Cow;

use serde::Deserialize;

use super::{payload, plain};
use crate::json;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Bytes of the tar, in base64.
    Bytes(Cow<'a, [u8]>),
    /// The contents of a file. The name is bytes, relative to the layer's root, spelled as in the tar
    /// (`./etc/x`, `/etc/x`).
    Contents { name: Cow<'a, [u8]>, size: u64, checksum: u64 },
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "type")]
    kind: u64,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    /// Base64. Stands in for `name` where that is not UTF-8 (since Docker 1.9).
    #[serde(borrow, default)]
    name_raw: Option<Cow<'a, str>>,
    #[serde(default)]
    size: Option<i64>,
    #[serde(borrow, default)]
    payload: Option<Cow<'a, str>>,
}

/// Parses a line; the error says what is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Line<'_>, String> {
    match plain::parse(line) {
        Some(line) => Ok(line),
        None => parse_any(line),
    }
}

/// The same for any JSON: keys in another order, escapes, white space. This is the authority on what is
/// valid.
pub(super) fn parse_any(line: &[u8]) -> Result<Line<'_>, String> {
    let raw: Raw<'_> = json::parse(line)?;
    match raw.kind {
        2 => Ok(Line::Bytes(bytes(raw.payload.unwrap_or_default()))),
        1 => {
            let size = raw.size.unwrap_or(0);
            let size = u64::try_from(size).map_err(|_| format!("a file has a size of {size} bytes"))?;
            let name = match (raw.name_raw, raw.name) {
                (Some(base64), _) => Cow::Owned(payload::decode(base64.as_bytes())?),
                (None, Some(name)) => bytes(name),
                (None, None) => Cow::Borrowed(&[][..]),
            };
            let checksum = match raw.payload {
                // An empty file has no checksum, and nothing of it is read.
                None if size == 0 => 0,
                None => return Err("a file has no checksum".to_owned()),
                Some(_) if size == 0 => 0,
                Some(base64) => match payload::decode(base64.as_bytes())?.try_into() {
                    Ok(bytes) => u64::from_be_bytes(bytes),
                    Err(_) => return Err("a checksum is not 8 bytes long".to_owned()),
                },
            };
            Ok(Line::Contents { name, size, checksum })
        }
        kind => Err(format!("an entry has the unknown type {kind}")),
    }
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_write() {
        assert_eq!(
            parse(br#"{"type":2,"payload":"AAEC","position":0}"#),
            Ok(Line::Bytes(b"AAEC"[..].into()))
        );
        assert_eq!(
            parse(br#"{"type":1,"name":"./a\u0026b","size":3,"payload":"AAAAAAAAAQA=","position":7}"#),
            Ok(Line::Contents { name: b"./a&b"[..].into(), size: 3, checksum: 256 })
        );
        assert_eq!(
            parse(br#"{"type":1,"name_raw":"Y2Fm6Q==","size":3,"payload":"AAAAAAAAAQA=","position":7}"#),
            Ok(Line::Contents { name: b"caf\xe9"[..].into(), size: 3, checksum: 256 })
        );
        assert_eq!(
            parse(br#"{"type":1,"name":"empty","payload":null,"position":7}"#),
            Ok(Line::Contents { name: b"empty"[..].into(), size: 0, checksum: 0 })
        );
    }

    #[test]
    fn what_is_damaged() {
        for line in [
            &b"{"[..],
            b"null",
            br#"{"type":3}"#,
            br#"{"type":"2"}"#,
            br#"{"type":1,"name":"x","size":-1,"payload":"AAAAAAAAAQA="}"#,
            br#"{"type":1,"name":"x","size":1,"payload":"AA=="}"#,
            br#"{"type":1,"name":"x","size":1,"payload":"!"}"#,
            br#"{"type":1,"name":"x","size":1}"#,
            br#"{"type":2,"payload":7}"#,
        ] {
            assert!(parse(line).is_err(), "{}", String::from_utf8_lossy(line));
        }
    }
}
