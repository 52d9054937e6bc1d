//! `repositories-<driver>`: which names lead to which images.
//!
//! ```text
//! {"Repositories":{"base":{"1.0":"<id>","latest":"<id>","sha256:<manifest digest>":"<id>"}}}
//! ```
//!
//! Names are local names: without `docker.io/` and `library/`, but with any other registry. Digests since
//! 1.6. Only the first JSON value is read, and of repeated keys the last counts (`graph/tags.go`, 1.8.3).

use crate::names::{Form, Names, NamesFile};
use crate::{Error, Root, driver, hex_id};

/// Largest size of the file. A name takes about 100 bytes.
const LIMIT: u64 = 64 << 20;

const PREFIX: &str = "repositories-";

/// The name of the file.
pub(super) fn file(driver: &str) -> String {
    format!("{PREFIX}{driver}")
}

/// Drivers that have such a file. The preferred one comes first.
pub(super) fn drivers(root: &Root) -> Result<Vec<String>, Error> {
    let names = root.list(".")?;
    let driver = |name: &std::ffi::OsString| name.to_str()?.strip_prefix(PREFIX).map(str::to_owned);
    let mut drivers: Vec<String> =
        names.iter().filter_map(driver).filter(|name| driver::safe_id(name)).collect();
    drivers.sort_by_key(|name| driver::preference(name));
    Ok(drivers)
}

/// The names of a driver.
pub(super) fn names<'r>(root: &'r Root, driver: &'r str) -> NamesFile<'r> {
    NamesFile { dir: root, name: file(driver), form: Form::Tags, limit: LIMIT, data: root, driver }
}

/// Reads the names of a driver.
pub(super) fn read(root: &Root, graph: &Root, driver: &str) -> Names {
    let image = |name: &std::ffi::OsString| name.to_str().is_some_and(hex_id);
    let any = || graph.list(".").map_or(true, |names| names.iter().any(image));
    names(root, driver).read(any, |id| graph.exists(id).unwrap_or(false))
}
