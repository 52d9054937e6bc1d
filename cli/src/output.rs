//! Writing to standard output, archives apart.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;

/// See [`stdout_was_closed`].
static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Looks at standard output before the standard library does: the library opens `/dev/null` in place of a
/// closed one, and that would take an archive without an error.
#[ctor::ctor]
fn look_at_stdout() {
    let closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err();
    STDOUT_CLOSED.store(closed, Ordering::Relaxed);
}

/// Whether standard output was closed when the program began.
pub(crate) fn stdout_was_closed() -> bool {
    STDOUT_CLOSED.load(Ordering::Relaxed)
}

/// Prints text. A reader that closed its pipe is an error, which the program does not report.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    if stdout_was_closed() {
        return Err(Error::ClosedStdout);
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Stdout)
}

/// Prints a value as indented JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| Error::Stdout(error.into()))?;
    text.push('\n');
    print(&text)
}
