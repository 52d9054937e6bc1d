//! The volumes of an archive: files of one size, which `cat` puts together.
//!
//! ```text
//! x.tar.001  x.tar.002  x.tar.003    the last may be shorter
//! x.tar.sums                         a line for each, if their writer has finished
//! ```

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use layerlift_archive::{Concatenated, Volumes};

use super::named;
use crate::{Error, Hint};

/// Largest list of their digests.
const SUMS: u64 = 8 << 20;

/// The volumes of which this is the first; `None` if its name is not that of one.
pub(crate) fn open(path: &Path) -> Result<Option<Concatenated>, Error> {
    let Some((whole, digits, number)) = parts(path) else { return Ok(None) };
    let name = |number: u64| {
        let mut name = whole.as_os_str().to_owned();
        name.push(format!(".{number:0digits$}"));
        PathBuf::from(name)
    };
    if number != 1 {
        if !name(1).exists() {
            return Ok(None);
        }
        let why = Some(format!("it is volume {number} of an archive").into());
        let hint = Hint::Other(format!("name the first volume, {}", name(1).display()).into());
        return Err(Error::NoStore { path: path.to_owned(), why, hint: Some(hint) });
    }
    let listed = listed(&whole)?;
    let mut all = Concatenated::default();
    let mut size = None;
    for number in 1.. {
        let path = name(number);
        let Some((file, len)) = open_file(&path)? else { break };
        if number > Volumes::MOST {
            let what = format!("{} has more than {} volumes", whole.display(), Volumes::MOST);
            return Err(Error::unsupported(what, "put them together with cat"));
        }
        if let Some((expected, before)) = size.zip(number.checked_sub(1)) {
            // Only the last may be shorter.
            if all.len() != expected * before || len > expected {
                let why =
                    format!("it does not belong to the volumes before it, which have {expected} bytes each");
                return Err(Error::damaged(path, why));
            }
        }
        size.get_or_insert(len);
        all.push(file, len);
        if listed.as_ref().is_some_and(|listed| number == listed.len() as u64) {
            break;
        }
    }
    let found = size.map_or(0, |size| if size == 0 { 1 } else { all.len().div_ceil(size) });
    if listed.is_none() {
        let there = Volumes::there(&whole).map_err(|error| Error::io("read the folder of", path, error))?;
        let same = |path: &&PathBuf| path.extension().is_some_and(|more| more.len() == digits);
        let mut numbers = there.iter().filter(same).filter_map(|path| Volumes::parse(path));
        if numbers.any(|(_, number)| number > found) {
            let why = "volumes with higher numbers are there".to_owned();
            return Err(Error::NotThere { path: name(found + 1), why });
        }
    }
    if let Some(lacking) = listed.and_then(|listed| listed.into_iter().nth(usize::try_from(found).ok()?)) {
        let path = whole.with_file_name(lacking);
        return Err(Error::NotThere { path, why: "it is a volume of the archive".to_owned() });
    }
    Ok(Some(all))
}

/// The name of the whole, the number of digits and the number of a volume.
fn parts(path: &Path) -> Option<(PathBuf, usize, u64)> {
    let (whole, number) = Volumes::parse(path)?;
    let digits = path.extension()?.len();
    (digits <= 6).then_some((whole, digits, number))
}

/// A volume and its length; `None` if it is not there. A pipe would not end, or have no writer.
fn open_file(path: &Path) -> Result<Option<(File, u64)>, Error> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(Error::damaged(path, "it is not a file, and has the name of a volume")),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path, error)),
    }
    let (file, metadata) = named::open(path)?;
    Ok(Some((file, metadata.len())))
}

/// The names in the list of digests, if there is one.
fn listed(whole: &Path) -> Result<Option<Vec<String>>, Error> {
    let mut path = whole.as_os_str().to_owned();
    path.push(".sums");
    let path = PathBuf::from(path);
    // What is not a file has no list.
    if !path.metadata().is_ok_and(|found| found.is_file()) {
        return Ok(None);
    }
    let (file, _) = named::open(&path)?;
    let mut text = String::new();
    // What is not a list of digests says nothing.
    if file.take(SUMS).read_to_string(&mut text).is_err() {
        return Ok(None);
    }
    let names = text.lines().map(|line| line.split_once("  ").map(|(_, name)| name.to_owned()));
    Ok(names.collect::<Option<Vec<_>>>().filter(|names| !names.is_empty()))
}
