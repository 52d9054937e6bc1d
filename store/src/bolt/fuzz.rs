//! For `store/fuzz` and tests: a database in memory, all of which is read.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::bucket::{Bucket, Entry};
use super::{Database, meta};

/// Reads a database, and returns what is wrong with it and how much can be read.
///
/// # Panics
///
/// If keys do not ascend, or one that was listed is not found.
pub fn database(bytes: &[u8]) -> Result<(BTreeSet<String>, usize), String> {
    let read = Database::read(&bytes.to_vec(), PathBuf::from("meta.db"));
    let database = read.map_err(|error| error.to_string())?;
    let mut wrong = BTreeSet::new();
    let count = walk(database.root(), &mut wrong);
    Ok((wrong, count))
}

/// Writes checksums into both meta pages, where the first one says which size a page has.
pub fn seal(bytes: &mut [u8]) {
    meta::seal(bytes);
}

fn walk(bucket: Bucket<'_>, wrong: &mut BTreeSet<String>) -> usize {
    let mut last: Option<&[u8]> = None;
    let mut count = 0;
    for entry in bucket.entries() {
        let key = match entry {
            Ok(Entry::Value { key, value }) => {
                assert_eq!(bucket.get(key).ok().flatten(), Some(value), "{}", key.escape_ascii());
                key
            }
            Ok(Entry::Bucket { key, bucket: inner }) => {
                assert!(matches!(bucket.bucket(key), Ok(Some(_))), "{}", key.escape_ascii());
                count += walk(inner, wrong);
                key
            }
            Err(error) => {
                wrong.insert(error.to_string());
                continue;
            }
        };
        assert!(last.is_none_or(|last| last < key), "{} is out of order", key.escape_ascii());
        last = Some(key);
        count += 1;
    }
    count
}
