//! The base64 in tar-split metadata.
//!
//! Most of a layer's metadata is tar headers, 684 characters each, so vector instructions pay off. The base64
//! crate detects them at run time.

use std::sync::LazyLock;

use base64::Engine as _;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::GeneralPurpose as Engine;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::Simd as Engine;
use base64::engine::general_purpose::PAD;

/// Go's `base64.StdEncoding`: `+` and `/`, padding required.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return Engine::standard(PAD);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return Engine::new(&base64::alphabet::STANDARD, PAD);
});

pub(super) fn decode(base64: &[u8]) -> Result<Vec<u8>, String> {
    ENGINE.decode(base64).map_err(|error| format!("base64: {error}"))
}

/// Decodes `base64` and appends the bytes.
pub(super) fn decode_into(base64: &[u8], bytes: &mut Vec<u8>) -> Result<(), String> {
    ENGINE.decode_vec(base64, bytes).map_err(|error| format!("base64: {error}"))
}

/// The bytes of 48 characters in the middle of some base64.
pub(super) fn decode_part(base64: &[u8; 48]) -> Option<[u8; 36]> {
    let mut bytes = [0; 36];
    (ENGINE.decode_slice(base64, &mut bytes) == Ok(36)).then_some(bytes)
}

/// A checksum; `None` unless `base64` decodes to 8 bytes.
pub(super) fn checksum(base64: &[u8]) -> Option<u64> {
    // Twelve characters are eight bytes and one padding character, or nine bytes.
    let mut bytes = [0; 9];
    if base64.len() != 12 || ENGINE.decode_slice(base64, &mut bytes) != Ok(8) {
        return None;
    }
    bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// How many bytes `base64` decodes to, if it is valid.
pub(super) fn decoded_len(base64: &[u8]) -> u64 {
    let padding = base64.iter().rev().take(2).take_while(|&&b| b == b'=').count() as u64;
    (base64.len() as u64 / 4 * 3).saturating_sub(padding)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_without_decoding() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", b"abcd"] {
            assert_eq!(decoded_len(STANDARD.encode(bytes).as_bytes()), bytes.len() as u64);
        }
    }

    #[test]
    fn checksums_have_eight_bytes() {
        assert_eq!(checksum(b"AAAAAAAAAQA="), Some(256));
        for wrong in ["", "AAAAAAAAAQA", "AAAAAAAAAQAA", "AAAAAAAAAQB=", "AAAAAAAAAQ==", "AAAA AAAAAQA="] {
            assert_eq!(checksum(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        /// The engine with vector instructions is a separate implementation. It must accept and refuse the
        /// same input, with the same messages.
        #[test]
        fn as_without_vector_instructions(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            cut in 0..3_usize,
        ) {
            let mut base64 = STANDARD.encode(bytes).into_bytes();
            if let Some((at, byte)) = damage && !base64.is_empty() {
                let at = at.index(base64.len());
                base64[at] = byte;
            }
            base64.truncate(base64.len().saturating_sub(cut / 2));
            let expected = STANDARD.decode(&base64).map_err(|error| format!("base64: {error}"));
            prop_assert_eq!(decode(&base64), expected.clone());
            let mut appended = b"before".to_vec();
            let result = decode_into(&base64, &mut appended).map(|()| appended.split_off(6));
            prop_assert_eq!(result, expected);
        }
    }
}
