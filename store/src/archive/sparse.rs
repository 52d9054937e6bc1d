//! Sparse entries of a tar, which hold a file without its holes. A map says where each piece belongs:
//!
//! ```text
//! GNU, old    type S; 4 pieces in the header, 21 in each block behind it; 12 digits or bytes a number
//! PAX 0.0     records GNU.sparse.size, and GNU.sparse.offset with GNU.sparse.numbytes for each piece
//! PAX 0.1     records GNU.sparse.size, GNU.sparse.name, GNU.sparse.map=offset,length,offset,length…
//! PAX 1.0     records GNU.sparse.{major,minor,name,realsize}; the map is the beginning of the content:
//!             the number of pieces, then offset and length of each, a line for a number, up to a full block
//! ```
//!
//! (GNU tar's manual, "Storing Sparse Files"; GNU tar 1.35 writes all of them, with `--sparse` and
//! `--sparse-version`.) The file that an image needs is put together in a temporary file, whose holes take no
//! room either.

use std::io;

use layerlift_archive::ReadAt;

const BLOCK: u64 = 512;
/// How many pieces an entry may have.
pub(crate) const PIECES: usize = 1 << 18;
/// How many bytes of holes an entry may have: they are read and hashed like others.
const HOLES: u64 = 64 << 30;

/// What is needed to put the file together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sparse {
    /// The length of the whole file, as it is written; or why it cannot be read.
    pub(crate) len: Option<u64>,
    pub(crate) map: Map,
}

impl Sparse {
    /// Takes a record `GNU.sparse.KEY`, but for the name. What is wrong with it shows when the pieces are put
    /// together.
    pub(crate) fn take(&mut self, key: &[u8], value: &[u8]) {
        match (key, &mut self.map) {
            (b"size" | b"realsize", _) => {
                self.len = str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
            (b"major", map) if value != b"0" => *map = Map::Within,
            (b"map", Map::Listed(numbers)) => *numbers = value.to_vec(),
            (b"offset" | b"numbytes", Map::Listed(numbers)) => {
                numbers.extend(value);
                numbers.push(b',');
            }
            _ => {}
        }
    }
}

/// Where the map is, not parsed yet: few entries are needed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Map {
    /// Pieces of 24 bytes each.
    Old(Vec<u8>),
    /// Numbers with commas between them.
    Listed(Vec<u8>),
    /// It precedes the content.
    Within,
}

impl Default for Map {
    /// That of a file that is one hole.
    fn default() -> Self {
        Map::Listed(Vec::new())
    }
}

/// A file without its holes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// The length of the whole file.
    pub(crate) len: u64,
    /// Where the first piece begins in the tar; the others follow it.
    pub(crate) offset: u64,
    /// Where the pieces belong, and how long they are, in this order.
    pub(crate) pieces: Vec<(u64, u64)>,
}

/// The pieces of an entry whose content is `len` bytes at `offset`. The inner error says what is wrong.
pub(crate) fn pieces(
    file: &dyn ReadAt,
    sparse: &Sparse,
    offset: u64,
    len: u64,
) -> io::Result<Result<Pieces, &'static str>> {
    let (map, numbers) = match &sparse.map {
        Map::Old(raw) => (0, old(raw)),
        Map::Listed(text) => (0, listed(text)),
        Map::Within => {
            let mut lines = Lines { file, at: offset, end: offset + len, buffer: Vec::new(), used: 0 };
            let numbers = lines.map()?;
            ((lines.at - offset).next_multiple_of(BLOCK), numbers)
        }
    };
    let (Some(numbers), Some(real)) = (numbers, sparse.len) else {
        return Ok(Err("the map of its pieces cannot be read"));
    };
    let pieces: Vec<(u64, u64)> = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let mut end = 0;
    let mut stored = 0u64;
    for &(at, len) in &pieces {
        let Some(next) = at.checked_add(len).filter(|next| at >= end && *next <= real) else {
            return Ok(Err("its pieces overlap, or lie behind its end"));
        };
        end = next;
        stored += len;
    }
    if map.checked_add(stored) != Some(len) {
        return Ok(Err("its pieces are not as long as its content"));
    }
    if real - stored > HOLES {
        return Ok(Err("it has holes of more than 64 GiB"));
    }
    Ok(Ok(Pieces { len: real, offset: offset + map, pieces }))
}

/// Numbers of the old format. A piece that is not used begins with a NUL.
fn old(raw: &[u8]) -> Option<Vec<u64>> {
    let used = raw.chunks_exact(24).take_while(|piece| piece[0] != 0);
    used.flat_map(|piece| [number(&piece[..12]), number(&piece[12..])]).collect()
}

/// A number of a header: octal digits, or binary if the first bit is set.
pub(crate) fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let (high, low) = field.split_at(field.len() - 8);
        let empty = high[0] & 0x7f == 0 && high[1..].iter().all(|&byte| byte == 0);
        return empty.then(|| low.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)));
    }
    let text = str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

fn listed(text: &[u8]) -> Option<Vec<u64>> {
    let text = str::from_utf8(text).ok()?.trim_end_matches(',');
    if text.is_empty() {
        return Some(Vec::new());
    }
    let numbers: Vec<u64> = text.split(',').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    (numbers.len().is_multiple_of(2) && numbers.len() <= 2 * PIECES).then_some(numbers)
}

/// The lines that precede the content.
struct Lines<'a> {
    file: &'a dyn ReadAt,
    /// Behind the last line that was read.
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Lines<'_> {
    fn map(&mut self) -> io::Result<Option<Vec<u64>>> {
        let Some(count) = self.next()?.filter(|count| *count <= PIECES as u64) else { return Ok(None) };
        let mut numbers = Vec::new();
        for _ in 0..2 * count {
            let Some(number) = self.next()? else { return Ok(None) };
            numbers.push(number);
        }
        Ok(Some(numbers))
    }

    /// The number in the next line.
    fn next(&mut self) -> io::Result<Option<u64>> {
        let mut number = None;
        loop {
            let Some(byte) = self.byte()? else { return Ok(None) };
            match byte {
                b'\n' => return Ok(number),
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    let next = number.unwrap_or(0u64).checked_mul(10).and_then(|ten| ten.checked_add(digit));
                    let Some(next) = next else { return Ok(None) };
                    number = Some(next);
                }
                _ => return Ok(None),
            }
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        if self.used == self.buffer.len() {
            let len = (self.end - self.at).min(BLOCK);
            self.buffer.resize(len as usize, 0);
            self.file.read_exact_at(&mut self.buffer, self.at)?;
            self.used = 0;
        }
        let byte = self.buffer.get(self.used).copied();
        self.used += usize::from(byte.is_some());
        self.at += u64::from(byte.is_some());
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn of(content: &[u8], len: u64, map: Map) -> Result<Pieces, &'static str> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        pieces(&file, &Sparse { len: Some(len), map }, 0, content.len() as u64).unwrap()
    }

    #[test]
    fn maps_that_are_right() {
        let listed = |text: &str| Map::Listed(text.as_bytes().to_vec());
        let expected = |offset, pieces| Ok(Pieces { len: 5000, offset, pieces });
        assert_eq!(of(b"abcd", 5000, listed("0,1,4096,3")), expected(0, vec![(0, 1), (4096, 3)]));
        assert_eq!(of(b"abcd", 5000, listed("1,4,5000,0")), expected(0, vec![(1, 4), (5000, 0)]));
        assert_eq!(of(b"", 5000, listed("")), expected(0, vec![]));
        let mut within = b"2\n0\n1\n4096\n3\n".to_vec();
        within.resize(512, 0);
        within.extend(b"abcd");
        assert_eq!(of(&within, 5000, Map::Within), expected(512, vec![(0, 1), (4096, 3)]));
        let binary = [&[0x80][..], &[0; 9], &[0x10, 0]].concat();
        let old = [b"00000000000\0", &b"00000000001\0"[..], &binary, b"00000000003 ", &[0; 48]].concat();
        assert_eq!(of(b"abcd", 5000, Map::Old(old)), expected(0, vec![(0, 1), (4096, 3)]));
    }

    #[test]
    fn maps_that_are_not() {
        let listed = |text: &str| Map::Listed(text.as_bytes().to_vec());
        let max = u64::MAX;
        for (len, map, why) in [
            (5000, listed("0,4,2,0"), "overlap"),
            (5000, listed("4999,4"), "behind its end"),
            (5000, listed(&format!("{max},4")), "behind its end"),
            (5000, listed("0,3"), "not as long"),
            (5000, listed("0"), "cannot be read"),
            (5000, listed("0,x"), "cannot be read"),
            (max, listed("0,4"), "64 GiB"),
            (5000, Map::Within, "cannot be read"),
            (5000, Map::Old(b"xxxxxxxxxxxxxxxxxxxxxxxx".to_vec()), "cannot be read"),
            (5000, Map::Old(vec![0xff; 24]), "cannot be read"),
        ] {
            let error = of(b"abcd", len, map).unwrap_err();
            assert!(error.contains(why), "{error}: {why}");
        }
        for text in ["99999999999999999999\n", "262145\n", "2\n0\n", "1\n0\n-1\n", "\n", "1\n0\n5"] {
            let mut within = text.as_bytes().to_vec();
            within.resize(1024, 0);
            assert!(of(&within, 5000, Map::Within).is_err(), "{text:?}");
        }
    }
}
