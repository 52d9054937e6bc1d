//! SHA-256, the digest of everything in an image: `sha256:` and 64 lower-case hex digits.

use std::fmt;
use std::str::FromStr;

use crate::Hasher;

/// A SHA-256 digest. Prints and parses as `sha256:<64 hex>`; [`Digest::hex`] has no prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// A text that is not a `sha256:` digest. Holds the text, for the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a digest (sha256: and 64 hex digits)")]
pub struct ParseDigestError(pub String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }

    /// A digest from its 64 lower-case hex digits, without prefix.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if hex.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Digest(bytes))
    }

    /// The 64 hex digits.
    pub fn hex(&self) -> String {
        self.0
            .iter()
            .flat_map(|b| [b >> 4, b & 15])
            .map(|n| char::from(b"0123456789abcdef"[n as usize]))
            .collect()
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        text.strip_prefix("sha256:")
            .and_then(Digest::from_hex)
            .ok_or_else(|| ParseDigestError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nothing() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").hex(), hex);
        assert_eq!(format!("sha256:{hex}").parse(), Ok(Digest::of(b"")));
        assert_eq!(Hasher::default().finish(), Digest::of(b""));
    }

    #[test]
    fn what_is_not_a_digest() {
        let hex = Digest::of(b"x").hex();
        for text in ["", "sha256:", &hex, &format!("sha256:{}", hex.to_uppercase()), &format!("sha512:{hex}")]
        {
            assert_eq!(text.parse::<Digest>(), Err(ParseDigestError(text.to_owned())), "{text}");
        }
        assert_eq!(format!("sha256:../{}", &hex[3..]).parse::<Digest>().ok(), None);
    }
}
