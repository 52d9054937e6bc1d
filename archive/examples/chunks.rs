//! An output of one's own: `chunks DIR FILE…` writes each file as chunks of 4 MiB, and a list of them with
//! their digests.
//!
//! ```text
//! DIR/0/0 0/1 0/2     the chunks of the first file
//! DIR/1/0             of the second
//! DIR/index           a line for each file: its digest, its length, its name
//! ```
//!
//! Reading, hashing and writing happen on as many threads as for the outputs of the library: this is all that
//! there is to do.

use std::error::Error as StdError;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use layerlift_archive::{Content, Error, FileRange, Item, Options, Order, Sink, produce};

const CHUNK: u64 = 4 << 20;

struct Chunks {
    dir: PathBuf,
    /// The chunk of each item that is being written.
    open: Vec<Mutex<Option<(u64, File)>>>,
}

impl Sink for Chunks {
    fn put(&self, item: usize, mut offset: u64, mut bytes: &[u8]) -> Result<(), Error> {
        // Not contended: the bytes of one item come one after another.
        let mut open = self.open[item].lock().unwrap_or_else(PoisonError::into_inner);
        while !bytes.is_empty() {
            let (number, at) = (offset / CHUNK, offset % CHUNK);
            let path = self.dir.join(format!("{item}/{number}"));
            let failed = |action| {
                let path = path.clone();
                move |source| Error::Output { action, path, source: Arc::new(source) }
            };
            let file = match &mut *open {
                Some((same, file)) if *same == number => file,
                other => &mut other.insert((number, File::create(&path).map_err(failed("create"))?)).1,
            };
            let (now, later) = bytes.split_at(bytes.len().min((CHUNK - at) as usize));
            file.write_all_at(now, at).map_err(failed("write"))?;
            offset += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Each item has files of its own.
    fn side_by_side(&self) -> bool {
        true
    }
}

/// Writes the contents to a new directory. It has an index only if all of them are complete.
pub(crate) fn write_chunks(
    dir: &Path,
    contents: &[(String, FileRange)],
    options: &Options<'_>,
) -> Result<(), Box<dyn StdError>> {
    for number in 0..contents.len() {
        fs::create_dir_all(dir.join(number.to_string()))?;
    }
    // The digest is for the index. A content that names one is compared with it in any case.
    let items: Vec<Item> = contents.iter().map(|(name, range)| Item::new(name, range).with_hash()).collect();
    let sink = Chunks { dir: dir.to_owned(), open: contents.iter().map(|_| Mutex::default()).collect() };
    let mut index = String::new();
    for (outcome, (name, range)) in produce(&items, &sink, Order::Any, options).into_iter().zip(contents) {
        let digest = outcome.into_result()?.ok_or("an item that is hashed has a digest")?;
        index.push_str(&format!("{digest} {} {name}\n", range.len()));
    }
    fs::write(dir.join("index"), index)?;
    Ok(())
}

#[allow(dead_code, reason = "a test uses the rest")]
fn main() -> Result<(), Box<dyn StdError>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: chunks DIR FILE...")?;
    let open = |path: String| {
        let file = File::open(&path)?;
        let len = file.metadata()?.len();
        Ok((path, FileRange { file: Arc::new(file), offset: 0, len, digest: None }))
    };
    let contents = args.map(open).collect::<Result<Vec<_>, std::io::Error>>()?;
    write_chunks(Path::new(&dir), &contents, &Options::default())
}
