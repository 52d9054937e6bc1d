//! The checksums of a tar's own headers: all there is where a store records no digest of the layer.
//!
//! Go's reader refused headers whose checksum was wrong (`archive/tar`, `readHeader`), so every header in a
//! record had the right one when it was stored.

const BLOCK: usize = 512;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const TYPE: usize = 156;

/// Follows the bytes of a record through the tar that it makes.
#[derive(Debug, Default)]
pub(super) struct Headers {
    /// Where the next bytes are in the tar.
    at: u64,
    /// Bytes of PAX records or of a long name, with their padding, that belong to the header before.
    records: u64,
    /// Whether there are no more headers, or none that can be found.
    over: bool,
}

impl Headers {
    /// The contents of a file.
    pub(super) fn skip(&mut self, size: u64) {
        self.at = self.at.saturating_add(size);
        // Contents in the middle of records make no sense.
        self.over |= self.records > 0;
    }

    /// Checks the headers in the bytes of a line. The error says what is wrong.
    pub(super) fn check(&mut self, bytes: &[u8]) -> Result<(), String> {
        let begin = self.at;
        self.at = self.at.saturating_add(bytes.len() as u64);
        let Some(aligned) = begin.checked_next_multiple_of(BLOCK as u64) else { return Ok(()) };
        let mut rest = bytes.get((aligned - begin) as usize..).unwrap_or_default();
        while !self.over && !rest.is_empty() {
            if self.records > 0 {
                let len = self.records.min(rest.len() as u64);
                self.records -= len;
                rest = &rest[len as usize..];
                continue;
            }
            // What ends in the middle of a block is not a header, nor is what comes after zeros.
            let Some((block, behind)) = rest.split_at_checked(BLOCK) else { break };
            if block.iter().all(|&byte| byte == 0) {
                self.over = true;
                break;
            }
            compare(block)?;
            let size = tar::Header::from_byte_slice(block).entry_size().ok();
            match (block[TYPE], size.and_then(|size| size.checked_next_multiple_of(BLOCK as u64))) {
                (b'x' | b'g' | b'L' | b'K', Some(size)) => self.records = size,
                (b'x' | b'g' | b'L' | b'K', None) => self.over = true,
                // The map of a sparse file can follow.
                (b'S', _) => break,
                _ => {}
            }
            rest = behind;
        }
        Ok(())
    }
}

fn compare(block: &[u8]) -> Result<(), String> {
    let field = &block[CHECKSUM];
    let text =
        field.split(|byte| matches!(byte, 0 | b' ')).find(|digits| !digits.is_empty()).unwrap_or_default();
    let recorded = text.iter().try_fold(0_i64, |sum, digit| match digit {
        b'0'..=b'7' => Some(sum << 3 | i64::from(digit - b'0')),
        _ => None,
    });
    let others = || block[..CHECKSUM.start].iter().chain(&block[CHECKSUM.end..]);
    let spaces = i64::from(b' ') * CHECKSUM.len() as i64;
    let unsigned = spaces + others().map(|&byte| i64::from(byte)).sum::<i64>();
    // Old tars added up signed bytes.
    let signed = spaces + others().map(|&byte| i64::from(byte.cast_signed())).sum::<i64>();
    if recorded.is_some_and(|recorded| recorded == unsigned || recorded == signed) {
        return Ok(());
    }
    let name = block[..100].split(|&byte| byte == 0).next().unwrap_or_default();
    Err(format!("the header of {} has another checksum than it says", String::from_utf8_lossy(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u8, size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_path("a/name").unwrap();
        header.set_size(size);
        header.as_mut_bytes()[TYPE] = kind;
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    /// A PAX header, its records, a file of 700 bytes, its padding, another header, the end, and anything.
    fn lines() -> (Vec<u8>, Vec<u8>) {
        let first = [header(b'x', 600), vec![b'r'; 1024], header(b'0', 700)].concat();
        let second = [vec![b'p'; 324], header(b'0', 0), vec![0; 1024], vec![b'!'; 700]].concat();
        (first, second)
    }

    fn check(first: &[u8], second: &[u8]) -> Result<(), String> {
        let mut headers = Headers::default();
        headers.check(first)?;
        headers.skip(700);
        headers.check(second)
    }

    #[test]
    fn only_headers_are_checked() {
        let (first, second) = lines();
        assert_eq!(check(&first, &second), Ok(()));
        for at in (0..first.len()).step_by(7) {
            let mut changed = first.clone();
            changed[at] ^= 1;
            let is_header = !(512..1536).contains(&at);
            assert_eq!(check(&changed, &second).is_err(), is_header, "{at}");
        }
        for at in (0..second.len()).step_by(7) {
            let mut changed = second.clone();
            changed[at] ^= 1;
            // A block that is not all zeros would have to be a header.
            let is_header = (324..324 + 1024).contains(&at);
            assert_eq!(check(&first, &changed).is_err(), is_header, "{at}");
        }
        let mut named = first;
        named[1536] = b'b';
        assert_eq!(
            check(&named, &second),
            Err("the header of b/name has another checksum than it says".to_owned())
        );
    }

    #[test]
    fn signed_sums_and_what_is_not_a_header() {
        let mut old = header(b'0', 0);
        old[0] = 0xe9;
        let sum: i64 = old[..148].iter().chain(&old[156..]).map(|&b| i64::from(b.cast_signed())).sum();
        old[CHECKSUM].copy_from_slice(format!("{:6o}\0 ", sum + 256).as_bytes());
        assert_eq!(check(&old, &[]), Ok(()));
        for bytes in [&b"<head>"[..], &[1; 511], &[0; 2048]] {
            assert_eq!(check(bytes, bytes), Ok(()));
        }
    }
}
