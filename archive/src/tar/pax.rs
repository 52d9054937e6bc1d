//! Headers, byte for byte as Go's `archive/tar` has written them since Go 1.10 for engines that ask for PAX
//! (`FormatPAX`; `writer.go`, `common.go`): USTAR where it fits, and PAX records for just what does not.
//!
//! In the header itself, a field that has a record is cut: names to 100 bytes of ASCII, numbers to 0.

use super::header::{Header, LAST_TIME, LINK, NAME, PREFIX, octal, padding, pax_name, record};
use super::header::{split_long_name, with_checksum};

/// A key, and its value in a PAX record.
type Record = (Vec<u8>, Vec<u8>);

/// Appends the blocks of a header, with the PAX header before it where one is needed.
pub(super) fn encode(header: &Header<'_>, out: &mut Vec<u8>) {
    let mut records: Vec<Record> = Vec::new();
    let mut block = [0; 512];
    let split = Some(header.name).filter(|name| name.len() > NAME.len()).and_then(split_long_name);
    let mut ustar = text(&mut block[NAME], header.name, b"path", &mut records) || split.is_some();
    ustar &= text(&mut block[LINK], header.link, b"linkpath", &mut records);
    octal(&mut block[100..108], u64::from(header.mode));
    ustar &= number(&mut block[108..116], header.uid, b"uid", &mut records);
    ustar &= number(&mut block[116..124], header.gid, b"gid", &mut records);
    ustar &= number(&mut block[124..136], header.size, b"size", &mut records);
    let fits = (0..=LAST_TIME).contains(&header.mtime);
    octal(&mut block[136..148], if fits { header.mtime as u64 } else { 0 });
    if !fits {
        records.push((b"mtime".to_vec(), header.mtime.to_string().into_bytes()));
    }
    block[156] = header.kind;
    octal(&mut block[329..337], header.device.0);
    octal(&mut block[337..345], header.device.1);
    let xattrs = header.xattrs.iter();
    records.extend(xattrs.map(|(name, value)| ([b"SCHILY.xattr.", &**name].concat(), value.clone())));
    if ustar && fits && header.xattrs.is_empty() {
        if let Some((prefix, suffix)) = split {
            block[NAME].fill(0);
            block[NAME][..suffix.len()].copy_from_slice(suffix);
            block[PREFIX][..prefix.len()].copy_from_slice(prefix);
        }
    } else {
        extension(header.name, records, out);
    }
    out.extend_from_slice(&finished(block));
}

fn extension(name: &[u8], mut records: Vec<Record>, out: &mut Vec<u8>) {
    records.sort();
    let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
    let mut name = pax_name(name);
    name.truncate(name.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1));
    // Unlike in any other header, the device numbers are NULs.
    let mut block = [0; 512];
    block[NAME][..name.len()].copy_from_slice(&name);
    for field in [100..108, 108..116, 116..124, 136..148] {
        octal(&mut block[field], 0);
    }
    octal(&mut block[124..136], body.len() as u64);
    block[156] = b'x';
    out.extend_from_slice(&finished(block));
    out.extend_from_slice(&body);
    out.resize(out.len() + padding(body.len() as u64) as usize, 0);
}

fn finished(mut block: [u8; 512]) -> [u8; 512] {
    block[257..265].copy_from_slice(b"ustar\x0000");
    with_checksum(block)
}

/// Writes as much of a text as fits. Returns whether that is all of it.
fn text(field: &mut [u8], value: &[u8], key: &[u8], records: &mut Vec<Record>) -> bool {
    let fits = value.len() <= field.len() && value.is_ascii();
    let ascii: Vec<u8> = value.iter().copied().filter(u8::is_ascii).collect();
    let len = ascii.len().min(field.len());
    field[..len].copy_from_slice(&ascii[..len]);
    if ascii.len() > field.len() && field.ends_with(b"/") {
        // Some readers take a file for a directory if this field ends in a slash.
        let last = field.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
        field[last] = 0;
    }
    if !fits {
        records.push((key.to_vec(), value.to_vec()));
    }
    fits
}

/// Writes a number, or 0 if it does not fit. Returns whether it fits.
fn number(field: &mut [u8], value: u64, key: &[u8], records: &mut Vec<Record>) -> bool {
    let fits = octal(field, value);
    if !fits {
        octal(field, 0);
        records.push((key.to_vec(), value.to_string().into_bytes()));
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(header: &Header<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        encode(header, &mut out);
        out
    }

    #[test]
    fn only_what_does_not_fit_has_a_record() {
        let split = ["d".repeat(90), "/".into(), "f".repeat(60)].concat();
        let long = "f".repeat(120);
        for (header, expected) in [
            (Header { name: b"a/b", mode: 0o644, ..Header::default() }, ""),
            (Header { name: split.as_bytes(), ..Header::default() }, ""),
            (Header { name: b"a", uid: 2_097_151, ..Header::default() }, ""),
            (Header { name: b"a", uid: 2_097_152, ..Header::default() }, "15 uid=2097152\n"),
            (Header { name: b"a", mtime: -5, ..Header::default() }, "12 mtime=-5\n"),
            (Header { name: b"a", mtime: (1 << 33) + 5, ..Header::default() }, "20 mtime=8589934597\n"),
            (Header { name: b"a", size: 1 << 33, ..Header::default() }, "19 size=8589934592\n"),
            (Header { name: b"a", link: "ü".as_bytes(), ..Header::default() }, "15 linkpath=ü\n"),
            (
                Header { name: split.as_bytes(), gid: 1 << 21, ..Header::default() },
                &format!("15 gid=2097152\n161 path={split}\n"),
            ),
            (Header { name: long.as_bytes(), ..Header::default() }, &format!("130 path={long}\n")),
        ] {
            let blocks = encoded(&Header { kind: b'0', ..header.clone() });
            let body = if blocks.len() > 512 { &blocks[512..blocks.len() - 512] } else { &[] };
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert_eq!(body.trim_end_matches('\0'), expected);
            for block in [&blocks[..512], &blocks[blocks.len() - 512..]] {
                assert_eq!(&block[257..265], b"ustar\x0000");
            }
            let main = &blocks[blocks.len() - 512..];
            let prefix = header.name == split.as_bytes() && blocks.len() == 512;
            assert_eq!(main[PREFIX.start] != 0, prefix, "{header:?}");
        }
    }

    #[test]
    fn the_header_of_the_records() {
        let blocks = encoded(&Header { name: "uni/é".as_bytes(), uid: 1, mtime: 7, ..Header::default() });
        assert!(blocks.starts_with(b"uni/PaxHeaders.0\0"));
        assert_eq!(&blocks[329..345], &[0; 16]);
        assert_eq!(&blocks[136..148], b"00000000000\0");
        let main = &blocks[1024..];
        assert!(main.starts_with(b"uni/\0"));
        assert_eq!(&main[329..345], b"0000000\x000000000\0");
        assert_eq!(&main[136..148], b"00000000007\0");
    }

    #[test]
    fn a_cut_name_is_not_a_directory() {
        let name = ["d".repeat(99), "/".into(), "f".repeat(120)].concat();
        let blocks = encoded(&Header { name: name.as_bytes(), kind: b'0', ..Header::default() });
        let main = &blocks[blocks.len() - 512..];
        assert_eq!(&main[..100], ["d".repeat(99).as_bytes(), b"\0"].concat());
    }
}
