//! Whether a layer is still what it was when its computation was planned.
//!
//! An engine at work removes a layer in this order: first its record, then the files of its directory. Docker
//! renames the record's folder (`layer/filestore.go`), its graph store too (`graph/graph.go`);
//! containers-storage writes its list of layers without it. So a layer that is being removed looks like one
//! that has lost its tar-split data, and its directory like one with fewer files. If the record is as it was
//! after the last file was read, no file had been removed before.

use std::fmt;
use std::sync::Arc;

use crate::Error;

/// Looks at a layer's record again, by the path by which it was found.
#[derive(Clone)]
pub(crate) struct Watch(Arc<dyn Fn() -> Result<(), Error> + Send + Sync>);

impl Watch {
    /// `look` fails if the record is not what it was.
    pub(crate) fn new(look: impl Fn() -> Result<(), Error> + Send + Sync + 'static) -> Self {
        Watch(Arc::new(look))
    }

    pub(super) fn look(&self) -> Result<(), Error> {
        (self.0)()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
