//! What the record of a layer is worth. One that is damaged is worth no less than one that is missing.
//!
//! | the record | the layer |
//! |---|---|
//! | can be read | exact: it is compared with its diff id as it is read |
//! | is damaged, but its lines are whole: it lacks its gzip trailer, say | exact, if it hashes to its diff id |
//! | is empty, cut, overwritten with zeros | computed from its directory |
//! | describes sparse files | the same; all files are compared with the record |

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use layerlift_archive::{Content as _, Digest, ErrorKind, Hasher};

use super::SplitLayer;
use super::objects::Objects;
use super::sparse::{self, Sparse};
use crate::{DiffId, Error, Notice, Root};

/// The record of a layer, once it was read.
#[derive(Debug)]
pub(crate) enum Record {
    /// It gives the bytes of the layer's tar.
    Exact(SplitLayer),
    /// It does not.
    Unusable(Unusable),
}

/// Why a layer is computed although it has a record.
#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) notice: Notice,
    /// The record, if it describes the files nevertheless.
    pub(crate) files: Option<SplitLayer>,
}

/// Reads a record, and where it is damaged perhaps the whole layer. `len` is the length of the layer's tar,
/// where it is recorded.
pub(crate) fn open(
    tree: Root,
    metadata: File,
    path: PathBuf,
    diff_id: Option<DiffId>,
    len: Option<u64>,
) -> Result<Record, Error> {
    open_with(None, tree, metadata, path, diff_id, len)
}

/// The same, for a layer whose files may be named by the digests of their contents.
pub(crate) fn open_with(
    objects: Option<Objects>,
    tree: Root,
    metadata: File,
    path: PathBuf,
    diff_id: Option<DiffId>,
    len: Option<u64>,
) -> Result<Record, Error> {
    let mut layer = SplitLayer::unmeasured(tree, metadata, path, diff_id)?;
    layer.objects = objects.map(Arc::new);
    let why = match layer.measure() {
        Ok(sizes_agree) => {
            if let Some(sparse) = (!sizes_agree).then(|| sparse::find(layer.lines())).transpose()?.flatten() {
                let notice = Notice::new(&layer.path, cannot_describe(&sparse));
                return Ok(Record::Unusable(Unusable { notice, files: Some(layer) }));
            }
            match (layer.len(), len) {
                (0, _) if layer.diff_id.is_some_and(|id| id != DiffId(Digest::of(b""))) => {
                    "it has no lines".to_owned()
                }
                (found, Some(len)) if found != len => {
                    format!("it makes a tar of {found} bytes, the layer had {len}")
                }
                _ => return Ok(Record::Exact(layer)),
            }
        }
        Err(error) if !matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Malformed) => {
            return Err(error);
        }
        Err(error) => damage(&layer, error)?,
    };
    layer.lenient = true;
    if layer.measure().is_ok() && is_proven(&layer)? {
        let what = format!("{why}; the layer is what it was, as its digest proves");
        layer.notice = Some(Notice::new(&layer.path, what));
        return Ok(Record::Exact(layer));
    }
    let what = format!("{why}; the layer can only be computed from its directory");
    Ok(Record::Unusable(Unusable { notice: Notice::new(&layer.path, what), files: None }))
}

/// What is wrong, in words.
fn damage(layer: &SplitLayer, error: Error) -> Result<String, Error> {
    if layer.metadata.len == 0 {
        return Ok("it is empty".to_owned());
    }
    let mut start = Vec::new();
    let head = layer.metadata.clone().into_raw_reader().take(512).read_to_end(&mut start);
    head.map_err(|source| Error::io("read", &layer.path, source))?;
    if start.iter().all(|&byte| byte == 0) {
        return Ok("it is full of zeros".to_owned());
    }
    Ok(match error {
        Error::Damaged { why, .. } => format!("it is damaged: {why}"),
        Error::Malformed { why, .. } => format!("it is malformed: {why}"),
        error => error.to_string(),
    })
}

fn cannot_describe(Sparse { name, stored, size }: &Sparse) -> String {
    let name = String::from_utf8_lossy(name);
    format!(
        "tar-split cannot describe a sparse file ({name}: {stored} of its {size} bytes were in the tar); the \
         layer can only be computed from its directory"
    )
}

/// Whether the lines that can be read make the tar that the layer had.
fn is_proven(layer: &SplitLayer) -> Result<bool, Error> {
    let Some(DiffId(expected)) = layer.diff_id else { return Ok(false) };
    let read = |error| Error::io("assemble the layer of", &layer.path, error);
    let mut reader = layer.raw_reader().map_err(read)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish() == expected),
            Ok(n) => hasher.update(&buffer[..n]),
            // Files that are not what they were prove nothing.
            Err(error) => match ErrorKind::of_io(&error) {
                None | Some(ErrorKind::Environment) => return Err(read(error)),
                Some(_) => return Ok(false),
            },
        }
    }
}
