//! How a command can end, and the exit status that says so.

use std::process::ExitCode;

use crate::signals;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// All that was asked for.
    Done,
    /// Something could not be exported or verified; it has been reported.
    Incomplete,
    /// Nothing could be done.
    Nothing,
    /// The store changed under an archive that had begun to leave through a pipe.
    Torn,
    /// A signal came.
    Interrupted,
    /// The reader of the archive closed its pipe.
    Cut,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(match status {
            Status::Done => 0,
            Status::Incomplete => 1,
            Status::Nothing => 2,
            Status::Torn => 3,
            Status::Interrupted => signals::status(),
            // 128 and the number of SIGPIPE: what a shell reports for `tar` or `cat` in the same place.
            Status::Cut => 141,
        })
    }
}
