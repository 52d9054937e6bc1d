//! The stores that a command works on: those that `--root` means, or those in the usual places of this
//! machine.

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;

use layerlift_store::discover::open_usual;
use layerlift_store::{
    Broken, Containers, Error as StoreError, Joined, OpenOptions, Opened, Selected, Store, StoreKind,
    open_all,
};

use crate::args::PlaceArgs;
use crate::error::Error;
use crate::message::typed;
use crate::report::Reporter;
use crate::status::Status;

/// An open store, and where it is.
pub(crate) struct Source {
    pub(crate) root: PathBuf,
    pub(crate) kind: StoreKind,
    pub(crate) store: Box<dyn Store>,
}

/// All stores that may hold what was asked for.
pub(crate) struct Sources {
    pub(crate) opened: Vec<Source>,
    /// Why others could not be opened.
    failed: Vec<StoreError>,
    /// Whether the user named the root, so that nothing below it may be left out without saying so in the
    /// exit status.
    named: bool,
    /// Whether they are archives that are read as one.
    pub(crate) joined: bool,
}

/// The options that choose this store and no other.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--root {} --store {}", typed(&self.root), self.kind)
    }
}

impl Sources {
    /// Opens the stores. One that cannot be opened is an error only if no other can.
    pub(crate) fn open(args: &impl AsRef<PlaceArgs>, reporter: &Reporter) -> Result<Self, Error> {
        Sources::open_with(args.as_ref(), OpenOptions::default(), reporter)
    }

    /// The same with all namespaces of containerd.
    pub(crate) fn open_all(args: &impl AsRef<PlaceArgs>, reporter: &Reporter) -> Result<Self, Error> {
        Sources::open_with(args.as_ref(), OpenOptions::default().with_all_partitions(true), reporter)
    }

    /// The same, perhaps with a search for blobs.
    pub(crate) fn open_finding(
        args: &impl AsRef<PlaceArgs>,
        find_blobs: bool,
        reporter: &Reporter,
    ) -> Result<Self, Error> {
        Sources::open_with(args.as_ref(), OpenOptions::default().with_find_blobs(find_blobs), reporter)
    }

    fn open_with(args: &PlaceArgs, mut options: OpenOptions, reporter: &Reporter) -> Result<Self, Error> {
        options.kind = args.store;
        options.partition = args.driver.clone().or_else(|| args.namespace.clone());
        options.follow = args.follow.clone();
        let all = match &*args.root {
            [] => open_usual(&options),
            [root] => open_all(root, &options).map_err(Error::Open)?,
            roots => return Sources::of_archives(roots, &options),
        };
        let mut sources =
            Sources { opened: Vec::new(), failed: Vec::new(), named: !args.root.is_empty(), joined: false };
        for opened in all {
            match opened {
                Ok(Opened { root, store, .. }) => {
                    sources.opened.push(Source { root, kind: store.kind(), store });
                }
                Err(error) => sources.failed.push(error),
            }
        }
        if !sources.named {
            sources.failed = closed_together(sources.failed);
        }
        if sources.opened.is_empty() {
            return Err(match sources.failed.len() {
                0 => Error::NoStore,
                1 => Error::Open(sources.failed.remove(0)),
                _ => {
                    sources.failed.iter().for_each(|error| reporter.error(error));
                    Error::NoneReadable
                }
            });
        }
        Ok(sources)
    }

    /// Several archives as one source.
    fn of_archives(roots: &[PathBuf], options: &OpenOptions) -> Result<Self, Error> {
        Ok(Sources::of_joined(join(roots, Vec::new(), options)?, roots))
    }

    /// The same for archives that are open.
    pub(crate) fn of_joined(joined: Joined, roots: &[PathBuf]) -> Self {
        let root =
            roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(" and ").into();
        let source = Source { root, kind: joined.kind(), store: Box::new(joined) };
        Sources { opened: vec![source], failed: Vec::new(), named: true, joined: true }
    }

    /// Warns of stores that could not be opened, for a command on all stores.
    pub(crate) fn warn_of_failed(&self, reporter: &Reporter) -> Status {
        self.failed.iter().for_each(|error| reporter.warn_error(error));
        if self.named && !self.failed.is_empty() { Status::Incomplete } else { Status::Done }
    }

    /// What a name means, and the index of its store in `opened`.
    pub(crate) fn resolve(&self, name: &str, reporter: &Reporter) -> Result<(usize, Vec<Selected>), Error> {
        let mut found = Vec::new();
        let mut near: Vec<String> = Vec::new();
        let mut failure = None;
        for (index, source) in self.opened.iter().enumerate() {
            match source.store.resolve(name) {
                Ok(selected) => found.push((index, selected)),
                Err(StoreError::NotFound { suggestions, .. }) => near.extend(suggestions),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if found.len() > 1 {
            let stores = found.iter().map(|&(index, _)| self.opened[index].to_string()).collect();
            return Err(Error::SeveralStores { name: name.to_owned(), stores });
        }
        if let Some(found) = found.pop() {
            return Ok(found);
        }
        self.warn_of_failed(reporter);
        near.sort();
        near.dedup();
        Err(failure.unwrap_or(StoreError::NotFound { name: name.to_owned(), suggestions: near }).into())
    }

    /// The stores that keep containers, too.
    pub(crate) fn able(&self) -> Vec<(&Source, &dyn Containers)> {
        self.opened.iter().filter_map(|source| Some((source, source.store.containers()?))).collect()
    }

    /// Warns if no store keeps containers, and with them `what`: containers, volumes.
    pub(crate) fn warn_of_unable(&self, what: &str, reporter: &Reporter) {
        if self.able().is_empty() {
            let stores: Vec<String> = self.opened.iter().map(|source| source.kind.to_string()).collect();
            reporter.warn(&format!("{what} are not read from stores of kind {}", stores.join(", ")));
        }
    }

    /// Whether there are several, so that a table needs a column for them.
    pub(crate) fn several(&self) -> bool {
        self.opened.len() > 1
    }
}

/// Opens archives, to be read as one.
pub(crate) fn join(roots: &[PathBuf], others: Vec<Opened>, options: &OpenOptions) -> Result<Joined, Error> {
    let mut archives = Vec::new();
    for root in roots {
        for opened in open_all(root, options).map_err(Error::Open)? {
            let opened = opened.map_err(Error::Open)?;
            if !opened.store.kind().is_archive() {
                return Err(Error::NoArchive(opened.root));
            }
            archives.push(opened);
        }
    }
    Ok(Joined::new(archives, others)?)
}

/// Opens stores that the user names. One that cannot be opened is an error only if it hides everything there.
pub(crate) fn named(
    paths: &[PathBuf],
    options: &OpenOptions,
    reporter: &Reporter,
) -> Result<Vec<Opened>, Error> {
    let mut stores = Vec::new();
    for path in paths {
        let before = stores.len();
        let mut failed = None;
        for opened in open_all(path, options).map_err(Error::Open)? {
            match opened {
                Ok(opened) => stores.push(opened),
                Err(error) => {
                    reporter.warn_error(&error);
                    failed = Some(error);
                }
            }
        }
        if let Some(error) = failed.filter(|_| stores.len() == before) {
            return Err(Error::Open(error));
        }
    }
    Ok(stores)
}

/// One error for all places that this user may not open: an ordinary user is refused the system's stores,
/// which are guesses, and needs to hear of it once.
fn closed_together(errors: Vec<StoreError>) -> Vec<StoreError> {
    let refused = |error: &StoreError| match error {
        StoreError::Io { source, .. } => source.kind() == ErrorKind::PermissionDenied,
        _ => false,
    };
    let (closed, mut others): (Vec<_>, Vec<_>) = errors.into_iter().partition(refused);
    let paths: Vec<String> = closed
        .iter()
        .filter_map(|error| match error {
            StoreError::Io { path, .. } => Some(path.display().to_string()),
            _ => None,
        })
        .collect();
    match (&*paths, closed.into_iter().next()) {
        ([first @ .., last], Some(StoreError::Io { action, source, .. })) if !first.is_empty() => {
            let path = format!("{} and {last}", first.join(", ")).into();
            others.insert(0, StoreError::Io { action, path, source });
        }
        (_, Some(only)) => others.insert(0, only),
        (_, None) => {}
    }
    others
}

/// What is wrong with something that is listed, in a sentence.
pub(crate) fn broken_error(broken: Broken) -> StoreError {
    // It can be read, and its error has its name.
    if let StoreError::NoPlatform { .. } = broken.error {
        return broken.error;
    }
    let names: Vec<String> = broken.references.iter().map(ToString::to_string).collect();
    let what = match &*names {
        [] => format!("image {}", broken.what),
        // Its id is not known.
        [name] if *name == broken.what => format!("image {name}"),
        names => format!("image {} ({})", broken.what, names.join(", ")),
    };
    broken.error.within(what)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn places_that_are_closed() {
        let failed = |path: &str, kind: ErrorKind| StoreError::Io {
            action: "open",
            path: path.into(),
            source: Arc::new(io::Error::from(kind)),
        };
        let closed = |path| failed(path, ErrorKind::PermissionDenied);
        let texts = |errors| {
            let errors: Vec<StoreError> = closed_together(errors);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let other = || failed("/b", ErrorKind::NotFound);
        assert_eq!(texts(vec![]), [""; 0]);
        assert_eq!(texts(vec![closed("/a")]), ["cannot open /a"]);
        assert_eq!(
            texts(vec![other(), closed("/a"), closed("/c")]),
            ["cannot open /a and /c", "cannot open /b"]
        );
        assert_eq!(texts(vec![closed("/a"), closed("/c"), closed("/d")]), ["cannot open /a, /c and /d"]);
    }
}
