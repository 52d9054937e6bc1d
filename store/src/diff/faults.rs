//! What happens to files while they are read, where that does not end the work.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::PathBuf;

use crate::Error;

/// What was found while files were read that do not rest.
#[derive(Debug, Default)]
pub struct Faults {
    found: RefCell<Vec<Fault>>,
    /// What was said of what is left out.
    left_out: RefCell<HashSet<String>>,
    leave_out: bool,
}

/// What happened to a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fault {
    /// It changed while it was read: what was read may be of several moments. It has the size that it had at
    /// first.
    Changed(PathBuf),
    /// It, or what is in a directory, could not be read and is left out.
    LeftOut(Error),
    /// Only its beginning could be read; zeros take the place of the rest.
    ZerosInstead(Error),
}

impl Faults {
    /// Files that change are taken as they are read, and what cannot be read is left out.
    pub fn leaving_out() -> Self {
        Faults { leave_out: true, ..Faults::default() }
    }

    /// What was found, in the order of the files.
    pub fn into_found(self) -> Vec<Fault> {
        self.found.into_inner()
    }

    pub(super) fn leaves_out(&self) -> bool {
        self.leave_out
    }

    /// A directory that is read twice has its fault once.
    pub(super) fn note(&self, fault: Fault) {
        if let Fault::LeftOut(error) = &fault
            && !self.left_out.borrow_mut().insert(error.to_string())
        {
            return;
        }
        self.found.borrow_mut().push(fault);
    }
}

/// A comparison: what cannot be compared counts as changed, if `faults` allow that. If the new file cannot be
/// read, it turns out when it is written.
pub(super) fn or_changed(result: Result<bool, Error>, faults: Option<&Faults>) -> Result<bool, Error> {
    result.or_else(|error| if faults.is_some_and(Faults::leaves_out) { Ok(true) } else { Err(error) })
}

/// A step of a walk: `None` if it failed and `faults` allow to leave out what it is about.
pub(super) fn or_left_out<T>(result: Result<T, Error>, faults: Option<&Faults>) -> Result<Option<T>, Error> {
    match (result, faults) {
        (Ok(value), _) => Ok(Some(value)),
        (Err(error), Some(faults)) if faults.leave_out => {
            faults.note(Fault::LeftOut(error));
            Ok(None)
        }
        (Err(error), _) => Err(error),
    }
}
