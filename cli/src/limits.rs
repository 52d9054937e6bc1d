//! How many files the process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Lets the process have as many open files as the system allows it. A plan keeps two open for each layer,
/// and the usual limit of 1024, there for programs that use `select`, is less than a host with many images
/// needs.
pub(crate) fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A refusal is not an error: what then runs out of files says so.
    let _ = setrlimit(Resource::Nofile, limit);
}
