//! tar-split: rebuilds the exact bytes of a layer from its unpacked files and a record of everything else.
//!
//! Docker has kept the record since 1.8, containers-storage from its beginning. It is a gzip file of JSON
//! lines. A line is either literal bytes of the tar (headers, padding, the blocks at its end) or "here come
//! the contents of this file".
//!
//! ```text
//! {"type":2,"payload":"<base64: bytes as they are>","position":0}
//! {"type":1,"name":"etc/passwd","size":33,"payload":"<base64: CRC-64/ISO, big endian>","position":1}
//! ```
//!
//! Source of the rules: tar-split's `tar/asm/assemble.go` and `tar/storage/entry.go`.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use layerlift_archive::{Content, Digest, Explanation, FileRange, Outline as RawOutline};

use crate::{DiffId, Error, Notice, Root};

pub(crate) mod checksum;
mod explain;
mod files;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod headers;
mod line;
mod lines;
mod objects;
mod open;
mod outline;
mod payload;
mod plain;
mod preceding;
mod reader;
mod record;
mod recorded;
mod replaced_names;
mod sparse;

use files::{Files, Place};
use headers::Headers;
use line::Line;
use lines::Lines;
use outline::Outline;
use reader::Reader;
pub use recorded::{Found, OtherFile, Part, Parts, RecordedFile};

pub(crate) use objects::Objects;
pub(crate) use record::{Record, Unusable, open, open_with};

/// A layer whose tar is assembled from tar-split metadata and a directory. A [`Content`]: its length is
/// known.
#[derive(Debug, Clone)]
pub struct SplitLayer {
    tree: Root,
    metadata: FileRange,
    path: PathBuf,
    len: u64,
    diff_id: Option<DiffId>,
    /// Whether damage after the last whole line is ignored.
    lenient: bool,
    notice: Option<Notice>,
    /// Where the files are, if they are not below their names.
    objects: Option<Arc<Objects>>,
}

impl SplitLayer {
    /// Reads the metadata once, for the length. `tree` is the directory with the layer's files (only its own,
    /// or a whole root file system), `metadata` the gzip file of JSON lines, `path` its path.
    ///
    /// Without a diff id, each file's CRC-64 is checked while it is read. With one, the digest covers
    /// everything; the checksums only show which files are damaged after a mismatch ([`Content::explain`]).
    pub fn open(tree: Root, metadata: File, path: PathBuf, diff_id: Option<DiffId>) -> Result<Self, Error> {
        let mut layer = SplitLayer::unmeasured(tree, metadata, path, diff_id)?;
        layer.measure()?;
        Ok(layer)
    }

    fn unmeasured(tree: Root, metadata: File, path: PathBuf, diff_id: Option<DiffId>) -> Result<Self, Error> {
        let size = metadata.metadata().map_err(|error| Error::io("read", &path, error))?.len();
        let metadata = FileRange { file: Arc::new(metadata), offset: 0, len: size, digest: None };
        Ok(SplitLayer { tree, metadata, path, len: 0, diff_id, lenient: false, notice: None, objects: None })
    }

    /// Sums up the sizes. Without a diff id, checks the headers as well. Says whether each file's agrees with
    /// its header, as far as that is plain to see.
    fn measure(&mut self) -> Result<bool, Error> {
        let mut lines = self.lines();
        let mut agree = true;
        let mut sum = 0_u64;
        let mut headers = self.diff_id.is_none().then(|| (Headers::default(), Vec::new()));
        while let Some(line) = lines.next()? {
            let is_file = matches!(line, Line::Contents { size: 1.., .. });
            let (more, wrong) = match (line, &mut headers) {
                (Line::Bytes(base64), Some((headers, bytes))) => {
                    bytes.clear();
                    let decoded = payload::decode_into(&base64, bytes);
                    (bytes.len() as u64, decoded.and_then(|()| headers.check(bytes)).err())
                }
                (Line::Bytes(base64), None) => (payload::decoded_len(&base64), None),
                (Line::Contents { size, .. }, headers) => {
                    if let Some((headers, _)) = headers {
                        headers.skip(size);
                    }
                    (size, None)
                }
            };
            if let Some(why) = wrong {
                return Err(lines.damaged(&why));
            }
            sum = sum.checked_add(more).ok_or_else(|| self.malformed("the sum of its sizes overflows"))?;
            agree &= !is_file || lines.preceding().octal_size() == Some(more);
        }
        self.len = sum;
        Ok(agree)
    }

    /// The same layer, with something odd to say about it.
    pub(crate) fn noticed(self, notice: Notice) -> Self {
        SplitLayer { notice: Some(notice), ..self }
    }

    /// What is odd about the record, which was read nevertheless.
    pub fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref()
    }

    /// Reads all files, and says which are not what the record says of them.
    pub(crate) fn damaged_files(&self) -> Option<Error> {
        explain::explain(self.files(), self.lines())
    }

    /// The directory with the layer's files.
    pub fn tree(&self) -> &Root {
        &self.tree
    }

    fn files(&self) -> Files<'_> {
        Files::new(Place { tree: &self.tree, objects: self.objects.as_deref() })
    }

    fn lines(&self) -> Lines<impl Read + Send + use<>> {
        Lines::new(self.metadata.clone().into_raw_reader(), self.path.clone()).lenient(self.lenient)
    }

    fn outline(&self) -> Outline<'_, impl Read + Send + use<>> {
        Outline::new(self.files(), self.lines(), self.diff_id.is_none())
    }

    fn malformed(&self, why: &str) -> Error {
        Error::malformed(&self.path, why)
    }
}

impl Content for SplitLayer {
    fn len(&self) -> u64 {
        self.len
    }

    fn digest(&self) -> Option<Digest> {
        self.diff_id.map(|id| id.0)
    }

    fn raw_reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Reader::new(self.outline())))
    }

    fn raw_outline(&self) -> Option<Box<dyn RawOutline<'_> + '_>> {
        Some(Box::new(self.outline()))
    }

    fn explain(&self) -> Option<Explanation> {
        let whole = || {
            let why = "every file of the layer is what it says; so it has changed itself, or cannot describe \
                       the layer";
            Error::damaged(&self.path, why)
        };
        Some(Explanation::new(self.damaged_files().unwrap_or_else(whole)))
    }
}

#[cfg(test)]
mod tests;
