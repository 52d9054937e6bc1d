//! Explains a wrong digest of a layer: which files are not what was recorded.

use std::io::{self, Read};

use layerlift_archive::ErrorKind;

use super::checksum::Checksum;
use super::files::Files;
use super::line::Line;
use super::lines::Lines;
use super::open;
use crate::Error;

/// How many files a message lists; the others are counted.
const LISTED: usize = 20;

/// Compares every file of the layer with its checksum. `None` if all match: then the record itself has
/// changed.
pub(super) fn explain<R: Read>(mut files: Files<'_>, mut lines: Lines<R>) -> Option<Error> {
    let mut damaged = Vec::new();
    let mut more = 0;
    let mut unread = None;
    loop {
        match lines.next() {
            Ok(None) => break,
            Ok(Some(Line::Bytes(_))) => {}
            Ok(Some(Line::Contents { name, size, checksum })) => {
                match check(&mut files, &name, size, checksum) {
                    Ok(()) => {}
                    // A file that cannot be read need not be damaged.
                    Err(error) if error.kind() == ErrorKind::Environment => drop(unread.get_or_insert(error)),
                    Err(error) if damaged.len() < LISTED => damaged.push(one_line(&error)),
                    Err(_) => more += 1,
                }
            }
            Err(error) => return Some(error),
        }
    }
    if damaged.is_empty() { unread } else { Some(Error::DamagedFiles { files: damaged, more }) }
}

fn check(files: &mut Files<'_>, name: &[u8], size: u64, checksum: u64) -> Result<(), Error> {
    if size == 0 {
        return Ok(());
    }
    let (mut file, name) = open::open(files, name, size, checksum)?;
    let path = || open::path(files.place().tree, &name);
    let mut found = Checksum::new();
    let mut buffer = vec![0; 64 << 10];
    let mut len = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                found.update(&buffer[..n]);
                len += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path(), error)),
        }
    }
    if len != size {
        return Err(Error::damaged(path(), format!("it has {len} bytes where {size} were stored")));
    }
    if found.finish() != checksum {
        return Err(Error::Checksum { path: path(), expected: checksum, found: found.finish() });
    }
    Ok(())
}

fn one_line(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
