//! Numbers as Go's `binary` package writes them: seven bits in a byte, the lowest first.

/// As `PutUvarint` writes it.
pub(super) fn unsigned(bytes: &[u8]) -> Option<u64> {
    let (last, rest) = bytes.split_last()?;
    if last & 0x80 != 0 || bytes.len() > 10 || rest.iter().any(|byte| byte & 0x80 == 0) {
        return None;
    }
    let mut value = 0u64;
    for byte in bytes.iter().rev() {
        value = value.checked_mul(128)?.checked_add(u64::from(byte & 0x7f))?;
    }
    Some(value)
}

/// As `PutVarint` writes it: the sign is the lowest bit, and negative numbers are inverted.
pub(super) fn signed(bytes: &[u8]) -> Option<i64> {
    let value = unsigned(bytes)?;
    let half = i64::try_from(value >> 1).ok()?;
    Some(if value & 1 == 0 { half } else { !half })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];

    #[test]
    fn numbers_of_go() {
        for (bytes, expected) in [
            (&[0x30][..], Some((48, 24))),
            (&[0xac, 0x02], Some((300, 150))),
            (&[0x00], Some((0, 0))),
            (&[0x01], Some((1, -1))),
            (&LARGEST, Some((u64::MAX, i64::MIN))),
            (&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Some((u64::MAX - 1, i64::MAX))),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], None),
            (&[0x80; 12], None),
            (&[0x06, 0x00], None),
            (&[0xe0], None),
            (&[], None),
        ] {
            assert_eq!(unsigned(bytes).zip(signed(bytes)), expected, "{bytes:x?}");
        }
    }
}
