//! What the encoder of tar headers writes, another reader of tars has to read.

use std::io::Read;

use layerlift_archive::tar::{Encoder, Header, TRAILER, padding};

/// Text up to the next NUL or line end, or what is left.
fn field<'b>(bytes: &mut &'b [u8]) -> &'b [u8] {
    let end = bytes.iter().position(|&byte| byte == 0 || byte == b'\n').unwrap_or(bytes.len());
    let (field, rest) = bytes.split_at(end);
    *bytes = rest.get(1..).unwrap_or_default();
    field
}

fn number(bytes: &mut &[u8]) -> u64 {
    let text = String::from_utf8_lossy(field(bytes)).into_owned();
    text.trim().parse().unwrap_or(text.len() as u64)
}

/// The fields of some headers one after another: name, link, kind, mode, owner, group, size, time, and the
/// name and value of an attribute.
pub(super) fn run(mut bytes: &[u8]) -> String {
    let mut tar = Vec::new();
    let mut encoder = Encoder::default();
    let mut expected = Vec::new();
    // For each entry its kind and a dot for each block of its header: other answers guide the search.
    let mut shapes = String::new();
    while !bytes.is_empty() && expected.len() < 8 {
        let name = field(&mut bytes);
        let link = field(&mut bytes);
        let kind = [b'0', b'5', b'2', b'1'][number(&mut bytes) as usize % 4];
        let mode = number(&mut bytes) as u32 & 0o7777;
        let (uid, gid) = (number(&mut bytes) as u32, number(&mut bytes) as u32);
        let size = if kind == b'0' { number(&mut bytes) % 2_000 } else { 0 };
        let mtime = i64::try_from(number(&mut bytes)).unwrap_or(-1);
        let (key, value) = (field(&mut bytes), field(&mut bytes));
        // No file has such a name, and no engine such an attribute.
        if name.is_empty() || key.contains(&b'=') || (kind != b'0' && kind != b'5' && link.is_empty()) {
            continue;
        }
        let xattrs = if key.is_empty() { Vec::new() } else { vec![(key.to_vec(), value.to_vec())] };
        let link = if kind == b'1' || kind == b'2' { link } else { b"" };
        let header = Header {
            name,
            link,
            kind,
            mode,
            uid: uid.into(),
            gid: gid.into(),
            size,
            mtime,
            device: (0, 0),
            xattrs: &xattrs,
        };
        let start = tar.len();
        encoder.encode(&header, &mut tar);
        shapes.push(if kind == b'0' || kind == b'5' { '/' } else { '>' });
        shapes.push_str(&".".repeat((tar.len() - start) / 512));
        tar.resize(tar.len() + (size + padding(size)) as usize, b'x');
        expected.push((name.to_vec(), link.to_vec(), uid, gid, size, xattrs));
    }
    tar.resize(tar.len() + TRAILER as usize, 0);

    let mut archive = tar::Archive::new(tar.as_slice());
    let mut entries = archive.entries().expect("a tar");
    for (name, link, uid, gid, size, xattrs) in &expected {
        let mut entry = entries.next().expect("an entry is missing").expect("an entry is malformed");
        let shown = name.escape_ascii();
        assert_eq!(entry.path_bytes().as_ref(), name.as_slice(), "{shown}");
        assert_eq!(entry.link_name_bytes().unwrap_or_default().as_ref(), link.as_slice(), "{shown}");
        assert_eq!(entry.size(), *size, "{shown}");
        let header = entry.header();
        assert_eq!(
            (header.uid().ok(), header.gid().ok()),
            (Some(u64::from(*uid)), Some(u64::from(*gid))),
            "{shown}"
        );
        let records = entry.pax_extensions().expect("records are read").into_iter().flatten().flatten();
        let records: Vec<_> = records.map(|r| (r.key_bytes().to_vec(), r.value_bytes().to_vec())).collect();
        for (key, value) in xattrs {
            let key = [b"SCHILY.xattr.", key.as_slice()].concat();
            assert!(records.contains(&(key, value.clone())), "{shown}: {records:?}");
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content is read");
        assert_eq!(content.len() as u64, *size, "{shown}");
    }
    assert!(entries.next().is_none(), "an entry too many");
    shapes
}

pub(super) fn corpus() -> Vec<Vec<u8>> {
    let long = "directory/".repeat(14);
    [
        "etc/passwd\n\n0\n420\n0\n0\n1234\n1400000000\n\n\n".to_owned(),
        "lib\nusr/lib\n2\n511\n0\n0\n1400000000\n\n\nbin/ping\nbin/false\n3\n493\n33\n33\n0\n\n\n".to_owned(),
        format!("{long}file\n\n0\n420\n2097151\n2097152\n10\n8589934592\nsecurity.capability\n\u{1}x\n"),
        format!("x\n{long}{long}\n2\n511\n0\n0\n0\nuser.x\n\n"),
        "na\u{ef}ve/\n\n1\n493\n4294967295\n0\n0\n\n\n".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}
