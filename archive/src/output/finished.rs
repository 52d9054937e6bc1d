//! The list of digests that a run which came to its end has left beside its volumes:
//!
//! ```text
//! x.tar.sums      <64 hex digits>  x.tar.001
//!                 <64 hex digits>  x.tar.002
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::{Digest, Hasher};

/// Largest list.
const LIMIT: u64 = 8 << 20;

/// A list of digests.
#[derive(Debug)]
pub(super) struct Finished {
    /// Names and digests, in their order.
    lines: Vec<(String, Digest)>,
}

impl Finished {
    /// Reads the list; `None` if there is none, or something else.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let mut text = String::new();
        File::open(path).ok()?.take(LIMIT).read_to_string(&mut text).ok()?;
        let line = |line: &str| {
            let (digest, name) = line.split_once("  ")?;
            Some((name.to_owned(), Digest::from_hex(digest)?))
        };
        let lines: Vec<_> = text.lines().map(line).collect::<Option<_>>()?;
        (!lines.is_empty()).then_some(Finished { lines })
    }

    /// Whether it says this of a volume.
    pub(super) fn has(&self, path: &Path, digest: Digest) -> bool {
        let name = path.file_name().unwrap_or_default();
        self.lines.iter().any(|(known, listed)| name == known.as_str() && *listed == digest)
    }

    /// The first volume beside `whole` that has the digest which is listed.
    pub(super) fn first_right(&self, whole: &Path, is_volume: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        let mut paths = self.lines.iter().map(|(name, digest)| (whole.with_file_name(name), digest));
        let is_right = |(path, digest): &(PathBuf, &Digest)| {
            is_volume(path) && hash(path).is_ok_and(|found| found == **digest)
        };
        paths.find(is_right).map(|(path, _)| path)
    }
}

/// The digest of a file. A pipe is not waited for.
fn hash(path: &Path) -> io::Result<Digest> {
    if !path.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (mut file, mut hasher) = (File::open(path)?, Hasher::default());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(len) => hasher.update(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
