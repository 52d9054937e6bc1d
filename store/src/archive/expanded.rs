//! Sparse entries as the files that they stand for. All of them share one temporary file without a name, in
//! which their holes take no room, and each is put together when something needs it first.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use layerlift_archive::{FileRange, ReadAt};

use super::header::{self, Kind};
use super::sparse::{self, Pieces};
use super::whole;
use crate::Error;
use crate::kind::OpenOptions;

/// How much is copied at a time.
const BUFFER: u64 = 256 << 10;
/// Where one file ends and the next begins, so that no block is part of both.
const BLOCK: u64 = 4096;

/// The sparse entries that were needed.
#[derive(Debug)]
pub(super) struct Expanded {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<Arc<File>>,
    /// Where the next file begins.
    end: u64,
    /// By the offsets of their headers.
    known: HashMap<u64, Result<FileRange, Error>>,
}

impl Expanded {
    pub(super) fn new(options: &OpenOptions) -> Self {
        Expanded { folder: whole::folder(options), state: Mutex::default() }
    }

    /// The file of the entry whose headers begin at `at` in the tar.
    pub(super) fn range(
        &self,
        tar: &dyn ReadAt,
        tar_len: u64,
        at: u64,
        path: impl Fn() -> PathBuf,
    ) -> Result<FileRange, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = state.known.get(&at) {
            return known.clone();
        }
        let found = self.expand(&mut state, tar, tar_len, at, path);
        state.known.insert(at, found.clone());
        found
    }

    fn expand(
        &self,
        state: &mut State,
        tar: &dyn ReadAt,
        tar_len: u64,
        at: u64,
        path: impl Fn() -> PathBuf,
    ) -> Result<FileRange, Error> {
        let read = |error| Error::io("read", path(), error);
        let write = |error| Error::io("write a temporary file in", &self.folder, error);
        let Ok(header::Header { kind: Kind::Sparse(sparse), offset, len, .. }) =
            header::read(tar, tar_len, at).map_err(read)?
        else {
            return Err(Error::damaged(path(), "the archive has changed while it was read"));
        };
        let pieces = sparse::pieces(tar, &sparse, offset, len).map_err(read)?;
        let pieces =
            pieces.map_err(|why| Error::malformed(path(), format!("it is a sparse entry, and {why}")))?;
        let file = match &state.file {
            Some(file) => Arc::clone(file),
            None => Arc::clone(state.file.insert(Arc::new(whole::temporary(&self.folder)?))),
        };
        if !whole::has_room(&file, len).map_err(write)? {
            let what =
                format!("{} has no room for {} of {len} bytes", self.folder.display(), path().display());
            return Err(Error::unsupported(what, "set TMPDIR to a directory with more room"));
        }
        let begin = state.end;
        let Pieces { len, offset: mut from, pieces } = pieces;
        let end = begin.checked_add(len).and_then(|end| end.checked_next_multiple_of(BLOCK));
        let end = end.filter(|end| i64::try_from(*end).is_ok());
        let end = end.ok_or_else(|| Error::malformed(path(), "its sparse entries are too long"))?;
        let mut buffer = Vec::new();
        for (to, len) in pieces {
            let mut done = 0;
            while done < len {
                buffer.resize((len - done).min(BUFFER) as usize, 0);
                tar.read_exact_at(&mut buffer, from + done).map_err(read)?;
                write_all(&file, &buffer, begin + to + done).map_err(write)?;
                done += buffer.len() as u64;
            }
            from += len;
        }
        file.set_len(end).map_err(write)?;
        state.end = end;
        Ok(FileRange { file, offset: begin, len, digest: None })
    }
}

/// Writes, and leaves out what is a hole anyway.
fn write_all(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    if bytes.iter().all(|&byte| byte == 0) { Ok(()) } else { file.write_all_at(bytes, at) }
}
