//! What is recorded of each file of a layer, and what is there instead of it: for those who repair layers.
//!
//! A record has an entry for each member of the tar, whatever it is. Between two entries it has the literal
//! bytes: the padding of the former's contents, then the headers of the latter.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use layerlift_archive::ErrorKind;

use super::checksum::Checksum;
use super::files::Files;
use super::line::Line;
use super::lines::Lines;
use super::{SplitLayer, open, payload};
use crate::{Error, Root};

const BLOCK: u64 = 512;

/// What a record says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RecordedFile {
    /// Its name as the tar spells it, below the layer's root. Need not be UTF-8.
    pub name: Vec<u8>,
    /// Bytes of its contents; 0 for what has none.
    pub size: u64,
    /// Their CRC-64 (ISO 3309, as Go has it); 0 if there are none.
    pub checksum: u64,
}

/// What is there where a file was recorded.
#[derive(Debug)]
#[non_exhaustive]
pub enum Found {
    /// The recorded bytes.
    Recorded(File),
    /// Other bytes.
    Other(OtherFile),
    /// Nothing.
    Missing,
    /// Something that is not a regular file: "a directory", "a symbolic link".
    NotAFile(&'static str),
    /// The system did not let it be read.
    Unreadable(Error),
}

/// A file whose bytes are not the recorded ones.
#[derive(Debug)]
#[non_exhaustive]
pub struct OtherFile {
    /// The file, open.
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
    /// The CRC-64 of its bytes.
    pub checksum: u64,
    /// Whether there are bytes and all of them are zeros, as a power failure leaves them.
    pub zeros: bool,
}

/// A part of a layer's tar.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// A member.
    Member {
        /// The padding behind the contents of the member before it.
        padding: Vec<u8>,
        /// Its header and the extended headers before it.
        headers: Vec<u8>,
        /// Its contents.
        file: RecordedFile,
    },
    /// What follows the contents of the last member.
    End {
        /// The padding behind these contents.
        padding: Vec<u8>,
        /// The blocks that end the tar.
        blocks: Vec<u8>,
    },
}

/// The parts of a layer's tar, in order.
pub struct Parts<R> {
    lines: Lines<R>,
    /// Bytes of padding behind the member before.
    padding: usize,
    done: bool,
}

impl SplitLayer {
    /// The parts of the tar as they are recorded. No file of the layer is read.
    pub fn parts(&self) -> Parts<impl Read + Send + use<>> {
        Parts { lines: self.lines(), padding: 0, done: false }
    }

    /// What is there for a file of the layer. The whole file is read.
    pub fn look(&self, file: &RecordedFile) -> Found {
        look(self.files(), file)
    }

    /// Opens a file of the layer; its bytes are compared with nothing.
    pub fn open_raw(&self, file: &RecordedFile) -> Result<File, Error> {
        let RecordedFile { name, size, checksum } = file;
        open::open(&mut self.files(), name, *size, *checksum).map(|(file, _)| file)
    }

    /// The path of a file of the layer, for messages.
    pub fn path_of(&self, file: &RecordedFile) -> PathBuf {
        open::path(&self.tree, &file.name)
    }
}

impl<R: Read> Iterator for Parts<R> {
    type Item = Result<Part, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let part = self.advance();
        self.done = !matches!(part, Ok(Part::Member { .. }));
        Some(part)
    }
}

impl<R: Read> Parts<R> {
    fn advance(&mut self) -> Result<Part, Error> {
        let mut literal = Vec::new();
        let file = loop {
            match self.lines.next()? {
                None => break None,
                Some(Line::Bytes(base64)) => {
                    if let Err(why) = payload::decode_into(&base64, &mut literal) {
                        return Err(self.lines.malformed(&why));
                    }
                }
                Some(Line::Contents { name, size, checksum }) => {
                    break Some(RecordedFile { name: name.into_owned(), size, checksum });
                }
            }
        };
        let rest = literal.split_off(self.padding.min(literal.len()));
        let padding = literal;
        Ok(match file {
            Some(file) => {
                self.padding = (file.size.wrapping_neg() % BLOCK) as usize;
                Part::Member { padding, headers: rest, file }
            }
            None => Part::End { padding, blocks: rest },
        })
    }
}

impl RecordedFile {
    /// The same contents under another name.
    pub fn named(&self, name: impl Into<Vec<u8>>) -> Self {
        RecordedFile { name: name.into(), ..self.clone() }
    }

    /// The file in another tree, if it has the recorded bytes there: their number and their checksum.
    pub fn find_in(&self, tree: &Root) -> Option<File> {
        let file = tree.open_in_tree(&self.name).ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || metadata.len() != self.size {
            return None;
        }
        match read(file) {
            Ok(found) if found.size == self.size && found.checksum == self.checksum => Some(found.file),
            _ => None,
        }
    }

    /// The name for messages.
    pub fn display(&self) -> String {
        String::from_utf8_lossy(open::relative(&self.name).as_os_str().as_encoded_bytes()).into_owned()
    }
}

fn look(mut files: Files<'_>, recorded: &RecordedFile) -> Found {
    let RecordedFile { name, size, checksum } = recorded;
    let (file, name) = match open::open(&mut files, name, *size, *checksum) {
        Ok(opened) => opened,
        Err(error) => {
            return match error.kind() {
                ErrorKind::Missing => Found::Missing,
                ErrorKind::Environment => Found::Unreadable(error),
                _ => Found::NotAFile("a symbolic link"),
            };
        }
    };
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => return Found::NotAFile("a directory"),
        Ok(metadata) if !metadata.is_file() => return Found::NotAFile("a device, a pipe or a socket"),
        Ok(_) => {}
        Err(error) => {
            return Found::Unreadable(Error::io("read", open::path(files.place().tree, &name), error));
        }
    }
    match read(file) {
        Ok(found) if found.size == *size && found.checksum == *checksum => Found::Recorded(found.file),
        Ok(found) => Found::Other(found),
        Err(error) => Found::Unreadable(Error::io("read", open::path(files.place().tree, &name), error)),
    }
}

/// Reads a file to its end.
fn read(mut file: File) -> io::Result<OtherFile> {
    let mut found = Checksum::new();
    let mut buffer = vec![0; 64 << 10];
    let (mut size, mut zeros) = (0, true);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                found.update(&buffer[..n]);
                zeros &= buffer[..n].iter().all(|&byte| byte == 0);
                size += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let checksum = if size == 0 { 0 } else { found.finish() };
    Ok(OtherFile { file, size, checksum, zeros: zeros && size > 0 })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// The header of a file; that of Docker 1.8 and 1.9 is checked when a record is opened.
    fn header(name: &str, size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    /// A layer with the files `a` ("contents") and `b` (nothing), and what is said of it.
    fn layer() -> (tempfile::TempDir, SplitLayer) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "contents").unwrap();
        let mut checksum = Checksum::new();
        checksum.update(b"contents");
        let crc = STANDARD.encode(checksum.finish().to_be_bytes());
        let bytes = |bytes: &[u8]| format!("{{\"type\":2,\"payload\":\"{}\"}}\n", STANDARD.encode(bytes));
        let lines = [
            bytes(&header("a", 8)),
            format!("{{\"type\":1,\"name\":\"./a\",\"size\":8,\"payload\":\"{crc}\"}}\n"),
            bytes(&[0; 504]),
            bytes(&header("b", 0)),
            "{\"type\":1,\"name\":\"b\",\"payload\":null}\n".to_owned(),
            bytes(&[0; 1024]),
        ];
        let mut gzip = flate2::write::GzEncoder::new(tempfile::tempfile().unwrap(), Default::default());
        gzip.write_all(lines.concat().as_bytes()).unwrap();
        let metadata = gzip.finish().unwrap();
        let tree = Root::open(dir.path()).unwrap();
        let layer = SplitLayer::open(tree, metadata, "record".into(), None).unwrap();
        (dir, layer)
    }

    #[test]
    fn parts_are_taken_apart_at_the_padding() {
        let (_dir, layer) = layer();
        let parts: Vec<Part> = layer.parts().map(Result::unwrap).collect();
        let [Part::Member { padding, headers, file }, second, end] = &*parts else { panic!("{parts:?}") };
        assert_eq!(
            (padding.len(), &**headers, &*file.name, file.size),
            (0, &*header("a", 8), &b"./a"[..], 8)
        );
        let Part::Member { padding, headers, file } = second else { panic!("{second:?}") };
        assert_eq!(
            (padding.len(), &**headers, &*file.name, file.size),
            (504, &*header("b", 0), &b"b"[..], 0)
        );
        assert_eq!(*end, Part::End { padding: Vec::new(), blocks: vec![0; 1024] });
    }

    #[test]
    fn what_is_there_for_a_file() {
        let (dir, layer) = layer();
        let Some(Ok(Part::Member { file, .. })) = layer.parts().next() else { panic!("no member") };
        let path = dir.path().join("a");
        assert!(matches!(layer.look(&file), Found::Recorded(_)));
        assert!(file.find_in(layer.tree()).is_some());
        for (bytes, zeros) in [(&b""[..], false), (&[0; 8], true), (b"content", false), (b"c0ntents", false)]
        {
            fs::write(&path, bytes).unwrap();
            let Found::Other(other) = layer.look(&file) else { panic!("{bytes:?}") };
            assert_eq!((other.size, other.zeros), (bytes.len() as u64, zeros));
            assert_ne!(other.checksum, file.checksum);
            assert!(file.find_in(layer.tree()).is_none());
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(layer.look(&file), Found::Missing));
        std::os::unix::fs::symlink("b", &path).unwrap();
        assert!(matches!(layer.look(&file), Found::NotAFile("a symbolic link")));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(layer.look(&file), Found::NotAFile("a directory")));
    }
}
