//! Documents that were read. A listing, a selection and a plan ask for the same manifests; each is opened and
//! parsed once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;

/// Bytes of documents that are kept. Further ones are read again. An image has about 10 KiB of documents.
const KEPT: u64 = 64 << 20;

/// Documents by the names of their files.
#[derive(Debug)]
pub(super) struct Cache<T> {
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    documents: HashMap<String, Answer<T>>,
    bytes: u64,
}

/// A document; `None` if it is not there.
type Answer<T> = Result<Option<Arc<T>>, Error>;

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Cache { kept: Mutex::new(Kept { documents: HashMap::new(), bytes: 0 }) }
    }
}

impl<T> Cache<T> {
    /// The document of this name. `read` is called if it is not kept, and returns the document and its size
    /// in bytes. Errors are kept too.
    pub(super) fn get(
        &self,
        name: &str,
        read: impl FnOnce() -> Result<Option<(T, u64)>, Error>,
    ) -> Answer<T> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().documents.get(name) {
            return known.clone();
        }
        // Without the lock, so that others can read meanwhile.
        let (answer, bytes) = match read() {
            Ok(Some((document, bytes))) => (Ok(Some(Arc::new(document))), bytes),
            Ok(None) => (Ok(None), 0),
            Err(error) => (Err(error), 0),
        };
        let mut kept = lock();
        // The name and the entry of the map take memory too.
        let bytes = bytes.saturating_add(name.len() as u64 + 256);
        if kept.bytes.saturating_add(bytes) <= KEPT {
            kept.bytes += bytes;
            kept.documents.insert(name.to_owned(), answer.clone());
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_once_as_long_as_there_is_room() {
        let cache = Cache::default();
        let mut reads = 0;
        for _ in 0..3 {
            let mut read = |bytes| {
                reads += 1;
                Ok(Some(("document", bytes)))
            };
            assert_eq!(cache.get("small", || read(10)).unwrap().as_deref(), Some(&"document"));
            assert_eq!(cache.get("large", || read(KEPT)).unwrap().as_deref(), Some(&"document"));
        }
        assert_eq!(reads, 1 + 3);
        let mut misses = 0;
        for _ in 0..3 {
            let miss = || {
                misses += 1;
                Err(Error::not_found("x"))
            };
            assert!(cache.get("x", miss).is_err());
        }
        assert_eq!(misses, 1);
    }
}
