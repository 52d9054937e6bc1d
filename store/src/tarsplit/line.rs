//! One line of tar-split metadata.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Bytes of the tar, in base64.
    Bytes(Cow<'a, str>),
    /// The contents of a file. A name is bytes, relative to the layer's root, as the tar has it (`./etc/x`, `/etc/x`).
    Contents { name: Cow<'a, [u8]>, size: u64, checksum: u64 },
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "type")]
    kind: u64,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    /// Base64, in place of `name`, where that is not UTF-8 (since Docker 1.9).
    #[serde(borrow, default)]
    name_raw: Option<Cow<'a, str>>,
    #[serde(default)]
    size: Option<i64>,
    #[serde(borrow, default)]
    payload: Option<Cow<'a, str>>,
}

/// Reads a line; the error says what is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Line<'_>, String> {
    let raw: Raw<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    match raw.kind {
        2 => Ok(Line::Bytes(raw.payload.unwrap_or_default())),
        1 => {
            let size = raw.size.unwrap_or(0);
            let size = u64::try_from(size).map_err(|_| format!("a file has {size} bytes"))?;
            let name = match (raw.name_raw, raw.name) {
                (Some(base64), _) => Cow::Owned(decode(&base64)?),
                (None, Some(Cow::Borrowed(name))) => Cow::Borrowed(name.as_bytes()),
                (None, Some(Cow::Owned(name))) => Cow::Owned(name.into_bytes()),
                (None, None) => Cow::Borrowed(&[][..]),
            };
            let checksum = match raw.payload {
                // An empty file has none; nothing of it is read.
                None if size == 0 => 0,
                None => return Err("a file has no checksum".to_owned()),
                Some(_) if size == 0 => 0,
                Some(base64) => match decode(&base64)?.try_into() {
                    Ok(bytes) => u64::from_be_bytes(bytes),
                    Err(_) => return Err("a checksum does not have 8 bytes".to_owned()),
                },
            };
            Ok(Line::Contents { name, size, checksum })
        }
        kind => Err(format!("an entry has the unknown type {kind}")),
    }
}

fn decode(base64: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(base64).map_err(|error| format!("base64: {error}"))
}

/// Appends the bytes that `base64` stands for.
pub(super) fn decode_into(base64: &str, bytes: &mut Vec<u8>) -> Result<(), String> {
    STANDARD.decode_vec(base64, bytes).map_err(|error| format!("base64: {error}"))
}

/// How many bytes `base64` stands for, if it is valid.
pub(super) fn decoded_len(base64: &str) -> u64 {
    let padding = base64.bytes().rev().take(2).take_while(|&b| b == b'=').count() as u64;
    (base64.len() as u64 / 4 * 3).saturating_sub(padding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_write() {
        assert_eq!(parse(br#"{"type":2,"payload":"AAEC","position":0}"#), Ok(Line::Bytes("AAEC".into())));
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

    #[test]
    fn lengths_without_decoding() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", b"abcd"] {
            assert_eq!(decoded_len(&STANDARD.encode(bytes)), bytes.len() as u64);
        }
    }
}
