//! Whether a layer is a whole tar. Docker until 1.9 recorded no digest of a layer, so in its archives the tar
//! itself is all that can tell. Engines refuse a layer that fails here (Go's `archive/tar`).

use std::io;

use layerlift_archive::FileRange;

use crate::archive::checksum_holds;

const BLOCK: u64 = 512;
/// The longest records of a PAX header that are searched for a size.
const RECORDS: u64 = 1 << 20;
/// Small files lie close together, so many headers come with one read.
const WINDOW: usize = 64 << 10;

/// Walks the headers from one to the next, without the contents between them. The result says what is wrong.
pub(super) fn check(layer: &FileRange) -> io::Result<Result<(), String>> {
    let mut tar = Tar { layer, window: Vec::new(), begin: 0 };
    let (mut at, mut size_of_next) = (0, None);
    if layer.len == 0 {
        return Ok(Err("it is empty".to_owned()));
    }
    while at < layer.len {
        let Some(block) = tar.block(at)? else {
            return Ok(Err(format!("it is cut off at byte {}", layer.len)));
        };
        if block.iter().all(|&byte| byte == 0) {
            break;
        }
        let header = tar::Header::from_byte_slice(&block);
        if !checksum_holds(header, &block) {
            return Ok(Err(format!("what it has at byte {at} is not the header of a tar")));
        }
        at += BLOCK;
        let recorded = std::mem::take(&mut size_of_next).or_else(|| header.entry_size().ok());
        let Some(size) = recorded else {
            return Ok(Err(format!("the header at byte {} has no size", at - BLOCK)));
        };
        let (size, kind) = match block[156] {
            // Links, devices, directories and pipes have no contents, whatever their size says.
            b'1'..=b'6' => (0, 0),
            kind => (size, kind),
        };
        if kind == b'S' {
            // Blocks with more of the map of a sparse file.
            let mut more = block[482] != 0;
            while more {
                let Some(block) = tar.block(at)? else { break };
                more = block[504] != 0;
                at += BLOCK;
            }
        }
        if kind == b'x' {
            size_of_next = tar.size_in_records(at, size)?;
        }
        let Some(end) = at.checked_add(size).filter(|end| *end <= layer.len) else {
            let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
            return Ok(Err(format!("it is cut off at byte {}, within {name}", layer.len)));
        };
        at = end.next_multiple_of(BLOCK);
    }
    Ok(Ok(()))
}

struct Tar<'a> {
    layer: &'a FileRange,
    window: Vec<u8>,
    /// Where the window begins.
    begin: u64,
}

impl Tar<'_> {
    /// The block at a place; `None` if the tar ends before its end.
    fn block(&mut self, at: u64) -> io::Result<Option<[u8; BLOCK as usize]>> {
        let within = |begin: u64, len: usize| at >= begin && at + BLOCK <= begin + len as u64;
        if !within(self.begin, self.window.len()) {
            self.window = self.read(at, WINDOW)?;
            self.begin = at;
        }
        let start = (at - self.begin) as usize;
        let block = self.window.get(start..start + BLOCK as usize);
        Ok(block.and_then(|block| block.try_into().ok()))
    }

    fn read(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len.min(self.layer.len.saturating_sub(at) as usize)];
        self.layer.file.read_exact_at(&mut bytes, self.layer.offset + at)?;
        Ok(bytes)
    }

    /// The size of the next entry, if PAX records have one.
    fn size_in_records(&self, at: u64, len: u64) -> io::Result<Option<u64>> {
        let records = self.read(at, len.min(RECORDS) as usize)?;
        let record = records.split(|byte| *byte == b'\n').find_map(|record| {
            let (_, record) = std::str::from_utf8(record).ok()?.split_once(' ')?;
            record.strip_prefix("size=")
        });
        Ok(record.and_then(|size| size.parse().ok()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::Arc;

    use super::*;

    fn found(tar: &[u8]) -> String {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before").unwrap();
        file.write_all(tar).unwrap();
        let file: Arc<File> = Arc::new(file);
        let range = FileRange { file, offset: 6, len: tar.len() as u64, digest: None };
        check(&range).unwrap().err().unwrap_or_default()
    }

    fn header(kind: u8, size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_path("a/name").unwrap();
        header.set_size(size);
        header.as_mut_bytes()[156] = kind;
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    #[test]
    fn whole_tars() {
        let records = b"18 size=0000000700\n";
        let mut padded = records.to_vec();
        padded.resize(512, b'\n');
        for tar in [
            vec![0; 1024],
            [header(b'0', 700), vec![b'x'; 1024], vec![0; 1024]].concat(),
            [header(b'0', 700), vec![b'x'; 700]].concat(),
            [header(b'2', 9), header(b'5', 9), header(b'0', 0)].concat(),
            [header(b'x', records.len() as u64), padded, header(b'0', 0), vec![b'y'; 1024]].concat(),
            [header(b'L', 600), vec![b'n'; 1024], header(b'0', 3), vec![b'x'; 512], vec![0; 512]].concat(),
            [header(b'0', 200_000), vec![b'x'; 200_192], header(b'0', 0), vec![0; 1024], vec![1; 99]]
                .concat(),
        ] {
            assert_eq!(found(&tar), "");
        }
    }

    #[test]
    fn others() {
        let whole = [header(b'0', 700), vec![b'x'; 1024], header(b'0', 5), vec![b'y'; 512], vec![0; 1024]];
        let whole = whole.concat();
        for (tar, why) in [
            (&[][..], "it is empty"),
            (&[b'g'; 4096], "at byte 0 is not the header"),
            (&whole[..100], "it is cut off at byte 100"),
            (&whole[..600], "it is cut off at byte 600, within a/name"),
            (&whole[..1700], "it is cut off at byte 1700"),
            (&[&whole[..1536], &[b'g'; 1024]].concat(), "at byte 1536 is not the header"),
        ] {
            let found = found(tar);
            assert!(found.contains(why), "{found}");
        }
    }
}
