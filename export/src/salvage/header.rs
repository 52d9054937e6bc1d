//! Headers of a tar's members: another size, and where a hard link leads.

const BLOCK: usize = 512;
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const LINK: std::ops::Range<usize> = 157..257;

/// The headers of a file with another size in them, and with the checksum that follows from it. `None` if
/// they are not those of a plain file, or make no sense.
pub(super) fn with_size(headers: &[u8], size: u64) -> Option<Vec<u8>> {
    let (extended, main) = split(headers)?;
    if !matches!(main[KIND], 0 | b'0' | b'7') {
        return None;
    }
    let mut out = Vec::with_capacity(headers.len());
    for (block, body, whole) in extended {
        let records = if block[KIND] == b'x' { records(body)? } else { Vec::new() };
        if records.iter().any(|(key, _)| key.starts_with(b"GNU.sparse")) {
            return None;
        }
        if !records.iter().any(|(key, _)| *key == b"size") {
            out.extend_from_slice(whole);
            continue;
        }
        // The record overrides the field, which holds any size with the number below.
        let kept = records.iter().filter(|(key, _)| *key != b"size");
        let body: Vec<u8> = kept.flat_map(|(key, value)| record(key, value)).collect();
        if !body.is_empty() {
            out.extend(sized(block, body.len() as u64));
            out.extend_from_slice(&body);
            out.resize(out.len().next_multiple_of(BLOCK), 0);
        }
    }
    out.extend(sized(main, size));
    Some(out)
}

/// Where a hard link leads; `None` if the headers are not those of one.
pub(super) fn hard_link(headers: &[u8]) -> Option<Vec<u8>> {
    let (extended, main) = split(headers)?;
    if main[KIND] != b'1' {
        return None;
    }
    let mut target = text(&main[LINK]).to_vec();
    for (block, body, _) in extended {
        match block[KIND] {
            b'K' => target = text(body).to_vec(),
            b'x' => {
                let records = records(body)?;
                if let Some((_, path)) = records.iter().find(|(key, _)| *key == b"linkpath") {
                    target = path.to_vec();
                }
            }
            _ => {}
        }
    }
    Some(target)
}

/// An extended header: its block, its body, and both with the padding.
type Extended<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// The extended headers, and the header itself.
fn split(headers: &[u8]) -> Option<(Vec<Extended<'_>>, &[u8])> {
    let end = headers.len().checked_sub(BLOCK)?;
    let mut extended = Vec::new();
    let mut at = 0;
    while at < end {
        let block = headers.get(at..at + BLOCK)?;
        let len = usize::try_from(number(&block[SIZE])?).ok()?;
        let next = len.checked_next_multiple_of(BLOCK)?.checked_add(at + BLOCK)?;
        if next > end || !matches!(block[KIND], b'x' | b'g' | b'K' | b'L') {
            return None;
        }
        extended.push((block, &headers[at + BLOCK..at + BLOCK + len], &headers[at..next]));
        at = next;
    }
    Some((extended, &headers[end..]))
}

/// A number in octal digits, or in base 256.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let (high, low) = field.split_at(field.len() - 8);
        let zero = high.iter().enumerate().all(|(at, &byte)| byte == if at == 0 { 0x80 } else { 0 });
        return zero.then(|| low.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)));
    }
    let digits = text(field).trim_ascii();
    if digits.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

/// The block with this size and the checksum that follows from it.
fn sized(block: &[u8], size: u64) -> Vec<u8> {
    let mut block = block.to_vec();
    let digits = format!("{size:011o}\0");
    if digits.len() == SIZE.len() {
        block[SIZE].copy_from_slice(digits.as_bytes());
    } else {
        block[SIZE].fill(0);
        block[SIZE.start] = 0x80;
        block[SIZE.end - 8..SIZE.end].copy_from_slice(&size.to_be_bytes());
    }
    block[CHECKSUM].fill(b' ');
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    block[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// The records of a PAX header.
fn records(mut body: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let blank = body.iter().position(|&byte| byte == b' ')?;
        let len: usize = std::str::from_utf8(&body[..blank]).ok()?.parse().ok()?;
        let record = body.get(blank + 1..len)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&byte| byte == b'=')?;
        records.push((&record[..equals], &record[equals + 1..]));
        body = &body[len..];
    }
    Some(records)
}

/// A record of a PAX header; its length counts itself.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    [len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Headers as the `tar` crate writes them.
    fn headers(append: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        append(&mut builder);
        let mut tar = builder.into_inner().unwrap();
        tar.truncate(tar.len() - 1024);
        tar
    }

    fn file(name: &str, size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        let bytes = vec![b'x'; size as usize];
        let mut tar = headers(|tar| tar.append_data(&mut header, name, &*bytes).unwrap());
        tar.truncate(tar.len() - (size as usize).next_multiple_of(BLOCK));
        tar
    }

    #[test]
    fn another_size() {
        for name in ["a", &"long/".repeat(60)] {
            let mut tar = with_size(&file(name, 700), 3).unwrap();
            tar.extend(b"new");
            tar.resize(tar.len().next_multiple_of(BLOCK) + 1024, 0);
            let mut archive = tar::Archive::new(&*tar);
            let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, b"new", "{name}");
            assert_eq!(entry.path_bytes(), name.as_bytes());
        }
    }

    /// The number that it says itself does not fit eleven digits, or is in a record.
    #[test]
    fn sizes_in_other_places() {
        let plain = file("a", 1);
        let large = with_size(&plain, 1 << 40).unwrap();
        assert_eq!(number(&large[SIZE]), Some(1 << 40));
        let body = [record(b"mtime", b"1.5"), record(b"size", b"99")].concat();
        let mut pax = sized(&plain, body.len() as u64);
        pax[KIND] = b'x';
        pax = sized(&pax, body.len() as u64);
        pax.extend(&body);
        pax.resize(1024, 0);
        let with_record = [pax, plain.clone()].concat();
        let found = with_size(&with_record, 5).unwrap();
        let (extended, main) = split(&found).unwrap();
        assert_eq!(records(extended[0].1).unwrap(), [(&b"mtime"[..], &b"1.5"[..])]);
        assert_eq!(number(&main[SIZE]), Some(5));
    }

    #[test]
    fn what_has_no_size() {
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Link);
        link.set_size(0);
        for target in ["etc/passwd", &"long/".repeat(60)] {
            let link = headers(|tar| tar.append_link(&mut link.clone(), "link", target).unwrap());
            assert_eq!(hard_link(&link).unwrap(), target.as_bytes());
            assert_eq!(with_size(&link, 1), None);
        }
        assert_eq!(hard_link(&file("a", 1)), None);
        for headers in [&b""[..], &[0; 100], &[0xff; 1024]] {
            assert_eq!((with_size(headers, 1), hard_link(headers)), (None, None));
        }
    }
}
