//! What the program itself can fail at, and the exit status that a failure means.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use crate::signals;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// All that was asked for.
    Done,
    /// Something could not be exported or verified; it has been said.
    Incomplete,
    /// Nothing could be done.
    Nothing,
    /// A signal came.
    Interrupted,
    /// The reader of the archive went away.
    Cut,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(match status {
            Status::Done => 0,
            Status::Incomplete => 1,
            Status::Nothing => 2,
            Status::Interrupted => signals::INTERRUPTED,
            // 128 and the number of SIGPIPE: what a shell reports for `tar` or `cat` in the same place.
            Status::Cut => 141,
        })
    }
}

/// Why a command could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] layerlift_store::Error),
    /// No store could be opened at all.
    #[error(transparent)]
    Open(layerlift_store::Error),
    #[error(transparent)]
    Export(#[from] layerlift_export::Error),
    #[error(transparent)]
    Archive(#[from] layerlift_archive::Error),
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
    #[error(
        "standard output is a terminal, and an archive is no text\n\
         hint: write to a file with -o FILE, or send it on: layerlift save … | docker load"
    )]
    Terminal,
    #[error("{} is a directory\nhint: end the name with / to write the archive as a directory", .0.display())]
    OutputIsDirectory(PathBuf),
    #[error("a directory cannot be compressed as a whole\nhint: --compress compresses its layers")]
    CompressedDirectory,
    #[error("{} is not empty\nhint: name a directory that is new or empty", .0.display())]
    OutputNotEmpty(PathBuf),
    #[error(
        "cannot write to the folder {}\nhint: the folder that an output goes to must be there",
        path.display()
    )]
    Folder { path: PathBuf, source: io::Error },
    #[error(
        "there is no room for {}: it needs {needed} bytes, and {available} are free\n\
         hint: name another place with -o, or send the archive on without a file: layerlift save … | docker load",
        path.display()
    )]
    Space { path: PathBuf, needed: u64, available: u64 },
    #[error(
        "no image store is in any of the usual places\nhint: name the data root of an engine with --root"
    )]
    NoStore,
    #[error("no image store is at {} or below\nhint: name the data root of an engine, or the folder where a disk is mounted", .0.display())]
    NoStoreBelow(PathBuf),
    #[error("no image store can be read")]
    NoneReadable,
    #[error("{name} is in several stores:\n  {}\nhint: choose one with --root or --store", stores.join("\n  "))]
    SeveralStores { name: String, stores: Vec<String> },
    #[error("an archive comes from a single store, and the images are in several:\n  {}\nhint: save them one store at a time, with --root or --store", stores.join("\n  "))]
    DifferentStores { stores: Vec<String> },
    #[error("the store has no images")]
    NoImages,
    #[error("nothing is left to export")]
    NothingLeft,
    #[error("there is no command {0:?}\nhint: layerlift --help lists the commands")]
    NoCommand(String),
}

impl Error {
    /// What the program ends with.
    pub(crate) fn status(&self) -> Status {
        if matches!(self, Error::Open(_)) {
            return Status::Nothing;
        }
        chain(self).find_map(status_of).unwrap_or(Status::Incomplete)
    }
}

type Link<'e> = &'e (dyn std::error::Error + 'static);

/// The error and its causes, without the wrappers that only pass another error on.
pub(crate) fn chain(error: Link<'_>) -> impl Iterator<Item = Link<'_>> {
    std::iter::successors(Some(unwrapped(error)), |error| error.source().map(unwrapped))
}

fn unwrapped(error: Link<'_>) -> Link<'_> {
    let inner: Option<Link<'_>> = if let Some(error) = as_type::<Error>(error) {
        match error {
            Error::Store(inner) | Error::Open(inner) => Some(inner),
            Error::Export(inner) => Some(inner),
            Error::Archive(inner) => Some(inner),
            _ => None,
        }
    } else if let Some(error) = as_type::<layerlift_export::Error>(error) {
        match error {
            layerlift_export::Error::Store(inner) => Some(inner),
            layerlift_export::Error::Archive(inner) => Some(inner),
            _ => None,
        }
    } else if let Some(error) = error.downcast_ref::<layerlift_archive::Explanation>() {
        Some(error.get_ref())
    } else {
        // A reader's error is an I/O error that carries the store's.
        as_type::<io::Error>(error).and_then(|error| error.get_ref()).map(|inner| inner as Link<'_>)
    };
    inner.map_or(error, unwrapped)
}

/// An error of type `E`, also where it is boxed to be its own cause, or shared so that it can be cloned.
pub(crate) fn as_type<E: std::error::Error + 'static>(error: Link<'_>) -> Option<&E> {
    let boxed = || error.downcast_ref::<Box<E>>().map(|boxed| &**boxed);
    let shared = || error.downcast_ref::<Arc<E>>().map(|shared| &**shared);
    error.downcast_ref::<E>().or_else(boxed).or_else(shared)
}

/// What a single link of a chain of causes says about the status.
fn status_of(error: Link<'_>) -> Option<Status> {
    if let Some(error) = as_type::<Error>(error) {
        return match error {
            // Like ripgrep: whoever reads a table and has seen enough is not an error.
            Error::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => Some(Status::Done),
            Error::NothingLeft => Some(Status::Incomplete),
            _ => Some(Status::Nothing),
        };
    }
    if let Some(error) = as_type::<layerlift_archive::Error>(error) {
        use layerlift_archive::Error as E;
        return match error {
            E::Cancelled => Some(Status::Interrupted),
            E::Stream(error) if error.kind() == io::ErrorKind::BrokenPipe => Some(Status::Cut),
            E::Output { .. } | E::Stream(_) => Some(Status::Nothing),
            _ => None,
        };
    }
    if let Some(error) = as_type::<layerlift_export::Error>(error) {
        use layerlift_export::Error as E;
        // The output or the request, whatever the images are.
        return matches!(error, E::NoLayout { .. } | E::Compression { .. }).then_some(Status::Nothing);
    }
    use layerlift_store::Error as E;
    match as_type::<E>(error)? {
        E::NoStore { .. }
        | E::Unsupported { .. }
        | E::SeveralStores { .. }
        | E::NotFound { .. }
        | E::Ambiguous { .. }
        | E::BadName { .. } => Some(Status::Nothing),
        _ => None,
    }
}

/// What can be done about an error for which nobody on the way knew more than the system's answer.
pub(crate) fn remedy(error: Link<'_>) -> Option<&'static str> {
    // A missing layer is damage; only what the user has named can be named differently.
    if let Some(Error::Open(layerlift_store::Error::Io { source, .. })) = as_type(error)
        && source.kind() == io::ErrorKind::NotFound
    {
        return Some("name the data root of an engine, such as /var/lib/docker");
    }
    chain(error).find_map(|error| {
        use layerlift_archive::Error as Archive;
        use layerlift_store::Error as Store;
        let (source, of_store) = match (as_type(error), as_type(error)) {
            (Some(Store::Io { source, .. }), _) => (source, true),
            (_, Some(Archive::Output { source, .. } | Archive::Stream(source))) => (&**source, false),
            _ => return None,
        };
        let code = source.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
        match source.kind() {
            io::ErrorKind::PermissionDenied if of_store => {
                Some("reading an engine's store usually takes root: try sudo")
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
                "make room, or name another place with -o, and with --temp-dir for layers that have to be computed",
            ),
            _ if matches!(code, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)) => Some(
                "each layer takes two open files: raise the limit with `ulimit -Hn`, or save fewer images at a time",
            ),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use layerlift_archive::Error as Archive;
    use layerlift_export::Error as Export;
    use layerlift_store::Error as Store;

    use super::*;

    #[test]
    fn status_by_cause() {
        let broken_pipe = || io::Error::from(io::ErrorKind::BrokenPipe);
        let in_image = |source| Export::Image { image: "base".to_owned(), source: Box::new(source) };
        let not_found = || Store::NotFound { name: "x".to_owned(), suggestions: vec![] };
        let corrupt = || Store::Corrupt { path: "/x".into(), why: "it is empty".to_owned() };
        for (error, expected) in [
            (Error::Store(not_found()), Status::Nothing),
            (Error::Export(Export::Store(not_found())), Status::Nothing),
            (Error::Export(in_image(Export::Store(not_found().within("x")))), Status::Nothing),
            (Error::Store(corrupt()), Status::Incomplete),
            (Error::Open(corrupt()), Status::Nothing),
            (Error::Export(Export::NoLayout { path: "/x".into() }), Status::Nothing),
            (Error::Archive(Archive::Cancelled), Status::Interrupted),
            (Error::Export(in_image(Export::Archive(Archive::Cancelled))), Status::Interrupted),
            (Error::Archive(Archive::Stream(Arc::new(broken_pipe()))), Status::Cut),
            (Error::Archive(Archive::Stream(Arc::new(io::ErrorKind::StorageFull.into()))), Status::Nothing),
            (Error::Stdout(broken_pipe()), Status::Done),
            (Error::Stdout(io::ErrorKind::StorageFull.into()), Status::Nothing),
            (Error::Terminal, Status::Nothing),
        ] {
            assert_eq!(error.status(), expected, "{error:?}");
        }
    }
}
