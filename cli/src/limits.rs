//! How many files the process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit on open files as far as the system allows. A plan keeps two files open for each layer;
/// the usual limit of 1024 is there for programs that use `select`, and too low for a host with many images.
pub(crate) fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A refusal is not an error here. Should the program run out of files, that is reported.
    let _ = setrlimit(Resource::Nofile, limit);
}
