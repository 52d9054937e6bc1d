//! Values of a record, and the numbers in front of them.

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    /// NULL, or a number that is not whole.
    None,
    /// A whole number.
    Integer(i64),
    /// A text or a blob.
    Bytes(&'a [u8]),
}

/// A number of up to nine bytes: seven bits in a byte, the highest first, eight in the last. With it, how
/// many bytes it has.
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(9).enumerate() {
        if at == 8 {
            return Some((value << 8 | u64::from(*byte), 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

/// The values of a record. `None` if it is not one.
pub(super) fn values(record: &[u8]) -> Option<Vec<Value<'_>>> {
    let (header, mut at) = varint(record)?;
    let header = usize::try_from(header).ok().filter(|len| *len <= record.len())?;
    let mut body = record.get(header..)?;
    let mut values = Vec::new();
    while at < header {
        let (kind, len) = varint(record.get(at..header)?)?;
        at += len;
        let size = size(kind)?;
        let (bytes, rest) = body.split_at_checked(size)?;
        body = rest;
        values.push(match kind {
            1..=6 => Value::Integer(integer(bytes)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            12.. => Value::Bytes(bytes),
            _ => Value::None,
        });
    }
    Some(values)
}

/// Bytes of a value of a type; `None` for the types that are not in use.
fn size(kind: u64) -> Option<usize> {
    Some(match kind {
        0 | 8 | 9 => 0,
        1..=4 => kind as usize,
        5 => 6,
        6 | 7 => 8,
        10 | 11 => return None,
        kind => usize::try_from((kind - 12) / 2).ok()?,
    })
}

/// A signed number, the highest byte first.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| value << 8 | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (bytes, expected) in [
            (&[0x05][..], Some((5, 1))),
            (&[0x81, 0x00], Some((128, 2))),
            (&[0xff; 9], Some((u64::MAX, 9))),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(varint(bytes), expected, "{bytes:x?}");
        }
        assert_eq!(integer(&[0xff]), -1);
        assert_eq!(integer(&[0x00, 0xff]), 255);
        assert_eq!(integer(&[0x80, 0, 0, 0, 0, 0, 0, 0]), i64::MIN);
    }

    #[test]
    fn records() {
        let record = [7, 0, 1, 8, 9, 17, 18, 0xfe, b'a', b'b', b'c', b'd', b'e'];
        let expected = [
            Value::None,
            Value::Integer(-2),
            Value::Integer(0),
            Value::Integer(1),
            Value::Bytes(b"ab"),
            Value::Bytes(b"cde"),
        ];
        assert_eq!(values(&record).unwrap(), expected);
        for broken in [&[][..], &[9, 1], &[2, 10], &[3, 1, 1, 5], &[2, 40, 1]] {
            assert_eq!(values(broken), None, "{broken:?}");
        }
    }
}
