//! `save --exclude`, `--since` and `--have`: what the other side has.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use layerlift_export::OtherSide;
use layerlift_store::{OpenOptions, Store, open};

use crate::args::Partial;
use crate::error::Error;

/// Largest list of layers: many times what all images of a host come to.
const LIST: u64 = 256 << 20;

/// Reads what the other side has. Images that are named are those of `store`.
pub(crate) fn other_side(args: &Partial, store: &dyn Store) -> Result<OtherSide, Error> {
    let mut other = OtherSide::default();
    for name in &args.exclude {
        other.add_selected(store, name, &store.resolve(name)?)?;
    }
    for path in &args.since {
        let store = open(path, &OpenOptions::default()).map_err(Error::Open)?;
        other.add_store(&*store)?;
    }
    for path in &args.have {
        let text = read(path).map_err(|source| Error::ListNotRead { path: path.clone(), source })?;
        other.add_list(&text).map_err(|why| Error::NoList { path: path.clone(), why })?;
    }
    Ok(other)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match path == Path::new("-") {
        true => io::stdin().lock().take(LIST + 1).read_to_end(&mut text)?,
        false => File::open(path)?.take(LIST + 1).read_to_end(&mut text)?,
    };
    match text.len() as u64 > LIST {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(text),
    }
}
