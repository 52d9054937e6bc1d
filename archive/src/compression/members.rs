//! The members of a gzip stream, and what follows the last of them.
//!
//! ```text
//! member member … 00 00 00 …
//! ```
//!
//! Zeros after the last member are padding, as tapes and block devices leave it; `gzip -d` and `tar -z` skip
//! it. Anything else there is an error. Engines refuse the zeros as well, so a blob goes out without them.

use std::io::{self, BufRead, Read, Write};

use flate2::{bufread, write};

use crate::{ErrorKind, content_error};

/// The first byte of a member.
const MAGIC: u8 = 0x1f;

/// Bytes that follow the end of a compressed stream and are neither padding nor another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("something other than zeros follows the end of the gzip stream")]
pub struct TrailingBytes;

impl TrailingBytes {
    /// Whether this is the error: all that precedes these bytes is complete, and right by its checksum.
    pub fn is(error: &io::Error) -> bool {
        let mut at: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|error| error as _);
        while let Some(error) = at {
            if error.is::<TrailingBytes>() {
                return true;
            }
            at = error.source();
        }
        false
    }
}

/// What follows a member.
enum Next {
    /// Another member, at this place.
    Member,
    /// Nothing so far, or only zeros.
    Padding,
}

/// What `bytes` are that follow a member and `padding` zeros.
fn next(bytes: &[u8], padding: u64) -> io::Result<Next> {
    match bytes.iter().find(|&&byte| byte != 0) {
        None => Ok(Next::Padding),
        Some(&MAGIC) if padding == 0 && bytes[0] == MAGIC => Ok(Next::Member),
        Some(_) => Err(content_error(ErrorKind::Malformed, TrailingBytes)),
    }
}

/// Reads the uncompressed bytes.
pub(super) struct Members<R> {
    member: bufread::GzDecoder<Lent<R>>,
    /// How many zeros have followed the member, once it has ended.
    padding: Option<u64>,
    failed: bool,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Members { member: bufread::GzDecoder::new(Lent(Some(reader))), padding: None, failed: false }
    }

    /// Goes on to the next member, if there is one.
    fn skip(&mut self, padding: u64) -> io::Result<bool> {
        let reader = self.member.get_mut();
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        match next(bytes, padding)? {
            Next::Member => {
                let reader = self.member.reset(Lent(None));
                self.member.reset(reader);
                self.padding = None;
            }
            Next::Padding => {
                let zeros = bytes.len();
                reader.consume(zeros);
                self.padding = Some(padding + zeros as u64);
            }
        }
        Ok(true)
    }

    fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(padding) = self.padding else {
                match self.member.read(buf)? {
                    0 => self.padding = Some(0),
                    n => return Ok(n),
                }
                continue;
            };
            if !self.skip(padding)? {
                return Ok(0);
            }
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            // The decoder would end as if all were well.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if buf.is_empty() {
            return Ok(0);
        }
        self.read_some(buf).inspect_err(|error| self.failed = error.kind() != io::ErrorKind::Interrupted)
    }
}

/// A reader that can be taken out of a decoder for a moment.
struct Lent<R>(Option<R>);

impl<R: Read> Read for Lent<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(0), |reader| reader.read(buf))
    }
}

impl<R: BufRead> BufRead for Lent<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.as_mut().map_or(Ok(&[]), BufRead::fill_buf)
    }

    fn consume(&mut self, n: usize) {
        if let Some(reader) = &mut self.0 {
            reader.consume(n);
        }
    }
}

/// Decompresses what is written to it.
pub(super) struct PushedMembers<W: Write>(Pushed<W>);

enum Pushed<W: Write> {
    Member(Box<write::GzDecoder<W>>),
    /// A member has ended, and this many zeros have followed it.
    Padding(W, u64),
    /// An error has left nothing to go on with.
    Failed,
}

impl<W: Write> PushedMembers<W> {
    pub(super) fn new(out: W) -> Self {
        PushedMembers(Pushed::Member(Box::new(write::GzDecoder::new(out))))
    }

    /// The output, and how many zeros followed the last member.
    pub(super) fn finish(self) -> io::Result<(W, u64)> {
        match self.0 {
            Pushed::Member(member) => Ok((member.finish()?, 0)),
            Pushed::Padding(out, padding) => Ok((out, padding)),
            Pushed::Failed => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl<W: Write> Write for PushedMembers<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.0, Pushed::Failed) {
                Pushed::Member(mut member) => match member.write(bytes) {
                    // The member ends here.
                    Ok(0) => self.0 = Pushed::Padding(member.finish()?, 0),
                    written => {
                        self.0 = Pushed::Member(member);
                        return written;
                    }
                },
                Pushed::Padding(out, padding) => match next(bytes, padding)? {
                    Next::Member => self.0 = Pushed::Member(Box::new(write::GzDecoder::new(out))),
                    Next::Padding => {
                        self.0 = Pushed::Padding(out, padding + bytes.len() as u64);
                        return Ok(bytes.len());
                    }
                },
                Pushed::Failed => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Pushed::Member(member) => member.flush(),
            Pushed::Padding(out, _) => out.flush(),
            Pushed::Failed => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;

    use super::*;

    fn member(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = write::GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The same stream, read and pushed, in pieces of any length.
    fn both(stream: &[u8], expected: Result<(&[u8], u64), bool>) {
        for piece in [1, 2, 7, 512, 1 << 16] {
            let mut read = Vec::new();
            let reader = io::BufReader::with_capacity(piece, stream);
            let pulled =
                Members::new(reader).read_to_end(&mut read).map_err(|error| TrailingBytes::is(&error));
            assert_eq!(pulled.map(|_| &*read), expected.map(|(bytes, _)| bytes), "{piece}");
            let mut pushed = PushedMembers::new(Vec::new());
            let written = stream.chunks(piece).try_for_each(|piece| pushed.write_all(piece));
            let pushed = written.and_then(|()| pushed.finish()).map_err(|error| TrailingBytes::is(&error));
            let pushed = pushed.as_ref().map(|(bytes, padding)| (&**bytes, *padding));
            assert_eq!(pushed.map_err(|is| *is), expected, "{piece}");
        }
    }

    #[test]
    fn zeros_behind_the_end_are_padding() {
        let text = b"0123456789".repeat(5000);
        for members in [&[&text[..]][..], &[b"a", b"", b"bc"], &[b""]] {
            let stream: Vec<u8> = members.iter().flat_map(|bytes| member(bytes)).collect();
            let plain = members.concat();
            for zeros in [0, 1, 3, 8, 511, 512, 100_000] {
                let padded = [stream.clone(), vec![0; zeros]].concat();
                both(&padded, Ok((&plain, zeros as u64)));
            }
        }
    }

    #[test]
    fn anything_else_there_is_an_error() {
        let stream = member(b"x");
        for garbage in [&b"x"[..], b"\0x", b"garbage\0\0", &[[0; 512].as_slice(), &member(b"y")].concat()] {
            both(&[&stream, garbage].concat(), Err(true));
        }
        for cut in 1..stream.len() {
            both(&stream[..cut], Err(false));
            both(&[&stream, &stream[..cut]].concat(), Err(false));
        }
        both(&[0; 512], Err(false));
        let mut wrong = stream.clone();
        wrong[stream.len() - 5] ^= 1;
        both(&wrong, Err(false));
        both(&[wrong, vec![0; 512]].concat(), Err(false));
    }

    #[test]
    fn a_stream_that_failed_does_not_end_well() {
        let mut reader = Members::new(&b"\x1f\x8b\x08xxxxxxxxxxxxx"[..]);
        assert!(reader.read(&mut [0; 8]).is_err() && reader.read(&mut [0; 8]).is_err());
        let mut pushed = PushedMembers::new(Vec::new());
        assert!(pushed.write_all(b"not gzip, not at all").is_err() && pushed.finish().is_err());
    }
}
